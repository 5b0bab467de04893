"""Which channels a scale loses, and which only look like it."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.metrics.channels import collapsed, lost

RNG = np.random.default_rng(0)


def wide_and_narrow(axis: int, narrow: float) -> np.ndarray:
    values = np.concatenate([RNG.uniform(0, 640, (32, 1, 9, 4)), RNG.uniform(0, narrow, (32, 1, 9, 2))], axis=-1)
    return np.moveaxis(values, -1, axis)


@pytest.mark.parametrize("axis", [1, 2, 3])
def test_scores_beside_pixels_are_lost_along_any_axis(axis: int) -> None:
    found = lost(wide_and_narrow(axis, 1.0), 640 / 255)
    assert found is not None and (found.axis, found.channels) == (axis - 1, (4, 5))
    assert found.steps < 1 and found.words() == f"channels 4 to 5 of axis {axis - 1}"


def test_four_steps_are_enough_and_less_are_not() -> None:
    values = wide_and_narrow(3, 1.0)
    span = np.ptp(values[..., 4:], axis=(0, 1, 2)).max()
    assert lost(values, span / 3.9) is not None
    assert lost(values, np.ptp(values[..., 4:], axis=(0, 1, 2)).min() / 4.1) is None


def test_a_constant_channel_has_nothing_to_lose() -> None:
    values = wide_and_narrow(3, 1.0)
    values[..., 4:] = 0.25
    assert lost(values, 640 / 255) is None


def test_channels_of_one_kind_that_differ_are_not_told() -> None:
    values = RNG.normal(size=(64, 1, 64)) * np.geomspace(0.02, 10, 64)
    assert lost(values, np.ptp(values) / 255) is None


def test_a_small_variation_on_a_large_offset_is_lost_but_not_on_noise() -> None:
    values = np.stack([RNG.uniform(0, 600, 64), RNG.uniform(300, 302, 64)], axis=-1)[:, None]
    found = lost(values, 600 / 255)
    assert found is not None and found.channels == (1,)
    assert lost(values, 600 / 255, noise=True) is None


def test_what_is_left_of_a_channel_shows_its_collapse_whatever_lies_behind() -> None:
    real = wide_and_narrow(3, 1.0)
    step = 640 / 255
    found = collapsed(real, np.rint(real / step) * step)
    assert found is not None and found.channels == (4, 5)
    fine = real.copy()
    fine[..., :4] = np.rint(real[..., :4] / step) * step
    assert collapsed(real, fine) is None
