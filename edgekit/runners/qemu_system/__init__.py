"""The emulator of microcontrollers: runs a bundle's firmware in qemu-system, and counts exactly what it executes.

The machine has the board's core, not its memories: ``emulator.elf`` is linked from the same objects as the board's
firmware. edgekit talks to it over its serial port, as it talks to a board. The whole machine is a child process without
network; there is no semihosting, with which a firmware could reach files of this machine. Where QEMU is missing, the
package unicorn takes its place, for cores that it has.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from edgekit import sandbox
from edgekit.backends.c99.firmware import EMULATED
from edgekit.bundle.samples import pack
from edgekit.errors import DeviceError, ToolMissing
from edgekit.progress import Progress
from edgekit.runners import (
    Device,
    OpenOptions,
    OperatorTrace,
    Refusal,
    Run,
    RunOptions,
    Session,
    Source,
    Trace,
    tracing,
)
from edgekit.runners.firmware import About, Firmware, about
from edgekit.runners.qemu_system import report
from edgekit.sandbox.conversation import Conversation, Ended, conversing
from edgekit.target import machines
from edgekit.tools import toolchain
from edgekit.transport.frames import Client

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.target import Target

_FOLDER = Path(__file__).parent
_SOURCES = ("firmware_plugin.c", "classes.h", "classify_thumb.h", "classify_riscv.h")
_LIMITS = sandbox.Limits(seconds=1800, memory_mb=8192, file_mb=256)
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
_SAMPLES = "samples"
_SECONDS = 300.0
"""That one inference may take."""
_REPORT = "report"
_AGAIN = "compile the bundle again"
_UNICORNS = {"cortex-m0": "CORTEX_M0", "cortex-m4": "CORTEX_M4", "cortex-m7": "CORTEX_M7", "cortex-m33": "CORTEX_M33"}
"""Cores that unicorn has, by QEMU's names."""
RUNTIME_ROW = "runtime"
"""Name of the row for work between the steps."""


def refusal(target: Target) -> Refusal | None:
    """Why a target's firmware cannot be emulated."""
    if target.mcu is None or target.emulator is None:
        return Refusal(f"there is no emulator for the target {target.name!r}")
    return None


@contextmanager
def opened(bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
    """Open a session; see :meth:`edgekit.runners.Runner.open`."""
    options.progress.step("Preparing the emulator")
    target = bundle.target
    assert target.emulator is not None, target.name
    machine = machines.MACHINES[target.emulator.machine]
    image = bundle.artifact / EMULATED
    if not image.is_file():
        raise DeviceError(f"the bundle has no artifact/{EMULATED}", _AGAIN)
    if toolchain.load(machine.toolchain).find().module:
        emulated: Emulated = Unicorn(_without_qemu(target, machine))
    else:
        emulated = Qemu(tracing.emulator(machine.toolchain), plugin(target))
    yield QemuSystemSession(emulated, image.resolve(), bundle, about(bundle), options.progress)


def _without_qemu(target: Target, machine: machines.Machine) -> str:
    """Return unicorn's name of a target's core.

    :raises ToolMissing: if it does not have it.
    """
    assert target.emulator is not None
    if (core := _UNICORNS.get(target.emulator.cpu)) is None:
        tool = toolchain.load(machine.toolchain).tools[0]
        raise ToolMissing(
            f"{tool.program} is missing, and unicorn, which is installed, does not have {target.processor.core}",
            f"install it: {tool.install_command()}",
        )
    return core


def plugin(target: Target) -> Path:
    """Return the trace plugin for a target's core, built on first use."""
    sources = [_FOLDER / name for name in _SOURCES]
    riscv = target.microcontroller.arch.startswith("rv")
    return tracing.built(sources, "firmware", ["-DEDGEKIT_RISCV"] if riscv else [])


@dataclass
class _Line:
    """The serial port of an emulated machine."""

    conversation: Conversation
    shown: str

    def write(self, data: bytes) -> None:
        try:
            self.conversation.write(data)
        except Ended as ended:
            raise self._failed(ended) from ended

    def read(self, seconds: float) -> bytes:
        try:
            return self.conversation.read(seconds)
        except Ended as ended:
            raise self._failed(ended) from ended

    def _failed(self, ended: Ended) -> DeviceError:
        said = next((line for line in ended.log.splitlines() if "warning: " not in line), "")[:200]
        return DeviceError(f"the {self.shown} {ended.reason}" + (f": {said}" if said else ""), _AGAIN)


class Emulated(Protocol):
    """What emulates a machine: a command that talks on stdin and stdout, and writes the report."""

    def command(self, image: Path, target: Target, about: About, *, accesses: bool, placed: bool) -> list[str]:
        """Return the command.

        :param accesses: it counts loads and stores. :param placed: the samples are in the file ``samples``.
        """
        ...

    def readable(self) -> list[Path]:
        """What it reads besides the system, its own folder and the image."""
        ...


@dataclass(frozen=True)
class Qemu:
    """qemu-system with the trace plugin."""

    emulator: str
    plugin: Path

    def command(self, image: Path, target: Target, about: About, *, accesses: bool, placed: bool) -> list[str]:
        """See :class:`Emulated`."""
        emulator = target.emulator
        assert emulator is not None
        at = machines.MACHINES[emulator.machine].samples.address
        loader = ["-device", f"loader,file={_SAMPLES},addr={at:#x},force-raw=on"] if placed else []
        arguments = [
            str(self.plugin), f"out={_REPORT}", *(f"{name}={at:x}" for name, at in about.marks.items()),
            *(f"skip={low:x}:{high:x}" for low, high in about.uncounted),
            *(f"memory={low:x}:{high:x}" for _, low, high in about.memories), f"accesses={int(accesses)}",
        ]  # fmt: skip
        return [
            self.emulator, "-M", emulator.machine, "-cpu", emulator.cpu, "-bios", "none", "-nodefaults",
            "-display", "none", "-monitor", "none", "-chardev", "stdio,id=line,signal=off", "-serial", "chardev:line",
            "-no-reboot", "-nic", "none", "-kernel", str(image), "-plugin", ",".join(arguments), *loader,
        ]  # fmt: skip

    def readable(self) -> list[Path]:
        """See :class:`Emulated`."""
        return [self.plugin]


@dataclass(frozen=True)
class Unicorn:
    """A machine in unicorn (``unicorn_machine.py``). ``cpu``: its name of the core."""

    cpu: str

    def command(self, image: Path, target: Target, about: About, *, accesses: bool, placed: bool) -> list[str]:
        """See :class:`Emulated`."""
        assert target.emulator is not None
        machine = machines.MACHINES[target.emulator.machine]
        settings = {
            "cpu": self.cpu, "uart": machine.uart[1], "report": _REPORT, "accesses": accesses, "marks": about.marks,
            "memories": [(span.address, span.size) for span in (machine.flash, machine.ram, machine.samples)],
            "samples": (machine.samples.address, _SAMPLES) if placed else None, "skipped": about.uncounted,
            "spaces": [(low, high) for _, low, high in about.memories],
        }  # fmt: skip
        return [sys.executable, "-P", "-E", "-s", str(_FOLDER / "unicorn_machine.py"), str(image), json.dumps(settings)]

    def readable(self) -> list[Path]:
        """See :class:`Emulated`."""
        return []


@dataclass(frozen=True)
class QemuSystemSession:
    """Emulates a bundle, each run from the same state: power on."""

    emulated: Emulated
    image: Path
    bundle: Bundle
    expected: About
    progress: Progress
    limits: sandbox.Limits = field(default=_LIMITS)
    patience: float = 60.0

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        return Device(f"emulated {self.bundle.target.processor.core}", self.bundle.target.arch)

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`. ``repeat`` is ignored: every repetition would count the same.

        The trace holds exact counts of the first sample's inference, no times.
        """
        target = self.bundle.target
        self.progress.step(f"Emulating {target.processor.core}")
        with sandbox.scratch() as folder:
            packed = pack(inputs)
            placed = 0 < len(packed) <= self._machine().samples.size
            if placed:
                (folder / _SAMPLES).write_bytes(packed)
            command = self.emulated.command(self.image, target, self.expected, accesses=options.profile, placed=placed)
            readable = [self.image, *self.emulated.readable()]
            with conversing(
                command, folder=folder, limits=self.limits, env=_ENVIRONMENT, readable=readable
            ) as conversation:
                client = Client(_Line(conversation, self.info().name), patience=self.patience, attempts=1)
                firmware = Firmware(client, self.bundle, self.expected, _SECONDS, True, placed)
                outputs, _ = firmware.run(inputs, observe=True)
                stack = firmware.stack_used()
            trace = self._trace(folder / _REPORT, profile=options.profile)
        conditions = {
            "threads": 1, "machine": self.info().name, "clock_mhz": target.processor.clock_mhz,
            "stack_used_bytes": stack,
        }  # fmt: skip
        return Run(outputs, trace, conditions)

    def _machine(self) -> machines.Machine:
        emulator = self.bundle.target.emulator
        assert emulator is not None
        return machines.MACHINES[emulator.machine]

    def _trace(self, path: Path, *, profile: bool) -> Trace:
        phases = report.read(path, self.expected.memories)
        steps = self.expected.steps
        if len(phases) != len(steps) + 2:
            raise DeviceError(f"the firmware executed {len(phases) - 2} steps, not the bundle's {len(steps)}", _AGAIN)
        trace = Trace(Source.EMULATOR, str(self.bundle.manifest["runtime"]), counts=report.merged(phases).counts)
        if not profile:
            return trace
        for step, phase in zip(steps, phases[1:-1], strict=True):
            row = OperatorTrace(step.index, step.name, counts=phase.counts, fused=step.fused, blocks=phase.blocks)
            trace.operators.append(row)
        rest = report.merged([phases[0], phases[-1]])
        trace.operators.append(OperatorTrace(None, RUNTIME_ROW, counts=rest.counts, blocks=rest.blocks))
        return trace
