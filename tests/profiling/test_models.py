"""The roofline, measured profiles and energy: their arithmetic and their promises."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import target
from edgekit.graph import tflite
from edgekit.profiling import Evidence, Figure, energy, registry
from edgekit.profiling.dtypes import Dtype
from edgekit.profiling.measured import Measured
from edgekit.runners import OperatorTrace, Source, Trace
from tests.conftest import SHARED_TFLITE
from tests.networks.small import dense

GRAPH = dense(np.ones((64, 128), np.float32), np.zeros(64, np.float32))


@pytest.mark.parametrize("board", target.names())
@pytest.mark.parametrize("threads", [1, 4, 99])
def test_estimates_hold_together(models: Path, board: str, threads: int) -> None:
    for path in SHARED_TFLITE:
        found = registry.estimate(tflite.read(path), target.load(board), {"threads": threads})
        total = found.latency_ms
        assert 0 < total.low <= total.value <= total.high
        assert sum(row.latency_ms for row in found.operators) == pytest.approx(total.value)
        assert sum(row.share for row in found.operators) == pytest.approx(1.0)
        assert sum(row.energy_mj for row in found.operators) == pytest.approx(found.energy_mj.value)
        assert found.energy_mj.low <= found.energy_mj.value <= found.energy_mj.high


def test_more_threads_are_never_slower() -> None:
    board = target.load("rpi4")
    roofline = registry.lookup(board, "any", Dtype.FLOAT32, Evidence.ESTIMATE)  # calibrated, hand-overs cost time
    times = [roofline.profile(GRAPH, None, board, {"threads": n}).latency_ms.value for n in (1, 2, 4, 8)]
    assert times == sorted(times, reverse=True)
    assert times[2] == times[3]  # the board has four cores


def test_power_interpolates_between_the_targets_states() -> None:
    board = target.load("rpi4")
    assert energy.power(board, 1).value == 4.0
    assert energy.power(board, 4).value == 6.4
    assert energy.power(board, 1).value < energy.power(board, 2).value < energy.power(board, 4).value


@given(*[st.floats(1e-6, 1e6)] * 2)
def test_energy_is_watt_times_milliseconds(latency: float, watt: float) -> None:
    found = energy.energy(Figure(latency, latency / 2, latency * 2), Figure(watt, watt / 2, watt * 2))
    assert found.value == latency * watt
    assert found.low == pytest.approx(latency * watt / 4)
    assert found.high == pytest.approx(latency * watt * 4)


def test_measured_rows_sum_up_to_the_whole() -> None:
    trace = Trace(Source.DEVICE, "litert", latency_ms=[1.0, 1.2, 1.1, 5.0], operators=[OperatorTrace(0, "FC", 3.0)])
    found = Measured().profile(GRAPH, trace, target.load("rpi5"), {"threads": 1})
    assert found.source == "device"
    assert found.latency_ms.value == pytest.approx(1.15)
    assert found.latency_ms.low == 1.0
    assert found.latency_ms.high == 5.0
    assert found.operators[0].latency_ms == pytest.approx(1.15)
    assert "not measured" in found.basis


def test_measured_power_wins_over_the_targets() -> None:
    trace = Trace(Source.DEVICE, "litert", latency_ms=[2.0], power_w=[3.0, 3.2, 3.1], power_scope="board_supply")
    found = Measured().profile(GRAPH, trace, target.load("rpi5"), {"threads": 1})
    assert found.power_w.value == 3.1
    assert found.energy_mj.value == pytest.approx(6.2)
    assert found.scope == "board_supply"
    assert "power measured" in found.basis


def test_measured_needs_measurements() -> None:
    with pytest.raises(ValueError, match="measured"):
        Measured().profile(GRAPH, Trace(Source.DEVICE, "litert"), target.load("rpi5"), {})
