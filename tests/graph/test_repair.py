"""Repairs keep the meaning: repaired models load, run, and give what their own arithmetic says."""

from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.graph import tflite
from edgekit.graph.check import check_quantization
from edgekit.graph.ir import Graph, Quantization, Signature, Subgraph, Tensor
from edgekit.graph.repair import repair
from edgekit.reference.litert import reference_outputs, reference_tensors
from tests.networks.small import Builder

MODELS = Path(__file__).parents[3] / "shared" / "models" / "tflite_micro"
needs_models = pytest.mark.skipif(not MODELS.is_dir(), reason="the shared models are not there")


@pytest.mark.parametrize(
    ("shape", "scales", "axis", "repaired"),
    [((8,), 8, 3, 0), ((1, 4), 1, 3, 0), ((4, 8), 8, 5, 1), ((8, 8), 8, 5, 5), ((8, 4), 8, 0, 0), ((4, 8), 8, -1, 1)],
)
def test_quantized_dimension(shape: tuple[int, ...], scales: int, axis: int, repaired: int) -> None:
    q = Quantization(np.ones(scales, np.float32), np.zeros(scales, np.int64), axis)
    graph = Graph([Subgraph("main", [Tensor("t", shape, "int8", q)], [], (), ())])
    notes = repair(graph)
    assert graph.tensors[0].quantization is not None
    assert graph.tensors[0].quantization.axis == repaired
    assert len(notes) == (axis != repaired)


@pytest.mark.parametrize("damaged", [2, 4])
def test_svdf_with_zero_points_that_do_not_fit_is_left_for_the_check(damaged: int) -> None:
    """A mutation: 45 zero points for one scale."""
    b = Builder()
    shapes = ((1, 8), (4, 8), (4, 2), (4,), (1, 8))
    inputs = []
    for place, shape in enumerate(shapes):
        dtype = "int32" if place == 3 else "int8"
        zeros = np.zeros(45 if place == damaged else 1, np.int64)
        data = np.zeros(int(np.prod(shape)), np.uint8) if place in (1, 2) else None
        inputs.append(b.tensor(shape, dtype, quantization=Quantization(np.ones(1, np.float32), zeros), data=data))
    graph = b.graph((inputs[0],), (b.add("SVDF", tuple(inputs), (1, 4), "int8", options="SVDF"),))
    assert repair(graph) == []
    with pytest.raises(ModelError, match="1 scales but 45 zero points"):
        check_quantization(graph)


def test_a_signature_of_inner_tensors_is_dropped(tmp_path: Path) -> None:
    """LiteRT's compiled models abort on one."""
    b = Builder()
    x = b.tensor((1, 8), name="x")
    y = b.add("SQUARE", (x,), (1, 8), options="Square")
    graph = b.graph((x,), (b.add("NEG", (y,), (1, 8), options="Neg"),))
    right = Signature("right", {"x": x}, {"y": graph.main.outputs[0]})
    wrong = [Signature("inner", {"x": x}, {"y": y}), Signature("turned", {"y": y}, {"y": graph.main.outputs[0]})]
    graph.signatures = [wrong[0], right, wrong[1]]
    tflite.write(graph, tmp_path / "m.tflite")
    read = tflite.read(tmp_path / "m.tflite")
    assert [s.key for s in read.signatures] == ["right"]
    assert [note.split("'")[1] for note in read.notes] == ["inner", "turned"]


@needs_models
def test_person_detect_runs_once_repaired(tmp_path: Path) -> None:
    graph = tflite.read(MODELS / "person_detect.tflite")
    assert any("quantized dimension" in note for note in graph.notes)
    tflite.write(graph, tmp_path / "m.tflite")
    (y,) = reference_outputs(tmp_path / "m.tflite", [np.zeros((1, 1, 96, 96, 1), np.int8)])
    assert y.shape == (1, 1, 2)


@needs_models
def test_svdf_with_8_bit_state_gives_what_its_arithmetic_says(tmp_path: Path) -> None:
    graph = tflite.read(MODELS / "keyword_scrambled_8bit.tflite")
    assert any("SVDF" in note for note in graph.notes)
    tflite.write(graph, tmp_path / "m.tflite")
    x = np.random.default_rng(0).integers(0, 12000, (20, 1, 96), dtype=np.int16)
    values = reference_tensors(tmp_path / "m.tflite", [x])

    original = tflite.schema().ModelT.InitFromPackedBuf((MODELS / "keyword_scrambled_8bit.tflite").read_bytes(), 0)
    op = next(op for op in graph.operators if op.op == "SVDF")
    tensors = [original.subgraphs[0].tensors[i] for i in (*op.inputs, *op.outputs)]
    scale = [float(t.quantization.scale[0]) for t in tensors]
    zero = [int(t.quantization.zeroPoint[0]) for t in tensors]
    data = [None if (raw := original.buffers[t.buffer].data) is None else np.asarray(raw, np.uint8) for t in tensors]
    assert data[1] is not None and data[2] is not None and data[3] is not None
    features = data[1].view(np.int8).reshape(64, 96).astype(np.int64)
    newest = data[2].view(np.int8).reshape(64, 8)[:, -1].astype(np.int64)  # the state before it is real zero
    bias = data[3].view(np.int32)

    signal = values[op.inputs[0]].reshape(20, 96).astype(np.int64) - zero[0]
    state = np.rint(signal @ features.T * (scale[0] * scale[1] / scale[4]))
    fits = np.abs(state + zero[4]) < 127  # where 8 bits would saturate the two forms may differ
    assert fits.mean() > 0.5
    real = state * newest * (scale[4] * scale[2]) + bias * scale[3]
    expected = np.clip(np.rint(real / scale[5]) + zero[5], -128, 127)
    off = np.abs(values[op.outputs[0]].reshape(20, 64) - expected)[fits]
    assert off.max() <= 1 and (off > 0).mean() < 0.01


def test_a_reshape_to_a_scalar_has_a_known_size(tmp_path: Path) -> None:
    """onnx2tf writes the shape as a constant of no elements, for which a flatbuffer has no data."""
    b = Builder()
    x, shape = b.tensor((1,)), b.tensor((0,), "int32")
    y = b.add("RESHAPE", (x, shape), ())
    tflite.write(b.graph((x,), (y,)), tmp_path / "scalar.tflite")
    graph = tflite.read(tmp_path / "scalar.tflite")
    assert any("empty constant" in note for note in graph.notes)
    assert graph.operators[0].inputs == (graph.main.inputs[0],)
    tflite.write(graph, tmp_path / "again.tflite")
    (result,) = reference_outputs(tmp_path / "again.tflite", [np.array([[3.5]], np.float32)])
    assert result.shape == (1,) and result[0] == 3.5
    assert not repair(graph), "once is enough"
