"""--shape: what is read of it, what is refused, and that a network at another size computes what it computed before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx_models
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import EdgekitError, ModelError, UsageError
from edgekit.graph import Graph, Subgraph, Tensor, tflite
from edgekit.graph.stats import statistics
from edgekit.readers import ReadOptions, load, shapes
from edgekit.readers.shapes import Declared, parse, settle
from edgekit.reference.litert import reference_outputs
from tests.networks.small import Builder

SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=5).map(tuple)


def read(path: Path, *texts: str) -> Graph:
    return load(path, options=ReadOptions(shapes=parse(texts)))


@given(SIZES, st.text(min_size=1, max_size=20).filter(lambda name: name == name.strip()))
def test_what_is_written_is_read(shape: tuple[int, ...], name: str) -> None:
    assert parse([shapes.text(shape)]) == {"": shape}
    assert parse([f"{name}={shapes.text(shape)}"]) == {name: shape}


@given(st.text(max_size=12))
def test_any_text_is_a_shape_or_a_usage_error(text: str) -> None:
    try:
        found = parse([text])
    except UsageError as error:
        assert "\n" not in error.message
    else:
        assert all(size > 0 for shape in found.values() for size in shape)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["1x3xx4"], "is not a shape"),
        (["1,3,4"], "is not a shape"),
        (["-1x3"], "is not a shape"),
        (["x=1x?x3"], "is not a shape"),
        (["=1x3"], "is not a shape"),
        ([""], "is not a shape"),
        (["1x0x3"], "has a size of 0"),
        (["99999x99999"], "is too large"),
        (["x".join("1" * 17)], "is too large"),
        (["a=1x2", "a=1x3"], "gives a twice"),
    ],
)
def test_texts_that_are_refused(texts: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(texts)


@given(SIZES, st.data())
def test_what_fits_is_taken_and_the_rest_is_named(shape: tuple[int, ...], data: st.DataObject) -> None:
    """Any part of a shape may be open: what is given fills it, and without it the first open size is named."""
    hidden = data.draw(st.lists(st.booleans(), min_size=len(shape), max_size=len(shape)))
    declared = Declared("x", [None if gone else size for size, gone in zip(shape, hidden, strict=True)])
    assert settle([declared], {"x": shape}, "m").shapes == [shape]
    open_sizes = [axis for axis, gone in enumerate(hidden) if gone and axis > 0]
    if open_sizes:
        with pytest.raises(ModelError, match=f"dimension {open_sizes[0]} of input 'x' is not fixed") as caught:
            settle([declared], {}, "m")
        assert "--shape" in caught.value.hint and "?" in caught.value.hint
    else:
        assert settle([declared], {}, "m").shapes == [(1 if hidden[0] else shape[0], *shape[1:])]
    wrong = data.draw(st.integers(0, len(shape) - 1))
    if not hidden[wrong]:
        other = tuple(size + (axis == wrong) for axis, size in enumerate(shape))
        with pytest.raises(UsageError, match=f"dimension {wrong} .* is {shape[wrong]}, not {shape[wrong] + 1}"):
            settle([declared], {"x": other}, "m")


def test_a_size_with_a_name_is_the_same_everywhere() -> None:
    inputs = [Declared("a", ["n", "len", 3]), Declared("b", ["n", "len"]), Declared("c", ["n"])]
    settled = settle(inputs, {"a": (2, 7, 3)}, "m")
    assert settled.shapes == [(2, 7, 3), (2, 7), (2,)]
    assert settle(inputs[2:], {}, "m").notes == ["the dynamic batch was set to 1"]
    with pytest.raises(UsageError, match="dimension 1 of input 'b' of m is 7, not 8"):
        settle(inputs, {"a": (2, 7, 3), "b": (2, 8)}, "m")


@pytest.mark.parametrize(
    ("wanted", "message", "hint"),
    [
        ({"": (1, 2)}, "m has 2 inputs: 'left', 'right'", "write --shape NAME=SIZES"),
        ({"lefft": (1, 2)}, "has no input 'lefft'", "did you mean 'left'"),
        ({"left": (1, 2, 3)}, "has 3 dimensions, input 'left' of m has 2", "--shape 1x?"),
        ({"left": (1, 4), "first": (1, 5)}, "gives input 'left' twice", "once"),
    ],
)
def test_what_does_not_fit_the_inputs(wanted: dict[str, tuple[int, ...]], message: str, hint: str) -> None:
    inputs = [Declared("left", [None, None], also=("first",)), Declared("right", [1, 3])]
    with pytest.raises(UsageError, match=message) as caught:
        settle(inputs, wanted, "m")
    assert hint in caught.value.hint


# TFLite


def resizable(path: Path) -> Path:
    """Pictures ``[?, ?, ?, 3]`` -> CONV 3x3/2 SAME, resized to the picture's own size, as ``[?, rows * columns, 4]``.

    The sizes are computed inside, by SHAPE, STRIDED_SLICE, MUL and PACK, as the converter writes them.
    """
    b = Builder()
    rng = np.random.default_rng(0)
    x = b.tensor((1, 1, 1, 3), name="serving_x:0", shape_signature=(-1, -1, -1, 3))
    kernel = b.constant(rng.normal(size=(4, 3, 3, 3)).astype(np.float32))
    bias = b.constant(np.zeros(4, np.float32))
    y = b.add("CONV_2D", (x, kernel, bias), (1, 1, 1, 4), options="Conv2D", strideH=2, strideW=2, padding=0)
    shape = b.add("SHAPE", (x,), (4,), "int32", options="Shape", outType=2)
    step = b.constant(np.array([1], np.int32))

    def sizes(first: int, last: int, one: bool) -> int:
        ends = [b.constant(np.array([at], np.int32)) for at in (first, last)]
        made = () if one else (last - first,)
        mask = {"shrinkAxisMask": 1} if one else {}
        return b.add("STRIDED_SLICE", (shape, *ends, step), made, "int32", options="StridedSlice", **mask)

    y = b.add("RESIZE_BILINEAR", (y, sizes(1, 3, False)), (1, 1, 1, 4), options="ResizeBilinear", halfPixelCenters=True)
    area = b.add("MUL", (sizes(1, 2, True), sizes(2, 3, True)), (), "int32", options="Mul")
    wanted = b.add(
        "PACK", (sizes(0, 1, True), area, b.constant(np.array(4, np.int32))), (3,), "int32",
        options="Pack", valuesCount=3,
    )  # fmt: skip
    y = b.add("RESHAPE", (y, wanted), (1, 1, 4), options="Reshape")
    for index in (y,):
        b.tensors[index].shape_signature = (-1, -1, 4)
    tflite.write(b.graph((x,), (y,)), path)
    return path


def plainly(path: Path, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """What LiteRT makes of the file itself, resized by its own means."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kind = OpResolverType.BUILTIN_REF
    interpreter = Interpreter(str(path), experimental_op_resolver_type=kind)
    interpreter.resize_tensor_input(interpreter.get_input_details()[0]["index"], values.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], values)
    interpreter.invoke()
    found: np.ndarray[Any, Any] = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    return found


@pytest.mark.parametrize("size", [(1, 8, 10, 3), (3, 5, 4, 3), (1, 1, 1, 3)])
def test_a_tflite_network_computes_the_same_at_any_size(tmp_path: Path, size: tuple[int, ...]) -> None:
    path = resizable(tmp_path / "m.tflite")
    before = path.read_bytes()
    graph = read(path, shapes.text(size))
    assert graph.inputs[0].shape == size
    assert graph.outputs[0].shape == (size[0], size[1] * size[2], 4)
    assert [o.op for o in graph.operators] == ["CONV_2D", "RESIZE_BILINEAR", "RESHAPE"]
    assert all(-1 not in (t.shape_signature or ()) for t in graph.tensors)
    assert graph.notes == [f"input 'serving_x:0' was set to {shapes.text(size)}"]
    tflite.write(graph, tmp_path / "read.tflite")
    values = np.random.default_rng(1).normal(size=size).astype(np.float32)
    (found,) = reference_outputs(tmp_path / "read.tflite", [values[None]])
    expected = plainly(path, values)
    assert np.ptp(expected) > 0.1
    np.testing.assert_array_equal(found[0], expected)
    assert path.read_bytes() == before


def test_a_tflite_network_of_open_sizes_is_refused_without_them(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="dimension 1 of input 'serving_x:0' is not fixed") as caught:
        read(resizable(tmp_path / "m.tflite"))
    assert "--shape 1x?x?x3" in caught.value.hint


def test_an_open_batch_of_a_tflite_network_becomes_one(tmp_path: Path) -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x", shape_signature=(-1, 4))
    tflite.write(b.graph((x,), (b.add("RELU", (x,), (1, 4)),)), tmp_path / "m.tflite")
    graph = read(tmp_path / "m.tflite")
    assert (graph.inputs[0].shape, graph.inputs[0].shape_signature) == ((1, 4), None)
    assert graph.notes == ["the dynamic batch was set to 1"]
    assert read(tmp_path / "m.tflite", "x=6x4").outputs[0].shape == (6, 4)
    with pytest.raises(UsageError, match=r"dimension 1 of input 'x' of .* is 4, not 5"):
        read(tmp_path / "m.tflite", "1x5")


def test_other_subgraphs_stay(tmp_path: Path) -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x", shape_signature=(-1, 4))
    graph = b.graph((x,), (b.add("RELU", (x,), (1, 4)),))
    more = [Subgraph(name, [Tensor("z", (n,), "float32")], [], (0,), (0,)) for n, name in ((2, "body"), (3, "other"))]
    tflite.write(Graph([graph.main, *more]), tmp_path / "m.tflite")
    found = read(tmp_path / "m.tflite").subgraphs
    assert [one.name for one in found] == [graph.main.name, "body", "other"]
    assert [one.tensors[0].shape for one in found] == [(1, 4), (2,), (3,)]
    with pytest.raises(ModelError, match="has loops or branches, whose shapes --shape cannot fix"):
        read(tmp_path / "m.tflite", "x=6x4")


def batched(b: Builder) -> tuple[int, int, int]:
    """``[?, 8, 4]`` -> RESHAPE to ``[-1, 4]``, a dense layer, and RESHAPE to ``[?, 8, 3]``, a size that is computed.

    The shapes in between are as TensorFlow's converter writes them: 1 where they are not known.

    :returns: the input, the shape that was computed, the output.
    """
    rng = np.random.default_rng(0)
    x = b.tensor((1, 8, 4), name="x", shape_signature=(-1, 8, 4))
    shape = b.add("SHAPE", (x,), (3,), "int32", options="Shape", outType=2)
    first, second, step = (b.constant(np.array([at], np.int32)) for at in (0, 1, 1))
    rows = b.add("STRIDED_SLICE", (shape, first, second, step), (), "int32", options="StridedSlice", shrinkAxisMask=1)
    y = b.add("RESHAPE", (x, b.constant(np.array([-1, 4], np.int32))), (1, 4), options="Reshape")
    weights, bias = rng.normal(size=(3, 4)).astype(np.float32), np.zeros(3, np.float32)
    y = b.add("FULLY_CONNECTED", (y, b.constant(weights), b.constant(bias)), (1, 3), options="FullyConnected")
    sizes = (rows, b.constant(np.array(8, np.int32)), b.constant(np.array(3, np.int32)))
    wanted = b.add("PACK", sizes, (3,), "int32", options="Pack", valuesCount=3)
    y = b.add("RESHAPE", (y, wanted), (1, 1, 3), options="Reshape")
    for index, operator in enumerate(b.operators):
        if operator.op in ("RESHAPE", "FULLY_CONNECTED"):
            made = b.tensors[operator.outputs[0]]
            made.shape_signature = (-1, *made.shape[1:]) if index < len(b.operators) - 1 else (-1, -1, 3)
    return x, wanted, y


def test_what_computes_the_shapes_of_an_open_batch_is_folded(tmp_path: Path) -> None:
    b = Builder()
    x, _, y = batched(b)
    tflite.write(b.graph((x,), (y,)), tmp_path / "m.tflite")
    graph = read(tmp_path / "m.tflite")
    assert [o.op for o in graph.operators] == ["RESHAPE", "FULLY_CONNECTED", "RESHAPE"]
    assert [graph.tensors[o.outputs[0]].shape for o in graph.operators] == [(8, 4), (8, 3), (1, 8, 3)]
    assert all(t.shape_signature is None for t in graph.tensors)
    assert statistics(graph).macs == 8 * 4 * 3
    assert graph.notes == ["the dynamic batch was set to 1"]
    tflite.write(graph, tmp_path / "read.tflite")
    values = np.random.default_rng(1).normal(size=(1, 8, 4)).astype(np.float32)
    (found,) = reference_outputs(tmp_path / "read.tflite", [values[None]])
    np.testing.assert_array_equal(found[0], plainly(tmp_path / "m.tflite", values))


def test_what_only_fed_a_folded_shape_goes_too(tmp_path: Path) -> None:
    """The converter asks a RESHAPE for its shape, and goes on from its input."""
    b = Builder()
    x = b.tensor((1, 4), name="x", shape_signature=(-1, 4))
    y = b.add("RELU", (x,), (1, 4))
    asked = b.add("RESHAPE", (y, b.constant(np.array([-1, 2, 2], np.int32))), (1, 2, 2), options="Reshape")
    shape = b.add("SHAPE", (asked,), (3,), "int32", options="Shape", outType=2)
    first, second, step = (b.constant(np.array([at], np.int32)) for at in (0, 1, 1))
    rows = b.add("STRIDED_SLICE", (shape, first, second, step), (), "int32", options="StridedSlice", shrinkAxisMask=1)
    wanted = b.add("PACK", (rows, b.constant(np.array(4, np.int32))), (2,), "int32", options="Pack", valuesCount=2)
    z = b.add("RESHAPE", (y, wanted), (1, 4), options="Reshape")
    unread = b.add("ABS", (x,), (1, 4))  # read by nobody in the file either: it stays as it was
    for index in (y, asked, z, unread):
        b.tensors[index].shape_signature = (-1, *b.tensors[index].shape[1:])
    tflite.write(b.graph((x,), (z,)), tmp_path / "m.tflite")
    assert [o.op for o in read(tmp_path / "m.tflite").operators] == ["RELU", "RESHAPE", "ABS"]


def test_shapes_that_depend_on_data_do_not_keep_the_others_open(tmp_path: Path) -> None:
    b = Builder()
    x, _, y = batched(b)
    positive = b.add("GREATER", (y, b.constant(np.zeros(1, np.float32))), (1, 1, 3), "bool", options="Greater")
    where = b.add("WHERE", (positive,), (1, 3), "int64", options="Where")
    b.tensors[where].shape_signature = (-1, 3)
    tflite.write(b.graph((x,), (y, where)), tmp_path / "m.tflite")
    graph = read(tmp_path / "m.tflite")
    assert [o.op for o in graph.operators] == ["RESHAPE", "FULLY_CONNECTED", "RESHAPE", "GREATER", "WHERE"]
    assert graph.outputs[0].shape == (1, 8, 3)
    assert graph.outputs[1].shape_signature == (-1, 3)


def test_a_shape_that_is_an_output_stays_computed(tmp_path: Path) -> None:
    b = Builder()
    x, shape, y = batched(b)
    tflite.write(b.graph((x,), (y, shape)), tmp_path / "m.tflite")
    graph = read(tmp_path / "m.tflite")
    assert [o.op for o in graph.operators][-1] == "RESHAPE"
    assert graph.tensors[graph.main.outputs[1]].data is None


def test_a_network_that_litert_cannot_run_is_read_as_it_is(tmp_path: Path) -> None:
    b = Builder()
    x, _, y = batched(b)
    y = b.add("NOBODY_KNOWS", (y,), (1, 8, 3))
    b.operators[-1].custom = True
    tflite.write(b.graph((x,), (y,)), tmp_path / "m.tflite")
    assert read(tmp_path / "m.tflite").operators[0].op == "SHAPE"


def test_a_size_that_does_not_fit_inside_is_told_with_the_operator(tmp_path: Path) -> None:
    b = Builder()
    x = b.tensor((1, 1, 3), name="x", shape_signature=(1, -1, 3))
    shape = b.constant(np.array([1, 12], np.int32))
    tflite.write(b.graph((x,), (b.add("RESHAPE", (x, shape), (1, 12)),)), tmp_path / "m.tflite")
    assert read(tmp_path / "m.tflite", "1x4x3").outputs[0].shape == (1, 12)
    with pytest.raises(ModelError, match=r"does not work with these shapes: .*RESHAPE") as caught:
        read(tmp_path / "m.tflite", "1x5x3")
    assert ".h" not in caught.value.message and caught.value.hint


def test_sizes_that_depend_on_the_data_are_refused(tmp_path: Path) -> None:
    b = Builder()
    x = b.tensor((1,), "bool", name="x", shape_signature=(-1,))
    y = b.add("WHERE", (x,), (1, 1), "int64", options="Where")
    tflite.write(b.graph((x,), (y,)), tmp_path / "m.tflite")
    with pytest.raises(ModelError, match=r"operator 0 \(WHERE\) makes results whose size depends on the data"):
        read(tmp_path / "m.tflite", "5")


def test_mutations_of_a_resizable_network_raise_nothing_else(tmp_path: Path) -> None:
    source, random = resizable(tmp_path / "m.tflite").read_bytes(), np.random.default_rng(5)
    outcomes = {"read": 0, "refused": 0}
    for _ in range(60):
        data = bytearray(source)
        for at in random.integers(0, len(data), 3):
            data[at] = random.integers(0, 256)
        (tmp_path / "mutated.tflite").write_bytes(data)
        try:
            read(tmp_path / "mutated.tflite", "1x6x6x3")
            outcomes["read"] += 1
        except EdgekitError as error:
            assert isinstance(error, ModelError | UsageError)
            assert "\n" not in error.message
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 0, outcomes


# ONNX


def test_open_sizes_of_onnx(onnx_converter: None, tmp_path: Path) -> None:
    nodes = [
        onnx_models.node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        onnx_models.node("GlobalAveragePool", ["c"], ["p"]),
        onnx_models.node("Flatten", ["p"], ["y"]),
    ]
    ends = [onnx_models.value("x", ["N", 3, "H", "W"])], [onnx_models.value("y", ["N", 5])]
    path = onnx_models.save(tmp_path / "m.onnx", nodes, *ends, [onnx_models.weight("w", 5, 3, 3, 3)])
    graph = read(path, "x=1x3x16x20")
    assert (graph.inputs[0].shape, graph.outputs[0].shape) == ((1, 3, 16, 20), (1, 5))
    assert any("agrees with ONNX Runtime" in note for note in graph.notes)
    assert "input 'x' was set to 1x3x16x20" in graph.notes
    with pytest.raises(ModelError, match=r"dimension 2 \('H'\) of input 'x' is not fixed") as caught:
        read(path)
    assert "--shape 1x3x?x?" in caught.value.hint
    with pytest.raises(UsageError, match=r"dimension 1 of input 'x' of .* is 3, not 4"):
        read(path, "1x4x16x20")
    shapeless = onnx_models.relu(tmp_path / "relu.onnx", None)
    assert read(shapeless, "2x5").outputs[0].shape == (2, 5)
    with pytest.raises(ModelError, match="input 'x' has no shape"):
        read(shapeless)
