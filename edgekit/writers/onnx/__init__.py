"""Graph -> ONNX, as TensorRT takes it: opset 13, fixed shapes, explicit quantization.

Pictures are ``[n, h, w, c]`` in the Graph and ``[n, c, h, w]`` in ONNX. A value keeps the layout in which its operator
makes it, and is transposed only where a reader wants the other one (:class:`.exporter.Exporter`).

An int8 network becomes float operators between QuantizeLinear and DequantizeLinear. TensorRT takes no zero point but 0:
values that have another are not rounded (softmax and its like, whose ranges are fixed; the pass ``symmetric`` gives all
others 0). Weights are int8 behind a DequantizeLinear. The file's inputs and outputs are real values, float32.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from edgekit.graph import Graph, Operator
from edgekit.writers.onnx import convolutions, elements, moves, reductions
from edgekit.writers.onnx.exporter import Exporter, Refusal

__all__ = ["OPSET", "Ports", "obstacles", "write"]

OPSET, IR = 13, 7
"""TensorRT 8.5, of JetPack 5, knows these as well as later ones."""
Rule = Callable[[Exporter, Operator], None]
RULES: dict[str, Rule] = {**convolutions.RULES, **elements.RULES, **moves.RULES, **reductions.RULES}
DAMAGED = (AttributeError, ValueError, LookupError, TypeError, ArithmeticError, AssertionError)
"""Errors that rules raise on a damaged file."""


def obstacles(graph: Graph) -> list[tuple[int, Operator, str]]:
    """All operators that cannot be written: index, operator, why."""
    found, exporter = [], Exporter(graph, dry=True)
    for number, operator in enumerate(graph.operators):
        try:
            _rule(exporter, operator)
        except Refusal as refusal:
            found.append((number, operator, str(refusal)))
            exporter.give_up(operator)
    return found


@dataclass(frozen=True)
class Ports:
    """The names of a file's inputs and outputs, in the Graph's order."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def write(graph: Graph, path: Path, *, half: bool = False) -> Ports:
    """Write the main subgraph.

    :param half: weights and arithmetic in float16; inputs and outputs stay float32.
    :raises Refusal: if an operator cannot be written; :func:`obstacles` names it.
    """
    exporter = Exporter(graph, half=half)
    for operator in graph.operators:
        _rule(exporter, operator)
    path.write_bytes(exporter.model(OPSET, IR))
    return Ports(tuple(exporter.inputs), tuple(exporter.outputs))


def _rule(exporter: Exporter, operator: Operator) -> None:
    if operator.op not in RULES or operator.custom:
        raise Refusal("edgekit does not write it to ONNX")
    exporter.admit(operator)
    try:
        RULES[operator.op](exporter, operator)
    except DAMAGED as error:
        raise Refusal("its shapes and options contradict one another") from error
