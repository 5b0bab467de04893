"""Rows of elements at strided places, and resized feature maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgekit.backends.gpu.kernels.common import (
    Function,
    Types,
    clamped,
    indented,
    lanes_of,
    load,
    number,
    place,
    store,
    vector,
)
from edgekit.backends.gpu.kernels.elements import BINARIES
from edgekit.codegen import loops


def _index(offset: int, steps: Sequence[int], axes: Sequence[str]) -> str:
    terms = [f"{axis} * {step}" for step, axis in zip(steps, axes, strict=True) if step]
    return " + ".join([str(offset), *terms])


def _axes(extents: Sequence[int]) -> tuple[list[str], list[str]]:
    """Names of axes, and the lines that make them of the work-item's number ``i``."""
    names, lines, rest = [], ["const int i = get_global_id(0);"], "i"
    for axis in reversed(range(len(extents))):
        lines.append(f"const int i{axis} = {rest} % {extents[axis]};")
        rest = f"({rest} / {extents[axis]})"
        names.append(f"i{axis}")
    return names[::-1], lines


def nest(p: loops.Nest, types: Types) -> Function:
    """Write a loop nest over strided operands, one work-item per element."""
    axes, lines = _axes(p.shape)
    *strides, made_strides = p.strides
    *offsets, made_offset = p.offsets
    values = [load(types, 1, f"v{n}", f"({_index(offsets[n], strides[n], axes)})") for n in range(len(offsets))]
    value = values[0]
    if p.limits is not None:
        low, high = p.limits
        value = clamped(f"({BINARIES[p.function].format(*values)})", low, high, 1)
    lines.append(store(types, 1, value, _index(made_offset, made_strides, axes)))
    count = math.prod(p.shape)
    return Function(indented(lines), (count, 1, 1), 0 if p.function == "copy" else count)


JOINED = {
    "sum": ("0.0f", "made + {0}"),
    "prod": ("1.0f", "made * {0}"),
    "max": ("-INFINITY", "fmax(made, {0})"),
    "min": ("INFINITY", "fmin(made, {0})"),
}
"""A reduction's start and step."""


def accumulate(p: loops.Accumulate, types: Types) -> Function:
    """Write a reduction over strided operands, one work-item per result."""
    axes, lines = _axes(p.shape)
    *strides, made_strides = p.strides
    *offsets, made_offset = p.offsets
    inner = [f"r{n}" for n in range(len(p.reduced))]
    start, join = JOINED[p.kind]
    lines.append(f"float made = {start};")
    lines += [f"for (int {r} = 0; {r} < {n}; ++{r})" for r, n in zip(inner, p.reduced, strict=True)]
    places = [_index(offsets[n], [*strides[n], *p.steps[n]], [*axes, *inner]) for n in range(len(offsets))]
    values = [load(types, 1, f"v{n}", f"({places[n]})") for n in range(len(offsets))]
    lines.append(f"  made = {join.format(' * '.join(values))};")
    lines.append(store(types, 1, f"made * {number(p.factor)}", _index(made_offset, made_strides, axes)))
    count = math.prod(p.shape)
    return Function(indented(lines), (count, 1, 1), len(offsets) * count * math.prod(p.reduced))


def nearest(p: loops.Nearest, types: Types) -> Function:
    """Write a resize that takes the nearest element, through tables of rows and columns."""
    height, width, count = p.shape
    lanes = lanes_of(count)
    value = load(types, lanes, "a0", place(p.inputs[0], "w0[y]", "w1[x]", "c"))
    lines = [
        f"const int c = get_global_id(0) * {lanes}, x = get_global_id(1), y = get_global_id(2);",
        store(types, lanes, value, place(p.output, "y", "x", "c")),
    ]
    return Function(indented(lines), (count // lanes, width, height), 0)


def bilinear(p: loops.Bilinear, types: Types) -> Function:
    """Write a bilinear resize, through tables of rows, columns and their weights."""
    height, width, count = p.shape
    lanes, (low, high) = lanes_of(count), p.limits
    kind = vector(lanes)

    def value(row: str, column: str) -> str:
        return load(types, lanes, "a0", place(p.inputs[0], f"{row}[y]", f"{column}[x]", "c"))

    v, h = load(types, 1, "w2", "y"), load(types, 1, "w5", "x")
    lines = [
        f"const int c = get_global_id(0) * {lanes}, x = get_global_id(1), y = get_global_id(2);",
        f"const float v = {v}, h = {h};",
        f"const {kind} upper = {value('w0', 'w3')} * (1.0f - h) + {value('w0', 'w4')} * h;",
        f"const {kind} lower = {value('w1', 'w3')} * (1.0f - h) + {value('w1', 'w4')} * h;",
        store(
            types, lanes, clamped("(upper * (1.0f - v) + lower * v)", low, high, lanes), place(p.output, "y", "x", "c")
        ),
    ]
    return Function(indented(lines), (count // lanes, width, height), 9 * height * width * count)
