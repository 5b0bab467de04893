"""Sound at other rates: against scipy, and what tones become of it. test_sound.py compares C."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import resample_poly

from edgekit.tasks import resample


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([8000, 11_025, 12_345, 16_000, 22_050, 24_000, 44_100, 48_000, 96_000, 192_000]),
    st.sampled_from([8000, 16_000, 22_050, 44_100, 48_000]),
    st.integers(0, 3000), st.integers(0, 99),
)  # fmt: skip
def test_it_is_scipys_filter(rate: int, to: int, samples: int, seed: int) -> None:
    sound = np.random.default_rng(seed).normal(size=samples)
    found = resample.resampled(sound, rate, to, 1 << 30)
    up, down = resample.factors(rate, to)
    expected = resample_poly(sound, up, down) if samples else np.zeros(0)
    assert len(found) == len(expected) == resample.count(samples, rate, to)
    np.testing.assert_allclose(found, expected, atol=1e-12)


@pytest.mark.parametrize("rate", [8000, 11_025, 44_100, 48_000])
def test_a_tone_stays_what_it_is_and_what_is_too_high_goes_away(rate: int) -> None:
    """In its middle, within two thousandths; beyond half the lower rate, 50 dB below."""
    seconds = np.arange(rate) / rate
    found = resample.resampled(np.sin(2 * np.pi * 1000 * seconds), rate, 16_000, 1 << 30)
    expected = np.sin(2 * np.pi * 1000 * np.arange(16_000) / 16_000)
    np.testing.assert_allclose(found[1000:-1000], expected[1000:-1000], atol=2e-3)
    if rate > 20_000:
        above = resample.resampled(np.sin(2 * np.pi * 10_000 * seconds), rate, 16_000, 1 << 30)
        assert np.abs(above[1000:-1000]).max() < 10 ** (-50 / 20)


def test_only_what_is_needed_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    sound = np.random.default_rng(0).normal(size=5000)
    whole = resample.resampled(sound, 44_100, 16_000, 1 << 30)
    for at_once in (1, 7, 1000):
        monkeypatch.setattr(resample, "_AT_ONCE", at_once)
        np.testing.assert_array_equal(resample.resampled(sound, 44_100, 16_000, 321), whole[:321])


@pytest.mark.parametrize(("rate", "to"), [(1, 65_537), (65_537, 1), (767_999, 16_000), (768_001, 768_000)])
def test_rates_without_a_ratio_of_small_numbers(rate: int, to: int) -> None:
    with pytest.raises(resample.Unrelated, match=f"{rate} samples a second, which cannot be resampled to {to}"):
        resample.count(5, rate, to)
    assert resample.factors(65_536, 1) == (1, 65_536)
