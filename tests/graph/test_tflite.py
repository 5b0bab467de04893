"""TFLite in and out: nothing is lost, and LiteRT computes the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.data import dataset
from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator, Signature, tflite
from edgekit.reference.litert import reference_outputs
from tests.conftest import SHARED_TFLITE
from tests.networks.small import Builder, dense


@pytest.mark.parametrize("path", SHARED_TFLITE, ids=lambda p: p.stem)
def test_shared_models_round_trip_bit_exact(path: Path, tmp_path: Path) -> None:
    """Read, written back, read again: the same bytes, and bit-identical outputs in LiteRT."""
    graph = tflite.read(path)
    data = tflite.dumps(graph)
    assert tflite.dumps(tflite.loads(data)) == data
    (tmp_path / "again.tflite").write_bytes(data)
    inputs = dataset.as_network_inputs(dataset.random(graph, seed=1, samples=3), graph)
    outputs = reference_outputs(tmp_path / "again.tflite", inputs)
    if graph.notes:  # LiteRT refuses the original, or crashes on it: that is what was repaired
        assert all(output.size for output in outputs)
        return
    for ours, theirs in zip(outputs, reference_outputs(path, inputs), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_all_shared_models_are_seen(models: Path) -> None:
    assert len(SHARED_TFLITE) == 10


def test_constants_are_aligned(models: Path) -> None:
    data = tflite.dumps(tflite.read(models / "mlperf_tiny" / "kws_int8.tflite"))
    base = np.frombuffer(data, np.uint8).__array_interface__["data"][0]
    for tensor in tflite.loads(data).constants():
        assert tensor.data is not None
        assert (tensor.data.__array_interface__["data"][0] - base) % 16 == 0


def test_everything_survives() -> None:
    """Unknown (custom) operators, options, quantization, signatures and metadata come back as they were."""
    b = Builder()
    x = b.tensor((1, 4), "int8", name="x", shape_signature=(-1, 4))
    y = b.tensor((1, 4), "int8", name="y")
    b.operators.append(Operator("MyOp", (x, -1), (y,), custom=True, custom_options=b"\x01\x02\xff", version=3))
    graph = b.graph((x,), (y,))
    graph.signatures = [Signature("serve", {"in": x}, {"out": y})]
    graph.metadata = {"min_runtime_version": b"1.5.0\0", "empty": b""}
    graph.description = "from a test"
    again = tflite.loads(tflite.dumps(graph))
    assert again.operators == graph.operators
    assert again.signatures == graph.signatures
    assert again.metadata == graph.metadata
    assert again.description == graph.description
    assert again.tensors[x].shape_signature == (-1, 4)


def test_equal_constants_share_a_buffer() -> None:
    big = np.arange(5000, dtype=np.float32)
    b = Builder()
    x = b.tensor((5000,), name="x")
    y = b.add("ADD", (x, b.constant(big)), (5000,), options="Add")
    z = b.add("ADD", (y, b.constant(big)), (5000,), options="Add")
    assert len(tflite.dumps(b.graph((x,), (z,)))) < 1.5 * big.nbytes


def test_write_leaves_nothing_behind_when_it_fails(tmp_path: Path) -> None:
    target = tmp_path / "folder.tflite"
    target.mkdir()
    with pytest.raises(OSError, match="directory"):
        tflite.write(dense(np.ones((2, 2), np.float32), np.zeros(2, np.float32)), target)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("dtype", ["int4", "uint4", "int2"])
def test_packed_integers_unpack(dtype: str) -> None:
    bits = int(dtype[-1])
    values = np.arange(8, dtype=np.int64) % (1 << bits)
    packed = np.zeros(8 * bits // 8, np.uint8)
    for position, value in enumerate(values):
        packed[position * bits // 8] |= int(value) << (position * bits % 8)
    b = Builder()
    tensor = b.tensors[b.tensor((8,), dtype, data=packed)]
    sign = 1 << (bits - 1)
    expected = (values ^ sign) - sign if dtype.startswith("int") else values
    np.testing.assert_array_equal(tensor.array(), expected)


def test_external_weights_are_refused() -> None:
    schema = tflite.schema()
    model = schema.ModelT(version=3, subgraphs=[schema.SubGraphT()], externalBuffers=[schema.ExternalBufferT()])
    import flatbuffers

    builder = flatbuffers.Builder(0)
    builder.Finish(model.Pack(builder), b"TFL3")
    with pytest.raises(ModelError, match="other files"):
        tflite.loads(bytes(builder.Output()))


def test_graph_is_plain_data() -> None:
    graph = dense(np.ones((2, 3), np.float32), np.zeros(2, np.float32))
    assert isinstance(graph, Graph)
    assert graph.inputs[0].nbytes == 12
    assert not graph.is_quantized
