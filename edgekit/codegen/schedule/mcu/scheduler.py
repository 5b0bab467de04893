"""Kernels -> steps: which function of the C kernel library computes each kernel, with which parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from edgekit.codegen import fixed_point, kernels
from edgekit.codegen.kernels import Limits, Network, Scale
from edgekit.codegen.program import ITEM
from edgekit.codegen.schedule.mcu import packing, strides
from edgekit.codegen.schedule.mcu.steps import Operand, Program, Rows, Step, Struct, Table, table
from edgekit.codegen.views import View
from edgekit.errors import ModelError

Rule = Callable[["McuScheduler", Any], None]


def schedule(network: Network, weights: packing.Packing = "rows") -> Program:
    """Schedule a network.

    :param weights: how kernels take them.
    :raises ModelError: if a kernel has no function in the library.
    """
    return McuScheduler(network, weights).run()


class McuScheduler:
    """See :func:`schedule`."""

    def __init__(self, network: Network, weights: packing.Packing = "rows") -> None:
        self.network, self.program = network, Program(packing=weights)
        self.buffers: dict[int, int] = {}
        """The buffer of each tensor."""

    def run(self) -> Program:
        """Add the steps of all kernels."""
        network, program = self.network, self.program
        for index in network.inputs:
            self.buffers[index] = program.add(network.tensors[index].nbytes)
            program.inputs.append(self.buffers[index])
        for kernel in network.kernels:
            rule = RULES.get(type(kernel))
            if rule is None:
                raise ModelError(f"operator {kernel.node} cannot be compiled: there is no {type(kernel).__name__} in C")
            rule(self, kernel)
        program.outputs += [self.operand(index).buffer for index in network.outputs]
        tensors = network.tensors
        program.ends = tuple(tensors[i] for i in network.inputs), tuple(tensors[i] for i in network.outputs)
        return program

    def operand(self, index: int) -> Operand:
        """A tensor as a step reads it: a constant, or the buffer that it lies in."""
        tensor = self.network.tensors[index]
        if index not in self.buffers and tensor.data is not None:
            return Operand(table=Table(tensor.array()))
        return self.output(index)

    def output(self, index: int) -> Operand:
        """The buffer of a tensor that a step writes."""
        if index not in self.buffers:
            self.buffers[index] = self.program.add(self.network.tensors[index].nbytes)
        return Operand(self.buffers[index])

    def shape(self, index: int) -> tuple[int, ...]:
        """A tensor's shape."""
        return self.network.tensors[index].shape

    def suffix(self, index: int) -> str:
        """How functions on a tensor's dtype end: ``s8``."""
        return SUFFIXES[self.network.tensors[index].dtype]

    def step(
        self, function: str, kernel: kernels.Kernel, inputs: Sequence[Operand], output: Operand,
        shape: Struct | None = None, data: Struct | None = None, scratch: int = 0,
        behind: Sequence[int | None] = (), title: str = "", rows: Rows | None = None,
    ) -> None:  # fmt: skip
        """Append a step."""
        name = title or type(kernel).__name__
        self.program.steps.append(
            Step(function, kernel.node, name, tuple(inputs), output, shape, data, scratch, tuple(behind), rows)
        )


SUFFIXES = {
    "int8": "s8", "int16": "s16", "int32": "s32", "int64": "s64", "float32": "f32", "bool": "u8", "uint8": "u8",
}  # fmt: skip


def _rows_behind(kernel: Any, x: Sequence[int], y: Sequence[int], stride: int, top: int) -> int:
    """How far an output must lie behind a feature map whose rows are read in order, and written in order.

    While row ``r`` of the output is written, rows of the input from ``r * stride - top`` on are read.
    """
    read, written = math.prod(x[2:]), math.prod(y[2:])
    return max((r + 1) * written - max(0, r * stride - top) * read for r in range(y[1]))


def convolution(s: McuScheduler, kernel: kernels.Convolution) -> None:
    """Conv2D and DepthwiseConv2D."""
    x, y = s.shape(kernel.input), s.shape(kernel.output)
    depthwise = isinstance(kernel, kernels.DepthwiseConv2D)
    kh, kw = kernel.weights.shape[:2] if depthwise else kernel.weights.shape[1:3]
    shape = Struct("ek_conv_shape", {
        "in_h": x[1], "in_w": x[2], "in_c": x[3], "out_h": y[1], "out_w": y[2], "out_c": y[3], "k_h": kh, "k_w": kw,
        "stride_h": kernel.strides[0], "stride_w": kernel.strides[1],
        "dilation_h": kernel.dilations[0], "dilation_w": kernel.dilations[1],
        "pad_top": kernel.padding[0], "pad_left": kernel.padding[1], "groups": 1, "strip": 1 if depthwise else 0,
    })  # fmt: skip
    name = "ek_depthwise_conv2d" if depthwise else "ek_conv2d"
    behind = _rows_behind(kernel, x, y, kernel.strides[0], kernel.padding[0])
    end = kernel.epilogue
    weights = kernel.weights.transpose(2, 0, 1) if depthwise else kernel.weights
    packed, plain = packing.pack(weights, s.program.packing)
    if depthwise:
        packed, plain = packing.pack_depthwise(kernel.weights), 0
    data, flags = _products(kernel, weights, packed)
    shape.fields["flags"] = flags | plain
    sizes = packing.ConvShape(**shape.fields)  # type: ignore[arg-type]
    scratch = (packing.depthwise_scratch if depthwise else packing.conv_scratch)(sizes, s.program.packing)
    given = s.operand(kernel.input)
    zero = end.requantization.input.zero_point if end.requantization else 0
    high = (kh - 1) * kernel.dilations[0] + 1
    rows = _rows(shape, x, y, high, kernel.strides[0], kernel.padding[0], zero)
    if end.residual is None:
        s.step(f"{name}_{s.suffix(kernel.input)}", kernel, [given], s.output(kernel.output), shape, data, scratch,
               [behind], rows=rows)  # fmt: skip
        return
    between = Operand(s.program.add(s.network.tensors[kernel.output].nbytes))
    s.step(f"{name}_{s.suffix(kernel.input)}", kernel, [given], between, shape, data, scratch, [behind],
           rows=rows)  # fmt: skip
    residual = end.residual
    assert end.requantization is not None and residual.other is not None and residual.output is not None
    operands = [(between, end.requantization.output), (s.operand(residual.tensor), residual.other)]
    (a, scale_a), (b, scale_b) = operands if residual.first else operands[::-1]
    _added(s, kernel, "add", (a, b), (scale_a, scale_b, residual.output), residual.limits,
           strides.flat(s.network.tensors[kernel.output].elements, 3), [0, 0], _row_of_elements(y, 0 if residual.first else 1))  # fmt: skip


def _rows(
    shape: Struct, x: Sequence[int], y: Sequence[int], window: int, stride: int, top: int, zero: int
) -> Rows | None:
    """A window's rows; None where the rows of the input make more rows of output than there are."""
    bottom = max(0, (y[1] - 1) * stride + window - x[1] - top)
    if y[1] * stride + window <= x[1] + top or top >= window:
        return None
    row = Struct(shape.tag, shape.fields | {"in_h": window, "out_h": 1, "pad_top": 0})
    return Rows(row, 0, window, stride, top, bottom, zero, x[1], y[1], math.prod(x[2:]), math.prod(y[2:]))


def _row_of_elements(shape: Sequence[int], place: int) -> Rows:
    """A row of a feature map that an element-wise step computes."""
    row = math.prod(shape[2:])
    return Rows(strides.flat(row, 3), place, 1, 1, 0, 0, 0, shape[1], shape[1], row, row)


def _products(
    kernel: kernels.Convolution | kernels.MatMul, weights: NDArray[Any], packed: NDArray[Any]
) -> tuple[Struct, int]:
    """``struct ek_conv_data``: the weights, the bias with the input's zero point folded in, the requantization.

    :param weights: one output channel per row, ``[out, ...]``. :returns: also the flags.
    """
    end = kernel.epilogue
    assert end.requantization is not None
    multipliers, shifts = end.requantization.fixed_point(len(weights))
    zero = end.requantization.input.zero_point
    limits = int(end.limits[0]), int(end.limits[1])
    try:
        bias = packing.folded_bias(weights, kernel.bias, zero)
    except OverflowError as error:
        raise ModelError(f"operator {kernel.node} cannot be compiled: {error}") from error
    flags = packing.flags(multipliers, shifts, limits, packing.largest_sums(weights, kernel.bias))
    count = 1 if flags & packing.PER_TENSOR else len(weights)
    return Struct("ek_conv_data", {
        "weights": table(packed, "int8"), "bias": table(bias, "int32"),
        "multiplier": table(multipliers[:count], "int32"), "shift": table(shifts[:count], "int8"),
        "x_zero": zero, "y_zero": end.requantization.output.zero_point, "low": limits[0], "high": limits[1],
    }), flags  # fmt: skip


def dense(s: McuScheduler, kernel: kernels.MatMul) -> None:
    """Lower MatMul."""
    count, depth = kernel.weights.shape
    rows = s.network.tensors[kernel.input].elements // depth
    packed, plain = packing.pack(kernel.weights, s.program.packing)
    data, flags = _products(kernel, kernel.weights, packed)
    shape = Struct("ek_dense_shape", {"rows": rows, "in": depth, "out": count, "flags": flags | plain})
    s.step(f"ek_dense_{s.suffix(kernel.input)}", kernel, [s.operand(kernel.input)], s.output(kernel.output), shape,
           data)  # fmt: skip


def pool(s: McuScheduler, kernel: kernels.Pool) -> None:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""
    x, y = s.shape(kernel.input), s.shape(kernel.output)
    shape = Struct("ek_pool_shape", {
        "in_h": x[1], "in_w": x[2], "channels": x[3], "out_h": y[1], "out_w": y[2], "k_h": kernel.window[0],
        "k_w": kernel.window[1], "stride_h": kernel.strides[0], "stride_w": kernel.strides[1],
        "pad_top": kernel.padding[0], "pad_left": kernel.padding[1],
    })  # fmt: skip
    data = Struct("ek_limits", {"low": int(kernel.limits[0]), "high": int(kernel.limits[1])})
    behind = _rows_behind(kernel, x, y, kernel.strides[0], kernel.padding[0])
    s.step(f"ek_{kernel.kind}_pool_{s.suffix(kernel.input)}", kernel, [s.operand(kernel.input)],
           s.output(kernel.output), shape, data, 0, [behind])  # fmt: skip


def softmax(s: McuScheduler, kernel: kernels.Softmax) -> None:
    """SOFTMAX, in TFLite's fixed-point arithmetic."""
    scale = s.network.scale(kernel.input)
    # PreprocessSoftmaxScaling and CalculateInputRadius (quantization_util.cc), with 5 integer bits.
    factor = min(kernel.beta * scale.scale * (1 << 26), (1 << 31) - 1.0)
    multiplier, shift = fixed_point.quantize_multiplier(factor)
    least = -math.floor(((1 << 5) - 1) * 2.0 ** (31 - 5) / 2.0**shift)
    depth = s.shape(kernel.input)[-1]
    shape = Struct("ek_softmax_shape", {"rows": s.network.tensors[kernel.input].elements // depth, "depth": depth})
    data = Struct("ek_softmax_data", {"multiplier": multiplier, "shift": shift, "least": least})
    s.step(f"ek_softmax_{s.suffix(kernel.input)}", kernel, [s.operand(kernel.input)], s.output(kernel.output), shape,
           data, 0, [0])  # fmt: skip


def elementwise(s: McuScheduler, kernel: kernels.Elementwise) -> None:
    """Arithmetic on two operands."""
    views = (*kernel.inputs, kernel.result)
    if s.suffix(kernel.output) != "s8" or kernel.function not in ("add", "sub") or kernel.limits is None:
        raise ModelError(f"operator {kernel.node} cannot be compiled: there is no {kernel.function} in C")
    shape, flat = strides.walk(s.network, views)
    extent = s.shape(kernel.output)
    rows = _row_of_elements(extent, 0) if flat and len(extent) == 4 and extent[0] == 1 else None
    scales = tuple(s.network.scale(view.tensor) for view in views)
    operands = [s.operand(view.tensor) for view in kernel.inputs]
    _added(s, kernel, kernel.function, operands, scales, kernel.limits, shape, [0 if flat else None] * 2, rows)


def _added(
    s: McuScheduler, kernel: kernels.Kernel, function: str, operands: Sequence[Operand], scales: Sequence[Scale],
    limits: Limits, shape: Struct, behind: Sequence[int | None], rows: Rows | None,
) -> None:  # fmt: skip
    """ADD and SUB: both sides at 20 more bits, at twice the larger scale (reference/integer_ops/add.h)."""
    a, b, out = scales
    twice = 2 * max(a.scale, b.scale)
    fields: dict[str, Any] = {"a_zero": a.zero_point, "b_zero": b.zero_point, "y_zero": out.zero_point}
    for name, factor in (("a", a.scale / twice), ("b", b.scale / twice), ("y", twice / ((1 << 20) * out.scale))):
        fields[f"{name}_multiplier"], fields[f"{name}_shift"] = fixed_point.quantize_multiplier(factor)
    fields |= {"low": int(limits[0]), "high": int(limits[1])}
    s.step(f"ek_{function}_s8", kernel, operands, s.output(kernel.output), shape, Struct("ek_add_data", fields), 0,
           behind, function, rows)  # fmt: skip


def reshape(s: McuScheduler, kernel: kernels.Reshape) -> None:
    """No step: the same buffer under another shape."""
    if kernel.input in s.buffers:
        s.buffers[kernel.output] = s.buffers[kernel.input]
        return
    _copy(s, kernel, View_of(s, kernel.input), View_of(s, kernel.output))


def View_of(s: McuScheduler, index: int) -> View:
    tensor = s.network.tensors[index]
    return strides.dense_view(index, tensor.elements, tensor.shape)


def move(s: McuScheduler, kernel: kernels.Move) -> None:
    """Copies between views."""
    _copy(s, kernel, kernel.source, kernel.result)


def _copy(s: McuScheduler, kernel: kernels.Kernel, source: View, result: View) -> None:
    item = ITEM[s.network.tensors[result.tensor].dtype]
    shape, _ = strides.walk(s.network, (source, result))
    s.step(f"ek_move_{8 * item}", kernel, [s.operand(source.tensor)], s.output(result.tensor), shape, title="Move")


def mean(s: McuScheduler, kernel: kernels.Reduce) -> None:
    raise ModelError("reduce")


RULES: dict[type[kernels.Kernel], Rule] = {
    kernels.Conv2D: convolution,
    kernels.DepthwiseConv2D: convolution,
    kernels.MatMul: dense,
    kernels.Pool: pool,
    kernels.Softmax: softmax,
    kernels.Elementwise: elementwise,
    kernels.Reshape: reshape,
    kernels.Move: move,
}
"""By kind of kernel."""
