"""A stand-in for a phone: an adb server on a loopback port.

It speaks the protocol (SERVICES.TXT, SYNC.TXT and shell_protocol.h of Android's adb) and executes the shell commands on
this machine, AArch64 programs in qemu-aarch64.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import socketserver
import struct
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SERIAL, MODEL = "FA6A1234", "Pixel of the tests"
PLACE = "/data/local/tmp"


class Phone(socketserver.ThreadingTCPServer):
    """A phone with planted faults.

    ``refusal``: what the server says instead of passing on to the device. ``drop``: a word in a command or sync
    request at which the connection breaks. ``full``: the device has no space.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.tmp, self.bin = folder / "tmp", folder / "bin"
        for path in (self.tmp, self.bin):
            path.mkdir()
        self.refusal = self.drop = self.greets = ""
        self.full = False
        self.machine = "aarch64"
        self.commands: list[str] = []
        _script(self.bin / "uname", f'cat "{folder}/machine"\n')
        _script(self.bin / "getprop", f'[ "$1" = ro.product.model ] && echo "{MODEL}"\n')
        self.is_a("aarch64")

    def is_a(self, machine: str) -> None:
        (self.bin.parent / "machine").write_text(machine + "\n")

    @property
    def env(self) -> dict[str, str]:
        """What points edgekit at it."""
        return {"ADB_SERVER_SOCKET": f"tcp:127.0.0.1:{self.server_address[1]}"}

    @property
    def left(self) -> list[str]:
        """What lies in the phone's temporary folder."""
        return sorted(path.name for path in self.tmp.iterdir())


class Connection(socketserver.BaseRequestHandler):
    """One connection: to the server first, then to the device."""

    server: Phone

    def handle(self) -> None:
        try:
            while self._request():
                pass
        except (ConnectionError, EOFError):
            pass

    def _request(self) -> bool:
        text = self._receive(int(self._receive(4), 16)).decode()
        phone = self.server
        if text.startswith("host:transport"):
            wanted = text.removeprefix("host:transport:") if ":transport:" in text else SERIAL
            if phone.refusal:
                self._fail(phone.refusal)
            elif wanted != SERIAL:
                self._fail(f"device '{wanted}' not found")
            else:
                self.request.sendall(b"OKAY")
                return True
        elif re.match(r"shell,v2,([^:]*,)?raw:", text):
            self.request.sendall(b"OKAY")
            self._shell(text.partition(":")[2])
        elif text == f"host:tport:serial:{SERIAL}":  # as host:transport, for Google's own client
            self.request.sendall(b"OKAY" + struct.pack("<Q", 1))
            return True
        elif text == "host:version":
            self._tell("0029")
        elif text.endswith(":features"):
            self._tell("shell_v2")
        elif text == "sync:":
            self.request.sendall(b"OKAY")
            self._sync()
        else:
            self._fail(f"unknown service {text}")
        return False

    def _shell(self, command: str) -> None:
        phone = self.server
        phone.commands.append(command)
        if phone.drop and phone.drop in command:
            return
        if phone.greets:
            command = f"echo '{phone.greets}' >&2; {command}"
        process = subprocess.Popen(
            ["sh", "-c", command.replace(PLACE, str(phone.tmp))], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, cwd="/", env={**os.environ, "PATH": f"{phone.bin}:{os.environ['PATH']}"},
        )  # fmt: skip
        feeder = threading.Thread(target=self._feed, args=(process,), daemon=True)
        feeder.start()
        outputs = [
            threading.Thread(target=self._forward, args=(kind, stream))
            for kind, stream in ((1, process.stdout), (2, process.stderr))
        ]
        for thread in outputs:
            thread.start()
        for thread in outputs:
            thread.join()
        self.request.sendall(struct.pack("<BIB", 3, 1, process.wait() & 255))

    def _feed(self, process: subprocess.Popen[bytes]) -> None:
        """Standard input; where the other side goes away, the device sees it end."""
        assert process.stdin is not None
        try:
            while True:
                kind, length = struct.unpack("<BI", self._receive(5))
                data = self._receive(length)
                if kind == 4:
                    break
                process.stdin.write(data)
        except (EOFError, OSError):
            pass
        process.stdin.close()

    def _forward(self, kind: int, stream: object) -> None:
        while data := stream.read1(4096):  # type: ignore[attr-defined]
            try:
                self.request.sendall(struct.pack("<BI", kind, len(data)) + data)
            except OSError:
                return

    def _sync(self) -> None:
        phone = self.server
        while True:
            kind, length = struct.unpack("<4sI", self._receive(8))
            if kind == b"QUIT":
                return
            text = self._receive(length).decode()
            if phone.drop and phone.drop in f"{kind.decode()} {text}":
                return
            text = text.replace(PLACE, str(phone.tmp))
            if kind == b"SEND":
                path, _, mode = text.rpartition(",")
                self._store(Path(path), int(mode))
            elif kind == b"RECV":
                self._give(Path(text))
            elif kind == b"STAT":
                found = Path(text).stat() if Path(text).exists() else None
                self.request.sendall(
                    struct.pack("<4sIII", kind, *((found.st_mode, found.st_size, 0) if found else (0, 0, 0)))
                )

    def _store(self, path: Path, mode: int) -> None:
        data = bytearray()
        while True:
            kind, length = struct.unpack("<4sI", self._receive(8))
            if kind == b"DONE":
                break
            assert kind == b"DATA" and length <= 64 << 10
            data += self._receive(length)
        if self.server.full:
            self._sync_fail("write failed: No space left on device")
            return
        if data[:4] == b"\x7fELF":  # this machine's kernel does not start it
            program = path.with_name(path.name + ".elf")
            program.write_bytes(data)
            program.chmod(mode & 0o777)
            data = bytearray(f'#!/bin/sh\nexec qemu-aarch64 "{program}" "$@"\n'.encode())
        path.write_bytes(data)
        path.chmod(mode & 0o777)
        self.request.sendall(b"OKAY" + struct.pack("<I", 0))

    def _give(self, path: Path) -> None:
        if not path.is_file():
            self._sync_fail("No such file or directory")
            return
        data = path.read_bytes()
        for at in range(0, len(data), 64 << 10):
            piece = data[at : at + (64 << 10)]
            self.request.sendall(b"DATA" + struct.pack("<I", len(piece)) + piece)
        self.request.sendall(b"DONE" + struct.pack("<I", 0))

    def _sync_fail(self, reason: str) -> None:
        self.request.sendall(b"FAIL" + struct.pack("<I", len(reason)) + reason.encode())

    def _tell(self, text: str) -> None:
        self.request.sendall(b"OKAY%04x" % len(text) + text.encode())

    def _fail(self, reason: str) -> None:
        self.request.sendall(b"FAIL%04x" % len(reason) + reason.encode())

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.request.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def phone(folder: Path) -> Iterator[Phone]:
    """Start the phone; skips where AArch64 programs do not run."""
    if not shutil.which("qemu-aarch64"):
        pytest.skip("qemu-user is not installed")
    with Phone(folder) as found:
        thread = threading.Thread(target=found.serve_forever, daemon=True)
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()


def _script(path: Path, text: str) -> None:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
