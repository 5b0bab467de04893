"""Android phones: ``--on adb:SERIAL``, or ``--on adb`` where only one is connected.

A phone runs bundles of the backend ``android``: their program is linked statically, since Android's own C library takes
no other one's programs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.bundle.execution import Kind
from edgekit.errors import UsageError
from edgekit.runners import Refusal
from edgekit.runners.linux import program as programs
from edgekit.runners.remote import Hints, RemoteRunner
from edgekit.transport.adb import AdbConnection

if TYPE_CHECKING:
    from edgekit.bundle.execution import Execution
    from edgekit.target import Target


@dataclass(frozen=True)
class AdbRunner(RemoteRunner):
    """Runs bundles on a phone. Registered as ``adb``."""

    serial: str = ""

    name = "adb"
    hints = Hints(
        processor="use a phone with a 64-bit Arm processor and system",
        files="compile it again",
        start="is it a 64-bit Android?",
        failed="the bundle's app runs the network with LiteRT instead (docs/phones.md); please report this",
    )

    def at(self, address: str) -> AdbRunner:
        """The runner for the phone with this serial.

        :raises UsageError: if that is none.
        """
        if not address or any(c.isspace() or not c.isprintable() for c in address):
            raise UsageError(f"{address!r} is not the serial of a device", "`adb devices` lists them")
        return AdbRunner(address)

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`."""
        if execution.kind in (Kind.HANDOVER, Kind.PROGRAM):
            return programs.refusal(execution)
        return Refusal(
            "the bundle has no native program for Android", "compile it for android-arm64; docs/phones.md says for what"
        )

    def connection(self) -> AdbConnection:
        """See :class:`edgekit.runners.remote.RemoteRunner`."""
        return AdbConnection(self.serial)
