"""The child's side of ONNX operators on GPUs: TVM's loops, one thread per element, as OpenCL C by TVM's generator."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from edgekit.text.logs import last_line

THREADS = 64
_SIGNATURE = re.compile(r"__kernel void (\w+)\(([^)]*)\)\s*\{")
_ARGUMENT = re.compile(r"__global (?:const )?(\w+)\* *(?:restrict )?(\w+)")
_CALLED = re.compile(r"\b([A-Za-z_]\w*)\(")
_WORDS = {"if", "for", "while", "get_global_id", "EK_SELECT"}
FUNCTIONS = _WORDS | {
    "exp", "expm1", "erf", "tanh", "log", "sqrt", "rsqrt", "sin", "cos", "floor", "ceil", "rint", "fabs", "fmax",
    "fmin", "pow", "fma", "max", "min", "round", "trunc", "tan", "atan", "asin", "acos", "sinh", "cosh", "asinh",
    "acosh", "atanh", "log2", "log10", "exp2", "fmod", "isnan", "isinf", "convert_char", "convert_uchar",
    "convert_short", "convert_ushort", "convert_int", "convert_uint", "convert_long", "convert_ulong", "convert_float",
}  # fmt: skip
"""What both languages have (for CUDA: ``firmware_stubs/gpu/cuda/prelude.h``)."""
_DEVICE = ("threadIdx.x", "blockIdx.x")


class Refused(Exception):
    """Why loops do not go on a GPU."""


def kernels(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Task: make OpenCL C of each of the arrays ``f0``, ``f1``, ...: a function's JSON.

    A function becomes *parts*, one for each of its loop nests, because only a launch waits for all of the one before.

    :returns: for each function ``parts`` and ``temporaries`` (dtype and shape of what lies between them), or
        ``refused``. A part has ``text`` (a function called ``NAME``), ``arguments`` (``[type in C, kind, number]``
        each, in the text's order; kind ``given``: the function's own, or ``temporary``), ``written`` (places of
        arguments), ``items`` (work-items), ``flops``.
    """
    tempfile.tempdir = str(folder)  # the only place a child may write
    import tvm

    found = []
    for number in range(args["functions"]):
        try:
            found.append(_function(tvm.ir.load_json(arrays[f"f{number}"].tobytes().decode())))
        except Refused as refused:
            found.append({"refused": str(refused)})
        except Exception as error:  # TVM raises all kinds
            reason = last_line(str(error), type(error).__name__)
            found.append({"refused": f"TVM makes no kernel of it: {reason}"})
    return {"functions": found}, {}


def _function(function: Any) -> dict[str, Any]:
    import tvm
    from tvm import tirx
    from tvm.s_tir.dlight.gpu import Fallback

    target = tvm.target.Target(
        {"kind": "opencl", "max_num_threads": THREADS, "max_threads_per_block": THREADS}, host={"kind": "llvm"}
    )
    function = function.with_attr("global_symbol", "main")
    with target:
        schedule = Fallback().apply(function, target, False)
    if schedule is None:
        raise Refused("TVM has no schedule for it")
    scheduled = schedule.mod["main"]
    root = scheduled.body.block
    nests = list(root.body.seq) if isinstance(root.body, tirx.SeqStmt) else [root.body]
    given = {parameter: ("given", number) for number, parameter in enumerate(scheduled.params)}
    between = {buffer: ("temporary", number) for number, buffer in enumerate(root.alloc_buffers)}
    parts = [_part(scheduled, nest, {**given, **between}, target) for nest in nests]
    temporaries = []
    for buffer in root.alloc_buffers:
        kind = buffer.ty
        temporaries.append([str(kind.dtype), [int(size) for size in kind.shape]])
    return {"parts": parts, "temporaries": temporaries}


def _part(scheduled: Any, nest: Any, known: dict[Any, tuple[str, int]], target: Any) -> dict[str, Any]:
    """One loop nest as a function of its own."""
    import tvm
    import tvm_ffi
    from tvm import tirx

    block = type(scheduled.body.block)
    used: dict[Any, None] = {}
    written: set[Any] = set()
    extents = dict.fromkeys(_DEVICE, 1)
    flops = 0

    def on_block(found: Any) -> None:
        nonlocal flops
        for region in found.reads:
            used.setdefault(region.source)
        for region in found.writes:
            used.setdefault(region.source)
            written.add(region.source)
        count = 1
        for variable in found.iter_vars:
            count *= int(variable.dom.extent)
        flops += count * (2 if any(v.iter_type == tirx.IterVar.CommReduce for v in found.iter_vars) else 1)

    def on_loop(loop: Any) -> None:
        if loop.thread_binding is not None:
            extents[str(loop.thread_binding.thread_tag)] = int(loop.extent)

    tvm_ffi.structural_walk(nest, [(block, on_block), (tirx.For, on_loop)], order="post")
    if set(extents) != set(_DEVICE) or any(buffer not in known for buffer in used):
        raise Refused("its loops share memory")
    names = [f"ek{n}" for n in range(len(used))]
    renamed = {buffer: type(buffer)(name, buffer.ty) for buffer, name in zip(used, names, strict=True)}
    body = type(scheduled.body)([], True, block([], [], [], "root", _mapped(nest, renamed)))
    alone = tirx.PrimFunc(list(renamed.values()), body, ret_type=scheduled.ret_type, attrs=scheduled.attrs)
    alone = alone.with_attr("global_symbol", "part").with_attr("tirx.noalias", True)
    made = tvm.compile(tvm.IRModule({"part": alone}), target=target)
    text = "".join(one.inspect_source("cl") for one in made.mod.imports if one.kind == "opencl")
    types, order, source = _text(text, extents["threadIdx.x"])
    buffers = {f"{name}_ptr": buffer for name, buffer in zip(names, used, strict=True)}
    if set(order) - set(buffers):
        raise Refused("TVM renamed its arguments")
    places = [buffers[name] for name in order]
    return {
        "text": source, "items": extents["blockIdx.x"] * extents["threadIdx.x"], "flops": flops,
        "arguments": [[kind, *known[buffer]] for kind, buffer in zip(types, places, strict=True)],
        "written": [n for n, buffer in enumerate(places) if buffer in written],
    }  # fmt: skip


def _mapped(nest: Any, renamed: dict[Any, Any]) -> Any:
    """A loop nest with other variables."""
    from tvm.ir import Var
    from tvm_ffi.structural import structural_map

    return structural_map(nest, [(Var, lambda variable: renamed.get(variable, variable))])


def _text(source: str, threads: int) -> tuple[list[str], list[str], str]:
    """Types and names of the arguments, and the function as one that a kernel calls: ``NAME``, threads in one row."""
    heads = list(_SIGNATURE.finditer(source))
    if len(heads) != 1 or "__local" in source or "barrier(" in source or "double" in source:
        raise Refused("it needs what edgekit's GPU kernels lack (several launches, shared memory, float64)")
    head = heads[0]
    arguments = [_ARGUMENT.fullmatch(one.strip()) for one in head[2].split(",")]
    if not all(arguments):
        raise Refused("TVM gave it arguments that are not tensors")
    kinds = [(one[1], one[2]) for one in arguments if one]
    body = source[head.end() :]
    for word, row in (("get_group_id(0)", f"(get_global_id(0) / {threads})"),
                      ("get_local_id(0)", f"(get_global_id(0) % {threads})"),
                      ("select(", "EK_SELECT(")):  # fmt: skip
        body = body.replace(word, row)
    if missing := sorted(set(_CALLED.findall(body)) - FUNCTIONS):
        raise Refused(f"it calls {missing[0]}, which edgekit's GPU kernels lack")
    given = ", ".join(f"__global {kind} *{name}" for kind, name in kinds)
    return [kind for kind, _ in kinds], [name for _, name in kinds], f"void NAME({given}) {{{body.rstrip()}\n"
