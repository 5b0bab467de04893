"""Loop and Scan of a known number of steps: their steps' nodes compute what ONNX Runtime computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import ModelError
from edgekit.graph import tflite
from edgekit.reference.litert import reference_outputs
from tests.onnx.models import model, read
from tests.readers.onnx_models import node, value

INT64, BOOL = TensorProto.INT64, TensorProto.BOOL


def held(name: str, values: Any) -> Any:
    return numpy_helper.from_array(np.asarray(values), name)


def body(nodes: list[Any], inputs: list[Any], outputs: list[Any], *weights: Any) -> Any:
    return helper.make_graph(nodes, "body", inputs, outputs, list(weights))


def assert_agrees(data: bytes, folder: Path, *shape: int) -> list[str]:
    graph = read(data)
    tflite.write(graph, folder / "m.tflite")
    x = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    found = reference_outputs(folder / "m.tflite", [x[None]])
    expected = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, {"x": x})
    for output, wanted in zip(found, expected, strict=True):
        assert output[0].shape == wanted.shape
        np.testing.assert_allclose(output[0], wanted, rtol=1e-5, atol=1e-6)
    return [operator.op for operator in graph.operators]


def turns() -> list[Any]:
    """Inputs of a Loop's body: the step, whether it goes on, a carried value."""
    return [value("i", [], INT64), value("go", [], BOOL), value("a", [2, 3])]


def test_a_loop_with_a_count_stacked_results_and_values_from_around_it(tmp_path: Path) -> None:
    inner = body(
        [node("Cast", ["i"], ["f"], to=TensorProto.FLOAT), node("Mul", ["x", "f"], ["m"]),
         node("Add", ["a", "m"], ["b"]), node("Sub", ["b", "k"], ["s"]), node("Identity", ["go"], ["on"])],
        turns(), [value("on", [], BOOL), value("b", [2, 3]), value("s", [2, 3])], held("k", np.float32(0.5)),
    )  # fmt: skip
    data = model(
        [node("Loop", ["n", "", "x"], ["y", "z"], body=inner)], [value("x", [2, 3])],
        [value("y", [2, 3]), value("z", [4, 2, 3])], [held("n", np.int64(4))],
    )  # fmt: skip
    assert "ONNX_Loop" not in assert_agrees(data, tmp_path, 2, 3)


def test_a_loop_that_a_condition_on_its_step_ends(tmp_path: Path) -> None:
    inner = body(
        [node("Add", ["a", "x"], ["b"]), node("Less", ["i", "last"], ["on"])],
        turns(), [value("on", [], BOOL), value("b", [2, 3])], held("last", np.int64(2)),
    )  # fmt: skip
    data = model(
        [node("Loop", ["", "yes", "x"], ["y"], body=inner)], [value("x", [2, 3])], [value("y", [2, 3])],
        [held("yes", np.array(True))],
    )  # fmt: skip
    assert assert_agrees(data, tmp_path, 2, 3).count("ONNX_Add") == 3


def test_a_loop_and_a_branch_in_a_loop(tmp_path: Path) -> None:
    """Two levels read values of the network and of the level between."""
    deep = body([node("Mul", ["outer", "x"], ["p"])], [], [value("p", None)])
    other = body([node("Identity", ["x"], ["q"])], [], [value("q", None)])
    inner = body(
        [node("If", ["yes"], ["c"], then_branch=deep, else_branch=other), node("Add", ["d", "c"], ["e"]),
         node("Identity", ["go2"], ["on2"])],
        [value("j", [], INT64), value("go2", [], BOOL), value("d", [2, 3])],
        [value("on2", [], BOOL), value("e", [2, 3])],
    )  # fmt: skip
    outer = body(
        [node("Tanh", ["a"], ["outer"]), node("Loop", ["two", "", "x"], ["b"], body=inner),
         node("Identity", ["go"], ["on"])],
        turns(), [value("on", [], BOOL), value("b", [2, 3])],
    )  # fmt: skip
    data = model(
        [node("Loop", ["two", "", "x"], ["y"], body=outer)], [value("x", [2, 3])], [value("y", [2, 3])],
        [held("two", np.int64(2)), held("yes", np.array(True))],
    )  # fmt: skip
    assert assert_agrees(data, tmp_path, 2, 3).count("ONNX_Mul") == 4


@pytest.mark.parametrize("back", [0, 1])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_scans_along_any_axis_either_way(tmp_path: Path, axis: int, back: int) -> None:
    inner = body(
        [node("ReduceSum", ["e"], ["t"], keepdims=0), node("Add", ["s", "t"], ["s2"]), node("Mul", ["e", "s2"], ["o"])],
        [value("s", []), value("e", None)], [value("s2", []), value("o", None)],
    )  # fmt: skip
    made = node(
        "Scan", ["start", "x"], ["total", "y"], body=inner, num_scan_inputs=1, scan_input_axes=[axis],
        scan_input_directions=[back], scan_output_axes=[axis], scan_output_directions=[1 - back],
    )  # fmt: skip
    data = model(
        [made], [value("x", [2, 3, 4])], [value("total", []), value("y", None)], [held("start", np.float32(1))]
    )
    assert "ONNX_Scan" not in assert_agrees(data, tmp_path, 2, 3, 4)


@pytest.mark.parametrize(
    ("count", "words"), [("steps", "how often it runs depends on data"), ("many", "more than 256 steps")]
)
def test_loops_that_are_refused(count: str, words: str) -> None:
    inner = body(
        [node("Neg", ["a"], ["b"]), node("Identity", ["go"], ["on"])],
        turns(),
        [value("on", [], BOOL), value("b", [2, 3])],
    )
    inputs = [value("x", [2, 3]), value("steps", [], INT64)]
    made = node("Loop", [count, "", "x"], ["y"], body=inner, name="l")
    with pytest.raises(ModelError, match=f"operator Loop .node 'l'.*{words}"):
        read(model([made], inputs, [value("y", [2, 3])], [held("many", np.int64(10**9))]))
