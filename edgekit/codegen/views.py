"""Affine views: which element of a tensor each element of another array is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgekit.errors import DamagedModel

Step = tuple[int, ...]
Index = int | slice | None


@dataclass(frozen=True)
class View:
    """Elements of a tensor as an array of another shape, without a copy.

    Element ``i`` of the view is the tensor's element ``origin + sum(i[axis] * steps[axis])``, a vector with one
    coordinate per axis of the tensor. So a view says nothing about how the tensor is laid out in memory.

    :param tensor: the tensor's number. :param shape: the view's.
    :param origin: coordinates of its first element. :param steps: for each axis of the view, what one step adds to the
        coordinates.
    """

    tensor: int
    shape: tuple[int, ...]
    origin: Step
    steps: tuple[Step, ...]

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def elements(self) -> int:
        """Number of elements."""
        total = 1
        for extent in self.shape:
            total *= extent
        return total

    def __getitem__(self, index: Any) -> View:
        """Basic indexing as NumPy's: integers, slices, ``None`` and one ``Ellipsis``.

        :raises DamagedModel: if there are too many indices, or an integer is out of range.
        """
        given: tuple[Any, ...] = index if isinstance(index, tuple) else (index,)
        used = sum(1 for one in given if one is not None and one is not Ellipsis)
        if used > self.ndim:
            raise DamagedModel(f"{used} indices for a view of {self.ndim} axes")
        rest = (slice(None),) * (self.ndim - used)
        place = next((n for n, one in enumerate(given) if one is Ellipsis), len(given))
        full: tuple[Index, ...] = (*given[:place], *rest, *given[place + 1 :])
        origin, shape, steps, axis = list(self.origin), list[int](), list[Step](), 0
        for one in full:
            if one is None:
                shape.append(1)
                steps.append((0,) * len(origin))
                continue
            extent, step = self.shape[axis], self.steps[axis]
            axis += 1
            if isinstance(one, slice):
                start, stop, stride = one.indices(extent)
                shape.append(len(range(start, stop, stride)))
                steps.append(tuple(s * stride for s in step))
            else:
                start = one + extent if one < 0 else one
                if not 0 <= start < extent:
                    raise DamagedModel(f"index {one} is out of range for an axis of {extent}")
            origin = [o + start * s for o, s in zip(origin, step, strict=True)]
        return View(self.tensor, tuple(shape), tuple(origin), tuple(steps))

    def transpose(self, axes: Sequence[int]) -> View:
        """The view with its axes in another order.

        :raises DamagedModel: if ``axes`` is not a permutation.
        """
        order = [axis % self.ndim for axis in axes] if self.ndim else list(axes)
        if sorted(order) != list(range(self.ndim)):
            raise DamagedModel(f"{axes} is not a permutation of {self.ndim} axes")
        return replace(self, shape=tuple(self.shape[a] for a in order), steps=tuple(self.steps[a] for a in order))

    def swapped(self) -> View:
        """The view with its last two axes exchanged."""
        return self.transpose([*range(self.ndim - 2), self.ndim - 1, self.ndim - 2])

    def broadcast(self, shape: Sequence[int]) -> View:
        """The view repeated along new leading axes and along axes of extent 1, as NumPy broadcasts.

        :raises DamagedModel: if the shapes do not broadcast.
        """
        none = (0,) * len(self.origin)
        before = len(shape) - self.ndim
        if before < 0:
            raise DamagedModel(f"a view of shape {self.shape} does not broadcast to {tuple(shape)}")
        steps = [none] * before
        for extent, wanted, step in zip(self.shape, shape[before:], self.steps, strict=True):
            if extent not in (1, wanted):
                raise DamagedModel(f"a view of shape {self.shape} does not broadcast to {tuple(shape)}")
            steps.append(step if extent == wanted else none)
        return replace(self, shape=tuple(shape), steps=tuple(steps))

    def split(self, shape: Sequence[int]) -> View:
        """The view with axes split into several, and axes of extent 1 added or removed; elements keep their order.

        :raises DamagedModel: if that shape takes joining axes, or has another number of elements.
        """
        none = (0,) * len(self.origin)
        whole = [(n, s) for n, s in zip(self.shape, self.steps, strict=True) if n != 1]
        steps: list[Step] = []
        pending = 1
        for extent in reversed(shape):
            if extent == 1:
                steps.append(none)
                continue
            if extent < 1 or not whole or (whole[-1][0] // pending) % extent or whole[-1][0] % pending:
                raise DamagedModel(f"a view of shape {self.shape} does not split into {tuple(shape)}")
            steps.append(tuple(s * pending for s in whole[-1][1]))
            pending *= extent
            if pending == whole[-1][0]:
                whole.pop()
                pending = 1
        if whole or pending != 1:
            raise DamagedModel(f"a view of shape {self.shape} does not split into {tuple(shape)}")
        return replace(self, shape=tuple(shape), steps=tuple(reversed(steps)))

    def expand(self, axis: int) -> View:
        """The view with a new axis of extent 1 before ``axis``."""
        return self[(slice(None),) * axis + (None,)]

    def strides(self, layout: Sequence[int]) -> tuple[int, ...]:
        """Elements of memory from one element of each axis to the next.

        :param layout: elements of memory from one element of each of the tensor's axes to the next.
        """
        return tuple(_dot(step, layout) for step in self.steps)

    def offset(self, layout: Sequence[int]) -> int:
        """Elements of memory from the tensor's first element to the view's."""
        return _dot(self.origin, layout)


def _dot(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True))


def whole(tensor: int, shape: Sequence[int]) -> View:
    """A tensor as it is."""
    rank = len(shape)
    steps = tuple(tuple(int(axis == other) for other in range(rank)) for axis in range(rank))
    return View(tensor, tuple(shape), (0,) * rank, steps)


def row_major(shape: Sequence[int]) -> tuple[int, ...]:
    """The layout of a dense tensor: elements from one element of each axis to the next."""
    strides, total = list[int](), 1
    for extent in reversed(shape):
        strides.append(total)
        total *= extent
    return tuple(reversed(strides))
