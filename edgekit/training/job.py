"""One training, seen from edgekit's own process: checks, shards, children, checkpoints."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit import resources
from edgekit.data import dataset
from edgekit.data.dataset import Dataset
from edgekit.errors import ModelError, ToolMissing, UsageError
from edgekit.graph import Graph, tflite
from edgekit.graph.floats import refuse_integer, restore
from edgekit.training import checkpoint, workers
from edgekit.training.context import Context
from edgekit.training.fake_quant import Plan
from edgekit.training.lanes import Lanes
from edgekit.training.settings import Training
from edgekit.training.trainable import check

VALIDATION_SHARE, LEAST_VALIDATION = 0.1, 2
"""Of the samples so many are held back to say whether training helped; fewer than ``LEAST_VALIDATION`` are none."""
KEPT_DAYS = 14
"""A training that was stopped and not taken up again is forgotten after so many days."""


@dataclass(frozen=True)
class Job:
    """What is trained, and how.

    :param graph: float32, trainable. :param teacher: a Graph with the same inputs and outputs, where one is needed.
    :param alpha: weight of the teacher's outputs against the labels', 0..1.
    :param features: pairs of tensors (of the Graph, of the teacher) that are to be alike, too.
    :param sparsity: ``layers``, ``pattern``, ``sparsity``: zeros that are made on the way.
    :param learned: ranges of ``plan`` are learned, not averaged.
    """

    graph: Graph
    settings: Training
    alpha: float
    teacher: Graph | None = None
    temperature: float = 1.0
    features: Sequence[tuple[int, int]] = ()
    feature_weight: float = 1.0
    sparsity: Mapping[str, Any] = field(default_factory=dict)
    plan: Plan | None = None
    learned: bool = True


@dataclass(frozen=True)
class History:
    """How a training went.

    :param samples: that were trained on; ``validation_samples`` were held back. :param loss: what taught, in words.
    :param workers: how many. :param course: what the workers tell: epochs, losses, accuracies.
    """

    samples: int
    validation_samples: int
    loss: str
    workers: int
    course: Mapping[str, Any]

    def json(self) -> dict[str, Any]:
        """All of it, ``course`` item by item."""
        own = {"samples": self.samples, "validation_samples": self.validation_samples}
        return {**own, "loss": self.loss, "workers": self.workers, **self.course}


@dataclass(frozen=True)
class Trained:
    """The Graph with its trained weights, how that went, and the trained ranges of quantization, NaN elsewhere."""

    graph: Graph
    history: History
    low: NDArray[np.float32] | None
    high: NDArray[np.float32] | None


def ready(graph: Graph, context: Context, name: str) -> Graph:
    """Return the Graph in float32, if it can be trained on the context's samples.

    :param name: what is done to it, as in "fine-tuning".
    :raises UsageError: without samples. :raises ModelError: naming the operator that cannot be trained.
    :raises ToolMissing: without TensorFlow.
    """
    refuse_integer(graph, "trained")
    graph, _ = restore(graph)
    if context.data is None:
        raise UsageError(f"{name} needs samples", "pass --data FILE.npz with x (and labels y)")
    check(graph)
    if importlib.util.find_spec("tensorflow") is None:
        raise ToolMissing(
            "training needs TensorFlow, which is not installed", "install it: pip install 'edgekit[train]'"
        )
    return graph


def taught(graph: Graph, context: Context, settings: Training, name: str) -> tuple[Graph, float, Graph | None]:
    """Return the Graph, :func:`ready`; its :func:`teacher_share`; the network before compression, if that teaches."""
    graph = ready(graph, context, name)
    assert context.data is not None
    share = teacher_share(graph, context.data, settings, name)
    return graph, share, restore(context.source or graph)[0] if share else None


def teacher_share(graph: Graph, data: Dataset, settings: Training, name: str) -> float:
    """Return 0 if the labels teach, 1 if the network before compression does.

    :raises UsageError: if labels are asked for, and missing, or of one class, or not of every class.
    """
    if settings.loss == "teacher" or (settings.loss == "auto" and data.labels is None):
        return 1.0
    if data.labels is None:
        raise UsageError(f"{name} on labels needs labelled samples", "pass --data FILE.npz with x and y")
    labelled(graph, data)
    return 0.0


def labelled(graph: Graph, data: Dataset) -> None:
    """Return if the labels can teach this network.

    :raises ModelError: if it is no classifier. :raises UsageError: if a class has no sample.
    """
    classes = dataset.classes(graph)
    if len(graph.outputs) != 1 or classes is None:
        raise ModelError("training on labels needs a classifier with one output", 'set loss = "teacher" in the recipe')
    assert data.labels is not None
    found = set(np.unique(data.labels).tolist())
    if len(found) < 2:
        raise UsageError("all samples have the same label: there is nothing to learn", "give samples of every class")
    missing = sorted(set(range(max(classes, 2))) - found)
    if missing:
        shown = ", ".join(map(str, missing[:5])) + (", ..." if len(missing) > 5 else "")
        raise UsageError(
            f"no sample has the label {shown}: training on the others would unlearn what is missing",
            'give samples of every class, or set loss = "teacher" in the recipe',
        )


def train(job: Job, context: Context, name: str) -> Trained:
    """Train in children. Deterministic for a seed.

    A training that was interrupted goes on where it was: the same job finds its checkpoint in edgekit's cache.

    :param name: as progress calls it.
    :raises ModelError: if training diverges, or a child dies.
    """
    crew = workers.parse(context.workers)
    args, whole = _arguments(job, context)
    if job.settings.batch % len(crew):
        raise UsageError(
            f"a batch of {job.settings.batch} cannot be shared by {len(crew)} workers", "set batch to a multiple"
        )
    with _checkpoints(args, whole) as folder:
        saved = checkpoint.load(folder)
        if saved is not None:
            _, meta = checkpoint.unpacked(saved)
            steps = meta["epoch"] * -(-args["samples"] // args["batch"]) + meta["done"]
            context.progress.note(f"{name}: resumes after step {steps}, where an earlier run was stopped")
        shards = [_shard(args, whole, len(crew), index, saved) for index in range(len(crew))]
        progress = _Shown(context, name, args["epochs"])
        context.progress.step(f"{name}: {args['epochs']} epochs on {args['samples']} samples")
        found, made = workers.run(crew, args, shards, folder, progress)
    loss = "labels" if job.alpha == 0 else "teacher" if job.alpha == 1 else "labels and teacher"
    history = History(args["samples"], args["validation"], loss, len(crew), found)
    graph = tflite.loads(made["graph"].tobytes())
    for tensor, source in zip(graph.tensors, job.graph.tensors, strict=True):
        tensor.keep_float = source.keep_float  # the file does not say
    return Trained(graph, history, made.get("low"), made.get("high"))


class _Shown:
    """Shows what a worker tells."""

    def __init__(self, context: Context, name: str, epochs: int) -> None:
        self._progress, self._name, self._epochs, self._epoch = context.progress, name, epochs, 0

    def __call__(self, message: Mapping[str, Any]) -> None:
        epoch = min(int(message["epoch"]) + 1, self._epochs)
        if epoch != self._epoch:
            self._epoch = epoch
            said = [f"{name} {message[key]:{form}}" for name, key, form in (("loss", "loss", ".4g"),) if message[key]]
            said += [f"accuracy {message['accuracy']:.2%}"] if message["accuracy"] is not None else []
            said.append(f"{message['left']:.0f} s left")
            self._progress.step(f"{self._name}: epoch {epoch} of {self._epochs} ({', '.join(said)})")
        self._progress.advance(int(message["done"]), int(message["total"]))


def _arguments(job: Job, context: Context) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """What every worker gets: JSON, and arrays of all samples, in two parts."""
    assert context.data is not None
    settings, data = job.settings, context.data
    inputs = dataset.as_network_inputs(data, job.graph)
    order = np.random.default_rng(context.seed).permutation(len(data))
    held = int(VALIDATION_SHARE * len(data))
    held = held if held >= LEAST_VALIDATION else 0
    one = len(job.graph.outputs) == 1 and dataset.classes(job.graph) is not None
    labels = data.labels is not None and one
    arrays: dict[str, NDArray[Any]] = {"graph": np.frombuffer(tflite.dumps(job.graph), np.uint8)}
    for number, values in enumerate(inputs):
        arrays |= {f"x{number}": values[order[held:]], f"v{number}": values[order[:held]]}
    if labels and data.labels is not None:
        arrays |= {"y": data.labels[order[held:]], "vy": data.labels[order[:held]]}
    if job.alpha > 0 or job.features:
        if job.teacher is None:
            raise ModelError("the loss needs a teacher")
        arrays["teacher"] = np.frombuffer(tflite.dumps(job.teacher), np.uint8)
    args: dict[str, Any] = {
        "epochs": settings.epochs, "batch": settings.batch, "learning_rate": settings.learning_rate,
        "seed": context.seed, "samples": len(order) - held, "validation": held, "labelled": labels,
        "alpha": job.alpha, "temperature": job.temperature, "feature_weight": job.feature_weight,
        "features": [mine for mine, _ in job.features], "teacher_features": [theirs for _, theirs in job.features],
        "sparsity": {"keep": settings.keep_zeros, **job.sparsity},
        "quantization": {"plan": job.plan.json(), "learned": job.learned} if job.plan else None,
    }  # fmt: skip
    return args, arrays


def _shard(
    args: dict[str, Any], whole: Mapping[str, NDArray[Any]], count: int, index: int, saved: bytes | None
) -> dict[str, NDArray[Any]]:
    """The arrays of one worker: its lanes of the samples, its share of the validation samples."""
    mine = Lanes(args["samples"], args["batch"], args["seed"], count, index).shard()
    shard = {
        name: values if name in ("graph", "teacher") else values[index::count] if name[0] == "v" else values[mine]
        for name, values in whole.items()
    }
    return shard | ({"state": np.frombuffer(saved, np.uint8)} if saved is not None else {})


@contextmanager
def _checkpoints(args: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> Iterator[Path]:
    """The folder where this very job keeps its state until it is done; what others left long ago is removed."""
    digest = hashlib.sha256(json.dumps(args, sort_keys=True).encode())
    for name in sorted(arrays):
        digest.update(name.encode() + np.ascontiguousarray(arrays[name]).tobytes())
    root = resources.created(resources.cache("training"))
    for old in root.iterdir():
        if time.time() - old.stat().st_mtime > KEPT_DAYS * 86400:
            shutil.rmtree(old, ignore_errors=True)
    folder = root / digest.hexdigest()[:32]
    folder.mkdir(exist_ok=True)
    checkpoint.sweep(folder)
    try:
        yield folder
    except BaseException:
        if not any(folder.iterdir()):
            shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(folder, ignore_errors=True)
