"""How tensors lie in the activation memory: rows of pixels of words of four channels."""

from __future__ import annotations

import math
from dataclasses import dataclass

Size = tuple[int, int, int]
"""Rows, columns, channels."""


@dataclass(frozen=True)
class Layout:
    """A tensor's place; pixel ``(y, x)`` begins at word ``base + y * row + x * pitch``.

    :param slack: words beyond the last pixel that may be overwritten.
    """

    size: Size
    base: int
    pitch: int
    row: int
    slack: int = 0

    @property
    def channel_words(self) -> int:
        """Words of a pixel that hold channels."""
        return -(-self.size[2] // 4)

    @property
    def spare(self) -> int:
        """Pixels for which there is room between the end of a row and the next."""
        return self.row // self.pitch - self.size[1]

    @property
    def words(self) -> int:
        """Words of the tensor, without slack."""
        return self.row * self.size[0]

    def at(self, y: int, x: int, word: int = 0) -> int:
        """The address of a word; pixels outside of the tensor have one, too."""
        return self.base + y * self.row + x * self.pitch + word


@dataclass(frozen=True)
class Blocks:
    """How pixels of an input lie in the channels of fewer, so that a strided convolution of it has stride 1.

    :param count: pixels of a block along each axis. :param top: and ``left``: rows and columns before the first.
    :param zero: what lies in a block beside the input's pixels.
    """

    count: int = 1
    top: int = 0
    left: int = 0
    zero: int = 0


@dataclass(frozen=True)
class Needs:
    """What reading and writing ask of a tensor's layout.

    :param odd_pitch: and ``odd_row``: an odd number of words from a pixel, a row to the next, so that neighbours lie in
        different banks. :param spare: pixels for which there is room behind each row.
    """

    odd_pitch: bool = False
    odd_row: bool = False
    spare: int = 0

    def __or__(self, other: Needs) -> Needs:
        return Needs(self.odd_pitch or other.odd_pitch, self.odd_row or other.odd_row, max(self.spare, other.spare))

    def layout(self, size: Size) -> Layout:
        """The smallest layout at 0."""
        pitch = -(-size[2] // 4) | self.odd_pitch
        return Layout(size, 0, pitch, (size[1] + self.spare) * pitch | self.odd_row)


READ_ANYHOW, WRITTEN_ANYHOW = Needs(odd_pitch=True, odd_row=True), Needs(odd_row=True, spare=3)
"""Of layouts that can be read, written in all ways."""


def size_of(shape: tuple[int, ...]) -> Size:
    """Rows, columns, channels of a tensor of any rank: leading axes are rows."""
    if len(shape) <= 1:
        return 1, 1, math.prod(shape)
    if len(shape) == 2:
        return 1, shape[0], shape[1]
    return math.prod(shape[:-2]), shape[-2], shape[-1]
