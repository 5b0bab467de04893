"""Search for faster kernels for a compiled network, measured where it will run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import bundle as bundles
from edgekit import resources, sandbox, target
from edgekit.backends import tvm as compiling
from edgekit.backends.tvm import database as databases
from edgekit.backends.tvm.processors import processor
from edgekit.codegen.schedule import cpu
from edgekit.codegen.schedule.tuned import workload
from edgekit.errors import ModelError, UsageError
from edgekit.graph.onnx_operators import has_onnx
from edgekit.progress import Progress, Silent
from edgekit.tuning import batch as batches
from edgekit.tuning import tasks
from edgekit.tuning.measure import ByRunner, Measure
from edgekit.tuning.search import Search

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.backends.tvm.processors import Processor
    from edgekit.codegen.kernels import Network as Kernels
    from edgekit.codegen.program import Program
    from edgekit.target import Target

TRIALS = 64
WHOLE_ROUNDS, WHOLE_REPEAT = 9, 30
TRACKER = "tracker:"


@dataclass
class Network:
    """The whole network with the rules' kernels and with the tuned ones, measured in turns; None if not measured.

    Times are in microseconds; the ratio has its median and quartiles.
    """

    rule_us: float
    tuned_us: float
    ratio: float
    low: float
    high: float


@dataclass
class Tuned:
    """The result of a tuning. ``json()`` is the document of ``edgekit tune --json``."""

    target: str
    on: str
    database: Path
    wanted: int
    known: int = 0
    new: int = 0
    kernels: list[dict[str, Any]] = field(default_factory=list)
    network: Network | None = None
    used: bool = False
    interrupted: bool = False
    seconds: float = 0.0

    @property
    def to_use(self) -> str:
        """The value for ``edgekit compile --database`` that uses the results."""
        own = self.database.parent == resources.cache("tuning")
        return databases.AUTO if own else str(self.database)

    def json(self) -> dict[str, Any]:
        """Return the JSON document of ``tune``."""
        whole = self.network
        return {
            "schema": 1,
            "target": self.target,
            "on": self.on,
            "database": str(self.database),
            "trials": {"wanted": self.wanted, "known": self.known, "new": self.new},
            "kernels": self.kernels,
            "network": None if whole is None else {
                "rule_us": whole.rule_us, "tuned_us": whole.tuned_us, "speedup": 1 / whole.ratio,
                "low": 1 / whole.high, "high": 1 / whole.low,
            },
            "used": self.used,
            "interrupted": self.interrupted,
            "seconds": round(self.seconds, 3),
        }  # fmt: skip


def tune(
    path: str | Path,
    *,
    target: str | None = None,
    trials: int = TRIALS,
    on: str | None = None,
    database: str | None = None,
    seed: int = 0,
    shapes: Sequence[str] = (),
    trust: bool = False,
    progress: Progress = Silent(),
) -> Tuned:
    """Try other kernels for a network on a target; keep in the database those that are faster than the rules'.

    :param path: a bundle or a model; the network is used as it is.
    :param target: the board; a bundle has its own.
    :param trials: number of variants of its kernels to try, including those of earlier runs.
    :param on: where to measure: ``host``, ``emulator``, ``ssh://user@host``, ``tracker://host:port`` (TVM's RPC
        tracker, with servers under the target's name); default: ``host`` for this machine, otherwise the emulator.
    :param database: a file, or a folder of them; default: edgekit's cache.
    :param shapes: shapes of a model's inputs that it leaves open, as for ``compile``.
    :returns: also after an interrupt (``interrupted``); the same call resumes.
    :raises EdgekitError: a subclass says what went wrong.
    """
    began = time.monotonic()
    if trials < 1:
        raise UsageError(f"trials must be at least 1, not {trials}", "64 is a good start")
    compiling.here()
    network, board = _network(Path(path), target, shapes, trust, progress)
    on = on or ("host" if board.arch == "native" else "emulator")
    made = processor(board)
    sandbox.warm(batches.PRELOAD)
    program = cpu.schedule(network, made.machine)
    todo = tasks.tasks(program)
    if not todo:
        raise ModelError("the network has no kernel to tune: its operators only move or transform single elements")
    measure = _measure(on, board, made)
    with databases.opened(database, board) as base:
        result = Tuned(board.name, on, base.path, trials)
        _tune(result, Search(network, made, program, todo, {}, measure, base, seed, progress), board, on)
    result.seconds = time.monotonic() - began
    return result


def _network(
    path: Path, name: str | None, shapes: Sequence[str], trust: bool, progress: Progress
) -> tuple[Kernels, Target]:
    """Return the network's kernels and the target, which TVM's backend must support."""
    from edgekit.api.load import load
    from edgekit.readers import ReadOptions
    from edgekit.readers.shapes import no_shapes
    from edgekit.readers.shapes import parse as parse_shapes

    progress.step(f"read {path.name}")
    wanted = parse_shapes(shapes)
    if bundles.is_bundle(path):
        no_shapes(shapes)
        with bundles.opened(path) as bundle:
            if name is not None and name != bundle.target.name:
                raise UsageError(f"this bundle is for {bundle.target.name}, not {name}", "omit --target")
            graph, board = bundle.graph, bundle.target
    else:
        if name is None:
            raise UsageError("pass the target to tune for", "add --target rpi4, for example")
        board = target.load(name)
        graph = load(path, options=ReadOptions(trust=trust, shapes=wanted, progress=progress))
    if "tvm" not in board.backends:
        raise UsageError(f"TVM does not support {board.name}", "its backends: " + ", ".join(board.backends))
    if has_onnx(graph):
        raise ModelError("networks kept in ONNX's operators cannot be tuned", "their loops are TVM's own")
    plan = compiling.TVM().plan(graph, board)
    if isinstance(plan, list):
        first = plan[0]
        raise ModelError(
            f"cannot be compiled with TVM: {first.words()}",
            "compile it with another recipe first, and tune the bundle",
        )
    assert plan.network is not None
    return plan.network, board


def _measure(on: str, board: Target, made: Processor) -> Measure:
    if on.startswith(TRACKER):
        from edgekit.tuning.farm import Farm

        return Farm(on, board, made)
    return ByRunner(on, board, made)


def _tune(result: Tuned, search: Search, board: Target, on: str) -> None:
    """Search, decide, prove; the next call does whatever an interrupt leaves undone."""
    progress = search.progress
    result.known = search.count()
    chosen: dict[str, dict[str, Any]] = {}
    try:
        progress.step("measure the rules' kernels")
        search.us = _rule_us(search)
        search.run(result.wanted)
        chosen = search.verdicts()
        if chosen:
            progress.step("measure the whole network")
            choices = {name: found["choice"] for name, found in chosen.items()}
            result.network = _whole(search, cpu.schedule(search.network, search.processor.machine, choices))
        result.used = bool(chosen) and (result.network is None or result.network.ratio < 1)
        search.decide(chosen if result.used else {})
    except KeyboardInterrupt:
        result.interrupted = True
    result.new = search.new
    result.kernels = [_row(search, task, chosen, result.used) for task in search.tasks]


def _rule_us(search: Search) -> dict[str, float]:
    """Return each task's time in the network, over all its calls."""
    names = [workload(call.loops) for call in search.program.calls]
    if isinstance(search.measure, ByRunner):
        with search.measure.network(search.program) as rules:
            us = rules.kernels(WHOLE_REPEAT)
    else:
        alone = {t.workload: float(search.measure.times([(search.program, t.call)], 3).us[:, 0].min())
                 for t in search.tasks}  # fmt: skip
        us = np.array([alone.get(name, 0.0) for name in names])
    return {t.workload: float(us[[n == t.workload for n in names]].sum()) for t in search.tasks}


def _whole(search: Search, tuned: Program) -> Network | None:
    """Measure the two networks in turns; None if only kernels can be measured."""
    measure = search.measure
    if not isinstance(measure, ByRunner):
        return None
    with measure.network(search.program) as rules, measure.network(tuned) as other:
        rounds = 1 if measure.exact else WHOLE_ROUNDS
        us: NDArray[np.float64] = np.array(
            [[one.kernels(WHOLE_REPEAT).sum() for one in (rules, other)] for _ in range(rounds)]
        )
    ratios = us[:, 1] / us[:, 0]
    low, high = np.quantile(ratios, [0.25, 0.75])
    return Network(
        statistics.median(us[:, 0]), statistics.median(us[:, 1]), float(np.median(ratios)), float(low), float(high)
    )


def _row(search: Search, task: tasks.Task, chosen: dict[str, dict[str, Any]], used: bool) -> dict[str, Any]:
    """Return one kernel's row in the document and the table."""
    best = search.best(task)
    found = chosen.get(task.workload)
    ratio = found["ratio"] if found else min(1.0, best[0]["ratio"]) if best else None
    how = None if not best else "schedule" if "trace" in (found or best[0])["choice"] else "tile"
    total = sum(search.us.values())
    us = search.us.get(task.workload)
    return {
        "kernel": task.title,
        "workload": task.workload,
        "calls": task.calls,
        "share": us / total if us is not None and total else None,
        "rule_us": us,
        "trials": len(search.known(task)),
        "failed": sum("error" in trial for trial in search.known(task)),
        "best": None if ratio is None else 1 / ratio,
        "how": how,
        "used": used and found is not None,
    }
