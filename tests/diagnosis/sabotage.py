"""Networks with a planted fault. Each is a digit classifier that is right in float; in int8 it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit.data.dataset import Dataset
from edgekit.graph import Graph
from edgekit.reference.litert import reference_outputs
from tests.networks.small import Builder, classifier, digits

CHANNELS, FEATURES = 16, 576
TRAINING, TEST = 3000, 1000


@dataclass(frozen=True)
class Patient:
    """A network, what it is calibrated on and tested with, and what ails it.

    :param cause: the finding's identifier; ``operators``: indices of operators that may be named for it (-1: an input).
    """

    graph: Graph
    calibration: Dataset
    test: Dataset
    cause: str
    operators: set[int]


@dataclass
class Parts:
    """A trained classifier's arrays: kernel ``[16, 5, 5, 1]``, bias ``[16]``, head ``[10, 576]`` and its bias."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]
    head: NDArray[np.float32]
    offset: NDArray[np.float32]


def parts(folder: Path) -> Parts:
    graph = classifier(folder, TRAINING)
    convolution, dense = graph.operators[0], graph.operators[3]
    arrays = [graph.tensors[o.inputs[i]].array().copy() for o in (convolution, dense) for i in (1, 2)]
    return Parts(*arrays)


def data() -> tuple[Dataset, Dataset]:
    """Calibration and test samples: different digits."""
    x, y = digits(5000)
    return pictures(x[:300], y[:300]), pictures(x[TRAINING : TRAINING + TEST], y[TRAINING : TRAINING + TEST])


def pictures(x: NDArray[np.float32], y: NDArray[np.int64] | None) -> Dataset:
    return Dataset([x.reshape(-1, 1, 28, 28, 1)], y)


def columns(channels: list[int]) -> NDArray[np.int64]:
    """Places of channels among the flattened features."""
    return np.flatnonzero(np.isin(np.arange(FEATURES) % CHANNELS, channels))


def convolution(b: Builder, x: int, kernel: NDArray[np.float32], bias: NDArray[np.float32], name: str = "conv") -> int:
    return b.add(
        "CONV_2D", (x, b.constant(kernel, name=f"{name}/kernel"), b.constant(bias, name=f"{name}/bias")),
        (1, 12, 12, len(kernel)), options="Conv2D", strideH=2, strideW=2, padding=1, fusedActivationFunction=1,
    )  # fmt: skip


def pool(b: Builder, x: int) -> int:
    return b.add(
        "MAX_POOL_2D", (x,), (1, 6, 6, b.tensors[x].shape[-1]),
        options="Pool2D", strideH=2, strideW=2, filterHeight=2, filterWidth=2, padding=1,
    )  # fmt: skip


def flat(b: Builder, x: int) -> int:
    shape = np.array([1, FEATURES], np.int32)
    return b.add("RESHAPE", (x, b.constant(shape)), (1, FEATURES), options="Reshape", newShape=[1, FEATURES])


def dense(b: Builder, x: int, weights: NDArray[np.float32], bias: NDArray[np.float32], relu: bool = False) -> int:
    return b.add(
        "FULLY_CONNECTED", (x, b.constant(np.ascontiguousarray(weights)), b.constant(bias)), (1, len(weights)),
        options="FullyConnected", fusedActivationFunction=1 if relu else 0,
    )  # fmt: skip


def ended(b: Builder, x: int, features: int, p: Parts) -> Graph:
    """Head and softmax."""
    y = b.add("SOFTMAX", (dense(b, features, p.head, p.offset),), (1, 10), options="Softmax", beta=1.0)
    return b.graph((x,), (y,))


def plain(p: Parts) -> Graph:
    """CONV_2D, MAX_POOL_2D, RESHAPE, FULLY_CONNECTED, SOFTMAX."""
    b = Builder()
    x = b.tensor((1, 28, 28, 1), name="image")
    return ended(b, x, flat(b, pool(b, convolution(b, x, p.kernel, p.bias))), p)


def healthy(folder: Path) -> Patient:
    return Patient(plain(parts(folder)), *data(), "", set())


def loud_channel(folder: Path) -> Patient:
    """One channel times 1000; the next layer divides by it."""
    p = parts(folder)
    p.kernel[3] *= 1000
    p.bias[3] *= 1000
    p.head[:, columns([3])] /= 1000
    return Patient(plain(p), *data(), "outlier_channels", {0})


def concatenation(folder: Path) -> Patient:
    """Two branches joined, one of them 1000 times the other; the head makes up for it."""
    p = parts(folder)
    loud = list(range(8, 16))
    p.head[:, columns(loud)] /= 1000
    b = Builder()
    x = b.tensor((1, 28, 28, 1), name="image")
    branches = [
        convolution(b, x, p.kernel[:8], p.bias[:8], "quiet"),
        convolution(b, x, p.kernel[8:] * 1000, p.bias[8:] * 1000, "loud"),
    ]
    joined = b.add("CONCATENATION", tuple(branches), (1, 12, 12, 16), options="Concatenation", axis=3)
    return Patient(ended(b, x, flat(b, pool(b, joined)), p), *data(), "mismatched_scales", {2})


def spike(folder: Path) -> Patient:
    """A corner of every channel is raised by 3000, and never looked at."""
    p = parts(folder)
    p.head[:, :CHANNELS] = 0
    raised = np.zeros((1, 12, 12, CHANNELS), np.float32)
    raised[0, 0, 0, :] = 3000
    b = Builder()
    x = b.tensor((1, 28, 28, 1), name="image")
    y = convolution(b, x, p.kernel, p.bias)
    y = b.add("ADD", (y, b.constant(raised, name="sink")), (1, 12, 12, CHANNELS), options="Add")
    return Patient(ended(b, x, flat(b, pool(b, y)), p), *data(), "heavy_tail", {1})


def pointwise(b: Builder, x: int, scale: NDArray[np.float32], offset: NDArray[np.float32]) -> int:
    """A 1x1 convolution that computes ``scale * x + offset``, channel by channel."""
    weights = np.diag(scale).reshape(CHANNELS, 1, 1, CHANNELS)
    return b.add(
        "CONV_2D", (x, b.constant(weights), b.constant(offset)), (1, 6, 6, CHANNELS),
        options="Conv2D", strideH=1, strideW=1, padding=1,
    )  # fmt: skip


def bias_overflow(folder: Path) -> Patient:
    """A 1x1 convolution with tiny weights and a bias of 10 in some channels, which the head takes out again."""
    p = parts(folder)
    tiny, bias, channels = 1e-5, 10.0, list(range(6))
    scale, offset = np.ones(CHANNELS, np.float32), np.zeros(CHANNELS, np.float32)
    scale[channels], offset[channels] = tiny, bias
    places = columns(channels)
    p.head[:, places] = np.clip(p.head[:, places], -0.25, 0.25) / tiny
    p.offset -= bias * p.head[:, places].astype(np.float64).sum(axis=1).astype(np.float32)
    b = Builder()
    x = b.tensor((1, 28, 28, 1), name="image")
    y = pointwise(b, pool(b, convolution(b, x, p.kernel, p.bias)), scale, offset)
    return Patient(ended(b, x, flat(b, y), p), *data(), "bias_overflow", {2})


def steep(folder: Path) -> Patient:
    """A 1x1 convolution whose outputs are 1 and a millionth of what matters; the next one magnifies that."""
    p = parts(folder)
    p.head *= 1000
    b = Builder()
    x = b.tensor((1, 28, 28, 1), name="image")
    ones = np.ones(CHANNELS, np.float32)
    y = pointwise(b, pool(b, convolution(b, x, p.kernel, p.bias)), 1e-6 * ones, ones)
    y = pointwise(b, y, 1000 * ones, -1000 * ones)
    return Patient(ended(b, x, flat(b, y), p), *data(), "does_not_run", {3})


def wrong_range(folder: Path) -> Patient:
    """Calibrated on images of 0..255, used on images of 0..1."""
    calibration, test = data()
    return Patient(plain(parts(folder)), Dataset([calibration.inputs[0] * 255]), test, "data_range", {-1})


def heavy_weights(folder: Path) -> Patient:
    """In every row of the head one weight of a feature that is always zero is huge."""
    p = parts(folder)
    p.bias[0], p.kernel[0] = -1, 0
    p.head[:, columns([0])] = 0
    p.head[:, 0] = 2000
    return Patient(plain(p), *data(), "weight_outliers", {3})


def tiny_scale(folder: Path) -> Patient:
    """All features times 1e-13; the head makes up for it."""
    p = parts(folder)
    p.kernel *= 1e-13
    p.bias *= 1e-13
    p.head *= 1e13
    return Patient(plain(p), *data(), "tiny_scale", {0})


def dead_range(folder: Path) -> Patient:
    """A detector of nines that is silent on everything else, calibrated without nines."""
    p = parts(folder)
    calibration, test = data()
    assert calibration.labels is not None
    others = calibration.labels != 9
    without = Dataset([calibration.inputs[0][others]], calibration.labels[others])
    from edgekit.graph import tflite

    graph = plain(p)
    graph.main.outputs = (graph.operators[3].outputs[0],)
    tflite.write(graph, folder / "logits.tflite")
    threshold = reference_outputs(folder / "logits.tflite", without.inputs, optimized=True)[0][:, 0, 9].max() + 0.1
    b = Builder()
    x = b.tensor((1, 28, 28, 1), name="image")
    features = flat(b, pool(b, convolution(b, x, p.kernel, p.bias)))
    alarm = dense(b, features, p.head[9:].copy(), p.offset[9:] - threshold, relu=True)
    p.head[9], p.offset[9] = 0, -4
    logits = dense(b, features, p.head, p.offset)
    raised = np.zeros((10, 1), np.float32)
    raised[9] = 20
    logits = b.add("ADD", (logits, dense(b, alarm, raised, np.zeros(10, np.float32))), (1, 10), options="Add")
    y = b.add("SOFTMAX", (logits,), (1, 10), options="Softmax", beta=1.0)
    return Patient(b.graph((x,), (y,)), without, test, "dead_range", {3})


PATIENTS: dict[str, Callable[[Path], Patient]] = {
    "loud_channel": loud_channel,
    "concatenation": concatenation,
    "spike": spike,
    "bias_overflow": bias_overflow,
    "steep": steep,
    "wrong_range": wrong_range,
    "heavy_weights": heavy_weights,
    "tiny_scale": tiny_scale,
    "dead_range": dead_range,
}
