"""What each kernel computes and how its loops run; imports TVM, so it is used in a child only.

A function takes its arguments in a kernel's order (inputs, constants, output), as dense arrays of the outer shapes,
and finds pictures at their corners. Schedules are fixed rules: a register tile of pixels by channels whose
accumulators stay local, the reduction around it, everything inside unrolled, vectorized over channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import Trace

from edgekit.backends.tvm import traces
from edgekit.backends.tvm.templates import building, convolutions, elements, indices, loops, strided, windows
from edgekit.backends.tvm.templates.common import Params


def make(template: str, params: Params, trace: str = "") -> Any:
    """Return the scheduled function of a kernel.

    :param trace: a schedule of TVM's, JSON, in place of the template's; where it does not fit, the template's is taken.
    """
    made = TEMPLATES[template](params)
    if not trace:
        return made
    try:
        return traced(building.described[0], trace).mod["main"]
    except (RuntimeError, ValueError, LookupError, TypeError):  # TVM raises all of them
        return made


def plain(template: str, params: Params) -> Any:
    """Return the function of a kernel without any schedule: the same arguments, the same layouts."""
    building.described.clear()
    made = TEMPLATES[template](params)
    return building.described[0] if building.described else made


def traced(function: Any, trace: str) -> Any:
    """The schedule that a trace makes of a function.

    :raises ValueError: if it holds what tuning does not write.
    """
    schedule = Schedule(IRModule({"main": function}))
    Trace.apply_json_to_schedule(traces.checked(trace), schedule)
    return schedule


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
    "largest": indices.largest,
    "running": indices.running,
    "nearest": strided.nearest,
    "bilinear": strided.bilinear,
    "tir": loops.made,
}
