"""Parity: compares an artifact's outputs with the reference's.

The reference is LiteRT's reference kernels on the host. The rules, by what the network computes in:

* **integers**: within 1 LSB (0 for backends that must be bit-exact); integers without a scale must be equal;
* **float**: within 1e-4 of the output's largest magnitude;
* **float16**: where a backend keeps activations in float16 (:class:`edgekit.backends.Exactness`), or the
  network's own outputs are float16, within 1e-2: each rounding is 5e-4 of a value, and sums of them may cancel;
* **hybrid** (float activations, integer weights): runtimes quantize activations on the fly, each in its own way. The
  oracle is float arithmetic with the same weights (:mod:`edgekit.reference.hybrid`), and an artifact may be off by
  twice what rounding the activations to 8 bits costs there, beside the bound for floats.

A NaN equals nothing but a NaN in the same place, and an output without any number proves nothing.

Differences add up along a network: XNNPACK's int8 outputs are up to 12 LSB from the reference's on random
inputs of a sound network. So where the whole network is not within the rule, every operator is judged by
itself, fed with the reference's own values (:mod:`edgekit.graph.explode`), and must obey it; operators that only move
elements must keep each of them. The whole network must still follow the reference (:mod:`edgekit.metrics.similarity`):
if it does not, something is wrong that no operator shows, and that is a failure. Label flips are always reported.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.decision import DecisionParity
from edgekit.metrics.similarity import Noise, unlike

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor

FLOAT_TOLERANCE = 1e-4
HALF_TOLERANCE = 1e-2
INTEGER_TOLERANCE = 1
HYBRID_FACTOR = 2.0
"""How many times the cost of rounding the activations a hybrid operator may be off by."""
MOVED_TOLERANCE, MOVED_HALF_TOLERANCE = 1e-6, 2.0**-10
"""Of each element that an operator only moves: equal, or rounded to float16 and back."""
HALF_MOST = 65504.0
"""The largest float16."""
HALF_LEAST = 2.0**-24
"""The smallest positive float16."""
DISTURBED_FACTOR = 2.0
"""How many times the effect of a rounding step is accepted, for each operator."""
NOTHING = "the network itself makes NaN on every sample, so there is nothing to compare"
"""The reason of a verdict on an output without any number."""
SIMILAR_STEPS = 2.0
"""Steps of an integer output that say nothing about its similarity."""
MOVES = frozenset({
    "BATCH_TO_SPACE_ND", "BROADCAST_TO", "CONCATENATION", "DEPTH_TO_SPACE", "EXPAND_DIMS", "GATHER", "GATHER_ND",
    "MIRROR_PAD", "PACK", "PAD", "PADV2", "RESHAPE", "REVERSE_V2", "SLICE", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH",
    "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK",
})  # fmt: skip
"""Operators whose results are elements of their inputs."""


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


@dataclass
class OperatorParity:
    """One operator in isolation, fed with the reference's values.

    :param reason: why it is not ok, where more can be said than how far it is off.
    """

    index: int
    op: str
    name: str
    max_lsb: int | None
    max_relative: float
    ok: bool
    reason: str = ""


@dataclass
class Parity:
    """The verdict. ``rule`` says as text what had to hold; ``by`` says what decided: ``network`` or ``operators``.

    :param unlike: how the outputs do not follow the reference at all; empty where they do.
    :param reason: why nothing could be compared (``NOTHING``), or operators could not be judged one by one.
    :param classifier: the network chooses among classes, so that ``top1_flips`` counts labels.
    :param ok: None: nothing is wrong with what could be executed, but not all of it could.
    :param not_executed: indices of the operators that nothing here executes. :param checked: what was checked of them.
    :param decision: what was found of the way from pictures to decisions; None of a bundle without a task, or without
        pictures.
    """

    ok: bool | None
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
    unlike: str = ""
    reason: str = ""
    classifier: bool = False
    not_executed: tuple[int, ...] = ()
    checked: str = ""
    decision: DecisionParity | None = None

    @property
    def failed(self) -> bool:
        """True if the network's outputs are wrong, or a decision is."""
        return self.ok is False or (self.decision is not None and self.decision.ok is False)

    @property
    def verdict(self) -> str:
        """One word or two: ``ok``, ``FAILED``, or ``not executed``."""
        return "FAILED" if self.failed else "not executed" if self.ok is None else "ok"

    def json(self) -> dict[str, Any]:
        """Return the field ``parity`` of JSON and manifest."""
        return asdict(self)

    def words(self) -> str:
        """Summarize the verdict in a few words."""
        if self.failed and self.ok is not False and self.decision is not None:
            return self.decision.words()
        return self.of_network()

    def distance(self) -> str:
        """How far the outputs are off at most."""
        return _distance(self.max_abs_lsb, self.max_relative)

    def of_network(self) -> str:
        """Summarize what was found of the network, between its inputs and its outputs."""
        if self.reason == NOTHING or (self.reason and self.ok is False and self.by == "structure"):
            return self.reason
        whole = self.distance()
        whole += f", {self.top1_flips} of {self.samples} labels differ" if self.classifier else ""
        bad = [row for row in self.operators if not row.ok]
        if bad:
            first = bad[0]
            off = first.reason or f"is off by {_distance(first.max_lsb, first.max_relative)}"
            return f"operator {first.index} {first.op} ({_short(first.name)}) {off}"
        if self.not_executed:
            others = f"; {len(self.operators)} on the core equal the reference's" if self.operators else ""
            return f"nothing here executes {len(self.not_executed)} operators, those of the NPU; {self.checked}{others}"
        if self.by == "network":
            unlike = f"; {self.unlike}" if self.unlike else ""
            reason = f"; {self.reason}" if self.reason else ""
            return f"outputs within {whole}" if self.ok else f"outputs are off by {whole}{unlike}{reason}"
        operators = f"each of {len(self.operators)} operators within its bound"
        if not self.ok:
            return f"{operators}, but the outputs do not follow the reference: {self.unlike}"
        return f"{operators}; accumulated along the network: {whole}"


def _distance(lsb: int | None, relative: float) -> str:
    return f"{relative:.2g} relative" if lsb is None else f"{lsb} LSB"


def _short(name: str) -> str:
    name = name.split(";")[0]
    return name if len(name) <= 40 else f"...{name[-37:]}"


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
        scale = _scale(tensor)
        largest = float(np.max(np.abs(reference.astype(np.float64))))
        most = bounds.lsb if scale is not None else 0
        return Difference(tensor.name, steps, steps * (scale or 1.0), steps / max(largest, 1.0), flips, steps <= most)
    tolerance = max(bounds.tolerance, HALF_TOLERANCE) if reference.dtype == np.float16 else bounds.tolerance
    a, gap = _gaps(reference, actual)
    largest_gap, largest = float(gap.max()), _largest(a)
    ok = largest_gap <= tolerance * largest + allowed and not _nothing(reference)
    return Difference(tensor.name, None, largest_gap, largest_gap / largest, flips, ok)


def _scale(tensor: Tensor) -> float | None:
    """The one scale of an integer tensor; None where it has none, or several."""
    q = tensor.quantization
    return float(q.scale[0]) if q is not None and q.scale.size == 1 else None


def _gaps(reference: NDArray[Any], actual: NDArray[Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The reference as float64, and how far the other is apart: infinite where only one of them is NaN.

    Kernels with a fused activation clamp an infinity to the largest float, others leave it: both mean overflow.
    """
    most = float(np.finfo(reference.dtype).max)
    a, b = (np.clip(values.astype(np.float64), -most, most) for values in (reference, actual))
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore"):  # a NaN that signals; it counts as infinitely far
        gap = np.abs(np.where(same, 0.0, a) - np.where(same, 0.0, b))
    return a, np.where(np.isnan(gap), np.inf, gap)


def _largest(values: NDArray[np.float64]) -> float:
    """The largest ordinary magnitude, at least 1e-6."""
    ordinary = np.abs(values[np.abs(values) < np.finfo(np.float32).max])
    return max(float(ordinary.max()) if ordinary.size else 0.0, 1e-6)


def _nothing(values: NDArray[Any]) -> bool:
    """True of an output that holds NaN and nothing else."""
    return values.dtype.kind == "f" and values.size > 0 and bool(np.isnan(values).all())


def _flips(reference: NDArray[Any], actual: NDArray[Any]) -> int:
    flat_a, flat_b = reference.reshape(len(reference), -1), actual.reshape(len(actual), -1)
    if flat_a.shape[1] < 2:
        return 0
    return int(np.sum(flat_a.argmax(axis=1) != flat_b.argmax(axis=1)))


def compare(
    graph: Graph, reference: Sequence[NDArray[Any]], actual: Sequence[NDArray[Any]], bounds: Bounds = Bounds(),
    exact: Sequence[NDArray[Any]] | None = None,
) -> Parity:  # fmt: skip
    """Judge the whole network: one array per output, ``[samples, *shape]``.

    :param exact: of a hybrid network: the outputs of float arithmetic with the same weights.
    """
    from edgekit.metrics.accuracy import chooses

    rows = []
    for n, (tensor, ref, act) in enumerate(zip(graph.outputs, reference, actual, strict=True)):
        oracle = ref if exact is None else exact[n]
        rows.append(
            difference(tensor, oracle, act, bounds, 0.0 if exact is None else HYBRID_FACTOR * _gap(oracle, ref))
        )
    steps = [row.max_lsb for row in rows if row.max_lsb is not None]
    return Parity(
        ok=all(row.ok for row in rows),
        max_abs_lsb=max(steps) if steps else None,
        max_abs=max(row.max_abs for row in rows),
        max_relative=max(row.max_relative for row in rows),
        top1_flips=sum(row.flips for row in rows),
        samples=len(reference[0]),
        rule=bounds.words() + (" and twice the cost of rounding activations" if exact is not None else ""),
        outputs=rows,
        classifier=chooses(graph),
        reason=NOTHING if any(_nothing(tensor) for tensor in reference) else "",
    )


def partial(
    graph: Graph, reference: Mapping[int, NDArray[Any]], actual: Mapping[int, NDArray[Any]],
    not_executed: Sequence[int], checked: str, bounds: Bounds = Bounds(),
) -> Parity:  # fmt: skip
    """Judge the operators that were executed of a network that was not executed as a whole.

    :param reference, actual: their results by index of the tensor, ``[samples, *shape]``.
    :returns: a verdict that is never ok: False if an operator is off, else None; ``by`` is ``operators``, or
        ``structure`` if none was executed.
    """
    makers = {index: n for n, operator in enumerate(graph.operators) for index in operator.outputs}
    tensors = sorted(actual)
    rows = compare_operators(
        graph, [makers[i] for i in tensors], tensors, [reference[i] for i in tensors], [actual[i] for i in tensors],
        bounds,
    )  # fmt: skip
    steps = [row.max_lsb for row in rows if row.max_lsb is not None]
    return Parity(
        ok=None if all(row.ok for row in rows) else False,
        max_abs_lsb=max(steps) if steps else None,
        max_abs=0.0,
        max_relative=max((row.max_relative for row in rows), default=0.0),
        top1_flips=0,
        samples=len(actual[tensors[0]]) if tensors else 0,
        rule=f"operators that can be executed here: {bounds.words()}",
        by="operators" if rows else "structure",
        operators=rows,
        not_executed=tuple(not_executed),
        checked=checked,
    )


def unlike_outputs(
    graph: Graph, oracle: Sequence[NDArray[Any]], actual: Sequence[NDArray[Any]], disturbed: Sequence[NDArray[Any]]
) -> str:
    """How the outputs do not follow the oracle's at all, in words; empty where they do.

    :param oracle: the reference's outputs, of a hybrid network those of float arithmetic.
    :param disturbed: what the oracle makes of inputs that differ by a rounding step. Each operator of the network may
        add as much again, independently, and twice that is accepted.
    """
    factor = DISTURBED_FACTOR * max(1, len(graph.operators)) ** 0.5
    found = []
    for tensor, ref, act, other in zip(graph.outputs, oracle, actual, disturbed, strict=True):
        if words := _unlike(tensor, ref, act, other, factor):
            found.append(words if len(graph.outputs) == 1 else f"{_short(tensor.name)}: {words}")
    return "; ".join(found)


def _gap(exact: NDArray[Any], reference: NDArray[Any]) -> float:
    """The largest difference of two float arrays; 0 for integers."""
    if exact.dtype.kind != "f" or exact.shape != reference.shape or not exact.size:
        return 0.0
    gap = float(_gaps(exact, reference)[1].max())
    return gap if np.isfinite(gap) else 0.0


def _unlike(tensor: Tensor, oracle: NDArray[Any], actual: NDArray[Any], disturbed: NDArray[Any], factor: float) -> str:
    """How one output does not follow the oracle; empty where it does. See :func:`unlike_outputs`."""
    if oracle.shape != actual.shape or oracle.dtype != actual.dtype:
        return f"it is {actual.dtype} {list(actual.shape)}, not {oracle.dtype} {list(oracle.shape)}"
    if oracle.dtype.kind != "f":
        if _scale(tensor) is None or oracle.dtype == np.bool_:
            share = float(np.mean(oracle != actual))
            return f"{100 * share:.0f}% of its values differ" if share > 0.5 else ""
        noise = Noise(SIMILAR_STEPS, shared=True)
    else:
        finite = np.isfinite(oracle)
        if not np.isfinite(actual[finite]).all():
            return f"{np.sum(~np.isfinite(actual[finite]))} values are not finite"
        oracle, actual, disturbed = (np.where(finite, values, 0.0) for values in (oracle, actual, disturbed))
        noise = Noise(FLOAT_TOLERANCE * _largest(oracle.astype(np.float64)), relative=4 * HALF_TOLERANCE)
    a, b, c = (values.astype(np.float64) for values in (oracle, actual, disturbed))
    found = unlike(a, b, noise, factor * np.nan_to_num(c - a))
    return found.words() if found else ""


def compare_operators(
    graph: Graph,
    origin: Sequence[int],
    tensors: Sequence[int],
    reference: Sequence[NDArray[Any]],
    actual: Sequence[NDArray[Any]],
    bounds: Bounds = Bounds(),
    exact: Mapping[int, tuple[NDArray[Any], NDArray[Any]]] = MappingProxyType({}),
) -> list[OperatorParity]:
    """Judge every operator in isolation.

    :param origin: for each array the operator that made it; ``tensors``: the tensor it is, both indices of
        ``graph``; the arrays are ``[samples, *shape]``.
    :param exact: of results of hybrid operators, by tensor: float arithmetic with the same weights, on the inputs as
        they are and on the inputs rounded to 8 bits.
    """
    rows = []
    for number, index, ref, act in zip(origin, tensors, reference, actual, strict=True):
        operator, tensor = graph.operators[number], graph.tensors[index]
        oracle, allowed = ref, 0.0
        if index in exact:
            oracle, cost = exact[index]
            allowed = HYBRID_FACTOR * max(_gap(oracle, ref), _gap(oracle, cost))
        row = difference(tensor, oracle, act, bounds, allowed)
        reason = "" if row.ok else _reason(oracle, act, bounds)
        if row.ok and operator.op in MOVES and not _moved(ref, act, bounds):
            row, reason = replace(row, ok=False), "changes elements that it only moves"
        rows.append(OperatorParity(number, operator.op, row.name, row.max_lsb, row.max_relative, row.ok, reason))
    return rows


def _moved(reference: NDArray[Any], actual: NDArray[Any], bounds: Bounds) -> bool:
    """True if each float element is what it was, for artifacts with float16 activations rounded."""
    if reference.dtype.kind != "f":
        return True
    a, gap = _gaps(reference, actual)
    half = bounds.half or reference.dtype == np.float16
    relative, least = (MOVED_HALF_TOLERANCE, HALF_LEAST) if half else (MOVED_TOLERANCE, 0.0)
    return bool(np.all(gap <= relative * np.abs(np.nan_to_num(a)) + least))


def _reason(reference: NDArray[Any], actual: NDArray[Any], bounds: Bounds) -> str:
    """What is to be said of an operator beside how far it is off."""
    if reference.dtype.kind != "f" or reference.shape != actual.shape:
        return ""
    largest = _largest(reference.astype(np.float64))
    if bounds.half and largest > HALF_MOST:
        return f"leaves float16: its values reach {largest:.2g}, the largest float16 is {HALF_MOST:.0f}"
    if not np.isfinite(actual[np.isfinite(reference)]).all():
        return "makes values that are not finite, where the reference's are"
    return ""
