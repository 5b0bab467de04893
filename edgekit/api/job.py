"""A model on its way to bundles: read, transformed by a recipe, with golden data and accuracy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import plugins, sandbox
from edgekit.api import advice, galleries, golden, measuring, soundness
from edgekit.api.load import digest, reader_for
from edgekit.backends import Options
from edgekit.bundle.material import Material, size_of
from edgekit.data import dataset
from edgekit.errors import ModelError, QuantizationFailed
from edgekit.graph import Graph, tflite
from edgekit.graph.onnx_operators import has_onnx
from edgekit.metrics import accuracy
from edgekit.metrics.accuracy import Accuracy
from edgekit.metrics.tasks.registry import Judged, Metric
from edgekit.passes import PassContext, Report, recipe
from edgekit.progress import Progress
from edgekit.readers import ReadOptions
from edgekit.readers.shapes import parse as parse_shapes
from edgekit.reference.litert import reference_outputs
from edgekit.tasks import task as tasks
from edgekit.tasks.decisions import decide
from edgekit.tasks.parts import Sample
from edgekit.tasks.task import Task
from edgekit.text import commands
from edgekit.training.workers import parse as parse_workers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.data.dataset import Dataset


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
    given = tuple(commands.arguments(path, data, test, shapes, seed, trust, task))
    return Source(path.stem, model, graph, samples, tests, given, purpose)


def prepare(
    source: Source, plan: recipe.Recipe, seed: int, workers: str, progress: Progress, transformed: Graph | None = None,
    check: Callable[[Graph], None] = lambda graph: None, named: str | None = None, metrics: Sequence[Metric] = (),
    own: Metric | None = None,
) -> Job:  # fmt: skip
    """Transform, and compute the golden outputs.

    :param transformed: what the recipe makes of the source, where that is known already.
    :param check: looks at the transformed network before anything runs it, and may refuse it.
    :param metrics: what else to judge the network by, before and after, on the tests' truth.
    :param own: the one of them that is only the task's own: nobody named or bounds it.
    :param named: the recipe as the user named it; default: by its own name.
    """
    tests = source.tests
    measuring.check_bounds_apply(plan, tests)
    metrics = measuring.with_bound(metrics, plan)
    measuring.can_be_judged(metrics, tests)
    crew, why = parse_workers(workers), advice.why(plan, source.given, named)
    graph, done = transformed, list[Done]()
    if graph is None:
        gauge = measuring.aim(source, metrics)
        context = PassContext(source.samples, seed, source.graph, workers, progress, gauge)
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
        soundness.check_finite(source, plan, folder / "model.tflite", (inputs, outputs), seed, count, progress)
        job = Job(source.name, source.model, plan, graph, data, (inputs, outputs), seed, passes=done, why=why)
        job.task = galleries.filled(source.task, graph, folder / "model.tflite", progress)
        if material is not None and job.task is not None:
            job.material = _decided(job.task, graph, material, (inputs, outputs))
        if source.tests is not None and source.tests.labels is not None:
            progress.step("measure the accuracy")
            job.measured = accuracy.evaluate(folder / "model.tflite", source.tests) if plan.steps else source.measured
        job.accuracy = measuring.accuracy_report(source, job, progress)
        job.metrics = measuring.judge(source, job, metrics, progress, own)
        measuring.check_bound(plan, job.metrics)
        job.source = source.graph
        if plan.steps:
            job.quantization = soundness.quantization_error(source.graph, graph, tests, progress, why)
            soundness.warn_if_larger(job, progress)
            soundness.warn_if_costly(job, source, why, progress)
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
