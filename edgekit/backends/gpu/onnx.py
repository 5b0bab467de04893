"""Networks in ONNX's operators on GPUs: the loops of TVM's ONNX frontend, each nest a kernel."""

from __future__ import annotations

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


def program(graph: Graph, machine: Machine) -> Program | list[Unsupported]:
    """Return the program of :class:`~edgekit.backends.gpu.kernels.Source` functions, or the unsupported operators.

    These are the operators that TVM's ONNX frontend does not turn into loops, or whose loops are not suitable for GPUs.
    """
    nodes = onnx.analysed(graph)
    if isinstance(nodes, list):
        return nodes
    made = onnx.program(graph, nodes, machine)
    functions = _functions(made)
    missing: dict[int, str] = {}
    for call, function in zip(made.calls, functions, strict=True):
        odd = next((one.dtype for one in call.args if one.dtype not in TYPES), "")
        reason = f"edgekit's GPU backends have no {odd}" if odd else function.get("refused", "")
        if reason:
            missing.setdefault(call.node, reason)
    if missing:
        return [Unsupported(node, graph.operators[node].op, reason, REMEDY) for node, reason in missing.items()]
    calls, made.calls = made.calls, []
    for call, function in zip(calls, functions, strict=True):
        between = []
        for dtype, shape in function["temporaries"]:
            one = Argument(0, tuple(shape), dtype)
            between.append(Argument(made.add(Buffer("arena", one.nbytes, dtype=dtype)), one.shape, dtype))
        made.calls += [_call(call, part, between) for part in function["parts"]]
    return made


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


def _functions(program: Program) -> list[dict[str, Any]]:
    """What the child says of each call's function; equal functions are asked about once.

    :raises ModelError: if TVM crashes on the network.
    """
    texts = tuple(dict.fromkeys(_frontend(call).loops for call in program.calls))
    arrays = {f"f{number}": np.frombuffer(text.encode(), np.uint8) for number, text in enumerate(texts)}
    try:
        said, _ = sandbox.call(TASK, {"functions": len(texts)}, arrays, limits=onnx.LIMITS, preload=onnx.PRELOAD)
    except sandbox.ChildDied as death:
        raise ModelError(f"TVM {death.reason} on this network", "export it another way") from death
    answers: dict[str, dict[str, Any]] = dict(zip(texts, said["functions"], strict=True))
    return [answers[_frontend(call).loops] for call in program.calls]
