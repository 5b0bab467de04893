"""Lanes of requantization in RTL against TFLite's arithmetic, at the ends of everything that they are given."""

from __future__ import annotations

import subprocess
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit import resources
from edgekit.codegen import fixed_point as fx
from edgekit.tools import toolchain

RTL = resources.folder("firmware_stubs") / "fpga"
HERE = Path(__file__).parent / "fpga"
Integers = NDArray[np.int64]
LOW, HIGH = -(1 << 31), (1 << 31) - 1
ROW = np.dtype(
    [("sum", "<i4"), ("bias", "<i4"), ("multiplier", "<u4"), ("left", "u1"), ("right", "u1"), ("once", "u1"),
     ("unused", "u1", 2), ("zero", "i1"), ("least", "i1"), ("most", "i1")]
)  # fmt: skip
MULTIPLIERS = (
    0, 1 << 30, (1 << 30) + 1, (1 << 31) - 1, (1 << 31) - 2, 0x40010000, 0x4000FFFF, 0x4001FFFF, 0x40020000, 0x7FFE0000,
    0x7FFF0000, 0x7FFEFFFF, 0x55555555, 0x6AAAAAAA, 1442659867,
)  # fmt: skip
"""Ends, halves of 16 and 17 bits of which products are made, and a layer's on which the two roundings differ."""
LIMITS = ((-128, 127), (-128, -128), (127, 127), (-1, 0), (0, 127), (-128, -1), (-127, 126), (5, 100))
ZEROS = (-128, -127, -1, 0, 1, 126, 127)


def sums() -> Integers:
    """Ends, powers of two, what the halves of a product come from, and their neighbours."""
    powers = [sign << n for n in range(32) for sign in (1, -1)]
    halves = [0x5555, 0xAAAA, 0xFFFF, 0x1FFFF, 0x7FFF8000, 0x7FFE0000, 0x55555555, -0x55555556]
    found = {x + near for x in (0, LOW, HIGH, *powers, *halves) for near in (-1, 0, 1)}
    return np.array(sorted(x for x in found if LOW <= x <= HIGH), np.int64)


def rows() -> tuple[Integers, Integers, Integers, Integers]:
    """Biased sums, multipliers, shifts (negative: to the right) and whether to round once."""
    grid = np.array(list(product(sums().tolist(), MULTIPLIERS, range(-31, 32), (0, 1))), np.int64)
    ties = np.array(
        [
            ((((2 * n + 1) << (30 - shift)) + m // 2) // m + near, m, shift, once)
            for m in MULTIPLIERS[1:]
            for shift in range(-31, 1)
            for n in (-129, -128, -2, -1, 0, 1, 126, 127)
            for near in (-1, 0, 1)
            for once in (0, 1)
        ],
        np.int64,
    )
    rng = np.random.default_rng(0)
    size = 200_000
    wide = rng.integers(LOW, HIGH, size, endpoint=True) >> rng.integers(0, 31, size)
    drawn = np.stack(
        [
            wide,
            rng.integers(1 << 30, 1 << 31, size),
            rng.integers(-31, 31, size, endpoint=True),
            rng.integers(0, 2, size),
        ]
    )
    every = np.concatenate([grid, ties, drawn.T])
    x, multiplier, shift, once = every[(every[:, 0] >= LOW) & (every[:, 0] <= HIGH)].T
    # Rounded once, TFLite's sums have 64 bits, the lane's shifted ones 32.
    fits = (once == 0) | (shift <= 0) | (np.abs(x) < np.int64(1) << (31 - np.maximum(shift, 0)))
    return x[fits], multiplier[fits], shift[fits], once[fits]


@pytest.mark.emulator
@pytest.mark.skipif(not toolchain.load("verilator").found(), reason="Verilator is not installed")
@pytest.mark.parametrize("few", [0, 1], ids=["four multipliers", "three multipliers"])
def test_lanes_have_the_bits_of_tflite(few: int, tmp_path: Path) -> None:
    x, multiplier, shift, once = rows()
    rng = np.random.default_rng(1)
    table = np.zeros(-(-len(x) // 8) * 8, ROW)
    used = table[: len(x)]
    bias = rng.integers(LOW, HIGH, len(x), endpoint=True) >> rng.integers(0, 32, len(x))
    bias[(x - bias < LOW) | (x - bias > HIGH)] = 0
    used["sum"], used["bias"], used["multiplier"], used["once"] = x - bias, bias, multiplier, once
    used["left"], used["right"] = np.maximum(shift, 0), np.maximum(-shift, 0)
    used["zero"] = rng.choice(ZEROS, len(x))
    used["least"], used["most"] = np.array(LIMITS)[rng.integers(0, len(LIMITS), len(x))].T
    (tmp_path / "rows").write_bytes(table.tobytes())
    flags = [f"-GFEW={few}", "-CFLAGS", f"-O1 -DLIMITS={11 + few} -DLATENCY={15 + few}", "-MAKEFLAGS", "OPT_FAST=-O1"]
    files = [str(HERE / "requantize_lanes.sv"), str(RTL / "ek_requantize.sv"), str(HERE / "requantize_bench.cpp")]
    command = ["verilator", "--cc", "--exe", "--build", "--top-module", "requantize_lanes", "-O3", *flags, *files]
    for argv in (command, ["obj_dir/Vrequantize_lanes", "rows", "results"]):
        done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    found = np.frombuffer((tmp_path / "results").read_bytes(), np.int8)[: len(x)]
    twice = fx.multiply_by_quantized_multiplier(x, multiplier, shift)
    scaled = np.where(once == 1, fx.multiply_rounding_once(x, multiplier, np.minimum(shift, 30)), twice)
    expected = np.clip(scaled + used["zero"], used["least"], used["most"])
    wrong = np.flatnonzero(found != expected)
    first = [f"{used[n].tolist()}: {found[n]}, not {expected[n]}" for n in wrong[:5]]
    assert not len(wrong), f"{len(wrong)} of {len(x)} differ: {first}"
    assert len(np.unique(found)) > 200
