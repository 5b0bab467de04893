"""One ONNX node in an operator's options, and types of tensors. Imports onnx: for children only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

DTYPES = ("float32", "float16", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
          "bool")  # fmt: skip
"""What tensors may hold: numpy's own types, all of which a TFLite file can hold."""


class Refused(Exception):
    """A node that cannot be taken: which, and why in a few words."""

    def __init__(self, node: Any, reason: str) -> None:
        name = f" (node {node.name[:80]!r})" if node.name else ""
        super().__init__(f"operator {node.op_type}{name}: {reason}")
        self.op, self.reason = str(node.op_type), reason


@dataclass(frozen=True)
class Spec:
    """Dtype (numpy's name) and shape of a tensor."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def elements(self) -> int:
        """Number of elements."""
        total = 1
        for size in self.shape:
            total *= size
        return total

    def proto(self) -> Any:
        """As ONNX's ``TypeProto``."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        return helper.make_tensor_type_proto(kind, self.shape)

    @staticmethod
    def of(values: NDArray[Any]) -> Spec:
        """Return the type and shape of an array."""
        return Spec(values.dtype.name, values.shape)


def pack(node: Any, opset: int) -> bytes:
    """Return an operator's options; equal nodes of equal names give equal bytes."""
    kept = onnx.NodeProto()
    kept.CopyFrom(node)
    kept.doc_string = ""
    del kept.metadata_props[:]
    kept.input[:] = [f"i{n}" if name else "" for n, name in enumerate(node.input)]
    kept.output[:] = [f"o{n}" if name else "" for n, name in enumerate(node.output)]
    graph = helper.make_graph([kept], "node", [], [])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    return bytes(model.SerializeToString(deterministic=True))


def unpack(options: bytes, op: str, inputs: int, outputs: int) -> tuple[Any, int]:
    """Return the node and its operator set's version.

    :param op: the operator's name without its prefix; ``inputs`` and ``outputs`` count its tensors.
    :raises ValueError: if the options are damaged or do not fit.
    """
    try:
        model = onnx.ModelProto.FromString(options)
    except Exception as error:
        raise ValueError("its options hold no ONNX node") from error
    nodes, sets = model.graph.node, model.opset_import
    if len(nodes) != 1 or len(sets) != 1 or sets[0].domain not in ("", "ai.onnx"):
        raise ValueError("its options hold no ONNX node")
    node, opset = nodes[0], int(sets[0].version)
    if node.op_type != op or node.domain not in ("", "ai.onnx") or not 1 <= opset <= onnx.defs.onnx_opset_version():
        raise ValueError("its options hold another operator's node")
    if len(node.input) != inputs or sum(1 for name in node.output if name) != outputs:
        raise ValueError("its options hold a node of other inputs or outputs")
    return node, opset


def schema(node: Any, opset: int) -> Any:
    """Return the operator's definition. :raises Refused: if the operator set does not have it."""
    try:
        return onnx.defs.get_schema(node.op_type, opset, "")
    except Exception as error:
        raise Refused(node, f"it is not in ONNX's operator set {opset}") from error


def attribute(node: Any, name: str, default: Any = None) -> Any:
    """An attribute's value."""
    for entry in node.attribute:
        if entry.name == name:
            return helper.get_attribute_value(entry)
    return default


def rename(node: Any, names: Mapping[str, str]) -> None:
    """Rename values in a node, and in the graphs in its attributes, which may read values from around them."""
    node.input[:] = [names.get(name, name) for name in node.input]
    node.output[:] = [names.get(name, name) for name in node.output]
    for entry in node.attribute:
        for graph in ([entry.g] if entry.HasField("g") else []) + list(entry.graphs):
            rename_graph(graph, names)


def rename_graph(graph: Any, names: Mapping[str, str]) -> None:
    """Rename values in a graph, in place."""
    for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
        value.name = names.get(value.name, value.name)
    for sparse in graph.sparse_initializer:
        sparse.values.name = names.get(sparse.values.name, sparse.values.name)
    for node in graph.node:
        rename(node, names)


def tensor(values: NDArray[Any], name: str) -> Any:
    """As a ``TensorProto``."""
    return numpy_helper.from_array(np.ascontiguousarray(values).reshape(values.shape), name)


def model(nodes: Sequence[Any], inputs: dict[str, Spec], constants: dict[str, NDArray[Any]], outputs: dict[str, Spec],
          opset: int) -> Any:  # fmt: skip
    """Return a ``ModelProto`` of these nodes."""
    given = [helper.make_value_info(name, spec.proto()) for name, spec in inputs.items()]
    made = [helper.make_value_info(name, spec.proto()) for name, spec in outputs.items()]
    weights = [tensor(values, name) for name, values in constants.items()]
    graph = helper.make_graph(list(nodes), "network", given, made, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
