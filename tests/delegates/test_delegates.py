"""Delegates' tables: complete, and each rule refuses what it is for, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import delegates
from edgekit.delegates.rules import RULES
from edgekit.errors import UsageError
from edgekit.graph import Graph, Operator, tflite
from edgekit.graph.ir import Quantization
from tests.networks.small import Builder, convolutional


def verdict(graph: Graph, name: str, index: int = -1) -> delegates.Verdict:
    return delegates.advise(graph, delegates.load(name)).verdicts[index]


def one(op: str, shape: tuple[int, ...], out: tuple[int, ...], dtype: str = "int8", **options: object) -> Graph:
    b = Builder()
    x = b.tensor(shape, dtype, name="x")
    constants = [b.constant(c) for c in options.pop("constants", [])]  # type: ignore[attr-defined]
    return b.graph((x,), (b.add(op, (x, *constants), out, dtype, **options),))


@pytest.mark.parametrize("name", delegates.names())
def test_every_rule_is_known_and_every_operator_in_the_schema(name: str) -> None:
    found = delegates.load(name)
    schema = {k for k in vars(tflite.schema().BuiltinOperator) if k.isupper()}
    for table in found.tables:
        assert set(table.operators) <= schema
        for rules in table.operators.values():
            assert {rule.split()[0] for rule in rules} <= set(RULES)
    assert found.version and len(found.source) > 20


@pytest.mark.parametrize("name", delegates.names())
def test_shared_models_are_judged(name: str, models: Path) -> None:
    for path in sorted(models.rglob("*.tflite")):
        graph = tflite.read(path)
        advice = delegates.advise(graph, delegates.load(name))
        assert len(advice.verdicts) == len(graph.operators)
        assert 0 <= advice.share <= 1
        assert all(bool(v.reason) != v.taken for v in advice.verdicts)
        if name == "edgetpu" and path.name in ("person_detect.tflite", "ic_resnet8_int8.tflite"):
            assert advice.share == 1 and advice.fits


EDGE_TPU = [
    (one("MAX_POOL_2D", (1, 4, 4, 2), (1, 2, 2, 2), options="Pool2D", fusedActivationFunction=1), "RELU fused"),
    (one("MAX_POOL_2D", (1, 4, 4, 2), (1, 2, 2, 2), options="Pool2D"), ""),
    (one("RELU", (2, 4, 4, 2), (2, 4, 4, 2)), "inner three"),
    (one("SOFTMAX", (1, 20000), (1, 20000), options="Softmax", beta=1.0), "more than 16000"),
    (one("SOFTMAX", (1, 16000), (1, 16000), options="Softmax", beta=1.0), ""),
    (one("SOFTMAX", (1, 4, 10), (1, 4, 10), options="Softmax", beta=1.0), "not a vector"),
    (one("MEAN", (1, 4, 4, 6), (1, 6), constants=[np.array([1, 2], np.int32)], options="Reducer"), ""),
    (one("MEAN", (1, 4, 4, 6), (1, 4), constants=[np.array([2, 3], np.int32)], options="Reducer"), "multiple of 4"),
    (one("MEAN", (1, 4, 4, 8), (1, 4), constants=[np.array([2, -1], np.int32)], options="Reducer"), ""),
    (one("MEAN", (1, 4, 4, 6), (4, 4, 6), constants=[np.array([0], np.int32)], options="Reducer"), "batch"),
    (one("PAD", (1, 4, 4, 6), (1, 4, 4, 6), constants=[np.array([[1, 0], [0, 0], [0, 0], [0, 0]], np.int32)]), "batch"),
    (one("FLOOR", (1, 4), (1, 4)), "not in the list"),
    (one("RELU", (1, 4), (1, 4), "float32"), "float32"),
    (one("PRELU", (1, 2, 2, 3), (1, 2, 2, 3), constants=[np.ones((2, 2, 3), np.int8)]), "differ from place"),
    (one("PRELU", (1, 2, 2, 3), (1, 2, 2, 3), constants=[np.ones((1, 1, 3), np.int8)]), ""),
    (
        one("STRIDED_SLICE", (1, 4), (1, 2), constants=[np.array(v, np.int32) for v in ([0, 0], [1, 4], [1, 2])]),
        "strides",
    ),
    (one("STRIDED_SLICE", (1, 4), (1, 2), constants=[np.array(v, np.int32) for v in ([0, 0], [1, 2], [1, 1])]), ""),
]


@pytest.mark.parametrize(
    ("graph", "reason"), EDGE_TPU, ids=[f"{g.operators[0].op}-{r or 'taken'}" for g, r in EDGE_TPU]
)
def test_the_edge_tpu_takes(graph: Graph, reason: str) -> None:
    found = verdict(graph, "edgetpu")
    assert found.taken == (not reason), found.reason
    assert reason in found.reason


def convolution(dilation: tuple[int, int] = (1, 1), bias: bool = True, weights: str = "int8") -> Graph:
    b = Builder()
    x = b.tensor((1, 8, 8, 2), "int8", name="x")
    inputs = [x, b.constant(np.ones((4, 3, 3, 2), weights))]
    inputs += [b.constant(np.zeros(4, np.int32))] if bias else []
    options = {"dilationHFactor": dilation[0], "dilationWFactor": dilation[1], "strideH": 1, "strideW": 1}
    return b.graph((x,), (b.add("CONV_2D", tuple(inputs), (1, 8, 8, 4), "int8", options="Conv2D", **options),))


def test_convolutions() -> None:
    assert verdict(convolution(), "edgetpu").taken
    assert verdict(convolution((2, 2)), "edgetpu").taken
    assert "dilation is 2 in height and 1" in verdict(convolution((2, 1)), "edgetpu").reason
    assert verdict(convolution(), "xnnpack").taken
    assert verdict(convolution(bias=False), "xnnpack").reason == "it has no bias"


def test_a_concatenation_with_a_constant_must_pad_with_zero() -> None:
    def joined(value: int) -> Graph:
        b = Builder()
        real = Quantization(np.array([0.5], np.float32), np.array([-3]))
        x = b.tensor((1, 4), "int8", name="x", quantization=real)
        constant = b.constant(np.full((1, 4), value, np.int8), quantization=real)
        return b.graph((x,), (b.add("CONCATENATION", (x, constant), (1, 8), "int8", options="Concatenation", axis=1),))

    assert verdict(joined(-3), "edgetpu").taken
    assert "not zero" in verdict(joined(0), "edgetpu").reason


def chain(*ops: str) -> Graph:
    b = Builder()
    x = y = b.tensor((1, 4), "int8", name="x")
    for op in ops:
        y = b.add(op, (y,), (1, 4), "int8")
    return b.graph((x,), (y,))


def test_only_the_first_part_runs_on_the_edge_tpu() -> None:
    advice = delegates.advise(chain("RELU", "FLOOR", "RELU", "RELU"), delegates.load("edgetpu"))
    assert [v.taken for v in advice.verdicts] == [True, False, False, False]
    assert advice.verdicts[3].reason == "it depends on operator 1, which stays on the CPU"
    assert advice.partitions == 1 and advice.share == 0.25


def test_a_branch_beside_the_refused_operator_is_taken() -> None:
    b = Builder()
    x = b.tensor((1, 4), "int8", name="x")
    left = b.add("FLOOR", (x,), (1, 4), "int8")
    right = b.add("RELU", (x,), (1, 4), "int8")
    both = b.add("ADD", (left, right), (1, 4), "int8", options="Add")
    advice = delegates.advise(b.graph((x,), (both,)), delegates.load("edgetpu"))
    assert [v.taken for v in advice.verdicts] == [False, True, False]


@given(st.lists(st.sampled_from(["RELU", "FLOOR", "TANH", "EXP"]), min_size=1, max_size=12))
def test_a_chain_is_taken_up_to_its_first_refusal(ops: list[str]) -> None:
    advice = delegates.advise(chain(*ops), delegates.load("edgetpu"))
    good = next((i for i, op in enumerate(ops) if op in ("FLOOR", "EXP")), len(ops))
    assert [v.taken for v in advice.verdicts] == [i < good for i in range(len(ops))]


def test_the_gpu_takes_pieces() -> None:
    advice = delegates.advise(chain("RELU", "BITCAST", "TANH"), delegates.load("gpu"))
    assert advice.partitions == 2
    assert "in 2 partitions" in advice.words()


def test_parameters_that_do_not_fit() -> None:
    b = Builder()
    x = b.tensor((1, 4096), "int8", name="x")
    weights, bias = b.constant(np.zeros((3000, 4096), np.int8)), b.constant(np.zeros(3000, np.int32))
    y = b.add("FULLY_CONNECTED", (x, weights, bias), (1, 3000), "int8", options="FullyConnected")
    advice = delegates.advise(b.graph((x,), (y,)), delegates.load("edgetpu"))
    assert advice.parameter_bytes == 3000 * 4096 + 12000
    assert advice.fits is False and "do not fit" in advice.words()


def test_shares_are_not_rounded_up_to_all() -> None:
    assert delegates.percent(1.0) == "100 %"
    assert delegates.percent(0.99999) == "over 99.9 %"
    assert delegates.percent(0.5) == "50 %"


def test_damaged_operators_are_not_taken() -> None:
    graph = convolutional()
    for operator in graph.operators:
        graph.operators[graph.operators.index(operator)] = Operator(operator.op, (), operator.outputs, None)
    for name in delegates.names():
        assert not delegates.advise(graph, delegates.load(name)).verdicts[0].taken


def test_unknown_delegates_are_named() -> None:
    with pytest.raises(UsageError) as caught:
        delegates.load("edgetpo")
    assert "edgetpu" in caught.value.hint


def test_hybrid_networks_are_for_the_cpu_and_the_gpu() -> None:
    """Integer weights under float values: NNAPI has no such convolution."""
    b = Builder()
    x = b.tensor((1, 8, 8, 2), name="x")
    weights = b.constant(np.ones((4, 1, 1, 2), np.int8))
    inputs = (x, weights, b.constant(np.zeros(4, np.float32)))
    graph = b.graph((x,), (b.add("CONV_2D", inputs, (1, 8, 8, 4), options="Conv2D", strideH=1, strideW=1),))
    assert verdict(graph, "xnnpack").taken and verdict(graph, "gpu").taken
    assert verdict(graph, "nnapi").reason == "its weights are int8, not float32 or float16"


def test_float16_weights_are_constants() -> None:
    """A DEQUANTIZE of a constant, as the recipe float16 makes them."""
    b = Builder()
    x = b.tensor((1, 8), name="x")
    half = b.constant(np.ones((4, 8), np.float16))
    weights = b.add("DEQUANTIZE", (half,), (4, 8))
    y = b.add("FULLY_CONNECTED", (x, weights, b.constant(np.zeros(4, np.float32))), (1, 4), options="FullyConnected")
    for name in ("xnnpack", "gpu"):
        assert all(v.taken for v in delegates.advise(b.graph((x,), (y,)), delegates.load(name)).verdicts), name


@given(st.integers(0, 2**32 - 1))
def test_mutated_networks_are_judged_or_refused(seed: int) -> None:
    """Options and inputs that make no sense break a rule, and never the evaluator."""
    rng = np.random.default_rng(seed)
    graph = convolutional(np.zeros((10, 577), np.float32))
    for _ in range(4):
        operator = graph.operators[rng.integers(len(graph.operators))]
        names = sorted(vars(operator.options)) if operator.options else []
        if names and rng.random() < 0.5:
            value = [None, -1, 2**31, "x", [], -(2**40)][rng.integers(6)]
            setattr(operator.options, names[rng.integers(len(names))], value)
        else:
            count = rng.integers(0, 4)
            operator.inputs = tuple(int(i) for i in rng.integers(-1, len(graph.tensors), count))
        tensor = graph.tensors[rng.integers(len(graph.tensors))]
        tensor.shape = tuple(int(d) for d in rng.integers(-2, 5, rng.integers(0, 6)))
    for name in delegates.names():
        advice = delegates.advise(graph, delegates.load(name))
        assert len(advice.verdicts) == len(graph.operators) and 0 <= advice.share <= 1
