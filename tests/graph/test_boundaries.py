"""Checks and counts at the very edge: the last index that is there and the first that is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.graph import (
    Graph,
    Operator,
    Quantization,
    Signature,
    Subgraph,
    Tensor,
    check,
    explode,
    forms,
    memory,
    ops,
    tflite,
)
from edgekit.graph.check import MAX_RANK, MAX_TENSOR_BYTES, check_structure
from edgekit.graph.control_flow import bodies
from edgekit.graph.edit import compact, folded, uses
from edgekit.graph.padding import same
from edgekit.graph.repair import repair
from edgekit.graph.stats import label, macs, statistics
from tests.networks.loops import loop
from tests.networks.small import Builder, dense, unary


def network() -> Graph:
    """FULLY_CONNECTED: tensors x, weights, bias, y; five with one that nothing uses."""
    graph = dense(np.ones((3, 4), np.float32), np.zeros(3, np.float32))
    graph.tensors.append(Tensor("spare", (2,), "float32"))
    return graph


def accepted(graph: Graph) -> bool:
    try:
        check.check(graph)
    except ModelError:
        return False
    return True


@pytest.mark.parametrize(("index", "good"), [(-2, False), (-1, True), (2, True), (4, False), (5, False)])
def test_an_operator_s_inputs(index: int, good: bool) -> None:
    """-1 stands for none; 4 is there but was never computed, 5 is not there."""
    graph = network()
    graph.operators[0].inputs = (0, 1, index)
    assert accepted(graph) == good


@pytest.mark.parametrize(("index", "good"), [(-1, False), (3, True), (5, False)])
def test_an_operator_s_outputs(index: int, good: bool) -> None:
    graph = network()
    graph.operators[0].outputs = (index,)
    graph.main.outputs = (max(0, min(index, 4)),)
    assert accepted(graph) == good


@pytest.mark.parametrize(("index", "good"), [(-1, False), (0, True), (4, True), (5, False)])
def test_intermediates(index: int, good: bool) -> None:
    graph = network()
    graph.operators[0].intermediates = (index,)
    assert accepted(graph) == good


@pytest.mark.parametrize(("index", "good"), [(-1, False), (0, True), (4, True), (5, False)])
def test_the_network_s_inputs(index: int, good: bool) -> None:
    graph = network()
    graph.main.inputs = (0, index) if index else (0,)
    assert accepted(graph) == good


@pytest.mark.parametrize(("index", "good"), [(-1, False), (0, True), (3, True), (4, False), (5, False)])
def test_the_network_s_outputs(index: int, good: bool) -> None:
    graph = network()
    graph.main.outputs = (index,)
    assert accepted(graph) == good


@pytest.mark.parametrize("side", ["inputs", "outputs"])
@pytest.mark.parametrize(("subgraph", "index", "good"), [
    (0, -1, False), (0, 0, True), (0, 4, True), (0, 5, False), (1, 0, False),
])  # fmt: skip
def test_signatures(side: str, subgraph: int, index: int, good: bool) -> None:
    graph = network()
    ends: dict[str, dict[str, int]] = {"inputs": {}, "outputs": {}, side: {"x": index}}
    graph.signatures = [Signature("s", ends["inputs"], ends["outputs"], subgraph)]
    assert accepted(graph) == good


@pytest.mark.parametrize(("rank", "good"), [(MAX_RANK, True), (MAX_RANK + 1, False)])
def test_dimensions(rank: int, good: bool) -> None:
    assert MAX_RANK == 16
    graph = network()
    graph.tensors[4].shape = (1,) * rank
    assert accepted(graph) == good


@pytest.mark.parametrize(("shape", "good"), [((-1, 2), True), ((-2, 2), False), ((0, 2), True)])
def test_negative_sizes(shape: tuple[int, ...], good: bool) -> None:
    graph = network()
    graph.tensors[4].shape = shape
    assert accepted(graph) == good


def test_a_constant_has_no_open_size() -> None:
    graph = network()
    graph.tensors[4] = Tensor("spare", (-1,), "float32", data=np.zeros(4, np.uint8))
    assert not accepted(graph)
    graph.tensors[4].shape = (1,)
    assert accepted(graph)


@pytest.mark.parametrize(("size", "good"), [(MAX_TENSOR_BYTES, True), (MAX_TENSOR_BYTES + 1, False)])
def test_bytes_of_a_tensor(size: int, good: bool) -> None:
    assert MAX_TENSOR_BYTES == 4 * 2**30
    graph = network()
    graph.tensors[4] = Tensor("spare", (size,), "int8")
    assert accepted(graph) == good


@pytest.mark.parametrize(("count", "good"), [(15, True), (16, False)])
def test_bytes_of_all_tensors(count: int, good: bool) -> None:
    """With the network's own few bytes, 16 tensors of 4 GiB are more than 64 GiB."""
    graph = network()
    graph.tensors.extend(Tensor(f"t{n}", (MAX_TENSOR_BYTES,), "int8") for n in range(count))
    assert accepted(graph) == good


@pytest.mark.parametrize("change", [-1, 0, 1])
def test_bytes_of_a_constant(change: int) -> None:
    graph = network()
    graph.tensors[1].data = np.zeros(48 + change, np.uint8)
    assert accepted(graph) == (change == 0)


def scales(count: int, zeros: int, axis: int = 0) -> Quantization:
    return Quantization(np.ones(count, np.float32), np.zeros(zeros, np.int64), axis)


@pytest.mark.parametrize(
    ("quantization", "good"),
    [
        (scales(1, 1), True), (scales(1, 2), False), (scales(3, 1), True), (scales(3, 3), True), (scales(3, 2), False),
        (scales(4, 4), False), (scales(4, 4, 1), True), (scales(3, 3, 1), False), (scales(3, 3, 2), False),
        (scales(3, 3, -1), False), (scales(0, 0), True), (scales(0, 5), True),
        (Quantization(np.array([0.0], np.float32), np.array([0])), True),
        (Quantization(np.array([-1e-9], np.float32), np.array([0])), False),
        (Quantization(np.array([np.inf], np.float32), np.array([0])), False),
    ],
)  # fmt: skip
def test_scales_of_a_3_by_4_tensor(quantization: Quantization, good: bool) -> None:
    graph = network()
    graph.tensors[1].quantization = quantization
    assert accepted(graph) == good
    check_structure(graph)  # scales are none of its business


@pytest.mark.parametrize(
    ("fields", "given"),
    [
        ({}, False),
        ({"is_variable": True}, True),
        ({"shape": (0,)}, True),
        ({"dtype": "resource"}, True),
        ({"data": np.zeros(8, np.uint8)}, True),
    ],
)
def test_what_has_a_value_before_anything_runs(fields: dict[str, Any], given: bool) -> None:
    graph = network()
    graph.tensors[4] = replace(graph.tensors[4], **fields)
    graph.operators[0].inputs = (0, 1, 4)
    assert accepted(graph) == given


@pytest.mark.parametrize(("fields", "good"), [({}, False), ({"is_variable": True}, True), ({"shape": (0,)}, True)])
def test_what_may_be_written_twice(fields: dict[str, Any], good: bool) -> None:
    graph = unary("RELU", (1, 4))
    graph.tensors[1] = replace(graph.tensors[1], **fields)
    graph.operators.append(replace(graph.operators[0]))
    assert accepted(graph) == good


def test_outputs_of_other_subgraphs_may_be_left_open() -> None:
    graph = network()
    graph.subgraphs.append(Subgraph("body", [Tensor("a", (1,), "float32")], [], (), (0,)))
    assert accepted(graph)
    graph.subgraphs[1].outputs = (1,)
    assert not accepted(graph)


# Repairs


@pytest.mark.parametrize(
    ("shape", "count", "axis", "repaired"),
    [
        ((3,), 3, 3, 0), ((3,), 3, 1, 0), ((3,), 3, 0, 0), ((3,), 3, -1, 0), ((3, 4), 4, 2, 1), ((3, 4), 1, 7, 0),
        ((3, 3), 3, 2, 2), ((3, 4), 5, 2, 2), ((), 1, 0, 0), ((), 1, 1, 0),
    ],
)  # fmt: skip
def test_a_quantized_dimension_that_does_not_exist(
    shape: tuple[int, ...], count: int, axis: int, repaired: int
) -> None:
    """Only where one dimension has as many places as there are scales."""
    graph = network()
    graph.tensors[4] = Tensor("spare", shape, "int8", scales(count, count, axis))
    notes = repair(graph)
    quantization = graph.tensors[4].quantization
    assert quantization is not None and quantization.axis == repaired
    assert notes == (["1 tensors had a quantized dimension that does not exist: repaired"] if axis != repaired else [])


def test_a_signature_of_a_subgraph_that_is_not_there_is_dropped() -> None:
    graph = network()
    graph.signatures = [
        Signature("good", {"x": 0}, {"y": 3}), Signature("last", {}, {}, 1),
        Signature("gone", {"x": 0}, {}, 2), Signature("negative", {"x": 0}, {}, -1),
        Signature("inside", {"x": 1}, {"y": 3}), Signature("out", {"x": 0}, {"y": 2}),
    ]  # fmt: skip
    graph.subgraphs.append(Subgraph("body", [], [], (), ()))
    notes = repair(graph)
    assert [signature.key for signature in graph.signatures] == ["good", "last"]
    assert len(notes) == 4 and "'gone'" in notes[0]


# Operators that stand alone


def test_what_can_be_taken_apart() -> None:
    graph = unary("RELU", (1, 4))
    apart = explode.explode(graph)
    assert apart is not None and (apart.inputs, apart.outputs, apart.operators) == ((0,), (1,), (0,))
    assert [t.name for t in apart.graph.tensors] == ["t0", "t1", "t0/given"]
    spoils: list[Callable[[Graph], Any]] = [
        lambda g: setattr(g.operators[0], "op", "WHILE"),
        lambda g: setattr(g.operators[0], "op", "RANDOM_UNIFORM"),
        lambda g: setattr(g.operators[0], "custom", True),
        lambda g: setattr(g.tensors[0], "shape", (-1, 4)),
        lambda g: setattr(g.tensors[1], "shape", (1, -1)),
        lambda g: setattr(g.tensors[1], "is_variable", True),
        lambda g: setattr(g.tensors[0], "dtype", "string"),
        lambda g: setattr(g.tensors[1], "dtype", "variant"),
        lambda g: setattr(g.tensors[0], "shape", (0, 4)),
        lambda g: setattr(g.tensors[0], "data", np.zeros(16, np.uint8)),
        lambda g: g.operators.clear(),
    ]
    for spoil in spoils:
        other = unary("RELU", (1, 4))
        spoil(other)
        assert explode.explode(other) is None


def test_a_value_is_given_once_however_many_read_it() -> None:
    b = Builder()
    x = b.tensor((4,), name="x")
    y = b.add("ADD", (x, x), (4,))
    z = b.add("MUL", (y, x), (4,))
    apart = explode.explode(b.graph((x,), (z,)))
    assert apart is not None
    assert (apart.inputs, apart.outputs, apart.operators) == ((x, y), (y, z), (0, 1))
    first, second = apart.graph.operators
    assert first.inputs[0] == first.inputs[1] == second.inputs[1] and second.inputs[0] != y
    assert apart.graph.main.inputs == (first.inputs[0], second.inputs[0])


# Small changes


def test_only_what_is_used_stays() -> None:
    graph = network()
    graph.tensors.insert(0, Tensor("first", (1,), "float32"))
    graph.main.inputs, graph.main.outputs = (1,), (4,)
    graph.operators[0] = replace(graph.operators[0], inputs=(1, 2, -1), outputs=(4,), intermediates=(3,))
    graph.signatures = [Signature("s", {"x": 1}, {"y": 4})]
    found = compact(graph)
    assert [t.name for t in found.tensors] == ["x", graph.tensors[2].name, graph.tensors[3].name, graph.tensors[4].name]
    operator = found.operators[0]
    assert (operator.inputs, operator.outputs, operator.intermediates) == ((0, 1, -1), (3,), (2,))
    assert (found.main.inputs, found.main.outputs) == ((0,), (3,))
    assert (found.signatures[0].inputs, found.signatures[0].outputs) == ({"x": 0}, {"y": 3})
    assert uses(found) == {0: [(0, 0)], 1: [(0, 1)], -1: [(0, 2)]}


def test_what_is_made_of_constants() -> None:
    b = Builder()
    x = b.tensor((4,), name="x")
    stored = b.constant(np.zeros(4, np.float16))
    dense_one = b.add("DENSIFY", (stored,), (4,), "float16")
    real = b.add("DEQUANTIZE", (dense_one,), (4,))
    late = b.add("DEQUANTIZE", (x,), (4,))
    other = b.add("NEG", (stored,), (4,))
    graph = b.graph((x,), (b.add("ADD", (real, late), (4,)), other))
    assert folded(graph) == {dense_one, real}


@pytest.mark.parametrize(
    ("size", "output", "window", "stride", "dilation", "expected"),
    [(7, 7, 3, 1, 1, (1, 1)), (7, 4, 3, 2, 1, (1, 1)), (8, 4, 3, 2, 1, (0, 1)), (7, 7, 3, 1, 2, (2, 2)),
     (9, 3, 1, 3, 1, (0, 0)), (5, 5, 4, 1, 1, (1, 2))],
)  # fmt: skip
def test_same_padding(
    size: int, output: int, window: int, stride: int, dilation: int, expected: tuple[int, int]
) -> None:
    assert same(size, output, window, stride, dilation) == expected


def test_whose_scale_the_specification_gives() -> None:
    b = Builder()
    x = b.tensor((4,), name="x")
    soft = b.add("SOFTMAX", (x,), (4,))
    moved = b.add("RESHAPE", (soft,), (4,))
    rounded = b.add("QUANTIZE", (moved,), (4,))
    tanh = b.add("TANH", (x,), (4,))
    joined = b.add("CONCATENATION", (rounded, tanh), (8,))
    mixed = b.add("CONCATENATION", (rounded, x), (8,))
    added = b.add("ADD", (soft, soft), (4,))
    kept = b.add("TRANSPOSE", (added,), (4,))
    made = {index: operator for operator in b.operators for index in operator.outputs}
    good = {index for index in range(len(b.tensors)) if ops.suits(made, index)}
    assert good == {soft, moved, rounded, tanh, joined}
    assert {x, mixed, added, kept}.isdisjoint(good)


# Loops


@pytest.mark.parametrize(
    ("op", "fields", "expected"),
    [
        ("IF", {"thenSubgraphIndex": 1, "elseSubgraphIndex": 2}, [(1, None), (2, None)]),
        ("IF", {"thenSubgraphIndex": 0, "elseSubgraphIndex": 3}, []),
        ("CALL", {"subgraph": 2}, [(2, 1)]),
        ("CALL_ONCE", {"initSubgraphIndex": 1}, [(1, 0)]),
        ("ADD", {"subgraph": 2}, []),
    ],
)
def test_what_an_operator_runs(op: str, fields: dict[str, int], expected: list[tuple[int, int | None]]) -> None:
    class Options:
        pass

    options = Options()
    vars(options).update(fields)
    graph = loop(0, 3)
    found = bodies(graph, graph.main, Operator(op, (), (), options))
    assert [(body.subgraph, body.turns) for body in found] == expected
    assert bodies(graph, graph.main, Operator(op, (), ())) == []


# Counts


def counted(op: str, inputs: list[tuple[int, ...] | None], output: tuple[int, ...], constants: int = 0) -> int:
    """MACs of an operator; the last ``constants`` inputs are constant."""
    tensors = [Tensor("", shape, "float32") for shape in inputs if shape is not None]
    for tensor in tensors[len(tensors) - constants :]:
        tensor.data = np.zeros(tensor.nbytes, np.uint8)
    places = iter(range(len(tensors)))
    indices = tuple(-1 if shape is None else next(places) for shape in inputs)
    tensors.append(Tensor("", output, "float32"))
    return macs(Subgraph("", tensors, [], (), ()), Operator(op, indices, (len(tensors) - 1,)))


@pytest.mark.parametrize(
    ("op", "inputs", "output", "expected"),
    [
        ("CONV_3D", [(1, 5, 6, 7, 2), (2, 3, 4, 2, 8)], (1, 4, 4, 4, 8), 512 * 2 * 3 * 4 * 2),
        ("FULLY_CONNECTED", [(2, 5), (7, 5), None], (2, 7), 14 * 5),
        ("BATCH_MATMUL", [(2, 3, 4), (2, 4, 5)], (2, 3, 5), 30 * 4),
        ("BATCH_MATMUL", [(2, 4, 3), (2, 4, 5)], (2, 3, 5), 30 * 4),
        ("SVDF", [(2, 10), (6, 10), (6, 8)], (2, 6), 2 * (60 + 48)),
        ("ONNX_Gemm", [(3, 4), (4, 5)], (3, 5), 15 * 4),
        ("ONNX_Gemm", [(4, 3), (4, 5)], (3, 5), 15 * 4),
        ("ONNX_MatMul", [(2, 3, 4), (4, 5)], (2, 3, 5), 30 * 4),
        ("ONNX_Conv", [(1, 3, 8, 8), (16, 3, 3, 3)], (1, 16, 6, 6), 576 * 27),
        ("ONNX_ConvTranspose", [(1, 3, 8, 8), (3, 4, 2, 2)], (1, 4, 16, 16), 192 * 16),
        ("RELU", [(2, 5)], (2, 5), 0),
        ("CONV_2D", [(1, 8, 8, 3), None], (1, 8, 8, 3), 0),
        ("FULLY_CONNECTED", [(2, 5), (7,)], (2, 7), 0),
        ("ONNX_Gemm", [(3, 4), (4, 5)], (0, 5), 0),
    ],
)  # fmt: skip
def test_macs(op: str, inputs: list[tuple[int, ...] | None], output: tuple[int, ...], expected: int) -> None:
    assert counted(op, inputs, output) == expected


def test_recurrent_layers_use_every_matrix_once_a_step() -> None:
    """4 time steps of 3 cells: an input matrix and a recurrent one; biases and states do not count."""
    shapes: list[tuple[int, ...] | None] = [(1, 4, 5), (3, 5), (3, 3), (3,)]
    assert counted("UNIDIRECTIONAL_SEQUENCE_RNN", shapes, (1, 4, 3), constants=3) == 4 * (15 + 9)
    assert counted("UNIDIRECTIONAL_SEQUENCE_RNN", shapes, (1, 4, 3), constants=1) == 0


def test_names_of_operators() -> None:
    graph = network()
    graph.tensors[3].name = "layer/out;layer/bias"
    assert label(graph.main, graph.operators[0]) == "layer/out"
    graph.tensors[3].name = ""
    assert label(graph.main, graph.operators[0]) == "FULLY_CONNECTED"
    assert label(graph.main, Operator("CALL_ONCE", (), ())) == "CALL_ONCE"


def test_what_is_a_parameter() -> None:
    """Weights and biases: floats, and integers with a scale; not shapes and axes."""
    b = Builder()
    x = b.tensor((4,), name="x")
    scale = Quantization(np.array([0.5], np.float32), np.array([0]))
    for values, fields in (
        (np.zeros(2, np.int32), {}), (np.zeros(3, np.int8), {"quantization": scale}), (np.zeros(5, np.float16), {}),
        (np.zeros(7, np.int32), {"quantization": scales(0, 0)}),
    ):  # fmt: skip
        x = b.add("ADD", (x, b.constant(values, **fields)), (4,))
    found = statistics(b.graph((0,), (x,)))
    assert [row.parameters for row in found.operators] == [0, 3, 5, 0]
    assert [row.weights_dtype for row in found.operators] == ["", "int8", "float16", ""]
    assert [row.weights_bytes for row in found.operators] == [8, 3, 10, 28]
    assert (found.parameters, found.weights_bytes) == (8, 49)


def test_lifetimes_and_a_plan_by_hand() -> None:
    """X (64 bytes) -> a (128) -> b (64), and c = b + x: x lives to the end, c may lie where a was."""
    b = Builder()
    x = b.tensor((16,), name="x")
    a = b.add("TILE", (x,), (32,))
    s = b.add("SLICE", (a,), (16,))
    c = b.add("ADD", (s, x), (16,))
    main = b.graph((x,), (c,)).main
    assert memory.lifetimes(main) == {x: (-1, 2), a: (0, 1), s: (1, 2), c: (2, 3)}
    plan = memory.plan(main)
    assert plan.lower_bound_bytes == plan.arena_bytes == 64 + 128 + 64
    assert {p.index: p.offset for p in plan.placements} == {a: 0, x: 128, s: 192, c: 0}


def test_forms_of_operators() -> None:
    def found(op: str, inputs: list[tuple[int, ...] | None], outputs: list[tuple[int, ...]], **options: Any) -> str:
        tensors = [Tensor("", shape, "float32") for shape in [*[i for i in inputs if i is not None], *outputs]]
        places = iter(range(len(tensors)))
        indices = tuple(-1 if shape is None else next(places) for shape in inputs)

        class Options:
            pass

        table = Options()
        vars(table).update(options)
        made = tuple(range(len(tensors) - len(outputs), len(tensors)))
        return forms.malformed(tensors, Operator(op, indices, made, table))

    window = dict.fromkeys(("padding", "strideH", "strideW", "dilationHFactor", "dilationWFactor",
                            "fusedActivationFunction"), 1)  # fmt: skip
    maps: list[tuple[int, ...] | None] = [(1, 4, 4, 2), (3, 3, 3, 2)]
    assert found("CONV_2D", maps, [(1, 2, 2, 3)], **window) == ""
    assert found("CONV_2D", [*maps, (3,)], [(1, 2, 2, 3)], **window) == ""
    assert found("CONV_2D", [*maps, None], [(1, 2, 2, 3)], **window) == ""
    for inputs, outputs, options, reason in (
        ([*maps, (3,), (3,)], [(1, 2, 2, 3)], window, forms.INCOMPLETE),
        (maps[:1], [(1, 2, 2, 3)], window, forms.INCOMPLETE),
        ([maps[0], None], [(1, 2, 2, 3)], window, forms.INCOMPLETE),
        (maps, [], window, forms.INCOMPLETE),
        (maps, [(1, 2, 2, 3)] * 2, window, forms.INCOMPLETE),
        (maps, [(1, 2, 2, 3)], {}, forms.INCOMPLETE),
        (maps, [(2, 2, 3)], window, forms.INCOMPLETE),
        ([(4, 4, 2), maps[1]], [(1, 2, 2, 3)], window, forms.INCOMPLETE),
        (maps, [(1, 0, 2, 3)], window, forms.UNKNOWN),
        ([(1, -1, 4, 2), maps[1]], [(1, 2, 2, 3)], window, forms.UNKNOWN),
    ):
        assert found("CONV_2D", inputs, outputs, **options) == reason
    assert found("SPLIT", [(1,), (4,)], [(2,), (2,)]) == "" and found("SPLIT", [(1,), (4,)], []) == forms.INCOMPLETE
    assert found("SOMETHING_ELSE", [None], []) == ""


OPERANDS = {
    (1, 1): "MAX_POOL_2D AVERAGE_POOL_2D SOFTMAX LOG_SOFTMAX L2_NORMALIZATION LOGICAL_NOT CAST QUANTIZE DEQUANTIZE "
            "SQUEEZE LOGISTIC TANH HARD_SWISH RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 ELU GELU EXP LOG SQRT RSQRT ABS NEG "
            "SQUARE SIN COS FLOOR CEIL ROUND LEAKY_RELU UNPACK SPACE_TO_DEPTH DEPTH_TO_SPACE",
    (1, 2): "RESHAPE",
    (2, 2): "MEAN SUM REDUCE_MAX REDUCE_MIN REDUCE_PROD REDUCE_ANY REDUCE_ALL ADD SUB MUL DIV MAXIMUM MINIMUM "
            "SQUARED_DIFFERENCE PRELU FLOOR_DIV FLOOR_MOD POW EQUAL NOT_EQUAL LESS LESS_EQUAL GREATER GREATER_EQUAL "
            "LOGICAL_AND LOGICAL_OR EXPAND_DIMS PAD TRANSPOSE BROADCAST_TO TILE REVERSE_V2 EMBEDDING_LOOKUP GATHER_ND "
            "MIRROR_PAD GATHER ARG_MAX ARG_MIN CUMSUM SPLIT BATCH_MATMUL RESIZE_BILINEAR RESIZE_NEAREST_NEIGHBOR",
    (2, 3): "CONV_2D DEPTHWISE_CONV_2D FULLY_CONNECTED",
    (3, 3): "SELECT SELECT_V2 PADV2 SPACE_TO_BATCH_ND BATCH_TO_SPACE_ND SLICE SPLIT_V",
    (3, 4): "TRANSPOSE_CONV",
    (4, 4): "ONE_HOT STRIDED_SLICE",
    (5, 5): "SVDF",
    (20, 24): "UNIDIRECTIONAL_SEQUENCE_LSTM",
}  # fmt: skip
"""How many inputs the kernels in tensorflow/lite/kernels take, at least and at most, state and hints apart."""


@pytest.mark.parametrize(("op", "least", "most"), [
    (op, least, most) for (least, most), names in OPERANDS.items() for op in names.split()
])  # fmt: skip
def test_operands(op: str, least: int, most: int) -> None:
    class Options:
        """Whatever an operator asks for."""

        def __getattr__(self, name: str) -> int:
            return 0

    def complete(inputs: int, outputs: int = 1) -> bool:
        tensors = [Tensor("", (1, 2, 2, 1), "float32")] * (inputs + outputs)
        places = range(inputs + outputs)
        operator = Operator(op, tuple(places[:inputs]), tuple(places[inputs:]), Options())
        return forms.malformed(tensors, operator) == ""

    assert [complete(count) for count in (least - 1, least, most, most + 1)] == [False, True, True, False]
    assert complete(least, 2) == (op in ("SPLIT", "SPLIT_V", "UNPACK")) and not complete(least, 0)


def test_every_form_is_known() -> None:
    assert {op for names in OPERANDS.values() for op in names.split()} | {"CONCATENATION", "PACK"} == set(forms.FORMS)


def test_integers_stand_for_real_values_where_they_have_a_scale() -> None:
    tensor = Tensor("", (1,), "int8")
    assert not tensor.has_scale
    tensor.quantization = scales(0, 0)
    assert not tensor.has_scale
    tensor.quantization = scales(1, 1)
    assert tensor.has_scale


def test_turns_of_loops_that_start_nowhere_known() -> None:
    """No start (-1), a start that is no scalar, and one that is no integer."""
    from edgekit.graph.control_flow import _integer

    values = (np.array([4], np.int32), np.array([4, 5], np.int32), np.array([4.0], np.float32), np.array(7, np.int64))
    b = Builder()
    for one in values:
        b.constant(one)
    main = b.graph((), ()).main
    assert [_integer(main, index) for index in (-1, 0, 1, 2, 3)] == [None, 4, None, None, 7]


@pytest.mark.parametrize(("condition", "turns"), [(0, None), (1, 3), (2, None), (3, None), (-1, None)])
def test_conditions_that_are_subgraphs_of_their_own(condition: int, turns: int | None) -> None:
    """The main subgraph (0) is nobody's condition, even if it compares as one would."""
    graph = loop(0, 3)
    graph.main.operators[:0] = [Operator("LESS", (graph.main.inputs[0], 1), (3,))]
    graph.main.operators[-1].options.condSubgraphIndex = condition
    found = bodies(graph, graph.main, graph.main.operators[-1])
    assert (found[0].subgraph, found[0].turns) == (2, turns)
    assert [body.subgraph for body in found[1:]] == ([condition] if condition in (1, 2) else [])


@pytest.mark.parametrize(
    ("dtype", "data", "values"),
    [
        ("bfloat16", [0x80, 0x3F, 0x00, 0xC0], [1.0, -2.0]), ("int4", [0x21, 0xF8], [1, 2, -8, -1]),
        ("uint4", [0x21, 0xF8], [1, 2, 8, 15]), ("int2", [0b11100100], [0, 1, -2, -1]),
        ("int16", [0x01, 0x02], [513]), ("bool", [0, 1], [False, True]),
    ],
)  # fmt: skip
def test_values_of_constants(dtype: str, data: list[int], values: list[Any]) -> None:
    tensor = Tensor("w", (len(values),), dtype, data=np.array(data, np.uint8))
    assert tensor.array().tolist() == values and tensor.nbytes == len(data)


def test_options_of_newer_operators_survive_a_file() -> None:
    options = tflite.schema().StablehloConcatenateOptionsT()
    options.dimension = 1
    b = Builder()
    x = b.tensor((1, 4), name="x")
    y = b.tensor((1, 8), name="y")
    b.operators.append(Operator("STABLEHLO_CONCATENATE", (x, x), (y,), options2=options))
    found = tflite.loads(tflite.dumps(b.graph((x,), (y,)))).operators[0]
    assert found.options2.dimension == 1 and found.options is None
