"""ONNX model -> Graph of ``ONNX_`` operators: nodes are made static in a child process, the Graph is assembled here."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.graph.onnx_operators import PREFIX
from edgekit.sandbox import answers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.graph import Graph

PRELOAD = ("onnx", "onnx.checker", "onnx.shape_inference", "onnx.reference")
HINT = "TFLite cannot take the model either; export it without that operator, or with fixed shapes"


def graphs(models: Sequence[bytes], shown: Sequence[str], limits: sandbox.Limits) -> list[Graph | ModelError]:
    """Return each model's Graph, or why there is none, naming the operator.

    :param models: serialized ModelProtos with fixed input shapes and without local functions.
    :param shown: the models' names in messages.
    """
    arrays = {f"model{n}": np.frombuffer(model, np.uint8) for n, model in enumerate(models)}
    try:
        found, values = sandbox.call(
            f"{__name__}:settle", {"count": len(models)}, arrays, limits=limits, preload=PRELOAD, form=_Answer
        )
    except sandbox.ChildDied as died:
        return [ModelError(f"{name} cannot be read: the ONNX library {died.reason} on it") for name in shown]
    with answers.consistent():
        return [
            ModelError(f"{name}: {entry['refused']}", HINT) if "refused" in entry else _graph(entry, values)
            for name, entry in zip(shown, found["models"], strict=True)
        ]


class _Refused(TypedDict):
    refused: str


class _Network(TypedDict):
    tensors: list[tuple[str, str, list[int], str | None]]
    operators: list[tuple[str, list[int], list[int], str]]
    inputs: list[int]
    outputs: list[int]


class _Answer(TypedDict):
    models: list[_Refused | _Network]


def _graph(entry: dict[str, Any], values: dict[str, NDArray[Any]]) -> Graph:
    from edgekit.graph import Graph, Operator, Signature, Subgraph, Tensor
    from edgekit.graph.check import check
    from edgekit.graph.schema import dtype_codes

    tensors = []
    for name, dtype, shape, key in entry["tensors"]:
        if dtype not in dtype_codes():
            raise ModelError(f"{answers.DAMAGED}: tensors of {dtype[:80]!r}")
        data = values[key].view(np.uint8).reshape(-1) if key else None
        tensors.append(Tensor(name, tuple(shape), dtype, data=data))
    operators = [
        Operator(PREFIX + op, tuple(given), tuple(made), custom=True, custom_options=base64.b64decode(options))
        for op, given, made, options in entry["operators"]
    ]
    main = Subgraph("main", tensors, operators, tuple(entry["inputs"]), tuple(entry["outputs"]))
    given, made = ({tensors[i].name: i for i in side} for side in (main.inputs, main.outputs))
    graph = Graph([main], [Signature("serving_default", given, made)])
    check(graph)
    return graph


# The child's side


def settle(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Task: settle each of ``model0``, ``model1``, ...; return their tensors and operators, constants as arrays."""
    from edgekit.onnx.node import Refused

    entries: list[dict[str, Any]] = []
    values: dict[str, Any] = {}
    for number in range(args["count"]):
        try:
            entries.append(_settled(arrays[f"model{number}"].tobytes(), number, values))
        except Refused as refused:
            entries.append({"refused": str(refused)})
    return {"models": entries}, values


def _settled(data: bytes, number: int, values: dict[str, Any]) -> dict[str, Any]:
    import onnx
    from onnx import numpy_helper

    from edgekit.onnx.node import DTYPES, pack
    from edgekit.onnx.static import Static, typed

    model = onnx.ModelProto.FromString(data)
    graph = model.graph
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
    static = Static(int(opset))
    for weight in graph.initializer:
        static.constants[weight.name] = numpy_helper.to_array(weight)
    inputs = [value for value in graph.input if value.name not in static.constants]
    for value in inputs:
        static.give(value.name, typed(value.name, value.type))
    outputs = [value.name for value in graph.output]
    static.settle(graph.node, outputs)
    names = [value.name for value in inputs]
    places: dict[str, int] = {}
    tensors: list[list[Any]] = []

    def place(name: str) -> int:
        if name not in places:
            known = static.constants.get(name) if name not in names else None
            key = None
            if known is not None:
                if known.dtype.name not in DTYPES:
                    raise ModelError(f"constant {name!r} holds {known.dtype.name} values")
                if known.size:
                    key = f"values{number}_{len(tensors)}"
                    values[key] = np.ascontiguousarray(known).reshape(-1)
            spec = static.spec(name)
            places[name] = len(tensors)
            tensors.append([name, spec.dtype, list(spec.shape), key])
        return places[name]

    given = [place(name) for name in names]
    operators = [
        [
            node.op_type,
            [place(name) if name else -1 for name in node.input],
            [place(name) for name in node.output if name],
            base64.b64encode(pack(node, static.opset)).decode(),
        ]
        for node in static.nodes
    ]
    made = [place(name) for name in outputs]
    return {"tensors": tensors, "operators": operators, "inputs": given, "outputs": made}
