"""Runs the C++ of a bundle for high-level synthesis on this machine: C simulation, with the bits of the hardware.

The project is compiled in the sandbox, once, and runs there. It says nothing of cycles: these are what the bundle's
reuse factors give, until the vendor's tools have scheduled it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import sandbox
from edgekit.backends.divided.document import AGAIN
from edgekit.backends.hls4ml import document
from edgekit.backends.hls4ml.document import Document
from edgekit.bundle import Bundle
from edgekit.bundle.execution import Kind
from edgekit.bundle.samples import pack, samples_in
from edgekit.errors import DeviceError
from edgekit.files import left_behind
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
from edgekit.runners.csim import project
from edgekit.runners.csim.project import Project
from edgekit.runners.overlay import divided

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.backends.divided.parts import Parts
    from edgekit.bundle.execution import Execution
    from edgekit.target import Target

_LIMITS = sandbox.Limits(seconds=1800, memory_mb=4096, file_mb=256)
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True)
class Simulation:
    """A project's C++, compiled."""

    bundle: Bundle
    program: Document
    parts: Parts
    project: Project
    simulator: Path
    options: OpenOptions

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        return Device(f"C simulation of {self.program.layers} layers", self.bundle.target.arch)

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`. ``repeat`` is ignored: cycles are planned, not observed."""
        graph = self.bundle.graph
        values = dict(zip(graph.main.inputs, inputs, strict=True))
        for part in self.parts.all:
            fed = [values[i] for i in part.inputs]
            if part is self.parts.device:
                self.options.progress.step("run the network's C++")
                made = self._simulated(fed, [graph.tensors[i].shape for i in part.outputs])
            else:
                made = divided.on_host(self.bundle, part, fed, self.options)
            values |= dict(zip(part.outputs, made, strict=True))
        program = self.program
        counts = {"cycles": program.latency, "interval": program.interval, "multipliers": program.multipliers}
        operators = [OperatorTrace(index, graph.operators[index].op) for index in program.hls]
        trace = Trace(Source.EMULATOR, str(self.bundle.manifest["runtime"]), operators=operators, counts=counts)
        conditions = {"threads": 1, "machine": self.info().name}
        return Run([values[i] for i in graph.main.outputs], trace, conditions)

    def _simulated(self, fed: Sequence[NDArray[Any]], shapes: Sequence[tuple[int, ...]]) -> list[NDArray[Any]]:
        samples = samples_in(fed)
        sizes = [int(np.prod(shape, dtype=np.int64)) for shape in shapes]
        with sandbox.scratch() as folder:
            (folder / project.WEIGHTS).mkdir()
            for name, data in self.project.weights.items():
                (folder / project.WEIGHTS / name).write_bytes(data)
            (folder / "job").write_bytes(pack(fed))
            command = [str(self.simulator), "job", "result", str(samples)]
            done = sandbox.run_program(
                command, folder=folder, limits=_LIMITS, env=_ENVIRONMENT, readable=[self.simulator]
            )  # fmt: skip
            if done.returncode != 0:
                raise DeviceError(f"the simulated network failed: it ended with {done.returncode}", AGAIN)
            data = left_behind.read(folder, "result", samples * sum(sizes) + 1)
        if len(data) != samples * sum(sizes):
            raise DeviceError(f"the simulated network left {len(data)} results, not {samples * sum(sizes)}", AGAIN)
        rows = np.frombuffer(data, np.int8).reshape(samples, -1)
        columns = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
        return [part.reshape(samples, *shape).copy() for part, shape in zip(columns, shapes, strict=True)]


class CsimRunner(Defaults):
    """Runs bundles for high-level synthesis."""

    name = "csim"
    source, observes, proves = Source.EMULATOR, Observes.COUNTS, True

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`: only bundles for high-level synthesis."""
        return None if execution.kind is Kind.HLS else Refusal("the bundle is not for high-level synthesis")

    @contextmanager
    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
        """See :class:`edgekit.runners.Runner`."""
        yield opened(bundle, options)


def opened(bundle: Bundle, options: OpenOptions = OpenOptions()) -> Simulation:
    """A session of a bundle for high-level synthesis; see :meth:`edgekit.runners.Runner.open`."""
    program = document.read(bundle.artifact)
    found = divided.parts_of(bundle, program.before, program.hls, program.after, document.PROGRAM)
    assert found.device is not None
    shapes = [bundle.graph.tensors[i].shape for i in found.device.inputs]
    sizes = [int(np.prod(shape, dtype=np.int64)) for shape in shapes]
    files = project.read(bundle.artifact)
    return Simulation(bundle, program, found, files, project.compiled(files, sizes, options.progress), options)
