"""Samples of each kind of file: pictures, texts, sounds, rows of tables, arrays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data import boxes, images, labelling, masks, npz, rows, sounds, table, tables, texts
from edgekit.data.conform import conform, scaling
from edgekit.data.samples import Dataset
from edgekit.errors import UsageError
from edgekit.progress import Progress
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
from edgekit.tasks.transcriber import Transcriber

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor
    from edgekit.tasks.task import Task

WITHOUT_CLASSES = (Anomaly, Detector, Embedder, Regressor, Segmenter, Transcriber)
"""What decides otherwise than by choosing one class for a sample: its truth is no label."""


def of_pictures(
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


def of_texts(path: Path, graph: Graph, task: Task, source: Text) -> Dataset:
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


def of_sounds(
    path: Path, graph: Graph, parts: Sequence[tuple[int, int]], seed: int, limit: int | None, task: Task,
    progress: Progress,
) -> Dataset:  # fmt: skip
    """Clips of recordings; parts and limits divide the recordings, not their clips."""
    assert isinstance(task.source, Sound)
    found = sounds.listed(path, task)
    every = Dataset([np.arange(len(found.files))], source=str(path))
    chosen = every.part(parts, seed).subset(limit, seed).inputs[0]
    base = path if path.is_dir() else path.parent
    clips = sounds.load([found.files[i] for i in chosen.tolist()], base, task.source, graph.inputs[0], progress)
    index = chosen[clips.recordings]
    truth = None if found.truth is None else found.truth[index]
    return Dataset(
        [clips.values], None if isinstance(task.decider, WITHOUT_CLASSES) else truth, source=str(path), index=index,
        truth=truth, names=clips.names, recordings=clips.recordings, files=np.array(found.files, object)[index],
    )  # fmt: skip


def of_rows(path: Path, graph: Graph, task: Task, source: Row) -> Dataset:
    """Rows of a table whose columns the task describes."""
    if not path.is_file():
        raise UsageError(f"--data {path}: there is no such file", "pass a .csv, or an .npz")
    found = rows.load(path, graph, source, task.decider)
    return Dataset(
        found.inputs, found.labels, source=str(path), truth=found.truth,
        groups=None if found.groups is None else labelling.groups(found.groups, len(found.inputs[0]), path),
        cells=found.cells,
    )  # fmt: skip


def of_file(path: Path, graph: Graph, pixel_range: tuple[float, float], task: Task | None) -> Dataset:
    """Arrays of an .npz, or columns of a table, by the names of the network's inputs."""
    if path.suffix.lower() in table.SUFFIXES:
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
        if (
            labels is not None
            and truth.dtype.kind == "f"
            and not 0 <= labels.min() <= labels.max() < labelling.limit(graph)
        ):
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
