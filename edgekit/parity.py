"""Parity: an artifact's outputs against the reference's.

The reference is LiteRT's reference kernels on the host. The rules, by what the network computes in:

* **integers**: within 1 LSB (0 for backends that must be bit-exact);
* **float**: within 1e-4 of the output's largest magnitude;
* **hybrid** (float activations, integer weights): runtimes quantize activations on the fly, each in its own
  way (LiteRT's reference symmetrically, XNNPACK asymmetrically), so an operator may differ by the step of an
  8-bit activation: within 2e-2 of its output's largest magnitude (3e-2 where the backend computes in float16).
* **float16**: where a backend keeps activations in float16 and says so (``Backend.tolerance``), or the network's own
  outputs are float16, float outputs within 1e-2: each rounding is 5e-4 of a value, and sums of them may cancel.

Differences add up along a network: XNNPACK's int8 outputs are up to 12 LSB from the reference's on random
inputs of a sound network. So where the whole network is not within the rule, every operator is judged by
itself, fed with the reference's own values (:mod:`edgekit.graph.explode`), and must obey it. Label flips are
always reported.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor

FLOAT_TOLERANCE = 1e-4
HYBRID_TOLERANCE = 2e-2
HALF_TOLERANCE = 1e-2
INTEGER_TOLERANCE = 1
_INTEGER_WEIGHTS = ("int8", "uint8", "int4", "int2")


@dataclass(frozen=True)
class Difference:
    """How far one output is off.

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


@dataclass
class OperatorParity:
    """One operator, fed with the reference's values."""

    index: int
    op: str
    name: str
    max_lsb: int | None
    max_relative: float
    ok: bool


@dataclass
class Parity:
    """The verdict. ``rule`` says in words what had to hold; ``by`` what decided: ``network`` or ``operators``."""

    ok: bool
    max_abs_lsb: int | None
    max_abs: float
    max_relative: float
    top1_flips: int
    samples: int
    rule: str
    by: str = "network"
    on: str = ""
    outputs: list[Difference] = field(default_factory=list)
    operators: list[OperatorParity] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        return asdict(self)

    def words(self) -> str:
        """The verdict in a few words."""
        whole = _distance(self.max_abs_lsb, self.max_relative)
        whole += f", {self.top1_flips} of {self.samples} labels differ"
        if self.by == "network":
            return f"outputs within {whole}" if self.ok else f"outputs are off by {whole}"
        bad = [row for row in self.operators if not row.ok]
        if bad:
            return f"operator {bad[0].index} {bad[0].op} is off by {_distance(bad[0].max_lsb, bad[0].max_relative)}"
        return f"each of {len(self.operators)} operators within its bound; added up along the network {whole}"


def _distance(lsb: int | None, relative: float) -> str:
    return f"{relative:.2g} relative" if lsb is None else f"{lsb} LSB"


def difference(tensor: Tensor, reference: NDArray[Any], actual: NDArray[Any], tolerance: float, lsb: int) -> Difference:
    """Compare one output: both ``[samples, *shape]``. Equal infinities and NaNs count as equal."""
    if reference.shape != actual.shape or reference.dtype != actual.dtype:
        return Difference(tensor.name, None, float("inf"), float("inf"), len(reference), False)
    if reference.size == 0:
        return Difference(tensor.name, 0, 0.0, 0.0, 0, True)
    if reference.dtype == np.bool_:
        reference, actual = reference.astype(np.uint8), actual.astype(np.uint8)
    flips = _flips(reference, actual)
    if np.issubdtype(reference.dtype, np.integer):
        steps = int(np.max(np.abs(reference.astype(np.float64) - actual.astype(np.float64))))
        quantized = tensor.quantization is not None and tensor.quantization.scale.size == 1
        scale = float(tensor.quantization.scale[0]) if quantized and tensor.quantization else 1.0
        largest = float(np.max(np.abs(reference.astype(np.float64))))
        allowed = lsb if quantized else 0
        return Difference(tensor.name, steps, steps * scale, steps / max(largest, 1.0), flips, steps <= allowed)
    if reference.dtype == np.float16:
        tolerance = max(tolerance, HALF_TOLERANCE)
    # Kernels with a fused activation clamp an infinity to the largest float, others leave it: both mean overflow.
    most = float(np.finfo(reference.dtype).max)
    a, b = (np.clip(values.astype(np.float64), -most, most) for values in (reference, actual))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    gap = np.abs(np.where(same, 0.0, a) - np.where(same, 0.0, b))
    largest_gap = float(np.max(np.where(np.isnan(gap), np.inf, gap)))
    ordinary = np.abs(a[np.abs(a) < most])
    relative = largest_gap / max(float(ordinary.max()) if ordinary.size else 0.0, 1e-6)
    return Difference(tensor.name, None, largest_gap, relative, flips, relative <= tolerance)


def _flips(reference: NDArray[Any], actual: NDArray[Any]) -> int:
    flat_a, flat_b = reference.reshape(len(reference), -1), actual.reshape(len(actual), -1)
    if flat_a.shape[1] < 2:
        return 0
    return int(np.sum(flat_a.argmax(axis=1) != flat_b.argmax(axis=1)))


def is_hybrid(graph: Graph) -> bool:
    """True if an operator computes float results with integer weights."""
    return any(hybrid(graph, number) for number in range(len(graph.operators)))


def hybrid(graph: Graph, number: int) -> bool:
    """True if the operator computes float results with integer weights."""
    operator = graph.operators[number]
    if not operator.outputs or graph.tensors[operator.outputs[0]].dtype != "float32" or operator.op == "DEQUANTIZE":
        return False
    return any(
        i >= 0 and graph.tensors[i].data is not None and graph.tensors[i].dtype in _INTEGER_WEIGHTS
        for i in operator.inputs
    )


def hybrid_bound(tolerance: float) -> float:
    """What is allowed where the reference quantizes activations; a backend that rounds to float16 adds its own."""
    return HYBRID_TOLERANCE + (tolerance if tolerance > FLOAT_TOLERANCE else 0.0)


def compare(
    graph: Graph, reference: Sequence[NDArray[Any]], actual: Sequence[NDArray[Any]], *, bit_exact: bool = False,
    tolerance: float = FLOAT_TOLERANCE,
) -> Parity:  # fmt: skip
    """Judge the whole network: one array per output, ``[samples, *shape]``.

    :param tolerance: of float outputs, where no operator has integer weights.
    """
    lsb = 0 if bit_exact else INTEGER_TOLERANCE
    tolerance = hybrid_bound(tolerance) if is_hybrid(graph) else tolerance
    rows = [difference(t, r, a, tolerance, lsb) for t, r, a in zip(graph.outputs, reference, actual, strict=True)]
    steps = [row.max_lsb for row in rows if row.max_lsb is not None]
    return Parity(
        ok=all(row.ok for row in rows),
        max_abs_lsb=max(steps) if steps else None,
        max_abs=max(row.max_abs for row in rows),
        max_relative=max(row.max_relative for row in rows),
        top1_flips=sum(row.flips for row in rows),
        samples=len(reference[0]),
        rule=f"integers within {lsb} LSB, float within {tolerance:g} of the largest magnitude",
        outputs=rows,
    )


def compare_operators(
    graph: Graph,
    origin: Sequence[int],
    tensors: Sequence[int],
    reference: Sequence[NDArray[Any]],
    actual: Sequence[NDArray[Any]],
    *,
    bit_exact: bool = False,
    tolerance: float = FLOAT_TOLERANCE,
) -> list[OperatorParity]:
    """Judge every operator by itself.

    :param origin: for each array the operator that made it; ``tensors``: the tensor it is, both indices of
        ``graph``; the arrays are ``[samples, *shape]``.
    """
    lsb = 0 if bit_exact else INTEGER_TOLERANCE
    rows = []
    for number, index, ref, act in zip(origin, tensors, reference, actual, strict=True):
        allowed = hybrid_bound(tolerance) if hybrid(graph, number) else tolerance
        row = difference(graph.tensors[index], ref, act, allowed, lsb)
        rows.append(OperatorParity(number, graph.operators[number].op, row.name, row.max_lsb, row.max_relative, row.ok))
    return rows
