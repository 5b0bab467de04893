"""Elements that move: copies, padding, new shapes."""

from __future__ import annotations

import numpy as np

from edgekit.codegen import kernels
from edgekit.codegen.schedule.mcu import strides
from edgekit.codegen.schedule.mcu.base import McuScheduler, NoKernel
from edgekit.codegen.schedule.mcu.steps import Struct
from edgekit.codegen.views import View


def reshape(s: McuScheduler, kernel: kernels.Reshape) -> None:
    """No step: the same buffer under another shape; of constants, and of variables that change later, a copy."""
    if kernel.input in s.buffers and not s.program.buffers[s.buffers[kernel.input]].pinned:
        s.buffers[kernel.output] = s.buffers[kernel.input]
        return
    _copied(s, kernel, (kernel.input, kernel.output), strides.flat(s.elements(kernel.output), 2), None)


def move(s: McuScheduler, kernel: kernels.Move) -> None:
    """Copies between views."""
    copy(s, kernel, kernel.source, kernel.result)


def copy(s: McuScheduler, kernel: kernels.Kernel, source: View, result: View) -> None:
    """A step that copies the elements of a view to those of another."""
    try:
        shape, flat = s.walk((source, result))
    except NoKernel:
        axis = min((n for n, extent in enumerate(result.shape) if extent > 1), key=lambda n: result.shape[n])
        for place in range(result.shape[axis]):  # a step for each place along the shortest axis
            part = (*(slice(None),) * axis, place)
            copy(s, kernel, source[part], result[part])
        return
    _copied(s, kernel, (source.tensor, result.tensor), shape, 0 if flat else None)


def _copied(
    s: McuScheduler, kernel: kernels.Kernel, tensors: tuple[int, int], shape: Struct, behind: int | None
) -> None:
    """Copy word by word where rows lie together on both sides, else element by element."""
    source, result = tensors
    item = s.item(result)
    rows = strides.rows(shape, item)
    function = f"ek_move_{8 * item}" if rows is None else "ek_move_rows"
    piece = strides.piece(shape, item)
    s.step(function, kernel, [s.operand(source)], s.output(result), rows or shape, behind=[behind], title="Move",
           piece=piece)  # fmt: skip


def pad(s: McuScheduler, kernel: kernels.Pad) -> None:
    """Rows and columns around one feature map."""
    _placed(s, kernel, kernel.input, kernel.top, kernel.left, (1, 1))


def spread(s: McuScheduler, kernel: kernels.Spread) -> None:
    """A feature map's pixels apart on a larger one."""
    _placed(s, kernel, kernel.input, kernel.top, kernel.left, kernel.strides)


def _placed(s: McuScheduler, kernel: kernels.Kernel, index: int, top: int, left: int, apart: tuple[int, int]) -> None:
    x, y, item = s.shape(index), s.shape(kernel.output), s.item(kernel.output)
    zero = s.network.scale(kernel.output).zero_point if s.dtype(kernel.output) in ("int8", "int16") else 0
    s.require(item == 1 or zero == 0, f"there is no kernel for {s.dtype(kernel.output)}")
    shape = Struct("ek_place_shape", {
        "in_h": x[1], "in_w": x[2], "pixel": x[3] * item, "out_h": y[1], "out_w": y[2], "top": top, "left": left,
        "stride_h": apart[0], "stride_w": apart[1], "zero": int(np.int8(zero)) if item == 1 else 0,
    })  # fmt: skip
    s.step("ek_place", kernel, [s.operand(index)], s.output(kernel.output), shape, behind=[None])
