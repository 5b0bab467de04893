"""Weights in other files are looked at wherever an ONNX model can hold a tensor: a stranger's may lead anywhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

onnx = pytest.importorskip("onnx")
from onnx import AttributeProto, TensorProto, helper  # noqa: E402

from edgekit.errors import ModelError  # noqa: E402
from edgekit.readers import ReadOptions, onnx_wire  # noqa: E402
from edgekit.readers.onnx import OnnxReader  # noqa: E402

BYTES = 64


def elsewhere(location: str, kind: int = TensorProto.FLOAT) -> Any:
    """A tensor whose 64 bytes lie in another file."""
    tensor = TensorProto(name="w", data_type=kind, data_location=TensorProto.EXTERNAL)
    tensor.dims.extend([4, 4] if kind == TensorProto.FLOAT else [8])
    for key, text in (("location", location), ("offset", "0"), ("length", str(BYTES))):
        tensor.external_data.add(key=key, value=text)
    return tensor


def sparse(values: Any = None, indices: Any = None) -> Any:
    found = onnx.SparseTensorProto(dims=[16])
    found.values.CopyFrom(values or helper.make_tensor("v", TensorProto.FLOAT, [1], [1.0]))
    found.indices.CopyFrom(indices or helper.make_tensor("i", TensorProto.INT64, [1], [0]))
    return found


def attribute(kind: int, **content: Any) -> Any:
    return AttributeProto(name="value", type=kind, **content)


def node(*attributes: Any) -> Any:
    made = helper.make_node("Relu", ["x"], ["y"])
    made.attribute.extend(attributes)
    return made


def graph(*, nodes: Any = (), weights: Any = (), sparse_weights: Any = ()) -> Any:
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    made = helper.make_graph([node(), *nodes], "net", ends[:1], ends[1:], list(weights))
    made.sparse_initializer.extend(sparse_weights)
    return made


def function(*nodes: Any, defaults: Any = ()) -> Any:
    opsets = [helper.make_opsetid("", 15)]
    made = helper.make_function("local", "f", ["x"], ["y"], list(nodes), opsets)
    made.attribute_proto.extend(defaults)
    return made


def model(main: Any = None, *, functions: Any = (), training: Any = ()) -> Any:
    opsets = [helper.make_opsetid("", 15), helper.make_opsetid("local", 1)]
    made = helper.make_model(main or graph(), opset_imports=opsets, ir_version=8, functions=list(functions))
    made.training_info.extend(training)
    return made


def training(place: str, inner: Any) -> Any:
    found = onnx.TrainingInfoProto()
    getattr(found, place).CopyFrom(inner)
    return found


A = AttributeProto
PLACES: dict[str, Callable[[str], Any]] = {
    "initializer": lambda at: model(graph(weights=[elsewhere(at)])),
    "sparse initializer, values": lambda at: model(graph(sparse_weights=[sparse(elsewhere(at))])),
    "sparse initializer, indices": lambda at: model(
        graph(sparse_weights=[sparse(indices=elsewhere(at, TensorProto.INT64))])
    ),
    "attribute t": lambda at: model(graph(nodes=[node(attribute(A.TENSOR, t=elsewhere(at)))])),
    "attribute tensors": lambda at: model(graph(nodes=[node(attribute(A.TENSORS, tensors=[elsewhere(at)]))])),
    "attribute sparse_tensor": lambda at: model(
        graph(nodes=[node(attribute(A.SPARSE_TENSOR, sparse_tensor=sparse(elsewhere(at))))])
    ),
    "attribute sparse_tensors": lambda at: model(
        graph(nodes=[node(attribute(A.SPARSE_TENSORS, sparse_tensors=[sparse(), sparse(elsewhere(at))]))])
    ),
    "inner graph": lambda at: model(graph(nodes=[node(attribute(A.GRAPH, g=graph(weights=[elsewhere(at)])))])),
    "inner graphs": lambda at: model(
        graph(nodes=[node(attribute(A.GRAPHS, graphs=[graph(), graph(weights=[elsewhere(at)])]))])
    ),
    "function body, attribute t": lambda at: model(functions=[function(node(attribute(A.TENSOR, t=elsewhere(at))))]),
    "function body, attribute tensors": lambda at: model(
        functions=[function(node(attribute(A.TENSORS, tensors=[elsewhere(at)])))]
    ),
    "function body, inner graph": lambda at: model(
        functions=[function(node(attribute(A.GRAPH, g=graph(weights=[elsewhere(at)]))))]
    ),
    "function, default of an attribute": lambda at: model(
        functions=[function(node(), defaults=[attribute(A.TENSOR, t=elsewhere(at))])]
    ),
    "training, initialization": lambda at: model(training=[training("initialization", graph(weights=[elsewhere(at)]))]),
    "training, algorithm": lambda at: model(training=[training("algorithm", graph(weights=[elsewhere(at)]))]),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(bytes(BYTES))
    made = tmp_path / "model"
    made.mkdir()
    (made / "weights").write_bytes(bytes(BYTES))
    (made / "link").symlink_to(tmp_path / "secret")
    return made


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("location", ["../secret", "/etc/passwd", "link"])
def test_data_elsewhere_is_refused(place: str, location: str, folder: Path) -> None:
    path = folder / "evil.onnx"
    path.write_bytes(PLACES[place](location).SerializeToString())
    with pytest.raises(ModelError, match="outside its own folder"):
        onnx_wire.check(path)
    with pytest.raises(ModelError, match="outside its own folder"):
        OnnxReader().read(path, ReadOptions())


@pytest.mark.parametrize("place", PLACES)
def test_data_in_the_folder_is_counted(place: str, folder: Path) -> None:
    path = folder / "model.onnx"
    path.write_bytes(PLACES[place]("weights").SerializeToString())
    assert onnx_wire.check(path) == BYTES
    (folder / "weights").write_bytes(bytes(BYTES - 1))
    with pytest.raises(ModelError, match="is shorter"):
        onnx_wire.check(path)


@pytest.mark.parametrize("place", ["initializer", "attribute t", "attribute tensors", "inner graph", "inner graphs"])
def test_the_child_looks_again(place: str, folder: Path) -> None:
    """The file may be another one by then."""
    from edgekit.readers import onnx_child

    with pytest.raises(ModelError, match="outside its own folder"):
        onnx_child._load_external(onnx, PLACES[place]("../secret"), folder / "evil.onnx")
