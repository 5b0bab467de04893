"""What each kernel computes and how its loops run; imports TVM, so it is used in a child only.

A function takes its arguments in a kernel's order (inputs, constants, output), as dense arrays of the outer shapes,
and finds feature maps at their corners. Schedules are fixed rules: a register tile of pixels by channels whose
accumulators stay local, the reduction around it, everything inside unrolled, vectorized over channels.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import Trace

from edgekit.backends.tvm import traces
from edgekit.backends.tvm.onnx.loops import Frontend
from edgekit.backends.tvm.templates import convolutions, elements, frontend, indices, strided, windows
from edgekit.backends.tvm.templates.building import Template
from edgekit.codegen import loops
from edgekit.codegen.loops import Loops


def make(nest: Loops, trace: str = "") -> tuple[Any, bool]:
    """Return the scheduled function of a loop nest, and whether it has the schedule that was asked for.

    :param trace: a schedule of TVM's, JSON, in place of the template's; where it does not fit, the template's is taken.
    """
    template = TEMPLATES[type(nest)](nest)
    if not trace:
        return template.scheduled(), True
    try:
        return traced(template.plain, trace).mod["main"], True
    except (RuntimeError, ValueError, LookupError, TypeError):  # TVM raises all of them
        return template.scheduled(), False


def plain(nest: Loops) -> Any:
    """Return the function of a loop nest without any schedule: the same arguments, the same layouts."""
    return TEMPLATES[type(nest)](nest).plain


def traced(function: Any, trace: str) -> Any:
    """The schedule that a trace makes of a function.

    :raises ValueError: if it holds what tuning does not write.
    """
    schedule = Schedule(IRModule({"main": function}))
    Trace.apply_json_to_schedule(traces.checked(trace), schedule)
    return schedule


TEMPLATES: dict[type[Loops], Callable[[Any], Template]] = {
    loops.Conv: convolutions.conv,
    loops.Depthwise: convolutions.depthwise,
    loops.Map: elements.mapped,
    loops.Shift: elements.shift,
    loops.Table: elements.table,
    loops.Binary: elements.binary,
    loops.Convert: elements.convert,
    loops.Pool: windows.pool,
    loops.Mean: windows.mean,
    loops.Softmax: windows.softmax,
    loops.Nest: strided.nest,
    loops.Accumulate: strided.accumulate,
    loops.Largest: indices.largest,
    loops.Running: indices.running,
    loops.Nearest: strided.nearest,
    loops.Bilinear: strided.bilinear,
    Frontend: frontend.frontend,
}
"""What writes the code of each kind of loops."""
