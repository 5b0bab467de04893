"""Average power, life time and cost: arithmetic by hand, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit import target
from edgekit.errors import UsageError
from edgekit.profiling import Evidence, Figure, Profile
from edgekit.profiling.operation import operation, use
from tests.e2e.command import edgekit


def profile(ms: float = 100.0, watts: float = 6.0, scope: str = "board_supply") -> Profile:
    latency, power = Figure(ms, ms / 2, ms * 2), Figure(watts, watts * 0.9, watts * 1.1)
    return Profile("rpi4", Evidence.ESTIMATE, "any", {}, latency, latency, power, scope, {})


def test_the_average_lies_between_idle_and_busy_by_the_time_computing() -> None:
    board = target.load("rpi4")
    idle = float(board.power.idle_w or 0)
    asked = use("2/s", "3000mAh@3.7V", None, None, None)
    assert asked is not None
    found = operation(profile(), board, asked)
    assert found.busy.value == pytest.approx(0.2)
    assert found.average_w.value == pytest.approx(idle + 0.2 * (6 - idle))
    assert found.energy_mj.value == pytest.approx(1e3 * found.average_w.value / 2)
    assert found.battery_h is not None
    assert found.battery_h.value == pytest.approx(11.1 / found.average_w.value)
    assert found.battery_h.low < found.battery_h.value < found.battery_h.high


def test_the_cost_of_a_million_inferences() -> None:
    asked = use("1/s", None, 0.30, 60.0, "3y")
    assert asked is not None
    found = operation(profile(), target.load("rpi4"), asked)
    assert found.energy_cost is not None and found.device_cost is not None and found.cost_per_million is not None
    assert found.energy_cost.value == pytest.approx(0.30 * found.average_w.value * 1e6 / 3.6e6)
    assert found.device_cost.value == pytest.approx(60 * 1e6 / (3 * 365.25 * 86400))
    assert found.cost_per_million.value == pytest.approx(found.energy_cost.value + found.device_cost.value)


def test_without_a_duty_the_board_infers_all_the_time() -> None:
    asked = use(None, "11.1Wh", None, None, None)
    assert asked is not None
    found = operation(profile(), target.load("rpi4"), asked)
    assert found.average_w.value == 6 and found.rate_hz.value == pytest.approx(10)


def test_powers_of_different_scopes_are_said() -> None:
    asked = use("1/s", None, None, None, None)
    assert asked is not None
    assert "mixes" in operation(profile(scope="wall"), target.load("rpi4"), asked).basis
    assert "mixes" not in operation(profile(), target.load("rpi4"), asked).basis


@given(st.floats(0.001, 9.9), st.floats(1, 100))
def test_intervals_hold_their_values(rate: float, watts: float) -> None:
    asked = use(f"{rate:.6f}/s", "1Ah@5V", 1.0, 10.0, "1y")
    assert asked is not None
    found = operation(profile(watts=watts), target.load("rpi4"), asked)
    figures = (found.average_w, found.energy_mj, found.battery_h, found.cost_per_million)
    assert all(f is not None and 0 < f.low <= f.value <= f.high for f in figures)


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("often", None, None, None, None), "--duty"),
        (("0/s", None, None, None, None), "--duty"),
        (("1/0s", None, None, None, None), "--duty"),
        ((None, "3000mAh", None, None, None), "--battery"),
        ((None, "0mAh@3V", None, None, None), "--battery"),
        ((None, None, None, 60.0, None), "--lifetime"),
        ((None, None, None, 60.0, "long"), "--lifetime"),
    ],
)
def test_options_that_cannot_be_read(options: tuple[str | None, ...], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        use(*options)  # type: ignore[arg-type]


def test_more_inferences_than_the_board_can_do_and_unknown_idle_power() -> None:
    asked = use("11/s", None, None, None, None)
    assert asked is not None
    with pytest.raises(UsageError, match="too many"):
        operation(profile(), target.load("rpi4"), asked)
    slow = use("1/s", None, None, None, None)
    assert slow is not None
    with pytest.raises(UsageError, match="idle power"):
        operation(profile(), target.load("ethos-u55-128"), slow)


def test_the_command_prints_them(models: Path) -> None:
    model = str(models / "mlperf_tiny" / "kws_int8.tflite")
    arguments = ("profile", model, "-t", "rpi4", "--duty", "1/s", "--battery", "3000mAh@3.7V", "--price-per-kwh", "0.3")
    done = edgekit(*arguments)
    assert done.code == 0 and "battery" in done.out and "per million" in done.out
    found = edgekit(*arguments, "--json").json["operation"]
    assert found["average_w"]["low"] < found["average_w"]["value"] and found["device_cost"] is None
