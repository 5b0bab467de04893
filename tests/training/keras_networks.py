"""Makes small networks of the usual kinds with Keras and reads them: ``python keras_networks.py FOLDER``, one process.

Each becomes ``<name>.tflite`` by the reader's own function; weights are random.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def main(folder: Path) -> None:
    from edgekit.readers import frozen, keras_child

    (folder / "scratch").mkdir()
    tf = frozen.tensorflow(folder / "scratch")
    import keras

    keras.utils.set_random_seed(1)
    for build in (*_vision(keras), *_text(keras), *_rest(keras)):
        model, name = build(), build.__name__.lstrip("_")
        _settle(keras, model)
        path = folder / f"{name}.keras"
        model.save(path)
        wanted = {"path": str(path), "shown": name, "trust": False, "shapes": {}}
        _, arrays = keras_child.keras_file(wanted, {}, folder / "scratch")
        (folder / f"{name}.tflite").write_bytes(arrays["model"].tobytes())
        tf.keras.backend.clear_session()


def _settle(keras: Any, model: Any) -> None:
    """Give batch norms statistics, and biases and scales values, that matter and that no two layers share."""
    random = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if len(variable.shape) == 1:
            variable.assign(variable + random.normal(size=variable.shape) * 0.1)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.moving_mean.shape
            layer.moving_mean.assign(random.normal(size=shape) * 0.1)
            layer.moving_variance.assign(random.uniform(0.5, 1.5, size=shape))


def _vision(keras: Any) -> list[Callable[[], Any]]:
    layers, models = keras.layers, keras.applications

    def mobilenet_v2() -> Any:
        return models.MobileNetV2((32, 32, 3), alpha=0.35, weights=None, classes=10)

    def mobilenet_v3() -> Any:
        return models.MobileNetV3Small((32, 32, 3), alpha=0.5, weights=None, classes=10)

    def efficientnet() -> Any:
        """Inverted bottlenecks with squeeze and excitation, as EfficientNet's."""
        x = image = keras.Input((24, 24, 3))
        x = layers.Rescaling(1 / 255)(x)
        x = layers.Normalization(mean=[0.4, 0.5, 0.6], variance=[0.2, 0.3, 0.2])(x)
        x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
        for stride in (2, 1):
            before = x
            x = layers.Activation("swish")(layers.BatchNormalization()(layers.Conv2D(16, 1, use_bias=False)(x)))
            x = layers.ZeroPadding2D(((0, 1), (0, 1)))(x) if stride == 2 else x
            padding = "valid" if stride == 2 else "same"
            x = layers.DepthwiseConv2D(3, strides=stride, padding=padding, use_bias=False)(x)
            x = layers.Activation("swish")(layers.BatchNormalization()(x))
            squeezed = layers.Reshape((1, 1, 16))(layers.GlobalAveragePooling2D()(x))
            squeezed = layers.Conv2D(4, 1, activation="swish")(squeezed)
            x = layers.multiply([x, layers.Conv2D(16, 1, activation="sigmoid")(squeezed)])
            x = layers.BatchNormalization()(layers.Conv2D(8, 1, use_bias=False)(x))
            x = layers.add([x, before]) if stride == 1 else x
        return keras.Model(image, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(x)))

    def unet() -> Any:
        image = keras.Input((16, 16, 3))
        a = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
        b = layers.Conv2D(8, 3, padding="same", activation="relu", dilation_rate=2)(layers.MaxPooling2D()(a))
        c = layers.Conv2D(8, 3, padding="same", activation="gelu")(layers.AveragePooling2D(2)(b))
        x = layers.Concatenate()([layers.Conv2DTranspose(8, 3, strides=2, padding="same")(c), b])
        x = layers.LeakyReLU()(layers.BatchNormalization()(x))
        x = layers.Concatenate()([layers.UpSampling2D(interpolation="bilinear")(x), a])
        return keras.Model(image, layers.Conv2D(2, 1, activation="softmax")(layers.UpSampling2D()(x)))

    def dscnn() -> Any:
        x = sound = keras.Input((49, 10, 1))
        x = layers.Conv2D(8, (10, 4), strides=2, padding="same", use_bias=False)(x)
        for _ in range(2):
            x = layers.DepthwiseConv2D(3, padding="same")(layers.ReLU()(layers.BatchNormalization()(x)))
            x = layers.Conv2D(8, 1)(layers.ReLU()(layers.BatchNormalization()(x)))
        return keras.Model(sound, layers.Dense(5, activation="softmax")(layers.GlobalAveragePooling2D()(x)))

    def convnext() -> Any:
        """A block of ConvNeXt, a grouped convolution, group norm, and moved axes."""
        x = image = keras.Input((12, 12, 4))
        x = layers.LayerNormalization(epsilon=1e-6)(layers.Conv2D(8, 4, strides=2)(x))
        y = layers.LayerNormalization(epsilon=1e-6)(layers.Conv2D(8, 3, padding="same", groups=8)(x))
        x = layers.add([x, layers.Dense(8)(layers.Dense(16, activation="gelu")(y))])
        x = layers.PReLU(shared_axes=[1, 2])(layers.GroupNormalization(2)(layers.Conv2D(8, 3, groups=2)(x)))
        x = layers.Permute((3, 1, 2))(layers.Cropping2D(((0, 1), (0, 0)))(layers.ZeroPadding2D(1)(x)))
        x = layers.UnitNormalization()(layers.Reshape((8, -1))(x))
        return keras.Model(image, layers.Dense(3, activation="log_softmax")(layers.Flatten()(x)))

    return [mobilenet_v2, mobilenet_v3, efficientnet, unet, dscnn, convnext]


def _text(keras: Any) -> list[Callable[[], Any]]:
    layers = keras.layers

    def words() -> tuple[Any, Any]:
        ids = keras.Input((7,), dtype="int32")
        return ids, layers.Embedding(30, 8)(ids)

    def gru() -> Any:
        ids, x = words()
        return keras.Model(ids, layers.Dense(3, activation="softmax")(layers.GRU(6)(x)))

    def lstm() -> Any:
        ids, x = words()
        x = layers.Bidirectional(layers.LSTM(6, return_sequences=True))(x)
        x = layers.TimeDistributed(layers.Dense(4))(layers.LSTM(5, return_sequences=True)(x))
        return keras.Model(ids, layers.Dense(3, activation="softmax")(layers.SimpleRNN(4)(x)))

    def convolutions() -> Any:
        ids, x = words()
        x = layers.Conv1D(6, 3, activation="relu", padding="causal", dilation_rate=2)(x)
        x = layers.Conv1DTranspose(4, 3, strides=2)(layers.Conv1D(6, 3, strides=2, padding="same")(x))
        x = layers.concatenate([layers.GlobalMaxPooling1D()(x), layers.GlobalAveragePooling1D()(x)])
        return keras.Model(ids, layers.Dense(3, activation="softmax")(x))

    def transformer() -> Any:
        ids, x = words()
        x = x + layers.Embedding(7, 8)(keras.ops.arange(7))
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(2, 4)(x, x, use_causal_mask=True))
        x = layers.LayerNormalization()(x + layers.Dense(8)(layers.Dense(16, activation="gelu")(x)))
        return keras.Model(ids, layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling1D()(x)))

    return [gru, lstm, convolutions, transformer]


def _rest(keras: Any) -> list[Callable[[], Any]]:
    layers = keras.layers

    def recommender() -> Any:
        user, items = keras.Input((1,), dtype="int64"), keras.Input((5,), dtype="int64")
        mine = layers.Flatten()(layers.Embedding(30, 8)(user))
        theirs = layers.Embedding(40, 8)(items)
        affinity = layers.Dot(axes=(2, 1))([theirs, mine])
        return keras.Model([user, items], layers.Dense(5, activation="sigmoid")(affinity))

    def autoencoder() -> Any:
        x = values = keras.Input((32,))
        code = layers.Dense(4)(layers.Dense(8, activation="selu")(x))
        return keras.Model(values, layers.Dense(32, activation="softplus")(layers.Dense(8, activation="swish")(code)))

    return [recommender, autoencoder]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
