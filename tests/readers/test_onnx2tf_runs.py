"""What the converter's environment runs models on, and what it says of those that fail: without the converter."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.readers import onnx2tf_runs as runs

SHAPE = [4000]


def sample(dtype: str, number: int) -> np.ndarray[Any, Any]:
    values: np.ndarray[Any, Any] = runs.sample(np.random.default_rng(0), SHAPE, dtype, number)
    assert values.shape == tuple(SHAPE) and values.dtype == dtype
    return values


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64"])
def test_floats(dtype: str) -> None:
    normal, large, positive, last = (sample(dtype, number).astype(float) for number in range(4))
    assert abs(normal.mean()) < 0.1 and abs(normal.std() - 1) < 0.1 and normal.min() < -2 < 2 < normal.max()
    assert 3.5 < large.std() < 4.5
    halves = np.mean(large * 2 == np.round(large * 2))
    assert 0.25 < halves < 0.4
    assert positive.min() >= 0.0099 and abs(np.mean(positive - 0.01) - np.sqrt(2 / np.pi)) < 0.1
    assert abs(last.std() - 1) < 0.1 and last.min() < 0


def test_truth_values() -> None:
    assert [float(sample("bool", number).mean()) for number in (1, 2)] == [0, 1]
    assert all(0.45 < sample("bool", number).mean() < 0.55 for number in (0, 3))


@pytest.mark.parametrize(
    ("dtype", "last"),
    [("int8", 127), ("uint8", 255), ("int16", 32767), ("int32", (1 << 26) + 12345), ("int64", (1 << 34) + 12345)],
)
def test_integers(dtype: str, last: int) -> None:
    """The last set goes beyond what float32 holds exactly in 32 bits, and beyond 32 bits in 64."""
    signed = not dtype.startswith("u")
    assert set(sample(dtype, 0).tolist()) == {0, 1}
    assert set(sample(dtype, 1).tolist()) == {0, 1, 2, 3, 4}
    for number, most in ((2, 100), (3, last)):
        values = sample(dtype, number).astype(np.int64)
        assert np.abs(values).min() >= 1 and most * 0.98 < np.abs(values).max() <= most
        assert abs(np.mean(values < 0) - signed / 2) < 0.05


@pytest.mark.parametrize(("dtype", "number", "ends"), [("int8", 2, (1, 100)), ("uint8", 3, (1, 255))])
def test_both_ends_are_drawn(dtype: str, number: int, ends: tuple[int, int]) -> None:
    values = np.abs(sample(dtype, number).astype(int))
    assert (values.min(), values.max()) == ends


def test_names_say_the_order_unless_they_differ() -> None:
    assert runs.by_name(["b", "a"], ["a", "b", "c"]) == [1, 0]
    assert runs.by_name(["b", "x"], ["a", "b"]) == [0, 1]


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (lambda: os._exit(3), "ended with status 3"),
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "crashed (SIGKILL)"),
        (lambda: os.kill(os.getpid(), signal.SIGALRM), "ran past 7.5 s"),
    ],
)
def test_how_a_fork_ended(end: Any, words: str) -> None:
    pid = runs.fork()
    if pid == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        end()
    assert runs.died(os.waitpid(pid, 0)[1], 7.5) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no good\nmore", "no good"),
        ("\n  \n spaced \n", "spaced"),
        ("", "onnx2tf failed with ValueError"),
        ("no good\nop_type: Foo", "operator Foo: no good"),
        ("no good\nonnx_op = 'Bar'", "operator Bar: no good"),
        ("op: Foo is not known", "op: Foo is not known"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("x" * 400, "x" * 300),
    ],
)
def test_the_reason_in_one_line(text: str, expected: str) -> None:
    assert runs.reason(ValueError(text)) == expected


SETS = [[np.full(2, number, np.float32)] for number in range(4)]


def test_each_set_has_its_end(tmp_path: Path) -> None:
    """A set that is refused, and one that crashes; those after them are run all the same."""

    def model(values: list[np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
        if values[0][0] == 1:
            raise ValueError("does not take 1")
        if values[0][0] == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return [values[0] * 2, values[0]]

    assert runs.every(tmp_path, "onnx", lambda: model, SETS) == [None, "does not take 1", "crashed (SIGKILL)", None]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["onnx0.npz", "onnx3.npz"]
    with np.load(tmp_path / "onnx3.npz") as found:
        assert found["0"].tolist() == [6, 6] and found["1"].tolist() == [3, 3]


def test_a_model_that_cannot_be_loaded_takes_no_set(tmp_path: Path) -> None:
    def load() -> Any:
        raise ImportError("not here")

    assert runs.every(tmp_path, "litert", load, SETS) == ["not here"] * 4


def test_sets_after_a_slow_one_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "_SLOW", 0.0)
    assert runs.every(tmp_path, "litert", lambda: lambda values: values, SETS) == [None]
