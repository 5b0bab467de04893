"""Estimates for an accelerator in an FPGA: bounds, what is moved, energy by events."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit import target
from edgekit.graph.stats import statistics
from edgekit.profiling import Profile, registry
from edgekit.profiling.fpga import Coefficients, FpgaEstimate
from edgekit.target import Target
from tests.networks.npu import mixed

BOARD = target.load("ecp5-85f")
PART = 0.5
ASSUMED = Coefficients(efficiency=PART, depthwise_efficiency=0.1, bytes_per_cycle=4, operator_cycles=0, high=3)


def estimated(board: Target = BOARD) -> Profile:
    return FpgaEstimate(ASSUMED).profile(mixed(), None, board, {})


def with_port(bytes_per_cycle: float) -> Target:
    """The board with another memory port."""
    chip = BOARD.programmable
    return replace(BOARD, fpga=replace(chip, port=replace(chip.port, bytes_per_cycle=bytes_per_cycle)))


def test_operators_with_products_take_the_array_by_its_efficiency() -> None:
    profile, stated = estimated(with_port(1e6)), BOARD.programmable.clock
    clock = stated.mhz
    rows = [row for row in profile.operators if row.macs]
    assert rows
    for row in rows:
        assert row.latency_ms == pytest.approx(row.macs / 128 / PART / (clock * 1e3)) and row.bound == "compute"
    assert profile.latency_ms.low == pytest.approx(sum(row.macs for row in rows) / 128 / (clock * 1e3))
    assert profile.latency_ms.low < profile.latency_ms.value < profile.latency_ms.high
    assert profile.conditions["clock_mhz"] == clock
    assert f"16x8 multipliers at {clock} MHz ({stated.basis})" in profile.basis


def test_weights_are_moved_in_every_inference() -> None:
    profile, stats = estimated(with_port(0.01)), statistics(mixed())
    rate = 0.01 * BOARD.programmable.clock.mhz * 1e3
    bound = {row.index: row for row in profile.operators if row.bound == "memory"}
    assert bound
    for index, row in bound.items():
        assert row.latency_ms == pytest.approx(stats.operators[index or 0].weights_bytes / rate)


def test_the_energy_is_that_of_events_and_time() -> None:
    profile, chip = estimated(), BOARD.programmable
    seconds = profile.latency_ms.value / 1e3
    least = chip.energy.static_w * seconds + sum(row.macs for row in profile.operators) * chip.energy.mac_pj * 1e-12
    assert profile.energy_mj.value > least * 1e3
    assert profile.energy_mj.value == pytest.approx(sum(row.energy_mj for row in profile.operators))
    assert profile.energy_mj.value == pytest.approx(profile.power_w.value * profile.latency_ms.value)


def test_the_registered_estimate_of_every_fpga() -> None:
    found = {name: registry.estimate(mixed(), target.load(name), {}) for name in target.names() if "ecp5" in name}
    assert len(found) >= 2
    assert found["ecp5-25f"].latency_ms.value > found["ecp5-85f"].latency_ms.value
