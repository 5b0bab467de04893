"""int16 activations with int8 weights: the constants of what the int8 rules hand on."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen import kernels, parameters, tables
from edgekit.codegen.schedule.mcu import words as word_packing
from edgekit.codegen.schedule.mcu.base import McuScheduler, window_rows
from edgekit.codegen.schedule.mcu.steps import Rows, Struct, table

TWICE, ONCE, WIDE, WIDE_ONCE = range(4)
"""How sums are rounded (``ek_words.h``)."""
Product = kernels.Conv2D | kernels.DepthwiseConv2D | kernels.MatMul | kernels.TransposeConv


def convolution(s: McuScheduler, kernel: kernels.Conv2D | kernels.DepthwiseConv2D, shape: Struct) -> None:
    """Conv2D and DepthwiseConv2D; one with a multiplier is a convolution with groups of one channel."""
    x, y, weights = s.shape(kernel.input), s.shape(kernel.output), kernel.weights
    assert kernel.epilogue.requantization is not None
    window = weights.shape[:2] if isinstance(kernel, kernels.DepthwiseConv2D) else weights.shape[1:3]
    zero = kernel.epilogue.requantization.input.zero_point
    function, scratch = "ek_conv2d_s16", 0
    groups = kernel.groups if isinstance(kernel, kernels.Conv2D) else 1
    if isinstance(kernel, kernels.Conv2D):
        packed = word_packing.pack(weights, s.program.packing, groups)
    elif x[3] == y[3] and math.prod(window) <= word_packing.CHUNK and zero == 0:
        function, packed = "ek_depthwise_conv2d_s16", word_packing.pack_depthwise(weights, s.program.packing)
        weights = weights.transpose(2, 0, 1)
    else:
        groups, weights = x[3], weights.transpose(2, 0, 1)
        packed = word_packing.pack(weights, s.program.packing, groups)
    shape.fields["groups"] = groups
    if function == "ek_conv2d_s16":
        pixels = math.prod(window) == groups == 1 and word_packing.direct(x, y, kernel.strides, kernel.padding)
        scratch = word_packing.scratch(math.prod(window) * x[3] // groups, s.program.packing, direct=pixels)
    behind = word_packing.behind(x, y, kernel.strides[0], kernel.padding[0]) if groups == 1 else None
    span = (window[0] - 1) * kernel.dilations[0] + 1
    rows = window_rows(shape, x, y, span, kernel.strides[0], kernel.padding[0], 0, 2) if zero == 0 else None
    if rows is not None:
        rows = replace(rows, scratch=scratch)
    product(s, kernel, function, shape, weights, packed, scratch, behind, rows)


def dense(s: McuScheduler, kernel: kernels.MatMul, shape: Struct) -> None:
    """FULLY_CONNECTED."""
    packed, depth = word_packing.pack(kernel.weights, s.program.packing), kernel.weights.shape[1]
    product(
        s,
        kernel,
        "ek_dense_s16",
        shape,
        kernel.weights,
        packed,
        word_packing.scratch(depth, s.program.packing, direct=True),
    )


def product(
    s: McuScheduler, kernel: Product, function: str, shape: Struct, weights: NDArray[Any],
    packed: NDArray[Any] | None = None, scratch: int = 0, behind: int | None = None, rows: Rows | None = None,
) -> None:  # fmt: skip
    """A step of sums of products.

    :param weights: one output channel per row. :param packed: as the kernel takes them, with the input's zero point
        folded into the bias; None: as they are, and not folded.
    """
    end = kernel.epilogue
    s.require(end.requantization is not None and end.residual is None, "there is no kernel for int16")
    assert end.requantization is not None
    multipliers, shifts = end.requantization.fixed_point(len(weights))
    s.require(int(shifts.max(initial=0)) < 15, "its results are larger than its sums")
    rounding = {
        (False, False): TWICE, (True, False): ONCE, (False, True): WIDE, (True, True): WIDE_ONCE,
    }[end.requantization.rounds_once, end.requantization.wide]  # fmt: skip
    bias = np.zeros(len(weights), np.int64) if kernel.bias is None else np.asarray(kernel.bias, np.int64)
    if packed is not None:
        bias = bias - end.requantization.input.zero_point * weights.reshape(len(weights), -1).sum(1, dtype=np.int64)
    data = Struct("ek_word_data", {
        "weights": table(weights if packed is None else packed, "int8"), "bias": table(bias, "int64"),
        "multiplier": table(multipliers, "int32"), "shift": table(shifts, "int8"),
        "rounding": rounding,
        "x_zero": end.requantization.input.zero_point, "y_zero": end.requantization.output.zero_point,
        "low": int(end.limits[0]), "high": int(end.limits[1]),
    })  # fmt: skip
    s.step(function, kernel, [s.operand(kernel.input)], s.output(kernel.output), shape, data, scratch, [behind],
           rows=rows)  # fmt: skip


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
