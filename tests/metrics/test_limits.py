"""Metrics at their boundaries, with values worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from edgekit.errors import CheckFailed
from edgekit.graph import Graph, Operator, Quantization, Subgraph, Tensor
from edgekit.metrics import channels, differences, fairness, parity, quality, verdict
from edgekit.metrics.bounds import Bounds
from edgekit.metrics.channels import Lost, collapsed, lost
from edgekit.metrics.similarity import Noise, Unlike, unlike

# Fairness


@pytest.mark.parametrize(
    ("lost_", "won", "samples", "low", "high"),
    [
        # (l - w) / n +- 1.959964 sqrt(l + w - (l - w)^2 / n) / n with l, w half more and n two more
        (5, 1, 100, -1.1050, 8.9482), (0, 0, 10, -16.3330, 16.3330), (10, 0, 10, 56.6616, 100.0),
        (0, 10, 10, -100.0, -56.6616), (300, 100, 10000, 1.6081, 2.3911),
    ],
)  # fmt: skip
def test_the_interval_of_a_drop(lost_: int, won: int, samples: int, low: float, high: float) -> None:
    part = fairness.Part("class", "1", samples, lost_, won, lost_, won)
    found = part.json()["drop"]
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=2e-3)
    assert found["value"] == pytest.approx(100 * (lost_ - won) / samples)


def test_the_interval_of_a_share() -> None:
    """Wilson's interval of 81 in 263 (Newcombe, Stat. Med. 1998, table I), of 15 in 148, and of none and all."""
    assert fairness.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert fairness.wilson(15, 148) == pytest.approx((0.0624, 0.1605), abs=5e-5)
    assert fairness.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=5e-5)
    assert fairness.wilson(20, 20) == pytest.approx((0.8389, 1.0), abs=5e-5)
    assert fairness.wilson(0, 20)[0] == 0.0 and fairness.wilson(20, 20)[1] == 1.0


def test_what_is_needed_to_be_notable() -> None:
    """Of two classes, at 2.5 % each: 6 losses without a gain have 1 in 64, 5 have 1 in 32."""
    assert fairness.sign_test(6, 0) == pytest.approx(1 / 64) and fairness.sign_test(5, 0) == pytest.approx(1 / 32)
    assert fairness.sign_test(0, 3) == 1.0 and fairness.sign_test(1, 2) == pytest.approx(7 / 8)
    for losses, notable in ((5, False), (6, True)):
        labels = np.repeat(np.array([0, 1]), 100)
        after = labels.copy()
        after[:losses] = 1
        rows = fairness.report(labels, labels, after, classes=2)["classes"]
        assert [row["notable"] for row in rows] == [notable, False]
        assert rows[0]["lost"] == losses and rows[0]["won"] == 0


def test_gains_and_losses_are_told_apart() -> None:
    labels, before, after = np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    found = fairness.report(labels, before, after, classes=2)
    assert (found["lost"], found["won"], found["float"], found["compiled"]) == (1, 1, 0.75, 0.75)
    assert found["drop"]["value"] == 0 and found["worst"] is None and fairness.words(found) == ""


def test_a_bound_is_kept_by_a_drop_as_large() -> None:
    labels = np.repeat(np.arange(2), 50)
    after = labels.copy()
    after[:3] = 1
    found = fairness.report(labels, labels, after, classes=2)
    fairness.check(Bounds(accuracy_drop=3.0, class_drop=6.0), found)
    with pytest.raises(CheckFailed, match=r"class 0 loses 6 points .* 5\.99; 1 more"):
        fairness.check(Bounds(accuracy_drop=2.995, class_drop=5.99), found)
    assert bool(Bounds(accuracy_drop=0.0)) and not Bounds()


@pytest.mark.parametrize(("samples", "advice"), [(50, "test on more"), (5000, "compress less")])
def test_advice_depends_on_what_the_samples_prove(samples: int, advice: str) -> None:
    labels = np.repeat(np.arange(2), samples)
    after = labels.copy()
    after[: samples // 10] = 1
    found = fairness.report(labels, labels, after, classes=2)
    with pytest.raises(CheckFailed) as caught:
        fairness.check(Bounds(class_drop=5.0), found)
    assert advice in caught.value.hint


# Channels


def field(spans: list[float], low: float = 0.0, samples: int = 4, places: int = 8) -> np.ndarray:
    """``[samples, places, channels]``: each channel runs evenly from ``low`` over its span."""
    steps = np.linspace(0, 1, samples * places).reshape(samples, places, 1)
    return low + steps * np.array(spans)


@pytest.mark.parametrize(
    ("spans", "found"),
    [
        ([100.0, 4.0], None), ([100.0, 3.999], (1,)), ([7.5, 3.999], None), ([8.0, 3.999], (1,)),
        ([100.0, 0.0], None), ([100.0, 0.9e-4], None), ([100.0, 1.1e-4], (1,)), ([3.9, 100.0, 3.0], (0, 2)),
        ([3.9, 3.0], (0, 1)),
    ],
)  # fmt: skip
def test_channels_that_a_step_of_1_loses(spans: list[float], found: tuple[int, ...] | None) -> None:
    """Less than 4 steps, half of what is kept at most, and more than a millionth of the largest magnitude."""
    result = lost(field(spans), 1.0)
    assert (result and result.channels) == found
    assert result is None or (result.axis, result.of) == (1, len(spans))
    if result is not None:
        assert result.steps == pytest.approx(max(spans[c] for c in result.channels))


@pytest.mark.parametrize(
    ("low", "widest", "found"),
    [(4.9, 47.0, (1,)), (5.0, 47.0, None), (5.0, 48.0, (1,)), (-8.1, 47.0, None), (-8.1, 48.0, (1,))],
)
def test_channels_beside_an_offset(low: float, widest: float, found: tuple[int, ...] | None) -> None:
    """One of 3 steps is lost below a magnitude of 8, and else beside one that spans 16 times as much."""
    values = field([widest, 3.0])
    values[..., 1] += low
    result = lost(values, 1.0)
    assert (result and result.channels) == found


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (np.zeros((0, 3)), 1.0), (field([100.0, 1.0]), 0.0), (field([100.0, 1.0]), -1.0),
        (np.full((2, 8, 2), np.nan), 1.0), (field([1.0], places=1), 1.0), (field([1.0, 100.0])[:, 0, 0], 1.0),
    ],
)  # fmt: skip
def test_values_that_show_no_lost_channel(values: np.ndarray, scale: float) -> None:
    assert lost(values, scale) is None
    assert lost(field([100.0, 1.0]), 1e-6) is None


def test_the_axis_with_fewest_channels_is_named() -> None:
    values = np.linspace(0, 1, 4 * 3 * 2).reshape(4, 3, 2) * np.array([1.0, 100.0])
    values[:, 0, :] /= 1000
    result = lost(values, 1.0)
    assert result is not None and (result.axis, result.of) == (1, 2)


@pytest.mark.parametrize(
    ("channels_", "words"),
    [
        ((3,), "channel 3 of axis 1"), ((3, 4), "channels 3 to 4 of axis 1"), ((3, 5), "channels 3, 5 of axis 1"),
        ((0, 2, 4, 6, 8, 10), "channels 0, 2, 4, 6, 8, 10 of axis 1"),
        ((0, 2, 4, 6, 8, 10, 12), "7 of 20 channels of axis 1"), (tuple(range(9)), "channels 0 to 8 of axis 1"),
    ],
)  # fmt: skip
def test_lost_channels_in_words(channels_: tuple[int, ...], words: str) -> None:
    assert Lost(1, channels_, 20, 1.0).words() == words


@pytest.mark.parametrize(
    ("levels", "span", "places", "found"),
    [(4, 1.0, 8, (1,)), (5, 1.0, 8, None), (4, 6.3, 8, None), (4, 1.0, 4, (1,)), (4, 1.0, 3, None)],
)
def test_a_channel_that_collapsed(levels: int, span: float, places: int, found: tuple[int, ...] | None) -> None:
    """At most 4 values are left of 16 or more, in a channel below a sixteenth of the widest."""
    real = field([100.0, span], places=places)
    rounded = real.copy()
    rounded[..., 1] = np.floor(real[..., 1] / span * (levels - 1) + 0.5)
    assert len(np.unique(rounded[..., 1])) == levels
    result = collapsed(real, rounded)
    assert (result and result.channels) == found
    assert result is None or (result.axis, result.of, result.steps) == (1, 2, levels)


def test_what_cannot_have_collapsed() -> None:
    real = field([100.0, 1.0])
    flat = real.copy()
    flat[..., 1] = 0
    assert collapsed(real, flat) is not None
    assert collapsed(real, flat[:, :4]) is None
    assert collapsed(real[:0], flat[:0]) is None
    for bad in (np.nan, np.inf):
        spoilt = flat.copy()
        spoilt[0, 0, 0] = bad
        assert collapsed(real, spoilt) is None and collapsed(spoilt, flat) is None
    one = np.stack([real[:, 0, 0], real[:, 0, 1] / 100], 1).repeat(8, axis=0) + 1e-3 * np.arange(32)[:, None]
    assert collapsed(one, np.zeros_like(one)) is not None
    assert collapsed(one, np.zeros_like(one), noise=True) is None
    assert channels.STEPS == 4


# Whether results follow the reference


def wave(count: int, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, *shape))


@pytest.mark.parametrize(("error", "good"), [(0.74, True), (0.76, False)])
def test_an_error_relative_to_the_reference_s_variation(error: float, good: bool) -> None:
    """One channel that alternates between -1 and 1, off by so much everywhere."""
    reference = np.tile([1.0, -1.0], 50)[:, None]
    found = unlike(reference, reference + error, Noise(1e-6))
    assert (found is None) == good
    if found is not None:
        assert found.error == pytest.approx(error) and found.axis is None


@pytest.mark.parametrize("samples", [1, 2])
def test_the_mean_over_samples_is_taken_of_more_than_one(samples: int) -> None:
    """Positions differ by far more than samples do: only two samples show that the artifact ignores its input."""
    places = 100.0 * np.arange(8)
    reference = np.stack([places, places + 1])[:samples]
    actual = np.stack([places, places])[:samples]
    actual[0, 0] += 1e-3
    found = unlike(reference, actual, Noise(1e-6))
    assert (found is not None and found.axis is None) == (samples == 2)


@pytest.mark.parametrize(("error", "good"), [(0.89, True), (0.91, False)])
def test_an_error_of_one_channel(error: float, good: bool) -> None:
    reference = np.stack([np.tile([1.0, -1.0], 50)] * 8, axis=1)
    actual = reference.copy()
    actual[:, 5] += error
    found = unlike(reference, actual, Noise(1e-6))
    assert (found is None) == good
    if found is not None:
        assert (found.axis, found.channel, found.error) == (0, 5, pytest.approx(error))
        assert found.words() == "the error in channel 5 of axis 0 is 0.91 of what the reference varies by"


@pytest.mark.parametrize(
    ("variation", "judged"), [(0.9e-3, False), (1.1e-3, True), (0.0, False)],
)  # fmt: skip
def test_a_channel_that_hardly_varies_is_not_judged_by_itself(variation: float, judged: bool) -> None:
    reference = np.stack([np.tile([1.0, -1.0], 50)] * 8, axis=1)
    reference[:, 5] *= variation
    actual = reference.copy()
    actual[:, 5] = 0.002
    assert (unlike(reference, actual, Noise(1e-6)) is not None) == judged


@pytest.mark.parametrize(("size", "judged"), [(1, False), (2, True), (4096, True), (4097, False)])
def test_which_axes_hold_channels(size: int, judged: bool) -> None:
    reference = np.tile(np.tile([1.0, -1.0], 5)[:, None, None], (1, size, 2))
    actual = reference.copy()
    actual[:, 0, :] = 0.0
    found = unlike(reference, actual, Noise(1e-6))
    axes = None if found is None else found.axis
    assert (axes == 0) == judged


def test_differences_that_say_nothing() -> None:
    reference = wave(20, (4,)) * 1e-3
    assert unlike(reference, reference, Noise(0.0)) is None
    assert unlike(reference, -reference, Noise(1.0)) is None
    assert unlike(reference, -reference, Noise(1e-6)) is not None
    assert unlike(reference[:0], reference[:0], Noise(0.0)) is None
    expected = np.full_like(reference, 1.0)
    assert unlike(reference, -reference, Noise(1e-6), expected) is None


def test_a_constant_reference_and_a_few_places_that_differ() -> None:
    constant = np.ones((10, 10))
    few, many = constant.copy(), constant.copy()
    few[0, :5] = 9
    many[:6] = 9
    assert unlike(constant, few, Noise(1e-3)) is None
    assert unlike(constant, many, Noise(1e-3)) is not None


def test_another_largest_element() -> None:
    """The reference prefers its label decisively in 6 of 10 samples, or in 5."""
    for count, told in ((6, True), (5, False)):
        reference = np.zeros((10, 16))
        reference[np.arange(10), np.arange(10)] = 4.0
        actual = reference.copy()
        actual[:count] /= 2
        actual[:count, 15] = 2.1
        found = unlike(reference, actual, Noise(1e-6))
        assert (found is not None and found.labels > 0) == told
        if told:
            assert found is not None and found.labels == pytest.approx(0.6)
            assert found.words() == "the largest element is another one in 60% of the samples"
    assert Unlike(0.8).words() == "the error is 0.8 of what the reference varies by"


def test_noise_of_channels() -> None:
    """Relative noise is of the channel's own magnitude; shared noise is what any other channel may be off by."""
    reference = np.stack([np.tile([1.0, -1.0], 50)] * 8, axis=1)
    reference[:, 5] = np.tile([10.0, 10.2], 50)
    actual = reference.copy()
    actual[:, 5] += 0.15
    assert unlike(reference, actual, Noise(1e-6)) is not None
    assert unlike(reference, actual, Noise(1e-6, relative=0.02)) is None
    expected = np.zeros_like(reference)
    expected[:, 0] = 2.0
    assert unlike(reference, actual, Noise(1e-6), expected) is not None
    assert unlike(reference, actual, Noise(1e-6, shared=True), expected) is None


# Parity


def output(dtype: str = "float32", name: str = "y", scale: float | None = None) -> Tensor:
    q = None if scale is None else Quantization(np.array([scale], np.float32), np.array([0]))
    return Tensor(name, (1, 4), dtype, q)


def graph_of(*tensors: Tensor, operators: int = 1) -> Graph:
    chain = [Operator("RELU", (0,), (n,)) for n in range(len(tensors))] * operators
    return Graph([Subgraph("main", list(tensors), chain[:operators], (), tuple(range(len(tensors))))])


def test_an_output_without_elements_is_equal() -> None:
    nothing = np.zeros((3, 0), np.float32)
    found = differences.difference(output(), nothing, nothing)
    assert found == differences.Difference("y", 0, 0.0, 0.0, 0, True)
    assert differences.difference(output(), np.ones((1, 1), np.float32), np.zeros((1, 1), np.float32)).ok is False


def test_differences_in_steps_and_in_real_values() -> None:
    reference, actual = np.array([[10, 0, 0, -20]], np.int8), np.array([[10, 3, 0, -20]], np.int8)
    found = differences.difference(output("int8", scale=0.25), reference, actual)
    assert (found.max_lsb, found.max_abs, found.max_relative, found.flips) == (3, 0.75, 3 / 20, 0)
    bare = differences.difference(output("int8"), reference, actual)
    assert (bare.max_lsb, bare.max_abs, bare.ok) == (3, 3.0, False)
    real = differences.difference(output(), reference.astype("f4"), actual.astype("f4"))
    assert (real.max_lsb, real.max_abs, real.max_relative) == (None, 3.0, pytest.approx(0.15))
    nothing = np.zeros((1, 4), np.float32)
    assert differences.difference(output(), nothing, nothing + np.float32(1e-7)).max_relative == pytest.approx(0.1)
    zero = np.zeros((1, 4), np.int8)
    assert differences.difference(output("int8", scale=0.25), zero, zero + np.int8(1)).max_relative == 1.0


def test_several_outputs_are_summed_up() -> None:
    graph = graph_of(output("int8", "a", 1.0), output("float32", "b"))
    reference = [np.array([[1, 2, 3, 4]], np.int8), np.array([[1, 2, 3, 4]], np.float32)]
    actual = [np.array([[1, 2, 5, 4]], np.int8), np.array([[1, 2, 3, 2]], np.float32)]
    found = parity.compare(graph, reference, actual)
    assert (found.ok, found.max_abs_lsb, found.max_abs, found.max_relative) == (False, 2, 2.0, 0.5)
    assert (found.top1_flips, found.samples, found.reason) == (2, 1, "")
    assert [row.ok for row in found.outputs] == [False, False]
    assert found.rule == "integers within 1 LSB, float within 0.0001 of the largest magnitude"
    hybrid = parity.compare(graph, reference, reference, exact=reference)
    assert hybrid.ok and hybrid.rule.endswith("of the largest magnitude and twice the cost of rounding activations")
    floats = parity.compare(graph_of(output()), reference[1:], reference[1:])
    assert floats.ok and floats.max_abs_lsb is None


@pytest.mark.parametrize("operators", [1, 4])
def test_twice_a_rounding_step_is_expected_of_each_operator(operators: int) -> None:
    """They add up like independent noise: 4 operators twice as much as one."""
    reference = np.tile(np.array([[1.0, -1.0, 1.0, -1.0]], np.float32), (8, 1))
    disturbed = reference + np.float32(0.5)
    least = 2 * 0.5 * math.sqrt(operators)
    for error, good in ((0.97 * least, True), (1.03 * least, False)):
        graph = graph_of(output(), operators=operators)
        assert (parity.unlike_outputs(graph, [reference], [reference + np.float32(error)], [disturbed]) == "") == good


def test_which_output_does_not_follow_is_named_among_several() -> None:
    a, b = output("float32", "a;x"), output("float32", "b")
    reference = np.tile(np.array([[1.0, -1.0, 1.0, -1.0]], np.float32), (8, 1))
    args = [reference, reference], [-reference, reference], [reference, reference]
    assert parity.unlike_outputs(graph_of(a, b), *args).startswith("a: the error is 2")
    assert parity.unlike_outputs(graph_of(a), *(side[:1] for side in args)).startswith("the error is 2")


def test_outputs_of_which_nothing_can_be_expected() -> None:
    ids = np.array([[1, 2, 3, 4]], np.int32)
    graph = graph_of(output("int32"))
    assert parity.unlike_outputs(graph, [ids], [ids + np.array([1, 1, 0, 0], np.int32)], [ids]) == ""
    assert parity.unlike_outputs(graph, [ids], [ids + np.array([1, 1, 1, 0], np.int32)], [ids]) == (
        "75% of its values differ"
    )
    assert "it is int64" in parity.unlike_outputs(graph, [ids], [ids.astype(np.int64)], [ids])
    assert "it is int32 [1, 3]" in parity.unlike_outputs(graph, [ids], [ids[:, :3]], [ids])
    real = np.array([[1.0, np.inf, np.nan, 2.0]], np.float32)
    graph = graph_of(output())
    assert parity.unlike_outputs(graph, [real], [np.array([[1, 0, 0, 2]], np.float32)], [real]) == ""
    bad = np.array([[np.inf, 0, 0, np.nan]], np.float32)
    assert parity.unlike_outputs(graph, [real], [bad], [real]) == "2 values are not finite"


def test_two_steps_of_an_integer_say_nothing() -> None:
    """A reference that varies by one step: off by 2 in every place is nothing, by 3 it is."""
    reference = np.tile(np.array([[0, 1, 0, 1]], np.int8), (8, 1))
    graph = graph_of(output("int8", scale=1.0))
    assert parity.unlike_outputs(graph, [reference], [reference + np.int8(2)], [reference]) == ""
    assert parity.unlike_outputs(graph, [reference], [reference + np.int8(3)], [reference]) != ""


def test_an_operator_of_integer_weights_may_be_off_by_twice_its_cost() -> None:
    """Rounding the activations costs 0.5 there, of a largest magnitude of 4: 1.0004 is the most."""
    graph = graph_of(output())
    exact = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
    rounded = exact + np.float32(0.5)
    for error, good in ((1.0003, True), (1.0005, False)):
        rows = parity.compare_operators(
            graph, [0], [0], [exact], [exact + np.float32(error)], exact={0: (exact, rounded)}
        )
        assert [row.ok for row in rows] == [good]
    assert not parity.compare_operators(graph, [0], [0], [exact], [exact + np.float32(0.001)])[0].ok
    off = parity.compare_operators(graph, [0], [0], [rounded], [exact + np.float32(0.9)], exact={0: (exact, exact)})
    assert off[0].ok  # the reference itself is as far from the exact results


def test_the_verdict_in_words() -> None:
    row = verdict.OperatorParity(3, "ADD", "a" * 41 + ";b", 5, 0.1, False)
    base: dict[str, Any] = {
        "ok": False, "max_abs_lsb": 7, "max_abs": 1.0, "max_relative": 0.25, "top1_flips": 2, "samples": 9, "rule": "",
    }  # fmt: skip
    assert verdict.Parity(**base).words() == "outputs are off by 7 LSB"
    assert verdict.Parity(**base, unlike="u", reason="r").words() == "outputs are off by 7 LSB; u; r"
    assert verdict.Parity(**{**base, "max_abs_lsb": None}).words() == "outputs are off by 0.25 relative"
    assert verdict.Parity(**{**base, "ok": True}, classifier=True).words() == (
        "outputs within 7 LSB, 2 of 9 labels differ"
    )
    assert verdict.Parity(**base, operators=[row]).words() == f"operator 3 ADD (...{'a' * 37}) is off by 5 LSB"
    good = verdict.OperatorParity(3, "ADD", "a" * 40, 0, 0.0, True)
    by = {"by": "operators", "operators": [good]}
    assert verdict.Parity(**base, **by, unlike="u").words() == (
        "each of 1 operators within its bound, but the outputs do not follow the reference: u"
    )
    assert verdict.Parity(**{**base, "ok": True}, **by).words() == (
        "each of 1 operators within its bound; accumulated along the network: 7 LSB"
    )
    assert verdict.Parity(**base, reason=verdict.NOTHING).words() == verdict.NOTHING


# What quantization costs


def test_similarity_of_samples() -> None:
    """Of the angles 0, 60 and 90 degrees, and of one against nothing."""
    before = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    after = np.array([[2.0, 0.0], [1.0, math.sqrt(3)], [0.0, 1.0], [0.0, 0.0]])
    found = quality.output_quality("y", before, after)
    assert found.cosine_similarity == pytest.approx(1.5 / 4) and found.cosine_worst == pytest.approx(0.0, abs=1e-12)
    assert found.sqnr_db == pytest.approx(10 * math.log10(4 / (1 + 3 + 2 + 1)))
    assert quality.cosine_similarity(np.zeros(2), np.zeros(2)) == 1.0
    assert quality.cosine_similarity(np.ones(2), np.zeros(2)) is None
    assert quality.cosine_similarity(np.ones(2), np.array([1, np.inf])) is None
    assert quality.cosine_similarity(np.array([0.5, 0.0]), np.array([0.0, 0.5])) == 0.0
    assert quality.output_quality("y", before[:0], after[:0]).cosine_similarity is None


def test_one_constant_by_hand() -> None:
    """Weights 3 and -4 in steps of 2: 4 (half to even) and -4, one step off by 1."""
    scale = Quantization(np.array([2.0], np.float32), np.array([0]))
    source = Tensor("w", (2,), "float32", data=np.array([3.0, -4.0], np.float32).view(np.uint8))
    tensor = Tensor("", (2,), "int8", scale, np.array([2, -2], np.int8).view(np.uint8))
    found = quality.tensor_quality(source, tensor, 7, "ADD")
    assert (found.name, found.operator, found.op, found.dtype, found.shape, found.scales) == (
        "w", 7, "ADD", "int8", (2,), 1,
    )  # fmt: skip
    assert (found.absolute_error, found.relative_error, found.saturated) == (1.0, pytest.approx(0.2), 0.0)
    assert found.sqnr_db == pytest.approx(10 * math.log10(25))
    named = Tensor("q", (2,), "int8", scale, np.array([2, -2], np.int8).view(np.uint8))
    assert quality.tensor_quality(source, named).name == "q"


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [("int8", -128, 127), ("uint8", 0, 255), ("int4", -8, 7), ("uint4", 0, 15), ("int2", -2, 1)],
)
def test_half_a_step_outside_is_inside(dtype: str, low: int, high: int) -> None:
    tensor = Tensor("w", (4,), dtype, Quantization(np.array([1.0], np.float32), np.array([0])))
    assert quality.saturated(np.array([low - 0.5, low, high, high + 0.5]), tensor) == 0.0
    assert quality.saturated(np.array([low - 0.51, low, high, high + 0.51]), tensor) == 0.5
    wide = Tensor("w", (4,), "float16")
    assert quality.saturated(np.array([1e9]), wide) == 0.0


def test_outputs_are_compared_on_64_samples() -> None:
    from edgekit.data.dataset import Dataset
    from tests.networks.small import dense

    graph = dense(np.eye(2, dtype=np.float32), np.zeros(2, np.float32))
    found = quality.measure(graph, graph, Dataset([np.ones((70, 1, 2), np.float32)]))
    assert found.samples == 64 and found.tensors == [] and found.outputs[0].cosine_worst == pytest.approx(1.0)
    assert quality.report(graph, graph) is None
