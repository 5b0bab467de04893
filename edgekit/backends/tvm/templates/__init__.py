"""What each kernel computes and how its loops run; imports TVM, so it is used in a child only.

A function takes its arguments in a kernel's order (inputs, constants, output), as dense arrays of the outer shapes,
and finds pictures at their corners. Schedules are fixed rules: a register tile of pixels by channels whose
accumulators stay local, the reduction around it, everything inside unrolled, vectorized over channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgekit.backends.tvm.templates import convolutions, elements, loops, strided, windows
from edgekit.backends.tvm.templates.common import Params


def make(template: str, params: Params) -> Any:
    """Return the scheduled function of a kernel."""
    return TEMPLATES[template](params)


TEMPLATES: dict[str, Callable[[Params], Any]] = {
    **dict.fromkeys(("conv", "conv_int8"), convolutions.conv),
    **dict.fromkeys(("depthwise", "depthwise_int8"), convolutions.depthwise),
    "map": elements.mapped,
    "shift": elements.shift,
    "table": elements.table,
    "binary": elements.binary,
    "convert": elements.convert,
    "pool": windows.pool,
    "mean": windows.mean,
    "softmax": windows.softmax,
    "nest": strided.nest,
    "accumulate": strided.accumulate,
    "nearest": strided.nearest,
    "bilinear": strided.bilinear,
    "tir": loops.made,
}
