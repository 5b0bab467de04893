"""Samples for calibration, accuracy and golden outputs: what ``--data`` names.

docs/data.md describes for users what may be given; :mod:`edgekit.data.spec` reads the options behind it, and
:mod:`edgekit.data.conform` brings each array into the shape and dtype of its input.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data import boxes, images, labelling, masks, npz, rows, sounds, tables, texts
from edgekit.data.conform import FLOATS, INTEGERS, SCALED, conform, scaling, shape_of, shape_text
from edgekit.data.spec import PIXELS, parsed
from edgekit.errors import ModelError, UsageError
from edgekit.graph.lookup import vocabulary
from edgekit.progress import Progress, Silent
from edgekit.tasks.anomaly import Anomaly
from edgekit.tasks.classifier import Classifier
from edgekit.tasks.detector import Detector
from edgekit.tasks.embedder import Embedder
from edgekit.tasks.picture import Picture
from edgekit.tasks.regressor import Regressor
from edgekit.tasks.row import Row
from edgekit.tasks.segmenter import Segmenter
from edgekit.tasks.sound import Sound
from edgekit.tasks.text import Text

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor
    from edgekit.tasks.task import Task

RANDOM_SAMPLES = 32
WITHOUT_CLASSES = (Anomaly, Detector, Embedder, Regressor, Segmenter)
"""What decides otherwise than by choosing one class for a sample: its truth is no label."""


@dataclass(frozen=True)
class Dataset:
    """Samples for a network.

    :param inputs: one array per network input, ``[n, *tensor shape]`` (the tensor's own batch dimension of 1
        included, so one sample is what the interpreter takes). Real values are float32; integers are in the
        input tensor's own dtype and go into the network as they are.
    :param labels: the right class of each sample, int64 ``[n]``, or None.
    :param truth: what is right for each sample, as it was given ``[n, ...]``: classes, numbers, masks, or a
        :class:`~edgekit.data.boxes.Boxes` in the picture's pixels each; or None.
    :param groups: the group each sample belongs to, int64 or str ``[n]``, or None: accuracy is told for each.
    :param random: True if the samples are noise, so that accuracy means nothing.
    :param source: where they come from, in words.
    :param index: where each sample stands in the source, int64 ``[n]``; None where that holds all of them, in order.
    :param files: that the samples come from, ``[n]`` of Path; ``names``: what they are called in the folder; or None.
    :param sizes: width and height of the pictures that the samples are made of, int64 ``[n, 2]``; None of others.
    :param recordings: the number of the recording that each sample is a clip of, int64 ``[n]``; None of others.
    :param texts: that the samples are made of, ``[n]`` of str; None of others.
    :param cells: of the rows that the samples are made of, in the order of the task's columns, str ``[n, columns]``; or
        None.
    :param notes: what reading had to assume or convert, in words.
    """

    inputs: list[NDArray[Any]]
    labels: NDArray[np.int64] | None = None
    random: bool = False
    source: str = ""
    notes: list[str] = field(default_factory=list)
    groups: NDArray[Any] | None = None
    index: NDArray[np.int64] | None = None
    truth: NDArray[Any] | None = None
    names: NDArray[Any] | None = None
    files: NDArray[Any] | None = None
    sizes: NDArray[np.int64] | None = None
    recordings: NDArray[np.int64] | None = None
    texts: NDArray[Any] | None = None
    cells: NDArray[Any] | None = None

    def __len__(self) -> int:
        return len(self.inputs[0])

    def subset(self, limit: int | None, seed: int = 0) -> Dataset:
        """Return at most ``limit`` samples, drawn without replacement (data sorted by class stays mixed)."""
        if limit is None or limit >= len(self):
            return self
        return self.take(_draw(len(self), limit, seed))

    def take(self, chosen: NDArray[np.int64]) -> Dataset:
        """Return the samples with these indices."""
        index = np.asarray(chosen, np.int64) if self.index is None else self.index[chosen]
        kept: dict[str, Any] = {
            name: None if (rows := getattr(self, name)) is None else rows[chosen]
            for name in ("labels", "groups", "truth", "names", "files", "sizes", "recordings", "texts", "cells")
        }
        return replace(self, inputs=[x[chosen] for x in self.inputs], index=index, **kept)

    def _part(self, parts: Sequence[tuple[int, int]], seed: int) -> Dataset:
        """Return the K-th of N parts, which are as large as can be, mixed, and have no sample in common; part of parts.

        :raises UsageError: if there are fewer samples than parts.
        """
        part = self
        for number, count in parts:
            if len(part) < count:
                raise UsageError(f"{self.source}: {len(part)} samples cannot be split into {count} parts", "pass more")
            part = part.take(np.sort(np.random.default_rng(seed).permutation(len(part))[number - 1 :: count]))
        return part


def load(
    spec: str,
    graph: Graph,
    *,
    seed: int = 0,
    limit: int | None = None,
    task: Task | None = None,
    progress: Progress = Silent(),
) -> Dataset:
    """Read the samples that ``spec`` names, in the shapes that ``graph`` takes.

    :param limit: draw at most so many samples; None takes all (32 for ``random``).
    :param task: how images become inputs; None: by ``?range=`` alone.
    :raises UsageError: one line that names the array or file, what was expected and what was found.
    """
    if not graph.inputs:
        raise ModelError("the network has no inputs, so it takes no data")
    name, pixel_range, parts = parsed(spec)
    if name == "random":
        dataset = random(graph, seed=seed, samples=limit or RANDOM_SAMPLES)._part(parts, seed)
        progress.warn("--data random: the samples are noise, so accuracy and calibrated ranges are meaningless")
    elif task is not None and isinstance(task.source, Text) and texts.holds(Path(name)):
        dataset = _load_texts(Path(name), graph, task, task.source)._part(parts, seed).subset(limit, seed)
    elif task is not None and sounds.holds_sounds(name, task):
        dataset = _load_sounds(Path(name), graph, parts, seed, limit, task, progress)
    elif task is not None and isinstance(task.source, Row) and Path(name).suffix.lower() == tables.SUFFIX:
        dataset = _load_rows(Path(name), graph, task, task.source)._part(parts, seed).subset(limit, seed)
    elif holds_pictures(name):
        first = None if parts else limit
        found = _load_pictures(Path(name), graph, pixel_range, seed, first, task, progress)
        dataset = found._part(parts, seed).subset(limit, seed)
    elif Path(name).is_file():
        dataset = _load_file(Path(name), graph, pixel_range, task)._part(parts, seed).subset(limit, seed)
    else:
        raise UsageError(
            f"--data {name or repr(name)}: there is no such file or folder",
            "pass an .npz, a .csv, a folder, COCO's .json, or `random`",
        )
    if task is not None and isinstance(task.decider, Embedder):
        dataset = replace(dataset, labels=None)  # its outputs are not scores of classes
    if dataset.labels is not None:
        check_labels(dataset.labels, graph, name)
    if pixel_range != PIXELS and not any(SCALED in note for note in dataset.notes):
        dataset.notes.append(f"{spec}: ?range= changes nothing here: only bytes (pixels) are scaled to real values")
    for note in dataset.notes:
        progress.warn(note)
    return dataset


def holds_pictures(name: str) -> bool:
    """True if a folder of pictures, or a file that names them, is called so."""
    return bool(name) and Path(name).exists() and (Path(name).is_dir() or boxes.is_annotated(Path(name)))


def _load_pictures(
    path: Path, graph: Graph, pixel_range: tuple[float, float], seed: int, limit: int | None, task: Task | None,
    progress: Progress,
) -> Dataset:  # fmt: skip
    """Pictures of a folder, with classes, true boxes or masks, or those that annotations name."""
    labels: NDArray[np.int64] | None = None
    truth: NDArray[Any] | None = None
    annotated = None
    if boxes.is_annotated(path):
        annotated = boxes.read(path, task, images.inside(path / boxes.IMAGES) if path.is_dir() else ())
        files = annotated.files
        if not files:
            raise UsageError(f"{path / boxes.IMAGES}: no images in it")
    elif masks.is_masked(path):
        files = images.inside(path / masks.IMAGES)
        if not files:
            raise UsageError(f"{path / masks.IMAGES}: no images in it")
    else:
        files, labels = images.listed(path)
    picture = None if task is None or not isinstance(task.source, Picture) else task.source
    made = images.load(files, path, graph, pixel_range, seed=seed, limit=limit, picture=picture, progress=progress)
    if annotated is not None:
        truth = np.empty(len(made.chosen), object)
        for row, (number, (width, height)) in enumerate(zip(made.chosen.tolist(), made.sizes.tolist(), strict=True)):
            truth[row] = annotated.in_pixels(number, (width, height))
    elif masks.is_masked(path):
        truth = masks.read(path, task, [files[number] for number in made.chosen.tolist()], made.sizes)
    elif labels is not None:
        labels = truth = labels[made.chosen]
    by_range = picture is None and made.values.dtype != np.uint8
    notes = [scaling(f"{path} holds images", pixel_range)] if by_range else []
    base = path if path.is_dir() else path.parent
    names = [file.relative_to(base).as_posix() if file.is_relative_to(base) else file.name for file in files]
    return Dataset(
        [made.values], labels, source=str(path), notes=notes, index=made.chosen, truth=truth,
        names=np.array(names)[made.chosen], files=np.array(files, object)[made.chosen], sizes=made.sizes,
    )  # fmt: skip


def _load_texts(path: Path, graph: Graph, task: Task, source: Text) -> Dataset:
    """Texts of a table or a folder, as tokens."""
    found = texts.load(path, task.decider.labels if isinstance(task.decider, Classifier) else ())
    try:
        inputs = source.values(found.texts, graph.inputs)
    except ValueError as error:
        raise UsageError(f"{path}: text {error.args[1] + 1}: {error.args[0]}") from error
    return Dataset(
        inputs, found.labels, source=str(path), truth=found.labels,
        groups=None if found.groups is None else labelling.groups(found.groups, len(found.texts), path),
        names=np.array(found.names, object), texts=np.array(found.texts, object),
    )  # fmt: skip


def _load_sounds(
    path: Path, graph: Graph, parts: Sequence[tuple[int, int]], seed: int, limit: int | None, task: Task,
    progress: Progress,
) -> Dataset:  # fmt: skip
    """Clips of recordings; parts and limits divide the recordings, not their clips."""
    assert isinstance(task.source, Sound)
    found = sounds.listed(path, task)
    every = Dataset([np.arange(len(found.files))], source=str(path))
    chosen = every._part(parts, seed).subset(limit, seed).inputs[0]
    base = path if path.is_dir() else path.parent
    clips = sounds.load([found.files[i] for i in chosen.tolist()], base, task.source, graph.inputs[0], progress)
    index = chosen[clips.recordings]
    truth = None if found.classes is None else found.classes[index]
    return Dataset(
        [clips.values], None if isinstance(task.decider, Anomaly) else truth, source=str(path), index=index,
        truth=truth, names=clips.names, recordings=clips.recordings,
    )  # fmt: skip


def _load_rows(path: Path, graph: Graph, task: Task, source: Row) -> Dataset:
    """Rows of a table whose columns the task describes."""
    if not path.is_file():
        raise UsageError(f"--data {path}: there is no such file", "pass a .csv, or an .npz")
    found = rows.load(path, graph, source, task.decider)
    return Dataset(
        found.inputs, found.labels, source=str(path), truth=found.truth,
        groups=None if found.groups is None else labelling.groups(found.groups, len(found.inputs[0]), path),
        cells=found.cells,
    )  # fmt: skip


def random(graph: Graph, *, seed: int = 0, samples: int = RANDOM_SAMPLES) -> Dataset:
    """Return noise: uniform in 0..1 for real inputs, over the whole range for quantized ones, valid indices for ids."""
    generator = np.random.default_rng(seed)
    inputs: list[NDArray[Any]] = []
    for index, tensor in zip(graph.main.inputs, graph.inputs, strict=True):
        shape = (samples, *shape_of(tensor))
        if tensor.dtype in FLOATS:
            inputs.append(generator.random(shape, dtype=np.float32))
        elif tensor.dtype == "bool":
            inputs.append(generator.integers(0, 2, shape).astype(np.bool_))
        elif tensor.dtype not in INTEGERS:
            raise ModelError(f"input {tensor.name!r} is {tensor.dtype}: no random samples can be generated for it")
        elif tensor.has_scale:
            info = np.iinfo(tensor.dtype)
            inputs.append(generator.integers(info.min, info.max, shape, endpoint=True).astype(tensor.dtype))
        else:
            inputs.append(generator.integers(0, vocabulary(graph, index), shape).astype(tensor.dtype))
    return Dataset(inputs, random=True, source="random")


def as_network_inputs(dataset: Dataset, graph: Graph) -> list[NDArray[Any]]:
    """Return the samples as ``graph`` takes them: one ``[n, *tensor shape]`` per input, in the tensors' dtypes.

    Real values are quantized with the input tensor's scale where it is integer; integers pass through.

    :raises UsageError: if the samples were made for another network.
    """
    if len(dataset.inputs) != len(graph.inputs):
        raise UsageError(f"the data has {len(dataset.inputs)} inputs, the network {len(graph.inputs)}")
    arrays = []
    for values, tensor in zip(dataset.inputs, graph.inputs, strict=True):
        if values.shape[1:] != shape_of(tensor):
            raise UsageError(
                f"the data for input {tensor.name!r} has shape {shape_text(values.shape[1:])}, "
                f"the network takes {shape_text(shape_of(tensor))}"
            )
        if str(values.dtype) == tensor.dtype:
            arrays.append(values)
        elif values.dtype.kind == "f" and tensor.dtype in FLOATS:
            arrays.append(values.astype(tensor.dtype))
        elif values.dtype.kind == "f" and tensor.quantization is not None and tensor.has_scale:
            arrays.append(tensor.quantization.quantize(values, tensor.dtype))
        else:
            raise UsageError(f"input {tensor.name!r} takes {tensor.dtype}, the data is {values.dtype}")
    return arrays


def check_labels(labels: NDArray[np.int64], graph: Graph, source: str) -> None:
    """Compare the labels with the number of classes that the network's first output has, where that is known.

    :raises UsageError: if one is negative or too large.
    """
    low, high, limit = int(labels.min()), int(labels.max()), _limit(graph)
    if low < 0 or high >= limit:
        expected = f"0..{int(limit) - 1}" if math.isfinite(limit) else "0 or more"
        raise UsageError(f"{source}: labels must be {expected}, found {low}..{high}", "count classes from 0")


def classes(graph: Graph) -> int | None:
    """Return the number of classes of a classifier: the last dimension of its first output ``[1, .., classes]``."""
    if not graph.outputs or not graph.outputs[0].shape:
        return None
    shape = graph.outputs[0].shape
    return shape[-1] if math.prod(shape) == shape[-1] else None


def _limit(graph: Graph) -> float:
    """Labels are below this: the number of classes where it is known; one output is one probability, of class 1."""
    count = classes(graph)
    return math.inf if count is None else max(count, 2)


def _load_file(path: Path, graph: Graph, pixel_range: tuple[float, float], task: Task | None) -> Dataset:
    if path.suffix.lower() == tables.SUFFIX:
        arrays = tables.read(path, _named_inputs(graph))
    else:
        arrays = npz.read(path, texts=("g",))
    inputs, notes = [], []
    names = _input_names(arrays, graph, path)
    for tensor, name in zip(graph.inputs, names, strict=True):
        values, note = conform(arrays[name], tensor, f"{path}: {name}", pixel_range)
        inputs.append(values)
        notes += [note] if note else []
    counts = [len(values) for values in inputs]
    if len(set(counts)) > 1:
        raise UsageError(f"{path}: the inputs have different numbers of samples: {', '.join(map(str, counts))}")
    labels, truth = None, arrays.get("y")
    if truth is not None:
        labels, note = labelling.labels(truth, counts[0], path)
        if labels is not None and truth.dtype.kind == "f" and not 0 <= labels.min() <= labels.max() < _limit(graph):
            labels, note = None, f"{path}: y holds numbers that are no classes, so no accuracy is measured"
        if task is not None and isinstance(task.decider, WITHOUT_CLASSES):
            labels, note = None, ""
        notes += [note] if note else []
    groups = labelling.groups(arrays["g"], counts[0], path) if "g" in arrays and "g" not in names else None
    return Dataset(inputs, labels, source=str(path), notes=notes, groups=groups, truth=truth)


def _named_inputs(graph: Graph) -> list[tuple[str, Tensor]]:
    """Each input and what it is called: by the signature, else by its tensor, or ``x`` where there is only one."""
    if len(graph.inputs) == 1:
        return [("x", graph.inputs[0])]
    signature = {index: name for s in graph.signatures if s.subgraph == 0 for name, index in s.inputs.items()}
    return [
        (signature.get(index, tensor.name), tensor)
        for index, tensor in zip(graph.main.inputs, graph.inputs, strict=True)
    ]


def _input_names(arrays: dict[str, NDArray[Any]], graph: Graph, path: Path) -> list[str]:
    """Say which array feeds which input: by the inputs' names (the signature's or the tensors'), or x, x0, x1, ..."""
    signature = {index: name for s in graph.signatures if s.subgraph == 0 for name, index in s.inputs.items()}
    count = len(graph.inputs)
    chosen = []
    for position, (index, tensor) in enumerate(zip(graph.main.inputs, graph.inputs, strict=True)):
        candidates = [signature.get(index, ""), tensor.name, f"x{position}", *(["x"] if count == 1 else [])]
        name = next((c for c in candidates if c in arrays), None)
        if name is None:
            expected = "x" if count == 1 else ", ".join(f"x{i}" for i in range(count))
            found = ", ".join(sorted(arrays)) or "none"
            raise UsageError(
                f"{path}: no array for input {tensor.name!r}; expected {expected}, found {found}",
                "save it with np.savez(file, x=..., y=...)",
            )
        chosen.append(name)
    return chosen


def _draw(count: int, limit: int, seed: int) -> NDArray[np.int64]:
    """Draw ``limit`` of ``count`` indices without replacement, in ascending order."""
    return np.sort(np.random.default_rng(seed).permutation(count)[:limit])
