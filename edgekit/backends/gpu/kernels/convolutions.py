"""Convolutions and matrix products."""

from __future__ import annotations

from edgekit.backends.gpu.kernels.common import (
    Function,
    Types,
    clamped,
    indented,
    load,
    place,
    store,
    vector,
)
from edgekit.codegen import loops


def conv(p: loops.Conv, types: Types) -> Function:
    """Write a convolution: one work-item computes a tile of pixels by vectors of channels."""
    (height, width, count), (kh, kw, depth) = p.shape, p.kernel
    pixels, channels, lanes = p.tile
    sy, sx, dy, dx = p.steps
    top, left = p.corner
    vectors, kind = channels // lanes, vector(lanes)
    at_once = 4 if depth % 4 == 0 else 1
    tile = [(i, v) for i in range(pixels) for v in range(vectors)]
    _, outer_width, outer_channels = p.inputs[0][:3]
    lines = [
        f"const int x0 = get_global_id(0) * {pixels}, j = get_global_id(1), y = get_global_id(2);",
        *(f"{kind} c{i}_{v} = ({kind})(0.0f);" for i, v in tile),
        f"for (int r = 0; r < {kh}; ++r) {{", f"  const int ay = y * {sy} + r * {dy} + {top};",
        *_inside(p, "ay", 0, "  if (!({0})) continue;"), f"  for (int q = 0; q < {kw}; ++q) {{",
    ]  # fmt: skip
    for i in range(pixels):
        lines.append(f"    const int ax{i} = (x0 + {i}) * {sx} + q * {dx} + {left};")
        lines.append(f"    const int ai{i} = (ay * {outer_width} + ax{i}) * {outer_channels};")
    lines.append(f"    const int wi = ((j * {kh} + r) * {kw} + q) * {depth * channels};")
    lines.append(f"    for (int k = 0; k < {depth}; k += {at_once}) {{")
    part = vector(at_once)
    for i in range(pixels):
        value = load(types, at_once, "a0", f"ai{i} + k")
        checked = _inside(p, f"ax{i}", 1, "{0}")
        lines.append(f"      const {part} v{i} = {f'{checked[0]} ? {value} : ({part})(0.0f)' if checked else value};")
    for s in range(at_once):
        for v in range(vectors):
            at = f"wi + (k + {s}) * {channels} + {v * lanes}"
            lines.append(f"      const {kind} m{s}_{v} = {load(types, lanes, 'w0', at)};")
        for i, v in tile:
            one = f"v{i}.s{s}" if at_once > 1 else f"v{i}"
            lines.append(f"      c{i}_{v} = fma(({kind})({one}), m{s}_{v}, c{i}_{v});")
    lines += ["    }", "  }", "}"]
    for i, v in tile:
        value = f"c{i}_{v} + {load(types, lanes, 'w1', f'j * {channels} + {v * lanes}')}"
        at = f"j * {channels} + {v * lanes}"
        if p.residual:
            value += f" + {load(types, lanes, 'a1', place(p.inputs[1], 'y', f'x0 + {i}', at))}"
        value = clamped(f"({value})", *_limits(p), lanes)
        lines.append(store(types, lanes, value, place(p.output, "y", f"x0 + {i}", at)))
    size = (width // pixels, count // channels, height)
    return Function(indented(lines), size, 2 * height * width * count * kh * kw * depth)


def _limits(p: loops.Conv | loops.Depthwise) -> loops.Limits:
    """:raises TypeError: if the loops are of integers."""
    if not isinstance(p.end, loops.FloatEnd):
        raise TypeError("a kernel for GPUs ends in floats")
    return p.end.low, p.end.high


def _inside(p: loops.Conv | loops.Depthwise, name: str, axis: int, form: str) -> list[str]:
    """The comparison that keeps a coordinate inside the feature map, if the kernel reads beyond it."""
    first, last = p.corner[axis], p.inputs[0][axis]
    end = first + (p.shape[axis] - 1) * p.steps[axis] + (p.kernel[axis] - 1) * p.steps[2 + axis]
    return [form.format(f"({name} >= 0 && {name} < {last})")] if first < 0 or end >= last else []


def depthwise(p: loops.Depthwise, types: Types) -> Function:
    """Write a depthwise convolution: one work-item computes neighbouring pixels of one vector of channels."""
    (height, width, count), (kh, kw) = p.shape, p.kernel
    sy, sx, dy, dx = p.steps
    top, left = p.corner
    pixels, _, lanes = p.tile
    kind = vector(lanes)
    _, outer_width, outer_channels = p.inputs[0][:3]
    lines = [
        f"const int x0 = get_global_id(1) * {pixels}, j = get_global_id(0) * {lanes}, y = get_global_id(2);",
        f"const {kind} b = {load(types, lanes, 'w1', 'j')};",
        *(f"{kind} c{i} = b;" for i in range(pixels)),
        f"for (int r = 0; r < {kh}; ++r) {{", f"  const int ay = y * {sy} + r * {dy} + {top};",
        *_inside(p, "ay", 0, "  if (!({0})) continue;"), f"  for (int q = 0; q < {kw}; ++q) {{",
        f"    const {kind} m = {load(types, lanes, 'w0', f'(r * {kw} + q) * {count} + j')};",
    ]  # fmt: skip
    for i in range(pixels):
        lines.append(f"    const int ax{i} = (x0 + {i}) * {sx} + q * {dx} + {left};")
        checked = _inside(p, f"ax{i}", 1, "    if ({0})")
        value = load(types, lanes, "a0", f"(ay * {outer_width} + ax{i}) * {outer_channels} + j")
        lines.append(f"{checked[0] if checked else '   '} c{i} = fma({value}, m, c{i});")
    lines += ["  }", "}"]
    for i in range(pixels):
        value = clamped(f"c{i}", *_limits(p), lanes)
        lines.append(store(types, lanes, value, place(p.output, "y", f"x0 + {i}", "j")))
    return Function(indented(lines), (count // lanes, width // pixels, height), 2 * height * width * count * kh * kw)
