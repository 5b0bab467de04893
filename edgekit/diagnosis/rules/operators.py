"""What makes an operator by itself lose precision: its weights, its kernel, what it does with its input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.diagnosis.evidence import WEIGHTED, Evidence
from edgekit.diagnosis.rules.common import LOUD, Cause, median, op_of

WEIGHT_LOUD = 50.0
"""A weight this many times the median weight of its scale is an outlier (normally distributed ones reach 5 to 7)."""
COARSE = 0.25
"""Step of an exponential's input above which it shows: one step is then a factor of exp(0.25)."""
WRONG = 1.0
"""Mean distance from exact arithmetic, in steps, above which a kernel is wrong; right ones stay below 0.5."""
MULTIPLIER = 256
CLIPS = {2: 1.0, 3: 6.0}
"""Where the fused activations RELU_N1_TO_1 and RELU6 of the schema clip."""
_SINGULAR = {"RSQRT": 0, "SQRT": 0, "LOG": 0, "DIV": 1}
"""Operators for which 0 is special, and the input for which it is."""
_EXPONENTIAL = ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH", "EXP")


def does_not_run(e: Evidence, operator: int) -> Cause | None:
    """LiteRT refuses the operator, or crashes on it."""
    outcome = e.effects.get(operator)
    if outcome is None or not outcome.failure:
        return None
    words, remedy, figures = _refusal(e, operator)
    return Cause(f"LiteRT does not run it in integers{words}", remedy, {"failure": outcome.failure, **figures})


def _refusal(e: Evidence, operator: int) -> tuple[str, str, dict[str, Any]]:
    """Why LiteRT refuses an operator, where the scales tell; what to do; the figures."""
    made = e.graph.operators[operator]
    step = e.step(made.outputs[0])
    clips = CLIPS.get(getattr(made.options, "fusedActivationFunction", 0))
    if step and clips and clips / step >= 2**31:
        return (
            f": it clips at {clips:g}, which is {clips / step:.2g} steps of its output, and 32 bits hold 2.1e9 (its "
            f"values stay below {e.calibration[made.outputs[0]].span:.2g})",
            "its outputs are much too small: use RELU instead of RELU6, scale the layer up, or keep it in float",
            {"steps": clips / step},
        )
    ratio = _multiplier(e, operator)
    if ratio is not None and ratio >= MULTIPLIER:
        return (
            f": (input scale x weight scale) is {ratio:.2g} times its output scale, XNNPACK takes less than "
            f"{MULTIPLIER}",
            "its weights compensate for an input that is much too small: scale that up instead, or keep it in float",
            {"multiplier": ratio},
        )
    spans = {i: e.calibration[i].span for i in e.activations(made) if i in e.calibration}
    if spans and min(spans.values()) < 1e-8:
        return (
            f": its input stays below {min(spans.values()):.2g}",
            "scale its input up, or keep it in float",
            {"span": min(spans.values())},
        )
    return "", "keep it in float", {}


def _multiplier(e: Evidence, operator: int) -> float | None:
    """(input scale x largest weight scale) / output scale."""
    places = WEIGHTED.get(op_of(e, operator))
    if places is None:
        return None
    version, counterpart = e.versions[e.precision], e.counterpart(operator)
    source, weights = (version.tensors[counterpart.inputs[i]] for i in places[:2])
    out = version.tensors[counterpart.outputs[0]]
    if source.quantization is None or weights.quantization is None or out.quantization is None:
        return None
    return float(source.quantization.scale[0] * weights.quantization.scale.max() / out.quantization.scale[0])


def wrong_kernel(e: Evidence, operator: int) -> Cause | None:
    """LiteRT's integer kernel computes something else."""
    steps = e.local[operator].kernel
    if steps is None or steps < WRONG:
        return None
    return Cause(
        f"LiteRT's integer kernel is {steps:.1f} steps (on average) away from exact arithmetic on the same integers",
        "keep it in float, and report it to LiteRT's authors",
        {"steps": steps},
    )


def wide_tensor(e: Evidence, operator: int) -> Cause | None:
    """One scale for a whole weight tensor whose channels differ."""
    places = WEIGHTED.get(op_of(e, operator))
    if places is None or e.versions.settings.granularity != "tensor":
        return None
    tensor = e.graph.tensors[e.graph.operators[operator].inputs[places[1]]]
    if tensor.data is None or tensor.dtype != "float32":
        return None
    axis = 3 if op_of(e, operator) == "DEPTHWISE_CONV_2D" else 0
    reach = np.abs(np.moveaxis(tensor.array(), axis, 0).reshape(tensor.shape[axis], -1)).max(axis=1)
    usual = median(reach)
    if usual == 0 or reach.max() < LOUD * usual:
        return None
    return Cause(
        f"one scale for all its weights, whose output channels differ in range by {reach.max() / usual:.0f}",
        'use granularity = "channel"',
        {"ratio": float(reach.max() / usual)},
    )


def weight_outliers(e: Evidence, operator: int) -> Cause | None:
    """Among the weights that share a scale a few are much larger than the others."""
    places = WEIGHTED.get(op_of(e, operator))
    local = e.local[operator]
    if places is None or not local.weights or local.weights < 0.1 * max(local.inputs or 0, local.output or 0):
        return None
    index = e.graph.operators[operator].inputs[places[1]]
    if e.graph.tensors[index].data is None:
        return None
    rows, reach = _rows(e, operator, places)
    usual = np.array([median(row) for row in np.abs(rows)])
    ratio = np.abs(rows).max(axis=1) / np.maximum(usual, 1e-30)
    size = np.abs(rows)
    loud = size > WEIGHT_LOUD * usual[:, None]
    if reach is not None:  # large weights that make up for quiet inputs are the inputs' fault
        contribution = size * reach
        typical = np.array([median(row) for row in contribution])
        met = np.where(reach > 0, size, 0).max(axis=1)
        loud &= (contribution > WEIGHT_LOUD * typical[:, None]) | ((reach == 0) & (size > LOUD * met[:, None]))
    worst = np.flatnonzero(loud.any(axis=1))
    if not worst.size:
        return None
    idle = reach is not None and bool((reach[loud.any(axis=0)] == 0).all())
    meets = ", and the values that they multiply are always 0" if idle else ""
    return Cause(
        f"heavy-tailed weights: in {worst.size} of {len(rows)} scales the largest weight is up to "
        f"{float(ratio[worst].max()):.0f} times the median one{meets}; the others round to a few levels",
        "clip or retrain these weights, or keep the layer in float" if not idle else "set these weights to 0",
        {"scales": int(worst.size), "ratio": float(ratio[worst].max()), "idle": idle},
    )


def _rows(e: Evidence, operator: int, places: tuple[int, int, int]) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Weights by scale, ``[scales, n]``, and how far what each of the n meets varies (None where unknown)."""
    own = e.graph.operators[operator]
    weights = e.graph.tensors[own.inputs[places[1]]].array()
    depthwise = own.op == "DEPTHWISE_CONV_2D"
    rows = np.moveaxis(weights, 3 if depthwise else 0, 0).reshape(weights.shape[3 if depthwise else 0], -1)
    seen = e.test.get(own.inputs[places[0]])
    reach = None
    if seen is not None and not depthwise and weights.shape[-1] % seen.low.size == 0:
        reach = np.tile(seen.high - seen.low, rows.shape[1] // seen.low.size)
    if e.versions.settings.granularity == "tensor":
        reach = None if reach is None else np.tile(reach, len(rows))
        rows = rows.reshape(1, -1)
    return rows, reach


def near_zero(e: Evidence, operator: int) -> Cause | None:
    """What is divided by, or whose root or logarithm is taken, rounds to 0."""
    place = _SINGULAR.get(op_of(e, operator))
    if place is None:
        return None
    source = e.graph.operators[operator].inputs[place]
    step, seen = e.step(source), e.test.get(source)
    if step is None or seen is None:
        return None
    least = np.minimum(np.abs(seen.low), np.abs(seen.high))[seen.low * seen.high > 0]
    if not least.size or least.min() >= step / 2:
        return None
    return Cause(
        f"its input comes as close to 0 as {float(least.min()):.2g}, and a step is {step:.2g}: it rounds to 0, "
        "where the result is meaningless",
        "keep it, and the operator that computes its input, in 16 bits or float",
        {"smallest": float(least.min()), "step": step},
    )


def coarse_exponential(e: Evidence, operator: int) -> Cause | None:
    """One step of the input of a softmax changes the result a lot."""
    if op_of(e, operator) not in _EXPONENTIAL:
        return None
    source = e.graph.operators[operator].inputs[0]
    step = e.step(source)
    if step is None or step < COARSE:
        return None
    return Cause(
        f"one step of its input is {step:.2g}: from one step to the next the result changes by a factor of "
        f"{math.exp(min(step, 50)):.2g}",
        "keep it and the layer before it in 16 bits or float, or omit it if only the largest value counts",
        {"step": step},
    )
