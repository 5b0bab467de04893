"""Sessions with the accelerator of an FPGA, simulated or on a board: parts on it and on the host, counters as a trace.

What is left to the host runs as the bundle's own C on this machine, fed with what the parts before it computed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.backends.divided.document import AGAIN
from edgekit.backends.overlay import document
from edgekit.backends.overlay.document import Document
from edgekit.bundle import Bundle
from edgekit.bundle.samples import samples_in
from edgekit.errors import DeviceError
from edgekit.runners import Device, OpenOptions, OperatorTrace, Run, RunOptions, Source, Trace
from edgekit.runners.overlay import divided
from edgekit.runners.overlay.counted import COUNTERS, Computed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.backends.divided.parts import Parts

START_ROW = "start"
"""Cycles before the first command: its words are on their way from memory."""
MOST_STREAM = 256 << 20
Compute = Callable[[Sequence["NDArray[Any]"], int], Computed]
"""From the inputs of the accelerator's part, and how many samples they are, to what it computed and counted."""


@dataclass(frozen=True)
class Loaded:
    """A bundle's program and its stream."""

    bundle: Bundle
    program: Document
    stream: bytes
    parts: Parts

    @staticmethod
    def of(bundle: Bundle) -> Loaded:
        """Read a bundle.

        :raises DeviceError: if it is damaged.
        """
        program = document.read(bundle.artifact)
        found = divided.parts_of(bundle, program.before, program.overlay, program.after, document.PROGRAM)
        assert found.device is not None
        for indices, ports in ((found.device.inputs, program.inputs), (found.device.outputs, program.outputs)):
            if [bundle.graph.tensors[i].shape for i in indices] != [port.shape for port in ports]:
                raise DeviceError("artifact/overlay.json has not the network's inputs and outputs", AGAIN)
        path = bundle.artifact / document.STREAM
        if not path.is_file() or path.stat().st_size > MOST_STREAM:
            raise DeviceError(f"the bundle has no usable artifact/{document.STREAM}", AGAIN)
        return Loaded(bundle, program, path.read_bytes(), found)


@dataclass(frozen=True)
class Accelerator:
    """An accelerator that is ready.

    :param shown: what it is. :param compute: see :data:`Compute`. :param step: what is reported meanwhile.
    :param depth: commands whose counters it keeps.
    """

    loaded: Loaded
    source: Source
    shown: str
    compute: Compute
    step: str
    depth: int
    options: OpenOptions

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        return Device(self.shown, self.loaded.bundle.target.arch)

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`. ``repeat`` is ignored: every repetition would take the same cycles.

        The trace holds the counters of the first sample's commands, by operator.
        """
        bundle, parts = self.loaded.bundle, self.loaded.parts
        graph, samples = bundle.graph, samples_in(inputs)
        values = dict(zip(graph.main.inputs, inputs, strict=True))
        made: Computed | None = None
        for part in parts.all:
            fed = [values[i] for i in part.inputs]
            if part is not parts.device:
                values |= dict(zip(part.outputs, divided.on_host(bundle, part, fed, self.options), strict=True))
                continue
            self.options.progress.step(self.step)
            made = self.compute(fed, samples)
            values |= dict(zip(part.outputs, made.outputs, strict=True))
        assert made is not None
        clock = bundle.target.programmable.clock.mhz
        conditions = {"threads": 1, "machine": self.info().name, "clock_mhz": clock}
        trace = self._trace(made, profile=options.profile)
        return Run([values[i] for i in graph.main.outputs], trace, conditions)

    def _trace(self, made: Computed, *, profile: bool) -> Trace:
        log, commands = made.log, self.loaded.program.commands
        per_ms = self.loaded.bundle.target.programmable.hertz / 1e3
        total = {name: int(value) for name, value in zip(COUNTERS, log[-1], strict=True)}
        trace = Trace(self.source, str(self.loaded.bundle.manifest["runtime"]), counts=total)
        device = self.source is Source.DEVICE
        if device:
            trace.latency_ms = [total["cycles"] / per_ms]
        if not profile or (device and len(commands) >= self.depth):
            return trace
        if len(log) != min(len(commands) + 1, self.depth):
            raise DeviceError(f"the accelerator took {len(log)} commands, not the bundle's {len(commands) + 1}", AGAIN)
        rows: dict[int | None, tuple[str, NDArray[np.int64], int]] = {None: (START_ROW, log[0], 0)}
        for command, counters in zip(commands, np.diff(log, axis=0), strict=False):
            name, sums, macs = rows.get(command.node, (command.name, 0, 0))
            rows[command.node] = (name, sums + counters, macs + command.macs)
        for node, (name, sums, macs) in rows.items():
            counts = {key: int(value) for key, value in zip(COUNTERS, sums, strict=True)}
            taken = counts["cycles"] / per_ms if device else None
            trace.operators.append(OperatorTrace(node, name, taken, counts={**counts, "macs": macs}))
        return trace
