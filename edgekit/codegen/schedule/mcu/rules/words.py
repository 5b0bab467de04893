"""int16 activations with int8 weights: the constants of what the int8 rules hand on."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen import kernels, parameters, tables
from edgekit.codegen.schedule.mcu.base import McuScheduler
from edgekit.codegen.schedule.mcu.steps import Struct, table

TWICE, ONCE, WIDE = range(3)
"""How sums are rounded (``ek_words.h``)."""
Product = kernels.Conv2D | kernels.DepthwiseConv2D | kernels.MatMul | kernels.TransposeConv


def convolution(s: McuScheduler, kernel: kernels.Conv2D | kernels.DepthwiseConv2D, shape: Struct) -> None:
    """Conv2D and DepthwiseConv2D, which has groups of one channel."""
    weights = kernel.weights
    if isinstance(kernel, kernels.DepthwiseConv2D):
        shape.fields["groups"] = s.shape(kernel.input)[3]
        weights = weights.transpose(2, 0, 1)
    product(s, kernel, "ek_conv2d_s16", shape, weights)


def product(s: McuScheduler, kernel: Product, function: str, shape: Struct, weights: NDArray[Any]) -> None:
    """A step of sums of products.

    :param weights: one output channel per row.
    """
    end = kernel.epilogue
    s.require(end.requantization is not None and end.residual is None, "there is no kernel for int16")
    assert end.requantization is not None
    multipliers, shifts = end.requantization.fixed_point(len(weights))
    s.require(int(shifts.max(initial=0)) < 15, "its results are larger than its sums")
    narrow = ONCE if end.requantization.rounds_once else TWICE
    bias = np.zeros(len(weights), np.int64) if kernel.bias is None else kernel.bias
    data = Struct("ek_word_data", {
        "weights": table(weights, "int8"), "bias": table(bias, "int64"), "multiplier": table(multipliers, "int32"),
        "shift": table(shifts, "int8"), "rounding": WIDE if end.requantization.wide else narrow,
        "x_zero": end.requantization.input.zero_point, "y_zero": end.requantization.output.zero_point,
        "low": int(end.limits[0]), "high": int(end.limits[1]),
    })  # fmt: skip
    s.step(function, kernel, [s.operand(kernel.input)], s.output(kernel.output), shape, data, 0, [None])


def sigmoid(s: McuScheduler, kernel: kernels.Map) -> Struct:
    """Constants of LOGISTIC and TANH."""
    factor = parameters.sigmoid16_factor(s.network.scale(kernel.input))
    return Struct("ek_sigmoid_data", {
        "table": table(tables.SIGMOID16, "uint16"), "multiplier": factor.multiplier, "shift": factor.shift,
    })  # fmt: skip


def softmax(s: McuScheduler, kernel: kernels.Softmax) -> Struct:
    """Constants of SOFTMAX."""
    factor = parameters.softmax16_factor(s.network.scale(kernel.input), kernel.beta)
    return Struct("ek_softmax_data_s16", {
        "exp": table(tables.EXP16, "int16"), "reciprocal": table(tables.RECIPROCAL16, "int16"),
        "multiplier": factor.multiplier, "shift": factor.shift,
    })  # fmt: skip
