"""Networks in ONNX's operators on GPUs: the loops of TVM's ONNX frontend, each nest a kernel."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import sandbox
from edgekit.backends import Unsupported
from edgekit.backends.tvm.onnx import lowering as onnx
from edgekit.backends.tvm.program import Kernel, Program, Storage, View
from edgekit.errors import ModelError

if TYPE_CHECKING:
    from edgekit.backends.tvm.layout import Machine
    from edgekit.graph import Graph

TASK = "edgekit.backends.gpu.onnx_child:kernels"
TYPES = ("float32", "int32", "int64", "int8", "uint8", "bool")
REMEDY = "use --backend tvm on a processor"


def unsupported(graph: Graph, machine: Machine) -> list[Unsupported]:
    """Operators that TVM's ONNX frontend does not make loops of, or whose loops are none for GPUs."""
    if missing := onnx.unsupported(graph):
        return missing
    program = onnx.lower(graph, machine)
    found: dict[int, str] = {}
    for kernel, made in zip(program.kernels, _made(program), strict=True):
        odd = next((view.dtype for view in kernel.args if view.dtype not in TYPES), "")
        reason = f"edgekit's GPU backends have no {odd}" if odd else made.get("refused", "")
        if reason:
            found.setdefault(kernel.node, reason)
    return [Unsupported(node, graph.operators[node].op, reason, REMEDY) for node, reason in found.items()]


def lower(graph: Graph, machine: Machine) -> Program:
    """The Program of kernels ``source``.

    :raises ModelError: naming the first operator that cannot be compiled.
    """
    program = onnx.lower(graph, machine)
    functions = _made(program)
    kernels, program.kernels = program.kernels, []
    for kernel, made in zip(kernels, functions, strict=True):
        if "refused" in made:
            op = graph.operators[kernel.node].op
            raise ModelError(f"operator {kernel.node} ({op}) cannot be compiled: {made['refused']}", REMEDY)
        between = []
        for dtype, shape in made["temporaries"]:
            view = View(0, tuple(shape), dtype)
            between.append(View(program.add(Storage("arena", view.nbytes, dtype=dtype)), view.shape, dtype))
        for part in made["parts"]:
            program.kernels.append(_kernel(kernel, part, between))
    return program


def _kernel(kernel: Kernel, part: dict[str, Any], between: list[View]) -> Kernel:
    args = [(kernel.args if kind == "given" else between)[number] for _, kind, number in part["arguments"]]
    # What is written comes last, as everywhere.
    order = sorted(range(len(args)), key=lambda n: n in part["written"])
    params = {
        "function": kernel.params["function"], "shape": list(args[order[-1]].shape), "text": part["text"],
        "c_types": [part["arguments"][n][0] for n in order], "call": [order.index(n) for n in range(len(args))],
        "written": len(part["written"]), "items": part["items"], "flops": part["flops"],
    }  # fmt: skip
    return Kernel("source", params, kernel.node, tuple(args[n] for n in order))


def _made(program: Program) -> list[dict[str, Any]]:
    texts = tuple(dict.fromkeys(str(kernel.params["loops"]) for kernel in program.kernels))
    answers = dict(zip(texts, _ask(texts), strict=True))
    return [answers[kernel.params["loops"]] for kernel in program.kernels]


@functools.lru_cache(maxsize=8)
def _ask(texts: tuple[str, ...]) -> list[dict[str, Any]]:
    """What the child says of each function.

    :raises ModelError: if TVM crashes on the network.
    """
    arrays = {f"f{number}": np.frombuffer(text.encode(), np.uint8) for number, text in enumerate(texts)}
    try:
        said, _ = sandbox.call(TASK, {"functions": len(texts)}, arrays, limits=onnx.LIMITS, preload=onnx.PRELOAD)
    except sandbox.ChildDied as death:
        raise ModelError(f"TVM {death.reason} on this network", "export it another way") from death
    found: list[dict[str, Any]] = said["functions"]
    return found
