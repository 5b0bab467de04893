"""A stand-in for a board: an ssh server on a loopback port with 64-bit Arm behind it.

The server runs each command in a user namespace of its own, in which the kernel starts AArch64 programs with
qemu-user (binfmt_misc). So the C runner and LiteRT are the ones a Raspberry Pi runs. The shell and its tools are
those of an AArch64 busybox where ``EDGEKIT_ARM64_BUSYBOX`` names one, else this machine's, with a ``uname`` that
says what the board is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgekit import target
from edgekit.runners.emulator import sysroot
from tests.ssh_server import SshServer, script, server_folder

_BINFMT = (
    r":edgekit-aarch64:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
    r"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:{qemu}:FP"
)
_TOOLS = ("sh", "tar", "mktemp", "cat", "rm", "kill", "uname", "echo", "sleep", "ls")


class StandIn(SshServer):
    """The board. ``tmp`` is its temporary folder, as seen from outside."""

    @property
    def address(self) -> str:
        return f"//board@127.0.0.1:{self.port}"

    def set(self, first: str = "", **settings: str) -> None:
        """Change what the board's shell sees: MACHINE, ROOT, TMPDIR; ``first`` is a command of its start-up file."""
        everything = {"MACHINE": "aarch64", "ROOT": str(_root()), "TMPDIR": str(self.tmp), **settings}
        lines = [f'export {name}="{value}"\n' for name, value in everything.items()]
        (self.folder / "settings").write_text("".join(lines) + first + "\n")


def _root() -> Path:
    return sysroot.get(target.load("rpi4"))


@contextmanager
def reached(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """Start the board, with edgekit's options for ssh set; nothing may be left on it afterwards."""
    with stand_in() as found:
        monkeypatch.setenv("EDGEKIT_SSH_OPTIONS", found.options)
        found.set()
        yield found
        assert found.left_behind() == []


@contextmanager
def stand_in() -> Iterator[StandIn]:
    """Start the board; skips with the reason where it cannot be."""
    with server_folder() as folder:
        qemu = shutil.which("qemu-aarch64")
        if not qemu:
            pytest.skip("qemu-user is not installed")
        board = StandIn(folder)
        try:
            board.prepare(f'exec unshare -Ur -m "{folder}/inner" "$SSH_ORIGINAL_COMMAND"')
            _write(board, qemu)
            _check(board)
            board.start()
            yield board
        finally:
            board.stop()


def _write(board: StandIn, qemu: str) -> None:
    folder = board.folder
    (folder / "bin").mkdir()
    busybox = os.environ.get("EDGEKIT_ARM64_BUSYBOX")
    if busybox:
        for name in _TOOLS:
            shutil.copy(busybox, folder / "bin" / name)
    else:
        script(folder / "bin" / "uname", 'echo "$MACHINE"')
    board.set()
    script(
        folder / "inner",
        f'. "{folder}/settings"\n'
        "mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc || exit 77\n"
        f"echo '{_BINFMT.format(qemu=qemu)}' >/proc/sys/fs/binfmt_misc/register || exit 77\n"
        'export QEMU_LD_PREFIX="$ROOT" QEMU_CPU=cortex-a72\n'
        f'export PATH="{folder}/bin:{Path(sys.executable).parent}:/usr/bin:/bin" HOME="${{HOME_THERE:-{folder}}}"\n'
        'cd "$HOME" && exec sh -c "$1"',
    )


def _check(board: StandIn) -> None:
    command = ["unshare", "-Ur", "-m", str(board.folder / "inner"), "uname -m"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.stdout.strip() != "aarch64":
        pytest.skip(f"this kernel cannot start AArch64 programs in a user namespace: {done.stderr.strip()[:200]}")
