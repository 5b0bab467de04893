"""From measurements to findings: which operators are to blame, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgekit.diagnosis.evidence import INPUT, WEIGHTED, Evidence, Finding
from edgekit.diagnosis.rules import FOREIGN, JOINS, OPERATOR_RULES, TENSOR_RULES, Cause

LEAST = 1e-3
"""Operators whose effect is below this noise (30 dB) are not examined."""
SHARE = 0.98
"""Operators are examined, worst first, until this share of all effects is explained."""
MOST = 16
_HAND_ON = {"RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "PAD", "MAX_POOL_2D", "AVERAGE_POOL_2D", "MEAN", "RELU",
            "RELU6", "SLICE", "STRIDED_SLICE", "SPLIT", "UNPACK", "GATHER", "RESIZE_BILINEAR",
            "RESIZE_NEAREST_NEIGHBOR"}  # fmt: skip
"""Operators that pass on their input's problem."""
ALWAYS = ("does_not_run", "wrong_kernel", "near_zero")
"""Causes that are reported even if the operator's input is already wrong."""
Key = tuple[str, int, int]


def guilty(e: Evidence) -> list[int]:
    """Return the operators with the largest effect on the network's outputs, worst first."""
    order = sorted((n for n in e.effects if e.noise(n) >= LEAST), key=lambda n: (-e.noise(n), n))
    weights = {n: min(e.noise(n), 10.0) for n in order}
    total, found, seen = sum(weights.values()), [], 0.0
    for number in order[:MOST]:
        found.append(number)
        seen += weights[number]
        if seen >= SHARE * total:
            break
    return found


def find(e: Evidence, suspects: Sequence[int]) -> list[Finding]:
    """Return what is wrong with the suspects, worst first; each cause once, with all operators that it affects."""
    causes: dict[Key, tuple[Cause, set[int]]] = {}
    for number in suspects:
        found = _of_tensors(e, number)
        foreign = any(name in FOREIGN for name, _, _ in found)
        found |= {key: cause for key, cause in _of_operator(e, number).items() if not foreign or key[0] in ALWAYS}
        for key, cause in found.items():
            causes.setdefault(key, (cause, set()))[1].add(number)
        if not found and not _handed_on(e, number, suspects):
            causes["sensitive", number, -1] = (_sensitive(e, number), {number})
    for tensor in e.graph.main.inputs:
        _add_foreign(e, tensor, causes)
    findings = [
        e.finding(number, name, cause.words, cause.remedy, hurts, tensor=tensor, **cause.figures)
        for (name, number, tensor), (cause, hurts) in causes.items()
    ]
    return sorted(findings, key=lambda f: (_rank(f.cause), f.sqnr_db is not None, f.sqnr_db or 0, f.operator))


def _handed_on(e: Evidence, number: int, suspects: Sequence[int]) -> bool:
    """True for an operator that only passes on what another suspect computed."""
    operator = e.graph.operators[number]
    return operator.op in _HAND_ON and any(e.producers.get(i) in suspects for i in operator.inputs)


def _rank(cause: str) -> int:
    return 0 if cause in FOREIGN else 1 if cause in ALWAYS else 2


def _of_operator(e: Evidence, number: int) -> dict[Key, Cause]:
    found = {}
    for rule in OPERATOR_RULES:
        cause = rule(e, number)
        if cause is not None:
            found[rule.__name__, number, -1] = cause
    return found


def _of_tensors(e: Evidence, number: int) -> dict[Key, Cause]:
    """Causes at the tensors it reads and makes; one that it makes for a join has the join's scale."""
    operator = e.graph.operators[number]
    joined = [
        made
        for tensor in operator.outputs
        for reader in e.readers.get(tensor, [])
        if e.graph.operators[reader].op in JOINS
        for made in e.graph.operators[reader].outputs
    ]
    found = {}
    for tensor in dict.fromkeys([*e.activations(operator), *operator.outputs, *joined]):
        named = _cause(e, tensor)
        if named is not None and (tensor not in joined or named[0][0] in ("mismatched_scales", "joint_scale")):
            key, cause = named
            found[key] = cause
    return found


def _cause(e: Evidence, tensor: int) -> tuple[Key, Cause] | None:
    """Return the cause at a tensor, traced back to where it begins."""
    place = e.producers.get(tensor, INPUT)
    above = e.activations(e.graph.operators[place]) if place != INPUT else []
    if place != INPUT and e.graph.operators[place].op in _HAND_ON and e.quantized(above[0] if above else -1):
        return _cause(e, above[0])
    for rule in TENSOR_RULES:
        cause = rule(e, place, tensor)
        if cause is None:
            continue
        for source in above if rule.__name__ in FOREIGN else []:
            earlier = _cause(e, source)
            if earlier is not None and earlier[0][0] in FOREIGN:
                return earlier
        return (rule.__name__, place, tensor), cause
    return None


def _add_foreign(e: Evidence, tensor: int, causes: dict[Key, tuple[Cause, set[int]]]) -> None:
    """An input that was calibrated on other data is the cause of what is clipped behind it."""
    named = _cause(e, tensor)
    if named is not None and named[0][0] in FOREIGN and named[0] not in causes:
        causes[named[0]] = (named[1], set(e.readers.get(tensor, [])))


def _sensitive(e: Evidence, number: int) -> Cause:
    """No rule knows why: say which part of the operator's rounding is the largest, and where it stands."""
    local = e.local[number]
    parts = {"inputs": local.inputs or 0.0, "weights": local.weights or 0.0, "output": local.output or 0.0}
    largest = max(parts, key=lambda name: parts[name])
    weighted = [i for i, o in enumerate(e.graph.operators) if o.op in WEIGHTED]
    place = ""
    if weighted and number <= weighted[0]:
        place = ", and as the first layer it feeds all others"
    elif weighted and number >= weighted[-1]:
        place = ", and as the last layer nothing evens that out"
    share = -10 * math.log10(parts[largest]) if parts[largest] > 0 else math.inf
    return Cause(
        f"no fault in it, but it needs finer steps: rounding its {largest} alone leaves {share:.0f} dB{place}",
        "keep it in 16 bits or float",
        {"part": largest},
    )
