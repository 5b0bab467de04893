"""Typed kernels with state: low-rank filters over time and long short-term memory; only in :attr:`Scope.state`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.base import Factor, Kernel, Limits


@dataclass(frozen=True, eq=False)
class Svdf(Kernel):
    """A low-rank filter over time, int8 ``[batch, in] -> [batch, units]``; only in :attr:`Scope.state`.

    Each of the ``units * rank`` filters multiplies the input by its row of feature weights, puts the result at the end
    of its row of the state (the oldest value leaves), and multiplies that row by its time weights; a unit is the
    sum of ``rank`` consecutive filters and its bias.

    :param state: a variable, int16 ``[batch, filters * memory]``. :param features: int8 ``[filters, in]``.
    :param times: int16 ``[filters, memory]``. :param bias: int32 ``[units]``.
    :param first: of the sum over the input, to the state; :param second: of the sum over time, to the output.
    """

    input: int
    state: int
    features: NDArray[np.int8]
    times: NDArray[np.int16]
    bias: NDArray[np.int32] | None
    rank: int
    first: Factor
    second: Factor
    limits: Limits


@dataclass(frozen=True, eq=False)
class LayerNormalization:
    """Of a gate's sums before its activation.

    :param weights: int16 ``[cells]``. :param bias: int32 ``[cells]``. :param factor: of the result.
    :param guard: the least variance.
    """

    weights: NDArray[np.int16]
    bias: NDArray[np.int32]
    factor: Factor
    guard: int


@dataclass(frozen=True, eq=False)
class Gate:
    """Four of them make an :class:`Lstm`: a sum in int16 with 12 fractional bits, then an activation.

    :param weights: int8 ``[cells, in]``. :param bias: int32 ``[cells]``; zero points are folded into it.
    :param factor: of the input's products. :param recurrent_weights: int8 ``[cells, out]``,
        ``recurrent_bias`` and ``recurrent_factor``: of the activation state.
    :param peephole: int16 ``[cells]`` and ``peephole_factor``: of the cell state.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    factor: Factor
    recurrent_weights: NDArray[np.int8]
    recurrent_bias: NDArray[np.int32]
    recurrent_factor: Factor
    peephole: NDArray[np.int16] | None = None
    peephole_factor: Factor | None = None
    normalization: LayerNormalization | None = None


@dataclass(frozen=True, eq=False)
class Projection:
    """From the hidden state to the output: int8 ``weights`` ``[out, cells]``, zero points folded into ``bias``."""

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    factor: Factor
    clip: int
    """Of the results, 0 for none."""


@dataclass(frozen=True, eq=False)
class Lstm(Kernel):
    """UNIDIRECTIONAL_SEQUENCE_LSTM in int8 with an int16 cell state (TFLite's 8x8_16); only in :attr:`Scope.state`.

    :param input: int8 ``[steps, batch, in]`` if ``time_major``, else ``[batch, steps, in]``; the output likewise.
    :param activation_state: a variable, int8 ``[batch, out]``; :param cell_state: a variable, int16 ``[batch, cells]``.
    :param input_gate: None where it is ``1 - forget_gate``.
    :param cell_shift: the cell state's scale is ``2**cell_shift``.
    :param cell_clip: of the cell state, 0 for none. :param hidden: of the product of output gate and ``tanh`` of
        the cell state (30 fractional bits), and :param hidden_zero: what is added to it.
    """

    input: int
    activation_state: int
    cell_state: int
    input_gate: Gate | None
    forget_gate: Gate
    cell_gate: Gate
    output_gate: Gate
    projection: Projection | None
    cell_shift: int
    cell_clip: int
    hidden: Factor
    hidden_zero: int
    time_major: bool


@dataclass(frozen=True, eq=False)
class RealSvdf(Kernel):
    """:class:`Svdf` of float32; its state keeps the newest value, too.

    :param state: a variable, ``[batch, filters * memory]``. :param features: ``[filters, in]``.
    :param times: ``[filters, memory]``. :param bias: ``[units]``.
    """

    input: int
    state: int
    features: NDArray[np.float32]
    times: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    rank: int
    limits: Limits


@dataclass(frozen=True, eq=False)
class RealGate:
    """A gate of a :class:`RealLstm`, all of float32.

    :param weights: ``[cells, in]``. :param recurrent_weights: ``[cells, out]``. :param bias: ``[cells]``, added after
        the normalization where there is one. :param peephole: ``[cells]``, of the cell state.
    :param normalization: ``[cells]``: sums are normalized to mean 0 and variance 1, then multiplied by this.
    """

    weights: NDArray[np.float32]
    recurrent_weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    peephole: NDArray[np.float32] | None = None
    normalization: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class RealLstm(Kernel):
    """:class:`Lstm` of float32.

    :param activation: of cell gate and cell state: ``TANH``, ``RELU`` or ``RELU6``.
    :param projection: ``[out, cells]``, :param projection_bias: ``[out]``. :param cell_clip: and
    :param projection_clip: the largest magnitude, 0 for none.
    """

    input: int
    activation_state: int
    cell_state: int
    input_gate: RealGate | None
    forget_gate: RealGate
    cell_gate: RealGate
    output_gate: RealGate
    projection: NDArray[np.float32] | None
    projection_bias: NDArray[np.float32] | None
    cell_clip: float
    projection_clip: float
    activation: str
    time_major: bool
