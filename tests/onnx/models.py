"""ONNX models of a few nodes, and how they are read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.graph import Graph
from edgekit.onnx import convert
from tests.readers.onnx_models import node, value

LIMITS = sandbox.Limits(seconds=60)
INT64 = TensorProto.INT64


def model(
    nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: Sequence[Any] = (), opset: int = 18
) -> bytes:
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return bytes(made.SerializeToString())


def read(data: bytes) -> Graph:
    (found,) = convert.graphs([data], ["m.onnx"], LIMITS)
    if isinstance(found, ModelError):
        raise found
    return found


def constant(values: Any, name: str) -> Any:
    return numpy_helper.from_array(np.asarray(values), name)


def one(
    op: str,
    shape: list[int],
    made: list[list[int]],
    weights: Mapping[str, Any] = MappingProxyType({}),
    **attributes: Any,
) -> bytes:
    """A model of one node: ``x``, then the weights; outputs ``y0``, ``y1``..."""
    kinds = [INT64 if op == "TopK" and n == 1 else TensorProto.FLOAT for n in range(len(made))]
    outputs = [value(f"y{n}", size, kind) for n, (size, kind) in enumerate(zip(made, kinds, strict=True))]
    held = [constant(v, name) for name, v in weights.items() if v is not None]
    inputs = ["x", *(name if v is not None else "" for name, v in weights.items())]
    nodes = [node(op, inputs, [f"y{n}" for n in range(len(made))], **attributes)]
    return model(nodes, [value("x", shape)], outputs, held, opset=19)
