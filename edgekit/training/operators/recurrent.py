"""The fused LSTM; recurrent layers that the readers unroll consist of ordinary operators."""

from __future__ import annotations

from typing import Any

from edgekit.graph import Graph, Operator
from edgekit.training.operators.call import FUSED, Call, Kind

_INPUT, _RECURRENT, _PEEPHOLE, _BIAS, _PROJECTION, _NORM = 1, 5, 9, 12, 16, 20
"""Positions of the first input of each group; gates are in the order input, forget, cell, output."""


def _lstm(call: Call) -> Any:
    """Hochreiter and Schmidhuber's cell with forget gate, perhaps peepholes, coupled input gate, and projection.

    The state is 0 before each sample: LiteRT keeps it between calls, a network in training does not. Source of the
    positions: LiteRT, kernels/lstm_shared.h.
    """
    tf, o = call.tf, call.options
    time = 0 if o.timeMajor else 1
    x = call.x(0) if time == 0 else tf.transpose(call.x(0), (0, 2, 1, 3))  # [n, time, b, in]
    steps, batch, size = call.shapes[0][time], call.shapes[0][1 - time], call.shapes[0][2]
    x = tf.reshape(tf.transpose(x, (1, 0, 2, 3)), (steps, -1, size))
    units, wide = call.shapes[2][0], call.shape[2]

    def step(state: tuple[Any, Any], now: Any) -> tuple[Any, Any]:
        return _cell(call, now, *state)

    rows = tf.shape(x)[1]
    start = (tf.zeros((rows, wide), x.dtype), tf.zeros((rows, units), x.dtype))
    y = tf.reshape(tf.scan(step, x, start)[0], (steps, -1, batch, wide))
    return call.shaped(tf.transpose(y, (1, 0, 2, 3) if time == 0 else (1, 2, 0, 3)))


def _cell(call: Call, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
    """One step: ``x`` ``[rows, in]``, ``h`` ``[rows, out]``, ``c`` ``[rows, units]``."""
    tf, o, activate = call.tf, call.options, FUSED[call.options.fusedActivationFunction]

    def gate(number: int, cell: Any, peephole: int | None) -> Any:
        y = tf.matmul(x, call.values[_INPUT + number], transpose_b=True)
        y += tf.matmul(h, call.values[_RECURRENT + number], transpose_b=True)
        if peephole is not None and call.has(peephole):
            y += cell * call.values[peephole]
        return y + call.values[_BIAS + number] if call.has(_BIAS + number) else y

    forget = tf.sigmoid(gate(1, c, _PEEPHOLE + 1))
    write = tf.sigmoid(gate(0, c, _PEEPHOLE)) if call.has(_INPUT) else 1 - forget
    c = forget * c + write * activate(tf, gate(2, c, None))
    if o.cellClip > 0:
        c = tf.clip_by_value(c, -o.cellClip, o.cellClip)
    h = tf.sigmoid(gate(3, c, _PEEPHOLE + 2)) * activate(tf, c)
    if call.has(_PROJECTION):
        h = tf.matmul(h, call.values[_PROJECTION], transpose_b=True)
        h = h + call.values[_PROJECTION + 1] if call.has(_PROJECTION + 1) else h
        h = tf.clip_by_value(h, -o.projClip, o.projClip) if o.projClip > 0 else h
    return h, c


def _variant(graph: Graph, operator: Operator) -> str:
    if any(i >= 0 for i in operator.inputs[_NORM:]):
        return "it normalises its gates"
    if getattr(operator.options, "diagonalRecurrentTensors", False):
        return "its recurrent weights are diagonal"
    return ""


_CONSTANT = tuple(range(_INPUT, _PROJECTION + 2))
RECURRENT: dict[str, Kind] = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Kind(_lstm, weights=_CONSTANT, still=_CONSTANT, fused=False, refuse=_variant)
}
