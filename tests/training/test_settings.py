"""Which samples and labels a training takes, what it tells, which weights stay; without TensorFlow."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.data.dataset import Dataset
from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph, tflite
from edgekit.passes import PassContext
from edgekit.training import checkpoint, job
from edgekit.training.fake_quant import Plan, Range, Weight, first_bounds
from edgekit.training.lanes import Lanes
from edgekit.training.objective import Head, alike, heads
from edgekit.training.patterns import kept
from edgekit.training.settings import Training, parse
from tests.networks.small import Builder, dense, unary

NETWORK = dense(np.ones((3, 4), np.float32), np.zeros(3, np.float32))


def data(labels: list[int] | None, count: int = 30) -> Dataset:
    x = np.arange(count * 4, dtype=np.float32).reshape(count, 1, 4)
    return Dataset([x], None if labels is None else np.resize(np.array(labels, np.int64), count))


# Settings


@dataclass(frozen=True)
class Own(Training):
    share: float = field(default=0.5, metadata={"least": 0})
    names: list[str] = field(default_factory=list)


@pytest.mark.parametrize(
    ("params", "good"),
    [
        ({}, True), ({"epochs": 1}, True), ({"epochs": 0}, False), ({"epochs": -1}, False), ({"epochs": 1.0}, False),
        ({"epochs": True}, False), ({"learning_rate": 1}, True), ({"learning_rate": 0}, False),
        ({"learning_rate": True}, False), ({"share": 0}, True), ({"share": 0.0}, True), ({"share": -0.1}, False),
        ({"names": ["a"]}, True), ({"names": "a"}, False), ({"keep_zeros": False}, True), ({"keep_zeros": 1}, False),
        ({"loss": "teacher"}, True), ({"loss": "labels"}, True), ({"loss": "auto"}, True), ({"loss": "none"}, False),
        ({"loss": 1}, False), ({"unknown": 1}, False),
    ],
)  # fmt: skip
def test_parameters(params: dict[str, Any], good: bool) -> None:
    if good:
        found = parse(Own, params, "p")
        assert all(getattr(found, name) == value for name, value in params.items())
        return
    with pytest.raises(UsageError, match=next(iter(params))):
        parse(Own, params, "p")


def test_settings_that_hold_unless_others_are_given() -> None:
    assert vars(parse(Training, {}, "p")) == {
        "epochs": 3, "learning_rate": 5e-4, "batch": 32, "loss": "auto", "keep_zeros": True,
    }  # fmt: skip


# Who teaches


@pytest.mark.parametrize(
    ("loss", "labels", "share"),
    [("auto", [0, 1, 2], 0.0), ("auto", None, 1.0), ("teacher", [0, 1, 2], 1.0), ("labels", [0, 1, 2], 0.0)],
)
def test_labels_teach_where_there_are_any(loss: str, labels: list[int] | None, share: float) -> None:
    assert job.teacher_share(NETWORK, data(labels), Training(loss=loss), "fine-tuning") == share
    context = PassContext(data=data(labels))
    graph, found, teacher = job.taught(NETWORK, context, Training(loss=loss), "fine-tuning")
    assert found == share and (teacher is not None) == (share == 1.0)
    assert tflite.dumps(graph) == tflite.dumps(NETWORK)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (None, "needs labelled samples"),
        ([1, 1], "same label"),
        ([0, 1], "no sample has the label 2:"),
        ([0, 2], "no sample has the label 1:"),
    ],
)
def test_labels_that_cannot_teach(labels: list[int] | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        job.teacher_share(NETWORK, data(labels), Training(loss="labels"), "fine-tuning")


def test_missing_labels_are_listed_five_at_most() -> None:
    for classes, shown in ((7, "2, 3, 4, 5, 6:"), (8, r"2, 3, 4, 5, 6, \.\.\.:")):
        wide = dense(np.ones((classes, 4), np.float32), np.zeros(classes, np.float32))
        with pytest.raises(UsageError, match=f"no sample has the label {shown}"):
            job.labelled(wide, data([0, 1]))


def test_only_classifiers_learn_labels() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    two = b.graph((x,), (b.add("RELU", (x,), (1, 4)), b.add("TANH", (x,), (1, 4))))
    picture = unary("RELU", (1, 4, 4, 3))
    for graph in (two, picture):
        with pytest.raises(ModelError, match="needs a classifier with one output"):
            job.labelled(graph, data([0, 1]))
    with pytest.raises(UsageError, match="fine-tuning needs samples"):
        job.ready(NETWORK, PassContext(), "fine-tuning")


# What workers get


@pytest.mark.parametrize(("count", "held"), [(30, 3), (20, 2), (19, 0), (29, 2)])
def test_a_tenth_of_the_samples_is_held_back(count: int, held: int) -> None:
    """And none of fewer than two."""
    context = PassContext(data=data([0, 1, 2], count), seed=4)
    args, arrays = job._arguments(job.Job(NETWORK, Training(batch=8), 0.0), context)
    assert (args["samples"], args["validation"], args["labelled"]) == (count - held, held, True)
    assert {name: len(values) for name, values in arrays.items() if name != "graph"} == {
        "x0": count - held, "v0": held, "y": count - held, "vy": held,
    }  # fmt: skip
    together = np.concatenate([arrays["x0"], arrays["v0"]]).reshape(count, 4)
    assert sorted(together[:, 0].tolist()) == [4.0 * n for n in range(count)]
    labels = np.concatenate([arrays["y"], arrays["vy"]])
    assert (labels == together[:, 0] / 4 % 3).all()  # each sample keeps its label
    other = job._arguments(job.Job(NETWORK, Training(batch=8), 0.0), PassContext(data=data([0, 1, 2], count), seed=5))
    assert not np.array_equal(other[1]["x0"], arrays["x0"])


def test_what_is_asked_of_workers() -> None:
    plan = Plan((Weight(1, 8, 0),), ())
    settings = Training(epochs=7, learning_rate=0.25, batch=8, keep_zeros=False)
    one = job.Job(NETWORK, settings, 0.5, NETWORK, 3.0, [(1, 2), (3, 4)], 0.75, {"layers": [1]}, plan, False)
    args, arrays = job._arguments(one, PassContext(data=data(None), seed=9))
    assert args == {
        "epochs": 7, "batch": 8, "learning_rate": 0.25, "seed": 9, "samples": 27, "validation": 3, "labelled": False,
        "alpha": 0.5, "temperature": 3.0, "feature_weight": 0.75, "features": [1, 3], "teacher_features": [2, 4],
        "sparsity": {"keep": False, "layers": [1]}, "quantization": {"plan": plan.json(), "learned": False},
    }  # fmt: skip
    assert set(arrays) == {"graph", "teacher", "x0", "v0"}
    with pytest.raises(ModelError, match="needs a teacher"):
        job._arguments(job.Job(NETWORK, settings, 0.5), PassContext(data=data(None)))
    args, arrays = job._arguments(job.Job(NETWORK, settings, 0.0), PassContext(data=data([0, 1, 2])))
    assert args["quantization"] is None and "teacher" not in arrays and args["sparsity"] == {"keep": False}


def test_shards_of_workers() -> None:
    args, whole = job._arguments(job.Job(NETWORK, Training(batch=8), 0.0), PassContext(data=data([0, 1, 2])))
    parts = [job._shard(args, whole, 2, index, None) for index in range(2)]
    for index, part in enumerate(parts):
        mine = Lanes(27, 8, 0, 2, index).shard()
        np.testing.assert_array_equal(part["x0"], whole["x0"][mine])
        np.testing.assert_array_equal(part["y"], whole["y"][mine])
        np.testing.assert_array_equal(part["v0"], whole["v0"][index::2])
        np.testing.assert_array_equal(part["vy"], whole["vy"][index::2])
        np.testing.assert_array_equal(part["graph"], whole["graph"])
        assert "state" not in part
    assert job._shard(args, whole, 1, 0, b"abc")["state"].tobytes() == b"abc"


def test_lanes_by_hand() -> None:
    """10 samples in 4 lanes, shared by 2 workers: 3 steps, of which the last has 2."""
    lanes = Lanes(10, 4, 0, 2, 1)
    assert (lanes.steps, lanes.slots) == (3, 2) and lanes.shard().tolist() == [1, 3, 5, 7, 9]
    assert [lanes.count(step) for step in range(3)] == [4, 4, 2]
    batches = list(lanes.epoch(0))
    assert [weights.tolist() for _, weights in batches] == [[1, 1], [1, 1], [1, 0]]
    assert batches[0][0].dtype == np.int64 and batches[0][1].dtype == np.float32


# What is told


def test_an_epoch_is_told_once() -> None:
    said: list[Any] = []

    class Heard:
        def step(self, name: str) -> None:
            said.append(name)

        def advance(self, done: int, total: int) -> None:
            said.append((done, total))

    context: Any = PassContext(progress=Heard())  # type: ignore[arg-type]
    shown = job._Shown(context, "fine-tuning", 2)
    for epoch, done, loss, accuracy in ((0, 0, None, None), (0, 5, 1.5, None), (1, 10, 0.25, 0.5), (2, 20, 0.1, 0.75)):
        shown({"epoch": epoch, "done": done, "total": 20, "loss": loss, "accuracy": accuracy, "left": 7.4})
    assert said == [
        "fine-tuning: epoch 1 of 2 (7 s left)", (0, 20), (5, 20),
        "fine-tuning: epoch 2 of 2 (loss 0.25, accuracy 50.00%, 7 s left)", (10, 20), (20, 20),
    ]  # fmt: skip


# Checkpoints


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    return tmp_path / "training"


def test_a_job_s_folder_is_its_own_until_it_is_done(cache: Path) -> None:
    arrays = {"x": np.arange(3)}
    with job._checkpoints({"a": 1}, arrays) as first:
        assert first.is_dir() and len(first.name) == 32
        with job._checkpoints({"a": 2}, arrays) as second, job._checkpoints({"a": 1}, {"x": np.arange(4)}) as third:
            assert len({first, second, third}) == 3
    assert list(cache.iterdir()) == []
    with pytest.raises(KeyError), job._checkpoints({"a": 1}, arrays):
        raise KeyError
    assert list(cache.iterdir()) == []
    with pytest.raises(KeyError), job._checkpoints({"a": 1}, arrays) as again:
        checkpoint.save(again, arrays, {"epoch": 1})
        raise KeyError
    assert again == first and checkpoint.load(first) is not None
    with job._checkpoints({"a": 1}, arrays) as taken_up:
        assert checkpoint.load(taken_up) is not None


@pytest.mark.parametrize(("days", "stays"), [(13.9, True), (14.1, False)])
def test_what_was_left_two_weeks_ago_is_forgotten(cache: Path, days: float, stays: bool) -> None:
    old = cache / "old"
    old.mkdir(parents=True)
    (old / "state.npz").write_bytes(b"x")
    os.utime(old, (time.time() - days * 86400,) * 2)
    with job._checkpoints({}, {}):
        assert old.exists() == stays


@pytest.mark.parametrize(("age", "stays"), [(590, True), (610, False)])
def test_incomplete_states_are_swept(tmp_path: Path, age: float, stays: bool) -> None:
    half, other = tmp_path / ".state.npz.abc", tmp_path / "state.npz"
    for file in (half, other):
        file.write_bytes(b"x")
        os.utime(file, (time.time() - age,) * 2)
    checkpoint.sweep(tmp_path)
    assert half.exists() == stays and other.exists()


def test_a_state_is_written_when_it_is_due(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second after the start, then again after twenty times what the writing took."""
    clock = [100.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: clock[0])
    written: list[float] = []

    def state() -> tuple[dict[str, Any], dict[str, Any]]:
        written.append(clock[0])
        clock[0] += 0.5
        return {}, {"n": len(written)}

    saver = checkpoint.Saver(tmp_path, state)
    for now in (100.9, 101.0, 111.4, 111.5, 112.0):
        clock[0] = now
        saver()
    assert written == [101.0, 111.5]
    saver(now=True)
    assert len(written) == 3 and checkpoint.unpacked(checkpoint.load(tmp_path) or b"")[1] == {"n": 3}
    checkpoint.Saver(None, state)(now=True)
    assert len(written) == 3
    assert checkpoint.stamp(tmp_path) > 0 and checkpoint.stamp(tmp_path / "none") == 0


# Patterns of zeros


def test_which_weights_stay() -> None:
    score = np.array([[1.0, 4, 2, 3], [8, 5, 6, 7]])
    assert kept(score, "unstructured", 0.5).tolist() == [[False, True, False, True], [True, False, False, True]]
    assert kept(score, "unstructured", 0.0).all() and kept(score, "unstructured", 1.0).sum(1).tolist() == [1, 1]
    assert kept(score, "unstructured", 0.25).sum(1).tolist() == [3, 3]
    assert kept(np.ones((1, 4)), "unstructured", 0.5).tolist() == [[True, True, False, False]]
    six = np.array([[1.0, 4, 2, 3, 0, 0], [8, 5, 6, 7, 0, 0]])
    assert kept(six, "2:4", 0.9).tolist() == [
        [False, True, False, True, True, True],
        [True, False, False, True, True, True],
    ]
    rows = np.array([[0.0, 1], [0, 1], [0, 1], [9, 1], [5, 0]])
    assert kept(rows, "block", 0.5).tolist() == [[True, False]] * 4 + [[True, True]]


# Heads


def test_what_each_output_is_compared_by() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    soft = b.add("SOFTMAX", (x,), (1, 4), options="Softmax", beta=0.5)
    sigmoid = b.add("LOGISTIC", (x,), (1, 4))
    plain, one = b.add("RELU", (x,), (1, 4)), b.add("SUM", (x,), (1, 1))
    graph = b.graph((x,), (soft, sigmoid, plain, x))
    assert heads(graph) == [
        Head("softmax", x, 0.5), Head("sigmoid", x), Head("linear", plain), Head("linear", x),
    ]  # fmt: skip
    assert heads(graph, labelled=True) == heads(graph)
    for output, kind in ((plain, "softmax"), (one, "linear")):
        alone: Graph = b.graph((x,), (output, plain))
        assert [h.kind for h in heads(alone, labelled=True)] == [kind, "linear"]
    student, teacher = [Head("linear", 1), Head("softmax", 2, 2.0)], [Head("softmax", 8, 3.0), Head("linear", 9)]
    assert alike(student, teacher) == [Head("softmax", 1), Head("softmax", 2, 2.0)]


def test_first_bounds_by_hand() -> None:
    """15 weights of 1 and one of 1.9: cut at 0.94 of it, 4 steps are 1.0206; 15 * 0.0206^2 + 0.114^2 is the least."""
    values = np.array([[1.0] * 15 + [1.9], [7.0] + [1.0] * 15], np.float32)
    found = first_bounds(values, Weight(0, 4, 0))
    assert found.shape == (2, 1) and found[1, 0] == pytest.approx(7.0)
    assert found[0, 0] == pytest.approx(0.94 * 1.9)
    whole = first_bounds(values, Weight(0, 4, None))
    assert whole.shape == (1, 1)
    assert first_bounds(np.zeros((2, 3), np.float32), Weight(0, 4, 0)).max() <= 1e-9
    plan = Plan((), (Range((1,), (2, 3), 8, -1.0, 1.0, True),))
    assert Plan.of(plan.json()) == plan
