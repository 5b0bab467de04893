"""Networks whose shapes, options and constants contradict one another: every backend refuses them in words, or not.

What a file says is changed at random, operator by operator. A backend may still find the network sound; what it may not
do is to stumble: anything but a plan, a list of reasons or a ModelError is a bug.
"""

from __future__ import annotations

import copy
from dataclasses import is_dataclass
from typing import Any

import numpy as np
import pytest

from edgekit import plugins, target
from edgekit.backends import Planned
from edgekit.backends.tvm import Plan
from edgekit.backends.tvm.processors import processor
from edgekit.codegen.schedule import cpu
from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator, Quantization, Tensor
from tests.ops.cases import FAMILIES, family

BACKENDS = ["litert", "tvm", "opencl", "cuda-f16", "coreml", "tensorrt", "edgetpu", "android"]
DAMAGES = 400


def damaged(graph: Graph, rng: np.random.Generator) -> Graph:
    """One or two things of the network changed."""
    graph = copy.deepcopy(graph)
    for _ in range(int(rng.integers(1, 3))):
        number = int(rng.integers(len(graph.operators)))
        operator = graph.operators[number]
        kind = rng.choice(["options", "field", "inputs", "outputs", "shape", "constant", "dtype", "quantization", "op"])
        index = int(rng.choice([i for i in (*operator.inputs, *operator.outputs) if i >= 0]))
        tensor = graph.tensors[index]
        if kind == "options":
            operator.options = None
        elif kind == "field":
            _field(operator, rng)
        elif kind == "inputs":
            keep = int(rng.integers(0, len(operator.inputs) + 1))
            operator.inputs = (*operator.inputs[:keep], *([-1] * int(rng.integers(0, 2))))
        elif kind == "outputs":
            operator.outputs = operator.outputs[: int(rng.integers(0, len(operator.outputs) + 1))]
        elif kind == "shape":
            shape = list(tensor.shape)
            place = int(rng.integers(0, len(shape) + 1))
            if place == len(shape):
                shape.append(int(rng.integers(0, 4)))
            elif rng.random() < 0.3:
                del shape[place]
            else:
                shape[place] = int(rng.choice([0, 1, 2, 3, 7, -1]))
            _reshape(tensor, tuple(shape))
        elif kind == "constant" and tensor.data is not None and tensor.dtype in ("int32", "int64"):
            values = tensor.array().copy()
            values[...] = rng.integers(-9, 9, values.shape)
            tensor.data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        elif kind == "dtype":
            tensor.dtype = str(rng.choice(["float32", "int8", "int32", "bool", "uint8", "int16", "string"]))
            _reshape(tensor, tensor.shape)
        elif kind == "quantization":
            tensor.quantization = _quantization(tensor, rng)
        elif kind == "op":
            operator.op = graph.operators[int(rng.integers(len(graph.operators)))].op
    return graph


def _field(operator: Operator, rng: np.random.Generator) -> None:
    options = operator.options
    names = [n for n in vars(options) if isinstance(getattr(options, n), int | float)] if options is not None else []
    if names and not is_dataclass(options):
        setattr(options, str(rng.choice(names)), int(rng.choice([-7, -1, 0, 1, 2, 3, 9])))


def _quantization(tensor: Tensor, rng: np.random.Generator) -> Quantization | None:
    """None, one that says nothing, or one that a reader would accept."""
    count = int(rng.choice([0, 1, *tensor.shape[-1:]]))
    scale = rng.uniform(0.001, 1, count).astype(np.float32)
    zero_point = rng.integers(-9, 9, count)
    return None if rng.random() < 0.3 else Quantization(scale, zero_point, max(0, len(tensor.shape) - 1))


def _reshape(tensor: Any, shape: tuple[int, ...]) -> None:
    """As a reader would accept it: constants have as many bytes as their shape needs."""
    tensor.shape = shape
    if tensor.data is not None:
        tensor.shape = tuple(max(0, n) for n in shape)
        tensor.data = np.resize(tensor.data, tensor.nbytes) if tensor.data.size else np.zeros(tensor.nbytes, np.uint8)


@pytest.mark.parametrize("name", BACKENDS)
def test_a_backend_does_not_stumble(name: str) -> None:
    backend = plugins.get("backends", name)
    board = next(b for b in map(target.load, target.names()) if name in b.backends)
    networks = [family(name) for name in FAMILIES]
    rng = np.random.default_rng(list(name.encode()))
    refused = 0
    for number in range(DAMAGES):
        graph = damaged(networks[number % len(networks)], rng)
        try:
            plan = backend.plan(graph, board)
        except ModelError:
            refused += 1
            continue
        assert isinstance(plan, Planned | list)
        if isinstance(plan, Plan) and plan.network is not None:  # the other backends schedule as they plan
            cpu.schedule(plan.network, processor(board).machine)
        refused += isinstance(plan, list)
    assert refused  # the damage is not all harmless
