"""Integer MFCC against its definition; that the device computes the same is in tests/firmware_stubs/test_ek_mfcc.py."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.data.mfcc import Mfcc, Quantization, mfcc, quantized, real
from edgekit.errors import UsageError

TENSORFLOW = """
import sys
import numpy as np
import tensorflow as tf
samples = tf.constant(np.load(sys.argv[1]).astype(np.float32) / 32768)
spectrum = tf.abs(tf.signal.stft(samples, 480, 320))
mel = tf.signal.linear_to_mel_weight_matrix(40, 257, 16000, 20.0, 4000.0)
log = tf.math.log(tf.tensordot(spectrum, mel, 1) + 1e-6)
np.save(sys.argv[2], tf.signal.mfccs_from_log_mel_spectrograms(log)[..., :10].numpy())
"""
MLPERF_INPUT = Quantization(0.5847029089927673, 83)


def speechlike(clips: int, seed: int = 0) -> NDArray[np.int16]:
    """Harmonics that come and go, in noise: int16 ``[clips, 16000]``."""
    generator, t = np.random.default_rng(seed), np.arange(16_000) / 16_000
    result = []
    for _ in range(clips):
        pitch, loud = generator.uniform(80, 260), 10 ** generator.uniform(1.5, 4)
        voice = sum(np.sin(2 * np.pi * pitch * k * t + 3 * np.sin(9 * t)) / k for k in range(1, 15))
        envelope = np.sin(np.pi * t) ** 2 * (np.sin(2 * np.pi * 3 * t) > -0.3)
        result.append(loud * envelope * voice + generator.normal(0, loud / 100 + 1, len(t)))
    return np.clip(np.rint(np.array(result)), -32768, 32767).astype(np.int16)


def test_close_to_the_definition() -> None:
    samples = speechlike(12)
    exact, expected = mfcc(samples), real(samples)
    assert exact.shape == expected.shape == (12, 49, 10)
    assert np.abs(exact / 2**16 - expected).max() < 0.01


def test_signals_without_noise_are_off_where_a_band_is_nearly_empty() -> None:
    """A steady tone at full scale: the leakage into distant bands lies below what 20 bits resolve."""
    tone = np.rint(32767 * np.sin(0.3 * np.arange(16_000))).astype(np.int16)
    assert np.abs(mfcc(tone) / 2**16 - real(tone)).max() < 2


def test_silence_is_the_logarithm_of_the_offset() -> None:
    (frame,) = mfcc(np.zeros(480, np.int16)) / 2**16
    assert frame[0] == pytest.approx(np.log(1e-6) * np.sqrt(2 / 40) * 40, abs=0.01)
    assert np.abs(frame[1:]).max() < 0.01


def test_a_tone_twice_as_loud() -> None:
    """Louder by a factor adds a constant to every band's logarithm, so to the first coefficient only."""
    noise = np.random.default_rng(1).integers(-8000, 8000, 480).astype(np.int16)
    (low,), (high,) = mfcc(noise) / 2**16, mfcc(2 * noise) / 2**16
    assert high[0] - low[0] == pytest.approx(np.log(2) * np.sqrt(2 / 40) * 40, abs=2e-3)
    assert np.abs(high[1:] - low[1:]).max() < 2e-3


@pytest.mark.parametrize("lead", [(), (3,), (2, 3)])
def test_shapes(lead: tuple[int, ...]) -> None:
    samples = speechlike(6)[: int(np.prod(lead)) or 1].reshape(*lead, 16_000)
    result = mfcc(samples)
    assert result.shape == (*lead, 49, 10)
    flat = samples.reshape(-1, 16_000)
    np.testing.assert_array_equal(result.reshape(-1, 49, 10)[-1], mfcc(flat[-1]))


@pytest.mark.parametrize(("length", "frames"), [(0, 0), (479, 0), (480, 1), (799, 1), (800, 2), (16_000, 49)])
def test_whole_frames_only(length: int, frames: int) -> None:
    assert Mfcc().frames(length) == frames
    assert mfcc(np.ones(length, np.int16)).shape == (frames, 10)


@pytest.mark.parametrize(
    "wrong",
    [{"window": 1025}, {"window": 1}, {"bands": 129}, {"bands": 3}, {"high": 8001.0}, {"low": 4000.0},
     {"coefficients": 41}, {"coefficients": 0}, {"stride": 0}],
)  # fmt: skip
def test_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong)) if "low" not in wrong and "high" not in wrong else "bands"):
        Mfcc(**wrong)


def test_other_samples_are_refused() -> None:
    with pytest.raises(UsageError, match="float64"):
        mfcc(np.zeros(480))  # type: ignore[arg-type]


@settings(max_examples=100, deadline=None)
@given(st.floats(2**-14, 2**14), st.integers(-128, 127), st.lists(st.integers(-(2**31), 2**31 - 1), min_size=1))
def test_quantization(scale: float, zero_point: int, coefficients: list[int]) -> None:
    q = Quantization(scale, zero_point)
    m, shift = q.multiplier
    assert 2**30 <= m < 2**31 and 1 <= shift <= 62
    assert abs(Fraction(m, 2**shift) * Fraction(scale) * 2**16 - 1) <= Fraction(1, 2**30)
    got = quantized(np.array(coefficients, np.int32), q)
    exact = [floor(Fraction(one * m, 2**shift) + Fraction(1, 2)) + zero_point for one in coefficients]
    assert got.tolist() == [min(127, max(-128, one)) for one in exact]


def test_a_network_reads_nearly_what_floats_would_give() -> None:
    """By the definition in floats, few int8 features differ, by 1: those that lie on a boundary."""
    samples = speechlike(40)
    ours = quantized(mfcc(samples), MLPERF_INPUT).astype(int)
    theirs = np.rint(real(samples) / MLPERF_INPUT.scale) + MLPERF_INPUT.zero_point
    difference = np.abs(ours - np.clip(theirs, -128, 127))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.002


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_definition_is_tensorflows(tmp_path: Path) -> None:
    samples = speechlike(4)
    np.save(tmp_path / "samples.npy", samples)
    command = [sys.executable, "-c", TENSORFLOW, tmp_path / "samples.npy", tmp_path / "mfcc.npy"]
    subprocess.run(command, check=True, capture_output=True)
    np.testing.assert_allclose(real(samples), np.load(tmp_path / "mfcc.npy"), atol=2e-3)
