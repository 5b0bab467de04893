"""A stand-in for a board: an ssh server on a loopback port with 64-bit Arm behind it.

The server runs each command in a user namespace of its own, in which the kernel starts AArch64 programs with
qemu-user (binfmt_misc). So the C runner and LiteRT are the ones a Raspberry Pi runs. The shell and its tools are
those of an AArch64 busybox where ``EDGEKIT_ARM64_BUSYBOX`` names one, else this machine's, with a ``uname`` that
says what the board is.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgekit import target
from edgekit.runners.emulator import sysroot

_BINFMT = (
    r":edgekit-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:{qemu}:FP"
)
_TOOLS = ("sh", "tar", "mktemp", "cat", "rm", "kill", "uname", "echo", "sleep", "ls")


class StandIn:
    """The board. ``tmp`` is its temporary folder, as seen from outside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tmp = folder / "tmp"
        self.port = _free_port()
        self.server: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"//board@127.0.0.1:{self.port}"

    @property
    def options(self) -> str:
        """For ``EDGEKIT_SSH_OPTIONS``: its key, and no trust in whatever the user's known hosts say."""
        keys = f"IdentityFile={self.folder / 'client_key'} IdentitiesOnly=yes IdentityAgent=none"
        return f"{keys} UserKnownHostsFile={self.folder / 'known_hosts'} GlobalKnownHostsFile=/dev/null User={_user()}"

    def set(self, **settings: str) -> None:
        """Change what the board's shell sees: MACHINE, ROOT, TMPDIR."""
        everything = {"MACHINE": "aarch64", "ROOT": str(_root()), "TMPDIR": str(self.tmp), **settings}
        lines = [f'export {name}="{value}"\n' for name, value in everything.items()]
        (self.folder / "settings").write_text("".join(lines))

    def sessions(self) -> list[int]:
        """Processes of the server's connections."""
        assert self.server
        children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text()
        return [int(pid) for pid in children.split()]

    def left_behind(self) -> list[str]:
        """What is in the temporary folder once sessions had a moment to end."""
        for _ in range(50):
            names = sorted(os.listdir(self.tmp))
            if not names:
                return []
            time.sleep(0.1)
        return names


def _user() -> str:
    import getpass

    return getpass.getuser()


def _root() -> Path:
    return sysroot.get(target.load("rpi4"))


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Start the board; skips with the reason where it cannot be."""
    qemu, sshd = shutil.which("qemu-aarch64"), shutil.which("sshd", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if not sshd or not shutil.which("ssh-keygen"):
        pytest.skip("openssh-server is not installed")
    if not qemu:
        pytest.skip("qemu-user is not installed")
    folder = Path(tempfile.mkdtemp(prefix="edgekit-board-"))
    board = StandIn(folder)
    try:
        _write(board, qemu)
        _check(board)
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        with (folder / "sshd.log").open("wb") as log:
            board.server = subprocess.Popen([sshd, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
        _wait(board)
        yield board
    finally:
        if board.server:
            board.server.send_signal(signal.SIGTERM)
            board.server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _write(board: StandIn, qemu: str) -> None:
    folder = board.folder
    for name in ("host_key", "client_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    host_key = (folder / "host_key.pub").read_text().rsplit(maxsplit=1)[0]
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{board.port} {host_key}\n")
    shutil.copy(folder / "client_key.pub", folder / "authorized")
    board.tmp.mkdir()
    (folder / "bin").mkdir()
    busybox = os.environ.get("EDGEKIT_ARM64_BUSYBOX")
    if busybox:
        for name in _TOOLS:
            shutil.copy(busybox, folder / "bin" / name)
    else:
        _program(folder / "bin" / "uname", 'echo "$MACHINE"')
    board.set()
    _program(folder / "shell", f'exec unshare -Ur -m "{folder}/inner" "$SSH_ORIGINAL_COMMAND"')
    _program(
        folder / "inner",
        f'. "{folder}/settings"\n'
        "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || exit 77\n"
        f"echo '{_BINFMT.format(qemu=qemu)}' >/proc/sys/fs/binfmt_misc/register || exit 77\n"
        'export QEMU_LD_PREFIX="$ROOT" QEMU_CPU=cortex-a72\n'
        f'export PATH="{folder}/bin:{Path(sys.executable).parent}:/usr/bin:/bin" HOME="{folder}"\n'
        'cd "$HOME" && exec sh -c "$1"',
    )
    (folder / "sshd_config").write_text(
        f"Port {board.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\n"
        f"AuthorizedKeysFile {folder}/authorized\n"
        f"StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nPermitRootLogin yes\n"
        f"PidFile none\nForceCommand {folder}/shell\n"
    )


def _program(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def _check(board: StandIn) -> None:
    command = ["unshare", "-Ur", "-m", str(board.folder / "inner"), "uname -m"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.stdout.strip() != "aarch64":
        pytest.skip(f"this kernel cannot start AArch64 programs in a user namespace: {done.stderr.strip()[:200]}")


def _wait(board: StandIn) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", board.port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the ssh server did not start: " + (board.folder / "sshd.log").read_text())
