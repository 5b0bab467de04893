"""What the schedule makes: commands, the stream of them and their data, and where inputs and outputs lie."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.schedule.overlay.command import Command, Op
from edgekit.codegen.schedule.overlay.machine import Machine


@dataclass(frozen=True)
class Port:
    """Where an input or output lies: element ``[y, x, c]`` at byte ``4 * (base + y * row + x * pitch) + c``.

    :param shape: of the tensor. :param size: rows, columns, channels. :param base: , ``row``, ``pitch``: in words.
    :param block: of pixels that lie in the channels of one: pixel ``(y, x)`` is the channels from
        ``((y + top) % block * block + (x + left) % block) * channels`` on of pixel ``((y + top) // block, (x + left) //
        block)``. :param words: from base on, to the last that is written. :param zero: what lies between.
    """

    shape: tuple[int, ...]
    size: tuple[int, int, int]
    base: int
    row: int
    pitch: int
    words: int
    block: int = 1
    top: int = 0
    left: int = 0
    zero: int = 0

    def places(self) -> NDArray[np.int64]:
        """The byte of each element from ``base`` on, in the tensor's order."""
        height, width, channels = self.size
        y, x, c = np.ogrid[:height, :width, :channels]
        y, x = y + self.top, x + self.left
        channel = ((y % self.block) * self.block + x % self.block) * channels + c
        places = 4 * (y // self.block * self.row + x // self.block * self.pitch) + channel
        return np.broadcast_to(places, self.size).reshape(-1).astype(np.int64)

    def packed(self, values: NDArray[np.int8]) -> bytes:
        """The memory from ``base`` on for a tensor's values."""
        image = np.full(4 * self.words, self.zero, np.int8)
        image[self.places()] = values.reshape(-1)
        return image.tobytes()

    def unpacked(self, image: bytes) -> NDArray[np.int8]:
        """A tensor's values of the memory from ``base`` on."""
        values: NDArray[np.int8] = np.frombuffer(image, np.int8)[self.places()].reshape(self.shape)
        return values


@dataclass(frozen=True)
class Step:
    """A command and what follows it in the stream.

    :param node: operator. :param data: parameters, weights, tables. :param macs: that the operator needs of it.
    :param cycles: that the cost model expects.
    """

    node: int
    name: str
    command: Command
    data: bytes = b""
    macs: int = 0
    cycles: int = 0


@dataclass(frozen=True)
class OverlayProgram:
    """A network for one configuration. :param words: of activation memory that are in use."""

    machine: Machine
    steps: tuple[Step, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    words: int
    tensors: dict[int, Port] = field(default_factory=dict)

    def stream(self) -> bytes:
        """The memory image: commands in order, each with its data, in whole beats, and the end."""
        parts = [step.command.header() + step.data for step in self.steps]
        whole = b"".join([*parts, Command(Op.END).header()])
        return whole + b"\0" * (-len(whole) % (self.machine.mem_bits // 8))
