"""Kernels with state in NumPy, in TFLite's exact integer arithmetic."""

from __future__ import annotations

import numpy as np

from edgekit.codegen import kernels as k
from tests.codegen.integers import Array, clipped, scaled


def stepped(kernel: k.Svdf | k.Lstm, network: k.Network, values: dict[int, Array]) -> tuple[Array, dict[int, Array]]:
    """The output of the next step, and the variables after it."""
    assert isinstance(kernel, k.Svdf)
    return svdf(kernel, network, values)


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
