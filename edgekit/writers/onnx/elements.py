"""Element by element, in whichever layout the inputs are."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgekit.graph import Operator
from edgekit.writers.onnx.exporter import Exporter, Refusal

PLAIN = {
    "RELU": "Relu", "TANH": "Tanh", "LOGISTIC": "Sigmoid", "EXP": "Exp", "LOG": "Log", "SQRT": "Sqrt", "SIN": "Sin",
    "COS": "Cos", "ABS": "Abs", "NEG": "Neg", "FLOOR": "Floor", "CEIL": "Ceil", "ROUND": "Round", "ELU": "Elu",
    "LOGICAL_NOT": "Not",
}  # fmt: skip
CLIPPED = {"RELU6": (0.0, 6.0), "RELU_N1_TO_1": (-1.0, 1.0), "RELU_0_TO_1": (0.0, 1.0)}
BINARIES = {
    "ADD": "Add", "SUB": "Sub", "MUL": "Mul", "DIV": "Div", "MAXIMUM": "Max", "MINIMUM": "Min", "POW": "Pow",
    "LESS": "Less", "LESS_EQUAL": "LessOrEqual", "GREATER": "Greater", "GREATER_EQUAL": "GreaterOrEqual",
    "EQUAL": "Equal", "LOGICAL_AND": "And", "LOGICAL_OR": "Or", "PRELU": "PRelu",
}  # fmt: skip
CHOICES = ("SELECT", "SELECT_V2")
FLOORED = ("FLOOR_DIV", "FLOOR_MOD")


def aligned(b: Exporter, operator: Operator) -> tuple[list[str], bool]:
    """The inputs' names in one layout, and whether that is as pictures: where a computed one is there only so."""
    computed = [i for i in operator.inputs if b.constant(i) is None]
    ranks = {len(b.tensor(i).shape) for i in computed}
    pictures = ranks == {4} and any(b.only_picture(i) for i in computed)
    return [b.picture(i) if pictures else b.own(i) for i in operator.inputs], pictures


def mapped(b: Exporter, operator: Operator) -> None:
    """Write an elementwise function of one operand."""
    (x,), pictures = aligned(b, operator)
    op = operator.op
    if op in PLAIN:
        made = b.node(PLAIN[op], [x])
    elif op in CLIPPED:
        made = b.node("Clip", [x, *map(b.number, CLIPPED[op])])
    elif op == "LEAKY_RELU":
        made = b.node("LeakyRelu", [x], alpha=float(operator.options.alpha))
    elif op == "RSQRT":
        made = b.node("Reciprocal", [b.node("Sqrt", [x])])
    elif op == "SQUARE":
        made = b.node("Mul", [x, x])
    elif op == "HARD_SWISH":
        made = b.node("Mul", [x, b.node("HardSigmoid", [x], alpha=1 / 6, beta=0.5)])
    else:
        made = _gelu(b, x, bool(operator.options and operator.options.approximate))
    b.put(operator.outputs[0], made, picture=pictures)


def _gelu(b: Exporter, x: str, approximate: bool) -> str:
    """``x / 2 * (1 + erf(x / sqrt 2))``, or with tanh as in Hendrycks and Gimpel 2016."""
    if approximate:
        cube = b.node("Mul", [b.node("Mul", [b.node("Mul", [x, x]), x]), b.number(0.044715)])
        inner = b.node("Mul", [b.node("Add", [x, cube]), b.number(float(np.sqrt(2 / np.pi)))])
        share = b.node("Tanh", [inner])
    else:
        share = b.node("Erf", [b.node("Mul", [x, b.number(float(np.sqrt(0.5)))])])
    return str(b.node("Mul", [b.node("Mul", [x, b.number(0.5)]), b.node("Add", [share, b.number(1.0)])]))


def binary(b: Exporter, operator: Operator) -> None:
    """Write an elementwise function of two operands."""
    sides, pictures = aligned(b, operator)
    if operator.op == "SQUARED_DIFFERENCE":
        gap = b.node("Sub", sides)
        made = b.node("Mul", [gap, gap])
    elif operator.op == "NOT_EQUAL":
        made = b.node("Not", [b.node("Equal", sides)])
    elif operator.op in FLOORED:
        made = _floored(b, operator, sides)
    else:
        made = b.node(BINARIES[operator.op], sides)
    made = b.activated(made, getattr(operator.options, "fusedActivationFunction", 0))
    b.put(operator.outputs[0], made, picture=pictures)


def _floored(b: Exporter, operator: Operator, sides: list[str]) -> str:
    """The quotient rounded down, or what is left of the first side then."""
    if b.tensor(operator.outputs[0]).dtype != "float32":
        raise Refusal("edgekit writes it to ONNX for floats only")
    quotient = str(b.node("Floor", [b.node("Div", sides)]))
    if operator.op == "FLOOR_DIV":
        return quotient
    return str(b.node("Sub", [sides[0], b.node("Mul", [quotient, sides[1]])]))


def chosen(b: Exporter, operator: Operator) -> None:
    """``SELECT`` takes a condition a row, too, which ONNX would broadcast along the last axis."""
    condition, made = b.tensor(operator.inputs[0]).shape, b.tensor(operator.outputs[0]).shape
    if operator.op == "SELECT" and condition != made:
        raise Refusal("edgekit does not write its condition a row to ONNX")
    sides, pictures = aligned(b, operator)
    b.put(operator.outputs[0], b.node("Where", sides), picture=pictures)


def converted(b: Exporter, operator: Operator) -> None:
    """``QUANTIZE`` rounds where its output is put; ``DEQUANTIZE`` of a constant is a constant, else nothing."""
    source, made = operator.inputs[0], operator.outputs[0]
    values = b.constant(source)
    if values is not None and operator.op == "DEQUANTIZE":
        b.fold(made, values.astype(np.float32))
        return
    (name,), pictures = aligned(b, operator)
    b.put(made, b.node("Identity", [name]), picture=pictures)


def cast(b: Exporter, operator: Operator) -> None:
    """Write CAST."""
    (name,), pictures = aligned(b, operator)
    b.put(operator.outputs[0], b.node("Cast", [name], to=b.kind(operator.outputs[0])), picture=pictures)


RULES: dict[str, Callable[[Exporter, Operator], None]] = {
    **dict.fromkeys((*PLAIN, *CLIPPED, "LEAKY_RELU", "RSQRT", "SQUARE", "HARD_SWISH", "GELU"), mapped),
    **dict.fromkeys((*BINARIES, *FLOORED, "SQUARED_DIFFERENCE", "NOT_EQUAL"), binary),
    **dict.fromkeys(CHOICES, chosen),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE"), converted),
    "CAST": cast,
}
