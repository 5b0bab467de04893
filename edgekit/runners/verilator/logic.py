"""Networks in logic (backend ``da4ml``): their own Verilog, compiled by Verilator and clocked a sample per cycle."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import sandbox
from edgekit.backends.da4ml import document
from edgekit.backends.da4ml.document import Document
from edgekit.backends.divided.document import AGAIN
from edgekit.bundle import Bundle
from edgekit.bundle.samples import pack, samples_in
from edgekit.errors import DeviceError, EdgekitError
from edgekit.files import left_behind
from edgekit.runners import Device, OpenOptions, Run, RunOptions, Source, Trace
from edgekit.runners.overlay import divided
from edgekit.runners.verilator import simulator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.backends.divided.parts import Parts

MAIN = "sim/unrolled.cpp"
FLAGS = (
    "--cc", "--exe", "-O3", "--x-assign", "fast", "--x-initial", "fast", "--noassert", "-Wno-fatal",
    "-Wfuture-WIDTHTRUNC", "-Wfuture-WIDTHEXPAND",
)  # fmt: skip
"""Of these codes that the Verilog names, older Verilators know none."""
MOST_FILES, MOST_BYTES = 2000, 64 << 20
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,120}\.(v|mem)")
_LIMITS = sandbox.Limits(seconds=600, memory_mb=2048, file_mb=256)
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}


@dataclass(frozen=True)
class Simulation:
    """A simulated network."""

    bundle: Bundle
    program: Document
    parts: Parts
    simulator: Path
    memories: dict[str, bytes]
    options: OpenOptions

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        return Device(f"simulated logic of {self.program.stages} stages", self.bundle.target.arch)

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`. ``repeat`` is ignored: every repetition would take the same cycles."""
        graph = self.bundle.graph
        values = dict(zip(graph.main.inputs, inputs, strict=True))
        for part in self.parts.all:
            fed = [values[i] for i in part.inputs]
            if part is self.parts.device:
                self.options.progress.step("simulate the network's logic")
                shapes = [graph.tensors[i].shape for i in part.outputs]
                made = self._simulated(fed, shapes)
            else:
                made = divided.on_host(self.bundle, part, fed, self.options)
            values |= dict(zip(part.outputs, made, strict=True))
        counts = {"cycles": self.program.stages + 1, "interval": 1, "adders": self.program.adders}
        trace = Trace(Source.EMULATOR, str(self.bundle.manifest["runtime"]), counts=counts)
        conditions = {"threads": 1, "machine": self.info().name}
        return Run([values[i] for i in graph.main.outputs], trace, conditions)

    def _simulated(self, fed: Sequence[NDArray[Any]], shapes: Sequence[tuple[int, ...]]) -> list[NDArray[Any]]:
        samples = samples_in(fed)
        with sandbox.scratch() as folder:
            for name, data in self.memories.items():
                (folder / name).write_bytes(data)
            (folder / "job").write_bytes(pack(fed))
            command = [str(self.simulator), "job", "result", str(self.program.stages), str(samples)]
            done = sandbox.run_program(
                command, folder=folder, limits=_LIMITS, env=_ENVIRONMENT, readable=[self.simulator]
            )  # fmt: skip
            if done.returncode != 0:
                raise DeviceError(f"the simulated network failed: it ended with {done.returncode}", AGAIN)
            sizes = [int(np.prod(shape, dtype=np.int64)) for shape in shapes]
            data = left_behind.read(folder, "result", samples * sum(sizes) + 1)
        if len(data) != samples * sum(sizes):
            raise DeviceError("the simulated network left too few results", AGAIN)
        rows = np.frombuffer(data, np.int8).reshape(samples, -1)
        columns = np.split(rows, np.cumsum(sizes)[:-1], axis=1)
        return [part.reshape(samples, *shape).copy() for part, shape in zip(columns, shapes, strict=True)]


def opened(bundle: Bundle, options: OpenOptions = OpenOptions()) -> Simulation:
    """A session of a bundle for logic; see :meth:`edgekit.runners.Runner.open`."""
    program = document.read(bundle.artifact)
    found = divided.parts_of(bundle, program.before, program.logic, program.after, document.PROGRAM)
    assert found.device is not None
    files = _files(bundle.artifact / document.RTL)
    design = sorted(name for name in files if name.endswith(".v"))
    memories = {name: data for name, data in files.items() if name.endswith(".mem")}
    sizes = [
        sum(int(np.prod(bundle.graph.tensors[i].shape, dtype=np.int64)) for i in group)
        for group in (found.device.inputs, found.device.outputs)
    ]
    content = {**files, MAIN: (simulator.sources() / MAIN).read_bytes()}
    try:
        built = simulator.compiled(
            document.TOP, design, MAIN, content, FLAGS, [f"-DIN_BYTES={sizes[0]}", f"-DOUT_BYTES={sizes[1]}"],
            options.progress, "build the simulator of the network: half a minute, once", once=True,
        )  # fmt: skip
    except EdgekitError as error:
        if type(error) is not EdgekitError:
            raise
        raise DeviceError(f"the bundle's Verilog is damaged: {error.message}", AGAIN) from error
    return Simulation(bundle, program, found, built, memories, options)


def _files(folder: Path) -> dict[str, bytes]:
    """The Verilog and the tables of a bundle, by name.

    :raises DeviceError: if there are others, or too many.
    """
    files = sorted(folder.iterdir())[: MOST_FILES + 1] if folder.is_dir() else []
    usable = all(path.is_file() and not path.is_symlink() and _NAME.fullmatch(path.name) for path in files)
    if not files or not usable or len(files) > MOST_FILES or sum(path.stat().st_size for path in files) > MOST_BYTES:
        raise DeviceError(f"the bundle has no usable artifact/{document.RTL}", AGAIN)
    return {path.name: path.read_bytes() for path in files}
