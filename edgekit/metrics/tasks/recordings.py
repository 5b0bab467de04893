"""Metrics of recordings, which a network hears clip by clip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data.dataset import Dataset, as_network_inputs
from edgekit.tasks.parts import Sample

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.tasks.anomaly import Anomaly
    from edgekit.tasks.parts import Source
    from edgekit.tasks.transcriber import Transcriber


def scores(anomaly: Anomaly, graph: Graph, outputs: Sequence[NDArray[Any]], tests: Dataset) -> NDArray[np.float64]:
    """How unusual each recording is, the mean over its clips: ``[recordings, 1]``.

    :param outputs: of all samples, ``[samples, *tensor shape]``, in the tensors' dtypes.
    """
    found = anomaly.scores(as_network_inputs(tests, graph), outputs, graph)
    parts = np.split(found, _first(tests)[1:])
    return np.array([[anomaly.judged(part).score] for part in parts])


def texts(
    transcriber: Transcriber, source: Source, graph: Graph, outputs: Sequence[NDArray[Any]], tests: Dataset
) -> list[str]:
    """What was said in each recording, by the outputs of its clips."""
    rows = np.split(np.arange(len(tests)), _first(tests)[1:])
    return [
        transcriber.joined(
            [transcriber.decide(Sample(str(row)), [each[row] for each in outputs], graph, source) for row in clips]
        ).text
        for clips in rows
    ]


def truth(tests: Dataset) -> NDArray[Any]:
    """What is right for each recording, ``[recordings]``."""
    assert tests.truth is not None
    return np.asarray(tests.truth[_first(tests)])


def whole(part: Dataset, every: Dataset) -> bool:
    """True if part of the samples has all clips of the recordings that it has any of."""
    if part.recordings is None or every.recordings is None:
        return True
    numbers, counts = np.unique(part.recordings, return_counts=True)
    return all(count == (every.recordings == number).sum() for number, count in zip(numbers, counts, strict=True))


def _first(tests: Dataset) -> NDArray[np.int64]:
    """Each recording's first clip; samples that are of none stand for themselves."""
    if tests.recordings is None:
        return np.arange(len(tests))
    return np.flatnonzero(np.diff(tests.recordings, prepend=-1))
