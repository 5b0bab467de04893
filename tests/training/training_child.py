"""Tasks that run parts of training in a child for tests."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.training.fake_quant import FakeQuant, Plan, rounded_activation, rounded_weight
from edgekit.training.objective import Head, Objective
from edgekit.training.sparsity import Masks

Answer = tuple[dict[str, Any], dict[str, Any]]


def rounding(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """Round each ``x<i>`` as ``args["cases"][i]`` says: ``["activation", bits, low, high]`` or ``["weight", bits]``."""
    tempfile.tempdir = str(folder)
    import tensorflow as tf

    made = {}
    for i, (kind, bits, *bounds) in enumerate(args["cases"]):
        x = tf.constant(arrays[f"x{i}"])
        if kind == "weight":
            bound = tf.reduce_max(tf.abs(x), tuple(range(1, len(x.shape))), keepdims=True)
            made[f"y{i}"] = rounded_weight(tf, x, bound, bits).numpy()
        else:
            low, high = (tf.constant(b, tf.float32) for b in bounds)
            made[f"y{i}"] = rounded_activation(tf, x, low, high, bits).numpy()
    return {}, made


def gradients(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """Gradients of the sum of rounded values for the values and the bounds: 8 bits over -1..1."""
    tempfile.tempdir = str(folder)
    import tensorflow as tf

    x, low, high = tf.Variable(arrays["x"]), tf.Variable(-1.0), tf.Variable(1.0)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(rounded_activation(tf, x, low, high, 8))
    dx, dlow, dhigh = tape.gradient(y, [x, low, high])
    return {"low": float(dlow), "high": float(dhigh)}, {"x": dx.numpy()}


def averaging(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """Show the activations ``x`` to a moving average so often, and return the ranges."""
    tempfile.tempdir = str(folder)
    import tensorflow as tf

    quant = FakeQuant(tf, Plan.of(args["plan"]), {}, learned=False)
    hooks = quant.activation_hooks()
    for _ in range(args["times"]):
        quant.forget()
        for index in args["shown"]:
            hooks[index](tf.constant(arrays[f"x{index}"]))
        quant.average(quant.seen())
    low, high = quant.ranges(args["tensors"])
    return {}, {"low": low, "high": high}


def losses(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """The objective's losses for a student ``s``, labels ``y`` and a teacher ``t``."""
    tempfile.tempdir = str(folder)
    import tensorflow as tf

    made = {}
    for i, case in enumerate(args["cases"]):
        head = Head(case["kind"], 0, case.get("scale", 1.0))
        one = Objective(tf, [head], case["alpha"], case["temperature"], [case.get("variance", 1.0)])
        s, y, t = (tf.constant(arrays[f"{name}{i}"]) for name in "syt")
        made[f"loss{i}"] = one.losses([s], y, [t]).numpy()
        made[f"class{i}"] = one.predicted([s]).numpy()
    return {}, made


def schedule(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """The share of zeros of ``w`` before each step, and the final mask."""
    tempfile.tempdir = str(folder)
    import tensorflow as tf

    variables = {0: tf.Variable(arrays["w"])}
    masks = Masks(tf, variables, args["plan"], args["steps"])
    shares, settled = [], []
    for step in range(args["steps"]):
        masks.schedule(step)
        shares.append(float(np.mean(masks.hooks()[0](tf.ones_like(variables[0])).numpy() == 0)))
        settled.append(masks.settled(step))
    masks.apply()
    return {"shares": shares, "settled": settled}, {"w": variables[0].numpy()}


def trainings(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """Run whole trainings, one after the other.

    ``args["cases"]`` holds each one's arguments, ``arrays`` its arrays behind ``<number>_``. A case with ``stopped`` is
    trained twice, the second time from the state after so many epochs.
    """
    from edgekit.training import checkpoint, loop

    told, made = [], {}
    for number, case in enumerate(args["cases"]):
        own = {name.split("_", 1)[1]: values for name, values in arrays.items() if name.startswith(f"{number}_")}
        states: list[bytes] = []
        if "stopped" in case:
            case["checkpoints"] = str(folder)

            def keep(place: Path, *state: Any, write: Any = checkpoint.save, states: list[bytes] = states) -> None:
                write(place, *state)
                states.append((place / checkpoint.NAME).read_bytes())

            checkpoint.save, kept = keep, checkpoint.save
        answer, found = loop.train(case, own, folder)
        told.append(answer["history"])
        made |= {f"{number}_{name}": values for name, values in found.items()}
        if "stopped" in case:
            checkpoint.save = kept
            state = next(s for s in states if checkpoint.unpacked(s)[1]["epoch"] == case["stopped"])
            case["checkpoints"] = None
            answer, found = loop.train(case, own | {"state": np.frombuffer(state, np.uint8)}, folder)
            told.append(answer["history"])
            made |= {f"{number}_again_{name}": values for name, values in found.items()}
    return {"histories": told}, made
