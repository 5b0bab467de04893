"""The accelerator on a board, over the board's serial line (``ek_uart.sv`` says what goes over it).

The board was given its bitstream by its maker's tool (docs/fpga.md). That it has the bundle's configuration is checked.
The line itself checks nothing: what the accelerator holds is read again, and outputs are overwritten before each run.
The stream's memory cannot be read; `verify` compares the golden outputs.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import DeviceError
from edgekit.runners import OpenOptions, Session, Source
from edgekit.runners.overlay import Accelerator, Loaded
from edgekit.runners.overlay.counted import COUNTERS, Computed
from edgekit.transport.serial import Address, SerialLine

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.backends.overlay.document import Document
    from edgekit.bundle import Bundle
    from edgekit.codegen.schedule.overlay import Machine

ID, CONFIG, CONTROL, STATUS, BASE, BEATS, COMMANDS = 0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x34
TOTALS = (0x20, 0x24, 0x28, 0x2C, 0x30, 0x38)
"""Registers with the counters of a run, in the order of the log."""
LOG, ACTIVATIONS, STREAM = 0x10000, 0x80000, 0x800000
MAGIC = 0x454B4F31
LOG_DEPTH = 128
"""Commands whose counters a board's accelerator keeps."""
MOST_STREAM = 8 << 20
"""Bytes of memory that the serial line reaches."""
_BATCH = 64
"""Words that are asked for at once."""
_CHUNK = 512
"""Words that are written at once."""
_NO_RESULT = 0xA5C3963C
"""What lies in the outputs' words until the accelerator has written them."""
_RESET = "press FIRE1 on the board, and try again; docs/fpga.md says how to load a bitstream"


@dataclass(frozen=True)
class Board:
    """A board that answers. :param patience: seconds that an answer, or a run, may take."""

    line: SerialLine
    patience: float

    def write(self, address: int, words: Sequence[int] | NDArray[Any]) -> None:
        """Write consecutive words."""
        values = np.asarray(words, "<u4")
        commands = np.zeros((len(values), 8), np.uint8)
        commands[:, 0] = ord("W")
        commands[:, 1:4] = (address + 4 * np.arange(len(values), dtype="<u4")).view(np.uint8).reshape(-1, 4)[:, :3]
        commands[:, 4:] = np.ascontiguousarray(values).view(np.uint8).reshape(-1, 4)
        for start in range(0, len(values), _CHUNK):
            self.line.write(commands[start : start + _CHUNK].tobytes())

    def read(self, addresses: Sequence[int]) -> list[int]:
        """Read words.

        :raises DeviceError: if the board does not answer.
        """
        found: list[int] = []
        for start in range(0, len(addresses), _BATCH):
            batch = addresses[start : start + _BATCH]
            # A byte that is no command after each: an answer has left before the next one comes.
            self.line.write(b"".join(b"R" + address.to_bytes(3, "little") + b"\0" for address in batch))
            found += struct.unpack(f"<{len(batch)}I", self._answer(4 * len(batch)))
        return found

    def _answer(self, size: int) -> bytes:
        data, end = b"", time.monotonic() + self.patience
        while len(data) < size:
            part = self.line.read(end - time.monotonic())
            if not part:
                raise DeviceError(f"{self.line.shown} does not answer", _RESET)
            data += part
        if len(data) > size:
            raise DeviceError(f"{self.line.shown} says more than was asked for", _RESET)
        return data

    def check(self, machine: Machine) -> None:
        """Begin a conversation, and compare the accelerator with the bundle's.

        :raises DeviceError: if it is another, or none.
        """
        self.line.write(bytes(8))  # ends what another program may have begun
        time.sleep(0.05)
        while self.line.read(0.0):
            pass
        magic, config = self.read([ID, CONFIG])
        if magic != MAGIC:
            raise DeviceError(f"{self.line.shown} is not edgekit's accelerator", _RESET)
        there = (config & 255, config >> 8 & 255, bool(config >> 16 & 1), 8 if config >> 17 & 1 else 4)
        wanted = (machine.ic, machine.oc, machine.packed, machine.lanes)
        if there != wanted:
            raise DeviceError(
                f"the accelerator on {self.line.shown} has {_lanes(*there)}, the bundle's {_lanes(*wanted)}",
                "load the bitstream of the bundle's target",
            )

    def wait(self) -> None:
        """Wait until the accelerator has ended.

        :raises DeviceError: if it takes too long.
        """
        end = time.monotonic() + self.patience
        while self.read([STATUS])[0] & 1:
            if time.monotonic() > end:
                raise DeviceError(f"the accelerator on {self.line.shown} does not end", _RESET)

    def surely(self, address: int, words: Sequence[int] | NDArray[Any]) -> None:
        """Write consecutive words, and read them again.

        :raises DeviceError: if they are others.
        """
        self.write(address, words)
        if self.read([address + 4 * n for n in range(len(words))]) != [int(word) for word in words]:
            raise DeviceError(f"{self.line.shown} loses data", _RESET)

    def compute(self, program: Document, fed: Sequence[NDArray[Any]], samples: int) -> Computed:
        """Run samples, one after the other; their stream has been written.

        :raises DeviceError: if the line loses data, or the accelerator does not run.
        """
        outputs: list[list[NDArray[np.int8]]] = [[] for _ in program.outputs]
        log = np.zeros((0, len(COUNTERS)), np.int64)
        cycles = 0
        for n in range(samples):
            for port in program.outputs:  # what an earlier run left is no result of this one
                self.surely(ACTIVATIONS + 4 * port.base, [_NO_RESULT] * port.words)
            for port, x in zip(program.inputs, fed, strict=True):
                self.surely(ACTIVATIONS + 4 * port.base, np.frombuffer(port.packed(x[n]), "<u4"))
            self.write(CONTROL, [1])
            self.wait()
            *totals, commands = self.read([*TOTALS, COMMANDS])
            cycles += totals[0]
            found = [
                self.read([ACTIVATIONS + 4 * (port.base + k) for k in range(port.words)]) for port in program.outputs
            ]
            if {word for words in found for word in words} == {_NO_RESULT}:
                raise DeviceError(f"the accelerator on {self.line.shown} has not run", _RESET)
            if commands != len(program.commands) + 1:
                raise DeviceError(
                    f"the accelerator on {self.line.shown} took {commands} commands, not the bundle's "
                    f"{len(program.commands) + 1}", _RESET
                )  # fmt: skip
            for kept, port, words in zip(outputs, program.outputs, found, strict=True):
                kept.append(port.unpacked(np.array(words, "<u4").tobytes()))
            if n == 0:
                log = self._log(totals, commands)
        return Computed([np.stack(kept) for kept in outputs], log, cycles)

    def _log(self, totals: Sequence[int], commands: int) -> NDArray[np.int64]:
        """The counters when each command was taken; only the totals if there were more than the accelerator keeps."""
        if commands > LOG_DEPTH:
            return np.array([totals], np.int64)
        size = len(COUNTERS)
        words = self.read([LOG + 32 * n + 4 * k for n in range(commands) for k in range(size)])
        return np.array(words, np.int64).reshape(-1, size)


def _lanes(ic: int, oc: int, packed: bool, lanes: int) -> str:
    return f"{ic}x{oc} lanes{', packed,' if packed else ''} with {lanes} of requantization"


@contextmanager
def opened(bundle: Bundle, address: Address, patience: float, options: OpenOptions) -> Iterator[Session]:
    """A session with a board; its memory has the bundle's stream.

    :raises DeviceError: if the board does not answer, or has another accelerator.
    """
    loaded, chip = Loaded.of(bundle), bundle.target.programmable
    program, stream = loaded.program, loaded.stream
    if len(stream) > MOST_STREAM:
        raise DeviceError(f"the network's stream has {len(stream)} bytes, the board takes {MOST_STREAM}")
    options.progress.step(f"connect to {address.path}")
    with SerialLine(address.path, address.baud or chip.baud or 0) as line:
        board = Board(line, patience)
        board.check(program.machine)
        options.progress.step("write the network to the board's memory")
        board.write(STREAM, np.frombuffer(stream + bytes(-len(stream) % 4), "<u4"))
        board.surely(BASE, [0, len(stream) // (program.machine.mem_bits // 8)])

        def compute(fed: Sequence[NDArray[Any]], samples: int) -> Computed:
            return board.compute(program, fed, samples)

        step = "run on the board"
        yield Accelerator(loaded, Source.DEVICE, line.shown, compute, step, LOG_DEPTH, options)
