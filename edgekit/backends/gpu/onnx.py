"""Networks in ONNX's operators on GPUs: the loops of TVM's ONNX frontend, each nest a kernel."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import sandbox
from edgekit.backends import Unsupported
from edgekit.backends.gpu.kernels import Source
from edgekit.backends.tvm.onnx import lowering as onnx
from edgekit.backends.tvm.onnx.loops import Frontend
from edgekit.codegen.program import Argument, Buffer, Call, Program
from edgekit.errors import ModelError

if TYPE_CHECKING:
    from edgekit.codegen.schedule.machine import Machine
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
    for call, made in zip(program.calls, _made(program), strict=True):
        odd = next((one.dtype for one in call.args if one.dtype not in TYPES), "")
        reason = f"edgekit's GPU backends have no {odd}" if odd else made.get("refused", "")
        if reason:
            found.setdefault(call.node, reason)
    return [Unsupported(node, graph.operators[node].op, reason, REMEDY) for node, reason in found.items()]


def lower(graph: Graph, machine: Machine) -> Program:
    """The Program of :class:`~edgekit.backends.gpu.kernels.Source` functions.

    :raises ModelError: naming the first operator that cannot be compiled.
    """
    program = onnx.lower(graph, machine)
    functions = _made(program)
    calls, program.calls = program.calls, []
    for call, made in zip(calls, functions, strict=True):
        if "refused" in made:
            op = graph.operators[call.node].op
            raise ModelError(f"operator {call.node} ({op}) cannot be compiled: {made['refused']}", REMEDY)
        between = []
        for dtype, shape in made["temporaries"]:
            one = Argument(0, tuple(shape), dtype)
            between.append(Argument(program.add(Buffer("arena", one.nbytes, dtype=dtype)), one.shape, dtype))
        for part in made["parts"]:
            program.calls.append(_call(call, part, between))
    return program


def _call(call: Call, part: dict[str, Any], between: list[Argument]) -> Call:
    args = [(call.args if kind == "given" else between)[number] for _, kind, number in part["arguments"]]
    # What is written comes last, as everywhere.
    order = sorted(range(len(args)), key=lambda n: n in part["written"])
    out = args[order[-1]]
    nest = Source(
        out.dtype, _frontend(call).function, out.shape, part["text"], tuple(part["arguments"][n][0] for n in order),
        tuple(order.index(n) for n in range(len(args))), len(part["written"]), part["items"], part["flops"],
    )  # fmt: skip
    return Call(nest, call.node, tuple(args[n] for n in order))


def _frontend(call: Call) -> Frontend:
    assert isinstance(call.loops, Frontend), call.loops
    return call.loops


def _made(program: Program) -> list[dict[str, Any]]:
    texts = tuple(dict.fromkeys(_frontend(call).loops for call in program.calls))
    answers = dict(zip(texts, _ask(texts), strict=True))
    return [answers[_frontend(call).loops] for call in program.calls]


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
