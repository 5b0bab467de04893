"""What the rules share: their answer, the threshold for outliers, words for tensors and channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.diagnosis.evidence import INPUT, Evidence
from edgekit.diagnosis.spread import Spread

LOUD = 16.0
"""A channel, value or input this many times its peers is an outlier."""


@dataclass(frozen=True)
class Cause:
    """What a rule answers: words, what to do, and the figures."""

    words: str
    remedy: str
    figures: dict[str, Any]


def op_of(e: Evidence, operator: int) -> str:
    """Return the operator's kind; empty for a network input."""
    return "" if operator == INPUT else e.graph.operators[operator].op


def median(values: NDArray[Any]) -> float:
    """Of those that are not 0."""
    some = values[values != 0]
    return float(np.median(some)) if some.size else 0.0


def far(spread: Spread) -> float:
    """Return the largest magnitude of a tensor's values."""
    return float(spread.magnitudes.max())


def ends(spread: Spread) -> list[float]:
    """Return the smallest and the largest value of a tensor."""
    return [float(spread.low.min()), float(spread.high.max())]


def named(e: Evidence, tensor: int) -> str:
    """Return what computes a tensor, for messages."""
    number = e.producers.get(tensor)
    name = e.graph.tensors[tensor].name
    return f"the input {name}" if number is None else f"operator {number} {op_of(e, number)}"


def channels(indices: NDArray[Any]) -> str:
    """Return channel indices for messages; many are only counted."""
    if indices.size == 1:
        return f"channel {indices[0]}"
    return f"{indices.size} channels" if indices.size > 4 else "channels " + ", ".join(map(str, indices))
