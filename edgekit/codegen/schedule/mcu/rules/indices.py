"""Elements found by indices, indices of extremes, running sums."""

from __future__ import annotations

from itertools import pairwise

from edgekit.codegen import kernels
from edgekit.codegen.schedule.mcu import strides
from edgekit.codegen.schedule.mcu.base import McuScheduler
from edgekit.codegen.schedule.mcu.steps import Struct
from edgekit.codegen.views import View, row_major

MOST_COORDINATES = 6
"""``EK_COORDINATES``"""


def gather(s: McuScheduler, kernel: kernels.Gather) -> None:
    """GATHER, GATHER_ND, EMBEDDING_LOOKUP: all coordinates lie in one tensor."""
    first, count = kernel.indices[0], len(kernel.indices)
    s.require(count <= MOST_COORDINATES, "its indices have too many coordinates")
    layout = row_major(s.shape(kernel.source.tensor))
    offsets = [view.offset(row_major(s.shape(view.tensor))) for view in kernel.indices]
    apart = offsets[1] - offsets[0] if count > 1 else 0
    alike = all(view.tensor == first.tensor and view.steps == first.steps for view in kernel.indices)
    assert alike and all(b - a == apart for a, b in pairwise(offsets)), kernel.indices
    none = (0,) * (MOST_COORDINATES - count)
    steps = tuple(sum(a * b for a, b in zip(axis, layout, strict=True)) for axis in kernel.axes)
    shape = Struct("ek_gather_shape", {
        "walk": s.walk((kernel.source, first, kernel.result))[0], "count": count, "apart": apart,
        "step": (*steps, *none), "length": (*kernel.lengths, *none),
    })  # fmt: skip
    bits = 8 * s.item(kernel.output)
    s.step(f"ek_gather_{s.suffix(first.tensor)}_{bits}", kernel, s.operands((kernel.source, first)),
           s.output(kernel.output), shape, behind=[None, None])  # fmt: skip


def extreme(s: McuScheduler, kernel: kernels.ArgExtreme) -> None:
    """ARG_MAX and ARG_MIN."""
    rest, axis, length = _without(kernel.input, kernel.axis)
    shape = Struct("ek_line_shape", {
        "kept": s.walk((rest, kernel.result))[0], "length": length, "x_step": strides.step(s.network, axis),
        "y_step": 0, "exclusive": 0,
    })  # fmt: skip
    suffixes = f"{s.suffix(kernel.input.tensor)}_{s.suffix(kernel.output)}"
    s.step(f"ek_arg_{kernel.kind}_{suffixes}", kernel, [s.operand(kernel.input.tensor)], s.output(kernel.output), shape,
           behind=[None], title=f"arg {kernel.kind}")  # fmt: skip


def cumsum(s: McuScheduler, kernel: kernels.CumSum) -> None:
    """CUMSUM."""
    x, axis, length = _without(kernel.input, kernel.axis)
    y, other, _ = _without(kernel.result, kernel.axis)
    shape = Struct("ek_line_shape", {
        "kept": s.walk((x, y))[0], "length": length, "x_step": strides.step(s.network, axis),
        "y_step": strides.step(s.network, other), "exclusive": int(kernel.exclusive),
    })  # fmt: skip
    suffix = s.suffix(kernel.output)
    s.require(suffix in ("f32", "s32", "s64"), f"there is no kernel for {s.dtype(kernel.output)}")
    s.step(f"ek_cumsum_{suffix}", kernel, [s.operand(kernel.input.tensor)], s.output(kernel.output), shape,
           behind=[None])  # fmt: skip


def _without(view: View, axis: int) -> tuple[View, View, int]:
    """A view without an axis, that axis alone, and its length."""
    shape = (*view.shape[:axis], *view.shape[axis + 1 :])
    steps = (*view.steps[:axis], *view.steps[axis + 1 :])
    alone = View(view.tensor, (view.shape[axis],), (0,) * len(view.origin), (view.steps[axis],))
    return View(view.tensor, shape, view.origin, steps), alone, view.shape[axis]
