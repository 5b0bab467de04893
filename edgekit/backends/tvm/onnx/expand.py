"""What stands for a node: itself, its operator's definition in simpler ones, or a rule of ours. For children only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from edgekit.backends.tvm.onnx.rules import OPSET, RULES, SIMPLE, Rewrite
from edgekit.onnx.definition import definition
from edgekit.onnx.node import Refused, Spec, attribute
from edgekit.onnx.static import Static

Constants = dict[str, NDArray[Any]]
MAX_DEPTH = 12


@dataclass(frozen=True)
class Way:
    """One way to compute a node: nodes of an operator set, and all constants known by then."""

    nodes: list[Any]
    constants: Constants
    opset: int


def ways(
    node: Any, opset: int, variables: dict[str, Spec], constants: Constants, outputs: dict[str, Spec]
) -> Iterator[Way]:
    """Yield ways to compute the node, best first.

    :raises Refused: where the next one cannot be had.
    """
    ruled = _ruled(node, opset, variables, constants)
    if ruled:
        yield _settled(node, ruled[0], max(opset, OPSET), variables, constants | ruled[1], outputs)
        return
    if _imported(node):
        yield Way([node], constants, opset)
    body = definition(node, opset, variables, constants)
    if body:
        yield _settled(node, body, opset, variables, constants, outputs)
    elif not _imported(node):
        raise Refused(node, "neither TVM's ONNX frontend nor edgekit has it")


def _ruled(node: Any, opset: int, specs: dict[str, Spec], constants: Constants) -> tuple[list[Any], Constants] | None:
    rule = RULES.get(node.op_type) if node.doc_string != SIMPLE else None
    rewrite = Rewrite(node, opset, specs, constants)
    return (rewrite.nodes, rewrite.made) if rule and rule(rewrite) else None


def _settled(
    node: Any, body: list[Any], opset: int, variables: dict[str, Spec], constants: Constants, outputs: dict[str, Spec]
) -> Way:
    """The nodes with all shapes and constants known, and none left that must be written in simpler ones."""
    known = dict(constants)
    for _ in range(MAX_DEPTH):
        static = Static(opset, dict(variables), known)
        static.settle(body, list(outputs))
        body, known, changed = [], static.constants, False
        for inner in static.nodes:
            specs = {n: static.specs[n] for n in inner.input if n in static.specs}
            deeper: list[Any] = []
            ruled = _ruled(inner, opset, specs, known) if opset >= OPSET else None
            if ruled:
                deeper, known = ruled[0], known | ruled[1]
            elif not _imported(inner):
                deeper = definition(inner, opset, specs, known)
            body += deeper or [inner]
            changed = changed or bool(deeper)
        if not changed:
            return Way(static.nodes, static.constants, opset)
    raise Refused(node, "its definition nests too deep")


def _imported(node: Any) -> bool:
    """True if TVM's ONNX frontend has the operator, and this case of it."""
    from tvm.relax.frontend.onnx.onnx_frontend import _get_convert_map

    overlooked = node.op_type == "SpaceToDepth" and attribute(node, "mode") is not None
    overlooked = overlooked or node.op_type == "Attention"  # rows that are masked altogether become NaN
    return node.op_type in _get_convert_map() and not overlooked
