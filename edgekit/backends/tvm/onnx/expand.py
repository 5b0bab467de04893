"""What stands for a node: itself, its operator's definition in simpler ones, or a rule of ours. For children only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import onnx
from numpy.typing import NDArray

from edgekit.onnx.node import Refused, Spec, schema
from edgekit.onnx.static import Static

Constants = dict[str, NDArray[Any]]
BY_DEFINITION: set[str] = set()
"""Operators whose definition is taken first: TVM's frontend computes them wrongly, or not in all cases."""
MAX_DEPTH = 8


def expanded(
    node: Any, opset: int, variables: dict[str, Spec], constants: Constants, outputs: dict[str, Spec]
) -> Iterator[tuple[list[Any], Constants]]:
    """Yield ways to compute the node, best first: nodes and all constants that they read.

    :raises Refused: if there is none.
    """
    if node.op_type not in BY_DEFINITION:
        yield [node], constants
    body = definition(node, opset, variables, constants)
    if body:
        yield settled(node, body, opset, variables, constants, outputs)
    if node.op_type in BY_DEFINITION:
        yield [node], constants


def settled(
    node: Any, body: list[Any], opset: int, variables: dict[str, Spec], constants: Constants, outputs: dict[str, Spec]
) -> tuple[list[Any], Constants]:
    """The nodes with all shapes and constants known, definitions within them expanded as well."""
    for _ in range(MAX_DEPTH):
        static = Static(opset, dict(variables), dict(constants))
        static.settle(body, list(outputs))
        body, again = [], False
        for inner in static.nodes:
            deeper = None
            if not _imported(inner.op_type) or inner.op_type in BY_DEFINITION:
                known = {n: static.specs[n] for n in inner.input if n in static.specs}
                deeper = definition(inner, opset, known, static.constants)
            body += deeper or [inner]
            again = again or bool(deeper)
        if not again:
            return static.nodes, static.constants
    raise Refused(node, "its definition nests too deep")


def _imported(op: str) -> bool:
    from tvm.relax.frontend.onnx.onnx_frontend import _get_convert_map

    return op in _get_convert_map()


def definition(node: Any, opset: int, variables: dict[str, Spec], constants: Constants) -> list[Any]:
    """The nodes of the operator's definition in the ONNX standard; none where it is a primitive."""
    about = schema(node, opset)
    types = [
        (variables[name] if name in variables else Spec.of(constants[name])).proto() if name else onnx.TypeProto()
        for name in node.input
    ]
    if about.has_context_dependent_function:
        versions = [v for v in about.context_dependent_function_opset_versions if v <= opset]
        if not versions:
            return []
        text = about.get_context_dependent_function_with_opset_version(
            max(versions), node.SerializeToString(), [t.SerializeToString() for t in types]
        )
        body = onnx.FunctionProto.FromString(text)
    elif about.has_function:
        versions = [v for v in about.function_opset_versions if v <= opset]
        if not versions:
            return []
        found = about.get_function_with_opset_version(max(versions))
        body = found if isinstance(found, onnx.FunctionProto) else onnx.FunctionProto.FromString(found)
    else:
        return []
    return _inlined(node, body, about)


def _inlined(node: Any, body: Any, about: Any) -> list[Any]:
    """The body's nodes under names of the node's own, with its attributes in the place of references."""
    prefix = f"{next((name for name in node.output if name), node.name)}/{node.op_type}/"
    names = dict.fromkeys(body.input, "") | dict(zip(body.input, node.input, strict=False))
    names |= {inner: outer for inner, outer in zip(body.output, node.output, strict=False) if outer}
    attributes = {entry.name: entry.default_value for entry in about.attributes.values() if entry.default_value.name}
    attributes |= {entry.name: entry for entry in body.attribute_proto}
    attributes |= {entry.name: entry for entry in node.attribute}

    def renamed(name: str) -> str:
        return names.setdefault(name, prefix + name) if name else ""

    made = []
    for inner in body.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(inner)
        copy.name = node.name
        copy.input[:] = [renamed(name) for name in inner.input]
        copy.output[:] = [renamed(name) for name in inner.output]
        del copy.attribute[:]
        for entry in inner.attribute:
            if not entry.ref_attr_name:
                copy.attribute.append(entry)
            elif entry.ref_attr_name in attributes:
                value = onnx.AttributeProto()
                value.CopyFrom(attributes[entry.ref_attr_name])
                value.name = entry.name
                copy.attribute.append(value)
        made.append(copy)
    return made
