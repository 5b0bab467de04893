"""How kernels are scheduled on every machine; processors and GPUs add convolutions and matrix products."""

from __future__ import annotations

from collections.abc import Callable

from edgekit.codegen import kernels
from edgekit.codegen.schedule import elements, strided, windows

RULES: dict[type[kernels.Kernel], Callable[..., None]] = {
    kernels.Pool: windows.pool,
    kernels.Softmax: windows.softmax,
    kernels.Resize: windows.resize,
    kernels.Reduce: windows.reduce,
    kernels.Map: elements.mapped,
    kernels.Elementwise: elements.elementwise,
    kernels.Convert: elements.convert,
    kernels.Reshape: elements.reshape,
    kernels.Pad: elements.pad,
    kernels.Spread: elements.spread,
    kernels.Move: strided.move,
    kernels.Gather: strided.gather,
    kernels.ArgExtreme: strided.extreme,
    kernels.CumSum: strided.cumsum,
}
