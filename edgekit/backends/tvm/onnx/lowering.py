"""Graph of ONNX operators -> Program: TVM's loops, made in a child, over a storage a tensor."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import sandbox
from edgekit.backends import Unsupported
from edgekit.backends.tvm.program import Kernel, Program, Storage, View
from edgekit.errors import ModelError
from edgekit.graph.onnx_operators import PREFIX, from_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.graph import Graph, Tensor

TASK = "edgekit.backends.tvm.onnx.child:lower"
PRELOAD = ("onnx", "onnx.reference", "onnx.shape_inference", "tvm", "tvm.relax.frontend.onnx")
LIMITS = sandbox.Limits(seconds=600, memory_mb=8192)
REMEDY = "export the model without that operator"
_KEPT = 4


@dataclass(frozen=True)
class Found:
    """What the child said of a Graph: each operator's calls, or why it is refused; functions; constants."""

    nodes: list[dict[str, Any]]
    functions: list[str]
    constants: dict[str, NDArray[Any]]


_found: dict[str, Found] = {}
_lock = threading.Lock()


def unsupported(graph: Graph) -> list[Unsupported]:
    """Operators that TVM's ONNX frontend does not make loops of."""
    odd = [n for n, operator in enumerate(graph.operators) if not from_onnx(operator)]
    if odd:
        op = graph.operators[odd[0]].op
        return [Unsupported(odd[0], op, "it stands among operators of ONNX", "keep the network in one kind")]
    return [
        Unsupported(number, graph.operators[number].op, entry["refused"], REMEDY)
        for number, entry in enumerate(calls(graph).nodes)
        if "refused" in entry
    ]


def calls(graph: Graph) -> Found:
    """Ask the child, once for each Graph.

    :raises ModelError: if TVM crashes on it.
    """
    nodes, arrays = _described(graph)
    key = _digest(nodes, arrays)
    with _lock:
        if key not in _found:
            while len(_found) >= _KEPT:
                del _found[next(iter(_found))]
            _found[key] = _ask(nodes, arrays)
        return _found[key]


def _ask(nodes: list[dict[str, Any]], arrays: dict[str, NDArray[Any]]) -> Found:
    try:
        found, made = sandbox.call(TASK, {"nodes": nodes}, arrays, limits=LIMITS, preload=PRELOAD)
    except sandbox.ChildDied as death:
        raise ModelError(f"TVM {death.reason} on this network", "export it another way") from death
    functions = [made.pop(f"f{n}").tobytes().decode() for n in range(found["functions"])]
    return Found(found["nodes"], functions, made)


def _described(graph: Graph) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    arrays: dict[str, NDArray[Any]] = {}
    nodes = []
    for number, operator in enumerate(graph.operators):
        arrays[f"options{number}"] = np.frombuffer(operator.custom_options, np.uint8)
        nodes.append({
            "op": operator.op.removeprefix(PREFIX), "options": f"options{number}",
            "inputs": [_about(graph.tensors[i], i, arrays) if i >= 0 else None for i in operator.inputs],
            "outputs": [[graph.tensors[i].dtype, list(graph.tensors[i].shape)] for i in operator.outputs],
        })  # fmt: skip
    return nodes, arrays


def _about(tensor: Tensor, index: int, arrays: dict[str, NDArray[Any]]) -> list[Any]:
    key = None
    if tensor.data is not None and tensor.elements:
        key = f"tensor{index}"
        arrays[key] = tensor.array()
    return [tensor.dtype, list(tensor.shape), key]


def _digest(nodes: list[dict[str, Any]], arrays: dict[str, NDArray[Any]]) -> str:
    total = hashlib.sha256(repr(nodes).encode())
    for name, values in arrays.items():
        total.update(name.encode())
        total.update(np.ascontiguousarray(values).data)
    return total.hexdigest()


def lower(graph: Graph) -> Program:
    """Put the calls together.

    :raises ModelError: naming the first operator that cannot be compiled.
    """
    if missing := unsupported(graph):
        first = missing[0]
        raise ModelError(f"operator {first.index} ({first.operator}) cannot be compiled: {first.reason}", first.remedy)
    found = calls(graph)
    program = Program()
    storages: dict[int, int] = {}
    tensors = graph.tensors
    for index in dict.fromkeys(graph.main.inputs):
        storages[index] = program.add(Storage("input", tensors[index].nbytes, dtype=tensors[index].dtype))
    constants: dict[int, View] = {}

    def view(index: int) -> View:
        tensor = tensors[index]
        if tensor.data is not None:
            if index not in constants:
                constants[index] = program.constant(tensor.array())
            return constants[index]
        if index not in storages:
            storages[index] = program.add(Storage("arena", tensor.nbytes, dtype=tensor.dtype))
        return View(storages[index], tensor.shape, tensor.dtype)

    for number, (operator, entry) in enumerate(zip(graph.operators, found.nodes, strict=True)):
        temporaries = [
            View(program.add(Storage("arena", View(0, tuple(shape), dtype).nbytes, dtype=dtype)), tuple(shape), dtype)
            for dtype, shape in entry["temporaries"]
        ]
        own = [program.constant(found.constants[key]) for key in entry["constants"]]
        for function, arguments in entry["calls"]:
            args = []
            for kind, place in arguments:
                if kind == "in":
                    args.append(view(operator.inputs[place]))
                elif kind == "out":
                    args.append(view(operator.outputs[place]))
                else:
                    args.append((temporaries if kind == "temporary" else own)[place])
            params = {
                "function": operator.op.removeprefix(PREFIX).lower(), "shape": list(args[-1].shape),
                "loops": found.functions[function],
            }  # fmt: skip
            program.kernels.append(Kernel("tir", params, number, tuple(args)))
    program.inputs = [storages[i] for i in graph.main.inputs]
    program.outputs = [storages[i] for i in graph.main.outputs]
    return program
