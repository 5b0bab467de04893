"""A board on a pseudo-terminal: QEMU runs the firmware for Arm's MPS3 board, whose UART is the terminal.

Between QEMU and the terminal a thread passes bytes on, and does to them what a test wants: garbage, loss, a reset.
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import threading
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

Change = Callable[[bytes], bytes]


def same(data: bytes) -> bytes:
    return data


@dataclass
class Board:
    """``path``: its serial port here. ``to_board`` and ``to_host`` change what is on the line."""

    image: Path
    path: str = ""
    to_board: Change = same
    to_host: Change = same
    master: int = -1
    process: subprocess.Popen[bytes] | None = None
    stopped: threading.Event = field(default_factory=threading.Event)

    def start(self) -> None:
        """Power on."""
        command = ["qemu-system-arm", "-M", "mps3-an547", "-nodefaults", "-display", "none", "-monitor", "none"]
        command += ["-nic", "none", "-chardev", "stdio,id=line,signal=off", "-serial", "chardev:line", "-kernel"]
        self.process = subprocess.Popen(
            [*command, self.image], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def stop(self) -> None:
        """Power off."""
        process, self.process = self.process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    with suppress(BrokenPipeError):
                        stream.close()

    def reset(self) -> None:
        """Power off and on."""
        self.stop()
        self.start()

    def unplug(self) -> None:
        """Take the cable away: nothing is at the other end of the terminal any more."""
        self.stopped.set()
        self.stop()
        os.close(self.master)
        self.master = -1

    def pass_on(self) -> None:
        """Pass bytes on until the cable is unplugged."""
        while not self.stopped.is_set():
            process = self.process
            if process is None or process.stdout is None or process.stdin is None:
                time.sleep(0.01)
                continue
            try:
                ready, _, _ = select.select([self.master, process.stdout], [], [], 0.05)
                if self.master in ready and (data := self.to_board(_burst(self.master))):
                    os.write(process.stdin.fileno(), data)
                if process.stdout in ready and (data := self.to_host(_burst(process.stdout.fileno()))):
                    os.write(self.master, data)
            except (OSError, ValueError):  # powered off in between, or nobody has the terminal open
                time.sleep(0.01)


def _burst(descriptor: int) -> bytes:
    """What comes without a pause: a frame, since the other side waits for its answer."""
    data = os.read(descriptor, 4096)
    while select.select([descriptor], [], [], 0.01)[0] and (more := os.read(descriptor, 4096)):
        data += more
    return data


@contextmanager
def board(image: Path) -> Iterator[Board]:
    """A board that runs ``image``; skips without QEMU."""
    if shutil.which("qemu-system-arm") is None:
        pytest.skip("qemu-system-arm is not installed")
    master, slave = pty.openpty()
    tty.setraw(slave)
    found = Board(image, os.ttyname(slave), master=master)
    found.start()
    thread = threading.Thread(target=found.pass_on, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        found.stopped.set()
        found.stop()
        thread.join(5)
        os.close(slave)
        if found.master >= 0:
            os.close(found.master)
