"""Constants stored sparse have the values that LiteRT's DENSIFY gives them; networks with such weights become int8."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.data import dataset
from edgekit.errors import ModelError
from edgekit.graph import Graph, Tensor, tflite
from edgekit.graph.explode import explode
from edgekit.graph.floats import restore
from edgekit.graph.sparse import densified
from edgekit.passes import PassContext
from edgekit.passes.quantize import Quantize
from edgekit.reference.litert import reference_outputs
from tests.e2e.command import edgekit
from tests.networks.small import Builder

rng = np.random.default_rng(11)


def level(size: int, segments: list[int] | None = None, indices: list[int] | None = None) -> Any:
    schema = tflite.schema()
    if segments is None:
        return schema.DimensionMetadataT(format=0, denseSize=size)
    vectors = [schema.Int32VectorT(), schema.Uint8VectorT()]
    vectors[0].values, vectors[1].values = np.array(segments, np.int32), np.array(indices, np.uint8)
    return schema.DimensionMetadataT(
        format=1, arraySegmentsType=1, arraySegments=vectors[0], arrayIndicesType=3, arrayIndices=vectors[1]
    )


def sparse(
    values: NDArray[Any], order: tuple[int, ...], compressed: tuple[int, ...] = (), blocks: dict[int, int] | None = None
) -> Tensor:
    """Store an array sparse: levels in ``order``, those of the dimensions in ``compressed`` without their zeros.

    ``blocks`` gives sizes of blocks by dimension.
    """
    blocks = blocks or {}
    split = [(size // blocks.get(n, 1), blocks.get(n, 1)) for n, size in enumerate(values.shape)]
    wide = values.reshape([part for pair in split for part in pair])
    places = [2 * n for n in range(values.ndim)] + [2 * n + 1 for n in blocks]
    wide = wide.transpose([places[n] for n in order] + [2 * n + 1 for n in range(values.ndim) if n not in blocks])
    outer = [size for size, _ in split]
    wide = wide.reshape([(outer + list(blocks.values()))[n] for n in order])
    parts, levels = [wide], []
    for dimension, size in zip(order, wide.shape, strict=True):
        if dimension not in compressed:
            levels.append(level(size))
            parts = [part[n] for part in parts for n in range(size)]
            continue
        kept = [[n for n in range(size) if part[n].any()] for part in parts]
        segments = np.cumsum([0, *map(len, kept)]).tolist()
        levels.append(level(size, segments, [n for row in kept for n in row]))
        parts = [part[n] for part, row in zip(parts, kept, strict=True) for n in row]
    about = tflite.schema().SparsityParametersT()
    about.traversalOrder, about.blockMap = np.array(order, np.int32), np.array(list(blocks), np.int32)
    about.dimMetadata = levels
    data = np.array(parts, values.dtype).reshape(-1).view(np.uint8)
    return Tensor("sparse", values.shape, str(values.dtype), data=data, sparsity=about)


def zeros_among(shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    values = rng.normal(size=shape) * (rng.random(shape) < 0.3)
    return values.astype(dtype)


CASES: dict[str, Callable[[], Tensor]] = {
    "rows": lambda: sparse(zeros_among((5, 7), np.float32), (0, 1), (1,)),
    "columns": lambda: sparse(zeros_among((5, 7), np.float32), (1, 0), (0,)),
    "both compressed": lambda: sparse(np.diag([0, 2, 0, 3]).astype(np.float32), (0, 1), (0, 1)),
    "blocks of 4 x 2": lambda: sparse(zeros_among((8, 6), np.float32), (0, 1, 2, 3), (1,), {0: 4, 1: 2}),
    "blocks of 4 in one dimension": lambda: sparse(zeros_among((8, 6), np.float32), (0, 1, 2), (1,), {0: 4}),
    "a kernel in float16": lambda: sparse(zeros_among((4, 1, 1, 8), np.float16), (0, 1, 2, 3), (3,)),
}


@pytest.mark.parametrize("case", CASES)
def test_the_values_are_those_of_litert(case: str, tmp_path: Path) -> None:
    tensor = CASES[case]()
    b = Builder()
    b.tensors.append(tensor)
    x = b.tensor(tensor.shape, name="x")
    y = b.add("DENSIFY", (0,), tensor.shape, tensor.dtype, options="Densify")
    y = b.add("DEQUANTIZE", (y,), tensor.shape, options="Dequantize") if tensor.dtype == "float16" else y
    tflite.write(b.graph((x,), (b.add("ADD", (x, y), tensor.shape, options="Add"),)), tmp_path / "net.tflite")
    (by_litert,) = reference_outputs(tmp_path / "net.tflite", [np.zeros((1, *tensor.shape), np.float32)])
    read = tflite.read(tmp_path / "net.tflite").tensors[0]
    found = densified(read)
    assert found.sparsity is None and by_litert.any()
    np.testing.assert_array_equal(found.array().astype(np.float32), by_litert[0])


def _set(path: str, value: Any) -> Callable[[Tensor], None]:
    def change(tensor: Tensor) -> None:
        owner: Any = tensor.sparsity
        *steps, last = path.split(".")
        for step in steps:
            owner = owner[int(step)] if step.isdigit() else getattr(owner, step)
        setattr(owner, last, value)

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set("traversalOrder", np.array([0, 0])),
        _set("traversalOrder", None),
        _set("blockMap", np.array([5])),
        _set("dimMetadata", None),
        _set("dimMetadata.0.denseSize", 2**31 - 1),
        _set("dimMetadata.0.denseSize", 0),
        _set("dimMetadata.0.format", 7),
        _set("dimMetadata.1.arraySegments", None),
        _set("dimMetadata.1.arraySegments.values", np.array([0, 9, 1, 2, 3, 4])),
        _set("dimMetadata.1.arraySegments.values", np.array([0, 2, 3, 4, 5, 200])),
        _set("dimMetadata.1.arraySegments.values", np.array([-3, 2, 3, 4, 5, 6])),
        _set("dimMetadata.1.arrayIndices", None),
        _set("dimMetadata.1.arrayIndices.values", np.full(35, 7)),
        lambda tensor: setattr(tensor, "data", tensor.data[:8] if tensor.data is not None else None),
        lambda tensor: setattr(tensor, "data", tensor.data[:-3] if tensor.data is not None else None),
        lambda tensor: setattr(tensor, "shape", (1 << 15, 1 << 15)),
    ],
)
def test_damaged_sparsity_is_refused(change: Callable[[Tensor], None]) -> None:
    tensor = sparse(np.ones((5, 7), np.float32), (0, 1), (1,))
    np.testing.assert_array_equal(densified(tensor).array(), np.ones((5, 7)))
    change(tensor)
    with pytest.raises(ModelError, match="stored sparse"):
        densified(tensor)


def face() -> Graph:
    """Two convolutions with kernels in float16, sparse, behind DENSIFY and DEQUANTIZE, as MediaPipe exports them."""
    b = Builder()
    x = value = b.tensor((1, 8, 8, 4), name="x")
    for _ in range(2):
        b.tensors.append(sparse(zeros_among((4, 1, 1, 4), np.float16) + np.float16(0), (0, 1, 2, 3), (3,)))
        kernel = b.add("DENSIFY", (len(b.tensors) - 1,), (4, 1, 1, 4), "float16", options="Densify")
        kernel = b.add("DEQUANTIZE", (kernel,), (4, 1, 1, 4), options="Dequantize")
        bias = b.constant(rng.normal(size=4).astype(np.float32))
        value = b.add("CONV_2D", (value, kernel, bias), (1, 8, 8, 4), options="Conv2D", strideH=1, strideW=1)
    for n, tensor in enumerate(b.tensors):
        tensor.name = tensor.name if n == x else f"t{n}"
    return b.graph((x,), (value,))


def test_sparse_weights_are_quantized(tmp_path: Path) -> None:
    graph = face()
    tflite.write(graph, tmp_path / "face.tflite")
    restored, count = restore(graph)
    assert count == 4 and [o.op for o in restored.operators] == ["CONV_2D"] * 2
    tflite.write(restored, tmp_path / "restored.tflite")
    x = dataset.random(graph, samples=4).inputs
    for ours, theirs in zip(
        *(reference_outputs(tmp_path / f"{n}.tflite", x) for n in ("restored", "face")), strict=True
    ):
        np.testing.assert_allclose(ours, theirs, 1e-6)
    made = Quantize().apply(graph, PassContext(data=dataset.random(graph))).graph
    assert {t.dtype for t in made.tensors} == {"int8", "int32"}
    half = PassContext(params={"weights": "float16", "activations": "float"})
    kept = Quantize().apply(graph, half).graph
    assert [o.op for o in kept.operators] == [o.op for o in graph.operators], "sparse float16 weights are smaller still"


def test_weights_made_of_constants_are_no_outputs_of_parts(tmp_path: Path) -> None:
    """XNNPACK unpacks static weights for itself: as outputs they would stay unwritten, or end the process."""
    parts = explode(face())
    assert parts is not None
    assert [parts.graph.operators[n].op for n in parts.operators] == ["CONV_2D"] * 2
    tflite.write(parts.graph, tmp_path / "parts.tflite")
    (made,) = edgekit("compile", tmp_path / "parts.tflite", "-t", "host", "-o", tmp_path, "--json").json["bundles"]
    assert made["parity"]["ok"] and made["parity"]["by"] == "network"
