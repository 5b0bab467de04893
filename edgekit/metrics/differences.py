"""How far arrays are from the reference's, and within which bounds they have to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgekit.graph import Tensor

FLOAT_TOLERANCE = 1e-4
HALF_TOLERANCE = 1e-2
INTEGER_TOLERANCE = 1


@dataclass(frozen=True)
class Bounds:
    """The bounds within which an artifact must be.

    :param lsb: integer steps of quantized outputs.
    :param tolerance: of float outputs, relative to the output's largest magnitude.
    :param half: the artifact keeps activations in float16.
    """

    lsb: int = INTEGER_TOLERANCE
    tolerance: float = FLOAT_TOLERANCE
    half: bool = False

    def words(self) -> str:
        """The rule, as text for the manifest."""
        return f"integers within {self.lsb} LSB, float within {self.tolerance:g} of the largest magnitude"


EXACT = Bounds(lsb=0)
HALF = Bounds(tolerance=HALF_TOLERANCE, half=True)


@dataclass(frozen=True)
class Difference:
    """How far off one output is.

    :param max_lsb: largest difference in integer steps; None for float outputs.
    :param max_abs: largest difference in real values.
    :param max_relative: ``max_abs`` over the largest magnitude of the reference.
    :param flips: samples whose largest element is another one.
    """

    name: str
    max_lsb: int | None
    max_abs: float
    max_relative: float
    flips: int
    ok: bool


def difference(
    tensor: Tensor, reference: NDArray[Any], actual: NDArray[Any], bounds: Bounds = Bounds(), allowed: float = 0.0
) -> Difference:
    """Compare one output: both ``[samples, *shape]``. NaNs and infinities equal only their like in the same place.

    :param allowed: real values by which floats may be off beside the bounds.
    """
    if reference.shape != actual.shape or reference.dtype != actual.dtype:
        return Difference(tensor.name, None, float("inf"), float("inf"), len(reference), False)
    if reference.size == 0:
        return Difference(tensor.name, 0, 0.0, 0.0, 0, True)
    if reference.dtype == np.bool_:
        reference, actual = reference.astype(np.uint8), actual.astype(np.uint8)
    flips = _flips(reference, actual)
    if np.issubdtype(reference.dtype, np.integer):
        steps = int(np.max(np.abs(reference.astype(np.float64) - actual.astype(np.float64))))
        scale = scale_of(tensor)
        largest = float(np.max(np.abs(reference.astype(np.float64))))
        most = bounds.lsb if scale is not None else 0
        return Difference(tensor.name, steps, steps * (scale or 1.0), steps / max(largest, 1.0), flips, steps <= most)
    tolerance = max(bounds.tolerance, HALF_TOLERANCE) if reference.dtype == np.float16 else bounds.tolerance
    a, gap = gaps(reference, actual)
    largest_gap, largest = float(gap.max()), largest_magnitude(a)
    ok = largest_gap <= tolerance * largest + allowed and not only_nan(reference)
    return Difference(tensor.name, None, largest_gap, largest_gap / largest, flips, ok)


def scale_of(tensor: Tensor) -> float | None:
    """The one scale of an integer tensor; None where it has none, or several."""
    q = tensor.quantization
    return float(q.scale[0]) if q is not None and q.scale.size == 1 else None


def gaps(reference: NDArray[Any], actual: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The reference as float64, and how far the other is apart: infinite where only one of them is NaN.

    Kernels with a fused activation clamp an infinity to the largest float, others leave it: both mean overflow.
    """
    most = float(np.finfo(reference.dtype).max)
    a, b = (np.clip(values.astype(np.float64), -most, most) for values in (reference, actual))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):  # a NaN that signals; it counts as infinitely far
        gap = np.abs(np.where(same, 0.0, a) - np.where(same, 0.0, b))
    return a, np.where(np.isnan(gap), np.inf, gap)


def widest_gap(exact: NDArray[Any], reference: NDArray[Any]) -> float:
    """The largest difference of two float arrays; 0 for integers."""
    if exact.dtype.kind != "f" or exact.shape != reference.shape or not exact.size:
        return 0.0
    gap = float(gaps(exact, reference)[1].max())
    return gap if np.isfinite(gap) else 0.0


def largest_magnitude(values: NDArray[np.float64]) -> float:
    """The largest ordinary magnitude, at least 1e-6."""
    ordinary = np.abs(values[np.abs(values) < np.finfo(np.float32).max])
    return max(float(ordinary.max()) if ordinary.size else 0.0, 1e-6)


def only_nan(values: NDArray[Any]) -> bool:
    """True of an output that holds NaN and nothing else."""
    return values.dtype.kind == "f" and values.size > 0 and bool(np.isnan(values).all())


def _flips(reference: NDArray[Any], actual: NDArray[Any]) -> int:
    flat_a, flat_b = reference.reshape(len(reference), -1), actual.reshape(len(actual), -1)
    if flat_a.shape[1] < 2:
        return 0
    return int(np.sum(flat_a.argmax(axis=1) != flat_b.argmax(axis=1)))
