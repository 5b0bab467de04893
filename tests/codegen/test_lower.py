"""Graph -> Network: what has no kernel is refused in words, never with an exception of another kind."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.codegen.lower import lower, unsupported_reason
from edgekit.codegen.schedule import cpu
from edgekit.codegen.schedule.machine import Machine
from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator, Quantization
from tests.networks.building import Pictures
from tests.networks.small import convolutional

EMPTY = Quantization(np.zeros(0, np.float32), np.zeros(0, np.int64))
EIGHT_SCALES = Quantization(np.full(8, 0.1, np.float32), np.zeros(8, np.int64), 3)
ONE_SCALE = Quantization(np.array([0.1], np.float32), np.array([3]))
TANH = 4
"""Of the schema's ActivationFunctionType; it does not clamp."""


def refused(graph: Graph, words: str) -> None:
    (operator,) = [o for o in graph.operators if words in unsupported_reason(graph, o)]
    with pytest.raises(ModelError, match=words) as error:
        lower(graph)
    assert operator.op in error.value.message


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda g: setattr(g.operators[0], "op", "WHERE"), "no kernel for it"),
        (lambda g: setattr(g.operators[0], "op", "WHILE"), "no kernel for loops and branches"),
        (lambda g: setattr(g.tensors[g.main.inputs[0]], "dtype", "int16"), "no kernel for int16"),
        (lambda g: setattr(g.tensors[g.main.inputs[0]], "shape", (2, 28, 28, 1)), "batch"),
        (lambda g: setattr(g.tensors[g.main.inputs[0]], "shape", (1, -1, 28, 1)), "not known"),
        (lambda g: setattr(g.operators[0].options, "fusedActivationFunction", 4), "activation"),
        (lambda g: setattr(g.tensors[g.operators[0].inputs[1]], "sparsity", object()), "not dense"),
    ],
)  # fmt: skip
def test_what_cannot_be_lowered_says_why(change: object, words: str) -> None:
    graph = convolutional()
    change(graph)  # type: ignore[operator]
    assert words in unsupported_reason(graph, graph.operators[0])
    with pytest.raises(ModelError, match=words):
        lower(graph)


def test_a_custom_operator_is_refused_by_name() -> None:
    n = Pictures()
    x, y = n.tensor((1, 4)), n.tensor((1, 4))
    n.operators.append(Operator("CONV_2D", (x,), (y,), custom=True))
    assert unsupported_reason(n.graph((x,), (y,)), n.operators[0])


@pytest.mark.parametrize("op", ["MAX_POOL_2D", "AVERAGE_POOL_2D", "ADD", "CONV_2D", "DEPTHWISE_CONV_2D"])
def test_an_activation_that_does_not_clamp_is_refused_of_every_operator(op: str) -> None:
    n = Pictures()
    x = n.tensor((1, 8, 8, 8))
    if op == "ADD":
        y = n.add2(op, x, x, activation=TANH)
    elif op == "CONV_2D":
        y = n.conv(x, 8, (3, 3), activation=TANH)
    elif op == "DEPTHWISE_CONV_2D":
        y = n.depthwise(x, (3, 3), activation=TANH)
    else:
        y = n.pool(op, x, (2, 2), (2, 2), True, activation=TANH)
    refused(n.graph((x,), (y,)), "activation")


@pytest.mark.parametrize("quantization", [None, EMPTY], ids=["none", "empty"])
@pytest.mark.parametrize("op", ["ADD", "MUL", "PRELU", "LESS"])
def test_integers_without_a_scale_are_not_computed_with(op: str, quantization: Quantization | None) -> None:
    n = Pictures()
    x = n.tensor((1, 4, 4, 8), "int8", quantization=ONE_SCALE)
    constant = n.constant(np.ones(8, np.int8), quantization=quantization)
    y = n.add(op, (x, constant), (1, 4, 4, 8), "bool" if op == "LESS" else "int8")
    n.tensors[y].quantization = None if op == "LESS" else ONE_SCALE
    refused(n.graph((x,), (y,)), "its constant has no scale")


@pytest.mark.parametrize("quantization", [None, EMPTY], ids=["none", "empty"])
def test_integers_without_a_scale_are_moved(quantization: Quantization | None) -> None:
    n = Pictures()
    x = n.tensor((1, 4, 8), "int8", quantization=ONE_SCALE)
    pads = n.constant(np.array([[0, 0], [1, 0], [0, 0]], np.int32))
    y = n.add("PADV2", (x, pads, n.constant(np.array([7], np.int8), quantization=quantization)), (1, 5, 8), "int8")
    n.tensors[y].quantization = ONE_SCALE
    assert cpu.schedule(lower(n.graph((x,), (y,))), Machine(8, 16)).calls


def test_activations_have_one_scale() -> None:
    n = Pictures()
    x = n.tensor((1, 4, 4, 8), "int8", quantization=EIGHT_SCALES)
    y = n.add("RELU", (x,), (1, 4, 4, 8), "int8")
    n.tensors[y].quantization = ONE_SCALE
    refused(n.graph((x,), (y,)), "a scale for each channel")


def test_a_transposed_convolution_without_strides_is_refused() -> None:
    n = Pictures()
    x = n.tensor((1, 4, 4, 8))
    size = n.constant(np.array([1, 8, 8, 8], np.int32))
    weights = n.weights(8, 2, 2, 8, fan_in=32)
    y = n.add("TRANSPOSE_CONV", (size, weights, x), (1, 8, 8, 8), options="TransposeConv", strideH=0, strideW=2)
    refused(n.graph((x,), (y,)), "no kernel")
