"""Explain why a quantized network loses accuracy, operator by operator; on request, compile the cheapest fix."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit import target as boards
from edgekit.api import compile as compiling
from edgekit.api import job as jobs
from edgekit.api import measuring
from edgekit.api.output import output
from edgekit.diagnosis.cure import Cure, cure, search_samples
from edgekit.diagnosis.diagnose import Diagnosis
from edgekit.diagnosis.diagnose import diagnose as examine
from edgekit.diagnosis.measure import Judge, Mark, amount, loss, metric
from edgekit.diagnosis.rules import FOREIGN
from edgekit.errors import CheckFailed, DeviceError, EdgekitError, ModelError, UsageError
from edgekit.files.documents import write_text
from edgekit.graph.floats import refuse_integer, restore
from edgekit.metrics.tasks import registry
from edgekit.metrics.tasks.gauge import Gauge, own_metric
from edgekit.passes import PassContext
from edgekit.passes import recipe as recipes
from edgekit.passes.precisions import ALLOWED, MAX_DROP, Plan, plan_of
from edgekit.passes.quantize import PRELOAD
from edgekit.passes.recipe import Recipe, Step
from edgekit.progress import Progress, Silent
from edgekit.text.commands import arguments

if TYPE_CHECKING:
    from edgekit.api.compile import Compiled
    from edgekit.graph import Graph
    from edgekit.target import Target

UNIT = {
    "accuracy": "points of accuracy",
    "agreement": "% of the labels",
    "noise": "% of the power of an output or of a lost channel",
}


@dataclass(frozen=True)
class Fixed:
    """The result of ``fix``.

    :param recalibrated: ranges were calibrated on the test samples, since ``data`` is unlike them.
    :param recipe: the file that builds the same bundle again, with ``command``.
    """

    cure: Cure
    graph: Graph
    base: str
    recalibrated: bool
    recipe: Path
    command: str
    bundle: Compiled

    def json(self) -> dict[str, Any]:
        """Return the field ``fix`` of the JSON of ``diagnose``."""
        return {
            **self.cure.json(self.graph, self.base),
            "recalibrated": self.recalibrated,
            "recipe": str(self.recipe),
            "command": self.command,
            "bundle": self.bundle.json(),
        }


@dataclass(frozen=True)
class Diagnosed:
    """The document of ``edgekit diagnose``.

    :param problem: why nothing was fixed although that was requested.
    """

    model: str
    recipe: str
    diagnosis: Diagnosis
    fixed: Fixed | None = None
    problem: EdgekitError | None = None

    @property
    def lost(self) -> str:
        """What was lost, as text."""
        found = self.diagnosis
        if found.quantized.failure:
            return "it does not run"
        by = metric(found.real)
        if by in UNIT:
            return f"it loses {amount(found.lost, found.real)} {UNIT[by]}"
        if found.judged is None:
            return f"{by} is not defined on its outputs"
        drop = found.judged.found.drop
        return f"it loses {amount(found.lost, found.real)} of {by} ({drop.low:.3g} to {drop.high:.3g})"

    def json(self) -> dict[str, Any]:
        """Return the JSON document of ``diagnose``."""
        found = self.diagnosis.json()
        fixed = None if self.fixed is None else self.fixed.json()
        problem = "" if self.problem is None else self.problem.message
        return {
            "schema": 1, "model": self.model, "recipe": self.recipe, **found, "fix": fixed, "fix_failed": problem,
        }  # fmt: skip

    def check(self) -> None:
        """Raise the error that ends the command, if there is one.

        :raises CheckFailed: if the network is not healthy and was not fixed; or what went wrong in fixing it.
        """
        if self.problem is not None:
            raise self.problem
        if not self.diagnosis.healthy and self.fixed is None:
            raise CheckFailed(
                f"{self.model} with the recipe {self.recipe}: {self.lost}, more than {self.diagnosis.max_drop:.3g}",
                "--fix searches for the cheapest fix; --max-drop sets the bound",
            )


def diagnose(
    model: str | Path,
    *,
    data: str,
    test: str | None = None,
    recipe: str = "int8",
    metric: str | None = None,
    max_drop: float | None = None,
    fix: bool = False,
    target: str | None = None,
    allow: Sequence[str] = ALLOWED,
    out: str | Path = "build",
    seed: int = 0,
    shapes: Sequence[str] = (),
    task: str | Path | None = None,
    trust: bool = False,
    progress: Progress = Silent(),
) -> Diagnosed:
    """Diagnose a float model under a recipe that ends with ``quantize``.

    :param data: samples for calibration; ``test``: samples to judge by, preferably with labels (default: data).
    :param metric: judge by this metric (docs/data.md); default: the task's own, if its truth is known.
    :param max_drop: the acceptable loss, in the metric's own unit (default: 0.5 % of what the float network reaches);
        without a metric, 0.5 points of accuracy; without labels, in percent of labels that change; for a network that
        is not a classifier, in percent of the outputs' power.
    :param task: a ``task.toml``; default: the one beside the model, if there is one.
    :param fix: search for the cheapest fix, and compile it for ``target`` (default: this machine) into ``out``.
    :param target: the board whose estimated latency the fix keeps low; without one, it keeps bytes low.
    :param allow: precisions that the fix may use.
    :param shapes: shapes of inputs that the model leaves open, as for ``compile``.
    :returns: also if the network is not healthy, or its fix cannot be compiled or loses too much (then no bundle is
        left); see its ``check``.
    """
    sandbox.warm(PRELOAD)
    before, plan, after = _plan(recipe, {"allow": list(allow)} | ({"target": target} if target else {}))
    named = None if metric is None else registry.get(metric)
    board = boards.load(target or "host")
    with output(Path(out)) if fix else nullcontext(Path(out)) as folder:
        file = None if task is None else Path(task)
        source = jobs.read(Path(model), data, test, seed, trust, progress, shapes, file)
        assert source.samples is not None and source.tests is not None
        gauge = _gauge(source, named)
        refuse_integer(source.graph, "diagnosed: give the float model it was made from, it")
        context = PassContext(data=source.samples, seed=seed, source=source.graph, progress=progress)
        graph, _ = restore(jobs.transform(source.graph, before, context)[0])
        progress.step("run the float network")
        judge = _judge(graph, source, gauge, named, progress)
        gauge = judge.gauge
        plan = replace(plan, max_drop=_bound(max_drop, judge.float.mark))
        found = examine(
            graph, plan.settings, plan.base, source.samples, judge, max_drop=plan.max_drop, seed=seed, progress=progress
        )
        made = Diagnosed(Path(model).name, recipe, found)
        if not fix:
            return made
        if any(finding.cause == "joint_scale" for finding in found.findings):
            before = replace(before, steps=(*before.steps, Step("split_scales", {})))
            graph, _ = restore(jobs.transform(source.graph, before, context)[0])
        foreign = any(finding.cause in FOREIGN for finding in found.findings)
        specs = (data, test) if not foreign or test is None else (test, test)
        job = _Job(
            Path(model),
            tuple(shapes),
            source,
            graph,
            before,
            plan,
            specs,
            specs[0] != data,
            board,
            folder,
            context,
            trust,
            after,
            gauge,
            file,
            metric,
        )
        try:
            return replace(made, fixed=_fixed(job))
        except (CheckFailed, ModelError, DeviceError) as error:
            return replace(made, problem=error)


@dataclass(frozen=True)
class _Job:
    """Everything that a fix is built from.

    :param graph: the network that is quantized: ``source`` after the passes ``before``.
    :param specs: samples for calibration, and (or None) to judge by.
    :param after: the recipe's passes after the quantization.
    :param gauge: the metric that decides, if one does. :param task, metric: as the user named them.
    """

    model: Path
    shapes: tuple[str, ...]
    source: jobs.Source
    graph: Graph
    before: Recipe
    plan: Plan
    specs: tuple[str, str | None]
    recalibrated: bool
    board: Target
    folder: Path
    context: PassContext
    trust: bool
    after: tuple[Step, ...]
    gauge: Gauge | None
    task: Path | None
    metric: str | None


def _gauge(source: jobs.Source, named: registry.Metric | None) -> Gauge | None:
    """The metric that decides: the named one, else the task's own; None where accuracy does.

    :raises UsageError: if nothing is known that it could judge by.
    """
    measuring.can_be_judged([named] if named else [], source.tests)
    chosen = named or own_metric(source.task, source.tests)
    return None if chosen is None else Gauge(chosen, source.task)


def _judge(
    graph: Graph, source: jobs.Source, gauge: Gauge | None, named: registry.Metric | None, progress: Progress
) -> Judge:
    """A judge by the metric, or without it: a task's own one may have no value on these samples."""
    assert source.tests is not None
    try:
        return Judge(graph, source.tests, gauge)
    except registry.NotDefined as error:
        if named is not None:
            raise
        progress.note(f"{error.message}: it is judged without it")
        return Judge(graph, source.tests)


def _bound(given: float | None, reference: Mark | None) -> float:
    """The acceptable loss in the unit of what decides; ``reference``: what the float network reaches by a metric."""
    if given is None:
        return MAX_DROP if reference is None else MAX_DROP * reference.point
    if not math.isfinite(given) or given < 0 or (reference is None and given > 100):
        unit = "points, 0 to 100" if reference is None else f"{reference.metric.name}, 0 or more"
        raise UsageError(f"--max-drop is {given:g}", f"it is in {unit}")
    return given


def _fixed(job: _Job) -> Fixed:
    """Search for the fix, compile it, prove it.

    :raises CheckFailed: if it exceeds the bound, or parity fails.
    """
    source, progress, seed = job.source, job.context.progress, job.context.seed
    tests = source.tests
    assert tests is not None
    if job.recalibrated:
        source = replace(source, samples=tests)
    found = _search(job, source)
    recipe = _recipe(job.before, job.plan, found, job.after)
    metrics = [] if job.gauge is None else [job.gauge.metric]
    made = jobs.prepare(source, recipe, seed, "1", progress, metrics=metrics)
    judge = Judge(job.graph, tests, job.gauge)
    lost = loss(judge(made.graph), judge.float)
    if lost > job.plan.max_drop:
        raise CheckFailed(
            f"the fixed network loses {amount(lost, judge.float)} on {len(tests)} samples, more than "
            f"{job.plan.max_drop:.3g}; no bundle was written",
            "raise --max-drop, or pass more samples",
        )
    backend, planned = compiling.backend_for(compiling.FIRST, made.graph, job.board)
    bundle = compiling.build(made, backend, planned, job.folder, False, progress)
    file = job.folder / "recipes" / f"{source.name}.{job.board.name}" / f"{recipe.name}.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    given = arguments(job.model, *job.specs, job.shapes, seed, job.trust, job.task)
    given += ["--metric", job.metric] if job.metric else []
    how = ["--target", job.board.name, "--recipe", str(file)]
    command = shlex.join(["edgekit", "compile", given[0], *how, *given[1:]])
    write_text(file, recipes.dumps(recipe, f"Makes the bundle again:\n{command}"))
    return Fixed(found, job.graph, job.plan.base, job.recalibrated, file, command, bundle)


def _plan(name: str, own: dict[str, Any]) -> tuple[Recipe, Plan, tuple[Step, ...]]:
    """Return the recipe's passes before the quantization, the plan for that, and the passes after it."""
    found = recipes.load(name)
    after = tuple(step for step in found.steps if step.name == "trim")
    found = replace(found, steps=tuple(step for step in found.steps if step.name != "trim"))
    if not found.steps or found.steps[-1].name != "quantize":
        raise UsageError(
            f"the recipe {found.name!r} does not end with the pass quantize",
            "diagnose examines that pass; use int8, for example",
        )
    # What split_scales does is left out, so that what it cures is seen; --fix puts it back.
    steps = tuple(step for step in found.steps[:-1] if step.name != "split_scales")
    return replace(found, steps=steps), plan_of(found.steps[-1].params | own), after


def _search(job: _Job, source: jobs.Source) -> Cure:
    """Search on part of the samples if there are many; on all of them if that fix exceeds the bound on all."""
    assert source.tests is not None and source.samples is not None
    few = source.tests.subset(search_samples(job.graph), job.context.seed)
    judge = Judge(job.graph, source.tests, job.gauge)
    small = judge.on(few)
    if small.gauge is job.gauge:  # else the metric has no value on so few, and the bound is in its unit
        found, versions = cure(job.graph, job.plan, source.samples, small, job.context)
        if judge is small or loss(judge(versions.mix(found.precision).graph), judge.float) <= job.plan.max_drop:
            return found
    return cure(job.graph, job.plan, source.samples, judge, job.context)[0]


def _recipe(before: Recipe, plan: Plan, found: Cure, after: tuple[Step, ...]) -> Recipe:
    """Return the recipe that builds the fixed network without a search."""
    settings = {key: value for key, value in vars(plan.settings).items() if value}
    table = {str(number): p for number, p in enumerate(found.precision) if p != plan.base}
    step = Step("mixed_precision", {**settings, "scale": found.scaled > 0, "precision": table})
    description = f"{before.name}, cured by edgekit diagnose"
    return Recipe(f"{before.name}-fixed", description, True, (*before.steps, step, *after), before.bounds)
