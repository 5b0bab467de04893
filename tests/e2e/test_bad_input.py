"""Bad input: one clear line, the right exit code, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekit.graph import tflite
from tests.e2e.command import EDGEKIT, edgekit, refused
from tests.installed import needed
from tests.networks.small import convolutional, dense

FORMATS = (".tflite", ".onnx", ".keras", ".h5")


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A small float network ``[1, 4] -> [1, 3]``."""
    path = tmp_path / "net.tflite"
    tflite.write(dense(np.ones((3, 4), np.float32), np.zeros(3, np.float32)), path)
    return path


@pytest.mark.parametrize("ending", [*FORMATS, "", ".pt"])
def test_missing_empty_and_random_files(tmp_path: Path, ending: str) -> None:
    out = tmp_path / "build"
    missing, empty, noise = (tmp_path / f"{name}{ending}" for name in ("missing", "empty", "noise"))
    empty.touch()
    noise.write_bytes(np.random.default_rng(0).bytes(5000))
    for path in (missing, empty, noise):
        refused(edgekit("inspect", path), 3)
        refused(edgekit("compile", path, "-t", "rpi4", "-o", out), 3)
    assert not out.exists()


def test_truncated_files(models: Path, tmp_path: Path) -> None:
    sources = (
        "mlperf_tiny/kws_int8.tflite",
        "mlperf_tiny/ic_resnet8.h5",
        "onnx/magika.onnx",
    )
    for source in sources:
        data = (models / source).read_bytes()
        for share in (0.1, 0.9):
            path = tmp_path / f"cut{Path(source).suffix}"
            path.write_bytes(data[: int(share * len(data))])
            refused(edgekit("inspect", path), 3)


def test_truncated_keras(tmp_path: Path) -> None:
    path = tmp_path / "cut.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}" * 500)
    path.write_bytes(path.read_bytes()[:-40])
    refused(edgekit("inspect", path), 3)


def test_folders(tmp_path: Path) -> None:
    refused(edgekit("inspect", tmp_path), 3)
    (tmp_path / "saved_model.pb").write_bytes(b"junk")
    refused(edgekit("inspect", tmp_path), 3)


def test_hostile_keras(tmp_path: Path) -> None:
    path = tmp_path / "evil.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("../../evil.txt", "x")
    refused(edgekit("inspect", path), 3, "..")
    layer = '{"class_name": "Lambda", "config": {"name": "sneaky"}}'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", f'{{"class_name": "Sequential", "config": {{"layers": [{layer}]}}}}')
        archive.writestr("model.weights.h5", b"")
    refused(edgekit("inspect", path), 3, "sneaky", "--trust-model")


def test_external_data_escapes(tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    (tmp_path / "secret").write_bytes(bytes(64))
    folder = tmp_path / "model" / "deep"
    folder.mkdir(parents=True)
    weights = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 4], data_location=TensorProto.EXTERNAL)
    weights.external_data.add(key="location", value="../../secret")
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 4]) for n in "xy")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    (folder / "m.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    assert onnx is not None
    refused(edgekit("inspect", folder / "m.onnx"), 3, "../../secret")


def test_data(network: Path, tmp_path: Path) -> None:
    out = tmp_path / "build"

    def save(name: str, **arrays: np.ndarray) -> Path:
        np.savez(tmp_path / f"{name}.npz", **arrays)
        return tmp_path / f"{name}.npz"

    good = np.ones((5, 4), np.float32)
    cases = {
        "shape": (save("shape", x=np.ones((5, 7), np.float32)), "shape"),
        "dtype": (save("dtype", x=np.array(["a"] * 5)), "x"),
        "nan": (save("nan", x=np.full((5, 4), np.nan, np.float32)), "x"),
        "empty": (save("empty", x=np.ones((0, 4), np.float32)), "empty"),
        "labels": (save("labels", x=good, y=np.arange(3)), "y"),
        "classes": (save("classes", x=good, y=np.full(5, 9)), "9"),
        "nothing": (save("nothing", z=good), "x"),
        "missing": (tmp_path / "nowhere.npz", "nowhere"),
    }
    (tmp_path / "noise.npz").write_bytes(b"noise")
    cases["noise"] = (tmp_path / "noise.npz", "noise.npz")
    for path, word in cases.values():
        result = edgekit("compile", network, "-t", "host", "-r", "int8", "-d", path, "-o", out)
        refused(result, 2, word)
    refused(edgekit("compile", network, "-t", "host", "-r", "int8", "-o", out), 2, "--data")
    assert not out.exists()


def test_wrong_names(network: Path, tmp_path: Path) -> None:
    refused(edgekit("compile", network, "-t", "rpi44", "-o", tmp_path / "b"), 2, "rpi44", "did you mean 'rpi4'")
    refused(edgekit("compile", network, "-t", "rpi4", "-r", "int88", "-o", tmp_path / "b"), 2, "did you mean 'int8'")
    refused(edgekit("compile", network, "-t", "rpi4", "-b", "litrt", "-o", tmp_path / "b"), 2, "did you mean 'litert'")
    refused(edgekit("compil"), 2, "did you mean 'compile'")
    refused(edgekit("compile", network), 2, "--target")
    refused(edgekit("verify", tmp_path), 2, "not a bundle")
    refused(edgekit("compare", network), 2, "not a bundle")
    refused(edgekit("profile", network, "--target", "rpi4", "--threads", "0"), 2, "--threads")
    assert not (tmp_path / "b").exists()


def test_what_was_there_before_stays(network: Path, tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    refused(edgekit("compile", network, "-t", "host", "-d", "none.npz", "-o", tmp_path / "old" / "a" / "b"), 2, "none")
    assert list((tmp_path / "old").iterdir()) == []


def test_wrong_workers_are_told_before_the_model_is_read(tmp_path: Path) -> None:
    refused(edgekit("compile", tmp_path / "none.tflite", "-t", "host", "--workers", "0"), 2, "--workers 0")
    refused(edgekit("compile", tmp_path / "none.tflite", "-t", "host", "--workers", "a b@c"), 2, "user@host")


def test_wrong_runner(network: Path, tmp_path: Path) -> None:
    made = edgekit("compile", network, "-t", "host", "-o", tmp_path, "--json").json["bundles"][0]["path"]
    refused(edgekit("verify", made, "--on", "emulater"), 2, "did you mean 'emulator'")
    refused(edgekit("verify", made, "--on", "host:5"), 2, "--on host takes no address", "'5'")
    refused(edgekit("profile", made, "--on", "null"), 2, "measures no time")
    refused(edgekit("run", made, "--save", "/nonexistent/out.npz"), 2, "cannot write")
    refused(edgekit("profile", made, "--plot", tmp_path / "x.bmp"), 2, ".bmp")


def test_requantizing(models: Path, tmp_path: Path) -> None:
    model = models / "mlperf_tiny" / "kws_int8.tflite"
    refused(edgekit("compile", model, "-t", "host", "-r", "int8", "-d", "random", "-o", tmp_path), 3, "as-is")


def test_custom_operators(tmp_path: Path) -> None:
    from edgekit.graph import Operator
    from tests.networks.small import Builder

    b = Builder()
    x, y = b.tensor((1, 4), name="x"), b.tensor((1, 4), name="y")
    b.operators.append(Operator("SignalWindow", (x,), (y,), custom=True))
    tflite.write(b.graph((x,), (y,)), tmp_path / "custom.tflite")
    for target, backend in (("rpi4", "first"), ("rpi4", "auto"), ("mali-g610", "first")):
        result = edgekit("compile", tmp_path / "custom.tflite", "-t", target, "-b", backend, "-o", tmp_path / "b")
        refused(result, 3, "operator 0 SignalWindow", "\n       ")  # and what to do about it
    document = edgekit("inspect", tmp_path / "custom.tflite", "--json").json
    assert not any(t["ok"] for t in document["targets"])


def test_unwritable_output(network: Path, tmp_path: Path) -> None:
    refused(edgekit("compile", network, "-t", "host", "-o", "/proc/nowhere"), 2, "--out")
    (tmp_path / "file").touch()
    refused(edgekit("compile", network, "-t", "host", "-o", tmp_path / "file"), 2, "--out")
    precious = tmp_path / "b" / "net.as-is.host"
    precious.mkdir(parents=True)
    (precious / "thesis.txt").write_text("precious")
    refused(edgekit("compile", network, "-t", "host", "-o", tmp_path / "b"), 2, "not a bundle")
    assert (precious / "thesis.txt").read_text() == "precious"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"cannot mount a small file system here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_full_disk(network: Path, small_disk: Path) -> None:
    """LiteRT's library alone is larger than this disk."""
    refused(edgekit("compile", network, "-t", "host", "-o", small_disk), 2, "No space left")
    assert list(small_disk.iterdir()) == []


def test_full_temporary_disk(small_disk: Path, tmp_path: Path) -> None:
    """Enough room for the folder, not for the network."""
    model = tmp_path / "net.tflite"
    tflite.write(dense(np.random.default_rng(0).random((64, 512), np.float32), np.zeros(64, np.float32)), model)
    (small_disk / "ballast").write_bytes(bytes(960 << 10))
    result = edgekit("compile", model, "-t", "host", "-o", tmp_path / "b", env={"TMPDIR": str(small_disk)})
    refused(result, 2, "No space left")
    assert [p.name for p in small_disk.iterdir()] == ["ballast"]
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("wait", [0.4, 0.8])
def test_interrupted_half_way(tmp_path: Path, number: signal.Signals, wait: float) -> None:
    model = tmp_path / "net.tflite"
    tflite.write(convolutional(), model)
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    process = subprocess.Popen(
        [EDGEKIT, "compile", model, "-t", "rpi4", "-t", "rpi5", "-r", "int8", "-d", "random", "-o", tmp_path / "b"],
        stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env={**os.environ, "TMPDIR": str(scratch)},
        start_new_session=True,
    )  # fmt: skip
    time.sleep(wait)
    os.killpg(process.pid, number)
    _, err = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("it was done before the signal came")
    assert "Traceback" not in err
    assert process.returncode in (130, -number), err  # -number: it had not even begun
    assert list(scratch.iterdir()) == []
    assert not (tmp_path / "b").exists() or [p for p in (tmp_path / "b").iterdir() if p.name.startswith(".")] == []


@pytest.mark.emulator
def test_missing_tools(network: Path, tmp_path: Path) -> None:
    """Without qemu or the cross compiler: exit code 4 and the command that installs it."""
    made = edgekit("compile", network, "-t", "rpi4", "-o", tmp_path / "b", "--json").json["bundles"][0]["path"]
    nothing = {"PATH": str(tmp_path), "EDGEKIT_CACHE": str(tmp_path / "cache")}
    refused(edgekit("verify", made, "--on", "emulator", env=nothing), 4, "qemu", "apt-get install")
    result = edgekit("compile", network, "-t", "rpi4", "-o", tmp_path / "c", env=nothing)
    refused(result, 4, "install")
    needed("tvm", "tvm")
    refused(edgekit("compile", network, "-t", "rpi4", "-b", "auto", "-o", tmp_path / "c", env=nothing), 4, "install it")
    assert not (tmp_path / "c").exists()


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    result = edgekit("inspect", tmp_path / "missing.tflite", "--debug")
    assert result.code == 3
    assert "Traceback" in result.err


def test_json_mode_keeps_stdout_clean(tmp_path: Path) -> None:
    result = edgekit("inspect", tmp_path / "missing.tflite", "--json")
    refused(result, 3)
    assert result.out == ""


def test_closed_pipe() -> None:
    command = f"{EDGEKIT} targets | head -c 10"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
