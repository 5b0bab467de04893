"""Rules of what moves values without computing: reshaping, joining, slicing, padding."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.backends.coreml.emitter import Emitter, Made, Rule
from edgekit.backends.coreml.tools import mb
from edgekit.graph import Operator

_FIRST = (0, 2, 3, 1)
"""Where an axis of ``[n, h, w, c]`` is in ``[n, c, h, w]``."""


def _numbers(e: Emitter, index: int) -> list[int]:
    return [int(v) for v in e.real(index).reshape(-1)]


def reshaped(e: Emitter, operator: Operator) -> Made:
    """RESHAPE, SQUEEZE, EXPAND_DIMS: the output's own shape says all."""
    index, shape = operator.inputs[0], e.shape(operator.outputs[0])
    x = e.plain(index)
    return Made([x if shape == e.shape(index) else mb.reshape(x=x, shape=list(shape) or [1])])


def transposed(e: Emitter, operator: Operator) -> Made:
    """Emit TRANSPOSE."""
    return Made([mb.transpose(x=e.plain(operator.inputs[0]), perm=_numbers(e, operator.inputs[1]))])


def joined(e: Emitter, operator: Operator) -> Made:
    """Emit CONCATENATION."""
    rank = len(e.shape(operator.outputs[0]))
    axis, first = operator.options.axis % rank, e.channels_first(operator.inputs)
    parts = [(e.picture if first else e.plain)(i) for i in operator.inputs]
    return Made([mb.concat(values=parts, axis=_FIRST[axis] if first else axis)], first)


def stacked(e: Emitter, operator: Operator) -> Made:
    """Emit PACK."""
    axis = operator.options.axis % len(e.shape(operator.outputs[0]))
    return Made([mb.stack(values=[e.plain(i) for i in operator.inputs], axis=axis)])


def unstacked(e: Emitter, operator: Operator) -> Made:
    """Emit UNPACK."""
    shape = e.shape(operator.inputs[0])
    axis, x = operator.options.axis % len(shape), e.plain(operator.inputs[0])
    parts = mb.split(x=x, num_splits=shape[axis], axis=axis) if shape[axis] > 1 else [x]
    return Made([mb.squeeze(x=part, axes=[axis]) for part in parts])


def split(e: Emitter, operator: Operator) -> Made:
    """SPLIT: the inputs are the axis and the values."""
    index = operator.inputs[1]
    axis, first = _numbers(e, operator.inputs[0])[0] % len(e.shape(index)), e.channels_first([index])
    x, count = (e.picture if first else e.plain)(index), len(operator.outputs)
    parts = mb.split(x=x, num_splits=count, axis=_FIRST[axis] if first else axis) if count > 1 else [x]
    return Made(parts, first)


def sliced(e: Emitter, operator: Operator) -> Made:
    """Emit SLICE."""
    index = operator.inputs[0]
    begin, size = _numbers(e, operator.inputs[1]), e.shape(operator.outputs[0])
    end = [b + s for b, s in zip(begin, size, strict=True)]
    return _window(e, index, begin, end, [1] * len(begin))


def strided(e: Emitter, operator: Operator) -> Made:
    """STRIDED_SLICE without ellipsis and new axes; Python's own slices give begin, end and stride."""
    index, o = operator.inputs[0], operator.options
    begin, end, stride = (_numbers(e, i) for i in operator.inputs[1:4])
    begins, ends, strides = [], [], []
    for axis, size in enumerate(e.shape(index)):
        if axis >= len(begin):
            low, high, step = 0, size, 1
        elif o.shrinkAxisMask >> axis & 1:
            low = begin[axis] % size
            high, step = low + 1, 1
        else:
            wanted = slice(
                None if o.beginMask >> axis & 1 else begin[axis], None if o.endMask >> axis & 1 else end[axis],
                stride[axis],
            )  # fmt: skip
            low, high, step = wanted.indices(size)
        if step < 0:
            raise ValueError("it slices backwards")
        begins.append(low)
        ends.append(high)
        strides.append(step)
    made = _window(e, index, begins, ends, strides)
    if o.shrinkAxisMask:
        plain = made.variables[0]
        if made.channels_first:
            plain = mb.transpose(x=plain, perm=(0, 2, 3, 1))
        return Made([mb.reshape(x=plain, shape=list(e.shape(operator.outputs[0])) or [1])])
    return made


def _window(e: Emitter, index: int, begin: list[int], end: list[int], stride: list[int]) -> Made:
    first = e.channels_first([index])
    order = (0, 3, 1, 2) if first else tuple(range(len(begin)))
    arguments = [np.array([numbers[i] for i in order], np.int32) for numbers in (begin, end, stride)]
    x = (e.picture if first else e.plain)(index)
    if (arguments[0] == 0).all() and list(arguments[1]) == list(x.shape) and (arguments[2] == 1).all():
        return Made([mb.identity(x=x)], first)
    return Made([mb.slice_by_index(x=x, begin=arguments[0], end=arguments[1], stride=arguments[2])], first)


def padded(e: Emitter, operator: Operator) -> Made:
    """PAD, PADV2, MIRROR_PAD. MIL mirrors the last two dimensions only."""
    index = operator.inputs[0]
    pads = e.real(operator.inputs[1]).reshape(-1, 2).astype(int)
    first = len(pads) == 4 and (e.channels_first([index]) or (operator.op == "MIRROR_PAD" and not pads[3].any()))
    order = (0, 3, 1, 2) if first else tuple(range(len(pads)))
    moved = np.array([pads[i] for i in order], np.int32).reshape(-1)
    x = (e.picture if first else e.plain)(index)
    if operator.op == "MIRROR_PAD":
        return Made([mb.pad(x=x, pad=moved[-4:], mode="reflect", constant_val=e.float(0))], first)
    fill: Any = 0.0
    if operator.op == "PADV2":
        fill = float(e.real(operator.inputs[2]).reshape(-1)[0])
    number = e.float(fill) if e.tensor(index).dtype in ("float32", "int8", "uint8") else np.int32(fill)
    return Made([mb.pad(x=x, pad=moved, mode="constant", constant_val=number)], first)


def tiled(e: Emitter, operator: Operator) -> Made:
    """Emit TILE."""
    return Made([mb.tile(x=e.plain(operator.inputs[0]), reps=_numbers(e, operator.inputs[1]))])


def gathered(e: Emitter, operator: Operator) -> Made:
    """Emit GATHER; a single index is stored with one dimension, which the result does not have."""
    axis = operator.options.axis if operator.options is not None else 0
    axis %= len(e.shape(operator.inputs[0]))
    data, places = map(e.plain, operator.inputs)
    found = mb.gather(x=data, indices=places, axis=axis)
    return Made([found if e.shape(operator.inputs[1]) else mb.squeeze(x=found, axes=[axis])])


def blocks(e: Emitter, operator: Operator) -> Made:
    """DEPTH_TO_SPACE and SPACE_TO_DEPTH: the block is the outer part of the channels, as in TensorFlow."""
    function = mb.depth_to_space if operator.op == "DEPTH_TO_SPACE" else mb.space_to_depth
    return Made([function(x=e.picture(operator.inputs[0]), block_size=operator.options.blockSize)], True)


RULES: dict[str, Rule] = {
    "RESHAPE": reshaped, "SQUEEZE": reshaped, "EXPAND_DIMS": reshaped, "TRANSPOSE": transposed,
    "CONCATENATION": joined, "PACK": stacked, "UNPACK": unstacked, "SPLIT": split, "SLICE": sliced,
    "STRIDED_SLICE": strided, "PAD": padded, "PADV2": padded, "MIRROR_PAD": padded, "TILE": tiled,
    "GATHER": gathered, "DEPTH_TO_SPACE": blocks, "SPACE_TO_DEPTH": blocks,
}  # fmt: skip
