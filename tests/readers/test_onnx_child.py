"""Shapes that inference finds, and those that only the file knows."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper

from edgekit.errors import ModelError
from edgekit.readers import onnx_child


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
