"""Bad and hostile files of every foreign format: one line, exit code 3, at once, and nothing left behind.

None of these starts TensorFlow or the ONNX converter.
"""

from __future__ import annotations

import importlib.util
import io
import json
import os
import stat
import struct
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx_models
import pytest

from edgekit.errors import ModelError
from edgekit.readers import ReadOptions, files, keras_config
from edgekit.readers.keras import H5Reader, KerasReader, SavedModelReader
from edgekit.readers.onnx import OnnxReader
from edgekit.readers.protobuf import Wire
from tests.readers.wire import field

DENSE = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "d", "units": 1}, "registered_name": None}


def model(*layers: Any, **extra: Any) -> dict[str, Any]:
    return {"module": "keras", "class_name": "Sequential", "config": {"name": "s", "layers": list(layers)}, **extra}


def archive(path: Path, config: Any = None, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as zipped:
        zipped.writestr("config.json", config if isinstance(config, (str, bytes)) else json.dumps(config or model()))
        zipped.writestr("model.weights.h5", b"\x89HDF\r\n\x1a\n")
        for name, data in members.items():
            zipped.writestr(name, data)
    return path


@pytest.fixture(autouse=True)
def _own_temporary_folder(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path_factory.mktemp("temporary")))


def refused(reader: Any, path: Path, *, trust: bool = False) -> ModelError:
    """Read ``path``, which must fail cleanly and not hang; return the error."""
    beside = set(path.parent.rglob("*"))
    start = time.monotonic()
    with pytest.raises(ModelError) as caught:
        reader.read(path, ReadOptions(trust=trust))
    assert time.monotonic() - start < 60  # a worker of the tests may have to import its modules first
    assert caught.value.exit_code == 3
    assert "\n" not in caught.value.message + caught.value.hint
    assert set(path.parent.rglob("*")) == beside
    assert not os.listdir(tempfile.gettempdir())
    return caught.value


FORMATS = [(KerasReader(), ".keras"), (H5Reader(), ".h5"), (OnnxReader(), ".onnx")]


@pytest.mark.parametrize(("reader", "ending"), FORMATS)
class TestEveryFormat:
    def test_missing(self, reader: Any, ending: str, tmp_path: Path) -> None:
        assert "does not exist" in refused(reader, tmp_path / f"no{ending}").message

    @pytest.mark.parametrize("data", [b"", b"\0", b"PK", b"\x89HDF\r\n\x1a\n", b"hello" * 99, os.urandom(5000)])
    def test_not_a_model(self, reader: Any, ending: str, tmp_path: Path, data: bytes) -> None:
        path = tmp_path / f"bad{ending}"
        path.write_bytes(data)
        refused(reader, path)

    def test_folder_and_pipe(self, reader: Any, ending: str, tmp_path: Path) -> None:
        (tmp_path / f"folder{ending}").mkdir()
        refused(reader, tmp_path / f"folder{ending}")
        os.mkfifo(tmp_path / f"pipe{ending}")
        assert "is not a file" in refused(reader, tmp_path / f"pipe{ending}").message

    def test_matches_never_raises(self, reader: Any, ending: str, tmp_path: Path) -> None:
        assert reader.matches(tmp_path / f"no{ending}")
        assert not reader.matches(tmp_path / "no.tflite")
        assert not reader.matches(Path("/proc/1/mem/none"))


def test_truncated(tmp_path: Path) -> None:
    zipped = archive(tmp_path / "whole.keras").read_bytes()
    (tmp_path / "cut.keras").write_bytes(zipped[: len(zipped) // 2])
    assert "not a complete zip" in refused(KerasReader(), tmp_path / "cut.keras").message
    network = onnx_models.residual(tmp_path / "whole.onnx").read_bytes()
    for size in (20, len(network) // 2, len(network) - 1):
        (tmp_path / "cut.onnx").write_bytes(network[:size])
        assert "damaged" in refused(OnnxReader(), tmp_path / "cut.onnx").message


def test_hdf5_that_is_cut_short(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    for version in ("earliest", "latest"):
        path = tmp_path / f"{version}.h5"
        with h5py.File(path, "w", libver=version) as file:
            file["weights"] = list(range(1000))
        files.check_hdf5(path)
        path.write_bytes(path.read_bytes()[:-100])
        assert "is cut short" in refused(H5Reader(), path).message


@pytest.mark.parametrize("name", ["../escape", "a/../../b", "/etc/passwd", "..\\windows", "C:\\x"])
def test_zip_members_that_lead_outside(tmp_path: Path, name: str) -> None:
    path = archive(tmp_path / "evil.keras", None, **{name: b"x"})
    assert "outside its folder" in refused(KerasReader(), path).message


def test_zip_with_a_link(tmp_path: Path) -> None:
    path = archive(tmp_path / "link.keras")
    link = zipfile.ZipInfo("assets/link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "a") as zipped:
        zipped.writestr(link, "/etc/passwd")
    assert "link" in refused(KerasReader(), path).message


def test_zip_bombs(tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("config.json", "{}")
        with zipped.open("model.weights.h5", "w") as member:
            for _ in range(100):
                member.write(bytes(1 << 20))
    assert "zip bomb" in refused(KerasReader(), path).message
    # A header that lies about the size: what is read is bounded all the same.
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("config.json", bytes(2_000_000))
        zipped.writestr("model.weights.h5", "")
    data = bytearray(buffer.getvalue())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"PK\x01\x02"))
    data[entry + 24 : entry + 28] = struct.pack("<I", 10)
    (tmp_path / "liar.keras").write_bytes(data)
    refused(KerasReader(), tmp_path / "liar.keras")


def test_deep_json(tmp_path: Path) -> None:
    path = archive(tmp_path / "deep.keras", "[" * 1_000_000)
    assert "nested too deeply" in refused(KerasReader(), path).message
    nested: Any = DENSE
    for _ in range(150):
        nested = model(nested)
    path = archive(tmp_path / "nested.keras", nested)
    assert "levels deep" in refused(KerasReader(), path).message


@pytest.mark.parametrize("config", ["", "{", "[]", "null", '{"config": 3}', "\ud800".encode("utf-8", "surrogatepass")])
def test_configurations_that_are_none(tmp_path: Path, config: str) -> None:
    refused(KerasReader(), archive(tmp_path / "bad.keras", config))


LAMBDA = {"module": "keras.layers", "class_name": "Lambda", "config": {"name": "sly", "function": {}}}
HIDDEN = {"module": "keras.layers", "class_name": "Dense", "config": {"name": "sly", "activation": {
    "class_name": "__lambda__", "config": {"value": "..."}}}}  # fmt: skip


@pytest.mark.parametrize("layer", [LAMBDA, HIDDEN, model(model(LAMBDA))])
def test_lambda_is_refused_by_name(tmp_path: Path, layer: Any) -> None:
    error = refused(KerasReader(), archive(tmp_path / "lambda.keras", model(DENSE, layer)))
    assert "layer 'sly' is a Lambda" in error.message
    assert "--trust-model" in error.hint
    keras_config.check(model(DENSE, layer), "x", trust=True)


@pytest.mark.parametrize(
    "fields",
    [
        {"module": "os", "class_name": "system"},
        {"module": "mine.layers", "class_name": "Thing"},
        {"module": None, "class_name": "Thing", "registered_name": "mine>Thing"},
        {"module": None, "class_name": "Thing", "registered_name": "Thing"},
        {"class_name": "mine>Thing"},
    ],
)
def test_custom_code_is_refused_even_when_trusted(tmp_path: Path, fields: dict[str, Any]) -> None:
    path = archive(tmp_path / "custom.keras", model(DENSE, {"config": {"name": "own"}, **fields}))
    for trust in (False, True):
        error = refused(KerasReader(), path, trust=trust)
        assert "layer 'own' is of the custom class" in error.message
        assert "SavedModel" in error.hint


def test_a_custom_loss_is_no_reason_to_refuse() -> None:
    loss = {
        "loss": {"module": "mine", "class_name": "function", "config": "my_loss", "registered_name": "mine>my_loss"}
    }
    keras_config.check(model(DENSE, compile_config=loss), "x", trust=False)


def test_h5_with_a_lambda_or_data_elsewhere(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    if importlib.util.find_spec("tensorflow") is None:
        pytest.skip("TensorFlow is not installed")
    path = tmp_path / "lambda.h5"
    with h5py.File(path, "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": {"layers": [LAMBDA]}})
    assert "'sly' is a Lambda" in refused(H5Reader(), path).message
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["weights"] = [1.0]
    assert "no model_config" in refused(H5Reader(), tmp_path / "bare.h5").message
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["weights"] = h5py.ExternalLink("/etc/passwd", "/")
    assert "link into another file" in refused(H5Reader(), tmp_path / "link.h5").message
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file.create_dataset("w", (10,), "u1", external=[("/etc/passwd", 0, 10)])
    assert "in another file" in refused(H5Reader(), tmp_path / "raw.h5").message


def test_keras_and_h5_are_not_mixed_up(tmp_path: Path) -> None:
    archive(tmp_path / "renamed.h5")
    assert "name it .keras" in refused(H5Reader(), tmp_path / "renamed.h5").hint


@pytest.mark.parametrize("location", ["../../secret", "/etc/passwd", "a/../../b", "", "sub/../../x", "link/data"])
def test_external_data_outside_the_folder(tmp_path: Path, location: str) -> None:
    folder = tmp_path / "model" / "inner"
    folder.mkdir(parents=True)
    (tmp_path / "secret").write_bytes(bytes(64))
    (tmp_path / "data").write_bytes(bytes(64))
    (folder / "link").symlink_to(tmp_path)
    error = refused(OnnxReader(), onnx_models.external(folder / "evil.onnx", location))
    assert "outside its own folder" in error.message
    assert repr(location) in error.message


def test_external_data_missing_or_short(tmp_path: Path) -> None:
    path = onnx_models.external(tmp_path / "split.onnx", "data.bin")
    assert "does not exist" in refused(OnnxReader(), path).message
    (tmp_path / "data.bin").write_bytes(bytes(63))
    assert "shorter" in refused(OnnxReader(), path).message


def test_onnx_bounds(tmp_path: Path) -> None:
    huge = onnx_models.weight("w", 1)
    huge.ClearField("raw_data")
    huge.dims[:] = [1 << 20, 1 << 20]
    ends = [onnx_models.value("x", [1])], [onnx_models.value("y", [1])]
    path = onnx_models.save(tmp_path / "huge.onnx", [onnx_models.node("Add", ["x", "w"], ["y"])], *ends, [huge])
    assert "too large" in refused(OnnxReader(), path).message
    graph = field(1, b"")
    for _ in range(40):
        graph = field(1, field(5, field(6, graph)))
    (tmp_path / "deep.onnx").write_bytes(b"\x08\x08" + field(7, graph))
    assert "levels deep" in refused(OnnxReader(), tmp_path / "deep.onnx").message
    (tmp_path / "wide.onnx").write_bytes(b"\x08\x08" + field(7, field(1, b"") * 200_001))
    assert "nodes" in refused(OnnxReader(), tmp_path / "wide.onnx").message


def saved(
    folder: Path, *operators: str, signatures: tuple[str, ...] = ("serving_default",), function: bool = False
) -> Path:
    nodes = [field(2, operator.encode()) for operator in operators]
    body = b"".join(field(3 if function else 1, node) for node in nodes)
    graph = field(2, field(1, field(1, field(1, b"inner")) + body)) if function else body
    entries = b"".join(field(5, field(1, name.encode()) + field(2, b"")) for name in signatures)
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"\x08\x01" + field(2, field(2, graph) + entries))
    return folder


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda f: saved(f, "EagerPyFunc"), "calls back into Python with EagerPyFunc"),
        (lambda f: saved(f, "AddV2", "PyFunc", function=True), "PyFunc (in function inner)"),
        (lambda f: saved(f, "ReadFile"), "ReadFile, which is not among those"),
        (lambda f: saved(f, "TFRecordDatasetV2", function=True), "TFRecordDatasetV2 (in function inner)"),
        (lambda f: saved(f, "AddV2", signatures=("b", "a")), "several others: a, b"),
        (lambda f: saved(f, "AddV2", signatures=()), "no signature to call"),
        (lambda f: f.mkdir() or f, "without saved_model.pb"),
    ],
)
def test_saved_models(tmp_path: Path, make: Callable[[Path], Path], message: str) -> None:
    assert message in refused(SavedModelReader(), make(tmp_path / "model")).message


def test_a_bundle_is_told_from_a_saved_model(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    found = refused(SavedModelReader(), tmp_path)
    assert "is a bundle" in found.message and str(tmp_path / "model.tflite") in found.hint


def test_saved_model_damaged_or_with_links(tmp_path: Path) -> None:
    folder = saved(tmp_path / "model", "AddV2")
    (folder / "variables").symlink_to("/etc")
    assert "leads out of it" in refused(SavedModelReader(), folder).message
    (folder / "variables").unlink()
    whole = (folder / "saved_model.pb").read_bytes()
    (folder / "saved_model.pb").write_bytes(whole[:-1])
    assert "damaged" in refused(SavedModelReader(), folder).message
    (folder / "saved_model.pb").write_bytes(b"")
    assert "is empty" in refused(SavedModelReader(), folder).message


def test_wire_reads_what_protobuf_writes() -> None:
    data = memoryview(b"\x08\x96\x01" + field(2, b"text") + b"\x25\0\0\0\0" + b"\x29" + bytes(8))
    wire = Wire("x")
    assert [(n, v if isinstance(v, int) else bytes(v)) for n, v in wire.fields(data)] == [
        (1, 150), (2, b"text"), (4, bytes(4)), (5, bytes(8)),
    ]  # fmt: skip
    for bad in (b"\x08", b"\x0a\x05abc", b"\x0b", b"\x00\x01", b"\x08" + b"\xff" * 11):
        with pytest.raises(ModelError, match="damaged"):
            list(Wire("x").fields(memoryview(bad)))


@pytest.mark.parametrize("ending", [".keras", ".h5", ".onnx"])
def test_on_the_command_line(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"bad{ending}"
    path.write_bytes(os.urandom(3000))
    argv = [sys.executable, "-m", "edgekit.cli", "inspect", str(path)]
    if not (Path(files.__file__).parents[1] / "cli" / "__main__.py").is_file():
        argv[1:3] = ["-c", "from edgekit.cli import main; main()"]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode == 3
    assert done.stderr.startswith("error: ")
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 2
