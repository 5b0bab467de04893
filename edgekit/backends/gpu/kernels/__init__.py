"""Functions for the loop nests of :mod:`edgekit.codegen`, written for GPUs.

The text is OpenCL C, and CUDA C++ behind a prelude (:mod:`edgekit.backends.gpu.dialect`).
A function takes its arguments in the call's order (inputs, constants, output), each as a buffer and an offset in
bytes. Shapes, corners and limits are literals. One work-item computes a tile of pixels by a few vectors of channels;
arithmetic is float32.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.backends.gpu.dialect import OPENCL, Dialect
from edgekit.backends.gpu.kernels import convolutions, elements, strided, windows
from edgekit.backends.gpu.kernels.common import Function, Types
from edgekit.codegen import loops
from edgekit.codegen.loops import Loops

__all__ = ["Function", "Source", "make", "supported"]

C_TYPES = {"float32": "float", "float16": "half", "int32": "int"}
STRIDED = (loops.Nest, loops.Accumulate)
"""Loops whose arguments are rows of elements; constants may be anywhere among them."""


@dataclass(frozen=True)
class Source(Loops):
    """A function that somebody else wrote.

    :param text: of a function ``NAME`` that takes pointers. :param c_types: of the arguments in the call's order.
    :param call: the function's order. :param written: how many of the arguments, the last, are results.
    :param items: work-items.
    """

    template = "source"
    function: str
    shape: tuple[int, ...]
    text: str
    c_types: tuple[str, ...]
    call: tuple[int, ...]
    written: int
    items: int
    flops: int


def make(
    nest: Loops, name: str, arguments: Sequence[tuple[bool, str]], made: str = "float32", dialect: Dialect = OPENCL
) -> tuple[str, Function]:
    """Return the source of a function called ``name``.

    :param arguments: of each input and constant, in the call's order: whether it is a constant, and its dtype.
    :param made: dtype of the output.
    """
    if isinstance(nest, Source):
        return source(nest, name, dialect)
    inputs = sum(not constant for constant, _ in arguments)
    names = [f"w{n - inputs}" if n >= inputs else f"a{n}" for n in range(len(arguments))]
    if isinstance(nest, STRIDED):
        names = [f"v{n}" for n in range(len(arguments))]
    types = {n: dtype for n, (_, dtype) in zip(names, arguments, strict=True)} | {"d": made}
    body = TEMPLATES[type(nest)](nest, types)
    heads, lines = [], []
    for n, dtype in types.items():
        kind = C_TYPES[dtype] if n == "d" else f"const {C_TYPES[dtype]}"
        heads.append(f"__global {kind} *restrict {n}_, uint {n}_at")
        lines.append(f"  __global {kind} *{n} = {n}_ + {n}_at / {2 if dtype == 'float16' else 4};\n")
    given = ",\n    ".join(heads)
    text = "".join([dialect.guard(body.size), *lines, body.body])
    return f"__kernel void {name}(\n    {given}) {{\n{text}}}\n", body


SELECT = "#define EK_SELECT(otherwise, then, condition) ((condition) ? (then) : (otherwise))\n"


def source(nest: Source, name: str, dialect: Dialect) -> tuple[str, Function]:
    """The function, its arguments as pointers, and the kernel that calls it."""
    types, results = nest.c_types, len(nest.c_types) - nest.written
    heads = [f"__global {'' if n >= results else 'const '}char *v{n}_, uint v{n}_at" for n in range(len(types))]
    given = [f"(__global {types[n]} *)(v{n}_ + v{n}_at)" for n in nest.call]
    size = (nest.items, 1, 1)
    body = dialect.function + nest.text.replace("void NAME(", f"void {name}_loops(", 1)
    head = f"__kernel void {name}(\n    " + ",\n    ".join(heads)
    call = f"{dialect.guard(size)}  {name}_loops({', '.join(given)});\n"
    return f"{SELECT}{body}{head}) {{\n{call}}}\n", Function(call, size, nest.flops)


def supported(nest: Loops) -> bool:
    """Whether there is a function for it: all of them compute in floats."""
    if {nest.dtype, *getattr(nest, "dtypes", ()), getattr(nest, "given", "float32")} != {"float32"}:
        return False
    if isinstance(nest, loops.Accumulate):
        return nest.kind in strided.JOINED
    if isinstance(nest, loops.Map):
        return nest.function in elements.MAPS
    if isinstance(nest, loops.Binary) or (isinstance(nest, loops.Nest) and nest.function != "copy"):
        return nest.function in elements.BINARIES
    return type(nest) in TEMPLATES


TEMPLATES: dict[type[Loops], Callable[[Any, Types], Function]] = {
    loops.Conv: convolutions.conv,
    loops.Depthwise: convolutions.depthwise,
    loops.Map: elements.mapped,
    loops.Binary: elements.binary,
    loops.Pool: windows.pool,
    loops.Mean: windows.mean,
    loops.Softmax: windows.softmax,
    loops.Nest: strided.nest,
    loops.Accumulate: strided.accumulate,
    loops.Nearest: strided.nearest,
    loops.Bilinear: strided.bilinear,
}
"""What writes the text of each kind of loops."""
