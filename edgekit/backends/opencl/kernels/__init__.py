"""OpenCL C of each template: what :mod:`edgekit.backends.tvm.lowering` lowers to, written for GPUs.

A function takes its arguments in the kernel's order (inputs, constants, output), each as a buffer and an offset in
bytes. Shapes, corners and limits are literals. One work-item computes a tile of pixels by a few vectors of channels;
arithmetic is float32. A convolution compares coordinates where it reads beyond its input: on a GPU that costs less than
a border, which needs launches to fill it and to copy pictures into it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from edgekit.backends.opencl.kernels import convolutions, elements, strided, windows
from edgekit.backends.opencl.kernels.common import Function, Params

__all__ = ["Function", "make", "supported"]

C_TYPES = {"float32": "float", "float16": "half", "int32": "int"}
STRIDED = ("nest", "accumulate")
"""Templates whose arguments are rows of elements; constants may be anywhere among them."""


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
        return params["function"] in elements.MAPS
    if template == "binary" or (template == "nest" and params["function"] != "copy"):
        return params["function"] in elements.BINARIES
    return template in TEMPLATES


TEMPLATES: dict[str, Callable[[Params, Sequence[str]], Function]] = {
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
