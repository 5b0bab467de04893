"""Connections to devices: what ssh and adb have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from edgekit.errors import DeviceError

MOST_OUTPUT = 4 << 20
"""Bytes that a command may print where its caller does not say otherwise."""


@dataclass(frozen=True)
class File:
    """A file for a device; ``executable``: a program or script that is started there."""

    data: bytes
    executable: bool = False


@dataclass(frozen=True)
class Done:
    """How a command on a device ended."""

    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Everything it printed, messages first."""
        return (self.stderr + self.stdout).decode(errors="replace")


class TooLarge(DeviceError):
    """A file on a device has more bytes than its reader allows.

    ``file`` is its name, ``size`` its bytes, as far as they are known.
    """

    file, size = "", 0

    @staticmethod
    def of(device: str, file: str, size: int, most: int) -> TooLarge:
        """The error for a file of a device, of which at most ``most`` bytes are allowed."""
        error = TooLarge(f"{device} sent over {most} bytes of {file}, more than it was asked for")
        error.file, error.size = file, size
        return error


class Connection(Protocol):
    """A connection to a device, with a private folder there that is removed however the connection ends.

    It is a context manager; ``folder`` and ``arch`` are known once it is entered. Whatever fails is a DeviceError of
    one line that names the device as ``shown``. A program that is to end with the connection writes its process number
    to the file ``pid`` (:func:`edgekit.transport.keeper.kept`).
    """

    @property
    def shown(self) -> str:
        """The device, in messages."""

    @property
    def folder(self) -> str:
        """The absolute path of the folder."""

    @property
    def arch(self) -> str:
        """The processor there, as its ``uname -m`` says."""

    def __enter__(self) -> Self:
        """Connect and make the folder."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        """End the programs that run there, remove the folder and disconnect; never raises."""

    def run(self, script: str, *, data: bytes = b"", seconds: float = 60, most: int = MOST_OUTPUT) -> Done:
        """Run a script for a POSIX shell in the folder, with ``data`` as its input; its words are quoted (``shlex``).

        :raises DeviceError: if the connection breaks, after ``seconds``, or where more than ``most`` bytes come back. A
            script's own failure is its caller's to judge.
        """

    def put(self, files: Mapping[str, File]) -> None:
        """Write files into the folder, by their names; those that exist are replaced.

        :raises DeviceError: also if there is no space for them.
        """

    def get(self, files: Mapping[str, int]) -> dict[str, bytes]:
        """Read plain files of the folder, each of at most so many bytes.

        :raises TooLarge: if one has more. :raises DeviceError: also if one is missing.
        """

    def device(self) -> str:
        """What the device is called where its measurements are told."""
