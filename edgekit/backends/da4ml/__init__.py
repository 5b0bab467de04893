"""The da4ml backend: a small int8 network as unrolled Verilog, which takes a new input at every clock (docs/fpga.md).

Every multiplication becomes additions of its own, by distributed arithmetic (da4ml, in an environment of its own).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import sandbox
from edgekit.backends import Artifact, Defaults, Exactness, Planned, Request, Unsupported
from edgekit.backends.da4ml import job
from edgekit.backends.da4ml.document import PROGRAM, RTL, TOP, Document
from edgekit.backends.divided import divided, host
from edgekit.backends.divided import unsuitable as lacking
from edgekit.backends.divided.parts import Parts
from edgekit.bundle.execution import Execution, Footprint, Kind
from edgekit.codegen.schedule.unrolled import Program, missing, schedule
from edgekit.errors import EdgekitError, ModelError, UsageError
from edgekit.files import left_behind, plain_files
from edgekit.files.documents import write_text
from edgekit.graph.stats import statistics
from edgekit.sandbox.environment import clean
from edgekit.text.logs import last_line
from edgekit.tools.environment import Environment

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.progress import Progress
    from edgekit.target import Target

ENVIRONMENT = Environment(
    "da4ml", "da4ml", "writes small networks as Verilog", "20 MB", "", "a network connection", "da4ml"
)
LIMITS = sandbox.Limits(seconds=1800, memory_mb=8192)
ELSEWHERE = "use the accelerator: --target ecp5-85f"
PRODUCTS = 20_000
"""Multiplications that become circuits at most, of targets that are no logic."""
_CHILD = Path(__file__).with_name("child.py")
_MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Plan(Planned):
    """A network as steps, and what is left to the host."""

    program: Program
    parts: Parts


@dataclass(frozen=True)
class Da4ml(Defaults):
    """Compiles small int8 networks to logic.

    :param split: leave what has no circuit to the host.
    """

    split: bool = False
    name = "da4ml"
    splits = True

    def configured(self, options: Mapping[str, Any]) -> Da4ml:
        """Set ``split``, true or false."""
        for option, value in options.items():
            if option != "split":
                raise UsageError(f"--set da4ml.{option}: no such option", "use da4ml.split")
            if not isinstance(value, bool):
                raise UsageError(f"da4ml.split is {value!r}, not true or false", "use --split")
        return replace(self, **options)

    def exactness(self, graph: Graph) -> Exactness:
        """Integers are equal to the reference's, bit for bit."""
        return Exactness(bit_exact=True)

    def plan(self, graph: Graph, target: Target) -> Plan | list[Unsupported]:
        """Refuse operators that have no circuit, unless they are left to the host, and networks that are too large."""
        macs, most = statistics(graph).macs, target.logic.products if target.logic else PRODUCTS
        if macs > most:
            reason = f"the network has {macs:,} multiplications, and each would take a circuit: at most {most:,}"
            return [Unsupported(0, graph.operators[0].op, reason, ELSEWHERE)]
        found = divided(graph, unsuitable(graph), split=self.split, elsewhere=ELSEWHERE)
        if isinstance(found, list):
            return found
        shared, network = found
        return Plan(graph, target, schedule(network), shared)

    def build(self, planned: Planned, request: Request) -> Artifact:
        """See :class:`edgekit.backends.Backend`.

        :raises ModelError: if da4ml fails.
        """
        assert isinstance(planned, Plan), planned
        shared, folder = planned.parts, request.folder
        report = _written(planned.program, planned.target.circuit.adders_per_stage, folder / RTL, request.progress)
        made = Document(
            report["stages"], report["adders"], report["register_bits"], planned.program.products, *shared.groups
        )  # fmt: skip
        write_text(folder / PROGRAM, made.text())
        host.write(host.codes(planned.graph, shared), folder)
        request.progress.note(
            f"{planned.target.name}: {made.adders:,} adders and {made.register_bits:,} bits of registers in "
            f"{made.stages} stages; how many look-up tables that takes, only synthesis can say"
        )
        version = ENVIRONMENT.requirement().partition("==")[2]
        execution = Execution(Kind.LOGIC, prover="verilator")
        options: dict[str, Any] = {"split": True} if self.split else {}
        return Artifact({"da4ml": version}, execution, "da4ml", 0, options=options, footprint=Footprint(0, 0))


def unsuitable(graph: Graph) -> dict[int, str]:
    """Operators that have no circuit, with the reason."""
    return lacking(graph, missing, "da4ml")


def _written(program: Program, adders_per_stage: int, folder: Path, progress: Progress) -> dict[str, int]:
    """Write the Verilog; return the report of da4ml's child process."""
    python = ENVIRONMENT.ensure(progress)
    progress.step(f"{program.products:,} multiplications as additions (da4ml, in a sandbox)")
    document, arrays = job.of_program(program, adders_per_stage)
    with sandbox.scratch() as scratch:
        (scratch / "job.json").write_text(json.dumps(document))
        np.savez(scratch / "job.npz", **arrays)  # type: ignore[arg-type]
        cores = str(os.cpu_count() or 1)
        env = clean(HOME=str(scratch), TMPDIR=str(scratch), PYTHONHASHSEED="0", OMP_NUM_THREADS=cores)
        argv = [str(python), "-I", str(_CHILD)]
        try:
            done = sandbox.run_program(argv, folder=scratch, limits=LIMITS, env=env, readable=[_CHILD])
        except sandbox.ChildDied as died:
            raise ModelError(f"da4ml {died.reason}", "try a smaller network") from died
        if done.returncode != 0:
            raise EdgekitError(f"da4ml failed: {last_line(done.stdout)}", "please report this")
        _copied(scratch, folder)
        report = left_behind.document(scratch, "report.json", error=EdgekitError)
    try:
        return {name: int(report[name]) for name in ("stages", "adders", "register_bits")}
    except (KeyError, TypeError, ValueError) as error:
        raise EdgekitError(f"da4ml left a damaged report ({error!r})", "please report this") from error


def _copied(scratch: Path, folder: Path) -> None:
    """The Verilog and the tables that da4ml left, without what is for its own tools; links lead nowhere."""
    folder.mkdir()
    try:
        names = plain_files.names(scratch)
    except plain_files.NotPlain as error:
        raise EdgekitError(f"da4ml left what is no file: {error}", "please report this") from error
    for name in names:
        path = PurePosixPath(name)
        own = path.parts[:2] == ("rtl", "src") or name == f"rtl/{TOP}.v"
        if own and path.suffix in (".v", ".mem") and path.name != "network_wrapper.v":
            (folder / path.name).write_bytes(left_behind.read(scratch, name, _MOST_BYTES, EdgekitError))
