"""What readers decide about a model without running it: shapes, divisions, layers to unroll."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator
from edgekit.readers import onnx_child, tflite_shapes
from edgekit.readers.keras_child import _can_unroll
from edgekit.readers.onnx import _check_divisions
from tests.networks.small import Builder


def model(output: list[int | str | None] | None) -> Any:
    """A RESHAPE to a shape that is only known when it runs."""
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 6]),
        helper.make_tensor_value_info("s", TensorProto.INT64, ["n"]),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)]
    graph = helper.make_graph([helper.make_node("Reshape", ["x", "s"], ["y"])], "g", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def sizes(made: Any) -> list[int]:
    return [dim.dim_value for dim in made.graph.output[0].type.tensor_type.shape.dim]


def test_a_shape_that_inference_does_not_find_is_the_files() -> None:
    assert sizes(onnx_child._infer(onnx, model([3, 4]), "m")) == [3, 4]


def test_a_shape_that_inference_finds_replaces_the_files() -> None:
    made = model([9, 9])
    made.graph.node[0].CopyFrom(helper.make_node("Relu", ["x"], ["y"]))
    assert sizes(onnx_child._infer(onnx, made, "m")) == [2, 6]


def test_an_invalid_model_is_refused_in_one_line() -> None:
    made = model([3, 4])
    made.graph.node[0].op_type = "NoSuchOperator"
    with pytest.raises(ModelError, match="m is not a valid ONNX model: ") as refused:
        onnx_child._infer(onnx, made, "m")
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("sizes", "wanted", "good"),
    [
        ([[0, 4]], {}, False), ([[0, 4]], {"": (2, 4)}, True), ([[0, 4]], {"x0": (2, 4)}, True),
        ([[0, 4], [1]], {"": (2, 4)}, False), ([[0, 4], [1]], {"x0": (2, 4)}, True), ([[1, 4], [1]], {}, True),
    ],
)  # fmt: skip
def test_a_size_of_zero_is_open_if_it_is_set(sizes: list[list[int]], wanted: dict[str, Any], good: bool) -> None:
    inputs = [helper.make_tensor_value_info(f"x{n}", TensorProto.FLOAT, each) for n, each in enumerate(sizes)]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    graph = helper.make_graph([helper.make_node("Relu", ["x0"], ["y"])], "g", inputs, outputs)
    if good:
        onnx_child._fix_inputs(graph, wanted, "m")
        found = [dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]
        assert found == list(next(iter(wanted.values()), sizes[0]))
    else:
        with pytest.raises(ModelError, match=r"input 'x0' of .* holds nothing: a size is 0"):
            onnx_child._fix_inputs(graph, wanted, "m")


def divided(op: str, dtype: str, divisor: list[int] | None) -> Graph:
    b = Builder()
    x = b.tensor((1, 2), dtype, name="x")
    by = b.tensor((1, 2), dtype, name="by") if divisor is None else b.constant(np.array([divisor], dtype))
    return b.graph((x, by) if divisor is None else (x,), (b.add(op, (x, by), (1, 2), dtype),))


@pytest.mark.parametrize("op", ["DIV", "FLOOR_DIV", "FLOOR_MOD"])
def test_integers_are_divided_by_what_is_never_zero(op: str) -> None:
    about = {"operators": ["Add", "Div"]}
    for graph in (divided(op, "int32", [1, 2]), divided(op, "float32", None), divided("ADD", "int32", None)):
        _check_divisions(graph, about, "m")
    for graph in (divided(op, "int32", [1, 0]), divided(op, "int64", None)):
        with pytest.raises(ModelError, match=r"divides integers by values that may be 0 \(Div\)"):
            _check_divisions(graph, about, "m")
    with pytest.raises(ModelError, match=rf"may be 0 \({op}\)"):
        _check_divisions(divided(op, "int32", None), {"operators": ["Add"]}, "m")
    with pytest.raises(ModelError, match=r"may be 0 \(Div or Mod\)"):
        _check_divisions(divided(op, "int32", None), {"operators": ["Mod", "Div"]}, "m")
    broken = divided(op, "int32", None)
    broken.main.operators[0] = Operator(op, (0,), broken.main.operators[0].outputs)
    _check_divisions(broken, about, "m")  # the check of every graph refuses it


@pytest.mark.parametrize(
    ("module", "can"), [("keras.src.layers.rnn.lstm", True), ("keras.src.layers.rnn.conv_lstm2d", False)]
)
def test_layers_of_convolutions_are_not_unrolled(module: str, can: bool) -> None:
    layer = type("Layer", (), {"__module__": module, "_could_use_gpu_kernel": True})()
    assert _can_unroll(layer) is can and layer._could_use_gpu_kernel is False
    assert not hasattr(type("Plain", (), {})(), "_could_use_gpu_kernel") and _can_unroll(type("Plain", (), {})())


def test_operands_that_are_shapes() -> None:
    """By the kernels' constants in TensorFlow Lite, such as ``kShapeTensor``."""
    by_place = {
        (0,): "FILL TRANSPOSE_CONV CONV_3D_TRANSPOSE SPLIT",
        (1,): "RESHAPE BROADCAST_TO TILE PAD PADV2 MIRROR_PAD RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR EXPAND_DIMS "
        "TRANSPOSE ONE_HOT TOPK_V2 SPARSE_TO_DENSE SUM MEAN REDUCE_MAX REDUCE_MIN REDUCE_PROD REDUCE_ANY REDUCE_ALL "
        "ARG_MAX ARG_MIN",
        (2,): "UNSORTED_SEGMENT_SUM UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN UNSORTED_SEGMENT_PROD "
        "NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5",
        (1, 2): "SLICE BATCH_TO_SPACE_ND SPACE_TO_BATCH_ND SPLIT_V",
        (1, 2, 3): "STRIDED_SLICE",
        (0, 1, 2): "RANGE",
    }
    assert {op: places for places, ops in by_place.items() for op in ops.split()} == tflite_shapes._SHAPED_BY
