"""The MFCC front end in C computes what its definition in Python computes, to the last bit."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit import resources
from edgekit.data.mfcc import Mfcc, Quantization, mfcc, quantized
from edgekit.data.mfcc_source import source

AUDIO = resources.folder("firmware_stubs") / "audio"
STRICT = (
    "-std=c99", "-pedantic", "-ffreestanding", "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror",
    "-fsanitize=undefined", "-fsanitize-undefined-trap-on-error",
)  # fmt: skip
SPECS = {
    "mlperf": Mfcc(),
    "all bands": Mfcc(rate=8_000, window=200, stride=80, bands=20, low=0, high=4_000, coefficients=20),
    "longest": Mfcc(window=1024, stride=1000, bands=128, low=0, high=8_000, coefficients=128),
    "odd": Mfcc(rate=11_025, window=301, stride=7, bands=13, low=300, high=3_000, coefficients=5),
    "shortest": Mfcc(rate=2_000, window=5, stride=2, bands=4, low=0, high=1_000, coefficients=3),
    "no bins": Mfcc(rate=16_000, window=8, stride=8, bands=4, low=20, high=30, coefficients=4),
}
INPUT = Quantization(0.5847029089927673, 83)
SENTINEL = 0x5A
Front = Callable[[NDArray[np.int16]], tuple[NDArray[np.int32], NDArray[np.int8]]]


@pytest.fixture(scope="module", params=SPECS)
def front(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Mfcc, Front]:
    spec = SPECS[request.param]
    return spec, in_c(spec, INPUT, tmp_path_factory.mktemp("mfcc"))


def in_c(spec: Mfcc, quantization: Quantization, folder: Path) -> Front:
    """Compile a front end; undefined behaviour stops the process."""
    written = source(spec, quantization)
    (folder / "mfcc.c").write_text(written.code)
    (folder / "mfcc.h").write_text(written.header)
    library = folder / "mfcc.so"
    command = ["gcc", *STRICT, "-O1", "-fPIC", "-shared", f"-I{AUDIO}", folder / "mfcc.c", AUDIO / "ek_mfcc.c"]
    subprocess.run([*command, "-o", library], check=True)
    code = ctypes.CDLL(str(library))
    constants = ctypes.byref(ctypes.c_char.in_dll(code, "mfcc"))

    def run(samples: NDArray[np.int16]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
        frames, words = spec.frames(len(samples)), spec.fft + 2 * spec.bands
        samples = np.ascontiguousarray(samples)
        scratch = np.full(4 * words + 64, SENTINEL, np.uint8)
        start = -scratch.ctypes.data % 8 + 8
        exact = np.full(spec.coefficients + 2, SENTINEL, np.int32)
        values = np.full(frames * spec.coefficients + 8, SENTINEL, np.int8)
        rows = []
        for frame in range(frames):
            here = ctypes.c_void_p(samples.ctypes.data + 2 * frame * spec.stride)
            code.ek_mfcc_frame(constants, here, ctypes.c_void_p(scratch.ctypes.data + start), exact.ctypes)
            rows.append(exact[:-2].copy())
        place = ctypes.c_void_p(scratch.ctypes.data + start)
        code.ek_mfcc_clip(constants, samples.ctypes, ctypes.c_uint32(frames), place, values.ctypes)
        assert (scratch[:start] == SENTINEL).all() and (scratch[start + 4 * words :] == SENTINEL).all()
        assert (exact[-2:] == SENTINEL).all() and (values[-8:] == SENTINEL).all()
        shape = frames, spec.coefficients
        return np.array(rows, np.int32).reshape(shape), values[:-8].reshape(shape)

    return run


def agree(front: tuple[Mfcc, Front], samples: NDArray[np.int16]) -> None:
    spec, run = front
    expected = mfcc(samples, spec)
    exact, values = run(samples)
    np.testing.assert_array_equal(exact, expected)
    np.testing.assert_array_equal(values, quantized(expected, INPUT))


def signals(length: int) -> dict[str, NDArray[np.int16]]:
    t, generator = np.arange(length), np.random.default_rng(0)
    return {
        "silence": np.zeros(length),
        "highest": np.full(length, 32767),
        "lowest": np.full(length, -32768),
        "square wave": np.where(t % 2, 32767, -32768),
        "slow square wave": np.where(t // 50 % 2, 32767, -32768),
        "impulse": np.where(t == length // 2, -32768, 0),
        "one step": np.where(t == length // 3, 1, 0),
        "tone": 32767 * np.sin(0.3 * t),
        "quiet tone": 3 * np.sin(0.3 * t),
        "noise": generator.integers(-32768, 32768, length),
        "last bit": generator.integers(0, 2, length),
    }


@pytest.mark.parametrize("name", signals(1))
def test_extreme_signals(front: tuple[Mfcc, Front], name: str) -> None:
    spec, _ = front
    agree(front, signals(spec.window + 3 * spec.stride)[name].astype(np.int16))


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1), st.integers(0, 15), st.integers(-32768, 32767), st.floats(0.3, 3),
    st.integers(0, 5),
)  # fmt: skip
def test_random_signals(
    front: tuple[Mfcc, Front], seed: int, bits: int, constant: int, colour: float, extra: int
) -> None:
    """Noise of any loudness and colour around any constant, clipped where it does not fit."""
    spec, _ = front
    generator = np.random.default_rng(seed)
    noise = generator.standard_normal(spec.window + 2 * spec.stride + extra)
    noise = np.cumsum(noise) / 8 if colour > 2 else noise
    agree(front, np.clip(np.rint(noise * 2**bits + constant), -32768, 32767).astype(np.int16))


def test_a_change_of_one_constant_is_noticed(tmp_path: Path) -> None:
    """The comparison can fail."""
    spec = Mfcc()
    run = in_c(Mfcc(high=3_990.0), INPUT, tmp_path)
    samples = signals(spec.window)["noise"].astype(np.int16)
    assert (run(samples)[0] != mfcc(samples, spec)).any()
