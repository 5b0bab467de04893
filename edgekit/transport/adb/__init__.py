"""A connection to an Android device through the adb server, with a private folder there that always goes away.

Speaks the server's protocol itself (Android's ``packages/modules/adb``: OVERVIEW.TXT, SERVICES.TXT, SYNC.TXT and
shell_protocol.h), so that only a running server is needed, here or elsewhere: ``ADB_SERVER_SOCKET=tcp:host:port`` and
``ANDROID_ADB_SERVER_PORT`` say where, as they do for adb. A request is four hex digits of length and a text; the
answer OKAY, or FAIL with a text. As with ssh, one session holds the folder and removes it when its input ends.
"""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType

from edgekit.errors import DeviceError
from edgekit.transport import MOST_OUTPUT, Done, File, TooLarge
from edgekit.transport.adb.wire import CHUNK, CONNECT_SECONDS, Wire, server
from edgekit.transport.keeper import GREETING, KEEPER

__all__ = ["AdbConnection", "server"]

COPY_SECONDS = 120.0
PLACE = "/data/local/tmp"
STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)
SLOWEST = 1e6
"""Bytes a second that a device sends at least."""
ASK_SECONDS = 10.0
_MAX_GREETING = 10_000


@dataclass
class AdbConnection:
    """See :class:`edgekit.transport.Connection`.

    :param serial: as ``adb devices`` prints it; empty: the only one.
    """

    serial: str = ""
    folder: str = ""
    arch: str = ""
    _keeper: Wire | None = field(default=None, repr=False)

    @property
    def shown(self) -> str:
        """See :class:`edgekit.transport.Connection`."""
        return f"device {self.serial!r}" if self.serial else "the device"

    def __enter__(self) -> AdbConnection:
        """:raises DeviceError: one line on what is wrong: the server, the device, its folder."""
        self._keeper = self._service(f"shell,v2,raw:TMPDIR={PLACE}; {KEEPER}", CONNECT_SECONDS)
        try:
            self.folder, self.arch = self._greeting(self._keeper)
        except BaseException:
            self._keeper.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the keeper's input and wait until the folder is gone; where the device is gone, it does so itself."""
        assert self._keeper is not None
        with contextlib.suppress(DeviceError):
            self._keeper.allow(CONNECT_SECONDS)
            self._keeper.send(struct.pack("<BI", CLOSE_STDIN, 0))
            while self._keeper.packet()[0] != EXIT:
                pass
        self._keeper.close()

    def _greeting(self, keeper: Wire) -> tuple[str, str]:
        """The folder and the architecture; a shell may say other things before, on standard error."""
        said: dict[int, str] = {STDOUT: "", STDERR: ""}
        while True:
            kind, data = keeper.packet()
            if kind in said:
                said[kind] += data.decode(errors="replace")
            if match := GREETING.fullmatch(said[STDOUT].strip()):
                return match[1], match[2]
            if kind == EXIT or len(said[STDOUT]) + len(said[STDERR]) > _MAX_GREETING:
                reason = " ".join((said[STDERR] + said[STDOUT]).split())[-160:]
                raise DeviceError(f"{self.shown} gives no folder in {PLACE}: {reason or 'it says nothing'}")

    def device(self) -> str:
        """See :class:`edgekit.transport.Connection`: the model of the device."""
        done = self.run("getprop ro.product.model", seconds=ASK_SECONDS)
        return done.stdout.decode(errors="replace").strip() or self.shown

    def run(self, script: str, *, data: bytes = b"", seconds: float = 60, most: int = MOST_OUTPUT) -> Done:
        """See :class:`edgekit.transport.Connection`."""
        with self._service(f"shell,v2,raw:cd {self.folder} && {{ {script}\n}}", seconds) as wire:
            for at in range(0, len(data), CHUNK):
                piece = data[at : at + CHUNK]
                wire.send(struct.pack("<BI", STDIN, len(piece)) + piece)
            wire.send(struct.pack("<BI", CLOSE_STDIN, 0))
            found = {STDOUT: bytearray(), STDERR: bytearray()}
            while True:
                kind, said = wire.packet()
                if kind == EXIT:
                    return Done(said[0] if said else 1, bytes(found[STDOUT]), bytes(found[STDERR]))
                if kind in found:
                    found[kind] += said
                if sum(map(len, found.values())) > most:
                    raise DeviceError(f"{self.shown} sent over {most} bytes, more than it was asked for")

    def put(self, files: Mapping[str, File]) -> None:
        """See :class:`edgekit.transport.Connection`."""
        for name, file in files.items():
            self._push(name, file.data, 0o755 if file.executable else 0o644)

    def get(self, files: Mapping[str, int]) -> dict[str, bytes]:
        """See :class:`edgekit.transport.Connection`."""
        return {name: self._pull(name, most) for name, most in files.items()}

    def _push(self, name: str, data: bytes, mode: int) -> None:
        """Write a file into the folder."""
        with self._service("sync:", COPY_SECONDS) as wire:
            path = f"{self.folder}/{name},{0o100000 | mode}".encode()
            wire.send(b"SEND" + struct.pack("<I", len(path)) + path)
            for at in range(0, len(data), CHUNK):
                piece = data[at : at + CHUNK]
                wire.send(b"DATA" + struct.pack("<I", len(piece)) + piece)
            wire.send(b"DONE" + struct.pack("<I", 0))
            kind, length = wire.head()
            if kind != b"OKAY":
                raise self._sync_failed(wire, kind, length, f"cannot copy {name} to {self.shown}")
            wire.send(b"QUIT" + struct.pack("<I", 0))

    def _pull(self, name: str, most: int) -> bytes:
        """Read a file of the folder.

        :raises TooLarge: if it has over ``most`` bytes. :raises DeviceError: also if there is none.
        """
        with self._service("sync:", COPY_SECONDS + most / SLOWEST) as wire:
            path = f"{self.folder}/{name}".encode()
            wire.send(b"RECV" + struct.pack("<I", len(path)) + path)
            data = bytearray()
            while True:
                kind, length = wire.head()
                if kind == b"DONE":
                    return bytes(data)
                if kind != b"DATA" or length > CHUNK:
                    raise self._sync_failed(wire, kind, length, f"cannot read {name} from {self.shown}")
                if len(data) + length > most:
                    raise TooLarge.of(self.shown, name, len(data) + length, most)
                data += wire.receive(length)

    def _sync_failed(self, wire: Wire, kind: bytes, length: int, what: str) -> DeviceError:
        said = wire.receive(min(length, 1000)).decode(errors="replace") if kind == b"FAIL" else "a damaged answer"
        hint = "free some space on it" if "No space" in said else ""
        return DeviceError(f"{what}: {said[:160]}", hint)

    def _service(self, service: str, seconds: float) -> Wire:
        """Connect to a service of the device."""
        wire = Wire.connect(self.shown, seconds)
        try:
            wire.request(f"host:transport:{self.serial}" if self.serial else "host:transport-any")
            wire.request(service)
        except BaseException:
            wire.close()
            raise
        return wire
