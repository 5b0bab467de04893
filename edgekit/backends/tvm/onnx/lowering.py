"""Graph of ONNX operators -> Program: TVM's loops, made in a child, over one buffer per tensor."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import sandbox
from edgekit.backends import Unsupported
from edgekit.backends.tvm.onnx.loops import Frontend
from edgekit.codegen.program import Argument, Buffer, Call, Program
from edgekit.errors import ModelError
from edgekit.graph.onnx_operators import PREFIX, from_onnx

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.codegen.schedule.machine import Machine
    from edgekit.graph import Graph

TASK = "edgekit.backends.tvm.onnx.child:lower"
PRELOAD = ("onnx", "onnx.reference", "onnx.shape_inference", "tvm", "tvm.relax.frontend.onnx")
LIMITS = sandbox.Limits(seconds=600, memory_mb=8192)
REMEDY = "export the model without that operator"


@dataclass(frozen=True)
class Found:
    """What the child said of a node: its calls, each with the function's JSON; or why it is refused.

    :param calls: functions and their arguments, as :class:`.child.Lowered` has them, with the functions' JSON.
    """

    refused: str = ""
    calls: tuple[tuple[str, list[tuple[str, int]]], ...] = ()
    temporaries: tuple[tuple[str, tuple[int, ...]], ...] = ()
    constants: tuple[NDArray[Any], ...] = ()


def analysed(graph: Graph) -> tuple[Found, ...] | list[Unsupported]:
    """What TVM's ONNX frontend makes of each operator; or those that it makes no loops of.

    :raises ModelError: if TVM crashes on the network.
    """
    odd = [n for n, operator in enumerate(graph.operators) if not from_onnx(operator)]
    if odd:
        op = graph.operators[odd[0]].op
        return [Unsupported(odd[0], op, "it stands among operators of ONNX", "keep the network in one kind")]
    if importlib.util.find_spec("tvm") is None:
        op = graph.operators[0].op
        return [Unsupported(0, op, "TVM is not installed", "install it: pip install 'edgekit[tvm]'")]
    described = [_described(graph, number) for number in range(len(graph.operators))]
    keys = [_digest(*one) for one in described]
    answers = _ask(dict(zip(keys, described, strict=True)))  # equal operators are asked about once
    missing = [
        Unsupported(number, graph.operators[number].op, answers[key].refused, REMEDY)
        for number, key in enumerate(keys)
        if answers[key].refused
    ]
    return missing or tuple(answers[key] for key in keys)


Described = tuple[dict[str, Any], "dict[str, NDArray[Any]]"]


def _ask(new: dict[str, Described]) -> dict[str, Found]:
    if not new:
        return {}
    nodes: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {}
    for number, (node, values) in enumerate(new.values()):
        nodes.append({**node, "number": number})
        arrays.update({f"{number}/{name}": array for name, array in values.items()})
    try:
        said, made = sandbox.call(TASK, {"nodes": nodes}, arrays, limits=LIMITS, preload=PRELOAD)
    except sandbox.ChildDied as death:
        raise ModelError(f"TVM {death.reason} on this network", "export it another way") from death
    functions = [made[f"f{n}"].tobytes().decode() for n in range(said["functions"])]
    return {key: _answer(entry, functions, made) for key, entry in zip(new, said["nodes"], strict=True)}


def _answer(entry: dict[str, Any], functions: list[str], made: dict[str, NDArray[Any]]) -> Found:
    if "refused" in entry:
        return Found(entry["refused"])
    return Found(
        "",
        tuple((functions[f], [(kind, place) for kind, place in arguments]) for f, arguments in entry["calls"]),
        tuple((dtype, tuple(shape)) for dtype, shape in entry["temporaries"]),
        tuple(made[key] for key in entry["constants"]),
    )


def _described(graph: Graph, number: int) -> Described:
    """An operator for the child, and the arrays that go with it."""
    operator, tensors = graph.operators[number], graph.tensors
    arrays: dict[str, NDArray[Any]] = {"options": np.frombuffer(operator.custom_options, np.uint8)}
    inputs: list[list[Any] | None] = []
    for place, index in enumerate(operator.inputs):
        if index < 0:
            inputs.append(None)
            continue
        tensor = tensors[index]
        known = tensor.data is not None and tensor.elements > 0
        if known:
            arrays[f"input{place}"] = tensor.array()
        inputs.append([tensor.dtype, list(tensor.shape), f"input{place}" if known else None])
    outputs = [[tensors[i].dtype, list(tensors[i].shape)] for i in operator.outputs]
    return {"op": operator.op.removeprefix(PREFIX), "inputs": inputs, "outputs": outputs}, arrays


def _digest(node: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> str:
    total = hashlib.sha256(repr(node).encode())
    for name, values in arrays.items():
        total.update(name.encode())
        total.update(np.ascontiguousarray(values).data)
    return total.hexdigest()


def program(graph: Graph, nodes: Sequence[Found], machine: Machine) -> Program:
    """Put the calls of all operators together."""
    made = Program()
    buffers: dict[int, int] = {}
    tensors = graph.tensors
    for index in dict.fromkeys(graph.main.inputs):
        buffers[index] = made.add(Buffer("input", tensors[index].nbytes, dtype=tensors[index].dtype))
    constants: dict[int, Argument] = {}

    def argument(index: int) -> Argument:
        tensor = tensors[index]
        if tensor.data is not None:
            if index not in constants:
                constants[index] = made.constant(tensor.array())
            return constants[index]
        if index not in buffers:
            buffers[index] = made.add(Buffer("arena", tensor.nbytes, dtype=tensor.dtype))
        return Argument(buffers[index], tensor.shape, tensor.dtype)

    for number, (operator, entry) in enumerate(zip(graph.operators, nodes, strict=True)):
        temporaries = [
            Argument(made.add(Buffer("arena", Argument(0, shape, dtype).nbytes, dtype=dtype)), shape, dtype)
            for dtype, shape in entry.temporaries
        ]
        own = [made.constant(values) for values in entry.constants]
        for function, arguments in entry.calls:
            args = []
            for kind, place in arguments:
                if kind == "in":
                    args.append(argument(operator.inputs[place]))
                elif kind == "out":
                    args.append(argument(operator.outputs[place]))
                else:
                    args.append((temporaries if kind == "temporary" else own)[place])
            out = args[-1]
            name = operator.op.removeprefix(PREFIX).lower()
            nest = Frontend(out.dtype, name, out.shape, function, machine.lanes, machine.registers)
            made.calls.append(Call(nest, number, tuple(args)))
    made.inputs = [buffers[i] for i in graph.main.inputs]
    made.outputs = [buffers[i] for i in graph.main.outputs]
    return made
