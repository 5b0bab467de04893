"""ONNX models kept in ONNX's operators: what is settled while reading, what is refused, what damage does."""

from __future__ import annotations

import functools
import random
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit import target
from edgekit.backends import unsupported
from edgekit.backends.tvm import TVM
from edgekit.errors import EdgekitError, ModelError
from edgekit.graph import Graph, tflite
from edgekit.graph.onnx_operators import has_onnx
from edgekit.onnx import convert
from edgekit.onnx.static import evaluate
from edgekit.reference.litert import reference_outputs, reference_tensors
from tests.onnx.models import LIMITS, model, read
from tests.onnx_nodes import cases
from tests.readers import onnx_models
from tests.readers.onnx_models import node, value


@functools.cache
def network() -> bytes:
    """A convolution, a reshape to a computed shape, a matrix product, two outputs."""
    nodes = [
        node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1], name="first"),
        node("HardSwish", ["c"], ["h"]),
        node("Shape", ["h"], ["s"], end=1),
        node("Concat", ["s", "minus"], ["to"], axis=0),
        node("Reshape", ["h", "to"], ["f"]),
        node("MatMul", ["f", "m"], ["y"]),
        node("TopK", ["y", "two"], ["best", "where"]),
    ]
    weights = [
        onnx_models.weight("w", 4, 3, 3, 3), onnx_models.weight("m", 256, 10),
        numpy_helper.from_array(np.array([-1]), "minus"), numpy_helper.from_array(np.array([2]), "two"),
    ]  # fmt: skip
    return model(
        nodes, [value("x", [1, 3, 8, 8])], [value("best", [1, 2]), value("where", [1, 2], TensorProto.INT64)], weights
    )


def test_shapes_are_settled_and_the_file_form_keeps_everything(tmp_path: Path) -> None:
    graph = read(network())
    assert [o.op for o in graph.operators] == [
        "ONNX_Conv",
        "ONNX_HardSwish",
        "ONNX_Reshape",
        "ONNX_MatMul",
        "ONNX_TopK",
    ]
    assert has_onnx(graph) and all(-1 not in t.shape for t in graph.tensors)
    again = tflite.loads(tflite.dumps(graph))
    assert [o.custom_options for o in again.operators] == [o.custom_options for o in graph.operators]
    assert [(t.name, t.shape, t.dtype) for t in again.tensors] == [(t.name, t.shape, t.dtype) for t in graph.tensors]


def test_the_reference_agrees_with_onnx_runtime(tmp_path: Path) -> None:
    tflite.write(read(network()), tmp_path / "m.tflite")
    x = np.random.default_rng(0).normal(size=(3, 1, 3, 8, 8)).astype(np.float32)
    best, where = reference_outputs(tmp_path / "m.tflite", [x])
    session = onnxruntime.InferenceSession(network(), providers=["CPUExecutionProvider"])
    for sample in range(3):
        wanted = session.run(None, {"x": x[sample]})
        np.testing.assert_allclose(best[sample], wanted[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(where[sample], wanted[1])
    tensors = reference_tensors(tmp_path / "m.tflite", [x])
    assert len(tensors) == 6


def test_a_known_branch_is_taken() -> None:
    branches = {
        f"{name}_branch": helper.make_graph([node(op, ["x"], ["r"])], name, [], [value("r", [2, 3])])
        for name, op in (("then", "Relu"), ("else", "Neg"))
    }
    truth = numpy_helper.from_array(np.array(False), "c")
    graph = read(model([node("If", ["c"], ["y"], **branches)], [value("x", [2, 3])], [value("y", [2, 3])], [truth]))
    assert [o.op for o in graph.operators] == ["ONNX_Neg", "ONNX_Identity"]


def test_outputs_that_nobody_asks_for_are_left_out(tmp_path: Path) -> None:
    weights = [onnx_models.weight("w", 1, 8, 3), onnx_models.weight("r", 1, 8, 2)]
    made = node("LSTM", ["x", "w", "r"], ["", "h"], hidden_size=2)
    data = model([made], [value("x", [4, 1, 3])], [value("h", [1, 1, 2])], weights)
    tflite.write(read(data), tmp_path / "m.tflite")
    x = np.random.default_rng(0).normal(size=(1, 4, 1, 3)).astype(np.float32)
    (h,) = reference_outputs(tmp_path / "m.tflite", [x])
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(h[0], session.run(None, {"x": x[0]})[0], rtol=1e-4, atol=1e-5)


REFUSED = {
    "NonZero": (node("NonZero", ["x"], ["y"], name="n"), TensorProto.INT64, "not known before it runs"),
    "RandomNormalLike": (node("RandomNormalLike", ["x"], ["y"], name="n"), TensorProto.FLOAT, "draws random numbers"),
    "SequenceConstruct": (node("SequenceConstruct", ["x"], ["y"], name="n"), TensorProto.FLOAT, "is a sequence"),
    "Cast": (node("Cast", ["x"], ["y"], name="n", to=TensorProto.BFLOAT16), TensorProto.BFLOAT16, "bfloat16"),
}


@pytest.mark.parametrize("op", REFUSED)
def test_refusals_name_the_operator_and_the_node(op: str) -> None:
    made, kind, words = REFUSED[op]
    with pytest.raises(ModelError, match=f"operator {op} .node 'n'.*{words}"):
        read(model([made], [value("x", [2, 3])], [value("y", [2, 3], kind)]))


def test_one_bad_model_leaves_the_others() -> None:
    bad = model([REFUSED["NonZero"][0]], [value("x", [2, 3])], [value("y", [2, 3], TensorProto.INT64)])
    first, second = convert.graphs([bad, network()], ["a", "b"], LIMITS)
    assert isinstance(first, ModelError) and isinstance(second, Graph)


@pytest.mark.slow
def test_damaged_options_end_in_one_line(tmp_path: Path) -> None:
    """Damaged bytes anywhere in a file of ONNX operators: a Graph that works, or one of our errors."""
    good = tflite.dumps(read(network()))
    assert b"ONNX_" in good
    graph, seen = tflite.loads(good), set()
    host, shuffled = target.load("host"), random.Random(0)
    for _ in range(60):
        number = shuffled.randrange(len(graph.operators))
        options = bytearray(graph.operators[number].custom_options)
        for _ in range(shuffled.randint(1, 3)):
            options[shuffled.randrange(len(options))] = shuffled.randrange(256)
        damaged = tflite.loads(good)
        damaged.operators[number].custom_options = bytes(options)
        try:
            for refused in unsupported(TVM(), damaged, host):
                assert "\n" not in refused.reason
                seen.add(refused.reason[:30])
        except EdgekitError as error:  # TVM crashed or ran out of memory in its child
            assert "TVM" in error.message and "\n" not in error.message
    assert len(seen) > 2
    for number in range(40):
        damaged_file = bytearray(good)
        for _ in range(3):
            damaged_file[shuffled.randrange(len(good))] = shuffled.randrange(256)
        (tmp_path / "d.tflite").write_bytes(damaged_file)
        try:
            broken = tflite.loads(bytes(damaged_file))
            reference_outputs(tmp_path / "d.tflite", [np.zeros((1, *t.shape), t.dtype) for t in broken.inputs])
        except EdgekitError as error:
            assert "\n" not in error.message, number


def test_a_node_of_more_inputs_than_the_file_says_is_refused() -> None:
    graph = read(network())
    graph.operators[0].custom_options = graph.operators[3].custom_options
    found = unsupported(TVM(), graph, target.load("host"))
    assert found[0].index == 0 and "another operator's node" in found[0].reason


def test_branches_in_branches_read_what_stands_around_them() -> None:
    """Three levels: each reads a value of the one above, under the name that it has there."""

    def branch(nodes: list[Any], output: str, *weights: Any) -> Any:
        return helper.make_graph(nodes, "branch", [], [value(output, None)], list(weights))

    other = branch([node("Identity", ["x"], ["o"])], "o")
    inner = branch([node("Sub", ["middle", "k"], ["i"])], "i", numpy_helper.from_array(np.float32(3), "k"))
    middle = branch([node("If", ["yes"], ["m"], then_branch=inner, else_branch=other)], "m")
    outer = [
        node("Mul", ["x", "k"], ["middle"]),
        node("If", ["no"], ["r"], then_branch=other, else_branch=middle),
    ]
    weights = [numpy_helper.from_array(np.array(truth), name) for name, truth in (("yes", True), ("no", False))]
    top = branch(outer, "r", numpy_helper.from_array(np.float32(2), "k"))
    data = model(
        [node("If", ["yes"], ["y"], then_branch=top, else_branch=other)], [value("x", [4])], [value("y", [4])], weights
    )
    graph = read(data)
    assert [o.op for o in graph.operators if o.op != "ONNX_Identity"] == ["ONNX_Mul", "ONNX_Sub"]


DEFINED_BY_TYPES = ("Attention", "Celu", "CenterCropPad", "Clip", "Gelu", "GroupNormalization", "LayerNormalization",
                    "NegativeLogLikelihoodLoss", "RMSNormalization", "RotaryEmbedding", "SoftmaxCrossEntropyLoss",
                    "SpaceToDepth")  # fmt: skip


@pytest.mark.parametrize("op", DEFINED_BY_TYPES)
def test_operators_whose_definition_depends_on_their_types(op: str) -> None:
    """By the reference where it has them, else by their definition: what the official test of each expects."""
    chosen = [
        case for case in cases.load()
        if case.operator == op and not case.expanded and case.inputs and len(case.model.graph.node) == 1
    ][:4]  # fmt: skip
    assert chosen
    for case in chosen:
        assert case.inputs is not None and case.outputs is not None
        graph = case.model.graph
        given = dict(zip([value.name for value in graph.input], case.inputs, strict=True))
        opset = max(entry.version for entry in case.model.opset_import if entry.domain in ("", "ai.onnx"))
        found = evaluate(graph.node[0], opset, given)
        for end, wanted in zip(graph.output, case.outputs, strict=True):
            np.testing.assert_allclose(found[end.name], wanted, rtol=case.rtol, atol=max(case.atol, 1e-6))


def test_one_hot_of_indices_that_are_no_integers() -> None:
    """They are cast to int64, says the standard; ONNX's reference leaves a fraction without a match."""
    made = node("OneHot", ["x", "depth", "values"], ["y"])
    given = {"x": np.array([1.7, -0.2], np.float32), "depth": np.array(3), "values": np.array([0, 1], np.float32)}
    np.testing.assert_array_equal(evaluate(made, 18, given)["y"], [[0, 1, 0], [1, 0, 0]])
