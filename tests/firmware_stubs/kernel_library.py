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
from edgekit.codegen.schedule.mcu import packing, words

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

    def data(self, kind: packing.Packing, packed: Array, rows: Array, *, flags: int = 0, vectors: bool = False) -> Data:
        """``struct ek_conv_data``, alive as long as the layer."""
        bias = packing.folded_bias(rows, self.bias, self.x_zero).astype(np.int32)
        if flags:
            self.arrays = [packed, packing.channels(bias, self.multiplier, self.shift, flags)]
            pointers = [packed.ctypes.data, None, None, None, self.arrays[1].ctypes.data]
        else:
            numbers = (bias, self.multiplier.astype(np.int32), self.shift.astype(np.int8))
            self.arrays = [packed, *(packing.lanes(values, kind) for values in numbers)]
            pointers = [*(array.ctypes.data for array in self.arrays), None]
            if vectors:
                self.arrays.append(packing.vectors(*numbers))
                pointers[4] = self.arrays[-1].ctypes.data
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
    vectors = packing.takes_vectors(shape.flags, kind, shape.out_c)
    data = layer.data(kind, packed, rows, flags=flags, vectors=vectors)
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


class WordData(ctypes.Structure):
    """``struct ek_word_data``."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weights", "bias", "multiplier", "shift")),
        *((name, ctypes.c_int32) for name in ("rounding", "x_zero", "y_zero", "low", "high")),
    ]


ROUNDINGS: tuple[Callable[..., Array], ...] = (
    fixed_point.multiply_by_quantized_multiplier, fixed_point.multiply_rounding_once, fixed_point.multiply_wide,
    fixed_point.multiply_wide_rounding_once,
)  # fmt: skip
"""``EK_TWICE``, ``EK_ONCE``, ``EK_WIDE``, ``EK_WIDE_ONCE``."""


@dataclasses.dataclass
class Words:
    """A layer of int16 with weights of 8 bits.

    :param kind: ``conv2d``, ``depthwise`` or ``dense``. :param weights: as :class:`Layer` has them.
    """

    kind: str
    shape: packing.ConvShape | packing.DenseShape
    weights: Array
    bias: Array
    multiplier: Array
    shift: Array
    rounding: int
    limits: tuple[int, int]

    @property
    def rows(self) -> Array:
        """Weights, an output channel per row."""
        return self.weights.transpose(2, 0, 1) if self.kind == "depthwise" else self.weights

    def packed(self, way: packing.Packing) -> Array:
        if self.kind == "depthwise":
            return words.pack_depthwise(self.weights, way)
        return words.pack(self.weights, way, getattr(self.shape, "groups", 1))

    def scratch(self, way: packing.Packing) -> int:
        s, depth = self.shape, self.weights[0].size
        if isinstance(s, packing.DenseShape):
            return words.scratch(depth, way, direct=True)
        x, y = (1, s.in_h, s.in_w, s.in_c), (1, s.out_h, s.out_w, s.out_c)
        pixels = s.k_h == s.k_w == s.groups == 1
        pixels = pixels and words.direct(x, y, (s.stride_h, s.stride_w), (s.pad_top, s.pad_left))
        return 0 if self.kind == "depthwise" else words.scratch(depth, way, direct=pixels)

    def expected(self, x: Array) -> Array:
        wide = x.astype(np.int64)
        if isinstance(self.shape, packing.DenseShape):
            sums = wide @ self.weights.T.astype(np.int64)
        else:
            compute = depthwise_sums if self.kind == "depthwise" else conv_sums
            sums = compute(self.shape, self.weights.astype(np.int64), wide)
        total = sums + self.bias
        if self.rounding < 2:
            total = total.astype(np.int32).astype(np.int64)
        scaled = ROUNDINGS[self.rounding](total, self.multiplier, self.shift) + 3
        return np.clip(scaled, *self.limits).astype(np.int16)


def word_kernel(library: ctypes.CDLL, way: packing.Packing, layer: Words, x: Array, overlap: bool) -> Array:
    """A kernel of int16."""
    arrays = [
        layer.packed(way), layer.bias.astype(np.int64), layer.multiplier.astype(np.int32), layer.shift.astype(np.int8)
    ]  # fmt: skip
    arrays = [np.ascontiguousarray(array) for array in arrays]
    data = WordData(*(array.ctypes.data for array in arrays), layer.rounding, 0, 3, *layer.limits)
    s, far = layer.shape, None
    if isinstance(s, packing.DenseShape):
        result: tuple[int, ...] = (s.rows, s.outputs)
    else:
        result = (s.out_h, s.out_w, s.out_c)
        if overlap:
            far = words.behind((1, *x.shape), (1, *result), s.stride_h, s.pad_top)
    return _called(getattr(library, f"{layer.kind}_s16"), s, data, x, result, layer.scratch(way), far, np.int16)


def _called(
    kernel: Callable[..., Any], shape: Any, data: ctypes.Structure, x: Array, result: tuple[int, ...],
    scratch: int | None, far: int | None = None, dtype: Any = np.int8,
) -> Array:  # fmt: skip
    """The output; it starts ``far`` bytes before the input, or elsewhere for None. Checks what lies around it."""
    numbers = np.array(dataclasses.astuple(shape), np.int32)
    item = np.dtype(dtype).itemsize
    x = np.ascontiguousarray(x, dtype).reshape(-1).view(np.int8)
    result = (*result[:-1], result[-1] * item)
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
    return output.view(dtype).reshape(*result[:-1], -1)


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
