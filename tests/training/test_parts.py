"""The parts of training: rounding, losses, zeros, saved states, settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as drawn

from edgekit import sandbox
from edgekit.errors import UsageError
from edgekit.training import checkpoint
from edgekit.training.fake_quant import Plan, Range, Weight, first_bounds
from edgekit.training.settings import Training, parse
from tests.installed import needed
from tests.training.networks import CHILD, softmax

needed("tensorflow", "train")
LIMITS = sandbox.Limits(seconds=240, memory_mb=8192)


@pytest.mark.tensorflow
def test_rounding_is_the_quantizers() -> None:
    from ai_edge_quantizer.algorithms.uniform_quantize import uniform_quantize_tensor as quantizer
    from ai_edge_quantizer.qtyping import QuantGranularity, UniformQuantParams

    rng = np.random.default_rng(3)
    cases: list[list[Any]] = []
    arrays, expected = {}, []
    for number in range(60):
        scale = 10 ** rng.uniform(-4, 3)
        x = (scale * rng.normal(size=(6, 5))).astype(np.float32)
        kind, bits = [("weight", 4), ("weight", 8), ("activation", 8), ("activation", 16)][number % 4]
        if kind == "weight":
            low, high = x.min(1, keepdims=True), x.max(1, keepdims=True)
            cases.append([kind, bits])
        else:
            ends = np.sort(scale * rng.normal(size=2)).astype(np.float32)
            low, high = np.minimum(ends[:1], 0)[None], np.maximum(ends[1:], 0)[None]
            cases.append([kind, bits, float(low.item()), float(high.item())])
        symmetric = kind == "weight" or bits == 16
        zero, step = quantizer.tensor_zp_scale_from_min_max(
            low,
            high,
            bits,
            symmetric,
            QuantGranularity.CHANNELWISE if kind == "weight" else QuantGranularity.TENSORWISE,
        )
        params = UniformQuantParams(bits, 0 if kind == "weight" else None, step, zero, symmetric)
        expected.append((quantizer.uniform_quantize(x, params).astype(np.float64) - zero) * step)
        arrays[f"x{number}"] = x
    _, made = sandbox.call(f"{CHILD}:rounding", {"cases": cases}, arrays, limits=LIMITS)
    for number, wanted in enumerate(expected):
        steps = np.abs(made[f"y{number}"] - wanted) / np.abs(wanted).max()
        away = steps > 1e-6  # a value on the edge between two integers may fall to either side
        assert away.mean() < 0.1, cases[number]
        assert steps.max() <= 1.01 / 2 ** (cases[number][1] - 1) * 2


@pytest.mark.tensorflow
def test_ranges_get_gradients_from_what_they_cut_off() -> None:
    x = np.array([-3.0, -2.0, 0.4, 5.0], np.float32)
    found, arrays = sandbox.call(f"{CHILD}:gradients", {}, {"x": x}, limits=LIMITS)
    assert arrays["x"].tolist() == [0, 0, 1, 0]
    assert found["low"] == pytest.approx(2, abs=0.02)
    assert found["high"] == pytest.approx(1, abs=0.02)


@pytest.mark.tensorflow
def test_moving_averages_reach_what_they_see_and_leave_fixed_ranges() -> None:
    ranges = (Range((1, 2), (1, 2, 3), 8, -1.0, 1.0, False), Range((4,), (4,), 8, 0.0, 1.0, True))
    x1, x2, x4 = (np.array(v, np.float32) for v in ([-2, 0.5], [0, 6], [-9, 9]))
    args = {"plan": Plan((), ranges).json(), "times": 1500, "shown": [1, 2, 4], "tensors": 6}
    _, found = sandbox.call(f"{CHILD}:averaging", args, {"x1": x1, "x2": x2, "x4": x4}, limits=LIMITS)
    np.testing.assert_allclose(found["low"], [np.nan, -2, -2, -2, 0, np.nan], atol=1e-3)
    np.testing.assert_allclose(found["high"], [np.nan, 6, 6, 6, 1, np.nan], atol=1e-3)


@pytest.mark.tensorflow
def test_losses_are_the_formulas() -> None:
    rng = np.random.default_rng(0)
    s, t, y = rng.normal(size=(5, 4)), 3 * rng.normal(size=(5, 4)), np.array([0, 1, 2, 3, 0])
    one = rng.normal(size=(5, 1))
    cases = [
        {"kind": "softmax", "alpha": 0.3, "temperature": 2.0},
        {"kind": "softmax", "alpha": 0.0, "temperature": 1.0, "scale": 0.5},
        {"kind": "linear", "alpha": 1.0, "temperature": 1.0, "variance": 2.0},
        {"kind": "sigmoid", "alpha": 0.0, "temperature": 1.0},
    ]
    arrays: dict[str, Any] = {}
    for i, (student, teacher) in enumerate([(s, t), (s, t), (s, t), (one, one)]):
        arrays |= {f"s{i}": student.astype("f4"), f"t{i}": teacher.astype("f4"), f"y{i}": y if i < 3 else y % 2}
    _, found = sandbox.call(f"{CHILD}:losses", {"cases": cases}, arrays, limits=LIMITS)
    rows = np.arange(5)
    soft_s, soft_t = softmax(s / 2), softmax(t / 2)
    hard = -np.log(softmax(s)[rows, y])
    kl = (soft_t * np.log(soft_t / soft_s)).sum(-1)
    np.testing.assert_allclose(found["loss0"], 0.7 * hard + 0.3 * 4 * kl, rtol=1e-4)
    np.testing.assert_allclose(found["loss1"], -np.log(softmax(s / 2)[rows, y]), rtol=1e-4)
    np.testing.assert_allclose(found["loss2"], ((s - t) ** 2).mean(-1) / 2, rtol=1e-4)
    p = 1 / (1 + np.exp(-one[:, 0]))
    np.testing.assert_allclose(found["loss3"], -np.log(np.where(y % 2, p, 1 - p)), rtol=1e-4)
    assert found["class0"].tolist() == s.argmax(-1).tolist()
    assert found["class3"].tolist() == (one[:, 0] > 0).astype(int).tolist()


@pytest.mark.tensorflow
@pytest.mark.parametrize("pattern", ["unstructured", "2:4", "block"])
def test_zeros_come_by_the_schedule_and_stay(pattern: str) -> None:
    w = np.random.default_rng(1).normal(size=(16, 40)).astype(np.float32)
    w[0, :4] = 0
    plan = {"keep": True, "layers": [0], "pattern": pattern, "sparsity": 0.5}
    found, arrays = sandbox.call(f"{CHILD}:schedule", {"plan": plan, "steps": 100}, {"w": w}, limits=LIMITS)
    shares = np.array(found["shares"])
    assert shares[-1] == pytest.approx(0.5, abs=0.01)
    assert (np.diff(shares) > -0.01).all()
    assert (shares[61:] == shares[-1]).all()
    assert found["settled"] == [step > 60 for step in range(100)]
    if pattern == "unstructured":
        assert shares[15] == pytest.approx(0.5 * (1 - 0.75**3), abs=0.03)
    assert not arrays["w"][0, :4].any()
    kept = np.abs(w)[arrays["w"] != 0]
    assert kept.mean() > 1.3 * np.abs(w).mean() if pattern == "unstructured" else kept.mean() > np.abs(w).mean()


@given(drawn(np.float32, (3, 7), elements=st.floats(-100, 100, width=32)))
def test_first_bounds_are_no_worse_than_the_largest(values: np.ndarray) -> None:
    bound = first_bounds(values, Weight(0, 4, 0))
    assert bound.shape == (3, 1)
    largest = np.maximum(np.abs(values).max(1, keepdims=True), 1e-9)
    assert (bound <= largest * (1 + 1e-6)).all()

    def error(b: np.ndarray) -> np.ndarray:
        step = b.astype(np.float64) / 7
        return ((np.clip(np.rint(values / step), -7, 7) * step - values) ** 2).sum(1)

    assert (error(bound) <= error(largest) * (1 + 1e-3) + 1e-12).all()


def test_plans_survive_json() -> None:
    plan = Plan((Weight(3, 4, 0), Weight(5, 8, None, False)), (Range((1,), (1, 2), 8, -1.0, 2.0, False),))
    assert Plan.of(plan.json()) == plan


def test_states_are_whole_or_absent(tmp_path: Path) -> None:
    assert checkpoint.load(tmp_path) is None
    checkpoint.save(tmp_path, {"a": np.arange(3)}, {"epoch": 2})
    state = checkpoint.load(tmp_path)
    assert state is not None
    arrays, meta = checkpoint.unpacked(state)
    assert meta == {"epoch": 2}
    assert arrays["a"].tolist() == [0, 1, 2]
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.NAME]
    for damaged in (state[: len(state) // 2], b"", b"PK\x03\x04garbage"):
        (tmp_path / checkpoint.NAME).write_bytes(damaged)
        assert checkpoint.load(tmp_path) is None


def test_a_state_from_elsewhere_takes_the_place_if_it_is_one(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder, value in ((here, 1), (there, 2)):
        folder.mkdir()
        checkpoint.save(folder, {"a": np.arange(value)}, {"epoch": value})
    old, state = checkpoint.load(here), checkpoint.load(there)
    assert old is not None and state is not None and old != state
    for damaged in (state[:-40], b"", b"PK\x03\x04garbage"):
        with pytest.raises(ValueError, match="not a saved state"):
            checkpoint.store(here, damaged)
        assert checkpoint.load(here) == old
    checkpoint.store(here, state)
    assert checkpoint.load(here) == state
    assert [path.name for path in here.iterdir()] == [checkpoint.NAME]


def test_a_state_may_take_a_twentieth_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: 100.0)
    assert checkpoint.due(0.0) == 101
    assert checkpoint.due(2.0) == 140


@pytest.mark.parametrize(
    "params", [{"epochs": 0}, {"epochs": True}, {"batch": 1.5}, {"learning_rate": "fast"}, {"loss": "x"}, {"what": 1}]
)
def test_wrong_settings_are_named(params: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(params))):
        parse(Training, params, "finetune")
