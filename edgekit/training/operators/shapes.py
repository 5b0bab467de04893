"""Operators that move values: reshape, slice, join, pad, repeat."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgekit.training.operators.call import Call, Kind, axis


def _reshape(call: Call) -> Any:
    return call.shaped(call.x(0))


def _transpose(call: Call) -> Any:
    return call.tf.transpose(call.x(0), (0, *(p + 1 for p in call.ints(1))))


def _concat(call: Call) -> Any:
    return call.tf.concat([call.full(i) for i in range(len(call.values))], axis(call.options.axis, len(call.shape)))


def _pack(call: Call) -> Any:
    return call.tf.stack([call.full(i) for i in range(len(call.values))], axis(call.options.axis, len(call.shape)))


def _unpack(call: Call) -> Any:
    return call.tf.unstack(call.x(0), axis=axis(call.options.axis, len(call.shapes[0])))


def _split(data: int, where: int) -> Callable[[Call], Any]:
    """``data`` and ``where`` are the positions of the activation and of the axis; the outputs say the sizes."""

    def split(call: Call) -> Any:
        (place,) = call.axes(where, len(call.shapes[data]))
        return call.tf.split(call.x(data), [shape[place - 1] for shape in call.outputs], place)

    return split


def _slice(call: Call) -> Any:
    return call.tf.slice(call.x(0), (0, *call.ints(1)), (-1, *call.shape))


def _strided_slice(call: Call) -> Any:
    """Move the masks up by one place, because all samples are taken.

    Where a dimension is dropped, TensorFlow ignores the mask of its begin, LiteRT does not.
    """
    o = call.options
    begin, end, strides = (call.ints(place) for place in (1, 2, 3))
    begin = [0 if (o.beginMask & o.shrinkAxisMask) >> place & 1 else b for place, b in enumerate(begin)]
    if o.offset:
        end = [b + e for b, e in zip(begin, end, strict=True)]
    return call.tf.strided_slice(
        call.x(0), [0, *begin], [0, *end], [1, *strides], o.beginMask << 1 | 1, o.endMask << 1 | 1,
        o.ellipsisMask << 1, o.newAxisMask << 1, o.shrinkAxisMask << 1,
    )  # fmt: skip


def _pads(call: Call) -> Any:
    return np.array([0, 0, *call.ints(1)]).reshape(-1, 2)


def _pad(call: Call) -> Any:
    value = np.asarray(call.values[2]).item() if call.has(2) else 0
    return call.tf.pad(call.x(0), _pads(call), constant_values=value)


def _mirror_pad(call: Call) -> Any:
    return call.tf.pad(call.x(0), _pads(call), ("REFLECT", "SYMMETRIC")[call.options.mode])


def _tile(call: Call) -> Any:
    times = [out // size if size else 1 for out, size in zip(call.shape, call.shapes[0], strict=True)]
    return call.tf.tile(call.x(0), (1, *times))


def _broadcast(call: Call) -> Any:
    x = call.x(0, len(call.shape))
    return call.tf.broadcast_to(x, (call.tf.shape(x)[0], *call.shape))


def _fill(call: Call) -> Any:
    """Inputs: the shape, the value."""
    x = call.x(1, len(call.shape))
    return call.tf.broadcast_to(x, (call.tf.shape(x)[0], *call.shape))


def _shape(call: Call) -> Any:
    return call.tf.constant([call.shapes[0]], call.dtype)


def _one_hot(call: Call) -> Any:
    """Inputs: places, how many there are, the values at the place and elsewhere."""
    (depth,), on, off = call.ints(1), *(np.asarray(call.values[i]).item() for i in (2, 3))
    return call.tf.one_hot(call.x(0), depth, on, off, axis(call.options.axis, len(call.shape)), call.dtype)


SHAPES: dict[str, Kind] = {
    "RESHAPE": Kind(_reshape),
    "SQUEEZE": Kind(_reshape),
    "EXPAND_DIMS": Kind(_reshape),
    "TRANSPOSE": Kind(_transpose, known=(1,)),
    "CONCATENATION": Kind(_concat),
    "PACK": Kind(_pack),
    "UNPACK": Kind(_unpack),
    "SPLIT": Kind(_split(1, 0), known=(0,)),
    "SPLIT_V": Kind(_split(0, 2), known=(2,)),
    "SLICE": Kind(_slice, known=(1,)),
    "STRIDED_SLICE": Kind(_strided_slice, known=(1, 2, 3)),
    "PAD": Kind(_pad, known=(1,)),
    "PADV2": Kind(_pad, known=(1, 2)),
    "MIRROR_PAD": Kind(_mirror_pad, known=(1,)),
    "TILE": Kind(_tile),
    "BROADCAST_TO": Kind(_broadcast),
    "FILL": Kind(_fill),
    "SHAPE": Kind(_shape, slopes=False),
    "ZEROS_LIKE": Kind(lambda call: call.tf.zeros_like(call.x(0)), slopes=False),
    "ONE_HOT": Kind(_one_hot, known=(1, 2, 3), slopes=False),
    "REVERSE_V2": Kind(lambda call: call.tf.reverse(call.x(0), call.axes(1, len(call.shape))), known=(1,)),
}
