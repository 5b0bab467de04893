"""Windows and rows: pooling, softmax, resized feature maps."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.codegen import kernels, parameters
from edgekit.codegen.schedule.mcu.base import McuScheduler, rows_behind, window_rows
from edgekit.codegen.schedule.mcu.rules import words
from edgekit.codegen.schedule.mcu.rules.scales import factor, single
from edgekit.codegen.schedule.mcu.steps import Struct, table


def pool(s: McuScheduler, kernel: kernels.Pool) -> None:
    """MAX_POOL_2D and AVERAGE_POOL_2D."""
    x, y, item = s.shape(kernel.input), s.shape(kernel.output), s.item(kernel.output)
    shape = Struct("ek_pool_shape", {
        "in_h": x[1], "in_w": x[2], "channels": x[3], "out_h": y[1], "out_w": y[2], "k_h": kernel.window[0],
        "k_w": kernel.window[1], "stride_h": kernel.strides[0], "stride_w": kernel.strides[1],
        "pad_top": kernel.padding[0], "pad_left": kernel.padding[1],
    })  # fmt: skip
    if s.dtype(kernel.output) == "float32":
        data = Struct("ek_limits_f32", {"low": float(kernel.limits[0]), "high": float(kernel.limits[1])})
    else:
        data = Struct("ek_limits", {"low": int(kernel.limits[0]), "high": int(kernel.limits[1])})
    behind = rows_behind(x, y, kernel.strides[0], kernel.padding[0], item)
    whole = kernel.padding[0] == 0 and (y[1] - 1) * kernel.strides[0] + kernel.window[0] <= x[1]
    rows = window_rows(shape, x, y, kernel.window[0], kernel.strides[0], 0, 0, item) if whole else None
    s.step(f"ek_{kernel.kind}_pool_{s.suffix(kernel.input)}", kernel, [s.operand(kernel.input)],
           s.output(kernel.output), shape, data, 0, [behind], f"{kernel.kind} pool", rows)  # fmt: skip


def softmax(s: McuScheduler, kernel: kernels.Softmax) -> None:
    """SOFTMAX: of int8 in TFLite's fixed-point arithmetic."""
    depth, suffix = s.shape(kernel.input)[-1], s.suffix(kernel.input)
    shape = Struct("ek_rows_shape", {"rows": s.elements(kernel.input) // depth, "depth": depth})
    if suffix == "f32":
        data = Struct("ek_softmax_data_f32", {"beta": single(kernel.beta)})
    elif suffix == "s16":
        data = words.softmax(s, kernel)
    else:
        s.require(suffix == "s8", f"there is no kernel for {s.dtype(kernel.input)}")
        p = parameters.softmax_parameters(s.network.scale(kernel.input), kernel.beta)
        data = Struct("ek_softmax_data", factor(p.factor) | {"least": p.least})
    made = s.suffix(kernel.output)
    name, behind = (suffix, 0) if made == suffix else (f"{suffix}_{made}", None)
    s.step(f"ek_softmax_{name}", kernel, [s.operand(kernel.input)], s.output(kernel.output), shape, data, 0, [behind])


def resize(s: McuScheduler, kernel: kernels.Resize) -> None:
    """RESIZE_NEAREST_NEIGHBOR and RESIZE_BILINEAR."""
    x, y, suffix = s.shape(kernel.input), s.shape(kernel.output), s.suffix(kernel.output)
    shape = Struct("ek_resize_shape", {"in_w": x[2], "channels": x[3], "out_h": y[1], "out_w": y[2]})
    if kernel.method == "nearest":
        item = s.item(kernel.output)
        shape.fields["channels"] = x[3] * item
        data = Struct("ek_nearest_data", {
            "row": table(kernel.rows[0], "int16"), "column": table(kernel.columns[0], "int16"),
        })  # fmt: skip
        s.step("ek_nearest", kernel, [s.operand(kernel.input)], s.output(kernel.output), shape, data, 0, [None])
        return
    fields: dict[str, Any] = {}
    for name, (first, second, share) in (("row", kernel.rows), ("column", kernel.columns)):
        if suffix != "f32":
            share = np.rint(share * 1024)
        fields[f"{name}_first"], fields[f"{name}_second"] = table(first, "int16"), table(second, "int16")
        fields[f"{name}_share"] = table(share, "float32" if suffix == "f32" else "int16")
    data = Struct("ek_bilinear_data_f32" if suffix == "f32" else "ek_bilinear_data", fields)
    s.require(suffix in ("f32", "s8"), f"there is no kernel for {s.dtype(kernel.output)}")
    s.step(f"ek_bilinear_{suffix}", kernel, [s.operand(kernel.input)], s.output(kernel.output), shape, data, 0, [None])
