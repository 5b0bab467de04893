"""Constants stored sparse: only the nonzero blocks, followed by a DENSIFY operator.

The format is TensorFlow Lite's ``SparsityParameters``. A tensor of rank R with B blocked dimensions has R + B levels,
in the traversal order; each is dense (a size) or compressed (segments and indices, as in a CSR matrix). The values are
those of the innermost level, one after the other.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError
from edgekit.graph.ir import BITS, Tensor

_DENSE, _COMPRESSED = 0, 1
_MOST_LEVELS = 32
MOST_BYTES = 1 << 30
"""Of a tensor with all its values: a small file can name a shape without end."""

Ints = NDArray[np.int64]


def densified(tensor: Tensor) -> Tensor:
    """Return a sparse constant with all its values, zeros included.

    :raises ModelError: if the tensor's sparsity is damaged or of a kind that edgekit does not read.
    """
    dtype = np.dtype(tensor.dtype) if BITS.get(tensor.dtype, 0) >= 8 and tensor.dtype != "bfloat16" else None
    if tensor.data is None or dtype is None or tensor.data.size % dtype.itemsize:
        raise _damaged(tensor, f"its values are not whole numbers of {tensor.dtype}")
    if tensor.elements * dtype.itemsize > MOST_BYTES:
        raise _damaged(tensor, f"takes over {MOST_BYTES >> 20} MiB with its zeros")
    values = tensor.data.view(dtype)
    places = _places(tensor)
    if places.size > values.size:
        raise _damaged(tensor, f"it names {places.size} values and holds {values.size}")
    dense = np.zeros(tensor.elements, dtype)
    dense[places] = values[: places.size]
    return replace(tensor, data=dense.view(np.uint8), sparsity=None)


def _places(tensor: Tensor) -> Ints:
    """For each stored value the index of its element in the dense tensor, row by row."""
    about, rank = tensor.sparsity, len(tensor.shape)
    order, blocked = _ints(about.traversalOrder), _ints(about.blockMap)
    levels = about.dimMetadata if about.dimMetadata is not None else []
    if sorted(order.tolist()) != list(range(rank + blocked.size)) or order.size > _MOST_LEVELS:
        raise _damaged(tensor, "its traversal order is no order of its dimensions")
    if len(levels) != order.size or len(set(blocked.tolist())) != blocked.size or not _within(blocked, rank):
        raise _damaged(tensor, "its levels and blocks do not fit its shape")
    strides = np.array([math.prod(tensor.shape[n + 1 :]) for n in range(rank)], np.int64)
    sizes = np.array([*tensor.shape, *(0 for _ in blocked)], np.int64)
    for level, dimension in zip(levels, order.tolist(), strict=True):
        if dimension >= rank:
            size, of = int(level.denseSize), int(blocked[dimension - rank])
            if level.format != _DENSE or size < 1 or sizes[of] % size:
                raise _damaged(tensor, "its blocks do not divide its shape")
            sizes[dimension], sizes[of] = size, sizes[of] // size
    # A block's place counts in units of the block, an element's place in a block in elements.
    steps = np.array([*strides, *(strides[of] for of in blocked)], np.int64)
    for n, of in enumerate(blocked):
        steps[of] *= sizes[rank + n]
    position, place = np.zeros(1, np.int64), np.zeros(1, np.int64)
    for level, dimension in zip(levels, order.tolist(), strict=True):
        parents, position, own = _level(tensor, level, int(sizes[dimension]), position)
        place = place[parents] + own * steps[dimension]
    return place


def _level(tensor: Tensor, level: object, size: int, position: Ints) -> tuple[Ints, Ints, Ints]:
    """Walk one level down: each entry's parent (an index into ``position``), its position, and its index there."""
    kind, dense = level.format, int(level.denseSize)  # type: ignore[attr-defined]
    if kind == _DENSE:
        if dense != size or position.size * size > tensor.elements:
            raise _damaged(tensor, "the size of a level is not that of its dimension")
        own = np.tile(np.arange(size), position.size)
        return np.repeat(np.arange(position.size), size), np.repeat(position * size, size) + own, own
    segments = _ints(getattr(level.arraySegments, "values", None))  # type: ignore[attr-defined]
    indices = _ints(getattr(level.arrayIndices, "values", None))  # type: ignore[attr-defined]
    rising = segments.size > int(position.max(initial=-1)) + 1 and (np.diff(segments) >= 0).all()
    if kind != _COMPRESSED or not rising or segments[0] < 0 or segments[-1] > indices.size:
        raise _damaged(tensor, "the segments of a level do not fit it")
    if not _within(indices, size) or indices.size > tensor.elements:
        raise _damaged(tensor, "a level names an index that its dimension does not have")
    counts = segments[position + 1] - segments[position]
    parents = np.repeat(np.arange(position.size), counts)
    before = np.repeat(np.cumsum(counts) - counts, counts)
    below = np.arange(parents.size) - before + np.repeat(segments[position], counts)
    return parents, below, indices[below]


def _ints(values: object) -> Ints:
    return np.zeros(0, np.int64) if values is None else np.asarray(values, np.int64).reshape(-1)


def _within(values: Ints, size: int) -> bool:
    return bool(((values >= 0) & (values < size)).all())


def _damaged(tensor: Tensor, why: str) -> ModelError:
    return ModelError(f"tensor {tensor.name[:80]!r} is stored sparse, and {why}", "the file may be damaged")
