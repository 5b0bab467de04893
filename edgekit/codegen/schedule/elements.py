"""Loops over the same place of feature maps, and tensors that change their shape or their halo."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen import functions, kernels, loops
from edgekit.codegen.program import Halo
from edgekit.codegen.schedule import strided
from edgekit.codegen.schedule.base import FeatureMap, Scheduler, dense, size_of
from edgekit.codegen.views import whole


def elementwise(s: Scheduler, kernel: kernels.Elementwise) -> None:
    """Arithmetic on feature maps of one shape and simple constants; all else by strides."""
    if kernel.limits is None or not _simple(s, kernel):
        strided.elementwise(s, kernel)
        return
    out = s.make(kernel.output)
    inputs, constants, kinds = list[FeatureMap](), list[NDArray[Any]](), list[str]()
    for view in kernel.inputs:
        if s.tensor(view.tensor).data is None:
            inputs.append(s.maps[view.tensor])
            kinds.append("map")
        else:
            values = s.stored(view.tensor).reshape(-1)
            constants.append(values)
            kinds.append("scalar" if values.size == 1 else "channels")
    fields: dict[str, Any] = {
        "function": kernel.function, "kinds": tuple(kinds), "limits": s.limits(kernel.limits, kernel.output),
    }  # fmt: skip
    if s.is_int8(kernel.output):
        fields["scales"] = tuple(s.quantized(view.tensor) for view in kernel.inputs)
        fields["made"] = s.quantized(kernel.output)
    s.elements(loops.Binary, fields, kernel.node, inputs, out, constants, by_channel="channels" in kinds)


def _simple(s: Scheduler, kernel: kernels.Elementwise) -> bool:
    """Whether operands are feature maps of the output's shape, or constants of one value or one per channel."""
    out = s.tensor(kernel.output)
    for view in kernel.inputs:
        tensor = s.tensor(view.tensor)
        per_channel = bool(tensor.shape) and tensor.elements == tensor.shape[-1] == out.shape[-1]
        if tensor.data is None and tensor.shape != out.shape:
            return False
        if tensor.data is not None and tensor.elements != 1 and not per_channel:
            return False
    return True


def mapped(s: Scheduler, kernel: kernels.Map) -> None:
    """Schedule a function of each element: of int8 a table."""
    given = s.maps[kernel.input]
    out = s.make(kernel.output)
    if not s.is_int8(kernel.output):
        name = "gelu_tanh" if kernel.approximate else kernel.function.lower()
        fields: dict[str, Any] = {"function": name}
        if kernel.alpha is not None:
            fields["alpha"] = kernel.alpha
        s.elements(loops.Map, fields, kernel.node, [given], out)
        return
    (scale_in, zero_in), (scale_out, zero_out) = s.quantized(kernel.input), s.quantized(kernel.output)
    least = s.zero(-128)
    real = (np.arange(least, least + 256) - zero_in) * scale_in
    values = functions.table(kernel.function, real, kernel.options, scale_out, zero_out)
    table = np.clip(values, least, least + 255).astype(out.dtype)
    s.elements(loops.Table, {"least": least}, kernel.node, [given], out, [table])


def convert(s: Scheduler, kernel: kernels.Convert) -> None:
    """Schedule a conversion between real values and stored integers."""
    given, out = s.maps[kernel.input], s.make(kernel.output)
    fields: dict[str, Any] = {"given": given.dtype}
    if given.dtype != "float32":
        fields["source"] = s.quantized(kernel.input)
    if out.dtype != "float32":
        fields["target"] = (*s.quantized(kernel.output), *_range(out.dtype))
    s.elements(loops.Convert, fields, kernel.node, [given], out)


def _range(dtype: str) -> tuple[int, int]:
    return (0, 255) if dtype == "uint8" else (-128, 127)


def reshape(s: Scheduler, kernel: kernels.Reshape) -> None:
    """The same buffer, unless the output has a halo."""
    given = s.flat(kernel.input, kernel.node)
    size = size_of(s.tensor(kernel.output).shape)
    source = dense(given.buffer, given.dtype, size)
    if any(s.halo(kernel.output)):
        s.copy(source, s.make(kernel.output), kernel.node)
    else:
        s.maps[kernel.output] = source


def pad(s: Scheduler, kernel: kernels.Pad) -> None:
    """The feature map in a buffer with a wider halo."""
    given, out = s.maps[kernel.input], s.make(kernel.output)
    inner = (out.top + kernel.top, out.left + kernel.left, given.size[0], given.size[1])
    s.program.buffers[out.buffer].halo = Halo(out.outer, inner, s.background(kernel.output))
    s.copy(given, FeatureMap(out.buffer, out.dtype, out.outer, inner[0], inner[1], given.size), kernel.node)


def spread(s: Scheduler, kernel: kernels.Spread) -> None:
    """The feature map's pixels apart, in a buffer that is filled with what means 0 first."""
    out = s.make(kernel.output)
    s.program.buffers[out.buffer].halo = Halo(out.outer, (0, 0, 0, 0), s.background(kernel.output))
    given, made = (whole(index, s.tensor(index).shape) for index in (kernel.input, kernel.output))
    (sy, sx), (_, height, width, _) = kernel.strides, given.shape
    place = made[:, kernel.top :: sy, kernel.left :: sx][:, :height, :width]
    strided.compute(s, kernel, "copy", [s.row(given), s.row(place)])
