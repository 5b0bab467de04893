"""Loops over windows and rows of feature maps: pooling, means, softmax, resized maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen import kernels, loops
from edgekit.codegen.schedule import strided
from edgekit.codegen.schedule.base import Scheduler, dense


def pool(s: Scheduler, kernel: kernels.Pool) -> None:
    """Schedule a pool."""
    given, out = s.maps[kernel.input], s.make(kernel.output)
    nest = loops.Pool(
        out.dtype, (given.corner,), out.corner, kernel.kind, out.size, given.size[:2], kernel.window, kernel.strides,
        kernel.padding, s.limits(kernel.limits, kernel.output),
    )  # fmt: skip
    s.emit(nest, kernel.node, [given], out)


def reduce(s: Scheduler, kernel: kernels.Reduce) -> None:
    """The mean over the pixels of one feature map has loops of its own."""
    if not kernel.spatial:
        strided.reduce(s, kernel)
        return
    index = kernel.inputs[0].tensor
    given, placed = s.maps[index], s.make(kernel.output)
    out = dense(placed.buffer, placed.dtype, (1, 1, given.size[2]))
    fields: dict[str, Any] = {}
    if kernel.limits is not None:
        (scale_in, zero_in), (scale_out, zero_out) = s.quantized(index), s.quantized(kernel.output)
        fields = {
            "factor": scale_in / scale_out, "zeros": (zero_in, zero_out),
            "limits": s.limits(kernel.limits, kernel.output),
        }  # fmt: skip
    nest = loops.Mean(out.dtype, (given.corner,), out.corner, given.size, **fields)
    s.emit(nest, kernel.node, [given], out)


def softmax(s: Scheduler, kernel: kernels.Softmax) -> None:
    """Schedule a softmax over the last axis."""
    given, out = s.maps[kernel.input], s.make(kernel.output)
    made, constants = None, list[NDArray[Any]]()
    if out.dtype != "float32":
        made = s.quantized(kernel.output)
        step = kernel.beta * s.quantized(kernel.input)[0]
        constants = [np.exp(-step * np.arange(256)).astype(np.float32)]
    nest = loops.Softmax(out.dtype, (given.corner,), out.corner, out.size, kernel.beta, made)
    s.emit(nest, kernel.node, [given], out, constants)


def resize(s: Scheduler, kernel: kernels.Resize) -> None:
    """Schedule a resized feature map."""
    given, out = s.maps[kernel.input], s.make(kernel.output)
    nearest = kernel.method == "nearest"
    kind = loops.Nearest if nearest else loops.Bilinear
    constants = [*kernel.rows[: 1 if nearest else 3], *kernel.columns[: 1 if nearest else 3]]
    nest = kind(out.dtype, (given.corner,), out.corner, out.size, s.limits(kernel.limits, kernel.output))
    s.emit(nest, kernel.node, [given], out, constants)
