"""Weights of four bits as the C kernels take them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from edgekit.codegen.schedule.mcu import nibbles, packing


def split(packed: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Lower and upper halves, with sign."""
    return np.int8(packed << 4) >> 4, packed >> 4


def test_rows_hold_two_weights_per_byte() -> None:
    weights = np.array([[1, -8, 3], [-5, 6, 7]])
    packed, flags = packing.pack(weights)
    lower, upper = split(packed)
    assert flags == packing.INT4 and lower.tolist() == [[1, 3], [-5, 7]] and upper.tolist() == [[-8, 0], [6, 0]]


def test_pairs_hold_two_channels_in_a_byte() -> None:
    weights = np.array([[1, 2, 3, 4], [-5, 6, -7, -8], [7, 0, -1, 2], [3, -4, 5, -6]])
    packed, flags = packing.pack(weights, "pairs")
    both = [16 * weights[0] + weights[1], 16 * weights[2] + weights[3]]
    steps = [[both[0][k], both[1][k], both[0][k + 2], both[1][k + 2]] for k in (0, 1)]
    assert flags == packing.INT4 and packed.reshape(2, 4).tolist() == np.array(steps).tolist()
    lower, _ = split(packed.reshape(2, 4))
    assert lower[0].tolist() == [-5, 3, -7, 5]


def test_the_least_weight_beside_a_negative_one_does_not_fit_pairs() -> None:
    weights = np.array([[-8, 0, 0, 0], [-1, 0, 0, 0]])
    packed, flags = packing.pack(weights, "pairs")
    assert flags == packing.INT4 | packing.PLAIN and np.array_equal(packed, nibbles.pack_rows(weights))


def test_blocks_hold_two_channels_in_a_byte() -> None:
    weights = np.arange(3 * 20).reshape(3, 20) % 16 - 8
    packed, flags = packing.pack(weights, "blocks")
    lower, upper = split(packed.reshape(2, 32))
    assert flags == packing.INT4
    assert upper[0, :20].tolist() == weights[0].tolist() and lower[0, :20].tolist() == weights[1].tolist()
    assert (
        upper[1, :20].tolist() == weights[2].tolist() and not lower[1].any() and not packed.reshape(2, 32)[:, 20:].any()
    )


def test_lanes_hold_channels_that_lie_four_apart() -> None:
    weights = (np.arange(2 * 1 * 11) % 16 - 8).reshape(2, 1, 11)
    packed, flags = packing.pack_depthwise(weights, "blocks")
    lower, upper = split(packed)
    assert flags == packing.INT4 and packed.shape == (2, 1, 2, 4)
    assert (
        lower[1, 0, 0].tolist() == weights[1, 0, :4].tolist() and upper[1, 0, 0].tolist() == weights[1, 0, 4:8].tolist()
    )
    assert packing.pack_depthwise(weights, "blocks", 2)[1] == packing.INT4 | packing.PLAIN


@pytest.mark.parametrize(("least", "most", "fits"), [(-8, 7, True), (-9, 7, False), (-8, 8, False)])
def test_what_fits(least: int, most: int, fits: bool) -> None:
    weights = np.array([[least, most]])
    assert nibbles.fit(weights) == fits
    assert bool(packing.pack(weights)[1] & packing.INT4) == fits


def test_sums_times_sixteen_must_fit() -> None:
    assert nibbles.fit(np.full((1, 70000), 7)) and not nibbles.fit(np.full((1, 75000), 7))
