"""Windows and rows: pooling, means, softmax."""

from __future__ import annotations

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
from edgekit.codegen import loops


def pool(p: loops.Pool, types: Types) -> Function:
    """Write a max or average pooling."""
    (height, width, count), (ah, aw) = p.shape, p.size
    (wh, ww), (sy, sx), (pt, pl) = p.window, p.strides, p.pads
    low, high = p.limits
    lanes, largest = lanes_of(count), p.kind == "max"
    kind = vector(lanes)
    value = load(types, lanes, "a0", place(p.inputs[0], "ay", "ax", "c"))
    lines = [
        f"const int c = get_global_id(0) * {lanes}, x = get_global_id(1), y = get_global_id(2);",
        f"{kind} made = ({kind})({'-INFINITY' if largest else '0.0f'});",
        f"const int y0 = max(y * {sy} - {pt}, 0), y1 = min(y * {sy} - {pt} + {wh}, {ah});",
        f"const int x0 = max(x * {sx} - {pl}, 0), x1 = min(x * {sx} - {pl} + {ww}, {aw});",
        "for (int ay = y0; ay < y1; ++ay)", "  for (int ax = x0; ax < x1; ++ax)",
        f"    made = {f'fmax(made, {value})' if largest else f'made + {value}'};",
        *([] if largest else ["made = made / (float)((y1 - y0) * (x1 - x0));"]),
        store(types, lanes, clamped("made", low, high, lanes), place(p.output, "y", "x", "c")),
    ]  # fmt: skip
    return Function(indented(lines), (count // lanes, width, height), height * width * count * wh * ww)


def mean(p: loops.Mean, types: Types) -> Function:
    """Write a mean over height and width, one work-item per vector of channels."""
    height, width, count = p.size
    lanes = lanes_of(count)
    kind = vector(lanes)
    lines = [
        f"const int c = get_global_id(0) * {lanes};", f"{kind} made = ({kind})(0.0f);",
        f"for (int y = 0; y < {height}; ++y)", f"  for (int x = 0; x < {width}; ++x)",
        f"    made += {load(types, lanes, 'a0', place(p.inputs[0], 'y', 'x', 'c'))};",
        store(types, lanes, f"made * {number(1 / (height * width))}", "c"),
    ]  # fmt: skip
    return Function(indented(lines), (count // lanes, 1, 1), height * width * count)


def softmax(p: loops.Softmax, types: Types) -> Function:
    """Write a softmax over channels, one work-item per pixel."""
    height, width, count = p.shape
    made = place(p.output, "y", "x", "c")
    value = load(types, 1, "a0", place(p.inputs[0], "y", "x", "c"))
    one = f"exp(({value} - most) * {number(p.beta)})"
    lines = [
        "const int x = get_global_id(0), y = get_global_id(1);",
        "float most = -INFINITY, total = 0.0f;",
        f"for (int c = 0; c < {count}; ++c) most = fmax(most, {value});",
        f"for (int c = 0; c < {count}; ++c) total += {one};",
        f"for (int c = 0; c < {count}; ++c) {store(types, 1, f'{one} / total', made)}",
    ]
    return Function(indented(lines), (width, height, 1), 8 * height * width * count)
