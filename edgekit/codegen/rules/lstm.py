"""UNIDIRECTIONAL_SEQUENCE_LSTM in int8 with an int16 cell state (TFLite's 8x8_16).

Constants as ``PopulateQuantizedLstmParams8x8_16`` prepares them (unidirectional_sequence_lstm.cc): float32 throughout,
but for powers of two.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.base import Factor
from edgekit.codegen.builder import Builder, require
from edgekit.codegen.parameters import F, factor
from edgekit.codegen.recurrent import Gate, LayerNormalization, Lstm, Projection
from edgekit.graph import Graph, Operator, Tensor

INPUT, FORGET, CELL, OUTPUT = range(4)
"""Of the four gates, in the order of the operator's operands."""
WEIGHTS, RECURRENT, BIASES, PROJECTION, ACTIVATION_STATE, CELL_STATE, NORMALIZATIONS = 1, 5, 12, 16, 18, 19, 20
"""Places of operands; of the first three and the last for the input gate, those of the other gates follow."""
PEEPHOLES = {INPUT: 9, FORGET: 10, OUTPUT: 11}
KINDS = {
    **dict.fromkeys((*range(WEIGHTS, WEIGHTS + 8), PROJECTION), "int8"),
    **dict.fromkeys((*range(BIASES, BIASES + 4), PROJECTION + 1), "int32"),
    **dict.fromkeys((*PEEPHOLES.values(), *range(NORMALIZATIONS, NORMALIZATIONS + 4)), "int16"),
}
"""The types of constants by their places."""
HIDDEN = 4
"""The place of the hidden state among the intermediate tensors."""


class Operands:
    """Tensors of an LSTM by their places."""

    def __init__(self, tensors: list[Tensor], operator: Operator) -> None:
        self.tensors, self.operator = tensors, operator

    def index(self, place: int) -> int:
        """The tensor's number; -1 if it is not there."""
        inputs = self.operator.inputs
        return inputs[place] if place < len(inputs) else -1

    def at(self, place: int) -> Tensor | None:
        """The tensor, if it is there."""
        return self.tensors[self.index(place)] if self.index(place) >= 0 else None

    def __getitem__(self, place: int) -> Tensor:
        tensor = self.at(place)
        require(tensor is not None, "an operand is missing")
        assert tensor is not None
        return tensor

    def scale(self, place: int) -> np.float32:
        """Its only scale."""
        quantization = self[place].quantization
        assert quantization is not None
        return F(quantization.scale[0])

    def zero(self, place: int) -> int:
        """Its zero point; 0 without quantization."""
        quantization = self[place].quantization
        return int(quantization.zero_point[0]) if quantization is not None else 0

    def values(self, place: int, shape: tuple[int, ...]) -> NDArray[Any]:
        """A constant's values.

        :raises DamagedModel: if the tensor has another number of them, or for a matrix another shape.
        """
        tensor = self[place]
        require(tensor.shape == shape or (len(shape) == 1 and (tensor.elements,) == shape),
                "its weights do not fit its shapes")  # fmt: skip
        return tensor.array().reshape(shape)

    def intermediate(self, place: int) -> Tensor:
        """One of the tensors whose scales say how sums are stored in between."""
        return self.tensors[self.operator.intermediates[place]]


def lstm(b: Builder, number: int, operator: Operator) -> None:
    """Lower UNIDIRECTIONAL_SEQUENCE_LSTM."""
    given, o = Operands(b.tensors, operator), operator.options
    cells, _ = places_fit(given)
    shift = round(math.log2(given.scale(CELL_STATE)))
    quantization = given.intermediate(HIDDEN).quantization
    assert quantization is not None
    hidden_scale, hidden_zero = F(quantization.scale[0]), int(quantization.zero_point[0])
    if given.at(PROJECTION) is not None:
        hidden_zero = -hidden_zero  # the reference subtracts it, and adds its products to the projection's bias
    hidden = factor(float(F(2.0**-15 / float(hidden_scale) * 2.0**-15)))
    first = _gate(given, INPUT, cells, shift) if given.at(WEIGHTS) is not None else None
    forget, cell, output = (_gate(given, place, cells, shift) for place in (FORGET, CELL, OUTPUT))
    b.add(Lstm(
        b.nodes[number], operator.outputs[0], operator.inputs[0], given.index(ACTIVATION_STATE),
        given.index(CELL_STATE), first, forget, cell, output,
        _projection(given, hidden_scale, -hidden_zero, float(o.projClip)), shift,
        _clip(float(o.cellClip), given.scale(CELL_STATE), 32767), hidden, hidden_zero, bool(o.timeMajor),
    ))  # fmt: skip


def places_fit(given: Operands) -> tuple[int, int]:
    """How many cells and outputs there are.

    :raises DamagedModel: if input, output and state do not fit them.
    """
    cells, depth = given[WEIGHTS + OUTPUT].shape
    count = given[RECURRENT + OUTPUT].shape[1]
    x, y = given[0].shape, given.tensors[given.operator.outputs[0]].shape
    batch = x[1] if given.operator.options.timeMajor else x[0]
    states = (given[ACTIVATION_STATE].elements, given[CELL_STATE].elements)
    fits = x[2] == depth and y == (*x[:2], count) and states == (batch * count, batch * cells)
    require(fits and (given.at(PROJECTION) is not None or count == cells), "its shapes do not fit one another")
    return cells, count


def _clip(real: float, scale: np.float32, most: int) -> int:
    """A stored limit; 0 for none."""
    return int(min(F(real) / scale, F(most))) if real > 0 else 0


def _gate(given: Operands, gate: int, cells: int, shift: int) -> Gate:
    weights, recurrent = given[WEIGHTS + gate].array(), given[RECURRENT + gate].array()
    depth, count = given[0].shape[2], given[RECURRENT + OUTPUT].shape[1]
    require(weights.shape == (cells, depth) and recurrent.shape == (cells, count), "its weights do not fit its shapes")
    normalized = given.at(NORMALIZATIONS + FORGET) is not None
    unit = F(2.0**-12)
    if normalized:
        quantization = given.intermediate(gate).quantization
        assert quantization is not None
        unit = F(quantization.scale[0])
    bias = given[BIASES + gate].array().astype(np.int64).reshape(-1)
    require(bias.size == cells, "its bias does not fit its weights")
    peephole, peephole_factor = _peephole(given, gate, cells, shift, unit)
    return Gate(
        weights, _folded(weights, -given.zero(0), 0 if normalized else bias),
        factor(float(given.scale(WEIGHTS + gate) * given.scale(0) / unit)),
        recurrent, _folded(recurrent, -given.zero(ACTIVATION_STATE), 0),
        factor(float(given.scale(RECURRENT + gate) * given.scale(ACTIVATION_STATE) / unit)),
        peephole, peephole_factor, _normalization(given, gate, bias) if normalized else None,
    )  # fmt: skip


def _peephole(
    given: Operands, gate: int, cells: int, shift: int, unit: np.float32
) -> tuple[NDArray[np.int16] | None, Factor | None]:
    place = PEEPHOLES.get(gate, -1)
    tensor = given.at(place) if place >= 0 else None
    if tensor is None:
        return None, None
    require(tensor.elements == cells, "its peephole does not fit its weights")
    real = F(2.0**shift * float(given.scale(place)) / float(unit))
    return tensor.array().reshape(-1), factor(float(real))


def _normalization(given: Operands, gate: int, bias: NDArray[np.int64]) -> LayerNormalization:
    place = NORMALIZATIONS + gate
    scale = given.scale(place)
    guard = max(1, int(F(10000) * scale))
    require(given[place].elements == bias.size, "its normalization does not fit its weights")
    return LayerNormalization(given[place].array().reshape(-1), bias.astype(np.int32), factor(float(scale)), guard)


def _folded(weights: NDArray[Any], zero: int, bias: NDArray[np.int64] | int) -> NDArray[np.int32]:
    """A bias with the products of a zero point."""
    sums: NDArray[np.int64] = weights.astype(np.int64).sum(1) * zero + bias
    return sums.astype(np.int32)


def _projection(given: Operands, scale: np.float32, zero: int, clip: float) -> Projection | None:
    if given.at(PROJECTION) is None:
        return None
    weights, bias = given[PROJECTION].array(), given.at(PROJECTION + 1)
    shape = (given[RECURRENT + OUTPUT].shape[1], given[WEIGHTS + OUTPUT].shape[0])
    fits = weights.shape == shape and (bias is None or bias.elements == shape[0])
    require(fits, "its projection does not fit its shapes")
    real = given.scale(PROJECTION) * scale / given.scale(ACTIVATION_STATE)
    quantization = given.tensors[given.operator.outputs[0]].quantization
    assert quantization is not None
    added = 0 if bias is None else bias.array().astype(np.int64).reshape(-1)
    limit = _clip(clip, F(quantization.scale[0]), 127)
    return Projection(weights, _folded(weights, zero, added), factor(float(real)), limit)


def lstm_unsupported(graph: Graph, operator: Operator) -> str:
    """Say why UNIDIRECTIONAL_SEQUENCE_LSTM has no kernel; empty if it has one."""
    given = Operands(graph.tensors, operator)
    source, weights, output = given[0], given[WEIGHTS + FORGET], graph.tensors[operator.outputs[0]]
    if (source.dtype, weights.dtype) != ("int8", "int8"):
        return f"there is no kernel for {source.dtype} with weights in {weights.dtype}"
    if len(operator.intermediates) != HIDDEN + 1:
        return "its intermediate tensors are not there"
    matrices = [t for t in map(given.at, (*range(WEIGHTS, WEIGHTS + 8), PROJECTION)) if t is not None]
    if len(source.shape) != 3 or any(len(t.shape) != 2 for t in matrices):
        return "its operands or options are incomplete"
    states = (given[ACTIVATION_STATE], given[CELL_STATE])
    if not all(state.is_variable for state in states):
        return "its state is not a variable"
    if [state.dtype for state in states] != ["int8", "int16"]:
        return f"its states are {states[0].dtype} and {states[1].dtype}"
    constants = [t for place, t in enumerate(map(given.at, range(len(operator.inputs))))
                 if t is not None and place not in (0, ACTIVATION_STATE, CELL_STATE)]  # fmt: skip
    if any(not t.is_dense for t in constants):
        return "its weights are not constant"
    for place, kind in KINDS.items():
        tensor = given.at(place)
        if tensor is not None and tensor.dtype != kind:
            return f"it has {tensor.dtype} where LiteRT takes {kind}"
    normalized = given.at(NORMALIZATIONS + FORGET) is not None
    places = range(HIDDEN + 1) if normalized else (HIDDEN,)
    scaled = [source, output, *states, *(t for t in constants if t.dtype != "int32")]
    if any(not t.has_scale for t in (*scaled, *map(given.intermediate, places))):
        return "a tensor of it has no scale"
    log = math.log2(float(given.scale(CELL_STATE)))
    if abs(log - round(log)) >= 1e-3 or not -15 <= round(log) <= -9:
        return "its cell state's scale is not a power of two from 2**-15 to 2**-9"
    return incomplete(given, normalized)


def incomplete(given: Operands, normalized: bool) -> str:
    """Operands that must be there together."""
    without = given.at(WEIGHTS) is None
    gates = (FORGET, CELL, OUTPUT) if without else (INPUT, FORGET, CELL, OUTPUT)
    needed = [place + gate for gate in gates for place in (WEIGHTS, RECURRENT, BIASES)]
    if normalized:
        needed += [NORMALIZATIONS + gate for gate in gates]
    if any(given.at(place) is None for place in needed) or (without and given.at(RECURRENT) is not None):
        return "its operands or options are incomplete"
    peepholes = {given.at(PEEPHOLES[gate]) is None for gate in gates if gate in PEEPHOLES}
    return "its operands or options are incomplete" if len(peepholes) > 1 else ""
