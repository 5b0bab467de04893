"""Trainings can be killed, taken up again, and shared by workers; the result is the same."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import sandbox
from edgekit.data.dataset import Dataset
from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph
from edgekit.passes import PassContext
from edgekit.passes.finetune import Finetune
from edgekit.passes.qat import QuantizationAwareTraining
from edgekit.sandbox.environment import TENSORFLOW
from tests.installed import needed
from tests.networks.small import classifier, digits
from tests.training.process import below, gone, start, until

needed("tensorflow", "train")
pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "training"


def data(count: int, seed: int = 1) -> Dataset:
    x, y = digits(count, seed)
    return Dataset([x.reshape(-1, 1, 28, 28, 1)], y, source="digits")


def test_a_killed_training_goes_on_and_ends_with_the_same_bytes(tmp_path: Path, cache: Path) -> None:
    whole = start(tmp_path, "whole.tflite")
    said, _ = whole.communicate(timeout=120)
    assert whole.returncode == 0, said
    assert list(cache.iterdir()) == []  # done: nothing is kept
    killed = start(tmp_path, "again.tflite")
    until(lambda: list(cache.glob("*/state.npz")))
    time.sleep(0.5)
    killed.kill()
    killed.wait()
    assert not (tmp_path / "again.tflite").exists()
    again = start(tmp_path, "again.tflite")
    said, _ = again.communicate(timeout=120)
    assert "resumes after step" in said
    assert (tmp_path / "again.tflite").read_bytes() == (tmp_path / "whole.tflite").read_bytes()
    assert list(cache.iterdir()) == []


def test_a_killed_worker_is_named_and_the_rest_does_not_hang(tmp_path: Path, cache: Path) -> None:
    running = start(tmp_path, "out.tflite", workers=2)
    until(lambda: list(cache.glob("*/state.npz")))
    family = below(running.pid)
    leaves = [pid for pid in family if not below(pid)]
    os.kill(leaves[-1], signal.SIGKILL)
    said, _ = running.communicate(timeout=60)
    assert running.returncode == ModelError.exit_code, said
    assert "of 2 was killed" in said
    assert "goes on from the last checkpoint" in said
    until(lambda: all(map(gone, family)), 10)
    again = start(tmp_path, "out.tflite", workers=2)
    said, _ = again.communicate(timeout=120)
    assert again.returncode == 0, said
    assert "resumes after step" in said


@pytest.mark.parametrize(("kind", "steps"), [(Finetune, 1), (Finetune, 3), (QuantizationAwareTraining, 2)])
def test_two_workers_do_what_one_does(kind: Any, steps: int, tmp_path: Path) -> None:
    graph = classifier(tmp_path, 300)
    params = {"epochs": 1, "batch": 60, "learning_rate": 1e-3, "loss": "labels"}
    if kind is QuantizationAwareTraining:
        params |= {"ranges": "moving-average"}
    made: dict[str, Graph] = {}
    reports: dict[str, Any] = {}
    for workers in ("1", "2"):
        context = PassContext(data=data(round(60 * steps / 0.9)), params=params, workers=workers)
        passed = kind().apply(graph, context)
        made[workers], reports[workers] = passed.graph, passed.report.json()
    assert reports["2"]["workers"] == 2
    for one, two in zip(reports["1"]["history"], reports["2"]["history"], strict=True):
        for key in ("loss", "validation_loss", "accuracy") if one["epoch"] else ("validation_loss", "accuracy"):
            assert one[key] == pytest.approx(two[key], rel=1e-5)
    for one, two in zip(made["1"].tensors, made["2"].tensors, strict=True):
        if one.data is not None and one.dtype == "float32":
            np.testing.assert_allclose(one.array(), two.array(), atol=1e-6)
        elif one.data is not None:  # an integer on the edge may fall to either side
            assert (one.array() != two.array()).mean() < 0.01
        if one.quantization is not None:
            np.testing.assert_allclose(one.quantization.scale, two.quantization.scale, rtol=1e-5)  # type: ignore[union-attr]


def test_what_cannot_go_well_is_said(tmp_path: Path) -> None:
    graph = classifier(tmp_path, 300)
    with pytest.raises(ModelError, match="diverged in epoch 1"):
        Finetune().apply(graph, PassContext(data=data(100), params={"learning_rate": 1e30}))
    with pytest.raises(UsageError, match="batch of 32 cannot be shared by 3"):
        Finetune().apply(graph, PassContext(data=data(100), workers="3"))
    for spec in ("0", "1000", "-1", ""):
        with pytest.raises(UsageError, match="--workers"):
            Finetune().apply(graph, PassContext(data=data(100), workers=spec))


def test_progress_is_told(tmp_path: Path) -> None:
    class Heard:
        def __init__(self) -> None:
            self.steps: list[str] = []
            self.done: list[tuple[int, int]] = []

        def step(self, name: str) -> None:
            self.steps.append(name)

        def advance(self, done: int, total: int) -> None:
            self.done.append((done, total))

        def warn(self, message: str) -> None: ...

        def note(self, message: str) -> None: ...

    heard = Heard()
    Finetune().apply(classifier(tmp_path, 300), PassContext(data=data(200), params={"epochs": 3}, progress=heard))
    assert heard.done[-1] == (18, 18)
    assert any("epoch 3 of 3 (loss " in step and "accuracy " in step and "s left" in step for step in heard.steps)


def test_the_next_training_takes_the_process_that_has_tensorflow(tmp_path: Path) -> None:
    graph, few = classifier(tmp_path, 300), PassContext(data=data(100), params={"epochs": 1})
    processes = []
    for _ in range(2):
        Finetune().apply(graph, few)
        processes.append(sandbox._workers[1, TENSORFLOW]._process)
    assert processes[0] is processes[1]
    assert processes[0].poll() is None
    with pytest.raises(ModelError, match="diverged"):
        Finetune().apply(graph, PassContext(data=data(100), params={"learning_rate": 1e30}))
    assert (1, TENSORFLOW) not in sandbox._workers  # whatever went wrong with it
