"""Knowledge distillation: a small network learns from a large one (Hinton, Vinyals & Dean 2015).

The loss is :mod:`edgekit.training.objective`'s: the labels' cross-entropy and the teacher's softened outputs, and where
asked for the difference of inner tensors (Romero et al., "FitNets", ICLR 2015). The teacher is any network that
edgekit reads, by default the one that the recipe began with, before ``prune`` or ``low_rank`` made it small.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgekit.errors import UsageError
from edgekit.graph import Graph, tflite
from edgekit.graph.floats import refuse_integer, restore
from edgekit.passes import PassContext, Passed
from edgekit.passes.trained import TrainedReport
from edgekit.readers import ReadOptions, load
from edgekit.training import job
from edgekit.training.settings import Training, parse
from edgekit.training.trainable import check


@dataclass(frozen=True)
class Settings(Training):
    """The pass's parameters.

    :param alpha: weight of the teacher's outputs, 0..1; the labels have the rest. Without labels it is 1.
    :param temperature: both outputs are softened by it.
    :param teacher: a model file; default: the network before compression.
    :param student: a model file; default: the network that the passes before made. With it, that one is the teacher.
    :param features: names of tensors that are to be alike, ``"NAME"`` or ``"STUDENT'S NAME=TEACHER'S NAME"``.
    :param feature_weight: weight of their squared errors, each divided by the variance of the teacher's tensor.
    """

    epochs: int = 5
    learning_rate: float = 1e-3
    alpha: float = field(default=0.9, metadata={"least": 0})
    temperature: float = 4.0
    teacher: str = ""
    student: str = ""
    features: list[str] = field(default_factory=list)
    feature_weight: float = field(default=1.0, metadata={"least": 0})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.alpha > 1:
            raise UsageError(f"alpha cannot be {self.alpha!r}", "it must be from 0 to 1")
        if self.teacher and self.student:
            raise UsageError("pass a teacher or a student, not both", "the other one is the recipe's network")
        if not all(isinstance(name, str) for name in self.features):
            raise UsageError(f"features cannot be {self.features!r}", "it must be a list of tensor names")


@dataclass(frozen=True)
class Distilled(TrainedReport):
    """How the student learned; ``alpha``: weight of the teacher's outputs, 0..1."""

    alpha: float
    temperature: float


class Distil:
    """The pass ``distil``; its parameters are those of :class:`Settings`."""

    name = "distil"

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the trained student; deterministic for a seed.

        :raises UsageError: on wrong parameters, samples that cannot teach, or a teacher that does not fit.
        :raises ModelError: if a network cannot be read or trained. :raises ToolMissing: without TensorFlow.
        """
        settings = parse(Settings, context.params, self.name)
        student = job.ready(_read(settings.student, context) if settings.student else graph, context, "distillation")
        given = graph if settings.student else _read(settings.teacher, context) if settings.teacher else context.source
        refuse_integer(given or graph, "a teacher: its outputs are rounded")
        teacher, _ = restore(given or graph)
        check(teacher)
        _fitting(student, teacher)
        if tflite.dumps(teacher) == tflite.dumps(student):
            raise UsageError(
                "the teacher is the student itself, so there is nothing to learn from it",
                "put distil after prune or low_rank, or name a teacher or a student",
            )
        assert context.data is not None
        alone = job.teacher_share(student, context.data, settings, "distillation")
        alpha = alone or settings.alpha
        pairs = [_pair(text, student, teacher) for text in settings.features]
        training = job.Job(
            student, settings, alpha, teacher, settings.temperature, pairs, settings.feature_weight
        )  # fmt: skip
        trained = job.train(training, context, "distil")
        return Passed(trained.graph, Distilled(trained.history, alpha, settings.temperature))


def _read(path: str, context: PassContext) -> Graph:
    context.progress.step(f"read {Path(path).name}")
    return load(path, options=ReadOptions(progress=context.progress))


def _fitting(student: Graph, teacher: Graph) -> None:
    """:raises UsageError: unless both take and give the same shapes and dtypes."""
    for what, mine, theirs in (
        ("input", student.inputs, teacher.inputs),
        ("output", student.outputs, teacher.outputs),
    ):
        a, b = ([(t.dtype, list(t.shape)) for t in tensors] for tensors in (mine, theirs))
        if a != b:
            raise UsageError(f"the student's {what}s are {_words(a)}, the teacher's {_words(b)}: they must be the same")


def _words(tensors: list[Any]) -> str:
    return ", ".join(f"{dtype} {shape}" for dtype, shape in tensors)


def _pair(text: str, student: Graph, teacher: Graph) -> tuple[int, int]:
    mine, _, theirs = text.partition("=")
    a, b = _tensor(student, mine, "student"), _tensor(teacher, theirs or mine, "teacher")
    shapes = student.tensors[a].shape, teacher.tensors[b].shape
    if shapes[0] != shapes[1]:
        raise UsageError(f"distil: the feature {text} has the shapes {list(shapes[0])} and {list(shapes[1])}")
    return a, b


def _tensor(graph: Graph, name: str, whose: str) -> int:
    computed = [i for operator in graph.operators for i in operator.outputs]
    for index in computed:
        if graph.tensors[index].name == name:
            return index
    some = ", ".join(graph.tensors[i].name for i in computed[:8])
    raise UsageError(f"distil: the {whose} computes no tensor named {name!r}", f"among others it has {some}")
