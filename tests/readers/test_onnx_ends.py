"""A converted network's inputs and outputs are made the model's own: order, names, layout, types."""

from __future__ import annotations

from typing import Any

import pytest

from edgekit.errors import ModelError
from edgekit.graph import Graph
from edgekit.readers import onnx_ends
from tests.networks.small import Builder

CHANNELS_FIRST = (0, 3, 1, 2)


def end(name: str, shape: tuple[int, ...], dtype: str = "float32", key: str = "") -> dict[str, Any]:
    return {"name": name, "key": key or name, "shape": list(shape), "dtype": dtype, "operator": "Relu (node 0)"}


def about(inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> dict[str, Any]:
    return {"inputs": inputs, "outputs": outputs, "operators": ["Relu"]}


def network(*names: str, dtype: str = "float32", shape: tuple[int, ...] = (1, 2)) -> Graph:
    """Inputs of these names, and a RELU of each as an output."""
    b = Builder()
    inputs = [b.tensor(shape, dtype, name=name) for name in names]
    return b.graph(tuple(inputs), tuple(b.add("RELU", (index,), shape, dtype) for index in inputs))


def ends(graph: Graph) -> tuple[list[str], list[str]]:
    return [t.name for t in graph.inputs], [t.name for t in graph.outputs]


def restored(graph: Graph, order: list[int], told: dict[str, Any], permutations: Any = (None, None)) -> Graph:
    onnx_ends.restore(graph, order, list(permutations)[: len(order)], told, "m")
    return graph


def test_inputs_come_in_the_models_order_by_the_converters_names() -> None:
    told = about([end("a", (1, 2), key="k1"), end("b", (1, 2), key="k0")], [end("p", (1, 2)), end("q", (1, 2))])
    graph = network("k0", "k1")
    first, second = graph.main.inputs
    restored(graph, [1, 0], told)
    assert graph.main.inputs == (second, first) and ends(graph) == (["a", "b"], ["p", "q"])
    assert [graph.operators[n].inputs[0] for n in (0, 1)] == [first, second]
    assert [o.outputs[0] for o in graph.operators] == [graph.main.outputs[1], graph.main.outputs[0]]
    (signature,) = graph.signatures
    assert signature.key == "serving_default"
    assert list(signature.inputs.items()) == [("a", second), ("b", first)]
    assert list(signature.outputs) == ["p", "q"] and list(signature.outputs.values()) == list(graph.main.outputs)


def test_inputs_of_other_names_keep_their_order() -> None:
    told = about([end("a", (1, 2)), end("b", (1, 2))], [end("p", (1, 2)), end("q", (1, 2))])
    graph = network("x", "y")
    inputs = graph.main.inputs
    restored(graph, [0, 1], told)
    assert graph.main.inputs == inputs and ends(graph) == (["a", "b"], ["p", "q"])


def test_inputs_that_went_away_are_named() -> None:
    with pytest.raises(ModelError, match=r"dropped inputs that have no effect: keep \['x'\] only"):
        restored(network("x"), [0], about([end("a", (1, 2)), end("x2", (1, 2))], [end("p", (1, 2))]))


def test_shapes_are_the_models() -> None:
    with pytest.raises(ModelError, match=r"m was converted wrongly: input 'a' of Relu \(node 0\) changed its shape"):
        restored(network("a"), [0], about([end("a", (2, 1))], [end("p", (1, 2))]))
    with pytest.raises(ModelError, match=r"output 'p' of Relu \(node 0\) has the shape \[1, 2\], not \[2, 1\]"):
        restored(network("a"), [0], about([end("a", (1, 2))], [end("p", (2, 1))]))
    empty = network("a", shape=(1, 0))
    with pytest.raises(ModelError, match=r"output 'p' .* holds nothing: a size is 0"):
        restored(empty, [0], about([end("a", (1, 0))], [end("p", (1, 0))]))


@pytest.mark.parametrize(("outside", "inside"), [("int64", "int32"), ("float16", "float32")])
def test_types_are_the_models_by_one_cast(outside: str, inside: str) -> None:
    graph = network("a", dtype=inside)
    told = about([end("a", (1, 2), outside)], [end("p", (1, 2), outside)])
    first, last = graph.main.inputs[0], graph.main.outputs[0]
    restored(graph, [0], told)
    assert [o.op for o in graph.operators] == ["CAST", "RELU", "CAST"]
    before, relu, after = graph.operators
    assert (before.inputs, before.outputs) == (graph.main.inputs, (first,)) and relu.inputs == (first,)
    assert (after.inputs, after.outputs) == ((last,), graph.main.outputs)
    assert [t.dtype for t in (*graph.inputs, *graph.outputs)] == [outside, outside]
    assert ends(graph) == (["a"], ["p"])
    assert [graph.tensors[n].name for n in (first, last)] == [f"a_{inside}", f"p_{inside}"]
    codes = {"int32": 2, "int64": 4, "float32": 0, "float16": 1}  # of TensorType in TFLite's schema
    assert (before.options.inDataType, before.options.outDataType) == (codes[outside], codes[inside])
    assert (after.options.inDataType, after.options.outDataType) == (codes[inside], codes[outside])
    assert graph.notes == [
        f"{side} {name!r} of Relu (node 0) is {outside} and computed in {inside}"
        for side, name in (("input", "a"), ("output", "p"))
    ]


@pytest.mark.parametrize(("outside", "inside"), [("int32", "int64"), ("float64", "float32"), ("bool", "float32")])
def test_no_other_type_is_mended(outside: str, inside: str) -> None:
    graph = network("a", dtype=inside)
    with pytest.raises(ModelError, match=f"would make input 'a' .* {inside} instead of {outside}"):
        restored(graph, [0], about([end("a", (1, 2), outside)], [end("p", (1, 2), inside)]))


def test_an_image_comes_out_in_the_models_layout() -> None:
    graph = network("a", shape=(1, 2, 3, 4))
    last = graph.main.outputs[0]
    told = about([end("a", (1, 2, 3, 4))], [end("p", (1, 4, 2, 3))])
    restored(graph, [0], told, [CHANNELS_FIRST])
    turn = graph.operators[-1]
    assert turn.op == "TRANSPOSE" and turn.inputs[0] == last and turn.outputs == graph.main.outputs
    assert graph.tensors[turn.inputs[1]].array().tolist() == [0, 3, 1, 2]
    assert graph.outputs[0].shape == (1, 4, 2, 3) and graph.outputs[0].name == "p"
    assert len({t.name for t in graph.tensors}) == len(graph.tensors)
    assert graph.tensors[last].name.endswith("_channels_last")
