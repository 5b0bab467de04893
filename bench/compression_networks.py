"""The networks that docs/compression.md measures: trained with Keras, as one would without edgekit.

    python bench/compression_networks.py NETWORK SEED DIGITS EPOCHS FOLDER

trains NETWORK on the first DIGITS training digits and writes ``teacher.keras`` and, untrained and half as wide,
``student.keras`` to FOLDER; its batch norms have seen data.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "examples" / "mnist"))

import train as article  # noqa: E402


def mobile(width: float = 1.0) -> Any:
    """Return a small relative of MobileNetV2 (Sandler et al., CVPR 2018), untrained.

    It has inverted residuals with batch norm and ReLU6, three strides, and three residual additions; 26,794 parameters
    at width 1.
    """
    from keras import Input, Model, layers

    def channels(count: int) -> int:
        return max(4, int(count * width + 2) // 4 * 4)

    def normed(x: Any, *, relu: bool = True) -> Any:
        x = layers.BatchNormalization(momentum=0.9)(x)
        return layers.ReLU(6)(x) if relu else x

    def block(x: Any, out: int, stride: int, expand: int) -> Any:
        before = x
        if expand > 1:
            x = normed(layers.Conv2D(x.shape[-1] * expand, 1, use_bias=False)(x))
        x = normed(layers.DepthwiseConv2D(3, stride, padding="same", use_bias=False)(x))
        x = normed(layers.Conv2D(out, 1, use_bias=False)(x), relu=False)
        return layers.Add()([before, x]) if stride == 1 and before.shape[-1] == out else x

    image = Input((28, 28, 1), name="image")
    x = normed(layers.Conv2D(channels(16), 3, 2, padding="same", use_bias=False)(image))
    for count, stride, expand in ((8, 1, 1), (16, 2, 4), (16, 1, 4), (24, 2, 4), (24, 1, 4), (32, 1, 4)):
        x = block(x, channels(count), stride, expand)
    x = normed(layers.Conv2D(channels(96), 1, use_bias=False)(x))
    scores = layers.Dense(10, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    return Model(image, scores, name="mobile")


NETWORKS: dict[str, tuple[Callable[[float], Any], int, float]] = {
    "mnist": (article.network, 5, 0.002),
    "mobile": (mobile, 8, 0.004),
}
"""For each network: how to build it for a width, its epochs, its first learning rate."""


def wake(model: Any, x: Any) -> None:
    """Give batch norms the statistics of some samples.

    Folded as they are created, activations die out layer by layer, and nothing can be trained.
    """
    from keras import layers

    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = 0.0
    model(x, training=True)


def main() -> None:
    name, seed, digits, epochs, folder = sys.argv[1:]
    build, _, rate = NETWORKS[name]
    (x, y), _ = article.kept_digits()
    article.repeatable(int(seed))
    teacher, student = build(1.0), build(0.5)
    wake(student, x[:256])
    article.fit(teacher, (x[: int(digits)], y[: int(digits)]), int(epochs), rate)
    teacher.save(Path(folder) / "teacher.keras")
    student.save(Path(folder) / "student.keras")


if __name__ == "__main__":
    main()
