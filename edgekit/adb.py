"""A connection to an Android device through the adb server, with a private folder there that always goes away.

Speaks the server's protocol itself (Android's ``packages/modules/adb``: OVERVIEW.TXT, SERVICES.TXT, SYNC.TXT and
shell_protocol.h), so that only a running server is needed, here or elsewhere: ``ADB_SERVER_SOCKET=tcp:host:port`` and
``ANDROID_ADB_SERVER_PORT`` say where, as they do for adb. A request is four hex digits of length and a text; the
answer OKAY, or FAIL with a text. As with ssh, one session holds the folder and removes it when its input ends.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from dataclasses import dataclass, field
from types import TracebackType

from edgekit.errors import DeviceError, UsageError
from edgekit.ssh import GREETING, KEEPER

PORT = 5037
CONNECT_SECONDS, COPY_SECONDS = 10.0, 120.0
PLACE = "/data/local/tmp"
CHUNK = 64 << 10
STDOUT, STDERR, EXIT, CLOSE_STDIN = 1, 2, 3, 4
_MAX_PACKET, _MAX_FILE, _MAX_OUTPUT = 1 << 20, 1 << 30, 4 << 20

_FAILURES: tuple[tuple[str, str, str], ...] = (
    ("unauthorized", "{device} does not trust this computer", "unlock it and allow USB debugging in its dialog"),
    ("authorizing", "{device} does not trust this computer yet", "unlock it and allow USB debugging in its dialog"),
    ("offline", "{device} is offline", "plug it in again, or: adb reconnect"),
    ("more than one", "several devices are connected", "name one: --on adb:SERIAL; `adb devices` lists them"),
    ("no devices", "no Android device is connected", "plug one in, with USB debugging on (docs/phones.md)"),
    ("not found", "{device} is not connected", "`adb devices` lists those that are"),
    ("no permissions", "this user may not use {device}", "add the udev rules for Android devices (package adb)"),
)


@dataclass(frozen=True)
class Done:
    """How a command on the device ended."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        return (self.stderr + self.stdout).decode(errors="replace")


@dataclass
class Phone:
    """A device, and a folder on it while the context lasts.

    :param serial: as ``adb devices`` prints it; empty: the only one.
    """

    serial: str = ""
    folder: str = ""
    arch: str = ""
    _keeper: _Wire | None = field(default=None, repr=False)

    @property
    def name(self) -> str:
        return f"device {self.serial!r}" if self.serial else "the device"

    def __enter__(self) -> Phone:
        """:raises DeviceError: one line on what is wrong: the server, the device, its folder."""
        self._keeper = self._service(f"shell,v2,raw:TMPDIR={PLACE}; {KEEPER}", CONNECT_SECONDS)
        try:
            kind, data = self._keeper.packet()
            said = data.decode(errors="replace").strip()
            if kind != STDOUT or not (match := GREETING.fullmatch(said)):
                raise DeviceError(f"{self.name} gives no folder in {PLACE}: {said[:160] or 'it says nothing'}")
            self.folder, self.arch = match.groups()
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
            self._keeper.send(struct.pack("<BI", CLOSE_STDIN, 0))
            while self._keeper.packet()[0] != EXIT:
                pass
        self._keeper.close()

    def run(self, command: str, *, seconds: float) -> Done:
        """Run a shell command in the folder.

        :raises DeviceError: if it takes longer, or the device goes away.
        """
        with self._service(f"shell,v2,raw:cd {self.folder} && {command}", seconds) as wire:
            wire.send(struct.pack("<BI", CLOSE_STDIN, 0))
            found = {STDOUT: bytearray(), STDERR: bytearray()}
            while True:
                kind, data = wire.packet()
                if kind == EXIT:
                    return Done(data[0] if data else 1, bytes(found[STDOUT]), bytes(found[STDERR]))
                if kind in found and len(found[kind]) < _MAX_OUTPUT:
                    found[kind] += data

    def push(self, name: str, data: bytes, mode: int) -> None:
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
                raise self._sync_failed(wire, kind, length, f"cannot copy {name} to {self.name}")
            wire.send(b"QUIT" + struct.pack("<I", 0))

    def pull(self, name: str) -> bytes:
        """Read a file of the folder."""
        with self._service("sync:", COPY_SECONDS) as wire:
            path = f"{self.folder}/{name}".encode()
            wire.send(b"RECV" + struct.pack("<I", len(path)) + path)
            data = bytearray()
            while True:
                kind, length = wire.head()
                if kind == b"DONE":
                    return bytes(data)
                if kind != b"DATA" or length > CHUNK or len(data) > _MAX_FILE:
                    raise self._sync_failed(wire, kind, length, f"cannot read {name} from {self.name}")
                data += wire.receive(length)

    def _sync_failed(self, wire: _Wire, kind: bytes, length: int, what: str) -> DeviceError:
        said = wire.receive(min(length, 1000)).decode(errors="replace") if kind == b"FAIL" else "a damaged answer"
        hint = "free some space on it" if "No space" in said else ""
        return DeviceError(f"{what}: {said[:160]}", hint)

    def _service(self, service: str, seconds: float) -> _Wire:
        """Connect to a service of the device."""
        wire = _Wire.connect(self.name, seconds)
        try:
            wire.request(f"host:transport:{self.serial}" if self.serial else "host:transport-any")
            wire.request(service)
        except BaseException:
            wire.close()
            raise
        return wire


@dataclass
class _Wire:
    """One connection to the server. Whatever breaks it is a DeviceError about ``device``."""

    socket: socket.socket
    device: str

    @staticmethod
    def connect(device: str, seconds: float) -> _Wire:
        host, port = server()
        try:
            found = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
        except OSError as error:
            raise DeviceError(
                f"no adb server answers at {host}:{port}", "start one: adb start-server (apt-get install adb)"
            ) from error
        found.settimeout(seconds)
        return _Wire(found, device)

    def __enter__(self) -> _Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.socket.close()

    def request(self, text: str) -> None:
        """Ask the server for something.

        :raises DeviceError: if it refuses.
        """
        data = text.encode()
        self.send(b"%04x" % len(data) + data)
        answer = self.receive(4)
        if answer == b"OKAY":
            return
        if answer != b"FAIL":
            raise DeviceError("what answers is no adb server", "is another program on its port?")
        try:
            reason = self.receive(int(self.receive(4), 16)).decode(errors="replace")
        except ValueError as error:
            raise DeviceError("what answers is no adb server", "is another program on its port?") from error
        for said, message, hint in _FAILURES:
            if said in reason:
                raise DeviceError(message.format(device=self.device), hint)
        raise DeviceError(f"adb refuses {self.device}: {reason[:160]}")

    def send(self, data: bytes) -> None:
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise self._gone(error) from error

    def receive(self, count: int) -> bytes:
        """Exactly ``count`` bytes."""
        data = bytearray()
        while len(data) < count:
            try:
                piece = self.socket.recv(min(count - len(data), CHUNK))
            except OSError as error:
                raise self._gone(error) from error
            if not piece:
                raise self._gone(None)
            data += piece
        return bytes(data)

    def packet(self) -> tuple[int, bytes]:
        """One packet of the shell protocol: its kind and content."""
        kind, length = struct.unpack("<BI", self.receive(5))
        if length > _MAX_PACKET:
            raise DeviceError(f"{self.device} sent a damaged answer", "try again")
        return kind, self.receive(length)

    def head(self) -> tuple[bytes, int]:
        """The beginning of an answer of the sync service."""
        kind, length = struct.unpack("<4sI", self.receive(8))
        return kind, length

    def _gone(self, error: OSError | None) -> DeviceError:
        if isinstance(error, TimeoutError):
            return DeviceError(f"{self.device} does not answer in {self.socket.gettimeout():g} s", "try fewer samples")
        return DeviceError(f"the connection to {self.device} broke", "check its cable, and that it stays awake")


def server() -> tuple[str, int]:
    """Where the adb server listens.

    :raises UsageError: if the environment says something else than adb's own forms for TCP.
    """
    place = os.environ.get("ADB_SERVER_SOCKET", "")
    port = os.environ.get("ANDROID_ADB_SERVER_PORT", str(PORT))
    host = "127.0.0.1"
    if place:
        kind, _, rest = place.partition(":")
        if kind != "tcp":
            raise UsageError(f"ADB_SERVER_SOCKET is {place!r}", "edgekit knows tcp:PORT and tcp:HOST:PORT")
        before, colon, port = rest.rpartition(":")
        host = before if colon else host
    if not port.isdigit() or not 0 < int(port) < 65536:
        raise UsageError(f"{port!r} is no port of an adb server", "set ANDROID_ADB_SERVER_PORT, or ADB_SERVER_SOCKET")
    return host, int(port)
