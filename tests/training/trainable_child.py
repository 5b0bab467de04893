"""Tasks that run a Trainable in a child for tests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.graph import tflite
from edgekit.training.trainable import Hooks, Trainable

Answer = tuple[dict[str, Any], dict[str, Any]]


def forward(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """One batch through each network ``g<i>`` with inputs ``x<i>``."""
    tempfile.tempdir = str(folder)  # the only place a child may write
    outputs = {}
    for i in range(args["count"]):
        outputs[f"y{i}"] = Trainable(tflite.loads(arrays[f"g{i}"].tobytes()))([arrays[f"x{i}"]])[0].numpy()
    return {}, outputs


def gradients(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """Per network and variable (-1: the input): the derivative along a random direction, analytic and by central
    differences, of sum(c * y) in float64."""
    tempfile.tempdir = str(folder)  # the only place a child may write
    import tensorflow as tf

    found = []
    for i in range(args["count"]):
        rng = np.random.default_rng(i)
        net = Trainable(tflite.loads(arrays[f"g{i}"].tobytes()), "float64")
        x = tf.Variable(arrays[f"x{i}"].astype(np.float64))
        c = rng.normal(size=net([x])[0].shape)
        places = {**net.variables, -1: x}
        with tf.GradientTape() as tape:
            value = tf.reduce_sum(c * net([x])[0])
        for (index, place), grad in zip(places.items(), tape.gradient(value, list(places.values())), strict=True):
            d, at, h = rng.normal(size=place.shape), place.numpy(), 1e-6
            sides = []
            for step in (h, -h):
                place.assign(at + step * d)
                sides.append(float(tf.reduce_sum(c * net([x])[0])))
            place.assign(at)
            found.append([i, index, float(np.sum(grad.numpy() * d)), (sides[0] - sides[1]) / (2 * h)])
    return {"found": found}, {}


def learn(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """Gradient descent steps on one batch of labels; a weight hook keeps a mask. Returns losses and the Graph."""
    tempfile.tempdir = str(folder)  # the only place a child may write
    import tensorflow as tf

    net = Trainable(tflite.loads(arrays["g0"].tobytes()))
    first = next(iter(net.variables))
    mask = (np.arange(net.variables[first].shape[0]) % 2).reshape(-1, *[1] * (len(net.variables[first].shape) - 1))
    hooks = Hooks(weight={first: lambda w: w * mask.astype(np.float32)})
    losses = []
    for _ in range(args["steps"]):
        with tf.GradientTape() as tape:
            rows = tf.gather(net([arrays["x0"]], hooks=hooks)[0], arrays["labels"], batch_dims=1)
            loss = -tf.reduce_mean(tf.math.log(rows + 1e-7))
        variables = list(net.variables.values())
        grads = tape.gradient(loss, variables)
        assert not grads[0].numpy()[mask.reshape(-1) == 0].any()
        for variable, grad in zip(variables, grads, strict=True):
            variable.assign_sub(args["rate"] * grad)
        losses.append(float(loss))
    return {"losses": losses}, {"graph": np.frombuffer(tflite.dumps(net.to_graph()), np.uint8)}
