"""Functions for each template: what :mod:`edgekit.backends.tvm.lowering` lowers to, written for GPUs.

The text is OpenCL C, and CUDA C++ behind a prelude (:mod:`edgekit.backends.gpu.dialect`).
A function takes its arguments in the kernel's order (inputs, constants, output), each as a buffer and an offset in
bytes. Shapes, corners and limits are literals. One work-item computes a tile of pixels by a few vectors of channels;
arithmetic is float32. A convolution compares coordinates where it reads beyond its input: on a GPU that costs less than
a border, which needs launches to fill it and to copy pictures into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgekit.backends.gpu.dialect import OPENCL, Dialect
from edgekit.backends.gpu.kernels import convolutions, elements, strided, windows
from edgekit.backends.gpu.kernels.common import Function, Params

__all__ = ["Function", "make", "supported"]

C_TYPES = {"float32": "float", "float16": "half", "int32": "int"}
STRIDED = ("nest", "accumulate")
"""Templates whose arguments are rows of elements; constants may be anywhere among them."""


def make(
    template: str, params: Params, name: str, arguments: Sequence[tuple[bool, str]], made: str = "float32",
    dialect: Dialect = OPENCL,
) -> tuple[str, Function]:  # fmt: skip
    """Return the source of a function called ``name``.

    :param arguments: of each input and constant, in the kernel's order: whether it is a constant, and its dtype.
    :param made: dtype of the output.
    """
    if template == "source":
        return source(params, name, dialect)
    inputs = sum(not constant for constant, _ in arguments)
    names = [f"w{n - inputs}" if n >= inputs else f"a{n}" for n in range(len(arguments))]
    if template in STRIDED:
        names = [f"v{n}" for n in range(len(arguments))]
    types = {n: dtype for n, (_, dtype) in zip(names, arguments, strict=True)} | {"d": made}
    body = TEMPLATES[template]({**params, "types": types})
    heads, lines = [], []
    for n, dtype in types.items():
        kind = C_TYPES[dtype] if n == "d" else f"const {C_TYPES[dtype]}"
        heads.append(f"__global {kind} *restrict {n}_, uint {n}_at")
        lines.append(f"  __global {kind} *{n} = {n}_ + {n}_at / {2 if dtype == 'float16' else 4};\n")
    given = ",\n    ".join(heads)
    text = "".join([dialect.guard(body.size), *lines, body.body])
    return f"__kernel void {name}(\n    {given}) {{\n{text}}}\n", body


SELECT = "#define EK_SELECT(otherwise, then, condition) ((condition) ? (then) : (otherwise))\n"


def source(params: Params, name: str, dialect: Dialect) -> tuple[str, Function]:
    """A function that somebody else wrote, its arguments as pointers, and the kernel that calls it.

    :param params: ``text`` of a function ``NAME``, ``c_types`` of the arguments in the kernel's order, ``call``: the
        function's order, ``written``: how many of them, the last, are results.
    """
    types, results = params["c_types"], len(params["c_types"]) - params["written"]
    heads = [f"__global {'' if n >= results else 'const '}char *v{n}_, uint v{n}_at" for n in range(len(types))]
    given = [f"(__global {types[n]} *)(v{n}_ + v{n}_at)" for n in params["call"]]
    size = (params["items"], 1, 1)
    loops = dialect.function + params["text"].replace("void NAME(", f"void {name}_loops(", 1)
    head = f"__kernel void {name}(\n    " + ",\n    ".join(heads)
    call = f"{dialect.guard(size)}  {name}_loops({', '.join(given)});\n"
    return f"{SELECT}{loops}{head}) {{\n{call}}}\n", Function(call, size, params["flops"])


def supported(template: str, params: Params) -> bool:
    """Whether there is a function for it: all of them compute in floats."""
    if {params.get("dtype", "float32"), *params.get("dtypes", ())} != {"float32"}:
        return False
    if template == "accumulate":
        return params["kind"] in strided.JOINED
    if template == "map":
        return params["function"] in elements.MAPS
    if template == "binary" or (template == "nest" and params["function"] != "copy"):
        return params["function"] in elements.BINARIES
    return template in TEMPLATES


TEMPLATES: dict[str, Callable[[Params], Function]] = {
    "conv": convolutions.conv,
    "depthwise": convolutions.depthwise,
    "map": elements.mapped,
    "binary": elements.binary,
    "pool": windows.pool,
    "mean": windows.mean,
    "softmax": windows.softmax,
    "nest": strided.nest,
    "accumulate": strided.accumulate,
    "nearest": strided.nearest,
    "bilinear": strided.bilinear,
}
