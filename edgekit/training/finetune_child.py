"""What ``finetune`` runs in its child: a plain training loop on a trainable Graph."""

from __future__ import annotations

import functools
import operator
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import ModelError
from edgekit.graph import tflite
from edgekit.training.trainable import Hooks, Trainable

Answer = tuple[dict[str, Any], dict[str, Any]]


def train(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """Minimise the cross-entropy of the labels with Adam and a cosine schedule.

    :param args: ``epochs``, ``batch``, ``learning_rate``, ``seed``, ``probabilities`` (the output is a softmax's).
    :param arrays: ``graph`` (TFLite bytes), ``x`` ``[n, *shape]``, ``y`` ``[n]``, and ``vx``, ``vy`` to validate on.
    :returns: loss and validation accuracy per epoch; the trained Graph's bytes.
    """
    tempfile.tempdir = str(folder)  # the only place a child may write
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(args["seed"])
    net = Trainable(tflite.loads(arrays["graph"].tobytes()))
    variables = list(net.variables.values())
    masks = {index: tf.constant((v.numpy() != 0).astype(np.float32)) for index, v in net.variables.items()}
    zeros = {index: mask for index, mask in masks.items() if len(mask.shape) > 1 and args["keep_zeros"]}
    hooks = Hooks(weight={index: functools.partial(operator.mul, mask) for index, mask in zeros.items()})
    x, y, vx, vy = (arrays[name] for name in ("x", "y", "vx", "vy"))
    steps = -(-len(x) // args["batch"])
    schedule = tf.keras.optimizers.schedules.CosineDecay(args["learning_rate"], steps * args["epochs"])
    adam = tf.keras.optimizers.Adam(schedule)
    adam.build(variables)

    def loss_of(inputs: Any, labels: Any) -> Any:
        out = net([inputs], hooks=hooks)[0]
        out = tf.math.log(out + 1e-7) if args["probabilities"] else out
        return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, out))

    def update(inputs: Any, labels: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = loss_of(inputs, labels)
        adam.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))
        return loss

    step = tf.function(update, reduce_retracing=True)

    def accuracy() -> float | None:
        parts = [slice(i, i + 256) for i in range(0, len(vx), 256)]
        hits = [net([vx[part]], hooks=hooks)[0].numpy().argmax(-1) == vy[part] for part in parts]
        return float(np.concatenate(hits).mean()) if hits else None

    rng = np.random.default_rng(args["seed"])
    history: list[dict[str, Any]] = [{"epoch": 0, "loss": None, "accuracy": accuracy()}]
    for epoch in range(args["epochs"]):
        order = rng.permutation(len(x))
        losses = [float(step(x[part], y[part])) for part in np.array_split(order, steps)]
        if not np.isfinite(losses).all():
            raise ModelError(f"training diverged in epoch {epoch + 1}: the loss is not a number", "lower learning_rate")
        history.append({"epoch": epoch + 1, "loss": float(np.mean(losses)), "accuracy": accuracy()})
    for index, mask in zeros.items():
        net.variables[index].assign(net.variables[index] * mask)
    return {"history": history}, {"graph": np.frombuffer(tflite.dumps(net.to_graph()), np.uint8)}
