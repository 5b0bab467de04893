"""Simulates a bundle for an FPGA cycle by cycle: the accelerator's RTL, compiled by Verilator.

What is left to the host runs as the bundle's own C on this machine, fed with what the parts before it computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.backends.divided.document import AGAIN
from edgekit.backends.overlay import document
from edgekit.backends.overlay.document import Document
from edgekit.bundle import Bundle
from edgekit.bundle.execution import Kind
from edgekit.bundle.samples import samples_in
from edgekit.errors import DeviceError
from edgekit.runners import (
    Defaults,
    Device,
    Observes,
    OpenOptions,
    OperatorTrace,
    Refusal,
    Run,
    RunOptions,
    Session,
    Source,
    Trace,
)
from edgekit.runners.verilator import divided, job, logic, simulator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.backends.divided.parts import Parts
    from edgekit.bundle.execution import Execution
    from edgekit.target import Target

START_ROW = "start"
"""Cycles before the first command: its words are on their way from memory."""
MOST_STREAM = 256 << 20


@dataclass(frozen=True)
class Simulation:
    """A simulated accelerator."""

    bundle: Bundle
    program: Document
    stream: bytes
    parts: Parts
    simulator: Path
    options: OpenOptions

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        machine = self.program.machine
        return Device(f"simulated accelerator of {machine.ic}x{machine.oc} lanes", self.bundle.target.arch)

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`. ``repeat`` is ignored: every repetition would take the same cycles.

        The trace holds the counters of the first sample's commands, by operator.
        """
        graph, samples = self.bundle.graph, samples_in(inputs)
        values = dict(zip(graph.main.inputs, inputs, strict=True))
        simulated: job.Simulated | None = None
        for part in self.parts.all:
            fed = [values[i] for i in part.inputs]
            if part is not self.parts.device:
                values |= dict(zip(part.outputs, divided.on_host(self.bundle, part, fed, self.options), strict=True))
                continue
            self.options.progress.step("simulate the accelerator")
            program = self.program
            simulated = job.run(
                self.simulator, self.stream, program.inputs, program.outputs, fed, samples,
                job.MemoryTiming.of(self.bundle.target.programmable), depth=simulator.LOG_DEPTH,
            )  # fmt: skip
            values |= dict(zip(part.outputs, simulated.outputs, strict=True))
        assert simulated is not None
        trace = self._trace(simulated, profile=options.profile)
        conditions = {
            "threads": 1, "machine": self.info().name, "clock_mhz": self.bundle.target.programmable.clock.mhz,
        }  # fmt: skip
        return Run([values[i] for i in graph.main.outputs], trace, conditions)

    def _trace(self, simulated: job.Simulated, *, profile: bool) -> Trace:
        log = simulated.log
        total = {name: int(value) for name, value in zip(job.COUNTERS, log[-1], strict=True)}
        trace = Trace(Source.EMULATOR, str(self.bundle.manifest["runtime"]), counts=total)
        if not profile:
            return trace
        commands = self.program.commands
        if len(log) != min(len(commands) + 1, simulator.LOG_DEPTH):
            raise DeviceError(f"the accelerator took {len(log)} commands, not the bundle's {len(commands) + 1}", AGAIN)
        rows: dict[int | None, tuple[str, NDArray[np.int64], int]] = {None: (START_ROW, log[0], 0)}
        for command, counters in zip(commands, np.diff(log, axis=0), strict=False):
            name, sums, macs = rows.get(command.node, (command.name, 0, 0))
            rows[command.node] = (name, sums + counters, macs + command.macs)
        for node, (name, sums, macs) in rows.items():
            counts = {key: int(value) for key, value in zip(job.COUNTERS, sums, strict=True)}
            trace.operators.append(OperatorTrace(node, name, counts={**counts, "macs": macs}))
        return trace


class VerilatorRunner(Defaults):
    """Simulates bundles for FPGAs."""

    name = "verilator"
    source, observes, proves = Source.EMULATOR, Observes.COUNTS, True

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`: only bundles for FPGAs."""
        fits = execution.kind in (Kind.OVERLAY, Kind.LOGIC)
        return None if fits else Refusal("the bundle is not for an FPGA")

    @contextmanager
    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
        """See :class:`edgekit.runners.Runner`."""
        yield opened(bundle, options)


def opened(bundle: Bundle, options: OpenOptions = OpenOptions()) -> Session:
    """A session of a bundle for an FPGA; see :meth:`edgekit.runners.Runner.open`."""
    return logic.opened(bundle, options) if bundle.execution.kind is Kind.LOGIC else _accelerator(bundle, options)


def _accelerator(bundle: Bundle, options: OpenOptions) -> Simulation:
    program = document.read(bundle.artifact)
    found = divided.parts_of(bundle, program.before, program.overlay, program.after, document.PROGRAM)
    assert found.device is not None
    for indices, ports in ((found.device.inputs, program.inputs), (found.device.outputs, program.outputs)):
        if [bundle.graph.tensors[i].shape for i in indices] != [port.shape for port in ports]:
            raise DeviceError("artifact/overlay.json has not the network's inputs and outputs", AGAIN)
    path = bundle.artifact / document.STREAM
    if not path.is_file() or path.stat().st_size > MOST_STREAM:
        raise DeviceError(f"the bundle has no usable artifact/{document.STREAM}", AGAIN)
    program_file = simulator.built(program.machine, options.progress)
    return Simulation(bundle, program, path.read_bytes(), found, program_file, options)
