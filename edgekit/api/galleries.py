"""Galleries of embeddings: samples in a folder become vectors, through the network that will be compared with them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.data import dataset
from edgekit.errors import UsageError
from edgekit.reference.litert import reference_outputs
from edgekit.tasks.embedder import Embedder, label_of
from edgekit.tasks.gallery import Gallery
from edgekit.tasks.real import real

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.data.dataset import Dataset
    from edgekit.graph import Graph
    from edgekit.progress import Progress
    from edgekit.tasks.task import Task


def filled(task: Task | None, graph: Graph, model: Path, progress: Progress) -> Task | None:
    """The task with the vectors of the samples that its gallery is to be made of, computed by the network ``model``.

    It is the network after the recipe: one in integers is compared with vectors that it rounded itself.

    :raises UsageError: if the samples cannot be read, or give no vector.
    """
    if task is None or not isinstance(task.decider, Embedder) or task.decider.folder is None:
        return task
    progress.step("embed the gallery")
    samples = labelled(task.decider.folder, graph, task, progress)
    outputs = reference_outputs(model, dataset.as_network_inputs(samples, graph))
    made = of_outputs(samples, outputs, graph)
    return replace(task, decider=replace(task.decider, gallery=made, folder=None))


def labelled(folder: Path, graph: Graph, task: Task, progress: Progress) -> Dataset:
    """Samples of a folder, whose names tell their labels.

    :raises UsageError: if they cannot be read, or have no names.
    """
    samples = dataset.load(str(folder), graph, task=task, progress=progress)
    if samples.names is None:
        raise UsageError(
            f"{folder}: a gallery is a folder of files, or of folders that have the labels' names",
            "vectors that another network made can be in a .csv beside task.toml (docs/tasks.md)",
        )
    return samples


def of_outputs(samples: Dataset, outputs: Sequence[NDArray[Any]], graph: Graph) -> Gallery:
    """The gallery of what a network made of samples.

    :raises UsageError: if one has no direction, or a label is none.
    """
    assert samples.names is not None
    labels = [label_of(name) for name in samples.names.tolist()]
    try:
        return Gallery.of(real(outputs[0].reshape(len(labels), -1), graph.outputs[0]), labels)
    except ValueError as error:
        raise UsageError(f"{samples.source}: {error}", "docs/tasks.md says what a gallery is") from error
