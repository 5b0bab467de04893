"""The training loop against the same training written down in NumPy.

The steps are Adam's (Kingma & Ba, ICLR 2015, Algorithm 1, in the form of section 2 with one corrected step size), the
learning rate falls along half a cosine from the first step to the last (Loshchilov & Hutter, ICLR 2017, equation 5).
"""

from __future__ import annotations

import copy
import functools
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from edgekit import sandbox
from edgekit.graph import Graph, tflite
from edgekit.training.lanes import Lanes
from tests.installed import needed
from tests.networks.small import dense
from tests.training.networks import CHILD, softmax

needed("tensorflow", "train")
pytestmark = pytest.mark.tensorflow
LIMITS = sandbox.Limits(seconds=240, memory_mb=8192)
Arrays = dict[str, np.ndarray]


@dataclass
class Case:
    """One training of FULLY_CONNECTED alone: samples to train and to validate on, labels or a teacher."""

    weights: np.ndarray
    x: np.ndarray
    v: np.ndarray
    teacher: np.ndarray | None = None
    y: np.ndarray | None = None
    vy: np.ndarray | None = None
    epochs: int = 4
    rate: float = 0.1
    batch: int = 100
    extra: dict[str, Any] = field(default_factory=dict)

    def args(self) -> dict[str, Any]:
        return {
            "cluster": None, "seed": 0, "samples": len(self.x), "batch": self.batch, "features": [],
            "teacher_features": [], "feature_weight": 1.0, "quantization": None, "epochs": self.epochs,
            "learning_rate": self.rate, "alpha": 0.0 if self.teacher is None else 1.0, "temperature": 1.0,
            "sparsity": {"keep": True}, "checkpoints": None, "validation_shard": len(self.v),
            "labelled": self.y is not None, **self.extra,
        }  # fmt: skip

    def arrays(self) -> Arrays:
        found = {"graph": _bytes(self.weights), "x0": self.x[:, None], "v0": self.v[:, None]}
        found |= {} if self.teacher is None else {"teacher": _bytes(self.teacher)}
        return found | ({} if self.y is None or self.vy is None else {"y": self.y, "vy": self.vy})

    def loss(self, weights: np.ndarray, x: np.ndarray, y: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Each sample's loss, and its derivative for the outputs, ``[n, outputs]``."""
        out = x @ weights[:, :-1].T + weights[:, -1]
        if self.teacher is not None:
            wanted = x @ self.teacher.T
            variance = (self.x @ self.teacher.T).var()
            error = out - wanted
            return (error**2).mean(1) / variance, 2 * error / error.shape[1] / variance
        assert y is not None
        p, hot = softmax(out), np.eye(len(weights))[y]
        return -np.log((p * hot).sum(1)), p - hot

    def expected(self) -> tuple[list[dict[str, Any]], list[np.ndarray]]:
        """The history, and the weights with the biases as the last column after each epoch."""
        w = np.hstack([self.weights, np.zeros((len(self.weights), 1))]).astype(np.float64)
        m, s = np.zeros_like(w), np.zeros_like(w)
        lanes = Lanes(len(self.x), self.batch, 0)
        history, after, step = [self._judged(w, 0, None)], [w.copy()], 0
        for epoch in range(self.epochs):
            losses = []
            for places, weight in lanes.epoch(epoch):
                chosen = places[weight > 0]
                x, y = self.x[chosen], None if self.y is None else self.y[chosen]
                loss, error = self.loss(w, x, y)
                losses.append(loss.mean())
                slope = error.T @ np.hstack([x, np.ones((len(x), 1))]) / len(x)
                rate = self.rate * 0.5 * (1 + math.cos(math.pi * step / (self.epochs * lanes.steps)))
                step += 1
                m, s = 0.9 * m + 0.1 * slope, 0.999 * s + 0.001 * slope**2
                w = w - rate * math.sqrt(1 - 0.999**step) / (1 - 0.9**step) * m / (np.sqrt(s) + 1e-7)
            history.append(self._judged(w, epoch + 1, float(np.mean(losses))))
            after.append(w.copy())
        return history, after

    def _judged(self, w: np.ndarray, epoch: int, loss: float | None) -> dict[str, Any]:
        losses, _ = self.loss(w, self.v, self.vy)
        accuracy = None
        if self.vy is not None:
            accuracy = float(((self.v @ w[:, :-1].T + w[:, -1]).argmax(1) == self.vy).mean())
        return {"epoch": epoch, "loss": loss, "validation_loss": float(losses.mean()), "accuracy": accuracy}


def _bytes(weights: np.ndarray) -> np.ndarray:
    graph = dense(weights.astype(np.float32), np.zeros(len(weights), np.float32))
    return np.frombuffer(tflite.dumps(graph), np.uint8)


def _cases() -> dict[str, Case]:
    rng = np.random.default_rng(5)

    def samples(count: int, width: int) -> np.ndarray:
        return rng.normal(size=(count, width)).astype(np.float32)

    teacher = samples(2, 3)
    x, v = samples(20, 3), samples(9, 3)
    labels, checked = samples(23, 3), samples(300, 3)
    pull = np.array([[2.0, 0, 0], [0, 2.0, 0], [0, 0, 2.0]])
    return {
        "falls": Case(teacher + 0.5, x, v, teacher, epochs=5, rate=0.05),
        "overshoots": Case(teacher + 0.5, x, v, teacher, epochs=6, rate=1.0),
        "only harm": Case(teacher.copy(), x, v, teacher + 1e-4, epochs=2, rate=0.5),
        "labels": Case(samples(3, 3), labels, checked, y=(labels @ pull.T).argmax(1), vy=(checked @ pull.T).argmax(1),
                       epochs=3, rate=0.02, batch=8),
        "stopped": Case(samples(3, 3), labels, checked, y=(labels @ pull.T).argmax(1),
                        vy=(checked @ pull.T).argmax(1), epochs=4, rate=0.02, batch=8, extra={"stopped": 2}),
        "stopped behind the best": Case(teacher + 0.5, x, v, teacher, epochs=6, rate=1.0, extra={"stopped": 4}),
        "sparse": Case(samples(4, 8), samples(40, 8), samples(10, 8), samples(4, 8), epochs=10, rate=0.02, batch=8,
                       extra={"sparsity": {"keep": True, "layers": [1], "pattern": "unstructured", "sparsity": 0.5}}),
        "unvalidated": Case(teacher + 0.5, x, v[:0], teacher, epochs=2, rate=0.05),
    }  # fmt: skip


CASES = _cases()


@functools.cache
def trained() -> tuple[dict[str, list[dict[str, Any]]], dict[str, np.ndarray]]:
    """All cases' histories, and the weights with the biases as the last column; ``... again`` of one taken up."""
    arrays: Arrays = {}
    for number, case in enumerate(CASES.values()):
        arrays |= {f"{number}_{name}": values for name, values in case.arrays().items()}
    args = {"cases": [copy.deepcopy(case.args()) for case in CASES.values()]}
    answer, found = sandbox.call(f"{CHILD}:trainings", args, arrays, limits=LIMITS)
    told = iter(answer["histories"])
    histories, weights = {}, {}
    for number, name in enumerate(CASES):
        histories[name] = next(told)
        weights[name] = _weights(found[f"{number}_graph"])
        if f"{number}_again_graph" in found:
            histories[f"{name} again"] = next(told)
            weights[f"{name} again"] = _weights(found[f"{number}_again_graph"])
    return histories, weights


def _weights(data: np.ndarray) -> np.ndarray:
    graph: Graph = tflite.loads(data.tobytes())
    _, weights, bias = graph.operators[0].inputs
    return np.hstack([graph.tensors[weights].array(), graph.tensors[bias].array()[:, None]])


@pytest.mark.parametrize("name", ["falls", "overshoots", "only harm", "labels", "stopped"])
def test_every_epoch_is_the_formulas(name: str) -> None:
    history, _ = CASES[name].expected()
    found = trained()[0][name]
    assert [row["epoch"] for row in found] == [row["epoch"] for row in history]
    assert found[0]["loss"] is None
    for mine, theirs in zip(found, history, strict=True):
        for key in ("loss", "validation_loss", "accuracy"):
            assert mine[key] == (theirs[key] if theirs[key] is None else pytest.approx(theirs[key], rel=2e-3))


def test_the_last_epoch_s_weights_where_it_is_the_best() -> None:
    """The learning rate falls to 0 with the last step and not before: else these weights would be others."""
    history, after = CASES["falls"].expected()
    assert np.argmin([row["validation_loss"] for row in history]) == len(history) - 1
    np.testing.assert_allclose(trained()[1]["falls"], after[-1], rtol=1e-3, atol=1e-5)


def test_the_best_epoch_s_weights_where_the_last_is_worse() -> None:
    history, after = CASES["overshoots"].expected()
    best = int(np.argmin([row["validation_loss"] for row in history]))
    assert 0 < best < len(history) - 1
    assert min(np.abs(after[best] - after[n]).max() for n in range(len(after)) if n != best) > 0.01
    np.testing.assert_allclose(trained()[1]["overshoots"], after[best], rtol=1e-3, atol=1e-4)


def test_the_weights_as_they_came_where_training_only_harms() -> None:
    case = CASES["only harm"]
    history, _ = case.expected()
    assert np.argmin([row["validation_loss"] for row in history]) == 0
    np.testing.assert_array_equal(trained()[1]["only harm"][:, :-1], case.weights)


@pytest.mark.parametrize("name", ["stopped", "stopped behind the best"])
def test_a_training_that_is_taken_up_ends_with_the_same_bits(name: str) -> None:
    histories, weights = trained()
    assert histories[f"{name} again"] == histories[name]
    np.testing.assert_array_equal(weights[f"{name} again"], weights[name])


def test_an_epoch_before_the_zeros_are_final_is_not_kept() -> None:
    """0.6 of 50 steps make the zeros: half of each row in the end, whichever epoch was the best."""
    weights = trained()[1]["sparse"][:, :-1]
    assert ((weights == 0).sum(axis=1) == 4).all()
    losses = [row["validation_loss"] for row in trained()[0]["sparse"]]
    np.testing.assert_allclose(_validation(CASES["sparse"], trained()[1]["sparse"]), min(losses[7:]), rtol=1e-3)


def _validation(case: Case, weights: np.ndarray) -> float:
    return float(case.loss(weights, case.v, None)[0].mean())


def test_without_validation_the_last_weights_stay() -> None:
    _, after = Case(**{**vars(CASES["unvalidated"]), "v": CASES["falls"].v}).expected()
    assert [row["validation_loss"] for row in trained()[0]["unvalidated"]] == [None, None, None]
    np.testing.assert_allclose(trained()[1]["unvalidated"], after[-1], rtol=1e-3, atol=1e-5)
