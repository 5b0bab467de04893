"""ONNX files with names and sizes that converters stumble over: read, with the file's own names at both ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_models
import pytest
from onnx import helper
from onnx_models import node, value, weight

from edgekit.api.compile import compile
from edgekit.errors import EdgekitError, ModelError
from edgekit.graph import Graph, tflite
from edgekit.readers import ReadOptions
from edgekit.readers.onnx import OnnxReader, read_all
from edgekit.readers.onnx_values import open_sizes, plain_names
from edgekit.reference.litert import reference_outputs

ODD = ["images:0", "a/b", "a b", "x.1", "bild_ä", "日本", "3x", "a-b", "x,y", "a[0]", "it's", 'q"q', "a=b", "%x",
       "x\\y", "serving_default_x:0", "$(x)", "..", "a#b", " "]  # fmt: skip


def convolution(path: Path, given: str, made: str, weights: str = "w") -> Path:
    nodes = [node("Conv", [given, weights], ["c"], pads=[1, 1, 1, 1]), node("Relu", ["c"], [made])]
    return onnx_models.save(
        path, nodes, [value(given, [1, 4, 8, 8])], [value(made, [1, 4, 8, 8])], [weight(weights, 4, 4, 3, 3)]
    )


def agrees(graph: Graph | EdgekitError, path: Path) -> None:
    runtime = pytest.importorskip("onnxruntime")
    assert isinstance(graph, Graph), graph
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    random = np.random.default_rng(1)
    inputs = {t.name: random.normal(size=t.shape).astype(np.float32) for t in graph.inputs}
    assert list(inputs) == [end.name for end in session.get_inputs()]
    assert [t.name for t in graph.outputs] == [end.name for end in session.get_outputs()]
    model = path.with_suffix(".tflite")
    tflite.write(graph, model)
    outputs = reference_outputs(model, [x[None] for x in inputs.values()])
    for output, expected in zip(outputs, session.run(None, inputs), strict=True):
        np.testing.assert_allclose(output[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_any_name_of_an_input_or_output(onnx_converter: None, tmp_path: Path) -> None:
    paths = [convolution(tmp_path / f"{number}.onnx", name, f"{name}_o") for number, name in enumerate(ODD)]
    for path, graph in zip(paths, read_all(paths, ReadOptions()), strict=True):
        agrees(graph, path)
        assert isinstance(graph, Graph) and graph.operators[0].op == "TRANSPOSE", "in TFLite's operators"


@pytest.mark.slow
def test_names_that_differ_in_odd_letters_only_and_int8(onnx_converter: None, tmp_path: Path) -> None:
    nodes = [
        node("Conv", ["a:0", "w 1"], ["c 1"]), node("Conv", ["a_0", "w 1"], ["c_1"]),
        node("Add", ["c 1", "c_1"], ["y:0"]), node("Sub", ["c_1", "c 1"], ["y_0"]),
    ]  # fmt: skip
    ends = [
        [value(name, [1, 4, size, size]) for name in names]
        for names, size in ((("a:0", "a_0"), 8), (("y:0", "y_0"), 6))
    ]
    path = onnx_models.save(tmp_path / "both.onnx", nodes, *ends, [weight("w 1", 4, 4, 3, 3)])
    agrees(OnnxReader().read(path, ReadOptions()), path)
    (made,) = compile(path, targets=["host"], recipe="int8", data="random", out=tmp_path / "out")
    assert made.parity.ok
    graph = tflite.read(made.path / "model.tflite")
    assert any(
        operator.op == "CONV_2D" and graph.tensors[operator.inputs[0]].dtype == "int8" for operator in graph.operators
    )


@pytest.mark.parametrize("size", ["?", "", "None", "-1", "unknown", "*"])
def test_an_open_size_without_a_name_is_nobody_elses(size: str) -> None:
    graph = helper.make_graph([], "g", [value("x", [size, 3, size, size])], [value("y", [size, 2])])
    open_sizes(graph)
    shape = graph.input[0].type.tensor_type.shape.dim
    assert [dim.WhichOneof("value") for dim in shape] == [None, "dim_value", None, None]


def test_sizes_below_0_are_open_in_inner_graphs_too() -> None:
    inner = helper.make_graph([node("Relu", ["x"], ["r"])], "then", [], [value("r", [-1, 4])])
    graph = helper.make_graph(
        [node("If", ["c"], ["y"], then_branch=inner, else_branch=inner)],
        "g",
        [value("x", [-1, 4])],
        [value("y", [-1, 4])],
    )
    open_sizes(graph)
    branch = graph.node[0].attribute[0].g
    for each in (graph.input[0], graph.output[0], branch.output[0]):
        first, second = each.type.tensor_type.shape.dim
        assert not first.HasField("dim_value") and second.dim_value == 4


@pytest.mark.slow
@pytest.mark.parametrize("declared", [[-1, 4], [-1, -1], [0, 4], ["?", 4]], ids=str)
def test_open_sizes_of_outputs(onnx_converter: None, tmp_path: Path, declared: list[Any]) -> None:
    nodes = [node("Conv", ["x", "w"], ["c"]), node("GlobalAveragePool", ["c"], ["p"]), node("Flatten", ["p"], ["y"])]
    path = onnx_models.save(
        tmp_path / "open.onnx",
        nodes,
        [value("x", ["?", 3, "?", "?"])],
        [value("y", declared)],
        [weight("w", 4, 3, 3, 3)],
    )
    graph = OnnxReader().read(path, ReadOptions(shapes={"": (1, 3, 8, 12)}))
    assert [t.shape for t in graph.outputs] == [(1, 4)]


def test_names_change_in_inner_graphs_too() -> None:
    inner = helper.make_graph([node("Relu", ["x 1"], ["r 1"])], "then", [], [value("r 1", [4])])
    graph = helper.make_graph(
        [node("If", ["c"], ["value_0"], then_branch=inner, else_branch=inner)], "g", [value("x 1", [4])],
        [value("value_0", [4])],
    )  # fmt: skip
    names = plain_names(graph)
    assert set(names) == {"x 1", "r 1"} and "value_0" not in names.values(), "a name that is taken is not given again"
    assert graph.node[0].attribute[0].g.node[0].input[0] == graph.input[0].name == names["x 1"]


@pytest.mark.slow
def test_a_size_that_depends_on_data_is_refused_by_name(onnx_converter: None, tmp_path: Path) -> None:
    nodes = [node("Compress", ["x", "keep"], ["y"], axis=0)]
    path = onnx_models.save(
        tmp_path / "compress.onnx", nodes, [value("x", [3, 2]), value("keep", [3], onnx.TensorProto.BOOL)],
        [value("y", [2, 2])], [],
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"output 'y' of Compress has a size that depends on the data"):
        OnnxReader().read(path, ReadOptions())
