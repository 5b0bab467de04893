"""ONNX models of a few nodes, and how they are read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from onnx import helper

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.graph import Graph
from edgekit.onnx import convert

LIMITS = sandbox.Limits(seconds=60)


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
