"""OpenCL C of each template: what :mod:`edgekit.backends.tvm.lowering` lowers to, written for GPUs.

A function takes its arguments in the kernel's order (inputs, constants, output), each as a buffer and an offset in
bytes. Shapes, corners and limits are literals. One work-item computes a tile of pixels by a few vectors of channels;
arithmetic is float32. A convolution compares coordinates where it reads beyond its input: on a GPU that costs less than
a border, which needs launches to fill it and to copy pictures into it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

Params = dict[str, Any]
C_TYPES = {"float32": "float", "float16": "half", "int32": "int"}
STRIDED = ("nest", "accumulate")
"""Templates whose arguments are rows of elements; constants may be anywhere among them."""
Size = tuple[int, int, int]


@dataclass(frozen=True)
class Function:
    """A kernel's body, and how it is launched.

    :param size: work-items in each dimension. :param flops: floating-point operations of one launch; one
        multiplication with its addition is two, a function like ``exp`` is one.
    """

    body: str
    size: Size
    flops: int


def make(template: str, params: Params, name: str, arguments: Sequence[tuple[bool, str]]) -> tuple[str, Function]:
    """Return the source of a function called ``name``.

    :param arguments: of each input and constant, in the kernel's order: whether it is a constant, and its dtype.
    """
    if template in STRIDED:
        names = [f"v{n}" for n in range(len(arguments))]
        made = TEMPLATES[template](params, [dtype for _, dtype in arguments])
    else:
        inputs = sum(not constant for constant, _ in arguments)
        names = [f"w{n - inputs}" if n >= inputs else f"a{n}" for n in range(len(arguments))]
        made = TEMPLATES[template](params, [dtype for constant, dtype in arguments if constant])
    kinds = [C_TYPES[dtype] for _, dtype in arguments]
    heads = [f"global const {kind} *{n}_, uint {n}o" for n, kind in zip(names, kinds, strict=True)]
    lines = [
        f"  global const {kind} *{n} = {n}_ + {n}o / {2 if kind == 'half' else 4};"
        for n, kind in zip(names, kinds, strict=True)
    ]
    joined = ",\n    ".join([*heads, "global float *d_, uint do_"])
    lines.append("  global float *d = d_ + do_ / 4;\n")
    return f"kernel void {name}(\n    {joined}) {{\n" + "\n".join(lines) + f"{made.body}}}\n", made


def supported(template: str, params: Params) -> bool:
    """Whether there is OpenCL C for it."""
    if template == "map":
        return params["function"] in MAPS
    if template == "binary" or (template == "nest" and params["function"] != "copy"):
        return params["function"] in BINARIES
    return template in TEMPLATES


def _kind(lanes: int) -> str:
    return "float" if lanes == 1 else f"float{lanes}"


def _load(lanes: int, pointer: str, place: str, dtype: str = "float32") -> str:
    if dtype == "float16":
        return f"vload_half{lanes if lanes > 1 else ''}(0, {pointer} + {place})"
    return f"{pointer}[{place}]" if lanes == 1 else f"vload{lanes}(0, {pointer} + {place})"


def _store(lanes: int, value: str, place: str) -> str:
    return f"d[{place}] = {value};" if lanes == 1 else f"vstore{lanes}({value}, 0, d + {place});"


def _number(value: float) -> str:
    text = repr(float(value))
    return f"{text}f" if "e" in text or "." in text else f"{text}.0f"


def _clamped(value: str, low: float, high: float, lanes: int) -> str:
    kind = _kind(lanes)
    value = f"fmax({value}, ({kind})({_number(low)}))" if low > -1e38 else value
    return f"fmin({value}, ({kind})({_number(high)}))" if high < 1e38 else value


def _place(spec: Sequence[int], y: str, x: str, c: str) -> str:
    """Index of an element of a picture in its storage."""
    _, width, channels, top, left = spec
    row = f"({y} + {top})" if top else f"{y}" if y.isalnum() else f"({y})"
    column = f"({x} + {left})" if left else f"{x}" if x.isalnum() else f"({x})"
    return f"(({row} * {width} + {column}) * {channels} + {c})"


def lanes_of(count: int) -> int:
    """Channels of one vector where any will do."""
    return next(n for n in (4, 2, 1) if count % n == 0)


# Convolutions and matrix products


def _conv(p: Params, constants: Sequence[str]) -> Function:
    (height, width, count), (kh, kw, depth) = p["shape"], p["kernel"]
    pixels, channels, lanes = p["tile"]
    sy, sx, dy, dx = p["steps"]
    top, left = p["corner"]
    vectors, kind = channels // lanes, _kind(lanes)
    at_once = 4 if depth % 4 == 0 else 1
    tile = [(i, v) for i in range(pixels) for v in range(vectors)]
    _, outer_width, outer_channels = p["in"][0][:3]
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
    part = _kind(at_once)
    for i in range(pixels):
        value = _load(at_once, "a0", f"ai{i} + k")
        checked = _inside(p, f"ax{i}", 1, "{0}")
        lines.append(f"      const {part} v{i} = {f'{checked[0]} ? {value} : ({part})(0.0f)' if checked else value};")
    for s in range(at_once):
        for v in range(vectors):
            place = f"wi + (k + {s}) * {channels} + {v * lanes}"
            lines.append(f"      const {kind} m{s}_{v} = {_load(lanes, 'w0', place, constants[0])};")
        for i, v in tile:
            one = f"v{i}.s{s}" if at_once > 1 else f"v{i}"
            lines.append(f"      c{i}_{v} = fma(({kind})({one}), m{s}_{v}, c{i}_{v});")
    lines += ["    }", "  }", "}"]
    for i, v in tile:
        value = f"c{i}_{v} + {_load(lanes, 'w1', f'j * {channels} + {v * lanes}', constants[1])}"
        place = f"j * {channels} + {v * lanes}"
        if p["residual"]:
            value += f" + {_load(lanes, 'a1', _place(p['in'][1], 'y', f'x0 + {i}', place))}"
        value = _clamped(f"({value})", p["low"], p["high"], lanes)
        lines.append(_store(lanes, value, _place(p["out"], "y", f"x0 + {i}", place)))
    size = (width // pixels, count // channels, height)
    return Function(_indented(lines), size, 2 * height * width * count * kh * kw * depth)


def _inside(p: Params, name: str, axis: int, form: str) -> list[str]:
    """The comparison that keeps a coordinate inside the picture, if the kernel reads beyond it."""
    first, last = p["corner"][axis], p["in"][0][axis]
    end = first + (p["shape"][axis] - 1) * p["steps"][axis] + (p["kernel"][axis] - 1) * p["steps"][2 + axis]
    return [form.format(f"({name} >= 0 && {name} < {last})")] if first < 0 or end >= last else []


def _depthwise(p: Params, constants: Sequence[str]) -> Function:
    (height, width, count), (kh, kw) = p["shape"], p["kernel"]
    sy, sx, dy, dx = p["steps"]
    top, left = p["corner"]
    lanes = lanes_of(count)
    pixels = next(n for n in (4, 2, 1) if width % n == 0)
    kind = _kind(lanes)
    _, outer_width, outer_channels = p["in"][0][:3]
    lines = [
        f"const int x0 = get_global_id(1) * {pixels}, j = get_global_id(0) * {lanes}, y = get_global_id(2);",
        f"const {kind} b = {_load(lanes, 'w1', 'j', constants[1])};",
        *(f"{kind} c{i} = b;" for i in range(pixels)),
        f"for (int r = 0; r < {kh}; ++r) {{", f"  const int ay = y * {sy} + r * {dy} + {top};",
        *_inside(p, "ay", 0, "  if (!({0})) continue;"), f"  for (int q = 0; q < {kw}; ++q) {{",
        f"    const {kind} m = {_load(lanes, 'w0', f'(r * {kw} + q) * {count} + j', constants[0])};",
    ]  # fmt: skip
    for i in range(pixels):
        lines.append(f"    const int ax{i} = (x0 + {i}) * {sx} + q * {dx} + {left};")
        checked = _inside(p, f"ax{i}", 1, "    if ({0})")
        value = _load(lanes, "a0", f"(ay * {outer_width} + ax{i}) * {outer_channels} + j")
        lines.append(f"{checked[0] if checked else '   '} c{i} = fma({value}, m, c{i});")
    lines += ["  }", "}"]
    for i in range(pixels):
        value = _clamped(f"c{i}", p["low"], p["high"], lanes)
        lines.append(_store(lanes, value, _place(p["out"], "y", f"x0 + {i}", "j")))
    return Function(_indented(lines), (count // lanes, width // pixels, height), 2 * height * width * count * kh * kw)


# Element by element


MAPS: dict[str, str] = {
    "copy": "{0}",
    "relu": "fmax({0}, ({1})(0.0f))",
    "relu6": "fmin(fmax({0}, ({1})(0.0f)), ({1})(6.0f))",
    "relu_n1_to_1": "fmin(fmax({0}, ({1})(-1.0f)), ({1})(1.0f))",
    "relu_0_to_1": "fmin(fmax({0}, ({1})(0.0f)), ({1})(1.0f))",
    "leaky_relu": "fmax({0}, ({1})(0.0f)) + fmin({0}, ({1})(0.0f)) * {2}",
    "elu": "fmax({0}, ({1})(0.0f)) + expm1(fmin({0}, ({1})(0.0f)))",
    "hard_swish": "{0} * fmin(fmax({0} + 3.0f, ({1})(0.0f)), ({1})(6.0f)) * (1.0f / 6.0f)",
    "logistic": "1.0f / (1.0f + exp(-{0}))",
    "gelu": "{0} * 0.5f * (1.0f + erf({0} * 0.70710678f))",
    "abs": "fabs({0})",
    "neg": "-{0}",
    "square": "{0} * {0}",
    "round": "rint({0})",
    **{name: f"{name}({{0}})" for name in ("tanh", "exp", "log", "sqrt", "rsqrt", "sin", "cos", "floor", "ceil")},
}
BINARIES: dict[str, str] = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "maximum": "fmax({0}, {1})",
    "minimum": "fmin({0}, {1})",
    "squared_difference": "({0} - {1}) * ({0} - {1})",
    "prelu": "fmax({0}, 0.0f) + fmin({0}, 0.0f) * {1}",
}


def _elements(p: Params, value: Callable[[list[str], int], str], flops: int) -> Function:
    """``value`` of the elements at the same place of all inputs; the variable ``c`` is the channel."""
    height, width, count = p["shape"]
    lanes = lanes_of(count)
    kind = _kind(lanes)
    lines = [f"const int c = get_global_id(0) * {lanes}, x = get_global_id(1), y = get_global_id(2);"]
    names = [f"e{n}" for n in range(len(p["in"]))]
    for n, spec in enumerate(p["in"]):
        lines.append(f"const {kind} e{n} = {_load(lanes, f'a{n}', _place(spec, 'y', 'x', 'c'))};")
    lines.append(f"const {kind} made = {value(names, lanes)};")
    lines.append(_store(lanes, "made", _place(p["out"], "y", "x", "c")))
    return Function(_indented(lines), (count // lanes, width, height), flops * height * width * count)


def _map(p: Params, constants: Sequence[str]) -> Function:
    form = MAPS[p["function"]]
    flops = 0 if p["function"] == "copy" else form.count("f(") + form.count(" * ") + form.count(" / ") or 1
    alpha = _number(p.get("alpha", 0.0))
    return _elements(p, lambda names, lanes: form.format(names[0], _kind(lanes), alpha), flops)


def _binary(p: Params, constants: Sequence[str]) -> Function:
    low, high = p["limits"]

    def value(names: list[str], lanes: int) -> str:
        pictures, kept, sides = iter(names), iter(range(len(constants))), []
        for kind in p["kinds"]:
            if kind == "picture":
                sides.append(next(pictures))
            else:
                n = next(kept)
                one = (
                    _load(1, f"w{n}", "0", constants[n])
                    if kind == "scalar"
                    else _load(lanes, f"w{n}", "c", constants[n])
                )
                sides.append(f"({_kind(lanes)})({one})" if kind == "scalar" else one)
        return _clamped(f"({BINARIES[p['function']].format(*sides)})", low, high, lanes)

    return _elements(p, value, 1)


# Windows and rows


def _pool(p: Params, constants: Sequence[str]) -> Function:
    (height, width, count), (ah, aw) = p["shape"], p["size"]
    (wh, ww), (sy, sx), (pt, pl) = p["window"], p["strides"], p["pads"]
    low, high = p["limits"]
    lanes, largest = lanes_of(count), p["kind"] == "max"
    kind = _kind(lanes)
    value = _load(lanes, "a0", _place(p["in"][0], "ay", "ax", "c"))
    lines = [
        f"const int c = get_global_id(0) * {lanes}, x = get_global_id(1), y = get_global_id(2);",
        f"{kind} made = ({kind})({'-INFINITY' if largest else '0.0f'});",
        f"const int y0 = max(y * {sy} - {pt}, 0), y1 = min(y * {sy} - {pt} + {wh}, {ah});",
        f"const int x0 = max(x * {sx} - {pl}, 0), x1 = min(x * {sx} - {pl} + {ww}, {aw});",
        "for (int ay = y0; ay < y1; ++ay)", "  for (int ax = x0; ax < x1; ++ax)",
        f"    made = {f'fmax(made, {value})' if largest else f'made + {value}'};",
        *([] if largest else ["made = made / (float)((y1 - y0) * (x1 - x0));"]),
        _store(lanes, _clamped("made", low, high, lanes), _place(p["out"], "y", "x", "c")),
    ]  # fmt: skip
    return Function(_indented(lines), (count // lanes, width, height), height * width * count * wh * ww)


def _mean(p: Params, constants: Sequence[str]) -> Function:
    height, width, count = p["size"]
    lanes = lanes_of(count)
    kind = _kind(lanes)
    lines = [
        f"const int c = get_global_id(0) * {lanes};", f"{kind} made = ({kind})(0.0f);",
        f"for (int y = 0; y < {height}; ++y)", f"  for (int x = 0; x < {width}; ++x)",
        f"    made += {_load(lanes, 'a0', _place(p['in'][0], 'y', 'x', 'c'))};",
        _store(lanes, f"made * {_number(1 / (height * width))}", "c"),
    ]  # fmt: skip
    return Function(_indented(lines), (count // lanes, 1, 1), height * width * count)


def _softmax(p: Params, constants: Sequence[str]) -> Function:
    height, width, count = p["shape"]
    given, made = _place(p["in"][0], "y", "x", "c"), _place(p["out"], "y", "x", "c")
    lines = [
        "const int x = get_global_id(0), y = get_global_id(1);", "float most = -INFINITY, total = 0.0f;",
        f"for (int c = 0; c < {count}; ++c) most = fmax(most, a0[{given}]);",
        f"for (int c = 0; c < {count}; ++c) {{",
        f"  const float one = exp((a0[{given}] - most) * {_number(p['beta'])});",
        f"  total += one;\n  d[{made}] = one;", "}",
        f"for (int c = 0; c < {count}; ++c) d[{made}] /= total;",
    ]  # fmt: skip
    return Function(_indented(lines), (width, height, 1), 5 * height * width * count)


# Rows of elements at strided places, and resized pictures


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


def _nest(p: Params, dtypes: Sequence[str]) -> Function:
    axes, lines = _axes(p["shape"])
    *strides, made_strides = p["strides"]
    *offsets, made_offset = p["offsets"]
    values = [_load(1, f"v{n}", f"({_index(offsets[n], strides[n], axes)})", dtype) for n, dtype in enumerate(dtypes)]
    value = values[0]
    if p["function"] != "copy":
        low, high = p["limits"]
        value = _clamped(f"({BINARIES[p['function']].format(*values)})", low, high, 1)
    lines.append(_store(1, value, _index(made_offset, made_strides, axes)))
    count = math.prod(p["shape"])
    return Function(_indented(lines), (count, 1, 1), 0 if p["function"] == "copy" else count)


def _accumulate(p: Params, dtypes: Sequence[str]) -> Function:
    axes, lines = _axes(p["shape"])
    *strides, made_strides = p["strides"]
    *offsets, made_offset = p["offsets"]
    inner = [f"r{n}" for n in range(len(p["reduced"]))]
    start, join = {
        "sum": ("0.0f", "made + {0}"), "max": ("-INFINITY", "fmax(made, {0})"), "min": ("INFINITY", "fmin(made, {0})"),
    }[p["kind"]]  # fmt: skip
    lines.append(f"float made = {start};")
    lines += [f"for (int {r} = 0; {r} < {n}; ++{r})" for r, n in zip(inner, p["reduced"], strict=True)]
    places = [_index(offsets[n], [*strides[n], *p["steps"][n]], [*axes, *inner]) for n in range(len(dtypes))]
    values = [_load(1, f"v{n}", f"({places[n]})", dtype) for n, dtype in enumerate(dtypes)]
    lines.append(f"  made = {join.format(' * '.join(values))};")
    lines.append(_store(1, f"made * {_number(p['factor'])}", _index(made_offset, made_strides, axes)))
    count = math.prod(p["shape"])
    return Function(_indented(lines), (count, 1, 1), len(dtypes) * count * math.prod(p["reduced"]))


def _nearest(p: Params, constants: Sequence[str]) -> Function:
    height, width, count = p["shape"]
    lanes = lanes_of(count)
    value = _load(lanes, "a0", _place(p["in"][0], "w0[y]", "w1[x]", "c"))
    lines = [
        f"const int c = get_global_id(0) * {lanes}, x = get_global_id(1), y = get_global_id(2);",
        _store(lanes, value, _place(p["out"], "y", "x", "c")),
    ]
    return Function(_indented(lines), (count // lanes, width, height), 0)


def _bilinear(p: Params, constants: Sequence[str]) -> Function:
    height, width, count = p["shape"]
    lanes, (low, high) = lanes_of(count), p["limits"]
    kind = _kind(lanes)

    def value(row: str, column: str) -> str:
        return _load(lanes, "a0", _place(p["in"][0], f"{row}[y]", f"{column}[x]", "c"))

    v, h = _load(1, "w2", "y", constants[2]), _load(1, "w5", "x", constants[5])
    lines = [
        f"const int c = get_global_id(0) * {lanes}, x = get_global_id(1), y = get_global_id(2);",
        f"const float v = {v}, h = {h};",
        f"const {kind} upper = {value('w0', 'w3')} * (1.0f - h) + {value('w0', 'w4')} * h;",
        f"const {kind} lower = {value('w1', 'w3')} * (1.0f - h) + {value('w1', 'w4')} * h;",
        _store(lanes, _clamped("(upper * (1.0f - v) + lower * v)", low, high, lanes), _place(p["out"], "y", "x", "c")),
    ]
    return Function(_indented(lines), (count // lanes, width, height), 9 * height * width * count)


def _indented(lines: Sequence[str]) -> str:
    return "".join(f"  {line}\n" for line in lines)


TEMPLATES: dict[str, Callable[[Params, Sequence[str]], Function]] = {
    "conv": _conv, "depthwise": _depthwise, "map": _map, "binary": _binary, "pool": _pool, "mean": _mean,
    "softmax": _softmax, "nest": _nest, "accumulate": _accumulate, "nearest": _nearest, "bilinear": _bilinear,
}  # fmt: skip
