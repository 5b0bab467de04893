"""Strided views: where each element of a tensor lies, as an offset and a stride an axis, in elements of its storage.

NumPy works them out: views of an array that is never read are sliced, transposed and broadcast like the tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from edgekit.backends.tvm.program import Kernel, View, product

if TYPE_CHECKING:
    from edgekit.backends.tvm.lowering import Lowering

_UNREAD = np.zeros(1, np.int8)


@dataclass(frozen=True)
class Strided:
    """A storage as a row of elements, and a view of it (``places``: shape and strides count, nothing else)."""

    row: View
    places: NDArray[np.int8]

    def seen(self, places: NDArray[np.int8]) -> Strided:
        return Strided(self.row, places)

    @property
    def offset(self) -> int:
        return int(self.places.ctypes.data - _UNREAD.ctypes.data)


def view(self: Lowering, index: int) -> Strided:
    """A tensor in its own shape."""
    tensor = self.graph.tensors[index]
    if tensor.data is not None:
        return constant(self, self.stored(index))
    picture = self.pictures[index]
    row = View(picture.storage, (product(picture.outer),), picture.dtype)
    shape = tensor.shape
    if len(shape) != 4 or shape[0] != 1:
        steps = _dense((*shape[:-1], picture.outer[2])) if shape else ()
        return Strided(row, as_strided(_UNREAD, shape, steps))
    _, width, channels = picture.outer
    whole = as_strided(_UNREAD, (1, *picture.outer), (product(picture.outer), width * channels, channels, 1))
    h, w, c = picture.size
    return Strided(row, whole[:, picture.top : picture.top + h, picture.left : picture.left + w, :c])


def constant(self: Lowering, values: NDArray[Any]) -> Strided:
    """Constant values, as they are stored."""
    row = self.program.constant(values.reshape(-1))
    return Strided(row, as_strided(_UNREAD, values.shape, _dense(values.shape)))


def _dense(shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(product(shape[axis + 1 :]) for axis in range(len(shape)))


def loops(views: Sequence[NDArray[np.int8]]) -> tuple[list[int], list[list[int]]]:
    """Extents and each view's strides, with axes of one element left out and axes that continue each other joined.

    :raises ValueError: if the views' shapes differ.
    """
    if len({v.shape for v in views}) > 1:
        raise ValueError(f"views of different shapes: {[v.shape for v in views]}")
    extents: list[int] = []
    strides: list[list[int]] = [[] for _ in views]
    for axis, extent in enumerate(views[0].shape):
        steps = [v.strides[axis] for v in views]
        if extent == 1:
            continue
        if extents and all(s[-1] == step * extent for s, step in zip(strides, steps, strict=True)):
            extents[-1] *= extent
            for s, step in zip(strides, steps, strict=True):
                s[-1] = step
            continue
        extents.append(extent)
        for s, step in zip(strides, steps, strict=True):
            s.append(step)
    return (extents, strides) if extents else ([1], [[0] for _ in views])


def move(self: Lowering, node: int, given: Strided, made: Strided) -> None:
    """Copy elements to the same places of another view."""
    compute(self, node, "copy", [given], made, {})


def compute(
    self: Lowering, node: int, function: str, given: Sequence[Strided], made: Strided, params: dict[str, Any]
) -> None:
    """``made[i] = function(given[0][i], ...)``; views of one shape, of any types that the function takes."""
    extents, strides = loops([*(g.places for g in given), made.places])
    offsets = [g.offset for g in (*given, made)]
    params = {
        **params, "function": function, "shape": extents, "strides": strides, "offsets": offsets,
        "sizes": [g.row.shape[0] for g in (*given, made)], "dtype": made.row.dtype,
    }  # fmt: skip
    if any(g.row.dtype != made.row.dtype for g in given):
        params["dtypes"] = [g.row.dtype for g in given]
    self.program.kernels.append(Kernel("nest", params, node, (*(g.row for g in given), made.row)))


def split_axes(x: NDArray[np.int8], shape: tuple[int, ...]) -> NDArray[np.int8]:
    """A view with axes split, never a copy."""
    return np.reshape(x, shape, copy=False)
