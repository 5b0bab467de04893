"""The hls4ml backend: an int8 network as a project for Vitis HLS, which gives the reference's bits (docs/fpga.md).

Sums of products, pooling and padding are hls4ml's own layers, in integers of the fewest bits. What turns sums into
stored integers is a header of ours (``firmware_stubs/hls``), which hls4ml puts into the project.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import resources, sandbox
from edgekit.backends import Artifact, Defaults, Exactness, Planned, Request, Unsupported
from edgekit.backends.divided import divided, host
from edgekit.backends.divided import unsuitable as lacking
from edgekit.backends.divided.parts import Parts
from edgekit.backends.hls4ml import job
from edgekit.backends.hls4ml.document import PROGRAM, PROJECT, Document
from edgekit.bundle.execution import Execution, Footprint, Kind
from edgekit.codegen.schedule.hls import Program, missing, reuse, schedule
from edgekit.errors import EdgekitError, ModelError, UsageError
from edgekit.files import left_behind, plain_files
from edgekit.files.documents import write_text
from edgekit.sandbox.environment import clean
from edgekit.text.logs import last_line
from edgekit.tools.environment import Environment

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.progress import Progress
    from edgekit.target import Target

ENVIRONMENT = Environment(
    "hls4ml", "hls4ml", "writes projects for high-level synthesis", "25 MB", "", "a network connection", "hls4ml"
)
LIMITS = sandbox.Limits(seconds=1800, memory_mb=8192)
ELSEWHERE = "use the accelerator: --target ecp5-85f"
HEADER = "edgekit_integers.h"
_CHILD = Path(__file__).with_name("child.py")
_LEFT = "project"
_KINDS = (".h", ".cpp", ".txt", ".tcl", ".sh", ".yml", "")
_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Plan(Planned):
    """A network as layers, the reuse factors of these, and what is left to the host."""

    program: Program
    reuse: reuse.Plan
    parts: Parts


@dataclass(frozen=True)
class Hls4ml(Defaults):
    """Writes int8 networks as hls4ml projects.

    :param split: leave what has no layer to the host. :param multipliers: blocks that the reuse factors are chosen for;
        0: all that the device has.
    """

    split: bool = False
    multipliers: int = 0
    name = "hls4ml"
    splits = True

    def configured(self, options: Mapping[str, Any]) -> Hls4ml:
        """Set ``split``, true or false, and ``multipliers``, a whole number."""
        for option, value in options.items():
            if option not in ("split", "multipliers"):
                raise UsageError(f"--set hls4ml.{option}: no such option", "use hls4ml.split or hls4ml.multipliers")
            if option == "split" and not isinstance(value, bool):
                raise UsageError(f"hls4ml.split is {value!r}, not true or false", "use --split")
            whole = isinstance(value, int) and not isinstance(value, bool)
            if option == "multipliers" and not (whole and 1 <= value <= 100_000):
                raise UsageError(f"hls4ml.multipliers is {value!r}, not a number from 1 to 100,000", "omit it")
        return replace(self, **options)

    def exactness(self, graph: Graph) -> Exactness:
        """Integers are equal to the reference's, bit for bit."""
        return Exactness(bit_exact=True)

    def plan(self, graph: Graph, target: Target) -> Plan | list[Unsupported]:
        """Refuse operators that have no layer, unless they are left to the host."""
        found = divided(graph, unsuitable(graph), split=self.split, elsewhere=ELSEWHERE)
        if isinstance(found, list):
            return found
        shared, network = found
        program, device = schedule(network), target.synthesized
        factors = reuse.plan(program, self.multipliers or device.multipliers, device.pixel_cycles)
        return Plan(graph, target, program, factors, shared)

    def build(self, planned: Planned, request: Request) -> Artifact:
        """See :class:`edgekit.backends.Backend`.

        :raises ModelError: if hls4ml fails.
        """
        assert isinstance(planned, Plan), planned
        shared, folder, factors, device = planned.parts, request.folder, planned.reuse, planned.target.synthesized
        settings = job.Settings(device.part, 1e3 / float(device.clock_mhz), factors.factors)
        _written(planned.program, settings, folder / PROJECT, request.progress)
        layers, latency = len(planned.program.layers), factors.cycles + factors.fills
        made = Document(layers, factors.multipliers, factors.cycles, latency, *shared.groups)
        write_text(folder / PROGRAM, made.text())
        host.write(host.codes(planned.graph, shared), folder)
        request.progress.note(
            f"{planned.target.name}: {layers} layers, {factors.multipliers:,} multipliers by the reuse factors; what "
            "the device is filled to, and the clock, only the vendor's tools can say"
        )
        version = ENVIRONMENT.requirement().partition("==")[2]
        options = {name: value for name, value in (("split", self.split), ("multipliers", self.multipliers)) if value}
        return Artifact(
            {"hls4ml": version}, Execution(Kind.HLS, prover="csim"), "hls4ml", 0, options=options,
            footprint=Footprint(0, 0),
        )  # fmt: skip


def unsuitable(graph: Graph) -> dict[int, str]:
    """Operators that have no layer, with the reason."""
    return lacking(graph, missing, "hls4ml")


def _written(program: Program, settings: job.Settings, folder: Path, progress: Progress) -> None:
    """Write the project, in a child process in hls4ml's environment."""
    python = ENVIRONMENT.ensure(progress)
    progress.step(f"{len(program.layers)} layers as C++ (hls4ml, in a sandbox)")
    document, arrays = job.of_program(program, settings)
    header = resources.folder("firmware_stubs") / "hls" / HEADER
    with sandbox.scratch() as scratch:
        (scratch / "job.json").write_text(json.dumps(document))
        np.savez(scratch / "job.npz", **arrays)  # type: ignore[arg-type]
        env = clean(HOME=str(scratch), TMPDIR=str(scratch), PYTHONHASHSEED="0", OMP_NUM_THREADS="1")
        argv = [str(python), "-I", "-W", "ignore", str(_CHILD), str(header)]
        try:
            done = sandbox.run_program(argv, folder=scratch, limits=LIMITS, env=env, readable=[_CHILD, header])
        except sandbox.ChildDied as died:
            raise ModelError(f"hls4ml {died.reason}", "try a smaller network") from died
        if done.returncode != 0:
            raise EdgekitError(f"hls4ml failed: {last_line(done.stdout)}", "please report this")
        _copied(scratch, folder)


def _copied(scratch: Path, folder: Path) -> None:
    """The project that hls4ml left; links lead nowhere."""
    try:
        names = plain_files.names(scratch / _LEFT)
    except (plain_files.NotPlain, OSError) as error:
        raise EdgekitError(f"hls4ml left no project: {error}", "please report this") from error
    for name in names:
        if PurePosixPath(name).suffix in _KINDS:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(left_behind.read(scratch / _LEFT, name, _MOST_BYTES, EdgekitError))
