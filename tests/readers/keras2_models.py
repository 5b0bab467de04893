"""Makes models as Keras 2 and TensorFlow 1 write them, in a process of its own: ``python keras2_models.py FOLDER``.

Beside each model lies ``<name>.npz`` with inputs ``x0..`` and what Keras 2 itself predicts, ``y0..``.
"""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.sandbox import environment


def main(folder: Path) -> None:
    gc.disable()  # a fifth of the time, for a process that ends soon
    tf = environment.tensorflow()
    import tf_keras as keras

    layers = keras.layers
    keras.utils.set_random_seed(1)
    random = np.random.default_rng(0)

    def save(model: Any, name: str, inputs: Sequence[Any], *endings: str, computed_by: Any = None) -> None:
        for layer in model._flatten_layers():
            if isinstance(layer, layers.BatchNormalization):
                for variable in layer.weights:
                    variable.assign(random.uniform(0.5, 1.5, size=variable.shape))
        if computed_by is not None:
            computed_by.set_weights(model.get_weights())
        outputs = tf.nest.flatten((computed_by or model)(inputs if len(inputs) > 1 else inputs[0], training=False))
        arrays = {f"x{k}": x for k, x in enumerate(inputs)} | {f"y{k}": np.asarray(y) for k, y in enumerate(outputs)}
        np.savez(folder / f"{name}.npz", allow_pickle=False, **arrays)
        for ending in endings:
            model.save(folder / f"{name}{ending}")

    def values(*shape: int) -> Any:
        return random.normal(size=(1, *shape)).astype("f")

    image = keras.Input((8, 8, 4), name="image")
    transposed = layers.Conv2DTranspose(3, 3, strides=2, padding="same")(image)
    gated = image * tf.nn.relu6(image + 3.0) / 6.0
    outputs = [
        layers.DepthwiseConv2D(3)(image), layers.SeparableConv2D(4, 3)(image), transposed,
        layers.Conv2D(4, 3, groups=2)(image), layers.LocallyConnected2D(2, 3)(image),
        layers.ThresholdedReLU(0.3)(image), layers.LeakyReLU(0.1)(image), layers.PReLU(shared_axes=[1, 2])(image),
        layers.ReLU(6.0, negative_slope=0.2)(layers.BatchNormalization()(image)), layers.ELU(0.7)(image),
        layers.Activation("hard_sigmoid")(image), layers.GroupNormalization(2)(image),
        layers.UpSampling2D(interpolation="bilinear")(image), layers.Rescaling(2.0, -1.0)(layers.RandomFlip()(image)),
        layers.RandomHeight(0.1)(image), gated[:, ::2, ::2],
    ]  # fmt: skip
    save(keras.Model(image, outputs), "images", [values(8, 8, 4)], ".h5", ".keras")

    series, word = keras.Input((6, 4), name="series"), keras.Input((6,), dtype="int32", name="words")
    embedded = layers.Embedding(20, 4, input_length=6)(word)
    outputs = [
        layers.LSTM(3, recurrent_activation="hard_sigmoid")(series), layers.GRU(3, reset_after=False)(series),
        layers.GRU(3)(series), layers.SimpleRNN(3, return_sequences=True)(series),
        layers.RNN(layers.GRUCell(3))(series),
        layers.Bidirectional(layers.LSTM(3), merge_mode="sum")(series), layers.Conv1DTranspose(3, 3)(series),
        layers.TimeDistributed(layers.Dense(2))(series), layers.SeparableConv1D(3, 3)(series),
        layers.DepthwiseConv1D(3)(series), layers.LocallyConnected1D(3, 2)(series), layers.Dot(2)([series, embedded]),
        layers.MultiHeadAttention(2, 3)(series, embedded), layers.AdditiveAttention()([series, embedded]),
        layers.LayerNormalization()(series), layers.ConvLSTM1D(2, 2)(layers.Reshape((3, 4, 2))(series)),
    ]  # fmt: skip
    words = random.integers(0, 20, (1, 6)).astype("int32")
    save(keras.Model([series, word], outputs), "series", [values(6, 4), words], ".h5")

    # Teachable Machine's form: a truncated MobileNetV2 in a Sequential in a Sequential, beside a head of its own.
    base = keras.applications.MobileNetV2((32, 32, 3), alpha=0.35, include_top=False, weights=None)
    for layer in base.layers[:60]:
        layer.trainable = False
    body = keras.Sequential(
        [keras.Model(base.input, base.get_layer("out_relu").output), layers.GlobalAveragePooling2D()]
    )
    head = keras.Sequential([layers.Dense(8, activation="relu"), layers.Dense(3, use_bias=False, activation="softmax")])
    teachable = keras.Sequential([body, head])
    teachable.build((None, 32, 32, 3))
    save(teachable, "teachable", [values(32, 32, 3)], ".h5", ".model")

    def plain() -> Any:
        return keras.Sequential([
            keras.Input((8, 8, 3), dtype="float32"), layers.Conv2D(4, 3, activation="relu"),
            layers.BatchNormalization(), layers.DepthwiseConv2D(3), layers.Flatten(),
            layers.Dense(3), layers.Activation("softmax", dtype="float32"),
        ])  # fmt: skip

    for policy in ("mixed_float16", "mixed_bfloat16", "float64"):
        keras.mixed_precision.set_global_policy(policy)
        mixed = plain()
        keras.mixed_precision.set_global_policy("float32")
        save(mixed, policy, [values(8, 8, 3)], ".h5", ".keras", ".model", computed_by=plain())

    old = tf.compat.v1
    for name, resource in (("references", False), ("resources", True)):
        with tf.Graph().as_default(), old.Session() as session:
            x = old.placeholder(tf.float32, [None, 4])
            weight = old.get_variable("w", [4, 3], use_resource=resource)
            y = tf.nn.softmax(x @ weight)
            session.run(old.global_variables_initializer())
            builder = old.saved_model.Builder(str(folder / f"{name}.model"))
            signature = old.saved_model.predict_signature_def({"x": x}, {"y": y})
            builder.add_meta_graph_and_variables(session, ["serve"], {"serving_default": signature})
            builder.save()
            given = values(4)
            np.savez(folder / f"{name}.npz", allow_pickle=False, x0=given, y0=session.run(y, {x: given}))

    doubler = layers.Lambda(lambda x: x * 2.0, name="doubler")
    keras.Sequential([keras.Input((4,)), doubler]).save(folder / "lambda.h5")
    entry = keras.Input((4,))
    called = keras.Model(entry, tf.math.add(entry, 1.0))
    called.save(folder / "called.h5")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
