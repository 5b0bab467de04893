"""The hand-over to TensorRT: every operator as ONNX, run by ONNX Runtime; int8 with explicit quantization; scripts."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import edgekit
from edgekit import bundle, plugins, target
from edgekit.api.prove import prove
from edgekit.backends import unsupported
from edgekit.backends.tensorrt import BOUNDS, MODEL, SHAPES
from edgekit.errors import DeviceError, ModelError, UsageError
from edgekit.graph import Graph, tflite
from edgekit.runners import RunOptions, once, onnx_child
from edgekit.runners import get as get_runner
from tests.networks.building import RELU, Pictures, quantized
from tests.networks.chains import chains
from tests.networks.small import Builder, convolutional
from tests.ops.cases import family

BOARD = "jetson-orin-nano"


def compiled(graph: Graph, folder: Path, recipe: str = "as-is", backend: str = "tensorrt") -> bundle.Bundle:
    folder.mkdir(exist_ok=True)
    tflite.write(graph, folder / "net.tflite")
    (made,) = edgekit.compile(
        folder / "net.tflite", targets=[BOARD], recipe=recipe, backend=backend, out=folder / "out"
    )  # fmt: skip
    assert made.parity.ok and made.parity.on == "onnx"
    return bundle.load(made.path)


def loaded(found: bundle.Bundle) -> Any:
    return onnx.load(str(found.artifact / MODEL))


def test_float_chains(tmp_path: Path) -> None:
    parity = compiled(chains(), tmp_path).manifest["parity"]
    assert parity["by"] == "network" and 0 < parity["max_relative"] < 1e-5


def test_float16_is_in_the_file_and_not_at_its_ends(tmp_path: Path) -> None:
    found = compiled(family("convolutions"), tmp_path, backend="tensorrt-f16")
    assert 1e-5 < found.manifest["parity"]["max_relative"] < 2e-3
    weights = [t for t in loaded(found).graph.initializer if len(t.dims) > 1]
    assert weights and {t.data_type for t in weights} == {onnx.TensorProto.FLOAT16}
    ports = [*loaded(found).graph.input, *loaded(found).graph.output]
    assert {p.type.tensor_type.elem_type for p in ports} == {onnx.TensorProto.FLOAT}


@pytest.mark.slow
def test_int8_chains(tmp_path: Path) -> None:
    found = compiled(quantized(chains(), tmp_path / "int8"), tmp_path, "symmetric")
    parity = found.manifest["parity"]
    assert parity["max_abs_lsb"] <= 1 or parity["by"] == "operators"
    nodes = loaded(found).graph.node
    kept = {t.name: numpy_helper.to_array(t) for t in loaded(found).graph.initializer}
    rounded = [n for n in nodes if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert rounded and all(kept[n.input[2]].dtype == np.int8 and not kept[n.input[2]].any() for n in rounded)


def test_weights_stay_int8_with_a_scale_a_channel(tmp_path: Path) -> None:
    n = Pictures()
    x = n.tensor((1, 8, 8, 4))
    graph = n.graph((x,), (n.conv(n.conv(x, 8, activation=RELU), 6),))
    found = compiled(quantized(graph, tmp_path / "int8"), tmp_path, "symmetric")
    made = loaded(found).graph
    kept = {t.name: numpy_helper.to_array(t) for t in made.initializer}
    makers = {n.output[0]: n for n in made.node}
    convolutions = [n for n in made.node if n.op_type == "Conv"]
    assert len(convolutions) == 2
    for node in convolutions:
        weights = makers[node.input[1]]
        assert weights.op_type == "DequantizeLinear" and kept[weights.input[0]].dtype == np.int8
        assert kept[weights.input[1]].shape == (kept[weights.input[0]].shape[0],)
        assert makers[node.input[0]].op_type in ("Transpose", "DequantizeLinear")  # fed by rounded values


def test_pictures_are_transposed_only_where_readers_want_another_layout(tmp_path: Path) -> None:
    n = Pictures()
    x = n.tensor((1, 8, 8, 3))
    y = n.conv(x, 8, activation=RELU)
    y = n.pool("MAX_POOL_2D", n.add2("ADD", y, n.depthwise(y)), (2, 2), (2, 2), valid=True)
    graph = n.graph((x,), (n.dense(n.reshape(y, 1, 128), 4),))
    ops = [node.op_type for node in loaded(compiled(graph, tmp_path)).graph.node]
    assert ops.count("Transpose") == 2  # the input, and before the reshape


def test_zero_points_are_refused_with_the_cure(tmp_path: Path) -> None:
    graph = quantized(convolutional(), tmp_path / "int8")
    (missing,) = unsupported(plugins.get("backends", "tensorrt"), graph, target.load(BOARD))
    assert "zero point" in missing.reason and "--recipe symmetric" in missing.remedy


def test_refusals() -> None:
    models = Path(__file__).parents[3] / "shared" / "models" / "mlperf_tiny"
    backend, board = plugins.get("backends", "tensorrt"), target.load(BOARD)
    mixed = unsupported(backend, tflite.read(models / "kws_fp32.tflite"), board)
    assert mixed and "weights are integers" in mixed[0].reason
    b = Builder()
    x = b.tensor((1, 4, 4, 8), name="x")
    y = b.add("LOCAL_RESPONSE_NORMALIZATION", (x,), (1, 4, 4, 8), options="LocalResponseNormalization")
    z = b.add("RELU", (y,), (1, 4, 4, 8))
    (missing,) = unsupported(backend, b.graph((x,), (z,)), board)
    assert (missing.index, missing.operator) == (0, "LOCAL_RESPONSE_NORMALIZATION") and "ONNX" in missing.reason
    halves = unsupported(plugins.get("backends", "tensorrt-f16"), tflite.read(models / "kws_int8.tflite"), board)
    assert "cannot become float16" in halves[0].reason


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bundle.Bundle:
    folder = tmp_path_factory.mktemp("small")
    return compiled(quantized(convolutional(), folder / "int8"), folder, "symmetric")


def test_the_shapes_say_what_the_engine_takes(small: bundle.Bundle) -> None:
    about = json.loads((small.artifact / SHAPES).read_text())
    model = loaded(small)
    assert (about["precision"], about["tolerance"]) == ("int8", BOUNDS["int8"])
    for row, port in zip(about["inputs"] + about["outputs"], [*model.graph.input, *model.graph.output], strict=True):
        assert row["name"] == port.name and row["dtype"] == "float32" and row["quantization"]["zero_point"] == 0
        assert row["shape"] == [d.dim_value for d in port.type.tensor_type.shape.dim]
    assert model.opset_import[0].version == 13 and not set(":,") & set(about["inputs"][0]["name"])


def test_the_same_network_gives_the_same_bytes(small: bundle.Bundle, tmp_path: Path) -> None:
    again = compiled(quantized(convolutional(), tmp_path / "int8"), tmp_path, "symmetric")
    assert again.manifest["files"] == small.manifest["files"]


def test_damaged_files_are_refused(small: bundle.Bundle, tmp_path: Path) -> None:
    inputs, _ = small.golden()
    for name, message in ((MODEL, "refuses model.onnx"), (SHAPES, "damaged")):
        shutil.copytree(small.path, tmp_path / name)
        (tmp_path / name / "artifact" / name).write_text("{}")
        with pytest.raises(DeviceError, match=message):
            once(get_runner("onnx"), bundle.load(tmp_path / name), inputs, RunOptions())


def test_onnxs_own_reference_agrees(small: bundle.Bundle, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *small.graph.inputs[0].shape)).astype(np.float32)
    name = loaded(small).graph.input[0].name
    args = {"path": str(small.artifact / MODEL), "names": [name]}
    (told, fast), (slow_told, slow) = (
        onnx_child.run({**args, "reference": r}, {"input_0": x}, tmp_path) for r in (0, 1)
    )
    assert "Runtime" in told["runtime"] and "reference" in slow_told["runtime"]
    scale = float(small.graph.outputs[0].quantization.scale[0])  # type: ignore[union-attr]
    assert np.abs(fast["output_0"] - slow["output_0"]).max() <= 1.01 * scale


def test_a_wrong_file_is_caught(small: bundle.Bundle, tmp_path: Path) -> None:
    shutil.copytree(small.path, tmp_path / "copy")
    model = loaded(small)
    scale = next(t for t in model.graph.initializer if t.data_type == onnx.TensorProto.FLOAT and len(t.dims) == 1)
    scale.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(scale) * np.float32(1.2), scale.name))
    onnx.save(model, str(tmp_path / "copy" / "artifact" / MODEL))
    assert prove(small, get_runner("onnx")).ok
    changed = once(get_runner("onnx"), bundle.load(tmp_path / "copy"), small.golden()[0], RunOptions()).outputs[0]
    assert np.abs(changed.astype(int) - small.golden()[1][0]).max() > 1


def test_other_runners_say_where_the_engine_is_built(small: bundle.Bundle, tmp_path: Path) -> None:
    for runner in ("host", "cuda-emulator", "host-gpu"):
        with pytest.raises(DeviceError, match="built and checked on the device") as error:
            once(get_runner(runner), small, small.golden()[0], RunOptions())
        assert "--on onnx" in error.value.hint
    with pytest.raises(UsageError, match="measures no time"):
        edgekit.profile(small.path, on="onnx")
    with pytest.raises(DeviceError, match=r"no artifact/model.onnx"):
        tflite.write(convolutional(), tmp_path / "net.tflite")
        (other,) = edgekit.compile(tmp_path / "net.tflite", targets=["host"], backend="litert", out=tmp_path)
        once(get_runner("onnx"), bundle.load(other.path), [], RunOptions())


TRTEXEC = """#!{python}
import json, sys
sys.path[:] = {path!r}
import numpy as np
if "--help" in sys.argv:
    print("{flags}")
    sys.exit(0)
given = dict(a[2:].partition("=")[::2] for a in sys.argv[1:])
if "saveEngine" in given:
    open(given["saveEngine"], "w").write(open(given["onnx"], "rb").read().hex())
    open("flags.txt", "w").write(" ".join(sys.argv[1:]))
else:
    import onnxruntime as ort
    session = ort.InferenceSession(bytes.fromhex(open(given["loadEngine"]).read()))
    inputs = {{}}
    for port, one in zip(session.get_inputs(), given["loadInputs"].split(",")):
        name, file = one.rsplit(":", 1)
        assert name == port.name
        inputs[name] = np.fromfile(file, np.float32).reshape(port.shape)
    made = session.run(None, inputs)
    names = [p.name for p in session.get_outputs()]
    rows = [{{"name": n, "values": (float("{factor}") * v).reshape(-1).tolist()}} for n, v in zip(names, made)]
    open(given["exportOutput"], "w").write(json.dumps(rows).replace("NaN", "-nan").replace("Infinity", "inf"))
"""


def on_the_board(found: bundle.Bundle, folder: Path, flags: str, factor: float = 1.0) -> tuple[str, Any]:
    """Run the scripts of a bundle with a program in trtexec's place that computes with ONNX Runtime.

    TensorRT itself is not installed. Returns the flags of the build, and how ``check.py`` ended.
    """
    shutil.copytree(found.path, folder / "bundle")
    program = folder / "bin" / "trtexec"
    program.parent.mkdir()
    program.write_text(TRTEXEC.format(python=sys.executable, path=sys.path, flags=flags, factor=factor))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    environment = {"PATH": f"{program.parent}:{os.environ['PATH']}"}
    artifact = folder / "bundle" / "artifact"
    subprocess.run(["sh", artifact / "build.sh"], check=True, env=environment, capture_output=True)
    done = subprocess.run(
        [sys.executable, artifact / "check.py"], env=environment, capture_output=True, text=True, check=False
    )
    return (artifact / "flags.txt").read_text(), done


@pytest.mark.parametrize(
    ("flags", "wanted"), [("--fp16 --int8", "--int8"), ("--fp16 --int8 --stronglyTyped", "--stronglyTyped"), ("", "")]
)
def test_the_scripts_for_the_device(small: bundle.Bundle, tmp_path: Path, flags: str, wanted: str) -> None:
    """TensorRT 8, 10 and 11 have different flags."""
    given, done = on_the_board(small, tmp_path, flags)
    assert given.split() == ["--onnx=model.onnx", "--saveEngine=model.engine", *wanted.split()]
    assert done.returncode == 0 and done.stdout.startswith("check.py: outputs within") and ": ok" in done.stdout


def test_the_check_on_the_device_can_fail(small: bundle.Bundle, tmp_path: Path) -> None:
    _, done = on_the_board(small, tmp_path, "", factor=1.1)
    assert done.returncode == 5 and "NOT ok" in done.stdout


@pytest.mark.parametrize("factor", [float("nan"), float("inf")])
def test_the_check_on_the_device_sees_what_is_not_finite(small: bundle.Bundle, tmp_path: Path, factor: float) -> None:
    """Such values are written by trtexec as C++ does."""
    _, done = on_the_board(small, tmp_path, "", factor=factor)
    assert done.returncode == 5 and "is not finite: NOT ok" in done.stdout, done.stdout + done.stderr


def test_without_an_engine_the_check_names_the_script(small: bundle.Bundle) -> None:
    done = subprocess.run(
        [sys.executable, "artifact/check.py"], cwd=small.path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4 and done.stdout.endswith("is missing: sh artifact/build.sh\n")


def test_without_tensorrt_the_script_says_so(small: bundle.Bundle, tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", small.artifact / "build.sh"], env={"PATH": "/usr/bin:/bin"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 4 and done.stderr.count("\n") == 1 and "apt-get install tensorrt" in done.stderr
    with pytest.raises(ModelError):
        compiled(quantized(convolutional(), tmp_path / "int8"), tmp_path)
