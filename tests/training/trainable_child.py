"""Tasks that run a Trainable in a child for tests.

Networks come as ``g<i>``, TFLite bytes, their inputs as ``x<i>_<k>`` ``[n, *shape]``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.graph import tflite
from edgekit.training.trainable import Hooks, Trainable

Answer = tuple[dict[str, Any], dict[str, Any]]


def _given(args: dict[str, Any], arrays: dict[str, Any], number: int, dtype: str = "float32") -> tuple[Trainable, Any]:
    net = Trainable(tflite.loads(arrays[f"g{number}"].tobytes()), dtype)
    return net, [arrays[f"x{number}_{k}"] for k in range(len(net.graph.main.inputs))]


def forward(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """One batch through each network: outputs ``y<i>_<k>``."""
    tempfile.tempdir = str(folder)  # the only place a child may write
    outputs = {}
    for i in range(args["count"]):
        net, inputs = _given(args, arrays, i)
        outputs.update({f"y{i}_{k}": y.numpy() for k, y in enumerate(net(inputs))})
    return {}, outputs


def gradients(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """Return derivatives per network and variable (-1, -2: the float inputs), along a random direction.

    They are of sum(c * y) over the outputs in float64, analytic and by central differences; None where there is no
    gradient.
    """
    tempfile.tempdir = str(folder)  # the only place a child may write
    import tensorflow as tf

    found = []
    for i in range(args["count"]):
        rng = np.random.default_rng(i)
        net, given = _given(args, arrays, i, "float64")
        inputs = [tf.Variable(x.astype(np.float64)) if x.dtype == np.float32 else x for x in given]
        weights = [rng.normal(size=y.shape) for y in net(inputs)]
        free = {-1 - k: x for k, x in enumerate(inputs) if isinstance(x, tf.Variable)}
        places = {**net.variables, **free}

        def total(net: Trainable = net, inputs: Any = inputs, weights: Any = weights) -> Any:
            return tf.add_n([tf.reduce_sum(c * y) for c, y in zip(weights, net(inputs), strict=True)])

        with tf.GradientTape() as tape:
            value = total()
        for (index, place), grad in zip(places.items(), tape.gradient(value, list(places.values())), strict=True):
            d, at, h = rng.normal(size=place.shape), place.numpy(), 1e-6
            sides = []
            for step in (h, -h):
                place.assign(at + step * d)
                sides.append(float(total()))
            place.assign(at)
            analytic = None if grad is None else float(np.sum(grad.numpy() * d))
            found.append([i, index, analytic, (sides[0] - sides[1]) / (2 * h)])
    return {"found": found}, {}


def step(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """Take one deterministic training step of each network in float32, traced for any batch size.

    Returns names of the parameters whose gradient is missing, not finite, or all zeros; how the loss fell; outputs
    ``y<i>_<k>`` before.
    """
    tempfile.tempdir = str(folder)  # the only place a child may write
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(1)
    faults: list[list[Any]] = []
    losses, outputs = [], {}
    for i in range(args["count"]):
        net, inputs = _given(args, arrays, i)
        before = net(inputs)
        outputs.update({f"y{i}_{k}": y.numpy() for k, y in enumerate(before)})
        targets = [np.random.default_rng(i).normal(size=y.shape).astype(np.float32) for y in before]
        variables = list(net.variables.values())

        def loss_of(xs: Any, ys: Any, net: Trainable = net) -> Any:
            return tf.add_n([tf.reduce_mean((a - b) ** 2) for a, b in zip(net(xs), ys, strict=True)])

        def gradients_of(xs: Any, ys: Any, loss_of: Any = loss_of, variables: Any = variables) -> Any:
            with tf.GradientTape() as tape:
                loss = loss_of(xs, ys)
            return loss, tape.gradient(loss, variables)

        free = [[tf.TensorSpec((None, *a.shape[1:]), a.dtype) for a in part] for part in (inputs, targets)]
        loss, grads = tf.function(gradients_of, input_signature=free)(inputs, targets)
        for (index, variable), grad in zip(net.variables.items(), grads, strict=True):
            good = grad is not None and np.isfinite(grad.numpy()).all() and grad.numpy().any()
            faults += [] if good else [[i, index, list(variable.shape), None if grad is None else "zero or nan"]]
        square = sum(float(tf.reduce_sum(g**2)) for g in grads if g is not None)
        for variable, grad in zip(variables, grads, strict=True):
            if grad is not None:
                variable.assign_sub(0.01 * float(loss) / max(square, 1e-12) * grad)
        losses.append([float(loss), float(loss_of(inputs, targets))])
    return {"faults": faults, "losses": losses}, outputs


def learn(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """Gradient descent steps on one batch of labels; a weight hook keeps a mask. Returns losses and the Graph."""
    tempfile.tempdir = str(folder)  # the only place a child may write
    import tensorflow as tf

    net, inputs = _given(args, arrays, 0)
    first = next(iter(net.variables))
    mask = (np.arange(net.variables[first].shape[0]) % 2).reshape(-1, *[1] * (len(net.variables[first].shape) - 1))
    hooks = Hooks(weight={first: lambda w: w * mask.astype(np.float32)})
    losses = []
    for _ in range(args["steps"]):
        with tf.GradientTape() as tape:
            rows = tf.gather(net(inputs, hooks=hooks)[0], arrays["labels"], batch_dims=1)
            loss = -tf.reduce_mean(tf.math.log(rows + 1e-7))
        variables = list(net.variables.values())
        grads = tape.gradient(loss, variables)
        assert not grads[0].numpy()[mask.reshape(-1) == 0].any()
        for variable, grad in zip(variables, grads, strict=True):
            variable.assign_sub(args["rate"] * grad)
        losses.append(float(loss))
    return {"losses": losses}, {"graph": np.frombuffer(tflite.dumps(net.to_graph()), np.uint8)}
