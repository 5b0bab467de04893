"""Makes the Keras models that the tests read, in a process of its own: ``python keras_models.py FOLDER``.

Beside each model lies ``<name>.npz`` with inputs ``x0..`` and what Keras itself predicts, ``y0..``.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.sandbox import environment


def main(folder: Path) -> None:
    gc.disable()  # a fifth of the time, for a process that ends soon
    tf = environment.tensorflow()
    import keras

    keras.utils.set_random_seed(1)
    layers = keras.layers
    random = np.random.default_rng(0)

    def settle(model: Any) -> None:
        """Give batch norms statistics that matter."""
        for layer in model._flatten_layers():
            if isinstance(layer, layers.BatchNormalization):
                shape = layer.moving_mean.shape
                layer.moving_mean.assign(random.normal(size=shape) * 0.1)
                layer.moving_variance.assign(random.uniform(0.5, 1.5, size=shape))

    def save(model: Any, name: str, open_size: int = 1) -> None:
        settle(model)
        (model.save if "." in name else model.export)(folder / name)
        xs = [random.normal(size=[d or (open_size if k else 1) for k, d in enumerate(i.shape)]).astype("f")
              for i in model.inputs]  # fmt: skip
        ys = tf.nest.flatten(model(xs if len(xs) > 1 else xs[0], training=False))
        arrays = {f"x{k}": x for k, x in enumerate(xs)} | {f"y{k}": np.asarray(y) for k, y in enumerate(ys)}
        np.savez(folder / f"{name}.npz", allow_pickle=False, **arrays)

    image, series = keras.Input((16, 16, 3), name="image"), keras.Input((6, 4), name="series")
    body = keras.Sequential(
        [
            keras.Input((16, 16, 3)), layers.Conv2D(8, 3, strides=2, use_bias=False), layers.BatchNormalization(),
            layers.ReLU(6.0), layers.DepthwiseConv2D(3, padding="same"), layers.BatchNormalization(),
            layers.GlobalAveragePooling2D(), layers.Dropout(0.5),
        ],
        name="body",
    )  # fmt: skip
    recurrent = layers.GRU(5)(layers.LSTM(6, return_sequences=True)(series))
    both = layers.Concatenate()([body(image), recurrent])
    label = layers.Dense(4, activation="softmax", name="label")(both)
    save(keras.Model([image, series], [label, layers.Dense(1, name="score")(both)]), "everything.keras")

    doubler = layers.Lambda(lambda x: x * 2.0, name="doubler")
    save(keras.Sequential([keras.Input((8,)), layers.Dense(3), doubler]), "lambda.keras")
    save(keras.Sequential([keras.Input((8,)), layers.Dense(3), doubler]), "lambda.h5")
    save(keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3), layers.Flatten()]), "plain.h5")
    keras.Sequential([keras.Input((None, None, 1)), layers.Conv2D(2, 3)]).save(folder / "dynamic.keras")
    steps = layers.Bidirectional(layers.LSTM(5, return_sequences=True))
    save(keras.Sequential([keras.Input((None, 4)), steps, layers.GRU(3)]), "steps.keras", open_size=7)
    picture = [keras.Input((None, None, 3)), layers.Conv2D(4, 3, strides=2), layers.GlobalAveragePooling2D()]
    save(keras.Sequential(picture), "picture", open_size=12)
    count = layers.Lambda(lambda x: __import__("tensorflow").math.bincount(x, minlength=3), output_shape=(3,))
    keras.Sequential([keras.Input((4,), dtype="int32"), count]).save(folder / "flex.keras")

    def scaled(value: Any) -> Any:
        return {"scaled": value * tf.constant([1.0, 2.0, 3.0]), "halved": value / factor}

    def python(value: Any) -> Any:
        return tf.py_function(lambda x: x + 1, [value], tf.float32)

    def secret(value: Any) -> Any:
        return value + tf.cast(tf.strings.length(tf.io.read_file("/etc/passwd")), tf.float32)

    factor = tf.Variable(2.0)
    for name, function, signatures in (
        ("scale", scaled, ("only",)), ("two", scaled, ("first", "second")),
        ("python", python, ("serving_default",)), ("secret", secret, ("serving_default",)),
    ):  # fmt: skip
        module = tf.Module()
        module.factor = factor
        module.call = tf.function(function, input_signature=[tf.TensorSpec((None, 3), tf.float32, "value")])
        tf.saved_model.save(module, str(folder / name), signatures=dict.fromkeys(signatures, module.call))

    if "--large" in sys.argv:
        save(keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, classes=10), "mobilenetv2.keras")
        save(keras.applications.EfficientNetB0(input_shape=(64, 64, 3), weights=None, classes=10), "efficientnet.keras")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
