"""An operator's definition in simpler operators, from the ONNX standard. Imports onnx: for child processes only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import onnx
from numpy.typing import NDArray

from edgekit.onnx.node import Spec, rename, schema


def definition(node: Any, opset: int, specs: Mapping[str, Spec], constants: Mapping[str, NDArray[Any]]) -> list[Any]:
    """Return the nodes that define the operator; none where it is a primitive.

    :param specs: of the node's inputs that are not among the constants.
    """
    about = schema(node, opset)
    versions = [
        version
        for version in (*about.context_dependent_function_opset_versions, *about.function_opset_versions)
        if version <= opset
    ]
    if not versions:
        return []
    if about.has_context_dependent_function:
        types = [
            (specs[name] if name in specs else Spec.of(constants[name])).proto() if name else onnx.TypeProto()
            for name in node.input
        ]
        text = about.get_context_dependent_function_with_opset_version(
            max(versions), node.SerializeToString(), [kind.SerializeToString() for kind in types]
        )
        return _inlined(node, onnx.FunctionProto.FromString(text), about)
    found = about.get_function_with_opset_version(max(versions))
    body = found if isinstance(found, onnx.FunctionProto) else onnx.FunctionProto.FromString(found)
    return _inlined(node, body, about)


def _inlined(node: Any, body: Any, about: Any) -> list[Any]:
    """The body's nodes under names of the node's own, with its attributes in the place of references."""
    prefix = f"{next((name for name in node.output if name), node.name)}/{node.op_type}/"
    names = dict.fromkeys(body.input, "") | dict(zip(body.input, node.input, strict=False))
    names |= {inner: outer for inner, outer in zip(body.output, node.output, strict=False) if outer}
    attributes = {entry.name: entry.default_value for entry in about.attributes.values() if entry.default_value.name}
    attributes |= {entry.name: entry for entry in (*body.attribute_proto, *node.attribute)}

    values = dict.fromkeys(name for inner in body.node for name in (*inner.input, *inner.output) if name)
    names |= {name: prefix + name for name in values if name not in names}
    made = []
    for inner in body.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(inner)
        _resolve(copy, attributes)
        rename(copy, names)
        copy.name = node.name
        made.append(copy)
    return made


def _resolve(node: Any, attributes: Mapping[str, Any]) -> None:
    """Put the operator's attributes where a node, or one in its inner graphs, refers to them."""
    given = list(node.attribute)
    del node.attribute[:]
    for entry in given:
        if not entry.ref_attr_name:
            node.attribute.append(entry)
        elif entry.ref_attr_name in attributes:
            value = node.attribute.add()
            value.CopyFrom(attributes[entry.ref_attr_name])
            value.name = entry.name
    for entry in node.attribute:
        for graph in ([entry.g] if entry.HasField("g") else []) + list(entry.graphs):
            for inner in graph.node:
                _resolve(inner, attributes)
