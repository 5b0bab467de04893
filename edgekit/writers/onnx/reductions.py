"""Reductions and what is computed along an axis."""

from __future__ import annotations

from collections.abc import Callable

from edgekit.graph import Operator
from edgekit.writers.onnx.exporter import TO_NCHW, Exporter, Refusal

REDUCED = {"MEAN": "ReduceMean", "SUM": "ReduceSum", "REDUCE_MAX": "ReduceMax", "REDUCE_MIN": "ReduceMin",
           "REDUCE_PROD": "ReduceProd"}  # fmt: skip


def reduced(b: Exporter, operator: Operator) -> None:
    """Write a reduction over constant axes."""
    source, made = operator.inputs[0], operator.outputs[0]
    rank, keep = len(b.tensor(source).shape), bool(operator.options.keepDims)
    axes = sorted({axis % rank for axis in b.integers(operator.inputs[1])})
    pictures = rank == 4 and b.only_picture(source) and (keep or axes == [1, 2])
    if pictures:
        axes = sorted(TO_NCHW.index(axis) for axis in axes)
    name, op = b.picture(source) if pictures else b.own(source), REDUCED[operator.op]
    if op == "ReduceSum":  # since opset 13 its axes are an input
        found = b.node(op, [name, b.shape(axes)], keepdims=int(keep))
    else:
        found = b.node(op, [name], axes=axes, keepdims=int(keep))
    b.put(made, found, picture=pictures and keep)


def softmax(b: Exporter, operator: Operator) -> None:
    """Write SOFTMAX (with its ``beta``) or LOG_SOFTMAX."""
    name = b.own(operator.inputs[0])
    beta = float(getattr(operator.options, "beta", 1.0))
    if operator.op == "SOFTMAX" and beta != 1.0:
        name = b.node("Mul", [name, b.number(beta)])
    b.put(operator.outputs[0], b.node("Softmax" if operator.op == "SOFTMAX" else "LogSoftmax", [name], axis=-1))


def normalized(b: Exporter, operator: Operator) -> None:
    """``L2_NORMALIZATION`` along the last axis."""
    if b.tensor(operator.outputs[0]).has_scale:
        raise Refusal("edgekit does not write it to ONNX in integers")
    b.put(operator.outputs[0], b.node("LpNormalization", [b.own(operator.inputs[0])], axis=-1, p=2))


def largest(b: Exporter, operator: Operator) -> None:
    """Write ARG_MAX and ARG_MIN."""
    axis = b.integers(operator.inputs[1])[0]
    op = "ArgMax" if operator.op == "ARG_MAX" else "ArgMin"
    found = b.node(op, [b.own(operator.inputs[0])], axis=axis, keepdims=0)
    b.put(operator.outputs[0], b.node("Cast", [found], to=b.kind(operator.outputs[0])))


RULES: dict[str, Callable[[Exporter, Operator], None]] = {
    **dict.fromkeys(REDUCED, reduced),
    **dict.fromkeys(("SOFTMAX", "LOG_SOFTMAX"), softmax),
    "L2_NORMALIZATION": normalized,
    **dict.fromkeys(("ARG_MAX", "ARG_MIN"), largest),
}
