"""Convolutions and products with constant weights."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen import kernels
from edgekit.codegen.schedule.mcu import packing, strides
from edgekit.codegen.schedule.mcu.base import McuScheduler, NoKernel, element_rows, rows_behind, window_rows
from edgekit.codegen.schedule.mcu.rules import words
from edgekit.codegen.schedule.mcu.rules.elements import added
from edgekit.codegen.schedule.mcu.steps import Operand, Struct, table


def convolution(s: McuScheduler, kernel: kernels.Conv2D | kernels.DepthwiseConv2D) -> None:
    """Conv2D and DepthwiseConv2D; an addition that follows is a step of its own."""
    end, made = kernel.epilogue, s.output(kernel.output)
    target = made if end.residual is None else Operand(s.program.add(s.network.tensors[kernel.output].nbytes))
    _convolved(s, kernel, target)
    if end.residual is not None:
        _residual(s, kernel, end.residual, target)


def _of_one_channel(kernel: kernels.DepthwiseConv2D) -> kernels.Conv2D:
    """Return the convolution that a depthwise one of one input channel is."""
    common = {one.name: getattr(kernel, one.name) for one in fields(kernels.Convolution)}
    return kernels.Conv2D(**{**common, "weights": kernel.weights.transpose(2, 0, 1)[..., None]})


def _convolved(s: McuScheduler, kernel: kernels.Conv2D | kernels.DepthwiseConv2D, target: Operand) -> None:
    if isinstance(kernel, kernels.DepthwiseConv2D) and kernel.multiplier > 1 and s.shape(kernel.input)[3] == 1:
        kernel = _of_one_channel(kernel) if s.suffix(kernel.input) == "s8" and s.program.packing == "blocks" else kernel
    x, y, item = s.shape(kernel.input), s.shape(kernel.output), s.item(kernel.input)
    depthwise = isinstance(kernel, kernels.DepthwiseConv2D)
    groups = kernel.groups if isinstance(kernel, kernels.Conv2D) else 1
    kh, kw = kernel.weights.shape[:2] if depthwise else kernel.weights.shape[1:3]
    shape = Struct("ek_conv_shape", {
        "in_h": x[1], "in_w": x[2], "in_c": x[3], "out_h": y[1], "out_w": y[2], "out_c": y[3], "k_h": kh, "k_w": kw,
        "stride_h": kernel.strides[0], "stride_w": kernel.strides[1],
        "dilation_h": kernel.dilations[0], "dilation_w": kernel.dilations[1],
        "pad_top": kernel.padding[0], "pad_left": kernel.padding[1], "groups": groups, "strip": 0,
    })  # fmt: skip
    suffix, scratch, zero = s.suffix(kernel.input), 0, 0
    if suffix == "s16":
        shape.fields["flags"] = 0
        words.convolution(s, kernel, shape)
        return
    sizes = packing.ConvShape(**shape.fields)  # type: ignore[arg-type]
    if suffix == "f32":
        data = _floats(kernel)
        shape.fields["flags"] = 0
    else:
        s.require(suffix == "s8", f"there is no kernel for {s.dtype(kernel.input)}")
        weights = kernel.weights.transpose(2, 0, 1) if depthwise else kernel.weights
        packed, plain = packing.pack(weights, s.program.packing, groups)
        if depthwise:
            packed, plain = packing.pack_depthwise(kernel.weights, s.program.packing, y[3] // x[3])
        data, flags = _products(kernel, weights, packed, s.program.packing, plain=plain)
        shape.fields["flags"] = flags | plain
        sizes = packing.ConvShape(**shape.fields)  # type: ignore[arg-type]
        scratch = (packing.depthwise_scratch if depthwise else packing.conv_scratch)(sizes, s.program.packing)
        assert kernel.epilogue.requantization is not None
        zero = kernel.epilogue.requantization.input.zero_point
    behind: int | None = rows_behind(x, y, kernel.strides[0], kernel.padding[0], item) if groups == 1 else None
    in_place = False
    if suffix != "f32":
        behind = (
            packing.depthwise_behind(sizes, s.program.packing)
            if depthwise
            else packing.conv_behind(sizes, s.program.packing)
        )
        in_place = depthwise and packing.depthwise_in_place(sizes, s.program.packing)
    window = (kh - 1) * kernel.dilations[0] + 1
    rows = window_rows(shape, x, y, window, kernel.strides[0], kernel.padding[0], zero, item)
    if rows is not None and scratch:
        row = packing.ConvShape(**rows.shape.fields)  # type: ignore[arg-type]
        needed = (packing.depthwise_scratch if depthwise else packing.conv_scratch)(row, s.program.packing)
        rows = replace(rows, scratch=needed)
    name = "ek_depthwise_conv2d" if depthwise else "ek_conv2d"
    s.step(f"{name}_{suffix}", kernel, [s.operand(kernel.input)], target, shape, data, scratch, [behind], rows=rows,
           in_place=in_place)  # fmt: skip


def _residual(s: McuScheduler, kernel: kernels.Convolution, residual: kernels.Residual, between: Operand) -> None:
    """The addition that follows a convolution."""
    y, end = s.shape(kernel.output), kernel.epilogue
    mine, other = between, s.operand(residual.tensor)
    operands = (mine, other) if residual.first else (other, mine)
    shape = strides.flat(s.elements(kernel.output), 3)
    item = s.item(kernel.output)
    rows = element_rows(y, 3, 0 if residual.first else 1, (item, item))
    if end.requantization is None:
        limits = Struct("ek_limits_f32", {"low": float(residual.limits[0]), "high": float(residual.limits[1])})
        s.step("ek_add_f32", kernel, operands, s.output(kernel.output), shape, limits, 0, [0, 0], "add", rows)
        return
    assert residual.other is not None and residual.output is not None
    scales = (end.requantization.output, residual.other)
    first, second = scales if residual.first else scales[::-1]
    added(s, kernel, "add", operands, (first, second, residual.output), residual.limits, shape, [0, 0], rows)


def dense(s: McuScheduler, kernel: kernels.MatMul) -> None:
    """FULLY_CONNECTED."""
    count, depth = kernel.weights.shape
    shape = Struct("ek_dense_shape", {"rows": s.elements(kernel.input) // depth, "in": depth, "out": count, "flags": 0})
    suffix = s.suffix(kernel.input)
    if suffix == "s16":
        words.dense(s, kernel, shape)
        return
    if suffix == "f32":
        data = _floats(kernel)
    else:
        s.require(suffix == "s8", f"there is no kernel for {s.dtype(kernel.input)}")
        packed, plain = packing.pack(kernel.weights, s.program.packing)
        data, flags = _products(kernel, kernel.weights, packed, s.program.packing)
        shape.fields["flags"] = flags | plain
    s.step(f"ek_dense_{suffix}", kernel, [s.operand(kernel.input)], s.output(kernel.output), shape, data, 0, [None])


def transposed(s: McuScheduler, kernel: kernels.TransposeConv) -> None:
    """TRANSPOSE_CONV."""
    x, y, suffix = s.shape(kernel.input), s.shape(kernel.output), s.suffix(kernel.input)
    shape = Struct("ek_conv_shape", {
        "in_h": x[1], "in_w": x[2], "in_c": x[3], "out_h": y[1], "out_w": y[2], "out_c": y[3],
        "k_h": kernel.weights.shape[1], "k_w": kernel.weights.shape[2], "stride_h": kernel.strides[0],
        "stride_w": kernel.strides[1], "dilation_h": 1, "dilation_w": 1, "pad_top": kernel.padding[0],
        "pad_left": kernel.padding[1], "groups": 1, "strip": 0, "flags": 0,
    })  # fmt: skip
    if suffix == "s16":
        words.product(s, kernel, "ek_transpose_conv_s16", shape, kernel.weights)
        return
    if suffix == "f32":
        data = _floats(kernel)
    else:
        s.require(suffix == "s8", f"there is no kernel for {s.dtype(kernel.input)}")
        data, flags = _products(kernel, kernel.weights, kernel.weights, "rows", folds=False)
        shape.fields["flags"] = flags
    s.step(f"ek_transpose_conv_{suffix}", kernel, [s.operand(kernel.input)], s.output(kernel.output), shape, data, 0,
           [None])  # fmt: skip


Product = kernels.Conv2D | kernels.DepthwiseConv2D | kernels.MatMul | kernels.TransposeConv


def _floats(kernel: Product) -> Struct:
    """``struct ek_conv_data_f32``: weights, those of convolutions and dense layers in blocks; a bias, limits."""
    channels = kernel.weights.shape[-1 if isinstance(kernel, kernels.DepthwiseConv2D) else 0]
    weights = kernel.weights
    if isinstance(kernel, kernels.Conv2D | kernels.MatMul):
        weights = packing.pack_floats(weights, kernel.groups if isinstance(kernel, kernels.Conv2D) else 1)
    bias = np.zeros(channels, np.float32) if kernel.bias is None else kernel.bias
    low, high = kernel.epilogue.limits
    return Struct("ek_conv_data_f32", {
        "weights": table(weights, "float32"), "bias": table(bias, "float32"), "low": float(low),
        "high": float(high),
    })  # fmt: skip


def _products(
    kernel: Product,
    weights: NDArray[Any],
    packed: NDArray[Any],
    way: packing.Packing,
    *,
    folds: bool = True,
    plain: int = 0,
) -> tuple[Struct, int]:
    """``struct ek_conv_data``: the weights, the bias with the input's zero point folded in, the requantization.

    :param weights: one output channel per row, ``[out, ...]``. :param folds: False where some sums lack products.
    :param plain: flags of the packed weights. :returns: also the other flags.
    """
    end = kernel.epilogue
    assert end.requantization is not None
    multipliers, shifts = end.requantization.fixed_point(len(weights))
    zero = end.requantization.input.zero_point
    limits = int(end.limits[0]), int(end.limits[1])
    try:
        bias = packing.folded_bias(weights, kernel.bias, zero if folds else 0)
    except OverflowError as error:
        raise NoKernel(str(error)) from error
    flags = packing.flags(multipliers, shifts, limits, packing.largest_sums(weights, kernel.bias))
    count = 1 if flags & packing.PER_TENSOR else len(weights)
    factors = {
        "bias": table(packing.lanes(bias, way), "int32"),
        "multiplier": table(packing.lanes(multipliers[:count], way), "int32"),
        "shift": table(packing.lanes(shifts[:count], way), "int8"),
    }
    if isinstance(kernel, kernels.Conv2D | kernels.DepthwiseConv2D) and packing.takes_channels(flags, way):
        factors = {"channels": table(packing.channels(bias, multipliers, shifts, flags), "int32")}
    if isinstance(kernel, kernels.DepthwiseConv2D) and packing.takes_vectors(flags | plain, way, len(weights)):
        factors = {"channels": table(packing.vectors(bias, multipliers, shifts), "int32"),
                   **(factors if len(weights) % 16 else {})}  # fmt: skip
    return Struct("ek_conv_data", {
        "weights": table(packed, "int8"), **factors, "x_zero": zero,
        "y_zero": end.requantization.output.zero_point, "low": limits[0], "high": limits[1],
    }), flags  # fmt: skip
