"""Element by element."""

from __future__ import annotations

import itertools
from collections.abc import Callable

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
    "gelu_tanh": "{0} * 0.5f * (1.0f + tanh(({0} + {0} * {0} * {0} * 0.044715f) * 0.7978845608f))",
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
    "floor_div": "floor({0} / {1})",
    "floor_mod": "({0} - floor({0} / {1}) * {1})",
    "pow": "pow({0}, {1})",
    "prelu": "fmax({0}, 0.0f) + fmin({0}, 0.0f) * {1}",
}


def _elements(p: loops.Elements, types: Types, value: Callable[[list[str], int], str], flops: int) -> Function:
    """``value`` of the elements at the same place of all inputs; the variable ``c`` is the channel."""
    height, width, count = p.shape
    lanes = lanes_of(count)
    kind = vector(lanes)
    lines = [f"const int c = get_global_id(0) * {lanes}, x = get_global_id(1), y = get_global_id(2);"]
    names = [f"e{n}" for n in range(len(p.inputs))]
    for n, spec in enumerate(p.inputs):
        lines.append(f"const {kind} e{n} = {load(types, lanes, f'a{n}', place(spec, 'y', 'x', 'c'))};")
    lines.append(f"const {kind} made = {value(names, lanes)};")
    lines.append(store(types, lanes, "made", place(p.output, "y", "x", "c")))
    return Function(indented(lines), (count // lanes, width, height), flops * height * width * count)


def mapped(p: loops.Map, types: Types) -> Function:
    """Write a function of one operand, element by element."""
    form = MAPS[p.function]
    flops = 0 if p.function == "copy" else form.count("f(") + form.count(" * ") + form.count(" / ") or 1
    alpha = number(p.alpha)
    return _elements(p, types, lambda names, lanes: form.format(names[0], vector(lanes), alpha), flops)


def binary(p: loops.Binary, types: Types) -> Function:
    """Write a function of two operands, element by element."""
    low, high = p.limits

    def value(names: list[str], lanes: int) -> str:
        maps, kept, sides = iter(names), itertools.count(), []
        for kind in p.kinds:
            if kind == "map":
                sides.append(next(maps))
            elif kind == "scalar":
                sides.append(f"({vector(lanes)})({load(types, 1, f'w{next(kept)}', '0')})")
            else:
                sides.append(load(types, lanes, f"w{next(kept)}", "c"))
        return clamped(f"({BINARIES[p.function].format(*sides)})", low, high, lanes)

    return _elements(p, types, value, 1)
