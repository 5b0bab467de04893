"""Samples for calibration, accuracy and golden outputs: what ``--data`` names.

docs/data.md describes for users what may be given; :mod:`edgekit.data.spec` reads the options behind it, and
:mod:`edgekit.data.conform` brings each array into the shape and dtype of its input.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data import boxes, labelling, loaders, sounds, table, texts
from edgekit.data.conform import FLOATS, INTEGERS, SCALED, shape_of, shape_text
from edgekit.data.labelling import classes as classes
from edgekit.data.samples import Dataset as Dataset
from edgekit.data.spec import PIXELS, parsed
from edgekit.errors import ModelError, UsageError
from edgekit.graph.lookup import vocabulary
from edgekit.progress import Progress, Silent
from edgekit.tasks.embedder import Embedder
from edgekit.tasks.row import Row
from edgekit.tasks.text import Text

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.tasks.task import Task

RANDOM_SAMPLES = 32


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
        dataset = random(graph, seed=seed, samples=limit or RANDOM_SAMPLES).part(parts, seed)
        progress.warn("--data random: the samples are noise, so accuracy and calibrated ranges are meaningless")
    elif task is not None and isinstance(task.source, Text) and texts.holds(Path(name)):
        dataset = loaders.of_texts(Path(name), graph, task, task.source).part(parts, seed).subset(limit, seed)
    elif task is not None and sounds.holds_sounds(name, task):
        dataset = loaders.of_sounds(Path(name), graph, parts, seed, limit, task, progress)
    elif task is not None and isinstance(task.source, Row) and Path(name).suffix.lower() in table.SUFFIXES:
        dataset = loaders.of_rows(Path(name), graph, task, task.source).part(parts, seed).subset(limit, seed)
    elif holds_pictures(name):
        first = None if parts else limit
        found = loaders.of_pictures(Path(name), graph, pixel_range, seed, first, task, progress)
        dataset = found.part(parts, seed).subset(limit, seed)
    elif Path(name).is_file():
        dataset = loaders.of_file(Path(name), graph, pixel_range, task).part(parts, seed).subset(limit, seed)
    else:
        raise UsageError(
            f"--data {name or repr(name)}: there is no such file or folder",
            "pass an .npz, a .csv, a folder, COCO's .json, or `random`",
        )
    if task is not None and isinstance(task.decider, Embedder):
        dataset = replace(dataset, labels=None)  # its outputs are not scores of classes
    if dataset.labels is not None:
        labelling.check_labels(dataset.labels, graph, name)
    if pixel_range != PIXELS and not any(SCALED in note for note in dataset.notes):
        dataset.notes.append(f"{spec}: ?range= changes nothing here: only bytes (pixels) are scaled to real values")
    for note in dataset.notes:
        progress.warn(note)
    return dataset


def holds_pictures(name: str) -> bool:
    """True if a folder of pictures, or a file that names them, is called so."""
    return bool(name) and Path(name).exists() and (Path(name).is_dir() or boxes.is_annotated(Path(name)))


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
