"""How constants are stored: integers with scales, palettes, or plain floats.

* int8 with a scale: ``constexpr_affine_dequantize`` (iOS 16). int4: ``constexpr_blockwise_shift_scale`` (iOS 18).
* floats of at most 2, 4, 16, 64 or 256 different values: ``constexpr_lut_to_dense`` (iOS 16), a palette and 1, 2, 4, 6
  or 8 bits per weight. The pass ``palettize`` makes such weights; finding them here loses nothing.
* all others: float16 or float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.coreml.tools import mb, types
from edgekit.graph import Tensor

if TYPE_CHECKING:
    from edgekit.backends.coreml.emitter import Emitter

LEAST = 256
"""Elements below which a constant is stored as plain floats: a palette or scales would cost more than they save."""

SMALLEST_HALF = float(np.finfo(np.float16).tiny)
"""The smallest float16 with all its bits (6.1e-5): scales below it lose precision."""

PALETTES = (1, 2, 4, 6, 8)
"""Bits per weight that Core ML has palettes of."""


def emit(
    emitter: Emitter, tensor: Tensor, name: str, order: tuple[int, ...] | None, shape: tuple[int, ...] | None
) -> Any:
    """The constant as a MIL variable, its axes reordered by ``order``, then in ``shape``."""
    q, scaled = tensor.quantization, tensor.has_scale and tensor.dtype in ("int8", "int4")
    if scaled and q is not None and tensor.elements >= LEAST and len(tensor.shape) > 1:
        smallest = float(q.scale.min())
        if not emitter.half or smallest >= SMALLEST_HALF:
            made = _integers(emitter, tensor, name, order, shape)
            if made is not None:
                return made
    values = tensor.array()
    if tensor.has_scale and q is not None and values.dtype.kind in "iu":
        values = q.dequantize(values)
    values = _arranged(values, order, shape)
    values = emitter.rounded(values, "a constant")
    if values.dtype.kind == "f" and values.size >= LEAST:
        palette, places = np.unique(values, return_inverse=True)
        bits = next((b for b in PALETTES if len(palette) <= 1 << b), 0)
        if bits and np.isfinite(palette).all():
            return _palette(palette, places.reshape(-1), bits, values.shape, name)
    return mb.const(val=values if values.ndim else values[()], name=name)


def _arranged(values: NDArray[Any], order: tuple[int, ...] | None, shape: tuple[int, ...] | None) -> NDArray[Any]:
    values = values if order is None else values.transpose(order)
    return np.ascontiguousarray(values if shape is None else values.reshape(shape))


def _integers(
    emitter: Emitter, tensor: Tensor, name: str, order: tuple[int, ...] | None, shape: tuple[int, ...] | None
) -> Any:
    """Integers with scales; None where the axis of the scales does not survive the reshaping."""
    q = tensor.quantization
    assert q is not None
    values, axis = _arranged(tensor.array(), order, shape), q.axis if order is None else order.index(q.axis)
    if q.per_channel and shape is not None and (axis >= len(shape) or shape[axis] != len(q.scale)):
        return None
    scale = q.scale.astype(emitter.float)
    if tensor.dtype == "int4":
        wide = [1] * values.ndim
        if q.per_channel:
            wide[axis] = -1
        if np.any(q.zero_point):
            return None
        four = values.astype(types.np_int4_dtype)
        return mb.constexpr_blockwise_shift_scale(data=four, scale=scale.reshape(wide), name=name)
    zero = q.zero_point.astype(values.dtype)
    if not q.per_channel:
        scale, zero = scale.reshape(-1)[0], zero.reshape(-1)[0]
    elif len(zero) != len(scale):
        zero = np.full(len(scale), zero[0])
    return mb.constexpr_affine_dequantize(
        quantized_data=values, scale=scale, zero_point=zero, axis=np.int32(axis), name=name
    )


def _palette(palette: NDArray[Any], places: NDArray[Any], bits: int, shape: tuple[int, ...], name: str) -> Any:
    table = np.zeros(1 << bits, palette.dtype)
    table[: len(palette)] = palette
    return mb.constexpr_lut_to_dense(
        indices=packed(places, bits), lut=table, shape=np.array(shape, np.uint32), name=name
    )


def packed(places: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Pack numbers below ``2**bits``, least significant bit first, across bytes (MIL: constexpr_lut_to_dense)."""
    each = (places.astype(np.uint8)[:, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(each.reshape(-1), bitorder="little")
