"""Top-1 accuracy of a classifier on labelled samples, run with LiteRT's default kernels in a child process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.data.dataset import as_network_inputs, classes
from edgekit.graph import Graph, tflite

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset


@dataclass(frozen=True)
class Accuracy:
    """How many labels a network gets right.

    :param value: share of right labels, 0..1, of ``samples`` samples.
    :param predictions: the class the network gives each sample, int64 ``[samples]``.
    """

    value: float
    samples: int
    predictions: NDArray[np.int64]
    metric: str = "top1"


def evaluate(model: Path | Graph, dataset: Dataset) -> Accuracy | None:
    """Measure top-1 accuracy; None where there are no labels or the network is not a classifier.

    A classifier's first output is ``[1, .., classes]``; the largest value wins, the first of equals. Integer
    outputs need no scale for that. One output that comes from a LOGISTIC operator is the probability of class 1.

    :raises ModelError: if LiteRT refuses the network, or crashes on it.
    """
    graph = model if isinstance(model, Graph) else tflite.read(model)
    if dataset.labels is None or not measurable(graph):
        return None
    predictions = _predictions(model, graph, dataset)
    right = int((predictions == dataset.labels).sum())
    return Accuracy(right / len(dataset), len(dataset), predictions)


def compare(reference: Path | Graph, compiled: Path | Graph, dataset: Dataset) -> dict[str, Any] | None:
    """Measure both networks on the same samples and :func:`report` them, or return None."""
    before = evaluate(reference, dataset)
    after = before if compiled is reference else evaluate(compiled, dataset)
    graph = reference if isinstance(reference, Graph) else tflite.read(reference)
    return None if before is None or after is None else report(before, after, dataset, graph)


def report(before: Accuracy, after: Accuracy, dataset: Dataset, graph: Graph) -> dict[str, Any]:
    """Return the ``accuracy`` that ``compile --json`` prints.

    ``float`` is the accuracy before, ``flips`` counts the samples whose predicted class differs between the two; the
    rest is of :func:`edgekit.metrics.fairness.report`.

    :param before: of ``graph``, the network before compression; ``after``: both on the labelled ``dataset``.
    """
    from edgekit.metrics import fairness

    assert dataset.labels is not None
    found = fairness.report(
        dataset.labels, before.predictions, after.predictions,
        classes=max(2, classes(graph) or 2), groups=dataset.groups,
    )  # fmt: skip
    flips = int((before.predictions != after.predictions).sum())
    return {"metric": before.metric, "random": dataset.random, "flips": flips, **found}


def measurable(graph: Graph) -> bool:
    """True if the network's first output is one choice among classes."""
    count = classes(graph)
    return count is not None and (count > 1 or _is_probability(graph))


def chooses(graph: Graph) -> bool:
    """True if the network is a classifier even without labels.

    It is :func:`measurable`, and its first output comes from a softmax or logistic function, directly or through a
    change of dtype or shape.
    """
    return measurable(graph) and _comes_from(graph, ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC"))


def top1(outputs: NDArray[Any], graph: Graph) -> NDArray[np.int64]:
    """Return the class of each sample from the first output ``[samples, *tensor shape]``, in the tensor's dtype."""
    rows = outputs.reshape(len(outputs), -1)
    chosen: NDArray[np.int64]
    if rows.shape[1] > 1:
        chosen = np.asarray(rows.argmax(axis=1), np.int64)
        return chosen
    tensor = graph.outputs[0]
    if rows.dtype.kind in "iu" and tensor.quantization is not None:
        rows = tensor.quantization.dequantize(rows)
    chosen = np.asarray(rows[:, 0] > 0.5, np.int64)
    return chosen


def _is_probability(graph: Graph) -> bool:
    """True if the first output comes from a LOGISTIC operator, directly or through a change of dtype or shape."""
    return _comes_from(graph, ("LOGISTIC",))


def _comes_from(graph: Graph, operators: tuple[str, ...]) -> bool:
    wanted = graph.main.outputs[0]
    for operator in reversed(graph.operators):
        if wanted in operator.outputs:
            if operator.op in operators:
                return True
            if operator.op not in ("QUANTIZE", "DEQUANTIZE", "RESHAPE", "SQUEEZE"):
                return False
            wanted = operator.inputs[0]
    return False


def _predictions(model: Path | Graph, graph: Graph, dataset: Dataset) -> NDArray[np.int64]:
    return top1(outputs_of(model, graph, dataset)[0], graph)


def outputs_of(model: Path | Graph, graph: Graph, dataset: Dataset) -> list[NDArray[Any]]:
    """Run a network with LiteRT's default kernels in a child; ``[samples, *tensor shape]`` for each output.

    :param model: the network, or its file; ``graph``: what is in it.
    :raises ModelError: if LiteRT refuses the network, or crashes on it.
    """
    from edgekit.reference.litert import reference_outputs

    inputs = as_network_inputs(dataset, graph)
    with sandbox.scratch() as folder:
        path = folder / "model.tflite"
        if isinstance(model, Graph):
            tflite.write(model, path)
        else:
            path = model
        return reference_outputs(path, inputs, optimized=True)
