"""What makes an activation lose precision in one scale."""

from __future__ import annotations

import numpy as np

from edgekit.diagnosis.evidence import INPUT, WEIGHTED, Evidence
from edgekit.diagnosis.rules.common import LOUD, Cause, channels, far, median, named, op_of
from edgekit.graph.ops import suits
from edgekit.metrics.channels import lost
from edgekit.passes.split_scales import tail

BURIED = 2.0
"""A channel that varies by less than this many steps is lost."""
_FIXED = ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH", "L2_NORMALIZATION")
JOINS = ("CONCATENATION", "PACK", "DYNAMIC_UPDATE_SLICE", "SELECT_V2", "SELECT", "PADV2", "MAXIMUM", "MINIMUM")
_SUMS = ("ADD", "SUB")


def tiny_scale(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """The values are smaller than the smallest scale the quantizer gives."""
    found, seen = e.quantized(tensor), e.calibration.get(tensor)
    joined = any(e.graph.operators[r].op in JOINS for r in e.readers.get(tensor, []))
    if found is None or seen is None or seen.span == 0 or joined or op_of(e, operator) in _FIXED:
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
    op = op_of(e, operator)
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
        f"its inputs differ in range by a factor of {whole / min(spans):.0f}, but share one scale: only "
        f"{max(1, round(levels))} of 256 levels are left for {named(e, quiet)}",
        "give the inputs similar ranges (--fix scales channels where it can), or keep the branch in 16 bits or float",
        {"ratio": whole / min(spans), "quiet_input": e.graph.tensors[quiet].name, "levels": levels},
    )


def bias_overflow(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """The bias does not fit into 32 bits of (input scale x weight scale)."""
    if operator == INPUT or op_of(e, operator) not in WEIGHTED:
        return None
    places = WEIGHTED[op_of(e, operator)]
    own = e.graph.operators[operator].inputs
    if len(own) <= places[2] or own[places[2]] < 0 or e.graph.tensors[own[places[2]]].data is None:
        return None
    step, weights = e.step(own[places[0]]), e.graph.tensors[own[places[1]]]
    if step is None or e.quantized(tensor) is None or weights.data is None or weights.dtype != "float32":
        return None
    axis = 3 if op_of(e, operator) == "DEPTHWISE_CONV_2D" else 0
    largest = np.abs(np.moveaxis(weights.array(), axis, 0).reshape(weights.shape[axis], -1)).max(axis=1)
    bias = np.abs(e.graph.tensors[own[places[2]]].array().astype(np.float64)).reshape(-1)
    units = np.where(largest > 0, bias / np.maximum(step * largest.astype(np.float64) / 127, 1e-300), 0)
    over = np.flatnonzero(units >= 2.0**31)
    if not over.size:
        return None
    return Cause(
        f"bias overflow in {channels(over)}: up to {units.max():.2g} steps of (input scale x weight scale), where 32 "
        "bits hold 2.1e9; the bias drowns out what the weights contribute",
        "remove the constant from the layer (subtract it before, not after), or keep it and its consumers in float",
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
        f"{channels(lost)} vary by less than {BURIED:g} steps (channel {worst}: by {variation[worst]:.2g} around "
        f"{met.mean[worst]:.3g}, a step is {step:.2g})",
        "remove the constant part before this layer, or keep it and its consumers in 16 bits or float",
        {"channels": lost.tolist()[:32], "step": step, "variation": float(variation[worst])},
    )


def outlier_channels(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """A few channels are much louder than the others, all the time."""
    seen = e.calibration.get(tensor)
    if seen is None or e.quantized(tensor) is None or seen.magnitudes.size < 2:
        return None
    usual, common = median(seen.magnitudes), median(seen.mean)
    loud = np.flatnonzero((seen.magnitudes > LOUD * usual) & (seen.mean > LOUD / 2 * common))
    if usual == 0 or not loud.size or loud.size > seen.magnitudes.size / 2:
        return None
    ratio = float(seen.magnitudes.max() / usual)
    return Cause(
        f"outlier channels: {channels(loud)} of {seen.magnitudes.size} have {ratio:.0f} times the range of the median "
        f"channel, which is left with {max(1, round(256 / ratio))} of 256 levels",
        "scale the channel down and the next layer's weights up (--fix does, if it changes nothing else), or use "
        "16 bits",
        {"channels": loud.tolist()[:32], "ratio": ratio},
    )


def heavy_tail(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """A few values are much larger than nearly all others."""
    seen = e.calibration.get(tensor)
    if seen is None or e.quantized(tensor) is None or seen.tail <= 0:
        return None
    ratio = far(seen) / seen.tail
    if ratio < LOUD:
        return None
    return Cause(
        f"outlier values: it reaches {far(seen):.3g}, but 99 % of its values stay below {seen.tail:.3g}; these keep "
        f"{max(1, round(256 / ratio))} of 256 levels",
        "find out where the outliers come from and clip or remove them, or keep the tensor in 16 bits or float",
        {"largest": far(seen), "quantile_99": seen.tail, "ratio": ratio},
    )


def cancellation(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """A sum of large numbers with a small result: the inputs' steps show."""
    if op_of(e, operator) not in _SUMS or tensor not in e.calibration:
        return None
    spans = [e.calibration[i].span for i in e.activations(e.graph.operators[operator]) if i in e.calibration]
    ratio = max(spans, default=0.0) / max(e.calibration[tensor].span, 1e-30)
    if ratio < LOUD:
        return None
    return Cause(
        f"its inputs are {ratio:.0f} times as large as their sum: their rounding errors are as large as the result",
        "keep the sum and its inputs in 16 bits or float",
        {"ratio": ratio},
    )


def joint_scale(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """A network output whose channels share a scale that loses some of them."""
    step, values = e.step(tensor), e.exact.get(tensor)
    made = {i: o for o in e.graph.operators for i in o.outputs}
    if operator == INPUT or step is None or values is None or suits(made, tensor):
        return None
    ends = e.graph.main.outputs
    if tensor not in ends and not any(operator in tail(e.graph, output) for output in ends):
        return None
    found = lost(values, step)
    if found is None:
        return None
    return Cause(
        f"it uses one scale for all inputs that it joins: {found.words()} span at most {found.steps:.2g} steps of "
        f"{step:.3g}, and their values are lost",
        "keep the join in float, so that each part has its own scale: --fix does, or put the pass split_scales before "
        "quantize (the recipe int8 has it)",
        {"axis": found.axis, "channels": list(found.channels)[:32], "steps": found.steps, "step": step},
    )
