"""Search for recipes that meet budgets: each costs accuracy, size, latency and energy, and is proven on the target."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

import edgekit
from edgekit import plugins, resources, sandbox, target
from edgekit.api import compile as compiling
from edgekit.api import job as jobs
from edgekit.api import judging, measuring
from edgekit.api.output import output
from edgekit.api.profile import profile
from edgekit.compression import budget as budgeting
from edgekit.compression import journal, result, search, space
from edgekit.compression.candidates import Candidate, Evaluator
from edgekit.compression.finalists import Finalist
from edgekit.compression.result import Compression
from edgekit.data import dataset
from edgekit.data import spec as data_spec
from edgekit.data.boxes import Boxes
from edgekit.errors import CheckFailed, DeviceError, ModelError, ToolMissing
from edgekit.files.documents import write_text
from edgekit.graph import Graph
from edgekit.graph.stats import statistics
from edgekit.metrics.tasks import registry
from edgekit.metrics.tasks.registry import Metric
from edgekit.passes import PassContext
from edgekit.passes.recipe import Recipe, Step
from edgekit.progress import Progress, Silent
from edgekit.reference.litert import PRELOAD
from edgekit.target import Target

TRIALS, FINALISTS = 40, 5
NEAREST = 3
"""Number of candidates nearest to the budgets that are compiled if none meets them by the estimate."""


def compress(
    model: str | Path,
    *,
    data: str,
    target: str,
    budgets: Sequence[str] = (),
    metric: str | None = None,
    test: str | None = None,
    trials: int = TRIALS,
    seconds: float = math.inf,
    finalists: int = FINALISTS,
    train: bool = False,
    out: str | Path = "build/compress",
    seed: int = 0,
    fresh: bool = False,
    shapes: Sequence[str] = (),
    task: str | Path | None = None,
    trust: bool = False,
    progress: Progress = Silent(),
) -> Compression:
    """Search for recipes for one target; compile, prove and measure the best of them.

    :param data: labelled samples, for the passes and for the search, which get different parts of them; without
        ``test``, a third is kept for the final accuracy.
    :param budgets: ``NAME=NUMBER[UNIT]`` each (:mod:`edgekit.compression.budget`).
    :param metric: judge by this metric of a task (docs/data.md), not by accuracy; default: the task's own, if its
        truth is known and no budget bounds accuracy.
    :param task: a ``task.toml``; default: the one beside the model, if there is one.
    :param trials: the largest number of different recipes to try; ``seconds``: the longest time.
    :param train: also try recipes that train (needs TensorFlow).
    :param out: folder for the recipes, the bundles and ``front.json``.
    :param shapes: shapes of inputs that the model leaves open, as for ``compile``.
    :param fresh: discard the results of an earlier, interrupted search of the same kind.
    :returns: also if no candidate meets the budgets, or the search was interrupted (see its ``check`` and ``found``).
    :raises EdgekitError: a subclass says what went wrong.
    """
    began = time.monotonic()
    limits, board = budgeting.parse(budgets), _board(target)
    judge = None if metric is None else registry.get(metric)
    if judge is not None:
        judging.fit(limits, judge)
    _tools(train)
    with output(Path(out)) as folder:
        sandbox.warm(PRELOAD)
        specs = _specs(data, test)
        file = None if task is None else Path(task)
        source = jobs.read(Path(model), specs["calibration"], specs["test"], seed, trust, progress, shapes, file)
        searched = dataset.load(specs["search"], source.graph, seed=seed, task=source.task, progress=progress)
        if judge is None:
            judge = judging.by_task(source, searched, limits)
            judging.fit(limits, judge)
        judging.usable(source, searched, limits, judge, progress)

        costs = _objectives(limits)
        evaluator = _evaluator(source, searched, board, costs, judge, seed, progress)
        whole = evaluator.measure((), len(searched))
        goal = search.Goal(costs, limits, dict(whole.costs), evaluator.scale())
        choices = space.space(plugins.names("passes"), board.name, train=train, packed="packed" in goal.costs)
        ladder = search.rungs(len(searched), statistics(source.graph).macs)
        counts = {"calibration": len(source.samples or ()), "search": len(searched), "test": len(source.tests or ())}
        made = Compression(Path(model), board, seed, goal, search.Found(), specs, counts, ladder, folder)
        made.shapes, made.trust, made.task = tuple(shapes), trust, file
        try:
            with journal.opened(_journal(source, searched, board, choices, goal, seed), goal, fresh, progress) as study:
                search.run(
                    study, choices, goal, evaluator, samples=ladder[0], trials=trials, deadline=began + seconds,
                    seed=seed, progress=progress, found=made.found,
                )  # fmt: skip
            search.halve(goal, evaluator, made.found, ladder, 2 * finalists, progress)
            _compile(made, source, evaluator, judge, finalists, progress)
        except KeyboardInterrupt:
            made.found.interrupted = True
        made.seconds = time.monotonic() - began
        result.write(made)
        return made


def _board(name: str) -> Target:
    return target.load(name)


def _tools(train: bool) -> None:
    for module, extra, needed in (("optuna", "search", True), ("tensorflow", "train", train)):
        if needed and importlib.util.find_spec(module) is None:
            what = "searching" if extra == "search" else "training"
            raise ToolMissing(
                f"{what} needs {module}, which is not installed", f"install it: pip install 'edgekit[{extra}]'"
            )


def _specs(data: str, test: str | None) -> dict[str, str]:
    parts = 3 if test is None else 2
    specs = {
        kind: data_spec.part(data, n, parts) for n, kind in enumerate(("calibration", "search", "test")[:parts], 1)
    }
    return specs | ({} if test is None else {"test": test})


def _objectives(limits: Sequence[budgeting.Budget]) -> tuple[str, ...]:
    """Return the costs to minimize: size and latency, which energy follows; the packed size if it has a budget."""
    return ("size", "latency", *(budget.name for budget in limits if budget.name == "packed"))


def _evaluator(
    source: jobs.Source,
    searched: dataset.Dataset,
    board: Target,
    costs: Sequence[str],
    judge: Metric | None,
    seed: int,
    progress: Progress,
) -> Evaluator:
    gauge = measuring.aim(source, [] if judge is None else [judge])
    context = PassContext(source.samples, seed, source.graph, progress=_Inner(progress), gauge=gauge)

    def apply(graph: Graph, step: Step) -> Graph:
        return jobs.transform(graph, Recipe("", "", False, (step,)), context)[0]

    return Evaluator(
        source.graph, apply, searched, board, lambda graph: compiling.backend_for(compiling.FIRST, graph, board)[0],
        packed="packed" in costs, seed=seed, yardstick=judging.yardstick(source, judge),
    )  # fmt: skip


class _Inner(Silent):
    """Hides the steps within a candidate, so that only the search's own are shown.

    :param name: the candidate's, put before its warnings; without a name, warnings are hidden, too.
    """

    def __init__(self, outer: Progress, name: str = "") -> None:
        self._outer, self._name = outer, name

    def advance(self, done: int, total: int) -> None:
        self._outer.advance(done, total)

    def warn(self, message: str) -> None:
        if self._name:
            self._outer.warn(f"{self._name}: {message}")


def _journal(
    source: jobs.Source, searched: dataset.Dataset, board: Target, choices: space.Space, goal: search.Goal, seed: int
) -> Path:
    """Return the path of this search's journal, by model, samples, target, space, budgets, seed and code."""
    total = hashlib.sha256()
    for part in (source.samples, searched):
        assert part is not None
        for array in [*part.inputs, part.labels, part.groups]:
            total.update(b"-" if array is None else repr((array.dtype, array.shape)).encode() + array.tobytes())
    if goal.scale.drop == budgeting.METRIC:
        _add(total, [goal.scale.name, repr(source.task), source.samples and source.samples.truth, searched.truth])
    code = sorted(Path(edgekit.__file__).parent.rglob("*.py"))
    rest = [edgekit.__version__, source.model["sha256"], source.model.get("shapes"), asdict(board), choices.json(),
            goal.costs, [(b.name, b.limit) for b in goal.budgets], seed,
            [hashlib.sha256(path.read_bytes()).hexdigest() for path in code]]  # fmt: skip
    total.update(json.dumps(rest, default=str).encode())
    return resources.created(resources.cache("compress")) / f"{total.hexdigest()[:32]}.journal"


def _add(total: hashlib._Hash, value: object) -> None:
    """Add truth of any kind: arrays, and boxes and masks in arrays."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        total.update(repr((value.dtype, value.shape)).encode() + value.tobytes())
    elif isinstance(value, np.ndarray | list):
        for entry in value:
            _add(total, entry)
    elif isinstance(value, Boxes):
        _add(total, [value.corners, value.classes, value.crowd])
    else:
        total.update(repr(value).encode())


def _compile(
    made: Compression, source: jobs.Source, evaluator: Evaluator, judge: Metric | None, count: int, progress: Progress
) -> None:
    """Compile the uncompressed network and the finalists; those that fail are set aside with the reason."""
    full = [c for c in search.unique(made.found) if c.samples == made.rungs[-1] and c.steps]
    holding = [c for c in full if budgeting.distance(made.goal.limits, c.figures) <= 0]
    chosen = made.goal.first(holding or full, count if holding else NEAREST)
    if (best := made.goal.best(full)) is not None and best not in chosen:
        chosen = [best, *chosen[:-1]]
    (made.out / "recipes").mkdir(exist_ok=True)
    made.reference = _finalist(made, source, evaluator, judge, Candidate((), dict(made.goal.whole)), progress)
    for candidate in chosen:
        try:
            made.finalists.append(_finalist(made, source, evaluator, judge, candidate, progress))
        except (CheckFailed, DeviceError, ModelError) as error:
            made.rejected[candidate.name] = error.message
            progress.warn(f"{candidate.name} is left out: {error.message}")


def _finalist(
    made: Compression,
    source: jobs.Source,
    evaluator: Evaluator,
    judge: Metric | None,
    candidate: Candidate,
    progress: Progress,
) -> Finalist:
    progress.step(f"compile and prove {candidate.name}")
    progress = _Inner(progress, candidate.name)
    board, graph = made.board, evaluator.graph(candidate.steps)
    plan = Recipe(candidate.name, candidate.name, bool(candidate.steps), candidate.steps)
    job = jobs.prepare(source, plan, made.seed, "1", progress, transformed=graph, metrics=[judge] if judge else ())
    backend, planned = compiling.backend_for(compiling.FIRST, graph, board)
    bundle = compiling.build(job, backend, planned, made.out, False, progress)
    where = bundle.parity.on if bundle.parity.on == "emulator" or board.name == "host" else "estimate"
    measured = profile(bundle.path, on=where, progress=progress)
    recipe = made.out / "recipes" / f"{candidate.name}.toml" if candidate.steps else None
    finalist = Finalist(candidate, recipe, bundle, measured, judging.verdict(source, job))
    if recipe is not None:
        write_text(recipe, result.recipe(made, finalist))
    return finalist
