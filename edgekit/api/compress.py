"""Search recipes that hold a budget: what each costs in accuracy, size, latency and energy, proven on the target."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import shlex
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import edgekit
from edgekit import accuracy, dataset, fairness, plugins, resources, sandbox, target
from edgekit.api import compile as compiling
from edgekit.api import job as jobs
from edgekit.api.profile import profile
from edgekit.compression import budget as budgeting
from edgekit.compression import finalists as final
from edgekit.compression import front, search, space
from edgekit.compression.candidates import Candidate, Evaluator
from edgekit.compression.finalists import Finalist
from edgekit.errors import CheckFailed, DeviceError, ModelError, ToolMissing, UsageError
from edgekit.graph import Graph
from edgekit.graph.stats import statistics
from edgekit.passes import PassContext
from edgekit.passes.float32 import refuse_integer
from edgekit.progress import Progress, Silent
from edgekit.recipe import Recipe, Step
from edgekit.runners.reference import PRELOAD
from edgekit.target import Target

TRIALS, FINALISTS = 40, 5
NEAREST = 3
"""Where no candidate holds the budgets by the estimate, so many of the nearest are compiled all the same."""
LEAST, FEW = 20, 300
"""Samples to search on: with fewer than the first there is no search, with fewer than the second a warning."""


@dataclass
class Compression:
    """What a search found.

    :param reference: the network without compression, compiled and measured as the finalists were.
    :param specs: which data was for ``calibration``, ``search`` and ``test``.
    """

    model: Path
    board: Target
    seed: int
    goal: search.Goal
    found: search.Found
    specs: dict[str, str]
    samples: dict[str, int]
    rungs: list[int]
    out: Path
    reference: Finalist | None = None
    finalists: list[Finalist] = field(default_factory=list)
    rejected: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def compiled(self) -> list[Finalist]:
        """All that were compiled, the uncompressed network first."""
        return [*([self.reference] if self.reference else []), *self.finalists]

    @property
    def best(self) -> Finalist | None:
        return final.best(self.compiled, self.goal.budgets)

    @property
    def nearest(self) -> Finalist | None:
        return final.nearest(self.compiled, self.goal.budgets)

    def check(self) -> None:
        """:raises CheckFailed: if nothing holds the budgets, naming what comes nearest."""
        if self.best is not None or self.found.interrupted:
            return
        wanted = ", ".join(budget.text for budget in self.goal.budgets)
        near = self.nearest
        if near is None:
            raise CheckFailed(
                f"nothing could be compiled for {self.board.name}", next(iter(self.rejected.values()), "")
            )
        misses = [
            f"{name} {shown(name, near.figures[name])}"
            for name, over in budgeting.excesses(self.goal.budgets, near.figures).items()
            if over > 0
        ]
        raise CheckFailed(
            f"nothing holds {wanted}; nearest is {near.name} with {', '.join(misses)}",
            "raise the budget, try more recipes (--trials), or let it train (--train)",
        )

    def front(self) -> list[Candidate]:
        """The candidates of the search that no other beats, by estimate and the search's samples."""
        known = search.unique(self.found)
        kept = [c for c, rank in zip(known, front.ranks(self.goal.matrix(known)), strict=True) if rank == 0]
        return sorted(kept, key=lambda c: c.costs[self.goal.costs[0]])

    def json(self) -> dict[str, Any]:
        on_front = final.on_front(self.compiled, self.goal.costs) if self.compiled else []
        alike = final.within_noise(self.compiled) if self.compiled else []
        rows = [
            {**f.json(self.goal.budgets), "front": kept, "within_noise": f in alike}
            for f, kept in zip(self.compiled, on_front, strict=True)
        ]
        names = {c.name for c in self.front()} if self.found.candidates else set()
        return {
            "schema": 1,
            "model": str(self.model),
            "target": self.board.name,
            "seed": self.seed,
            "budgets": [{"name": b.name, "limit": b.limit, "text": b.text} for b in self.goal.budgets],
            "ok": self.best is not None,
            "best": self.best.name if self.best else None,
            "nearest": self.nearest.name if self.nearest else None,
            "data": {kind: {"spec": self.specs[kind], "samples": self.samples[kind]} for kind in self.specs},
            "finalists": rows,
            "rejected": [{"name": name, "reason": reason} for name, reason in self.rejected.items()],
            "search": {
                "recipes": len(self.found),
                "continued": self.found.continued,
                "interrupted": self.found.interrupted,
                "exhausted": self.found.exhausted,
                "rungs": self.rungs,
                "costs": list(self.goal.costs),
                "failed": [{"steps": json.loads(key), "reason": r} for key, r in self.found.failed.items()],
                "candidates": [
                    {**c.json(), "front": c.name in names} for c in search.unique(self.found)
                ],
            },
            "seconds": round(self.seconds, 1),
        }  # fmt: skip


def compress(
    model: str | Path,
    *,
    data: str,
    target: str,
    budgets: Sequence[str] = (),
    test: str | None = None,
    trials: int = TRIALS,
    seconds: float = math.inf,
    finalists: int = FINALISTS,
    train: bool = False,
    out: str | Path = "build/compress",
    seed: int = 0,
    fresh: bool = False,
    trust: bool = False,
    progress: Progress = Silent(),
) -> Compression:
    """Search recipes for one target; compile, prove and measure the best of them.

    :param data: labelled samples, for the passes and for the search, which get different parts of them; without
        ``test`` a third part is kept for the final accuracy.
    :param budgets: ``NAME=NUMBER[UNIT]`` each (:mod:`edgekit.compression.budget`).
    :param trials: how many different recipes to try, at most; ``seconds``: how long, at most.
    :param train: recipes may train (needs TensorFlow).
    :param out: folder for the recipes, the bundles and ``front.json``.
    :param fresh: forget what an earlier, interrupted search of the same kind found.
    :returns: also if no candidate holds the budgets, or the search was interrupted (its ``check`` and ``found`` tell).
    :raises EdgekitError: a subclass says what went wrong.
    """
    began = time.monotonic()
    limits, board = budgeting.parse(budgets), _board(target)
    _tools(train)
    folder = compiling.writable(Path(out))
    sandbox.warm(PRELOAD)
    specs = _specs(data, test)
    source = jobs.read(Path(model), specs["calibration"], specs["test"], seed, trust, progress)
    searched = dataset.load(specs["search"], source.graph, seed=seed, progress=progress)
    _usable(source, searched, limits, progress)

    goal = search.Goal(_objectives(limits), limits, {})
    evaluator = _evaluator(source, searched, board, goal, seed, progress)
    whole = evaluator.measure((), len(searched))
    goal.whole.update(whole.costs)
    choices = space.space(plugins.names("passes"), board.name, train=train, packed="packed" in goal.costs)
    ladder = search.rungs(len(searched), statistics(source.graph).macs)
    counts = {"calibration": len(source.samples or ()), "search": len(searched), "test": len(source.tests or ())}
    made = Compression(Path(model), board, seed, goal, search.Found(), specs, counts, ladder, folder)
    try:
        with search.journal(_journal(source, searched, board, choices, goal, seed), goal, fresh, progress) as study:
            search.run(
                study, choices, goal, evaluator, samples=ladder[0], trials=trials, deadline=began + seconds, seed=seed,
                progress=progress, found=made.found,
            )  # fmt: skip
        search.halve(goal, evaluator, made.found, ladder, 2 * finalists, progress)
        _compile(made, source, evaluator, finalists, progress)
    except KeyboardInterrupt:
        made.found.interrupted = True
    made.seconds = time.monotonic() - began
    _write(made)
    return made


def shown(name: str, value: float) -> str:
    """A budgeted figure for people, with its unit."""
    if name in ("size", "packed"):
        return f"{value / 1e3:.4g} kB"
    return f"{value:.3g} " + {"latency": "ms", "energy": "mJ"}.get(name, "points")


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
    specs = {kind: dataset.part(data, n, parts) for n, kind in enumerate(("calibration", "search", "test")[:parts], 1)}
    return specs | ({} if test is None else {"test": test})


def _usable(
    source: jobs.Source, searched: dataset.Dataset, limits: Sequence[budgeting.Budget], progress: Progress
) -> None:
    """Refuse networks and data that accuracy cannot be measured on, before any work."""
    refuse_integer(source.graph, "compressed")
    if searched.labels is None or source.tests is None or source.tests.labels is None:
        raise UsageError("compress needs labelled samples", "give an .npz with x and y, or a folder a class")
    if len(searched) < LEAST:
        raise UsageError(f"{len(searched)} samples to search on are too few", "give some hundreds, better thousands")
    if not accuracy.measurable(source.graph):
        raise ModelError("the network is no classifier, so its accuracy cannot be weighed against its costs")
    missing = sorted(set(range(dataset.classes(source.graph) or 0)) - set(source.tests.labels.tolist()))
    if missing and any(b.name == "class-drop" for b in limits):
        raise UsageError(
            f"the budget class-drop cannot be held: the test data has no sample of {fairness.listed(missing)}",
            "give --test data with samples of every class",
        )
    if any(b.name == "group-drop" for b in limits) and (searched.groups is None or source.tests.groups is None):
        raise UsageError("the budget group-drop takes groups", "add an array g to the .npz")
    if len(searched) < FEW:
        progress.warn(
            f"only {len(searched)} samples to search on: one label is {100 / len(searched):.2g} points, "
            "so small drops cannot be told apart; give more --data"
        )


def _objectives(limits: Sequence[budgeting.Budget]) -> tuple[str, ...]:
    """Which costs are to be small: size and latency, which energy follows; the packed size where it has a budget."""
    return ("size", "latency", *(budget.name for budget in limits if budget.name == "packed"))


def _evaluator(
    source: jobs.Source, searched: dataset.Dataset, board: Target, goal: search.Goal, seed: int, progress: Progress
) -> Evaluator:
    context = PassContext(data=source.samples, seed=seed, source=source.graph, progress=_Inner(progress))

    def apply(graph: Graph, step: Step) -> Graph:
        return jobs.transform(graph, Recipe("", "", False, (step,)), context)[0]

    return Evaluator(
        source.graph, apply, searched, board, lambda graph: compiling.backend_for("auto", graph, board),
        packed="packed" in goal.costs, seed=seed,
    )  # fmt: skip


class _Inner(Silent):
    """Keeps the steps of what is inside a candidate off the screen, where the search's are.

    :param name: the candidate's, put before its warnings; without one they are left out, too.
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
    """Where the journal of exactly this search lies: the same model, samples, target, space, budgets, seed, passes."""
    total = hashlib.sha256()
    for part in (source.samples, searched):
        assert part is not None
        for array in [*part.inputs, part.labels, part.groups]:
            total.update(b"-" if array is None else repr((array.dtype, array.shape)).encode() + array.tobytes())
    passes = sorted((Path(edgekit.__file__).parent / "passes").glob("*.py"))
    rest = [edgekit.__version__, source.model["sha256"], board.data, choices.json(), goal.costs,
            [(b.name, b.limit) for b in goal.budgets], seed,
            [hashlib.sha256(path.read_bytes()).hexdigest() for path in passes]]  # fmt: skip
    total.update(json.dumps(rest, default=str).encode())
    return resources.cache("compress") / f"{total.hexdigest()[:32]}.journal"


def _compile(made: Compression, source: jobs.Source, evaluator: Evaluator, count: int, progress: Progress) -> None:
    """Compile the uncompressed network and the finalists; what fails is set aside with its reason."""
    full = [c for c in search.unique(made.found) if c.samples == made.rungs[-1] and c.steps]
    holding = [c for c in full if budgeting.distance(made.goal.limits, c.figures) <= 0]
    chosen = made.goal.first(holding or full, count if holding else NEAREST)
    if (best := made.goal.best(full)) is not None and best not in chosen:
        chosen = [best, *chosen[:-1]]
    (made.out / "recipes").mkdir(exist_ok=True)
    made.reference = _finalist(made, source, evaluator, Candidate((), dict(made.goal.whole)), progress)
    for candidate in chosen:
        try:
            made.finalists.append(_finalist(made, source, evaluator, candidate, progress))
        except (CheckFailed, DeviceError, ModelError) as error:
            made.rejected[candidate.name] = error.message
            progress.warn(f"{candidate.name} is out: {error.message}")


def _finalist(
    made: Compression, source: jobs.Source, evaluator: Evaluator, candidate: Candidate, progress: Progress
) -> Finalist:
    progress.step(f"compile and prove {candidate.name}")
    progress = _Inner(progress, candidate.name)
    board, graph = made.board, evaluator.graph(candidate.steps)
    plan = Recipe(candidate.name, candidate.name, bool(candidate.steps), candidate.steps)
    job = jobs.prepare(source, plan, made.seed, "1", progress, transformed=graph)
    backend = compiling.backend_for("auto", graph, board)
    bundle = compiling.build(job, board, backend, made.out, False, progress)
    where = bundle.parity.on if bundle.parity.on == "emulator" or board.name == "host" else "estimate"
    measured = profile(bundle.path, on=where, progress=progress)
    assert source.tests is not None and source.tests.labels is not None and job.measured is not None
    recipe = made.out / "recipes" / f"{candidate.name}.toml" if candidate.steps else None
    finalist = Finalist(
        candidate, recipe, bundle, measured, np.asarray(job.measured.predictions == source.tests.labels)
    )
    if recipe is not None:
        recipe.write_text(_recipe(made, finalist), "utf-8")
    return finalist


def _recipe(made: Compression, finalist: Finalist) -> str:
    keys = {"accuracy-drop": "accuracy_drop", "class-drop": "class_drop", "group-drop": "group_drop"}
    over = budgeting.excesses(made.goal.budgets, finalist.figures)
    bounds = {keys[b.name]: b.limit for b in made.goal.budgets if b.name in keys and over[b.name] <= 0}
    return final.recipe_text(
        finalist.candidate, "Makes the bundle again:\n" + command(made, finalist.recipe), bounds, True
    )


def command(made: Compression, recipe: Path | None) -> str:
    """The command that makes the same bundle again."""
    words = ["edgekit", "compile", str(made.model), "--target", made.board.name, "--recipe", str(recipe or "as-is")]
    words += ["--data", made.specs["calibration"], "--test", made.specs["test"]]
    return shlex.join(words + (["--seed", str(made.seed)] if made.seed else []))


def _write(made: Compression) -> None:
    """Write ``front.json``, the recommended recipe as ``best.toml``, and what an interruption left uncompiled."""
    if made.found.interrupted and made.found.candidates:
        (made.out / "recipes").mkdir(exist_ok=True)
        for candidate in made.front():
            path = made.out / "recipes" / f"{candidate.name}.toml"
            if candidate.steps and not path.exists():
                path.write_text(
                    final.recipe_text(candidate, "Not compiled yet:\n" + command(made, path), {}, True), "utf-8"
                )
    (made.out / "front.json").write_text(json.dumps(made.json(), indent=1) + "\n")
    best = made.out / "best.toml"
    best.unlink(missing_ok=True)
    if made.best is not None and made.best.recipe is not None:
        best.write_bytes(made.best.recipe.read_bytes())
