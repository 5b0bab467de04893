"""The reference of networks of ONNX operators: ONNX's own reference implementation, node by node. For children only."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator, tflite
from edgekit.graph.onnx_operators import PREFIX, from_onnx
from edgekit.onnx.node import Refused, Spec, unpack
from edgekit.onnx.static import evaluate

HINT = "the samples may be outside of what it is defined for: pass --data that the network was made for"


def run_task(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Task: as :func:`edgekit.reference.litert.run_task`."""
    tempfile.tempdir = str(work)
    graph = tflite.read(Path(args["model"]))
    samples = [arrays[f"input{i}"] for i in range(len(arrays))]
    _check(graph, samples)
    results: dict[str, list[NDArray[Any]]] = {}
    for number in range(len(samples[0]) if samples else 1):
        values = _values(graph, [each[number] for each in samples])
        computed = {i for operator in graph.operators for i in operator.outputs}
        wanted = {f"output{n}": i for n, i in enumerate(graph.main.outputs)}
        if args["all_tensors"]:
            wanted = {f"tensor{i}": i for i in sorted(computed)}
        for name, index in wanted.items():
            results.setdefault(name, []).append(values[index])
    return {}, {name: np.stack(found) for name, found in results.items()}


def _values(graph: Graph, inputs: list[NDArray[Any]]) -> dict[int, NDArray[Any]]:
    """Every tensor's value for one sample."""
    values = {i: t.array() for i, t in enumerate(graph.tensors) if t.data is not None}
    values |= {i: np.zeros(t.shape, t.dtype) for i, t in enumerate(graph.tensors) if not t.elements}
    values |= dict(zip(graph.main.inputs, inputs, strict=True))
    for number, operator in enumerate(graph.operators):
        if not from_onnx(operator):
            raise ModelError(f"operator {number} ({operator.op}) stands among operators of ONNX")
        try:
            made = _computed(operator, values)
        except (Refused, ValueError) as error:
            raise ModelError(f"operator {number} ({operator.op}) cannot be computed: {error}", HINT) from error
        for index, value in zip(operator.outputs, made, strict=True):
            tensor = graph.tensors[index]
            if Spec.of(value) != Spec(tensor.dtype, tensor.shape):
                raise ModelError(f"operator {number} ({operator.op}) yields {Spec.of(value)}, not what the file says")
            values[index] = value
    return values


def _computed(operator: Operator, values: dict[int, NDArray[Any]]) -> list[NDArray[Any]]:
    op = operator.op.removeprefix(PREFIX)
    node, opset = unpack(operator.custom_options, op, len(operator.inputs), len(operator.outputs))
    given = {name: values[i] for name, i in zip(node.input, operator.inputs, strict=True) if name and i >= 0}
    made = evaluate(node, opset, given)
    return [made[name] for name in node.output if name]


def _check(graph: Graph, samples: list[NDArray[Any]]) -> None:
    if len(graph.inputs) != len(samples):
        raise ModelError(f"the model has {len(graph.inputs)} inputs, {len(samples)} were given")
    for tensor, values in zip(graph.inputs, samples, strict=True):
        if values.dtype.name != tensor.dtype or values.shape[1:] != tensor.shape or len(values) != len(samples[0]):
            raise ModelError(f"input {tensor.name!r} is {tensor.dtype} {list(tensor.shape)}, not {Spec.of(values)}")
