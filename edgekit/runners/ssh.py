"""Boards that ssh reaches: ``--on ssh://user@host[:port]``. They need a shell, tar, and glibc 2.34 or Python."""

from __future__ import annotations

from dataclasses import dataclass

from edgekit.errors import UsageError
from edgekit.runners.remote import Hints, RemoteRunner
from edgekit.transport.ssh import Address, SshConnection

_NEW_ENOUGH = "use a 64-bit system with glibc 2.34 or later (Raspberry Pi OS bookworm)"


@dataclass(frozen=True)
class SshRunner(RemoteRunner):
    """Runs bundles on a board. Registered as ``ssh``."""

    address: Address | None = None

    name = "ssh"
    hints = Hints(
        processor="compile for a target with the board's processor (32-bit systems on 64-bit boards are not supported)",
        files="compile it again, with a backend for Linux",
        start=_NEW_ENOUGH,
        python=f"{_NEW_ENOUGH}, or install ai-edge-litert there",
        noexec="set TMPDIR in the start-up file of its shell to a folder that is not mounted noexec",
    )

    def at(self, address: str) -> SshRunner:
        """The runner for the board at ``//user@host:port``."""
        return SshRunner(Address.parse(address))

    def connection(self) -> SshConnection:
        """See :class:`edgekit.runners.remote.RemoteRunner`."""
        if self.address is None:
            raise UsageError("ssh needs the board's address", "write --on ssh://user@host")
        return SshConnection(self.address)
