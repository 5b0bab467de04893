"""Frames: what edgekit and a firmware say to each other over a UART, and the commands that are in them.

``firmware_stubs/mcu/ek_frame.h`` and ``ek_server.h`` describe both. A line may lose, change and add bytes: what is not
an intact frame is passed over, and a command without an answer is sent again. The firmware answers a command that it
has seen as before, without executing it twice.
"""

from __future__ import annotations

import secrets
import struct
import time
import zlib
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from edgekit.errors import DeviceError

PROTOCOL = 1
MAGIC = bytes((0x45, 0x4B, 0xC3, 0x3C))
MOST = 512
"""Bytes of a payload, at most."""
_HEADER = struct.Struct("<4sBBHII")
_CRC = struct.Struct("<I")
_ANSWER = 0x80
_NOISE = 1 << 20
"""Bytes that are not part of a frame, at most, while an answer is awaited."""


class Command(IntEnum):
    """What the firmware can be asked to do."""

    HELLO = 1
    SIZE = 2
    RESET = 3
    WRITE = 4
    RUN = 5
    READ = 6
    STEPS = 7
    STACK = 8
    PLACE = 9
    READY = 0x7E
    FAULT = 0x7F


class Status(IntEnum):
    """How the firmware answers."""

    OK = 0
    UNKNOWN = 1
    WRONG = 2
    NO_SESSION = 3
    FAULTED = 4


class Line(Protocol):
    """A serial line, or what stands for one."""

    @property
    def shown(self) -> str:
        """Who is at the other end, in messages."""

    def write(self, data: bytes) -> None:
        """Send bytes.

        :raises DeviceError: if the line broke.
        """

    def read(self, seconds: float) -> bytes:
        """Return some bytes; none if there are none for so long.

        :raises DeviceError: if the line broke.
        """


class Reset(DeviceError):
    """The firmware started anew since the session began."""


@dataclass(frozen=True)
class Frame:
    """One frame."""

    kind: int
    status: int
    sequence: int
    session: int
    payload: bytes = b""

    def encoded(self) -> bytes:
        """The frame's bytes on the line."""
        header = _HEADER.pack(MAGIC, self.kind, self.status, self.sequence, self.session, len(self.payload))
        payload = self.payload + _CRC.pack(zlib.crc32(self.payload)) if self.payload else b""
        return header + _CRC.pack(zlib.crc32(header)) + payload


_READY = Frame(Command.READY, 0, 0, 0)


class Decoder:
    """Finds the intact frames among the bytes of a line. ``passed``: bytes that belong to none."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self.passed = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Return the frames that ``data`` completes."""
        self._bytes += data
        found = []
        while (frame := self._next()) is not None:
            found.append(frame)
        return found

    def _next(self) -> Frame | None:
        while True:
            start = self._bytes.find(MAGIC)
            self._pass(max(0, len(self._bytes) - len(MAGIC) + 1) if start < 0 else start)
            if start < 0 or len(self._bytes) < _HEADER.size + _CRC.size:
                return None
            _, kind, status, sequence, session, length = _HEADER.unpack_from(self._bytes)
            payload = _HEADER.size + _CRC.size
            if length > MOST or self._crc(_HEADER.size) != zlib.crc32(self._bytes[: _HEADER.size]):
                self._pass(1)
                continue
            end = payload + (length + _CRC.size if length else 0)
            if len(self._bytes) < end:
                return None
            content = bytes(self._bytes[payload : payload + length])
            if length and self._crc(payload + length) != zlib.crc32(content):
                self._pass(1)
                continue
            del self._bytes[:end]
            return Frame(kind, status, sequence, session, content)

    def _crc(self, at: int) -> int:
        return int(_CRC.unpack_from(self._bytes, at)[0])

    def _pass(self, count: int) -> None:
        self.passed += count
        del self._bytes[:count]


class Client:
    """Asks a firmware, one command after the other.

    :param patience: seconds that an answer may take. :param attempts: how often a command is sent.
    """

    def __init__(self, line: Line, *, patience: float = 2.0, attempts: int = 3) -> None:
        self.line, self._patience, self._attempts = line, patience, attempts
        self._session = secrets.randbelow(2**32 - 1) + 1
        self._sequence = 0
        self._decoder = Decoder()

    def hello(self, *, starting: bool = False) -> bytes:
        """Begin a session; return the answer's payload.

        :param starting: the firmware is just being started, and will say when it is ready.
        :raises DeviceError: as :meth:`ask`.
        """
        if starting and self._answer(_READY, self._patience) is None:
            raise self._silent("does not start")
        return self.ask(Command.HELLO)

    def ask(self, command: Command, *words: int, data: bytes = b"", seconds: float = 0.0) -> bytes:
        """Send a command with words and bytes; return the answer's payload.

        :param seconds: how long the firmware may take to do it, beside :attr:`patience`.
        :raises Reset: if the firmware was reset. :raises DeviceError: if it does not answer, refuses or stopped.
        """
        self._sequence = self._sequence % 0xFFFF + 1
        payload = struct.pack(f"<{len(words)}I", *words) + data
        frame = Frame(command, 0, self._sequence, self._session, payload)
        for attempt in range(self._attempts):
            if attempt:  # complete what the firmware may be in the middle of reading
                self.line.write(bytes(MOST + _HEADER.size + 2 * _CRC.size))
            self.line.write(frame.encoded())
            answer = self._answer(frame, self._patience + seconds)
            if answer is not None:
                return self._judged(command, answer)
        raise self._silent(f"does not answer {command.name}")

    def _silent(self, what: str) -> DeviceError:
        return DeviceError(
            f"{self.line.shown} {what}",
            "is it powered, and does it run the bundle's firmware at this rate? docs/microcontrollers.md",
        )

    def _answer(self, asked: Frame, seconds: float) -> Frame | None:
        end, before = time.monotonic() + seconds, self._decoder.passed
        while (left := end - time.monotonic()) > 0:
            for frame in self._decoder.feed(self.line.read(left)):
                answer = (frame.kind, frame.sequence) == (asked.kind | _ANSWER, asked.sequence)
                if frame.session == asked.session and (answer or frame.kind == Command.FAULT | _ANSWER):
                    return frame
                if frame.kind == _READY.kind | _ANSWER and asked.kind != Command.HELLO:
                    raise self._was_reset()
            if self._decoder.passed - before > _NOISE:
                raise DeviceError(
                    f"{self.line.shown} sends what is not the firmware's protocol",
                    "does it run the bundle's firmware, at this rate? docs/microcontrollers.md",
                )
        return None

    def _was_reset(self) -> Reset:
        return Reset(f"{self.line.shown} was reset in the middle of a run", "check its power supply, and run again")

    def _judged(self, command: Command, answer: Frame) -> bytes:
        if answer.kind == Command.FAULT | _ANSWER:
            where = int.from_bytes(answer.payload[:4], "little")
            raise DeviceError(f"the firmware on {self.line.shown} crashed at address {where:#010x}", "reset it")
        if answer.status == Status.NO_SESSION:
            raise self._was_reset()
        if answer.status != Status.OK:
            raise DeviceError(f"the firmware on {self.line.shown} refuses {command.name}", "compile the bundle again")
        return answer.payload
