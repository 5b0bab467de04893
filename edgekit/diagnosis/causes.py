"""Why an operator loses precision: rules on its tensors and weights, each with words and a remedy.

A rule looks at one activation (with the operator that makes it) or at one operator. It answers None, or the words and
the figures behind them. The thresholds are far from what healthy networks show; they only matter for operators whose
effect on the network's outputs was measured to be large.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.diagnosis.evidence import INPUT, WEIGHTED, Evidence
from edgekit.diagnosis.measure import rounded

LOUD = 16.0
"""A channel, value or input this many times its peers is an outlier."""
WEIGHT_LOUD = 50.0
"""A weight this many times the median weight of its scale is an outlier (normally distributed ones reach 5 to 7)."""
NARROW = 0.25
"""Test samples that span less than this share of the calibrated range were not what calibrated it."""
CLIPPED = 1e-3
"""Noise from clipping alone above which the ranges were too small."""
BURIED = 2.0
"""A channel that varies by less than this many steps is lost."""
COARSE = 0.25
"""Step of an exponential's input above which it shows: one step is then a factor of exp(0.25)."""
WRONG = 1.0
"""Mean distance from exact arithmetic, in steps, above which a kernel is wrong; right ones stay below 0.5."""
_EXPONENTIAL = ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH", "EXP")
_FIXED = ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH", "L2_NORMALIZATION")
JOINS = ("CONCATENATION", "PACK", "DYNAMIC_UPDATE_SLICE", "SELECT_V2", "SELECT", "PADV2", "MAXIMUM", "MINIMUM")
_SUMS = ("ADD", "SUB")


@dataclass(frozen=True)
class Cause:
    """What a rule answers: words, what to do, and the figures."""

    words: str
    remedy: str
    figures: dict[str, Any]


TensorRule = Callable[[Evidence, int, int], Cause | None]
OperatorRule = Callable[[Evidence, int], Cause | None]


def data_range(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """A network input: calibrated on other samples than it is tested with."""
    if operator != INPUT or tensor not in e.calibration or tensor not in e.test:
        return None
    seen, met = e.calibration[tensor], e.test[tensor]
    lost = _clipping(e, tensor)
    if seen.span == 0 or (met.span >= NARROW * seen.span and lost < CLIPPED):
        return None
    return Cause(
        f"the samples that set the ranges reach from {seen.low.min():.3g} to {seen.high.max():.3g}, those it is tested "
        f"with from {met.low.min():.3g} to {met.high.max():.3g}",
        "calibrate on samples prepared like those the network will meet (for pictures --data FILE?range=LOW,HIGH)",
        {"calibrated": _ends(seen), "tested": _ends(met)},
    )


def overwide(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """Calibrated on much larger values than the test samples give."""
    seen, met = e.calibration.get(tensor), e.test.get(tensor)
    if operator == INPUT or seen is None or met is None or met.span >= NARROW * seen.span:
        return None
    return Cause(
        f"its range is too wide: calibration saw {seen.low.min():.3g} to {seen.high.max():.3g}, the test samples reach "
        f"{met.low.min():.3g} to {met.high.max():.3g} only",
        "calibrate on samples like those the network will meet",
        {"calibrated": _ends(seen), "tested": _ends(met)},
    )


def dead_range(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """Calibration saw nothing but one value (0)."""
    seen, met = e.calibration.get(tensor), e.test.get(tensor)
    if seen is None or met is None or seen.span > 1e-12 or met.span <= 1e-12:
        return None
    return Cause(
        f"its range is dead: calibration saw nothing but 0, on the test samples it reaches {_far(met):.3g}",
        "calibrate on samples that make it respond (all classes, all modes of use)",
        {"calibrated": _ends(seen), "tested": _ends(met)},
    )


def clipped(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """The calibrated range is too small."""
    lost = _clipping(e, tensor)
    if lost < CLIPPED or tensor not in e.calibration or tensor not in e.test:
        return None
    seen, met = e.calibration[tensor], e.test[tensor]
    return Cause(
        f"its range is saturated: calibration saw {seen.low.min():.3g} to {seen.high.max():.3g}, the test samples "
        f"reach {met.low.min():.3g} to {met.high.max():.3g}, and what lies outside is cut off",
        "calibrate on more samples, or on samples like those the network will meet",
        {"calibrated": _ends(seen), "tested": _ends(met), "noise_of_clipping": lost},
    )


def tiny_scale(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """The values are smaller than the smallest scale the quantizer gives."""
    found, seen = e.quantized(tensor), e.calibration.get(tensor)
    joined = any(e.graph.operators[r].op in JOINS for r in e.readers.get(tensor, []))
    if found is None or seen is None or seen.span == 0 or joined or _op(e, operator) in _FIXED:
        return None
    reach = float(found[0].scale[0]) * (2.0 ** (8 * np.dtype(found[1]).itemsize) - 1)
    if reach < 4 * seen.span or seen.span > 1e-6:
        return None
    return Cause(
        f"all its values lie within {seen.span:.2g}, which is less than the smallest range that the quantizer gives "
        f"({reach:.2g}): they become 0",
        "scale the layer up and the next one down (--fix does, where it changes nothing else)",
        {"span": seen.span, "range": reach},
    )


def mismatched_scales(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """A concatenation gives all its inputs one scale; one of them is much smaller than the others."""
    op = _op(e, operator)
    if op not in JOINS or tensor not in e.calibration:
        return None
    whole = e.calibration[tensor].span
    inputs = [i for i in e.activations(e.graph.operators[operator]) if i in e.calibration]
    spans = [e.calibration[i].span for i in inputs]
    if not spans or min(spans) <= 0 or whole < LOUD * min(spans):
        return None
    quiet = inputs[spans.index(min(spans))]
    levels = min(spans) / whole * 255
    return Cause(
        f"its inputs differ in range by a factor of {whole / min(spans):.0f}, but share one scale: of the 256 levels "
        f"{max(1, round(levels))} are left to {_named(e, quiet)}",
        "give the inputs similar ranges (--fix scales channels where it can), or keep the branch in 16 bits or float",
        {"ratio": whole / min(spans), "quiet_input": e.graph.tensors[quiet].name, "levels": levels},
    )


def bias_overflow(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """The bias does not fit into 32 bits of (input scale x weight scale)."""
    if operator == INPUT or _op(e, operator) not in WEIGHTED:
        return None
    places = WEIGHTED[_op(e, operator)]
    own = e.graph.operators[operator].inputs
    if len(own) <= places[2] or own[places[2]] < 0 or e.graph.tensors[own[places[2]]].data is None:
        return None
    step, weights = e.step(own[places[0]]), e.graph.tensors[own[places[1]]]
    if step is None or e.quantized(tensor) is None or weights.data is None or weights.dtype != "float32":
        return None
    axis = 3 if _op(e, operator) == "DEPTHWISE_CONV_2D" else 0
    largest = np.abs(np.moveaxis(weights.array(), axis, 0).reshape(weights.shape[axis], -1)).max(axis=1)
    bias = np.abs(e.graph.tensors[own[places[2]]].array().astype(np.float64)).reshape(-1)
    units = np.where(largest > 0, bias / np.maximum(step * largest.astype(np.float64) / 127, 1e-300), 0)
    over = np.flatnonzero(units >= 2.0**31)
    if not over.size:
        return None
    return Cause(
        f"bias overflow in {_channels(over)}: up to {units.max():.2g} steps of (input scale x weight scale), where 32 "
        "bits hold 2.1e9; the bias drowns what the weights contribute",
        "take the constant out of the layer (subtract it before, not after), or keep it and its readers in float",
        {"channels": over.tolist()[:32], "units": float(units.max())},
    )


def buried(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """Channels that vary less than a step, around an offset."""
    step, met = e.step(tensor), e.test.get(tensor)
    if step is None or met is None:
        return None
    variation = met.high - met.low
    lost = np.flatnonzero((variation > 0) & (variation < BURIED * step) & (met.magnitudes > 8 * variation))
    if not lost.size:
        return None
    worst = lost[int(np.argmin(variation[lost]))]
    return Cause(
        f"{_channels(lost)} vary by less than {BURIED:g} steps (channel {worst}: by {variation[worst]:.2g} around "
        f"{met.mean[worst]:.3g}, a step is {step:.2g})",
        "take the constant part out before this layer, or keep it and its readers in 16 bits or float",
        {"channels": lost.tolist()[:32], "step": step, "variation": float(variation[worst])},
    )


def outlier_channels(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """A few channels are much louder than the others, all the time."""
    seen = e.calibration.get(tensor)
    if seen is None or e.quantized(tensor) is None or seen.magnitudes.size < 2:
        return None
    usual, common = _median(seen.magnitudes), _median(seen.mean)
    loud = np.flatnonzero((seen.magnitudes > LOUD * usual) & (seen.mean > LOUD / 2 * common))
    if usual == 0 or not loud.size or loud.size > seen.magnitudes.size / 2:
        return None
    ratio = float(seen.magnitudes.max() / usual)
    return Cause(
        f"outlier channels: {_channels(loud)} of {seen.magnitudes.size} reach {ratio:.0f} times as far as the median "
        f"channel, which keeps {max(1, round(256 / ratio))} of 256 levels",
        "scale the channel down and the next layer's weights up (--fix does, where it changes nothing else), or use "
        "16 bits",
        {"channels": loud.tolist()[:32], "ratio": ratio},
    )


def heavy_tail(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """A few values are much larger than nearly all others."""
    seen = e.calibration.get(tensor)
    if seen is None or e.quantized(tensor) is None or seen.tail <= 0:
        return None
    ratio = _far(seen) / seen.tail
    if ratio < LOUD:
        return None
    return Cause(
        f"single outliers: it reaches {_far(seen):.3g}, but 99 % of its values stay below {seen.tail:.3g}; these keep "
        f"{max(1, round(256 / ratio))} of 256 levels",
        "find out where the outliers come from and clip or remove them, or keep the tensor in 16 bits or float",
        {"largest": _far(seen), "quantile_99": seen.tail, "ratio": ratio},
    )


def cancellation(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """A sum of large numbers with a small result: the inputs' steps show."""
    if _op(e, operator) not in _SUMS or tensor not in e.calibration:
        return None
    spans = [e.calibration[i].span for i in e.activations(e.graph.operators[operator]) if i in e.calibration]
    ratio = max(spans, default=0.0) / max(e.calibration[tensor].span, 1e-30)
    if ratio < LOUD:
        return None
    return Cause(
        f"its inputs reach {ratio:.0f} times as far as their sum: their rounding is as large as the result",
        "keep the sum and what it adds in 16 bits or float",
        {"ratio": ratio},
    )


def coarse_exponential(e: Evidence, operator: int) -> Cause | None:
    """One step of the input of a softmax changes the result a lot."""
    if _op(e, operator) not in _EXPONENTIAL:
        return None
    source = e.graph.operators[operator].inputs[0]
    step = e.step(source)
    if step is None or step < COARSE:
        return None
    return Cause(
        f"one step of its input is {step:.2g}: from one step to the next the result changes by a factor of "
        f"{math.exp(min(step, 50)):.2g}",
        "keep it and the layer before it in 16 bits or float, or leave it out where only the largest value counts",
        {"step": step},
    )


def weight_outliers(e: Evidence, operator: int) -> Cause | None:
    """Among the weights that share a scale a few are much larger than the others."""
    places = WEIGHTED.get(_op(e, operator))
    local = e.local[operator]
    if places is None or not local.weights or local.weights < 0.1 * max(local.inputs or 0, local.output or 0):
        return None
    index = e.graph.operators[operator].inputs[places[1]]
    if e.graph.tensors[index].data is None:
        return None
    rows, reach = _rows(e, operator, places)
    usual = np.array([_median(row) for row in np.abs(rows)])
    ratio = np.abs(rows).max(axis=1) / np.maximum(usual, 1e-30)
    size = np.abs(rows)
    loud = size > WEIGHT_LOUD * usual[:, None]
    if reach is not None:  # large weights that make up for quiet inputs are the inputs' fault
        contribution = size * reach
        typical = np.array([_median(row) for row in contribution])
        met = np.where(reach > 0, size, 0).max(axis=1)
        loud &= (contribution > WEIGHT_LOUD * typical[:, None]) | ((reach == 0) & (size > LOUD * met[:, None]))
    worst = np.flatnonzero(loud.any(axis=1))
    if not worst.size:
        return None
    idle = reach is not None and bool((reach[loud.any(axis=0)] == 0).all())
    meets = ", and what they are multiplied with is always 0" if idle else ""
    return Cause(
        f"heavy-tailed weights: in {worst.size} of {len(rows)} scales the largest weight is up to "
        f"{float(ratio[worst].max()):.0f} times the median one{meets}; the others round to a few levels",
        "clip or retrain these weights, or keep the layer in float" if not idle else "set these weights to 0",
        {"scales": int(worst.size), "ratio": float(ratio[worst].max()), "idle": idle},
    )


def wide_tensor(e: Evidence, operator: int) -> Cause | None:
    """One scale for a whole weight tensor whose channels differ."""
    places = WEIGHTED.get(_op(e, operator))
    if places is None or e.versions.settings.granularity != "tensor":
        return None
    tensor = e.graph.tensors[e.graph.operators[operator].inputs[places[1]]]
    if tensor.data is None or tensor.dtype != "float32":
        return None
    axis = 3 if _op(e, operator) == "DEPTHWISE_CONV_2D" else 0
    reach = np.abs(np.moveaxis(tensor.array(), axis, 0).reshape(tensor.shape[axis], -1)).max(axis=1)
    usual = _median(reach)
    if usual == 0 or reach.max() < LOUD * usual:
        return None
    return Cause(
        f"one scale for all its weights, whose output channels differ in range by {reach.max() / usual:.0f}",
        'use granularity = "channel"',
        {"ratio": float(reach.max() / usual)},
    )


def does_not_run(e: Evidence, operator: int) -> Cause | None:
    """LiteRT refuses the operator, or crashes on it."""
    outcome = e.effects.get(operator)
    if outcome is None or not outcome.failure:
        return None
    ratio = _multiplier(e, operator)
    why = ""
    if ratio is not None and ratio >= 256:
        why = f": (input scale x weight scale) is {ratio:.2g} times its output scale, XNNPACK takes less than 256"
    return Cause(
        f"LiteRT does not run it in integers{why}",
        "its weights make up for an input that is much too quiet: scale that up instead, or keep the layer in float",
        {"failure": outcome.failure, "multiplier": ratio},
    )


def wrong_kernel(e: Evidence, operator: int) -> Cause | None:
    """LiteRT's integer kernel computes something else."""
    steps = e.local[operator].kernel
    if steps is None or steps < WRONG:
        return None
    return Cause(
        f"LiteRT's integer kernel is {steps:.1f} steps (on average) away from exact arithmetic on the same integers",
        "keep it in float; and tell LiteRT's authors",
        {"steps": steps},
    )


TENSOR_RULES: tuple[TensorRule, ...] = (
    data_range, dead_range, clipped, overwide, tiny_scale, mismatched_scales, bias_overflow, buried, outlier_channels,
    heavy_tail, cancellation,
)  # fmt: skip
"""The first that answers for a tensor is its cause."""
FOREIGN = ("data_range", "dead_range", "clipped", "overwide")
"""Causes that come down from what came in: looked for up to the first tensor that shows them."""
OPERATOR_RULES: tuple[OperatorRule, ...] = (
    does_not_run, wrong_kernel, wide_tensor, weight_outliers, coarse_exponential,
)  # fmt: skip


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


def _multiplier(e: Evidence, operator: int) -> float | None:
    """(input scale x largest weight scale) / output scale."""
    places = WEIGHTED.get(_op(e, operator))
    if places is None:
        return None
    version, counterpart = e.versions[e.precision], e.counterpart(operator)
    source, weights = (version.tensors[counterpart.inputs[i]] for i in places[:2])
    out = version.tensors[counterpart.outputs[0]]
    if source.quantization is None or weights.quantization is None or out.quantization is None:
        return None
    return float(source.quantization.scale[0] * weights.quantization.scale.max() / out.quantization.scale[0])


def _clipping(e: Evidence, tensor: int) -> float:
    """Noise from what lies outside an activation's integers, where that is most of its noise; else 0."""
    found, values = e.quantized(tensor), e.exact.get(tensor)
    if found is None or values is None:
        return 0.0
    q, dtype = found
    info = np.iinfo(dtype)
    low, high = ((limit - int(q.zero_point[0])) * float(q.scale[0]) for limit in (info.min - 0.5, info.max + 0.5))
    wide = values.astype(np.float64)
    outside = float(((np.clip(wide, low, high) - wide) ** 2).sum())
    total = float(((rounded(e._forms[tensor], values) - wide) ** 2).sum())
    power = float((wide**2).sum())
    return outside / power if power > 0 and outside > 0.5 * total else 0.0


def _op(e: Evidence, operator: int) -> str:
    return "" if operator == INPUT else e.graph.operators[operator].op


def _median(values: NDArray[Any]) -> float:
    """Of those that are not 0."""
    some = values[values != 0]
    return float(np.median(some)) if some.size else 0.0


def _far(spread: Any) -> float:
    return float(spread.magnitudes.max())


def _ends(spread: Any) -> list[float]:
    return [float(spread.low.min()), float(spread.high.max())]


def _named(e: Evidence, tensor: int) -> str:
    number = e.producers.get(tensor)
    name = e.graph.tensors[tensor].name
    return f"the input {name}" if number is None else f"operator {number} {_op(e, number)}"


def _channels(indices: NDArray[Any]) -> str:
    if indices.size == 1:
        return f"channel {indices[0]}"
    return f"{indices.size} channels" if indices.size > 4 else "channels " + ", ".join(map(str, indices))
