"""Kernels with state in NumPy, in TFLite's exact integer arithmetic."""

from __future__ import annotations

import numpy as np

from edgekit.codegen import fixed_point as fx
from edgekit.codegen import kernels as k
from tests.codegen import fixed16
from tests.codegen.integers import Array, clipped, scaled


def stepped(kernel: k.Svdf | k.Lstm, network: k.Network, values: dict[int, Array]) -> tuple[Array, dict[int, Array]]:
    """The output of the next step, and the variables after it."""
    return svdf(kernel, network, values) if isinstance(kernel, k.Svdf) else lstm(kernel, network, values)


def svdf(kernel: k.Svdf, network: k.Network, values: dict[int, Array]) -> tuple[Array, dict[int, Array]]:
    """``EvalIntegerSVDF`` (reference/svdf.h), which shifts the state at the end of a step."""
    x = values[kernel.input].astype(np.int64) - network.scale(kernel.input).zero_point
    filters, memory = kernel.times.shape
    state = values[kernel.state].reshape(-1, filters, memory).astype(np.int64)
    state[..., -1] = clipped(
        scaled(x.reshape(len(state), -1) @ kernel.features.astype(np.int64).T, kernel.first), "int16"
    )
    sums = (state * kernel.times).sum(-1).reshape(len(state), -1, kernel.rank).sum(-1)
    sums = sums if kernel.bias is None else sums + kernel.bias
    made = scaled(sums, kernel.second) + network.scale(kernel.output).zero_point
    state = np.concatenate([state[..., 1:], np.zeros_like(state[..., :1])], -1)
    shape = values[kernel.state].shape
    return np.clip(made, *kernel.limits), {kernel.state: state.reshape(shape).astype(np.int16)}


def gated(gate: k.Gate, x: Array, recurrent: Array, cell: Array) -> Array:
    """The sum of a gate in int16, normalized, before its activation (``LstmStepInteger`` in lstm_eval.cc)."""
    total = np.zeros((len(x), len(gate.bias)), np.int64)
    for values, weights, bias, factor in (
        (x, gate.weights, gate.bias, gate.factor),
        (recurrent, gate.recurrent_weights, gate.recurrent_bias, gate.recurrent_factor),
    ):
        total = clipped(scaled(values @ weights.astype(np.int64).T + bias, factor) + total, "int16")
    if gate.peephole is not None and gate.peephole_factor is not None:
        total = clipped(scaled(cell * gate.peephole, gate.peephole_factor) + total, "int16")
    return total if gate.normalization is None else normalized(gate.normalization, total)


def normalized(layer: k.LayerNormalization, rows: Array) -> Array:
    """``ApplyLayerNorm`` (portable_tensor_utils.cc)."""
    made = []
    count = rows.shape[1]
    for row in rows:
        mean = int(np.trunc(int(row.sum()) * 1024 / count))
        spread = int((row * row).sum()) * ((1 << 20) // count) - mean * mean
        variance = int(np.trunc(spread / (1 << 20)))
        multiplier, shift = fx.inverse_square_root(variance if variance >= 1 else layer.guard)
        whole = fx.multiply_by_quantized_multiplier(1024 * row - mean, multiplier, shift)
        total = whole * layer.weights + layer.bias
        rounded = np.sign(total) * ((np.abs(total) + 512) // 1024)
        factor = k.Factor(layer.factor.multiplier, layer.factor.shift + 12)
        made.append(clipped(scaled(rounded, factor), "int16"))
    return np.array(made)


def lstm(kernel: k.Lstm, network: k.Network, values: dict[int, Array]) -> tuple[Array, dict[int, Array]]:
    """All steps of a sequence (``EvalInteger8x8_16`` in lstm_eval.cc)."""
    steps = values[kernel.input].astype(np.int64)
    steps = steps if kernel.time_major else steps.swapaxes(0, 1)
    outputs = len(kernel.output_gate.recurrent_weights[0])
    recurrent = values[kernel.activation_state].reshape(-1, outputs).astype(np.int64)
    cell = values[kernel.cell_state].reshape(len(recurrent), -1).astype(np.int64)
    zero = network.scale(kernel.activation_state).zero_point
    made = []
    for x in steps:
        forget = fixed16.logistic(gated(kernel.forget_gate, x, recurrent, cell))
        new = fixed16.tanh(gated(kernel.cell_gate, x, recurrent, cell), 3)
        gate = kernel.input_gate
        share = 32767 - forget if gate is None else fixed16.logistic(gated(gate, x, recurrent, cell))
        kept = fx.rounding_divide_by_pot(forget * cell, 15)
        cell = clipped(kept + fx.rounding_divide_by_pot(share * new, 30 + kernel.cell_shift), "int16")
        if kernel.cell_clip:
            cell = np.clip(cell, -kernel.cell_clip, kernel.cell_clip)
        shown = fixed16.logistic(gated(kernel.output_gate, x, recurrent, cell))
        product = shown * fixed16.tanh(cell, 15 + kernel.cell_shift)
        hidden = clipped(scaled(product, kernel.hidden) + kernel.hidden_zero, "int8")
        if (last := kernel.projection) is not None:
            sums = hidden @ last.weights.astype(np.int64).T + last.bias
            hidden = clipped(scaled(sums, last.factor) + zero, "int8")
            hidden = np.clip(hidden, -last.clip, last.clip) if last.clip else hidden
        recurrent = hidden
        made.append(hidden)
    result = np.array(made)
    shapes = {index: values[index] for index in (kernel.activation_state, kernel.cell_state)}
    after = dict(zip(shapes, (recurrent, cell), strict=True))
    states = {index: after[index].reshape(old.shape).astype(old.dtype) for index, old in shapes.items()}
    return result if kernel.time_major else result.swapaxes(0, 1), states
