"""SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM in float32 (``EvalFloatSVDF`` in svdf.h, ``EvalFloat`` in lstm_eval.cc)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.builder import CLAMPS, Builder, fused, require
from edgekit.codegen.kernels import RealGate, RealLstm, RealSvdf
from edgekit.codegen.rules.lstm import (
    ACTIVATION_STATE,
    BIASES,
    CELL,
    CELL_STATE,
    FORGET,
    INPUT,
    NORMALIZATIONS,
    OUTPUT,
    PEEPHOLES,
    PROJECTION,
    RECURRENT,
    WEIGHTS,
    Operands,
    incomplete,
    places_fit,
)
from edgekit.graph import Graph, Operator

ACTIVATIONS = {1: "RELU", 3: "RELU6", 4: "TANH"}
"""Of cell gate and cell state, by the schema's ActivationFunctionType: those that LiteRT computes. Without one, it
leaves the cell state out of the result."""
MATRICES = (*range(WEIGHTS, WEIGHTS + 8), PROJECTION)


def svdf(b: Builder, number: int, operator: Operator) -> None:
    """Lower SVDF ``(input, feature weights, time weights, bias, state)``."""
    source, features, times, bias, state = operator.inputs
    x, f, t, s, y = (b.tensors[i] for i in (source, features, times, state, operator.outputs[0]))
    rank = int(operator.options.rank)
    filters, memory = t.shape
    units, batch = filters // max(rank, 1), x.shape[0]
    require(rank > 0 and filters % rank == 0 and f.shape == (filters, x.shape[1]), "its weights do not fit its shapes")
    require(s.elements == batch * filters * memory and y.elements == batch * units, "its state does not fit its shapes")
    added = b.values(bias).reshape(-1) if bias >= 0 else None
    require(added is None or added.size == units, "its bias does not fit its weights")
    b.add(RealSvdf(
        b.nodes[number], operator.outputs[0], source, state, b.values(features), b.values(times), added, rank,
        CLAMPS[fused(operator)],
    ))  # fmt: skip


def svdf_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why SVDF of float32 has no kernel; empty if it has one."""
    source, features, times, bias, state = (graph.tensors[i] if i >= 0 else None for i in operator.inputs)
    assert source and features and times and state
    constants = [t for t in (features, times, bias) if t is not None]
    tensors = (source, *constants, state, graph.tensors[operator.outputs[0]])
    if other := next((t.dtype for t in tensors if t.dtype != "float32"), ""):
        return f"there is no kernel for float32 with {other}"
    if any(not t.is_dense for t in constants):
        return "its weights are not constant"
    if not state.is_variable:
        return "its state is not a variable"
    if fused(operator) not in CLAMPS:
        return "its activation is not one that clamps"
    ranks = any(len(t.shape) != 2 for t in (source, features, times))
    return "its operands or options are incomplete" if ranks else ""


def lstm(b: Builder, number: int, operator: Operator) -> None:
    """Lower UNIDIRECTIONAL_SEQUENCE_LSTM."""
    given, o = Operands(b.tensors, operator), operator.options
    cells, count = places_fit(given)
    first = _gate(given, INPUT, cells, count) if given.at(WEIGHTS) is not None else None
    forget, cell, output = (_gate(given, place, cells, count) for place in (FORGET, CELL, OUTPUT))
    projection = given.values(PROJECTION, (count, cells)) if given.at(PROJECTION) is not None else None
    bias = given.at(PROJECTION + 1) if projection is not None else None
    added = given.values(PROJECTION + 1, (count,)) if bias is not None else None
    cell_clip, projection_clip = (max(0.0, float(np.float32(clip))) for clip in (o.cellClip, o.projClip))
    b.add(RealLstm(
        b.nodes[number], operator.outputs[0], operator.inputs[0], given.index(ACTIVATION_STATE),
        given.index(CELL_STATE), first, forget, cell, output, projection, added, cell_clip, projection_clip,
        ACTIVATIONS[fused(operator)], bool(o.timeMajor),
    ))  # fmt: skip


def _gate(given: Operands, gate: int, cells: int, count: int) -> RealGate:
    def vector(place: int) -> NDArray[Any] | None:
        return given.values(place, (cells,)) if given.at(place) is not None else None

    peephole = PEEPHOLES.get(gate)
    return RealGate(
        given.values(WEIGHTS + gate, (cells, given[0].shape[2])), given.values(RECURRENT + gate, (cells, count)),
        given.values(BIASES + gate, (cells,)), vector(peephole) if peephole is not None else None,
        vector(NORMALIZATIONS + gate),
    )  # fmt: skip


def lstm_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why UNIDIRECTIONAL_SEQUENCE_LSTM of float32 has no kernel; empty if it has one."""
    given = Operands(graph.tensors, operator)
    there = [t for t in map(given.at, range(len(operator.inputs))) if t is not None]
    states = (given[ACTIVATION_STATE], given[CELL_STATE])
    if other := next((t.dtype for t in (*there, graph.tensors[operator.outputs[0]]) if t.dtype != "float32"), ""):
        return f"there is no kernel for float32 with {other}"
    if len(given[0].shape) != 3 or any(len(t.shape) != 2 for t in map(given.at, MATRICES) if t is not None):
        return "its operands or options are incomplete"
    if not all(state.is_variable for state in states):
        return "its state is not a variable"
    if any(not t.is_dense for t in there if all(t is not one for one in (given[0], *states))):
        return "its weights are not constant"
    if fused(operator) not in ACTIVATIONS:
        return "its activation is not one that LiteRT computes"
    return incomplete(given, given.at(NORMALIZATIONS + FORGET) is not None)
