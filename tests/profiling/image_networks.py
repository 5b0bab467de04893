"""Networks of the Edge TPU's published table as int8 Graphs: shapes and sizes as in their papers, all weights zero.

Only what an estimate reads is here. Weights are untouched zero pages, so that VGG19 takes no memory to speak of.
``BATCH_NORM`` before a convolution is what TensorFlow's converter leaves of it, a MUL and an ADD; after one it is
folded.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from edgekit.graph import Graph, Operator, Quantization, Subgraph, Tensor

ONE = Quantization(np.ones(1, np.float32), np.zeros(1, np.int64))


class Network:
    """Collects int8 operators; every method takes and returns a tensor's index."""

    def __init__(self, size: int) -> None:
        self.tensors: list[Tensor] = []
        self.operators: list[Operator] = []
        self.image = self.tensor((1, size, size, 3))

    def tensor(self, shape: tuple[int, ...], dtype: str = "int8", *, constant: bool = False) -> int:
        width = {"int8": 1, "int32": 4}[dtype]
        data = np.zeros(math.prod(shape) * width, np.uint8) if constant else None
        self.tensors.append(Tensor(f"t{len(self.tensors)}", shape, dtype, ONE, data))
        return len(self.tensors) - 1

    def add(self, op: str, inputs: tuple[int, ...], shape: tuple[int, ...]) -> int:
        output = self.tensor(shape)
        self.operators.append(Operator(op, inputs, (output,)))
        return output

    def shape(self, x: int) -> tuple[int, ...]:
        return self.tensors[x].shape

    def channels(self, x: int) -> int:
        return self.shape(x)[-1]

    def _window(self, x: int, kernel: tuple[int, int], stride: int, valid: bool) -> tuple[int, int]:
        _, *sides, _ = self.shape(x)
        height, width = (
            (side - k) // stride + 1 if valid else -(-side // stride) for side, k in zip(sides, kernel, strict=True)
        )
        return height, width

    def conv(self, x: int, out: int, kernel: int | tuple[int, int] = 1, stride: int = 1, *, valid: bool = False) -> int:
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        weights = self.tensor((out, *size, self.channels(x)), constant=True)
        bias = self.tensor((out,), "int32", constant=True)
        return self.add("CONV_2D", (x, weights, bias), (1, *self._window(x, size, stride, valid), out))

    def depthwise(self, x: int, kernel: int, stride: int = 1) -> int:
        count = self.channels(x)
        weights, bias = (
            self.tensor((1, kernel, kernel, count), constant=True),
            self.tensor((count,), "int32", constant=True),
        )
        shape = (1, *self._window(x, (kernel, kernel), stride, False), count)
        return self.add("DEPTHWISE_CONV_2D", (x, weights, bias), shape)

    def pool(self, x: int, kernel: int, stride: int, *, op: str = "MAX_POOL_2D", valid: bool = False) -> int:
        return self.add(op, (x,), (1, *self._window(x, (kernel, kernel), stride, valid), self.channels(x)))

    def average(self, x: int, kernel: int = 3, stride: int = 1) -> int:
        return self.pool(x, kernel, stride, op="AVERAGE_POOL_2D")

    def plus(self, x: int, y: int) -> int:
        return self.add("ADD", (x, y), self.shape(x))

    def norm(self, x: int) -> int:
        for op in ("MUL", "ADD"):
            x = self.add(op, (x, self.tensor((self.channels(x),), constant=True)), self.shape(x))
        return x

    def concat(self, *parts: int) -> int:
        return self.add("CONCATENATION", parts, (*self.shape(parts[0])[:-1], sum(map(self.channels, parts))))

    def dense(self, x: int, out: int) -> int:
        flat = self.add("RESHAPE", (x,), (1, math.prod(self.shape(x))))
        weights = self.tensor((out, self.channels(flat)), constant=True)
        return self.add("FULLY_CONNECTED", (flat, weights, self.tensor((out,), "int32", constant=True)), (1, out))

    def classifier(self, x: int, classes: int = 1000) -> Graph:
        """Mean over the image, dense, softmax."""
        mean = self.add("MEAN", (x,), (1, self.channels(x))) if len(self.shape(x)) == 4 else x
        return self.graph(self.add("SOFTMAX", (self.dense(mean, classes),), (1, classes)))

    def graph(self, output: int) -> Graph:
        return Graph([Subgraph("main", self.tensors, self.operators, (self.image,), (output,))])


def mobilenet_v1() -> Graph:
    n = Network(224)
    x = n.conv(n.image, 32, 3, 2)
    rows = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))
    for out, stride in rows:
        x = n.conv(n.depthwise(x, 3, stride), out)
    return n.classifier(x)


def _inverted(n: Network, x: int, out: int, expansion: int, kernel: int, stride: int, *, skip: bool = True) -> int:
    wide = n.conv(x, n.channels(x) * expansion) if expansion > 1 else x
    y = n.conv(n.depthwise(wide, kernel, stride), out)
    return n.plus(x, y) if skip and stride == 1 and n.channels(x) == out else y


def mobilenet_v2() -> Graph:
    n = Network(224)
    x = n.conv(n.image, 32, 3, 2)
    for expansion, out, count, first in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1),
    ):  # fmt: skip
        for index in range(count):
            x = _inverted(n, x, out, expansion, 3, first if index == 0 else 1)
    return n.classifier(n.conv(x, 1280))


def efficientnet_edgetpu(size: int, width: float, depth: float) -> Graph:
    """Gupta & Akin, "Accelerator-aware Neural Network Design using AutoML" (2020): fused blocks first, no squeezing."""
    n = Network(size)

    def wide(channels: int) -> int:
        rounded = max(8, int(channels * width + 4) // 8 * 8)
        return rounded + 8 if rounded < 0.9 * channels * width else rounded

    x = n.conv(n.image, wide(32), 3, 2)
    for count, kernel, first, expansion, out, fused in (
        (1, 3, 1, 4, 24, True), (2, 3, 2, 8, 32, True), (4, 3, 2, 8, 48, True),
        (5, 5, 2, 8, 96, False), (4, 5, 1, 8, 144, False), (2, 5, 2, 8, 192, False),
    ):  # fmt: skip
        for index in range(math.ceil(count * depth)):
            stride = first if index == 0 else 1
            if not fused:
                x = _inverted(n, x, wide(out), expansion, kernel, stride)
                continue
            y = n.conv(n.conv(x, n.channels(x) * expansion, kernel, stride), wide(out))
            x = n.plus(x, y) if index else y
    return n.classifier(n.conv(x, wide(1280)))


def squeezenet() -> Graph:
    """Version 1.0 (Iandola et al. 2016)."""
    n = Network(224)
    x = n.pool(n.conv(n.image, 96, 7, 2), 3, 2)
    for index, squeeze in enumerate((16, 16, 32, 32, 48, 48, 64, 64)):
        small = n.conv(x, squeeze)
        x = n.concat(n.conv(small, 4 * squeeze), n.conv(small, 4 * squeeze, 3))
        x = n.pool(x, 3, 2) if index in (2, 6) else x
    x = n.conv(x, 1000)
    return n.graph(n.add("SOFTMAX", (n.add("MEAN", (x,), (1, 1000)),), (1, 1000)))


def vgg(counts: tuple[int, ...]) -> Graph:
    n = Network(224)
    x = n.image
    for count, out in zip(counts, (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            x = n.conv(x, out, 3)
        x = n.pool(x, 2, 2)
    return n.classifier(n.dense(n.dense(x, 4096), 4096))


def _bottleneck(n: Network, x: int, width: int, stride: int, *, shortcut: bool, before: bool) -> int:
    """``before``: the normalization of version 2 stands before the convolutions; only the first stays an operator."""
    start = n.norm(x) if before else x
    y = n.conv(n.conv(n.conv(start, width), width, 3, stride), 4 * width)
    if shortcut:
        return n.plus(n.conv(start, 4 * width, 1, stride), y)
    return n.plus(n.pool(x, 1, stride) if stride > 1 else x, y)


def resnet_v1(counts: tuple[int, ...], size: int) -> Graph:
    n = Network(size)
    x = n.pool(n.conv(n.image, 64, 7, 2), 3, 2)
    for stage, (count, width) in enumerate(zip(counts, (64, 128, 256, 512), strict=True)):
        for index in range(count):
            stride = 2 if stage and index == 0 else 1
            x = _bottleneck(n, x, width, stride, shortcut=index == 0, before=False)
    return n.classifier(x)


def resnet_v2(counts: tuple[int, ...], size: int) -> Graph:
    """Keras's version 2: the last block of a stage takes the stride."""
    n = Network(size)
    x = n.pool(n.conv(n.image, 64, 7, 2), 3, 2)
    for stage, (count, width) in enumerate(zip(counts, (64, 128, 256, 512), strict=True)):
        for index in range(count):
            stride = 2 if stage < 3 and index == count - 1 else 1
            x = _bottleneck(n, x, width, stride, shortcut=index == 0, before=True)
    return n.classifier(n.norm(x))


def densenet121() -> Graph:
    n = Network(224)
    x = n.pool(n.conv(n.image, 64, 7, 2), 3, 2)
    for block, count in enumerate((6, 12, 24, 16)):
        for _ in range(count):
            x = n.concat(x, n.conv(n.conv(n.norm(x), 128), 32, 3))
        if block < 3:
            x = n.average(n.conv(n.norm(x), n.channels(x) // 2), 2, 2)
    return n.classifier(n.norm(x))


def inception_v1() -> Graph:
    n = Network(224)
    x = n.pool(n.conv(n.image, 64, 7, 2), 3, 2)
    x = n.pool(n.conv(n.conv(x, 64), 192, 3), 3, 2)
    rows = (
        (64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64),
        (192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128),
        (256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128),
    )  # fmt: skip
    for index, (a, b1, b2, c1, c2, d) in enumerate(rows):
        x = n.pool(x, 3, 2) if index in (2, 7) else x
        x = n.concat(
            n.conv(x, a), n.conv(n.conv(x, b1), b2, 3), n.conv(n.conv(x, c1), c2, 3), n.conv(n.pool(x, 3, 1), d)
        )
    return n.classifier(x)


def inception_v4() -> Graph:
    """Szegedy et al. 2016, figure 9."""
    n = Network(299)
    x = n.conv(n.conv(n.conv(n.image, 32, 3, 2, valid=True), 32, 3, valid=True), 64, 3)
    x = n.concat(n.pool(x, 3, 2, valid=True), n.conv(x, 96, 3, 2, valid=True))
    tall = n.conv(n.conv(n.conv(x, 64), 64, (1, 7)), 64, (7, 1))
    x = n.concat(n.conv(n.conv(x, 64), 96, 3, valid=True), n.conv(tall, 96, 3, valid=True))
    x = n.concat(n.conv(x, 192, 3, 2, valid=True), n.pool(x, 3, 2, valid=True))
    for _ in range(4):
        far = n.conv(n.conv(n.conv(x, 64), 96, 3), 96, 3)
        x = n.concat(n.conv(n.average(x), 96), n.conv(x, 96), n.conv(n.conv(x, 64), 96, 3), far)
    far = n.conv(n.conv(n.conv(x, 192), 224, 3), 256, 3, 2, valid=True)
    x = n.concat(n.pool(x, 3, 2, valid=True), n.conv(x, 384, 3, 2, valid=True), far)
    for _ in range(7):
        near = n.conv(n.conv(n.conv(x, 192), 224, (1, 7)), 256, (7, 1))
        far = n.conv(x, 192)
        for out, kernel in ((192, (1, 7)), (224, (7, 1)), (224, (1, 7)), (256, (7, 1))):
            far = n.conv(far, out, kernel)
        x = n.concat(n.conv(n.average(x), 128), n.conv(x, 384), near, far)
    near = n.conv(n.conv(x, 192), 192, 3, 2, valid=True)
    far = n.conv(n.conv(n.conv(n.conv(x, 256), 256, (1, 7)), 320, (7, 1)), 320, 3, 2, valid=True)
    x = n.concat(n.pool(x, 3, 2, valid=True), near, far)
    for _ in range(3):
        near, far = n.conv(x, 384), n.conv(n.conv(n.conv(x, 384), 448, (1, 3)), 512, (3, 1))
        sides = (
            n.conv(near, 256, (1, 3)),
            n.conv(near, 256, (3, 1)),
            n.conv(far, 256, (3, 1)),
            n.conv(far, 256, (1, 3)),
        )
        x = n.concat(n.conv(n.average(x), 256), n.conv(x, 256), *sides)
    return n.classifier(x)


def inception_resnet_v2() -> Graph:
    """Keras's network of that name."""
    n = Network(299)
    x = n.conv(n.conv(n.conv(n.image, 32, 3, 2, valid=True), 32, 3, valid=True), 64, 3)
    x = n.pool(n.conv(n.conv(n.pool(x, 3, 2, valid=True), 80), 192, 3, valid=True), 3, 2, valid=True)
    far = n.conv(n.conv(n.conv(x, 64), 96, 3), 96, 3)
    x = n.concat(n.conv(x, 96), n.conv(n.conv(x, 48), 64, 5), far, n.conv(n.average(x), 64))
    for _ in range(10):
        far = n.conv(n.conv(n.conv(x, 32), 48, 3), 64, 3)
        x = n.plus(x, n.conv(n.concat(n.conv(x, 32), n.conv(n.conv(x, 32), 32, 3), far), n.channels(x)))
    far = n.conv(n.conv(n.conv(x, 256), 256, 3), 384, 3, 2, valid=True)
    x = n.concat(n.conv(x, 384, 3, 2, valid=True), far, n.pool(x, 3, 2, valid=True))
    for _ in range(20):
        far = n.conv(n.conv(n.conv(x, 128), 160, (1, 7)), 192, (7, 1))
        x = n.plus(x, n.conv(n.concat(n.conv(x, 192), far), n.channels(x)))
    far = n.conv(n.conv(n.conv(x, 256), 288, 3), 320, 3, 2, valid=True)
    near = (n.conv(n.conv(x, 256), 384, 3, 2, valid=True), n.conv(n.conv(x, 256), 288, 3, 2, valid=True))
    x = n.concat(*near, far, n.pool(x, 3, 2, valid=True))
    for _ in range(10):
        far = n.conv(n.conv(n.conv(x, 192), 224, (1, 3)), 256, (3, 1))
        x = n.plus(x, n.conv(n.concat(n.conv(x, 192), far), n.channels(x)))
    return n.classifier(n.conv(x, 1536))


NETWORKS: dict[str, Callable[[], Graph]] = {
    "DenseNet": densenet121,
    "Inception v1": inception_v1,
    "Inception v4": inception_v4,
    "Inception-ResNet V2": inception_resnet_v2,
    "MobileNet v1": mobilenet_v1,
    "MobileNet v2": mobilenet_v2,
    "ResNet-50 V1": lambda: resnet_v1((3, 4, 6, 3), 299),
    "ResNet-50 V2": lambda: resnet_v2((3, 4, 6, 3), 299),
    "ResNet-152 V2": lambda: resnet_v2((3, 8, 36, 3), 299),
    "SqueezeNet": squeezenet,
    "VGG16": lambda: vgg((2, 2, 3, 3, 3)),
    "VGG19": lambda: vgg((2, 2, 4, 4, 4)),
    "EfficientNet-EdgeTpu-S": lambda: efficientnet_edgetpu(224, 1.0, 1.0),
    "EfficientNet-EdgeTpu-M": lambda: efficientnet_edgetpu(240, 1.0, 1.1),
    "EfficientNet-EdgeTpu-L": lambda: efficientnet_edgetpu(300, 1.2, 1.4),
}
