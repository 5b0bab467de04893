"""Sums, means, products, extremes over axes, and products of two computed matrices."""

from __future__ import annotations

import math

from edgekit.codegen import kernels, parameters
from edgekit.codegen.schedule.mcu import strides
from edgekit.codegen.schedule.mcu.base import McuScheduler
from edgekit.codegen.schedule.mcu.rules.scales import factor
from edgekit.codegen.schedule.mcu.steps import Struct
from edgekit.codegen.views import View


def reduce(s: McuScheduler, kernel: kernels.Reduce) -> None:
    """Reductions of one view; sums of products of two."""
    if len(kernel.inputs) == 2:
        _products(s, kernel)
        return
    (given,) = kernel.inputs
    suffix, count = s.suffix(given.tensor), math.prod(kernel.reduced)
    kept = View(given.tensor, given.shape[: kernel.kept], given.origin, given.steps[: kernel.kept])
    gone = View(given.tensor, kernel.reduced, (0,) * len(given.origin), given.steps[kernel.kept :])
    outer, inner = s.walk((kept, kernel.result))[0], s.walk((gone,))[0]
    shape = Struct("ek_reduce_shape", {"kept": outer, "reduced": inner})
    data, name = None, "mean" if kernel.mean else kernel.kind
    if suffix in ("s8", "s16") and kernel.kind == "sum":
        assert kernel.mean, "LiteRT has no right SUM of integers"
        data = _scaled(s, kernel, given.tensor, count)
    elif kernel.mean:
        s.require(suffix == "f32", f"there is no kernel for {s.dtype(given.tensor)}")
        data = Struct("ek_mean_data", {"count": float(count)})
    s.step(f"ek_reduce_{name}_{suffix}", kernel, [s.operand(given.tensor)], s.output(kernel.output), shape, data, 0,
           [None], name)  # fmt: skip


def _scaled(s: McuScheduler, kernel: kernels.Reduce, index: int, count: int) -> Struct:
    """MEAN of quantized elements (``QuantizedMeanOrSum`` in reference/reduce.h); ``count`` is part of the factor."""
    x, y = s.network.scale(index), s.network.scale(kernel.output)
    assert kernel.limits is not None
    return Struct("ek_scaled_mean_data", factor(parameters.mean_factor(x, y, count)) | {
        "x_zero": x.zero_point * count, "y_zero": y.zero_point, "low": int(kernel.limits[0]),
        "high": int(kernel.limits[1]),
    })  # fmt: skip


def _products(s: McuScheduler, kernel: kernels.Reduce) -> None:
    """BATCH_MATMUL: sums of products along one axis."""
    a, b = kernel.inputs
    s.require(len(a.shape) == kernel.kept + 1, "it takes sums over several axes")
    kept = [View(view.tensor, view.shape[:-1], view.origin, view.steps[:-1]) for view in kernel.inputs]
    gone = [View(view.tensor, view.shape[-1:], (0,) * len(view.origin), view.steps[-1:]) for view in kernel.inputs]
    shape = Struct("ek_product_shape", {
        "kept": s.walk((*kept, kernel.result))[0], "depth": a.shape[-1],
        "a_step": strides.step(s.network, gone[0]), "b_step": strides.step(s.network, gone[1]),
    })  # fmt: skip
    suffix, data = s.suffix(kernel.output), None
    if suffix in ("s8", "s16"):
        scales = [s.network.scale(i) for i in (a.tensor, b.tensor, kernel.output)]
        assert kernel.limits is not None
        fields = factor(parameters.product_factor(*scales))
        fields |= {f"{n}_zero": scale.zero_point for n, scale in zip("aby", scales, strict=True)}
        data = Struct("ek_mul_data", fields | {"low": int(kernel.limits[0]), "high": int(kernel.limits[1])})
    s.require(suffix in ("s8", "s16", "f32"), f"there is no kernel for {s.dtype(kernel.output)}")
    s.step(f"ek_products_{suffix}", kernel, s.operands(kernel.inputs), s.output(kernel.output), shape, data, 0,
           [None, None], "matmul")  # fmt: skip
