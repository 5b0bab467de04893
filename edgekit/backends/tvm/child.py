"""The child's side of the TVM backend: makes an object file of a program's kernels."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

TASK = f"{__name__}:compile_kernels"


def compile_kernels(
    args: dict[str, Any], arrays: dict[str, Any], folder: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Compile each of ``functions`` (``name``, ``loops``, ``trace``) for ``target`` (TVM's).

    :returns: TVM's version; ``unfit``, the functions whose trace does not fit; ``scratch`` and ``part_scratch``, the
        bytes that functions ask for while they run, and those that the bodies of their parallel loops ask for; the
        object file's bytes, in which function NAME is the symbol ``__tvm_ffi_NAME``.
    """
    tempfile.tempdir = str(folder)  # the only place a child may write
    import tvm

    from edgekit.backends.tvm.templates import make
    from edgekit.codegen.loops import decoded

    made, unfit = {}, []
    for entry in args["functions"]:
        function, fits = make(decoded(entry["loops"]), entry["trace"])
        unfit += [] if fits else [entry["name"]]
        made[entry["name"]] = function.with_attr("global_symbol", entry["name"])
    # The kernels are called by one caller, with the arguments that they were made for.
    with tvm.transform.PassContext(config={"tirx.disable_assert": True}):
        library = tvm.compile(tvm.IRModule(made), target=tvm.target.Target(args["target"]))
    path = folder / "kernels.o"
    library.mod.write_to_file(str(path))
    scratch, part_scratch = scratch_bytes(library.mod.inspect_source("ll"))
    described = {"tvm": tvm.__version__, "unfit": unfit, "scratch": scratch, "part_scratch": part_scratch}
    return described, {"object": np.frombuffer(path.read_bytes(), np.uint8)}


_LOOP = r"__tvm_parallel_lambda(?:\.\d+)?"
"""The function that TVM makes of a parallel loop's body; it is named in the function that starts the loop."""


def scratch_bytes(ir: str) -> tuple[dict[str, int], dict[str, int]]:
    """Return how many bytes each function of a module may hold at once, in pieces at multiples of 64.

    TVM keeps small tiles on the stack and asks ``TVMBackendAllocWorkspace`` for larger ones; sizes are constants, and a
    piece is freed before its line runs again, so the sum over the calls in a function is enough.

    :param ir: LLVM's text.
    :returns: bytes by function, those in its parallel loops included; and bytes in its parallel loops alone.
    :raises ValueError: if a call of the allocator is not as TVM 0.27 writes it.
    """
    asked, loops = _asked(ir)
    whole: dict[str, int] = {}
    parts: dict[str, int] = {}
    for name, own in asked.items():
        inside = max((asked[loop] for loop in loops[name]), default=0)
        kernel = name.removeprefix("__tvm_ffi_").removesuffix("_compute_")
        if inside:
            parts[kernel] = max(inside, parts.get(kernel, 0))
        if own + inside:
            whole[kernel] = max(own + inside, whole.get(kernel, 0))
    return {k: v for k, v in whole.items() if not re.fullmatch(_LOOP, k)}, parts


def _asked(ir: str) -> tuple[dict[str, int], dict[str, list[str]]]:
    """By function: the bytes that its own calls of the allocator ask for; the parallel loops that it starts."""
    asked: dict[str, int] = {}
    loops: dict[str, list[str]] = {}
    for name, body in re.findall(r"^define [^@]*@([\w.]+)\(.*?$(.*?)^\}", ir, re.MULTILINE | re.DOTALL):
        pointers = re.findall(r"(%[\w.]+) = load ptr, ptr @__TVMBackendAllocWorkspace\b", body)
        total = 0
        for pointer in pointers:
            calls = re.findall(rf"call [^\n]*?{re.escape(pointer)}\(([^\n]*)", body)
            sizes = [re.match(r"i32 [^,]+, i32 [^,]+, i64 (\d+),", call) for call in calls]
            if not sizes or None in sizes:
                raise ValueError(f"the function {name} asks for memory in an unknown way")
            total += sum(-(-int(size[1]) // 64) * 64 for size in sizes if size)
        asked[name], loops[name] = total, re.findall(rf"@({_LOOP})\b", body)
    return asked, loops
