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
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.metrics.differences import (
    FLOAT_TOLERANCE,
    HALF_TOLERANCE,
    Bounds,
    difference,
    gaps,
    largest_magnitude,
    only_nan,
    scale_of,
    widest_gap,
)  # fmt: skip
from edgekit.metrics.similarity import Noise, unlike
from edgekit.metrics.verdict import NOTHING, OperatorParity, Parity, short_name

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor

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
SIMILAR_STEPS = 2.0
"""Steps of an integer output that say nothing about its similarity."""
MOVES = frozenset({
    "BATCH_TO_SPACE_ND", "BROADCAST_TO", "CONCATENATION", "DEPTH_TO_SPACE", "EXPAND_DIMS", "GATHER", "GATHER_ND",
    "MIRROR_PAD", "PACK", "PAD", "PADV2", "RESHAPE", "REVERSE_V2", "SLICE", "SPACE_TO_BATCH_ND", "SPACE_TO_DEPTH",
    "SPLIT", "SPLIT_V", "SQUEEZE", "STRIDED_SLICE", "TILE", "TRANSPOSE", "UNPACK",
})  # fmt: skip
"""Operators whose results are elements of their inputs."""


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
            difference(tensor, oracle, act, bounds, 0.0 if exact is None else HYBRID_FACTOR * widest_gap(oracle, ref))
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
        reason=NOTHING if any(only_nan(tensor) for tensor in reference) else "",
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
            found.append(words if len(graph.outputs) == 1 else f"{short_name(tensor.name)}: {words}")
    return "; ".join(found)


def _unlike(tensor: Tensor, oracle: NDArray[Any], actual: NDArray[Any], disturbed: NDArray[Any], factor: float) -> str:
    """How one output does not follow the oracle; empty where it does. See :func:`unlike_outputs`."""
    if oracle.shape != actual.shape or oracle.dtype != actual.dtype:
        return f"it is {actual.dtype} {list(actual.shape)}, not {oracle.dtype} {list(oracle.shape)}"
    if oracle.dtype.kind != "f":
        if scale_of(tensor) is None or oracle.dtype == np.bool_:
            share = float(np.mean(oracle != actual))
            return f"{100 * share:.0f}% of its values differ" if share > 0.5 else ""
        noise = Noise(SIMILAR_STEPS, shared=True)
    else:
        finite = np.isfinite(oracle)
        if not np.isfinite(actual[finite]).all():
            return f"{np.sum(~np.isfinite(actual[finite]))} values are not finite"
        oracle, actual, disturbed = (np.where(finite, values, 0.0) for values in (oracle, actual, disturbed))
        noise = Noise(FLOAT_TOLERANCE * largest_magnitude(oracle.astype(np.float64)), relative=4 * HALF_TOLERANCE)
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
            allowed = HYBRID_FACTOR * max(widest_gap(oracle, ref), widest_gap(oracle, cost))
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
    a, gap = gaps(reference, actual)
    half = bounds.half or reference.dtype == np.float16
    relative, least = (MOVED_HALF_TOLERANCE, HALF_LEAST) if half else (MOVED_TOLERANCE, 0.0)
    return bool(np.all(gap <= relative * np.abs(np.nan_to_num(a)) + least))


def _reason(reference: NDArray[Any], actual: NDArray[Any], bounds: Bounds) -> str:
    """What is to be said of an operator beside how far it is off."""
    if reference.dtype.kind != "f" or reference.shape != actual.shape:
        return ""
    largest = largest_magnitude(reference.astype(np.float64))
    if bounds.half and largest > HALF_MOST:
        return f"leaves float16: its values reach {largest:.2g}, the largest float16 is {HALF_MOST:.0f}"
    if not np.isfinite(actual[np.isfinite(reference)]).all():
        return "makes values that are not finite, where the reference's are"
    return ""
