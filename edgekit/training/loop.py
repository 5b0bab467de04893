"""The training loop; it runs in a child process, one for each worker.

Adam (Kingma & Ba, ICLR 2015) with a cosine schedule. The state is saved as it goes, and a training that finds a state
goes on from it and ends with the same bits as one that was never stopped.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.graph import tflite
from edgekit.sandbox import environment
from edgekit.training import checkpoint
from edgekit.training.engine import Alone, Cluster
from edgekit.training.fake_quant import FakeQuant, Plan
from edgekit.training.lanes import Lanes
from edgekit.training.objective import Objective, alike, heads
from edgekit.training.sparsity import Masks
from edgekit.training.trainable import Hooks, Trainable

TASK = f"{__name__}:train"
EVALUATE = 256
"""Samples that are evaluated at once."""
TELL_SECONDS = 0.5
Answer = tuple[dict[str, Any], dict[str, Any]]


def train(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> Answer:
    """Train a Graph on this worker's shard.

    :param args: see :class:`edgekit.training.job.Job`, which writes them.
    :param arrays: ``graph`` and perhaps ``teacher`` (TFLite bytes); the shard's samples ``x0``, ``x1``, ...
        ``[n, ...]`` and perhaps ``y`` ``[n]``; ``v0``, ..., ``vy`` the same to validate on; perhaps a saved ``state``.
    :returns: loss and accuracy per epoch; the trained ``graph``, and the trained ranges ``low`` and ``high`` of
        quantization. Only the first worker returns.
    :raises ModelError: if the loss is not a number.
    """
    tempfile.tempdir = str(folder)  # the only place a child may write
    tf = environment.tensorflow()
    sandbox.tell(folder, {"reached": "tensorflow"})
    cluster = args["cluster"]
    engine = Cluster(tf, cluster["addresses"], cluster["index"]) if cluster else Alone()
    sandbox.tell(folder, {"reached": "the others"})
    tf.config.experimental.enable_op_determinism()
    tf.random.set_seed(args["seed"])
    run = _Run(tf, engine, args, arrays, folder)
    history = run.go()
    while engine.index > 0:  # the first worker may still fetch this one's part of the last sum; it will be ended
        time.sleep(1)
    return {"history": history}, run.results()


class _Run:
    """One training, from the arrays to the trained Graph."""

    def __init__(self, tf: Any, engine: Any, args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> None:
        self.tf, self.engine, self.args, self._folder, self._given = tf, engine, args, folder, arrays
        self.net = net = Trainable(tflite.loads(arrays["graph"].tobytes()))
        self.lanes = Lanes(args["samples"], args["batch"], args["seed"], engine.workers, engine.index)
        self.heads = heads(net.graph, labelled="y" in arrays)
        self.features: list[int] = args["features"]
        self.masks = Masks(tf, net.variables, args["sparsity"], args["epochs"] * self.lanes.steps)
        quantization = args["quantization"]
        self.quant = None
        if quantization:
            plan = Plan.of(quantization["plan"])
            self.quant = FakeQuant(tf, plan, net.variables, learned=quantization["learned"])
        self.hooks = self._hooks()
        count = len(net.graph.inputs)
        self.x = [arrays[f"x{i}"] for i in range(count)]
        self.v = [arrays[f"v{i}"] for i in range(count)]
        self.y = arrays.get("y", np.zeros(len(self.x[0]), np.int64))
        self.vy = arrays.get("vy", np.zeros(len(self.v[0]), np.int64))
        self.t, self.vt = self._taught(arrays)
        self.objective = Objective(tf, self.heads, args["alpha"], args["temperature"], self._variances)
        self._optimizer()
        step = engine.summed(self._gradients)
        self._step = _traced(tf, lambda *given: self._update(step(*given)))
        self._evaluation = _traced(tf, engine.summed(self._evaluated))

    def _hooks(self) -> Hooks:
        weight = dict(self.masks.hooks())
        if self.quant is None:
            return Hooks(weight=weight)
        for index, hook in self.quant.weight_hooks().items():
            weight[index] = _chained(weight[index], hook) if index in weight else hook
        return Hooks(weight=weight, activation=self.quant.activation_hooks())

    def _optimizer(self) -> None:
        tf, args = self.tf, self.args
        self.trained = [*self.net.variables.values(), *(self.quant.trained if self.quant else [])]
        steps = max(1, args["epochs"] * self.lanes.steps)
        schedule = tf.keras.optimizers.schedules.CosineDecay(args["learning_rate"], steps)
        self.adam = tf.keras.optimizers.Adam(schedule)
        self.adam.build(self.trained)
        self._weights = [*self.net.variables.values(), *(self.quant.state if self.quant else []), *self.masks.state]
        self.state = [*self._weights, *self.adam.variables]

    # What one step computes

    def _forward(self, inputs: Sequence[Any]) -> tuple[list[Any], list[Any]]:
        if self.quant is not None:
            self.quant.forget()
        wanted = [head.index for head in self.heads]
        found = self.net(inputs, hooks=self.hooks, wanted=[*wanted, *self.features])
        return found[: len(wanted)], found[len(wanted) :]

    def _losses(self, found: list[Any], features: list[Any], y: Any, teacher: list[Any]) -> Any:
        heads, rest = teacher[: len(self.heads)], teacher[len(self.heads) :]
        loss = self.objective.losses(found, y, heads)
        for mine, theirs, spread in zip(features, rest, self._variances[len(self.heads) :], strict=False):
            error = self.tf.reshape((mine - theirs) ** 2, (self.tf.shape(mine)[0], -1))
            loss += self.args["feature_weight"] * self.tf.reduce_mean(error, -1) / spread
        return loss

    def _gradients(self, inputs: list[Any], y: Any, teacher: list[Any], weights: Any, total: Any) -> list[Any]:
        """The mean loss over the global batch of ``total`` samples, its gradients, and the ranges that were seen."""
        tf = self.tf
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(weights * self._losses(*self._forward(inputs), y, teacher)) / total
        given = tape.gradient(loss, self.trained)
        given = [tf.zeros_like(v) if g is None else g for g, v in zip(given, self.trained, strict=True)]
        if self.quant is None or self.args["quantization"]["learned"]:
            return [loss, *given]
        row = tf.one_hot(self.engine.index, self.engine.workers)[:, None, None]
        return [loss, *given, row * self.quant.seen()[None]]

    def _update(self, summed: list[Any]) -> Any:
        loss, gradients = summed[0], summed[1 : 1 + len(self.trained)]
        self.adam.apply_gradients(zip(gradients, self.trained, strict=True))
        if len(summed) > 1 + len(self.trained) and self.quant is not None:
            rows = summed[-1]
            low, high = self.tf.reduce_min(rows[..., 0], 0), self.tf.reduce_max(rows[..., 1], 0)
            self.quant.average(self.tf.stack([low, high], 1))
        return loss

    def _evaluated(self, inputs: list[Any], y: Any, teacher: list[Any]) -> list[Any]:
        """Sums over a part of the validation samples: losses, right classes, samples."""
        tf = self.tf
        found, features = self._forward(inputs)
        right = tf.reduce_sum(tf.cast(self.objective.predicted(found) == y, tf.float32))
        losses = self._losses(found, features, y, teacher)
        return [tf.reduce_sum(losses), right, tf.cast(tf.shape(losses)[0], tf.float32)]

    # The loop

    def go(self) -> list[dict[str, Any]]:
        """Train, from a saved state if there is one; return the history, one entry an epoch."""
        args = self.args
        self.history: list[dict[str, Any]] = []
        self.epoch, self.done, self.total_loss = 0, 0, 0.0
        self.best: tuple[float, int] | None = None
        self._best_weights: list[Any] = []
        self.resume()
        if not self.history:
            self.history = [{"epoch": 0, "loss": None, **self.evaluate()}]
            self.remember()
        first = args["checkpoints"] if self.engine.index == 0 else None
        save = checkpoint.Saver(Path(first) if first else None, self._snapshot)
        self._began, self._before, told = time.monotonic(), self.epoch * self.lanes.steps + self.done, 0.0
        while self.epoch < args["epochs"]:
            for places, weights in self.lanes.epoch(self.epoch, self.done):
                step = self.epoch * self.lanes.steps + self.done
                self.masks.schedule(step)
                self.total_loss += self._take(places, weights)
                self.done += 1
                save()
                if time.monotonic() - told > TELL_SECONDS:
                    self.tell()
                    told = time.monotonic()
            self.history.append(
                {"epoch": self.epoch + 1, "loss": self.total_loss / self.lanes.steps, **self.evaluate()}
            )
            self.epoch, self.done, self.total_loss = self.epoch + 1, 0, 0.0
            self.remember()
            self.tell()
            save(now=True)
        return self.history

    def _take(self, places: Any, weights: Any) -> float:
        total = np.float32(self.lanes.count(self.done))
        parts = [x[places] for x in self.x], self.y[places], [t[places] for t in self.t], weights, total
        loss = float(self._step(*parts))
        if not np.isfinite(loss):
            raise ModelError(
                f"training diverged in epoch {self.epoch + 1}: the loss is not a number", "lower learning_rate"
            )
        return loss

    def evaluate(self) -> dict[str, Any]:
        """Loss and accuracy on the validation samples of all workers; None where there are none."""
        sums = np.zeros(3)
        for first in range(0, self.args["validation_shard"], EVALUATE):
            part = slice(first, first + EVALUATE)
            given = [v[part] for v in self.v], self.vy[part], [t[part] for t in self.vt]
            sums += [float(value) for value in self._evaluation(*given)]
        loss, right, count = sums
        if not count:
            return {"validation_loss": None, "accuracy": None}
        return {"validation_loss": loss / count, "accuracy": right / count if self.args["labelled"] else None}

    def remember(self) -> None:
        """Keep the weights of the epoch with the smallest validation loss, among those that may be the last."""
        loss = self.history[-1]["validation_loss"]
        allowed = self.masks.settled(self.epoch * self.lanes.steps)
        if loss is not None and allowed and (self.best is None or loss < self.best[0]):
            self.best = (loss, self.epoch)
            self._best_weights = [v.numpy() for v in self._weights]

    def tell(self) -> None:
        """Say how far it is."""
        done, total = self.epoch * self.lanes.steps + self.done, self.args["epochs"] * self.lanes.steps
        speed = (time.monotonic() - self._began) / max(done - self._before, 1)
        message = {"done": done, "total": total, "epoch": self.epoch, "left": speed * (total - done)}
        loss = self.total_loss / self.done if self.done else self.history[-1]["loss"]
        if self.engine.index == 0:
            sandbox.tell(self._folder, message | {"loss": loss, "accuracy": self.history[-1]["accuracy"]})

    # The state

    def _snapshot(self) -> tuple[dict[str, Any], dict[str, Any]]:
        arrays = {f"s{n}": v.numpy() for n, v in enumerate(self.state)}
        arrays |= {f"b{n}": values for n, values in enumerate(self._best_weights)}
        names = ("history", "epoch", "done", "total_loss", "best")
        return arrays, {name: getattr(self, name) for name in names}

    def resume(self) -> None:
        """Go on from a saved state, which the job hands to every worker."""
        if "state" not in self._given:
            return
        arrays, meta = checkpoint.unpacked(self._given["state"].tobytes())
        for number, variable in enumerate(self.state):
            variable.assign(arrays[f"s{number}"])
        for name in ("history", "epoch", "done", "total_loss"):
            setattr(self, name, meta[name])
        self.best = (meta["best"][0], meta["best"][1]) if meta["best"] else None
        self._best_weights = [arrays[f"b{n}"] for n in range(len(self._weights))] if self.best else []

    def results(self) -> dict[str, Any]:
        """The best epoch's Graph and ranges."""
        for variable, values in zip(self._weights, self._best_weights, strict=False):
            variable.assign(values)
        self.masks.apply()
        made: dict[str, Any] = {}
        if self.quant is not None:
            self.quant.clip_weights()
            made["low"], made["high"] = self.quant.ranges(len(self.net.graph.tensors))
        return made | {"graph": np.frombuffer(tflite.dumps(self.net.to_graph()), np.uint8)}

    # The teacher

    def _taught(self, arrays: dict[str, Any]) -> tuple[list[Any], list[Any]]:
        """The teacher's heads and features for the shard's samples and the validation samples, ``[n, ...]`` each."""
        self._variances: list[float] = []
        if "teacher" not in arrays:
            return [], []
        teacher = Trainable(tflite.loads(arrays["teacher"].tobytes()))
        taught = heads(teacher.graph, labelled="y" in arrays)
        self.heads = alike(self.heads, taught)
        wanted = [head.index for head in taught] + self.args["teacher_features"]
        scales = [head.scale for head in taught] + [1.0] * len(self.features)
        run = _traced(self.tf, lambda *x: teacher(x, wanted=wanted))

        def outputs(samples: list[Any]) -> list[Any]:
            parts = [
                [t.numpy() for t in run(*[x[first : first + EVALUATE] for x in samples])]
                for first in range(0, len(samples[0]), EVALUATE)
            ]
            return [
                np.concatenate(column) * scale for column, scale in zip(zip(*parts, strict=True), scales, strict=True)
            ]

        found = outputs(self.x)
        self._variances = [self._variance(values) for values in found]
        return found, outputs(self.v) if len(self.v[0]) else []

    def _variance(self, values: Any) -> float:
        """Over the samples of all workers; never 0."""
        flat = np.asarray(values, np.float64)
        sums = self.tf.constant([flat.sum(), (flat**2).sum(), flat.size], self.tf.float64)
        total, squares, count = self.engine.summed(lambda here: [here])(sums)[0].numpy()
        return max(float(squares / count - (total / count) ** 2), 1e-12)


def _chained(first: Callable[[Any], Any], then: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda values: then(first(values))


def _traced(tf: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function as a graph. No tensor decides what its Python does, so AutoGraph, which takes longer, has no work."""
    traced: Callable[..., Any] = tf.function(function, reduce_retracing=True, autograph=False)
    return traced
