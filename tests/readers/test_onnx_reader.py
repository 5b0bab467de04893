"""ONNX: the Graph computes what ONNX Runtime computes, in the model's own layout."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_models
import pytest
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import ModelError, ToolMissing
from edgekit.graph import Graph, tflite
from edgekit.readers import ReadOptions, onnx2tf
from edgekit.readers.onnx import OnnxReader, read_all
from edgekit.reference.litert import reference_outputs
from tests.onnx_nodes import cases


@pytest.fixture(scope="session", autouse=True)
def _converter() -> None:
    try:
        onnx2tf.ensure_onnx2tf()
    except ToolMissing as error:
        pytest.skip(error.message)


def assert_agrees(graph: Graph, path: Path, folder: Path, inputs: dict[str, NDArray[Any]]) -> None:
    """Compare with ONNX Runtime on inputs of our own, in the order of the ONNX model's outputs."""
    runtime = pytest.importorskip("onnxruntime")
    expected = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, inputs)
    tflite.write(graph, folder / "read.tflite")
    assert [t.name for t in graph.inputs] == list(inputs)
    found = reference_outputs(folder / "read.tflite", [x[None] for x in inputs.values()])
    for output, wanted in zip(found, expected, strict=True):
        assert output[0].shape == wanted.shape
        assert np.ptp(wanted) > 1e-3, "the test would prove nothing"
        np.testing.assert_allclose(output[0], wanted, rtol=1e-4, atol=1e-5)


def noise(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(9).normal(size=shape).astype(np.float32)


def test_a_classifier_with_a_dynamic_batch(tmp_path: Path) -> None:
    path = onnx_models.residual(tmp_path / "residual.onnx")
    before = path.read_bytes()
    graph = OnnxReader().read(path, ReadOptions())
    assert path.read_bytes() == before, "onnx2tf rewrites its input: it must get a copy"
    assert [t.shape for t in graph.inputs] == [(1, 3, 16, 20)]
    assert [(t.name, t.shape) for t in graph.outputs] == [("label", (1, 5))]
    assert "SHAPE" not in {o.op for o in graph.operators}, "shapes must be fixed before conversion"
    assert any("batch was set to 1" in note for note in graph.notes)
    assert any("NCHW" in note for note in graph.notes)
    assert any("agrees with ONNX Runtime" in note for note in graph.notes)
    assert [s.key for s in graph.signatures] == ["serving_default"]
    assert_agrees(graph, path, tmp_path, {"image": noise(1, 3, 16, 20)})


def test_an_image_that_comes_out_keeps_its_layout(tmp_path: Path) -> None:
    path = onnx_models.segmenter(tmp_path / "segmenter.onnx")
    assert_agrees(OnnxReader().read(path, ReadOptions()), path, tmp_path, {"image": noise(1, 8, 8, 8)})


def test_several_inputs_and_outputs_keep_names_and_order(tmp_path: Path) -> None:
    path = onnx_models.two(tmp_path / "two.onnx")
    graph = OnnxReader().read(path, ReadOptions())
    assert [t.name for t in graph.outputs] == ["gate", "sum"]
    assert_agrees(graph, path, tmp_path, {"a": noise(1, 6), "b": noise(1, 4)})


def test_weights_in_a_file_beside_the_model(tmp_path: Path) -> None:
    path = onnx_models.external(tmp_path / "split.onnx", "weights/data.bin")
    (tmp_path / "weights").mkdir()
    noise(4, 4).tofile(tmp_path / "weights" / "data.bin")
    assert_agrees(OnnxReader().read(path, ReadOptions()), path, tmp_path, {"x": noise(1, 4)})


def test_magika(models: Path, tmp_path: Path) -> None:
    path = models / "onnx" / "magika.onnx"
    graph = OnnxReader().read(path, ReadOptions())
    text = np.frombuffer((b"#include <stdio.h>\nint main(void) { return 0; }\n" * 60)[:2048], np.uint8)
    assert_agrees(graph, path, tmp_path, {"bytes": text.astype(np.int32)[None]})


def test_an_operator_without_a_tflite_form_is_named(tmp_path: Path) -> None:
    nodes = [onnx_models.node("Unique", ["x"], ["y"], sorted=1)]
    inputs, outputs = [onnx_models.value("x", [6])], [onnx_models.value("y", ["n"])]
    path = onnx_models.save(tmp_path / "unique.onnx", nodes, inputs, outputs, [])
    with pytest.raises(ModelError, match="TFLite does not have: Unique"):
        OnnxReader().read(path, ReadOptions())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (["N", 3, "height", 8], r"dimension 2 \('height'\) of input 'x' is not fixed"),
        ([1 << 20, 1 << 20], "'x' is too large"),
    ],
)
def test_shapes_that_are_refused(tmp_path: Path, shape: list[int | str], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        OnnxReader().read(onnx_models.relu(tmp_path / "x.onnx", shape), ReadOptions())


def test_other_refusals(tmp_path: Path) -> None:
    options = ReadOptions()
    with pytest.raises(ModelError, match="operator set 99; this edgekit reads up to"):
        OnnxReader().read(onnx_models.relu(tmp_path / "new.onnx", [1, 4], opset=99), options)
    foreign = [onnx_models.node("FusedThing", ["x"], ["y"], domain="com.acme")]
    ends = [onnx_models.value("x", [1, 4])], [onnx_models.value("y", [1, 4])]
    path = onnx_models.save(tmp_path / "foreign.onnx", foreign, *ends, [], domains=("com.acme",))
    with pytest.raises(ModelError, match=r"'FusedThing' of 'com.acme'"):
        OnnxReader().read(path, options)
    path = onnx_models.save(tmp_path / "unknown.onnx", [onnx_models.node("Reluu", ["x"], ["y"])], *ends, [])
    with pytest.raises(ModelError, match="Reluu"):
        OnnxReader().read(path, options)
    path = onnx_models.save(tmp_path / "unsorted.onnx", [onnx_models.node("Relu", ["z"], ["y"])], *ends, [])
    with pytest.raises(ModelError, match="not a valid ONNX model"):
        OnnxReader().read(path, options)


def test_the_ends_keep_the_models_types(tmp_path: Path) -> None:
    """The converter computes int64 in int32 and float16 in float32: a cast at the end mends that."""
    kinds = onnx.TensorProto
    nodes = [onnx_models.node("ArgMax", ["x"], ["best"], axis=1, keepdims=0)]
    nodes += [onnx_models.node("Cast", ["x"], ["half"], to=kinds.FLOAT16)]
    outputs = [onnx_models.value("best", [1], kinds.INT64), onnx_models.value("half", [1, 5], kinds.FLOAT16)]
    path = onnx_models.save(tmp_path / "types.onnx", nodes, [onnx_models.value("x", [1, 5])], outputs, [])
    graph = OnnxReader().read(path, ReadOptions())
    assert [t.dtype for t in graph.outputs] == ["int64", "float16"]
    assert any("output 'half' of Cast is float16 and computed in float32" in note for note in graph.notes)
    tflite.write(graph, tmp_path / "types.tflite")
    best, half = reference_outputs(tmp_path / "types.tflite", [noise(1, 1, 5)])
    assert best.tolist() == [[int(noise(1, 5).argmax())]]
    np.testing.assert_array_equal(half[0], noise(1, 5).astype(np.float16))


def test_int64_arithmetic_is_not_done_in_fewer_bits(tmp_path: Path) -> None:
    kind = onnx.TensorProto.INT64
    ends = [onnx_models.value(name, [4], kind) for name in "abc"]
    path = onnx_models.save(tmp_path / "max.onnx", [onnx_models.node("Max", ["a", "b"], ["c"])], ends[:2], ends[2:], [])
    assert {operator.op for operator in OnnxReader().read(path, ReadOptions()).operators} == {"ONNX_Max"}


def test_the_converter_is_held_against_the_model_and_not_against_what_it_rewrote(tmp_path: Path) -> None:
    """onnx2tf's rewriting changes what this computes, and ONNX Runtime agrees with what was rewritten."""
    case = cases.by_name()["test_group_normalization_example_expanded"]
    assert case.inputs is not None and case.outputs is not None
    path = tmp_path / "norm.onnx"
    onnx.save(case.model, str(path))
    graph = OnnxReader().read(path, ReadOptions())
    tflite.write(graph, tmp_path / "norm.tflite")
    found = reference_outputs(tmp_path / "norm.tflite", [x[None] for x in case.inputs])
    np.testing.assert_allclose(found[0][0], case.outputs[0], rtol=1e-4, atol=1e-5)


def test_scores_of_almost_nothing_do_not_count_as_a_wrong_conversion(tmp_path: Path) -> None:
    graph = OnnxReader().read(onnx_models.scores(tmp_path / "scores.onnx"), ReadOptions())
    assert not any(operator.op.startswith("ONNX_") for operator in graph.operators)


@pytest.mark.parametrize(
    ("operator", "message"),
    [("RandomNormalLike", "RandomNormalLike, which draws random numbers"), ("Abs", "'x' of Abs holds bfloat16 values")],
)
def test_refusals_name_the_operator(tmp_path: Path, operator: str, message: str) -> None:
    kind = onnx.TensorProto.BFLOAT16 if operator == "Abs" else onnx.TensorProto.FLOAT
    ends = [onnx_models.value("x", [4], kind)], [onnx_models.value("y", [4], kind)]
    path = onnx_models.save(tmp_path / "x.onnx", [onnx_models.node(operator, ["x"], ["y"])], *ends, [])
    with pytest.raises(ModelError, match=message):
        OnnxReader().read(path, ReadOptions())


def test_a_size_of_zero_is_refused(tmp_path: Path) -> None:
    path = onnx_models.relu(tmp_path / "x.onnx", [0, 4])
    with pytest.raises(ModelError, match="input 'x' of Relu holds nothing"):
        OnnxReader().read(path, ReadOptions())
    assert OnnxReader().read(path, ReadOptions(shapes={"x": (2, 4)})).inputs[0].shape == (2, 4)


def test_a_slow_conversion_is_stopped_and_the_others_go_on(tmp_path: Path) -> None:
    count = 30_000
    chain = [onnx_models.node("Sin", [f"t{i}"], [f"t{i + 1}"]) for i in range(count)]
    ends = [onnx_models.value("t0", [1, 4])], [onnx_models.value(f"t{count}", [1, 4])]
    slow = onnx_models.save(tmp_path / "slow.onnx", chain, *ends, []).read_bytes()
    quick = onnx_models.relu(tmp_path / "quick.onnx", [1, 4]).read_bytes()
    end = {"dtype": "float32", "shape": [1, 4]}
    jobs = [
        onnx2tf.Job(slow, [{"name": "t0", **end}], [{"name": f"t{count}", **end}], "slow.onnx"),
        onnx2tf.Job(quick, [{"name": "x", **end}], [{"name": "y", **end}], "quick.onnx"),
    ]
    stopped, converted = onnx2tf.convert(jobs, sandbox.Limits(seconds=5, memory_mb=4096))
    assert isinstance(stopped, ModelError) and "slow.onnx cannot be converted: onnx2tf ran past 5 s" in stopped.message
    assert isinstance(converted, onnx2tf.Converted) and len(converted.samples) == 4


def test_many_are_read_at_once(tmp_path: Path) -> None:
    quick = onnx_models.relu(tmp_path / "quick.onnx", [1, 4])
    first, missing, second = read_all([quick, tmp_path / "none.onnx", quick], ReadOptions())
    assert isinstance(missing, ModelError)
    assert isinstance(first, Graph) and isinstance(second, Graph)
    assert tflite.dumps(first) == tflite.dumps(second)


def test_without_the_converter_onnx_operators_are_kept_and_a_warning_says_how_to_get_it(tmp_path: Path) -> None:
    path = onnx_models.relu(tmp_path / "x.onnx", [1, 4])
    code = (
        "import sys; from pathlib import Path; from edgekit.readers import ReadOptions\n"
        "from edgekit.readers.onnx import OnnxReader; from edgekit.progress import Silent\n"
        "class Warned(Silent):\n"
        "    def warn(self, text): print(text)\n"
        "graph = OnnxReader().read(Path(sys.argv[1]), ReadOptions(progress=Warned()))\n"
        "print([o.op for o in graph.operators])\n"
    )
    offline = {
        "XDG_CACHE_HOME": str(tmp_path / "u"),
        "ALL_PROXY": "http://127.0.0.1:9",
    }  # uv's own switches are ignored
    env = {**os.environ, "EDGEKIT_CACHE": str(tmp_path / "c"), **offline}
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=env)
    assert "onnx2tf==2.6.9, which converts ONNX models, could not be installed" in done.stdout, done.stderr
    assert "edgekit doctor --install onnx" in done.stdout
    assert "['ONNX_Relu']" in done.stdout


def test_mutations_never_raise_anything_else(tmp_path: Path) -> None:
    """Damage in the structure; nearly all ends in the checks before the converter."""
    source = onnx_models.residual(tmp_path / "source.onnx").read_bytes()
    random = np.random.default_rng(4)
    path, refused = tmp_path / "mutated.onnx", 0
    model = onnx.load_from_string(source)
    structure = len(source) - sum(len(t.raw_data) for t in model.graph.initializer)
    assert structure > 500
    for _ in range(40):
        data = bytearray(source)
        at = int(random.integers(0, len(data) - 8))
        del data[at : at + int(random.integers(1, 5))]
        path.write_bytes(data)
        try:
            OnnxReader().read(path, ReadOptions())
        except ModelError as error:
            assert "\n" not in error.message
            refused += 1
    assert refused >= 35
