"""Every rule on both sides of its threshold: what is wrong is named, and what is just sound is not.

The measurements are written down instead of taken, so that a case differs from its neighbour in one number only.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from edgekit.data.dataset import Dataset
from edgekit.diagnosis import cure, find, measure, search
from edgekit.diagnosis.diagnose import Diagnosis, Row, _notes
from edgekit.diagnosis.evidence import Evidence, Finding
from edgekit.diagnosis.local import Local, local_samples
from edgekit.diagnosis.measure import Outcome
from edgekit.diagnosis.rules import operators, ranges, tensors
from edgekit.diagnosis.rules.common import channels, median
from edgekit.diagnosis.spread import Spread
from edgekit.errors import CheckFailed
from edgekit.graph import Graph, Quantization, Tensor
from edgekit.progress import Silent
from tests.networks.small import Builder, dense, unary


def spread(low: Any, high: Any, *, mean: Any = None, tail: float | None = None) -> Spread:
    low, high = np.atleast_1d(np.float32(low)), np.atleast_1d(np.float32(high))
    mean = (np.abs(low) + np.abs(high)) / 2 if mean is None else np.atleast_1d(np.float32(mean))
    return Spread(low, high, mean, float(np.abs(high).max()) if tail is None else tail)


def evidence(graph: Graph, steps: dict[int, float] | None = None, **fields: Any) -> Evidence:
    """What is known of a network: the step of some activations in int8, and whatever a case sets."""
    given: dict[str, Any] = {"calibration": {}, "test": {}, "exact": {}, "effects": {}, "local": []}
    granularity = fields.pop("granularity", "channel")
    versions: Any = SimpleNamespace(graph=graph, settings=SimpleNamespace(granularity=granularity))
    known = Evidence(versions, "int8", **(given | fields))
    forms = {
        index: replace(
            graph.tensors[index], dtype="int8", quantization=Quantization(np.array([s], np.float32), np.array([0]))
        )
        for index, s in (steps or {}).items()
    }
    known.__dict__["forms"] = forms
    return known


RELU = unary("RELU", (1, 4))
LAYER = dense(np.array([[1.0, 2.0, 3.0, 4.0]] * 3, np.float32), np.zeros(3, np.float32))


# Ranges


@pytest.mark.parametrize(("high", "told"), [(2.5, False), (2.49, True), (10.0, False)])
def test_an_input_that_was_calibrated_on_other_data(high: float, told: bool) -> None:
    """Test samples that span a quarter of 0..10 are enough."""
    e = evidence(RELU, calibration={0: spread(0, 10)}, test={0: spread(0, high)})
    cause = ranges.data_range(e, -1, 0)
    assert (cause is not None) == told
    assert ranges.data_range(e, 0, 0) is None
    assert (ranges.overwide(e, 0, 0) is not None) == told and ranges.overwide(e, -1, 0) is None
    if cause is not None:
        assert cause.words.startswith("the calibration samples") and cause.remedy.startswith("calibrate on")
        assert cause.figures == {"calibrated": [0.0, 10.0], "tested": [0.0, pytest.approx(high)]}
    assert ranges.data_range(evidence(RELU, calibration={0: spread(0, 0)}, test={0: spread(0, 1)}), -1, 0) is None
    assert ranges.data_range(evidence(RELU, calibration={0: spread(0, 10)}), -1, 0) is None


@pytest.mark.parametrize(
    ("seen", "met", "told"),
    [((0, 0), (0, 1), True), ((0, 2e-12), (0, 1), False), ((0, 0), (0, 1e-12), False), ((-1, 0), (0, 1), False)],
)
def test_a_dead_range(seen: tuple[float, float], met: tuple[float, float], told: bool) -> None:
    e = evidence(RELU, calibration={1: spread(*seen)}, test={1: spread(*met)})
    assert (ranges.dead_range(e, 0, 1) is not None) == told


@pytest.mark.parametrize(("value", "told"), [(127.5, False), (130.0, False), (140.0, True)])
def test_a_range_that_cuts_values_off(value: float, told: bool) -> None:
    """A step of 1 holds -128.5 to 127.5; noise below a thousandth is none: 2.5 of 130 is 0.0004, 12.5 of 140 0.008."""
    exact = np.array([[[value, 1.0, -3.0, 100.0 if value < 130 else 0.0]]], np.float32)
    e = evidence(RELU, {1: 1.0}, calibration={1: spread(0, 127)}, test={1: spread(0, value)}, exact={1: exact})
    cause = ranges.clipped(e, 0, 1)
    assert (cause is not None) == told
    if cause is not None:
        assert cause.figures["noise_of_clipping"] == pytest.approx(12.5**2 / (140**2 + 10))
    assert ranges.clipped(evidence(RELU, exact={1: exact}), 0, 1) is None


# Activations


@pytest.mark.parametrize(("variation", "offset", "told"), [
    (1.9, 20.0, True), (2.0, 20.0, False), (0.0, 20.0, False), (1.0, 6.9, False), (1.0, 7.1, True),
])  # fmt: skip
def test_channels_buried_under_an_offset(variation: float, offset: float, told: bool) -> None:
    """Below 2 steps of 1, and an end more than 8 times as far as it varies."""
    e = evidence(RELU, {1: 1.0}, test={1: spread([offset, 0], [offset + variation, 50])})
    cause = tensors.buried(e, 0, 1)
    assert (cause is not None) == told
    assert cause is None or cause.figures["channels"] == [0]
    assert tensors.buried(evidence(RELU, test={1: spread(20, 21)}), 0, 1) is None


@pytest.mark.parametrize(
    ("loud", "mean", "told"), [(16.1, 9.0, True), (16.0, 9.0, False), (17.0, 4.0, False), (17.0, 4.1, True)]
)
def test_outlier_channels(loud: float, mean: float, told: bool) -> None:
    """16 times as far as the median channel, and 8 times as large on average (the others' mean is 0.5)."""
    seen = spread([0] * 4, [1, 1, 1, loud], mean=[0.5, 0.5, 0.5, mean])
    cause = tensors.outlier_channels(evidence(RELU, {1: 1.0}, calibration={1: seen}), 0, 1)
    assert (cause is not None) == told
    assert cause is None or (cause.figures["channels"], cause.figures["ratio"]) == ([3], pytest.approx(loud))
    assert tensors.outlier_channels(evidence(RELU, calibration={1: seen}), 0, 1) is None


def test_half_of_the_channels_are_no_outliers() -> None:
    for loud, told in ((2, True), (3, False)):
        high = np.array([1.0] * (6 - loud) + [100.0] * loud)
        usual = median(high)
        seen = spread(np.zeros(6), high, mean=high / 2)
        found = tensors.outlier_channels(evidence(RELU, {1: 1.0}, calibration={1: seen}), 0, 1)
        assert (found is not None) == told and (usual == 1.0) == told
    one = spread([0], [1])
    assert tensors.outlier_channels(evidence(RELU, {1: 1.0}, calibration={1: one}), 0, 1) is None


@pytest.mark.parametrize(("largest", "tail", "told"), [(16.0, 1.0, True), (15.9, 1.0, False), (1.0, 0.0, False)])
def test_single_outliers(largest: float, tail: float, told: bool) -> None:
    e = evidence(RELU, {1: 1.0}, calibration={1: spread(0, largest, tail=tail)})
    assert (tensors.heavy_tail(e, 0, 1) is not None) == told


def joined(op: str) -> Graph:
    b = Builder()
    x, y = b.tensor((1, 4), name="x"), b.tensor((1, 4), name="y")
    return b.graph((x, y), (b.add(op, (x, y), (1, 8)),))


@pytest.mark.parametrize(("op", "whole", "told"), [
    ("CONCATENATION", 16.0, True), ("CONCATENATION", 15.9, False), ("ADD", 100.0, False), ("MAXIMUM", 16.0, True),
])  # fmt: skip
def test_inputs_of_a_join_that_differ(op: str, whole: float, told: bool) -> None:
    e = evidence(joined(op), calibration={0: spread(0, 1), 1: spread(0, whole), 2: spread(0, whole)})
    cause = tensors.mismatched_scales(e, 0, 2)
    assert (cause is not None) == told
    if cause is not None:
        assert cause.figures == {"ratio": 16.0, "quiet_input": "x", "levels": pytest.approx(255 / 16)}
    dead = evidence(joined(op), calibration={0: spread(0, 0), 1: spread(0, whole), 2: spread(0, whole)})
    assert tensors.mismatched_scales(dead, 0, 2) is None


@pytest.mark.parametrize(("op", "total", "told"), [
    ("ADD", 1.0, True), ("SUB", 1.0, True), ("ADD", 1.01, False), ("MUL", 1.0, False),
])  # fmt: skip
def test_sums_that_cancel(op: str, total: float, told: bool) -> None:
    e = evidence(joined(op), calibration={0: spread(0, 16), 1: spread(-16, 0), 2: spread(0, total)})
    assert (tensors.cancellation(e, 0, 2) is not None) == told


@pytest.mark.parametrize(("span", "step", "told"), [
    (1e-6, 4e-6 / 255, True), (1e-6, 3.9e-6 / 255, False), (1.1e-6, 1.0, False), (0.0, 1.0, False),
])  # fmt: skip
def test_values_below_the_smallest_scale(span: float, step: float, told: bool) -> None:
    """A range of four times what the values need, where they stay below a millionth."""
    step = float(np.float32(step * 1.0001))
    e = evidence(RELU, {1: step}, calibration={1: spread(0, span)})
    assert (tensors.tiny_scale(e, 0, 1) is not None) == told
    for graph, place in ((unary("SOFTMAX", (1, 4)), 1), (joined("CONCATENATION"), 0)):
        fixed = evidence(graph, {place: 1.0}, calibration={place: spread(0, 1e-9)})
        assert tensors.tiny_scale(fixed, 0 if place else -1, place) is None


@pytest.mark.parametrize(("bias", "told"), [(2.0**31, True), (2.0**31 - 256, False)])
def test_a_bias_beyond_32_bits(bias: float, told: bool) -> None:
    """Weights up to 127 and an input step of 1: a step of the bias is 1."""
    graph = dense(np.array([[127.0, 1.0]] * 2, np.float32), np.array([1.0, -bias], np.float32))
    e = evidence(graph, {0: 1.0, 3: 1.0})
    cause = tensors.bias_overflow(e, 0, 3)
    assert (cause is not None) == told
    assert cause is None or (cause.figures["channels"], cause.figures["units"]) == ([1], pytest.approx(2.0**31))
    assert tensors.bias_overflow(evidence(graph, {0: 2.0, 3: 1.0}), 0, 3) is None  # half as many steps
    assert tensors.bias_overflow(evidence(graph, {0: 0.5, 3: 1.0}), 0, 3) is not None
    assert tensors.bias_overflow(evidence(graph, {0: 1.0}), 0, 3) is None
    assert tensors.bias_overflow(evidence(graph, {3: 1.0}), 0, 3) is None
    assert tensors.bias_overflow(e, -1, 0) is None


# Operators


@pytest.mark.parametrize(("steps", "told"), [(None, False), (0.99, False), (1.0, True)])
def test_a_kernel_that_computes_something_else(steps: float | None, told: bool) -> None:
    cause = operators.wrong_kernel(evidence(RELU, local=[Local(kernel=steps)]), 0)
    assert (cause is not None) == told


@pytest.mark.parametrize(("op", "step", "told"), [
    ("SOFTMAX", 0.25, True), ("SOFTMAX", 0.2499, False), ("TANH", 0.25, True), ("RELU", 9.0, False),
])  # fmt: skip
def test_exponentials_of_coarse_steps(op: str, step: float, told: bool) -> None:
    assert (operators.coarse_exponential(evidence(unary(op, (1, 4)), {0: step}), 0) is not None) == told
    assert operators.coarse_exponential(evidence(unary(op, (1, 4))), 0) is None


@pytest.mark.parametrize(("op", "low", "high", "told"), [
    ("RSQRT", 0.49, 9.0, True), ("RSQRT", 0.5, 9.0, False), ("LOG", -9.0, -0.49, True), ("RSQRT", -0.1, 9.0, False),
    ("RSQRT", 0.0, 9.0, False), ("RELU", 0.1, 9.0, False),
])  # fmt: skip
def test_what_rounds_to_zero(op: str, low: float, high: float, told: bool) -> None:
    """Half a step of 1; values on both sides of 0, and 0 itself, are no surprise."""
    e = evidence(unary(op, (1, 4)), {0: 1.0}, test={0: spread(low, high)})
    cause = operators.near_zero(e, 0)
    assert (cause is not None) == told
    assert cause is None or cause.figures == {"smallest": pytest.approx(0.49), "step": 1.0}


@pytest.mark.parametrize(("granularity", "loud", "told"), [
    ("tensor", 16.0, True), ("tensor", 15.9, False), ("channel", 16.0, False),
])  # fmt: skip
def test_channels_of_weights_under_one_scale(granularity: str, loud: float, told: bool) -> None:
    graph = dense(np.array([[1.0, 0.5], [1.0, 0.1], [-loud, 0.2]], np.float32), np.zeros(3, np.float32))
    cause = operators.wide_tensor(evidence(graph, granularity=granularity), 0)
    assert (cause is not None) == told and (cause is None or cause.figures == {"ratio": 16.0})


@pytest.mark.parametrize(("largest", "weights", "inputs", "told"), [
    (51.0, 1.0, 0.0, True), (50.0, 1.0, 0.0, False), (51.0, 0.1, 1.0, True), (51.0, 0.099, 1.0, False),
    (51.0, 0.0, 0.0, False),
])  # fmt: skip
def test_weights_far_beyond_the_others(largest: float, weights: float, inputs: float, told: bool) -> None:
    """More than 50 times the median of its scale, where rounding the weights is a tenth of the noise at least."""
    graph = dense(np.array([[1.0, 1.0, 1.0, largest], [1.0, 1.0, 1.0, 1.0]], np.float32), np.zeros(2, np.float32))
    e = evidence(graph, local=[Local(weights=weights, inputs=inputs)])
    cause = operators.weight_outliers(e, 0)
    assert (cause is not None) == told
    if cause is not None:
        assert cause.figures == {"scales": 1, "ratio": 51.0, "idle": False}
    quiet = evidence(graph, local=[Local(weights=1.0)], test={0: spread([0] * 4, [1, 1, 1, 0.01])})
    assert operators.weight_outliers(quiet, 0) is None  # it makes up for a quiet input
    idle = evidence(graph, local=[Local(weights=1.0)], test={0: spread([0] * 4, [1, 1, 1, 0])})
    found = operators.weight_outliers(idle, 0)
    assert (found is not None and found.figures["idle"]) == (largest > 50)


def test_an_operator_that_does_not_run() -> None:
    assert operators.does_not_run(evidence(RELU, effects={0: Outcome(0.1)}), 0) is None
    assert operators.does_not_run(evidence(RELU), 0) is None
    failed = {0: Outcome(math.inf, failure="refused")}
    for high, words in ((1e-9, "its input stays below 1e-09"), (1e-7, "")):
        cause = operators.does_not_run(evidence(RELU, calibration={0: spread(0, high)}, effects=failed), 0)
        assert cause is not None and cause.figures["failure"] == "refused"
        assert ("stays below" in cause.words) == bool(words) and words in cause.words


# Who is guilty, and in which order


def with_effects(noises: list[float]) -> Evidence:
    return evidence(RELU, effects={n: Outcome(noise) for n, noise in enumerate(noises)})


@pytest.mark.parametrize(
    ("noises", "expected"),
    [
        ([0.9e-3, 1e-3], [1]), ([0.1, 0.5, 0.2], [1, 2, 0]), ([1.0, 0.021], [0, 1]),
        ([1.0, 0.02, 0.001], [0, 1]), ([1.0, 0.02], [0]), ([math.inf, 0.3], [0, 1]), ([math.inf, 0.2], [0]),
        ([0.5] * 20, list(range(16))),
        ([], []),
    ],
)  # fmt: skip
def test_suspects(noises: list[float], expected: list[int]) -> None:
    """Noise of 0.001 at least, the worst first, until 98 % are explained, 16 at most; infinite counts as 10."""
    assert find.guilty(with_effects(noises)) == expected


def test_operators_without_a_known_cause_are_sensitive() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    layers = []
    for _ in range(3):
        x = b.add("FULLY_CONNECTED", (x, b.constant(np.eye(4, dtype=np.float32)), -1), (1, 4), options="FullyConnected")
        layers.append(x)
    graph = b.graph((0,), (x,))
    local = [Local(inputs=0.1, weights=0.001), Local(weights=0.01), Local(output=0.0)]
    e = evidence(graph, local=local, effects={n: Outcome(0.1 * (n + 1)) for n in range(3)})
    found = find.find(e, [0, 1, 2])
    assert [(f.cause, f.operator, f.hurts) for f in found] == [
        ("sensitive", 2, [2]), ("sensitive", 1, [1]), ("sensitive", 0, [0]),
    ]  # fmt: skip
    assert [f.figures["part"] for f in found] == ["inputs", "weights", "inputs"]
    assert "its inputs alone leaves 10 dB, and as the first layer" in found[2].words
    assert "its weights alone leaves 20 dB" in found[1].words and "layer" not in found[1].words
    assert "inf dB, and as the last layer" in found[0].words
    assert found[2].sqnr_db == pytest.approx(10) and found[1].sqnr_db == pytest.approx(-10 * math.log10(0.2))


def test_an_operator_that_hands_trouble_on_is_not_blamed() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    y = b.add("TANH", (x,), (1, 4))
    z = b.add("RESHAPE", (y,), (4,))
    e = evidence(b.graph((x,), (z,)), local=[Local(), Local()], effects={0: Outcome(0.1), 1: Outcome(0.1)})
    assert [f.operator for f in find.find(e, [0, 1])] == [0]
    assert [f.operator for f in find.find(e, [1])] == [1]
    assert find._rank("data_range") < find._rank("near_zero") < find._rank("buried")


def test_a_finding_s_figures() -> None:
    e = evidence(RELU, effects={0: Outcome(0.01), 1: Outcome(math.inf)})
    assert e.finding(0, "c", "w", "r", {0}, x=1) == Finding(0, "RELU", "t1", "c", "w", "r", {"x": 1}, [0], 20.0)
    assert e.finding(-1, "c", "w", "r", set(), tensor=0) == Finding(-1, "input", "x", "c", "w", "r", {}, [], None)
    assert e.finding(0, "c", "w", "r", {0, 1}).sqnr_db is None and e.noise(7) == 0.0


def test_channels_in_words() -> None:
    assert channels(np.array([3])) == "channel 3" and channels(np.array([3, 5])) == "channels 3, 5"
    assert channels(np.arange(4)) == "channels 0, 1, 2, 3" and channels(np.arange(5)) == "5 channels"
    assert median(np.array([0.0, 0.0, 1.0, 3.0])) == 2.0 and median(np.zeros(3)) == 0.0


# Judging


@pytest.mark.parametrize(
    ("outcome", "reference", "lost", "unit"),
    [
        (Outcome(0.3, 0.8, 0.5), Outcome(0, 0.9, 0.0), 10.0, "accuracy"),
        (Outcome(0.3, 0.95, 0.5), Outcome(0, 0.9, 0.0), 0.0, "accuracy"),
        (Outcome(0.3, None, 0.25), Outcome(0, None, 0.0), 25.0, "agreement"),
        (Outcome(0.3, 0.5), Outcome(0), 30.0, "accuracy"),
        (Outcome(0.3), Outcome(0), 30.0, "noise"),
        (Outcome(math.inf), Outcome(0), 100.0, "noise"),
    ],
)
def test_points_that_are_lost(outcome: Outcome, reference: Outcome, lost: float, unit: str) -> None:
    assert measure.loss(outcome, reference) == pytest.approx(lost) and measure.metric(outcome) == unit


def test_noise_of_channels_that_collapsed() -> None:
    """A channel beside a loud one keeps nothing but its middle: all of its own variation is noise."""
    real = np.linspace(-1, 1, 32).reshape(8, 4, 1) * np.array([100.0, 1.0])
    rounded = real.copy()
    rounded[..., 1] = 0
    assert measure.noise(real, rounded) < 1.1e-4
    assert measure.lost_noise(real, rounded) == pytest.approx(1.0)
    assert measure.lost_noise(real, real) == 0.0
    rounded[..., 1] = 0.5
    assert measure.lost_noise(real, rounded) == pytest.approx(1 + 0.25 / np.mean(real[..., 1] ** 2))


@pytest.mark.parametrize(("macs", "variants", "effect", "trial"), [
    (10**6, 1, 256, 5000), (10**7, 100, 200, 5000), (10**9, 1, 200, 100), (10**7, 10**6, 8, 5000), (0, 1, 256, 5000),
    (2 * 10**8, 10, 100, 250),
])  # fmt: skip
def test_samples_that_the_work_allows(
    macs: int, variants: int, effect: int, trial: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2e11 MACs for the effects, within 8 to 256 samples; 5e10 for a trial, within 100 to 5000."""
    for module in (measure, cure):
        monkeypatch.setattr(module, "statistics", lambda graph: SimpleNamespace(macs=macs))
    assert measure.effect_samples(RELU, variants) == effect
    assert cure.search_samples(RELU) == trial


@pytest.mark.parametrize(("size", "samples"), [(1, 32), (2**20, 16), (2**24, 1), (2**30, 1)])
def test_activations_that_memory_allows(size: int, samples: int) -> None:
    """128 MiB of input and output, in float32."""
    assert local_samples(unary("RELU", (1, size))) == samples


def test_what_a_report_says_beside_its_findings() -> None:
    real, labels = Outcome(0.0, 0.151), np.arange(10)
    row = Row(0, "ADD", "a", False, "too hard", Local(), None)
    found = Diagnosis("int8", 10, 10, real, real, Outcome(0.0, 0.14), 0.5, operators=[row, replace(row, op="MUL"), Row(
        2, "SUB", "b", True, "", Local(network=0.01), Outcome(0.1, 0.05))])  # fmt: skip
    data = Dataset([np.zeros((10, 1))], labels)
    assert _notes(found, data, data) == [
        "10 labelled samples cannot show a loss of 0.5 points: give more",
        "2 of 3 operators are left in float (ADD, MUL): too hard",
    ]
    found.real = Outcome(0.0, 0.149)
    assert "right on 14.9% only" in _notes(found, data, data)[1]
    many = Dataset([np.zeros((100, 1))], np.arange(100) % 10)
    assert not any("labelled" in note for note in _notes(found, many, many))
    assert found.lost == pytest.approx(0.9) and not found.healthy
    found.quantized = Outcome(0.0, 0.144)
    assert found.lost == pytest.approx(0.5) and found.healthy
    told = found.operators[2].json(real)
    assert (told["network_db"], told["alone_db"], told["effect_db"]) == (20.0, None, 10.0)
    assert told["effect_points"] == pytest.approx(10.1) and told["runs"]
    assert found.operators[0].json(real)["effect_points"] is None and found.operators[0].json(real)["runs"]
    assert not replace(found.operators[2], effect=Outcome(math.inf, 0.0, failure="x")).json(real)["runs"]


# The search, where each operator's loss and price are known and add up


class Simple:
    """Versions and Judge of a chain of RELUs whose points of loss in int8 are given; int16 loses a tenth of them."""

    def __init__(self, losses: list[float], floor: float = 0.0) -> None:
        b = Builder()
        x = b.tensor((1, 4), name="x")
        for _ in losses:
            x = b.add("RELU", (x,), (1, 4))
        self.graph, self.losses, self.floor = b.graph((0,), (x,)), losses, floor
        self.float, self.data, self.asked = Outcome(0.0, 1.0), [0] * 4, 0

    def mix(self, choice: Any, io: str = "") -> Any:
        return SimpleNamespace(graph=tuple(choice))

    def has(self, number: int, precision: str) -> bool:
        return precision == "float32" or self.losses[number] > 0

    def __call__(self, choice: tuple[str, ...]) -> Outcome:
        self.asked += 1
        share = {"int8": 1.0, "int16": 0.1, "float32": 0.0}
        points = self.floor + sum(loss * share[p] for loss, p in zip(self.losses, choice, strict=True))
        return Outcome(points / 100, 1.0 - points / 100)


def searched(losses: list[float], max_drop: float, allowed: list[str], prices: dict[str, float], floor: float = 0.0):  # type: ignore[no-untyped-def]
    simple = Simple(losses, floor)

    def cost(choice: Any) -> float:
        return sum(prices[p] for p in choice) + 0.4 * sum(a != b for a, b in itertools.pairwise(choice))

    one = search.Search(simple, simple, "int8", allowed, max_drop, cost, Silent())  # type: ignore[arg-type]
    one._quick = lambda variants: simple  # type: ignore[method-assign, assignment, return-value]
    return one, one.run()


PRICES = {"int8": 1.0, "int16": 2.0, "float32": 3.0}


@pytest.mark.parametrize(
    ("max_drop", "expected"),
    [
        (7.0, ["int8"] * 4), (6.999, ["int8", "int8", "int16", "int8"]), (3.4, ["int8", "int8", "int16", "int8"]),
        (3.39, ["int8", "int8", "float32", "int8"]), (2.0, ["int16", "int8", "float32", "int8"]),
        (0.0, ["float32"] * 4),
    ],
)  # fmt: skip
def test_the_cheapest_choice_within_the_budget(max_drop: float, expected: list[str]) -> None:
    """Losses 2, 0.5, 4, 0.5: the worst operator first, as precise as needed and no more."""
    one, choice = searched([2.0, 0.5, 4.0, 0.5], max_drop, ["int8", "int16", "float32"], PRICES)
    assert one.fits(choice) and one.loss(choice) <= max_drop
    if max_drop != 2.0:
        assert choice == expected
    assert one.price(choice) <= one.price(expected)


def test_nothing_is_within_a_budget_that_float_exceeds() -> None:
    with pytest.raises(CheckFailed, match=r"all operators in float32 the network loses 1\.00, more than 0\.99"):
        searched([2.0, 1.0], 0.99, ["int8", "float32"], PRICES, floor=1.0)
    _, choice = searched([2.0, 1.0], 1.0, ["int8", "float32"], PRICES, floor=1.0)
    assert choice == ["float32", "float32"]


def test_a_neighbour_joins_where_conversions_cost_more() -> None:
    """Float costs 0.2 more than int8, a change of precision 0.4: the operator between two in float joins them."""
    _, choice = searched([5.0, 0.1, 5.0], 0.5, ["int8", "float32"], {"int8": 1.0, "float32": 1.2})
    assert choice == ["float32", "float32", "float32"]
    _, choice = searched([5.0, 0.1, 5.0], 0.5, ["int8", "float32"], {"int8": 1.0, "float32": 1.9})
    assert choice == ["float32", "int8", "float32"]


def test_each_choice_is_judged_once() -> None:
    one, choice = searched([2.0, 0.5, 4.0, 0.5], 1.0, ["int8", "int16", "float32"], PRICES)
    asked = one.judge.asked
    one.outcome(choice)
    one.loss(choice)
    assert one.judge.asked == asked and one.steps[0].endswith("operators in float32 suffice")


def test_operators_in_another_precision_are_listed() -> None:
    assert cure.table(LAYER, ["int16"], "int8") == [
        {"index": 0, "op": "FULLY_CONNECTED", "name": "t3", "precision": "int16"}
    ]
    assert cure.table(LAYER, ["int8"], "int8") == []
    price, unit = cure.cost_of(None)
    assert unit == "bytes" and price(dense(np.zeros((2, 4), np.float32), np.zeros(2, np.float32))) == 32 + 8 + 128
    assert cure.cost_of("rpi4")[1] == "ms" and Tensor("x", (1,), "int8").nbytes == 1
