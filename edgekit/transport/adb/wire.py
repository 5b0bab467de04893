"""One connection to the adb server, and where that is."""

from __future__ import annotations

import math
import os
import socket
import struct
import time
from dataclasses import dataclass

from edgekit.errors import DeviceError, UsageError

PORT = 5037
CONNECT_SECONDS = 10.0
CHUNK = 64 << 10
_MAX_PACKET = 1 << 20

_FAILURES: tuple[tuple[str, str, str], ...] = (
    ("unauthorized", "{device} does not trust this computer", "unlock it and allow USB debugging in its dialog"),
    ("authorizing", "{device} does not trust this computer yet", "unlock it and allow USB debugging in its dialog"),
    ("offline", "{device} is offline", "plug it in again, or: adb reconnect"),
    ("more than one", "several devices are connected", "name one: --on adb:SERIAL; `adb devices` lists them"),
    ("no devices", "no Android device is connected", "plug one in, with USB debugging on (docs/phones.md)"),
    ("not found", "{device} is not connected", "`adb devices` lists those that are"),
    ("no permissions", "this user may not use {device}", "add the udev rules for Android devices (package adb)"),
)


@dataclass
class Wire:
    """One connection to the server. Whatever breaks it is a DeviceError about ``device``."""

    socket: socket.socket
    device: str
    _seconds: float = CONNECT_SECONDS
    _end: float = math.inf

    @staticmethod
    def connect(device: str, seconds: float) -> Wire:
        """Connect to the adb server and choose a device."""
        host, port = server()
        try:
            found = socket.create_connection((host, port), timeout=CONNECT_SECONDS)
        except OSError as error:
            raise DeviceError(
                f"no adb server answers at {host}:{port}", "start one: adb start-server (apt-get install adb)"
            ) from error
        wire = Wire(found, device)
        wire.allow(seconds)
        return wire

    def allow(self, seconds: float) -> None:
        """Give everything that is received from now on so many seconds together: a device may send without end."""
        self._seconds, self._end = seconds, time.monotonic() + seconds
        self.socket.settimeout(seconds)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
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
            raise DeviceError("what answers is not an adb server", "is another program on its port?")
        try:
            reason = self.receive(int(self.receive(4), 16)).decode(errors="replace")
        except ValueError as error:
            raise DeviceError("what answers is not an adb server", "is another program on its port?") from error
        for said, message, hint in _FAILURES:
            if said in reason:
                raise DeviceError(message.format(device=self.device), hint)
        raise DeviceError(f"adb refuses {self.device}: {reason[:160]}")

    def send(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self.socket.sendall(data)
        except OSError as error:
            raise self._gone(error) from error

    def receive(self, count: int) -> bytes:
        """Exactly ``count`` bytes."""
        data = bytearray()
        while len(data) < count:
            try:
                left = self._end - time.monotonic()
                if left <= 0:
                    raise TimeoutError
                self.socket.settimeout(left)
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
            return DeviceError(f"{self.device} does not answer in {self._seconds:g} s", "try fewer samples")
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
        raise UsageError(f"{port!r} is not a port of adb", "set ANDROID_ADB_SERVER_PORT, or ADB_SERVER_SOCKET")
    return host, int(port)
