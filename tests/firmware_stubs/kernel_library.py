"""The C kernels as a shared library for the host, called on NumPy arrays, and what they have to compute."""

from __future__ import annotations

import ctypes
import dataclasses
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from edgekit import resources
from edgekit.codegen import fixed_point
from edgekit.codegen.schedule.mcu import packing

Array = NDArray[Any]
KERNELS = resources.folder("firmware_stubs") / "kernels"
WARNINGS = ("-std=c99", "-pedantic", "-ffreestanding", "-Wall", "-Wextra", "-Wconversion", "-Werror")
PACKINGS: dict[packing.Packing, tuple[str, ...]] = {
    "rows": (),
    "pairs": ("-DEK_PACKING=EK_PACKING_PAIRS",),
    "blocks": ("-DEK_PACKING=EK_PACKING_BLOCKS",),
}
GUARD = 64
"""Bytes before and after a buffer that a kernel must leave as they are."""


class Data(ctypes.Structure):
    """``struct ek_conv_data``."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weights", "bias", "multiplier", "shift", "channels")),
        *((name, ctypes.c_int32) for name in ("x_zero", "y_zero", "low", "high")),
    ]


@dataclasses.dataclass
class Layer:
    """A quantized layer: ``weights`` unpacked, one output channel per row of the first axis in ``rows``."""

    weights: Array
    bias: Array | None
    multiplier: Array
    shift: Array
    x_zero: int
    y_zero: int
    limits: tuple[int, int]
    arrays: list[Array] = dataclasses.field(default_factory=list)

    def data(self, kind: packing.Packing, packed: Array, rows: Array, *, flags: int = 0) -> Data:
        """``struct ek_conv_data``, alive as long as the layer."""
        bias = packing.folded_bias(rows, self.bias, self.x_zero).astype(np.int32)
        if flags:
            self.arrays = [packed, packing.channels(bias, self.multiplier, self.shift, flags)]
            pointers = [packed.ctypes.data, None, None, None, self.arrays[1].ctypes.data]
        else:
            numbers = (bias, self.multiplier.astype(np.int32), self.shift.astype(np.int8))
            self.arrays = [packed, *(packing.lanes(values, kind) for values in numbers)]
            pointers = [*(array.ctypes.data for array in self.arrays), None]
        return Data(*pointers, self.x_zero, self.y_zero, *self.limits)

    def flags(self, rows: Array) -> int:
        largest = packing.largest_sums(rows, self.bias)
        return packing.flags(self.multiplier, self.shift, self.limits, largest)


def build(to: Path, kind: packing.Packing, *options: str) -> ctypes.CDLL:
    """Compile the kernels; undefined behaviour traps."""
    library = to / f"kernels_{kind}.so"
    command = ["gcc", *WARNINGS, "-O2", "-g", "-fPIC", "-shared", *PACKINGS[kind], *options]
    command += ["-fsanitize=undefined", "-fsanitize-undefined-trap-on-error", f"-I{KERNELS}"]
    command += [str(Path(__file__).parent / "kernels.c"), "-o", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return ctypes.CDLL(str(library))


def conv(
    library: ctypes.CDLL, kind: packing.Packing, shape: packing.ConvShape, layer: Layer, x: Array, overlap: bool = False
) -> Array:
    """``ek_conv2d_s8``; weights ``[out, kh, kw, in / groups]``."""
    packed, plain = packing.pack(layer.weights, kind, shape.groups)
    shape = dataclasses.replace(shape, flags=layer.flags(layer.weights) | plain)
    data = layer.data(kind, packed, layer.weights, flags=shape.flags * packing.takes_channels(shape.flags, kind))
    scratch = packing.conv_scratch(shape, kind)
    far = packing.conv_behind(shape, kind) if overlap else None
    return _called(library.conv2d, shape, data, x, (shape.out_h, shape.out_w, shape.out_c), scratch, far)


def depthwise(
    library: ctypes.CDLL, kind: packing.Packing, shape: packing.ConvShape, layer: Layer, x: Array, overlap: bool = False
) -> Array:
    """``ek_depthwise_conv2d_s8``; weights ``[kh, kw, out]``."""
    rows = layer.weights.transpose(2, 0, 1)
    packed, plain = packing.pack_depthwise(layer.weights, kind, shape.out_c // shape.in_c)
    shape = dataclasses.replace(shape, flags=layer.flags(rows) | plain)
    flags = shape.flags * packing.takes_channels(shape.flags, kind)
    data = layer.data(kind, packed, rows, flags=flags)
    scratch = packing.depthwise_scratch(shape, kind)
    far = packing.depthwise_behind(shape, kind) if overlap else None
    if overlap and packing.depthwise_in_place(shape, kind):
        far = 0
    return _called(library.depthwise, shape, data, x, (shape.out_h, shape.out_w, shape.out_c), scratch, far)


def dense(library: ctypes.CDLL, kind: packing.Packing, layer: Layer, x: Array) -> Array:
    """``ek_dense_s8``; weights ``[units, depth]``."""
    units, depth = layer.weights.shape
    packed, plain = packing.pack(layer.weights, kind)
    shape = packing.DenseShape(len(x), depth, units, layer.flags(layer.weights) | plain)
    data = layer.data(kind, packed, layer.weights)
    return _called(library.dense, shape, data, x, (len(x), units), None)


class Floats(ctypes.Structure):
    """``struct ek_conv_data_f32``."""

    _fields_ = [
        ("weights", ctypes.c_void_p), ("bias", ctypes.c_void_p), ("low", ctypes.c_float), ("high", ctypes.c_float),
    ]  # fmt: skip


def floats(
    kernel: Callable[..., Any], shape: packing.ConvShape | packing.DenseShape, weights: Array, bias: Array, x: Array,
    result: tuple[int, ...], limits: tuple[float, float],
) -> Array:  # fmt: skip
    """A kernel of float32; weights as the kernel takes them. Checks what lies around the output."""
    arrays = [np.ascontiguousarray(a, np.float32) for a in (weights, bias, x)]
    data = Floats(arrays[0].ctypes.data, arrays[1].ctypes.data, *limits)
    numbers = np.array(dataclasses.astuple(shape), np.int32)
    memory = np.full(2 * GUARD + int(np.prod(result)), 12345, np.float32)
    places = [ctypes.c_void_p(arrays[2].ctypes.data), ctypes.c_void_p(memory.ctypes.data + 4 * GUARD)]
    kernel(ctypes.c_void_p(numbers.ctypes.data), ctypes.byref(data), *places)
    assert np.all(memory[:GUARD] == 12345) and np.all(memory[-GUARD:] == 12345)
    return memory[GUARD:-GUARD].reshape(result)


def _called(
    kernel: Callable[..., Any], shape: Any, data: Data, x: Array, result: tuple[int, ...], scratch: int | None,
    far: int | None = None,
) -> Array:  # fmt: skip
    """The output; it starts ``far`` bytes before the input, or elsewhere for None. Checks what lies around it."""
    numbers = np.array(dataclasses.astuple(shape), np.int32)
    x = np.ascontiguousarray(x, np.int8)
    size, work = int(np.prod(result)), scratch or 0
    input_at = GUARD if far is None else GUARD + max(0, far)
    output_at = input_at + x.size + GUARD if far is None else input_at - far
    end = max(input_at + x.size, output_at + size)
    memory = np.full(-(-end // 4) * 4 + GUARD + work + GUARD, 0x5A, np.int8)
    scratch_at = len(memory) - GUARD - work - (len(memory) - GUARD - work) % 4
    memory = np.append(memory, np.full(4, 0x5A, np.int8))
    memory[input_at : input_at + x.size] = x.reshape(-1)
    before = memory.copy()
    places = [ctypes.c_void_p(memory.ctypes.data + at) for at in (input_at, output_at, scratch_at)]
    kernel(ctypes.c_void_p(numbers.ctypes.data), ctypes.byref(data), *places[: 2 if scratch is None else 3])
    output = memory[output_at : output_at + size].copy()
    for at, count in ((output_at, size), (scratch_at, work)):
        memory[at : at + count] = before[at : at + count]
    assert np.array_equal(memory, before)
    return output.reshape(result)


def expected_conv(shape: packing.ConvShape, layer: Layer, x: Array) -> Array:
    return finished(layer, conv_sums(shape, layer.weights.astype(np.int64), x.astype(np.int64) - layer.x_zero))


def conv_sums(shape: packing.ConvShape, weights: Array, x: Array) -> Array:
    """Sums of products, without bias; ``x``: less its zero point."""
    depth, units = shape.in_c // shape.groups, shape.out_c // shape.groups
    parts = []
    for g in range(shape.groups):
        windows = _windows(shape, x[..., g * depth : (g + 1) * depth])
        parts.append(np.einsum("yxcrq,orqc->yxo", windows, weights[g * units : (g + 1) * units]))
    return np.concatenate(parts, -1)


def expected_depthwise(shape: packing.ConvShape, layer: Layer, x: Array) -> Array:
    return finished(layer, depthwise_sums(shape, layer.weights.astype(np.int64), x.astype(np.int64) - layer.x_zero))


def depthwise_sums(shape: packing.ConvShape, weights: Array, x: Array) -> Array:
    """The same of a depthwise convolution."""
    windows = np.repeat(_windows(shape, x), shape.out_c // shape.in_c, axis=2)
    return np.einsum("yxcrq,rqc->yxc", windows, weights)


def expected_dense(layer: Layer, x: Array) -> Array:
    products = (x.astype(np.int64) - layer.x_zero) @ layer.weights.T.astype(np.int64)
    return finished(layer, products, fixed_point.multiply_rounding_once)


def _windows(shape: packing.ConvShape, x: Array) -> Array:
    """Patches, ``[out_h, out_w, c, k_h, k_w]``."""
    height = (shape.k_h - 1) * shape.dilation_h + 1
    width = (shape.k_w - 1) * shape.dilation_w + 1
    bottom = max(0, (shape.out_h - 1) * shape.stride_h + height - shape.in_h - shape.pad_top)
    right = max(0, (shape.out_w - 1) * shape.stride_w + width - shape.in_w - shape.pad_left)
    padded = np.pad(x, ((shape.pad_top, bottom), (shape.pad_left, right), (0, 0)))
    windows = sliding_window_view(padded, (height, width), axis=(0, 1))[:: shape.stride_h, :: shape.stride_w]
    return windows[: shape.out_h, : shape.out_w, :, :: shape.dilation_h, :: shape.dilation_w]


def finished(
    layer: Layer, sums: Array, rescale: Callable[..., Array] = fixed_point.multiply_by_quantized_multiplier
) -> Array:
    total = sums if layer.bias is None else sums + layer.bias
    return np.clip(rescale(total, layer.multiplier, layer.shift) + layer.y_zero, *layer.limits)
