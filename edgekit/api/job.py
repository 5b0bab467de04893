"""A model on its way to bundles: read, transformed by a recipe, with golden data and accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import plugins, sandbox
from edgekit.api import advice, golden
from edgekit.api.load import digest, reader_for
from edgekit.backends import Options
from edgekit.bundle.material import Material, size_of
from edgekit.compression.budget import METRIC, Budget
from edgekit.data import dataset
from edgekit.errors import CheckFailed, ModelError, QuantizationFailed, UsageError
from edgekit.graph import Graph, tflite
from edgekit.graph.onnx_operators import has_onnx
from edgekit.metrics import accuracy
from edgekit.metrics.accuracy import Accuracy
from edgekit.metrics.tasks.registry import Judged, Metric, Results
from edgekit.passes import PassContext, Report, recipe
from edgekit.progress import Progress
from edgekit.readers import ReadOptions
from edgekit.readers.shapes import parse as parse_shapes
from edgekit.reference.litert import reference_outputs, reference_tensors
from edgekit.tasks import task as tasks
from edgekit.tasks.anomaly import Anomaly
from edgekit.tasks.decisions import decide
from edgekit.tasks.detector import Detector
from edgekit.tasks.parts import Sample
from edgekit.tasks.picture import Picture
from edgekit.tasks.segmenter import Segmenter
from edgekit.tasks.task import Task
from edgekit.text import commands
from edgekit.training.workers import parse as parse_workers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.data.dataset import Dataset

UNTRAINED = 1.5
"""A network that is right less often than this many times guessing counts as untrained."""
NOTABLE_DROP = 0.5
"""Points of accuracy that `edgekit diagnose` accepts as healthy, too."""
SIMILAR = 0.95
"""Cosine similarity of the outputs below which the user is warned about a quantized network."""


@dataclass(frozen=True)
class Source:
    """A model as it was read, and its samples.

    :param name: the file's, without its ending. :param model: the manifest's ``model``.
    :param samples: for the passes; None without ``--data``. :param tests: for the accuracy and the golden data.
    :param given: what names the model and its samples on a command line, for commands to go on with.
    """

    name: str
    model: dict[str, Any]
    graph: Graph
    samples: Dataset | None
    tests: Dataset | None
    given: tuple[str, ...] = ()
    task: Task | None = None

    @cached_property
    def measured(self) -> Accuracy | None:
        """Accuracy of the network on the tests before any pass, measured once; None without labels."""
        return None if self.tests is None else accuracy.evaluate(self.graph, self.tests)


@dataclass(frozen=True)
class Done:
    """A pass that was applied, and what it told."""

    name: str
    params: dict[str, Any]
    report: Report

    def json(self) -> dict[str, Any]:
        """Its entry under ``passes`` in the JSON of ``compile``."""
        return {"name": self.name, "params": self.params, **self.report.json()}


@dataclass
class Job:
    """Everything that the targets share: the transformed Graph, its golden data, the passes' reports."""

    name: str
    model: dict[str, Any]
    recipe: recipe.Recipe
    graph: Graph
    data: bytes
    golden: tuple[list[NDArray[Any]], list[NDArray[Any]]]
    seed: int
    measured: Accuracy | None = None
    accuracy: dict[str, Any] | None = None
    metrics: list[Judged] = field(default_factory=list)
    passes: list[Done] = field(default_factory=list)
    quantization: dict[str, Any] | None = None
    source: Graph | None = None
    """The network before the recipe."""
    why: str = ""
    """The command that finds what the quantization does to the network, if there is one."""
    options: Options = field(default_factory=dict)
    tuning: str | None = None
    """Where tuned kernels are kept (:mod:`edgekit.backends.tvm.database`); None: use none."""
    task: Task | None = None
    """What the network is for."""
    material: Material | None = None
    """What golden inputs are made of, with the reference's decisions."""

    @property
    def quantizes(self) -> bool:
        """True if the recipe stores or computes with numbers of fewer bits."""
        return self.quantization is not None


def read(
    path: Path, data: str | None, test: str | None, seed: int, trust: bool, progress: Progress,
    shapes: Sequence[str] = (), task: Path | None = None,
) -> Source:  # fmt: skip
    """Read a model and the samples that ``data`` and ``test`` (default: the same) name.

    :param shapes: shapes of inputs that the model leaves open, ``"NAME=1x3x224x224"`` each.
    :param task: what the network is for; default: the ``task.toml`` beside the model, if there is one.
    """
    options = ReadOptions(trust=trust, shapes=parse_shapes(shapes), progress=progress)
    progress.step(f"read {path.name}")
    reader = reader_for(path)
    graph = reader.read(path, options)
    for note in graph.notes:
        progress.note(note)
    file = tasks.find(path, task)
    purpose = tasks.read(file, graph) if file else None
    samples = dataset.load(data, graph, seed=seed, task=purpose, progress=progress) if data else None
    tests = dataset.load(test, graph, seed=seed, task=purpose, progress=progress) if test else samples
    model: dict[str, Any] = {"name": path.name, "format": reader.name, "sha256": digest(path)}
    if shapes:
        model["shapes"] = {tensor.name: list(tensor.shape) for tensor in graph.inputs}
    given = tuple(commands.arguments(path, data, test, shapes, seed, trust))
    return Source(path.stem, model, graph, samples, tests, given, purpose)


def prepare(
    source: Source, plan: recipe.Recipe, seed: int, workers: str, progress: Progress, transformed: Graph | None = None,
    check: Callable[[Graph], None] = lambda graph: None, named: str | None = None, metrics: Sequence[Metric] = (),
) -> Job:  # fmt: skip
    """Transform, and compute the golden outputs.

    :param transformed: what the recipe makes of the source, where that is known already.
    :param check: looks at the transformed network before anything runs it, and may refuse it.
    :param metrics: what else to judge the network by, before and after, on the tests' truth.
    :param named: the recipe as the user named it; default: by its own name.
    """
    tests = source.tests
    _bounds_can_be_checked(plan, tests)
    metrics = _with_bound(metrics, plan)
    can_be_judged(metrics, tests)
    crew, why = parse_workers(workers), advice.why(plan, source.given, named)
    graph, done = transformed, list[Done]()
    if graph is None:
        context = PassContext(data=source.samples, seed=seed, source=source.graph, workers=workers, progress=progress)
        try:
            graph, done = transform(source.graph, plan, context)
        except QuantizationFailed as error:
            raise QuantizationFailed(
                error.message, f"for the cause and a fix: {why} --fix" if why else error.hint
            ) from error
        if crew != [None] and not any(step.report.trained for step in done):
            progress.warn(f"--workers {workers}: the recipe {plan.name} does not train, so they were not used")
    check(graph)
    progress.step("compute the reference outputs")
    with sandbox.scratch() as folder:
        data = tflite.dumps(graph)
        (folder / "model.tflite").write_bytes(data)
        count = golden.count(graph)
        inputs, material = golden.inputs(graph, tests, seed, count, source.task)
        outputs = reference_outputs(folder / "model.tflite", inputs)
        _finite(source, plan, folder / "model.tflite", (inputs, outputs), seed, count, progress)
        job = Job(source.name, source.model, plan, graph, data, (inputs, outputs), seed, passes=done, why=why)
        job.task = source.task
        if material is not None and source.task is not None:
            job.material = _decided(source.task, graph, material, (inputs, outputs))
        if source.tests is not None and source.tests.labels is not None:
            progress.step("measure the accuracy")
            job.measured = accuracy.evaluate(folder / "model.tflite", source.tests) if plan.steps else source.measured
        job.accuracy = _accuracy(source, job, progress)
        job.metrics = _judged(source, job, metrics, progress)
        _bound_checked(plan, job.metrics)
        job.source = source.graph
        if plan.steps:
            job.quantization = _quantization(source.graph, graph, tests, progress, why)
            _pays(job, progress)
            _point(job, source, why, progress)
    return job


def _decided(
    task: Task, graph: Graph, material: Material, reference: tuple[list[NDArray[Any]], list[NDArray[Any]]]
) -> Material:
    """The material with what the task makes of the reference's outputs; ``reference``: golden inputs and outputs."""
    made = []
    for row, thing in zip(material.rows, material.things, strict=True):
        inputs, outputs = ([each[row] for each in arrays] for arrays in reference)
        sample = Sample(str(row), inputs, size_of(thing))
        made.append(decide(task, sample, outputs, graph).json())
    return replace(material, decisions=tuple(made))


def _pays(job: Job, progress: Progress) -> None:
    """Warn if a recipe that quantizes makes the network larger than it was."""
    assert job.source is not None
    before, after = len(tflite.dumps(job.source)), len(job.data)
    if job.quantizes and after > before:
        floats = sum(step.report.left_in_float for step in job.passes)
        why = f"; {floats} operators stay in float" if floats else ""
        progress.warn(
            f"the recipe {job.recipe.name} makes this network larger: {after / 1000:.1f} kB, {before / 1000:.1f} kB "
            f"before{why}; --recipe as-is keeps it"
        )


def _point(job: Job, source: Source, why: str, progress: Progress) -> None:
    """Warn if labels show that the network is untrained, or that the recipe costs accuracy."""
    found = job.accuracy
    if found is None or source.tests is None or source.tests.labels is None or found["random"]:
        return
    guessed = 1 / max(2, int(source.tests.labels.max()) + 1)
    if found["float"] < UNTRAINED * guessed:
        progress.warn(
            f"the network is right on {found['float']:.1%} of the samples before any pass, no better than guessing: "
            "it is not trained, the labels belong to other data, or the samples have another range "
            "(--data FILE?range=LOW,HIGH)"
        )
    elif found["drop"]["value"] > NOTABLE_DROP and found["drop"]["low"] > 0 and why:
        progress.warn(
            f"the recipe costs {found['drop']['value']:.1f} points of accuracy; for the cause and a fix: {why} --fix"
        )


def transform(graph: Graph, plan: recipe.Recipe, context: PassContext) -> tuple[Graph, list[Done]]:
    """Apply a recipe's passes, each with its own parameters; return the result and the report of each."""
    done = []
    for step in plan.steps:
        if has_onnx(graph) and step.name != "float32":
            raise ModelError(
                f"the recipe {plan.name!r} cannot be used: the pass {step.name} knows TFLite's operators, and this "
                "network is kept in ONNX's",
                "use --recipe as-is or float32",
            )
        context.progress.step(step.name)
        notes = graph.notes
        passed = plugins.get("passes", step.name).apply(graph, replace(context, params=step.params))
        graph = passed.graph
        graph.notes = list(dict.fromkeys([*notes, *graph.notes]))
        done.append(Done(step.name, step.params, passed.report))
    return graph, done


def _finite(
    source: Source, plan: recipe.Recipe, model: Path, reference: tuple[list[NDArray[Any]], list[NDArray[Any]]],
    seed: int, count: int, progress: Progress,
) -> None:  # fmt: skip
    """Refuse a transformed network that makes NaNs or infinities where the source network makes none.

    :param model: the transformed network's file; ``reference``: its golden inputs and outputs, of ``count`` samples and
        what was added.
    :raises CheckFailed: naming the operator whose result is not finite first.
    """
    inputs, outputs = reference
    bad = _not_finite(outputs)
    if not bad.any():
        return
    before = bad
    if plan.steps:
        with sandbox.scratch() as folder:
            tflite.write(source.graph, folder / "source.tflite")
            same, _ = golden.inputs(source.graph, source.tests, seed, count, source.task)
            before = _not_finite(reference_outputs(folder / "source.tflite", same))
    if (bad & ~before).any():
        graph, values = tflite.read(model), reference_tensors(model, [x[bad & ~before][:1] for x in inputs])
        first = next(
            (f": operator {number} {operator.op} ({graph.tensors[index].name})"
             for number, operator in enumerate(graph.operators) for index in operator.outputs
             if index in values and _not_finite([values[index]]).any()), "",
        )  # fmt: skip
        raise CheckFailed(
            f"the recipe {plan.name!r} yields NaN or infinity where the network itself does not{first}",
            "use another recipe for this network (float32 keeps its range), or pass --data that it was made for",
        )
    progress.warn(
        f"{np.sum(bad)} of {len(bad)} golden samples give NaN or infinity, as the network itself does on them; "
        "nothing is proven about these values: pass --data that the network was made for"
    )


def _not_finite(outputs: list[NDArray[Any]]) -> NDArray[np.bool_]:
    """Return for each sample whether a float output has a NaN or an infinity."""
    rows = [~np.isfinite(y).reshape(len(y), -1).all(axis=1) for y in outputs if y.dtype.kind == "f"]
    return np.any(rows, axis=0) if rows else np.zeros(len(outputs[0]) if outputs else 0, np.bool_)


def _accuracy(source: Source, job: Job, progress: Progress) -> dict[str, Any] | None:
    """Compare accuracy before and after, in total, by class and by group, and check the recipe's bounds."""
    from edgekit.metrics import fairness

    plan = job.recipe
    if source.tests is None or job.measured is None or source.measured is None:
        if plan.bounds:
            raise UsageError(f"the recipe {plan.name!r} bounds the accuracy, but the network is not a classifier")
        return None
    found = accuracy.report(source.measured, job.measured, source.tests, source.graph)
    if found["missing_classes"]:
        progress.note(
            f"no sample of {fairness.listed(found['missing_classes'])}: nothing is known about their accuracy"
        )
    if plan.bounds:
        fairness.check(plan.bounds, found)
    return found


def _judged(source: Source, job: Job, metrics: Sequence[Metric], progress: Progress) -> list[Judged]:
    """Compare the network before and after its recipe by each metric."""
    from edgekit.metrics.tasks import registry

    if not metrics:
        return []
    assert source.tests is not None
    progress.step("measure " + ", ".join(metric.name for metric in metrics))
    truth = truth_of(source.tests, source.task)
    before = results(source.graph, source.tests, source.task)
    after = results(job.graph, source.tests, source.task) if job.recipe.steps else before
    return [registry.compare(each, before, after, truth, seed=job.seed) for each in metrics]


def truth_of(tests: Dataset, task: Task | None) -> NDArray[Any]:
    """What is right for the samples; for each recording where a task judges those."""
    from edgekit.metrics.tasks import recordings

    assert tests.truth is not None
    return recordings.truth(tests) if task is not None and isinstance(task.decider, Anomaly) else tests.truth


def results(graph: Graph, tests: Dataset, task: Task | None) -> Results:
    """What a network makes of samples, in its task's terms."""
    from edgekit.metrics.tasks import boxes, masks, recordings, registry

    outputs = accuracy.outputs_of(graph, graph, tests)
    if task is not None and isinstance(task.decider, Anomaly):
        return Results([recordings.scores(task.decider, graph, outputs, tests)])
    found = Results(registry.real(outputs, graph.outputs))
    if task is None or tests.sizes is None or not isinstance(task.source, Picture):
        return found
    if isinstance(task.decider, Detector):
        return replace(found, boxes=boxes.found(task.decider, task.source, graph, outputs, tests.sizes))
    if isinstance(task.decider, Segmenter):
        return replace(found, masks=masks.Masks(task.decider, task.source, graph, outputs, tests.sizes))
    return found


def drops_checked(limits: Sequence[Budget], judged: Sequence[Judged], plan: recipe.Recipe) -> None:
    """Hold what a recipe costs against ``metric-drop``, which bounds each metric in its own unit.

    :raises CheckFailed: if it costs more.
    """
    for limit in limits:
        for one in judged:
            drop = one.found.drop
            if limit.excess(drop.value) > 0:
                raise CheckFailed(
                    f"the recipe {plan.name!r} costs {drop.value:.3g} of {one.metric} ({drop.low:.3g} to "
                    f"{drop.high:.3g}), more than {limit.text}",
                    "use another recipe, or allow more",
                )


def _with_bound(metrics: Sequence[Metric], plan: recipe.Recipe) -> Sequence[Metric]:
    """The metrics, and the one that the recipe bounds."""
    from edgekit.metrics.tasks import registry

    name = plan.bounds.metric
    return metrics if name in (None, *(m.name for m in metrics)) else [*metrics, registry.METRICS[str(name)]]


def _bound_checked(plan: recipe.Recipe, judged: Sequence[Judged]) -> None:
    """Hold the recipe's own bound on a metric against what it costs."""
    limit = plan.bounds.metric_drop
    if limit is not None:
        bound = Budget(METRIC, limit, f"its bound metric_drop={limit:g}")
        drops_checked([bound], [one for one in judged if one.metric == plan.bounds.metric], plan)


def can_be_judged(metrics: Sequence[Metric], tests: Dataset | None) -> None:
    """Refuse metrics without truth, before any work starts."""
    if metrics and (tests is None or tests.truth is None):
        raise UsageError(
            f"--metric {metrics[0].name} needs to know what is right", "pass --test or --data with x and y"
        )


def _bounds_can_be_checked(plan: recipe.Recipe, tests: Dataset | None) -> None:
    """Refuse data on which the recipe's bounds cannot be checked, before any work starts."""
    if plan.bounds and (tests is None or tests.labels is None):
        raise UsageError(
            f"the recipe {plan.name!r} bounds the accuracy, which needs labels", "pass --test or --data with x and y"
        )
    if plan.bounds.group_drop is not None and tests is not None and tests.groups is None:
        raise UsageError(
            f"the recipe {plan.name!r} bounds group_drop, which needs groups", "add an array g to the .npz"
        )


def _quantization(
    source: Graph, graph: Graph, samples: Dataset | None, progress: Progress, why: str
) -> dict[str, Any] | None:
    from edgekit.metrics import quality

    progress.step("measure the quantization error")
    report: dict[str, Any] | None = quality.report(source, graph, samples)
    similar = [o["cosine_similarity"] for o in (report or {}).get("outputs", [])]
    similarity = min((value for value in similar if value is not None), default=1.0)
    for output in (report or {}).get("outputs", []):
        if output["lost"]:
            progress.warn(
                f"output {output['name']}: {output['lost']}: their values are lost; edgekit diagnose --fix repairs it, "
                "or put the pass split_scales before the quantizing pass (docs/recipes.md)"
            )
    if similarity < SIMILAR:
        progress.warn(
            f"the quantized network's outputs are unlike the float network's (cosine {similarity:.2f}); "
            "calibrate on real samples, or try int8-dynamic or int8-w/int16-a"
            + (f"; for the cause: {why}" if why else "")
        )
    return report
