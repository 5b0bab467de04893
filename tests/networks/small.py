"""Small networks, built operator by operator, for tests that need one of their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph, Operator, Quantization, Subgraph, Tensor, tflite

MODELS = Path(__file__).parents[3] / "shared" / "models"
DIGITS = Path(__file__).parents[2] / "examples" / "mnist" / "digits.npz"


class Builder:
    """Collects tensors and operators of one subgraph."""

    def __init__(self) -> None:
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []

    def tensor(self, shape: tuple[int, ...], dtype: str = "float32", **fields: Any) -> int:
        self.tensors.append(Tensor(fields.pop("name", f"t{len(self.tensors)}"), shape, dtype, **fields))
        return len(self.tensors) - 1

    def constant(self, values: NDArray[Any], **fields: Any) -> int:
        data = np.ascontiguousarray(values).reshape(-1).view(np.uint8)
        return self.tensor(values.shape, str(values.dtype), data=data, **fields)

    def add(
        self, op: str, inputs: tuple[int, ...], shape: tuple[int, ...], dtype: str = "float32", **options: Any
    ) -> int:
        """Append an operator with the schema's ``<options>OptionsT``; return its output."""
        output = self.tensor(shape, dtype)
        kind = options.pop("options", None)
        table = getattr(tflite.schema(), f"{kind}OptionsT")() if kind else None
        for name, value in options.items():
            setattr(table, name, value)
        self.operators.append(Operator(op, inputs, (output,), table))
        return output

    def graph(self, inputs: tuple[int, ...], outputs: tuple[int, ...]) -> Graph:
        return Graph([Subgraph("main", self.tensors, self.operators, inputs, outputs)])


def dense(weights: NDArray[np.float32], bias: NDArray[np.float32], *, relu: bool = False) -> Graph:
    """FULLY_CONNECTED alone: ``[1, k] -> [1, n]`` with weights ``[n, k]``."""
    b = Builder()
    x = b.tensor((1, weights.shape[1]), name="x")
    y = b.add(
        "FULLY_CONNECTED", (x, b.constant(weights), b.constant(bias)), (1, len(weights)),
        options="FullyConnected", fusedActivationFunction=1 if relu else 0,
    )  # fmt: skip
    return b.graph((x,), (y,))


def unary(op: str, shape: tuple[int, ...], out: tuple[int, ...] | None = None, options: str | None = None) -> Graph:
    """One operator of one input and no constants."""
    b = Builder()
    x = b.tensor(shape, name="x")
    return b.graph((x,), (b.add(op, (x,), out or shape, options=options),))


def convolutional(head: NDArray[np.float32] | None = None, seed: int = 0) -> Graph:
    """Images ``[1, 28, 28, 1]`` -> CONV 16 5x5/2 relu, MAX_POOL 2, RESHAPE [1, 576].

    With ``head`` ``[10, 577]`` (the last column is the bias) also FULLY_CONNECTED 10 and SOFTMAX.
    """
    rng = np.random.default_rng(seed)
    b = Builder()
    x = b.tensor((1, 28, 28, 1), name="image")
    kernel = b.constant(rng.normal(size=(16, 5, 5, 1)).astype(np.float32), name="kernel")
    bias = b.constant(rng.normal(size=16).astype(np.float32), name="bias")
    y = b.add(
        "CONV_2D", (x, kernel, bias), (1, 12, 12, 16),
        options="Conv2D", strideH=2, strideW=2, padding=1, fusedActivationFunction=1,
    )  # fmt: skip
    y = b.add(
        "MAX_POOL_2D", (y,), (1, 6, 6, 16),
        options="Pool2D", strideH=2, strideW=2, filterHeight=2, filterWidth=2, padding=1,
    )  # fmt: skip
    y = b.add("RESHAPE", (y, b.constant(np.array([1, 576], np.int32))), (1, 576), options="Reshape", newShape=[1, 576])
    if head is not None:
        weights, offset = np.ascontiguousarray(head[:, :-1]), np.ascontiguousarray(head[:, -1])
        y = b.add(
            "FULLY_CONNECTED",
            (y, b.constant(weights, name="head"), b.constant(offset)),
            (1, 10),
            options="FullyConnected",
        )
        y = b.add("SOFTMAX", (y,), (1, 10), options="Softmax", beta=1.0)
    return b.graph((x,), (y,))


def digits(count: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Real handwritten digits: ``[count, 28, 28]`` in 0..1, and their labels."""
    with np.load(DIGITS) as archive:
        x, y = archive["x"], archive["y"]
    chosen = np.random.default_rng(seed).permutation(len(x))[:count]
    return (x[chosen] / 255).astype(np.float32), y[chosen].astype(np.int64)


_read_outs: dict[int, NDArray[np.float32]] = {}
"""Of classifiers, by the number of digits that they were fitted to."""


def classifier(folder: Path, training: int = 3000) -> Graph:
    """A digit classifier with real accuracy, built in a second, once, without a framework.

    It has fixed random convolutions and a read-out fitted by ridge regression.
    """
    if training not in _read_outs:
        _read_outs[training] = _read_out(folder, training)
    return convolutional(_read_outs[training].copy())


def _read_out(folder: Path, training: int) -> NDArray[np.float32]:
    from edgekit.reference.litert import reference_outputs

    x, y = digits(training)
    path = folder / "features.tflite"
    tflite.write(convolutional(), path)
    features = reference_outputs(path, [x.reshape(-1, 1, 28, 28, 1)], optimized=True)[0].reshape(training, -1)
    features = np.hstack([features, np.ones((training, 1), np.float32)]).astype(np.float64)
    wanted = 8 * np.eye(10)[y] - 4
    gram = features.T @ features + 10 * np.eye(features.shape[1])
    return np.linalg.solve(gram, features.T @ wanted).T.astype(np.float32)


def integers() -> Graph:
    b = Builder()
    real = Quantization(np.array([0.5], np.float32), np.array([0]))
    x = b.tensor((1, 2), "int8", name="x", quantization=real)
    weights = b.constant(np.ones((2, 2), np.int8), quantization=real)
    bias = b.constant(np.zeros(2, np.int32), quantization=Quantization(np.array([0.25], np.float32), np.array([0])))
    y = b.add("FULLY_CONNECTED", (x, weights, bias), (1, 2), "int8", options="FullyConnected")
    b.tensors[y].quantization = real
    return b.graph((x,), (y,))
