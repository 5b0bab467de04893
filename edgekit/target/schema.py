"""A board or device as edgekit knows it. :mod:`edgekit.target.checking` makes it of the board's file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from edgekit.errors import UsageError
from edgekit.target.cores import Accelerator, Cache, Cpu, Cycles, Emulator, Gpu, Memory, System
from edgekit.target.fpga import Fpga
from edgekit.target.hls import Hls
from edgekit.target.kinds import BoardKind
from edgekit.target.listing import HINT
from edgekit.target.logic import Logic
from edgekit.target.mcu import Mcu, Npu
from edgekit.target.power import BusyPower, CorePower

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Target:
    """A board or device, as its file ``targets/NAME.toml`` says; docs/targets.md lists keys and units.

    :param arch: the processor's architecture as Linux names it (``aarch64``, ``x86_64``), or ``native``.
    :param calibration: what the file says of calibrations, as it is there.
    """

    name: str
    kind: BoardKind
    description: str
    arch: str
    backends: tuple[str, ...]
    runners: tuple[str, ...]
    delegates: tuple[str, ...] = ()
    memory: Memory
    power: CorePower | BusyPower
    cpu: Cpu | None = None
    gpu: Gpu | None = None
    cache: Cache = Cache()
    accelerator: Accelerator | None = None
    npu: Npu | None = None
    mcu: Mcu | None = None
    fpga: Fpga | None = None
    logic: Logic | None = None
    hls: Hls | None = None
    emulator: Emulator | None = None
    system: System | None = None
    cycles: Cycles | None = None
    calibration: tuple[Mapping[str, Any], ...] = ()

    @property
    def processor(self) -> Cpu:
        """The ``cpu``.

        :raises UsageError: if the target has none.
        """
        return _there(self.cpu, self, "cpu")

    @property
    def graphics(self) -> Gpu:
        """The ``gpu``.

        :raises UsageError: if the target has none.
        """
        return _there(self.gpu, self, "gpu")

    @property
    def neural(self) -> Npu:
        """The ``npu``.

        :raises UsageError: if the target has none.
        """
        return _there(self.npu, self, "npu")

    @property
    def microcontroller(self) -> Mcu:
        """The ``mcu``.

        :raises UsageError: if the target has none.
        """
        return _there(self.mcu, self, "mcu")

    @property
    def programmable(self) -> Fpga:
        """The ``fpga``.

        :raises UsageError: if the target has none.
        """
        return _there(self.fpga, self, "fpga")

    @property
    def circuit(self) -> Logic:
        """The ``logic``.

        :raises UsageError: if the target has none.
        """
        return _there(self.logic, self, "logic")

    @property
    def synthesized(self) -> Hls:
        """The ``hls``.

        :raises UsageError: if the target has none.
        """
        return _there(self.hls, self, "hls")

    @property
    def cores(self) -> int:
        """Cores that threads run on."""
        return self.cpu.cores if self.cpu else 1


def _there(table: T | None, target: Target, name: str) -> T:
    if table is None:
        raise UsageError(f"the target {target.name} has no table {name}", HINT)
    return table
