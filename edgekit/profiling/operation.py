"""What a board costs while it works: average power, life time on a battery, money per million inferences.

Between inferences a board idles: average power = idle + (busy - idle) * time computing. Converters' losses, a
battery's ageing and anything else on the board are not in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from edgekit.errors import UsageError
from edgekit.profiling import Figure, Profile
from edgekit.target import Target

SECONDS = {"s": 1.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
YEARS = {"y": 1.0, "d": 1 / 365.25, "h": 1 / 8766.0}
MILLION = 1e6


@dataclass(frozen=True)
class Use:
    """How a board is used, as far as it is said.

    :param rate_hz: inferences per second; None: one after the other. :param battery_wh: energy of a full battery.
    :param price_per_kwh, device_price: in any currency, the results are in the same.
    :param lifetime_s: how long a device is in use.
    """

    rate_hz: float | None = None
    battery_wh: float | None = None
    price_per_kwh: float | None = None
    device_price: float | None = None
    lifetime_s: float | None = None


@dataclass(frozen=True)
class Operation:
    """What follows for a profile. None where nothing was asked.

    :param energy_mj: of one inference with its share of idling. :param battery_h: hours until the battery is empty.
    :param cost_per_million: of energy, of the device, and of both.
    """

    rate_hz: Figure
    busy: Figure
    average_w: Figure
    energy_mj: Figure
    battery_h: Figure | None
    energy_cost: Figure | None
    device_cost: Figure | None
    cost_per_million: Figure | None
    basis: str

    def json(self) -> dict[str, Any]:
        """The part ``operation`` of a profile's document."""
        figures = ("rate_hz", "busy", "average_w", "energy_mj", "battery_h", "energy_cost", "device_cost",
                   "cost_per_million")  # fmt: skip
        made: dict[str, Any] = {}
        for name in figures:
            figure: Figure | None = getattr(self, name)
            made[name] = None if figure is None else {"value": figure.value, "low": figure.low, "high": figure.high}
        return {**made, "basis": self.basis}


def use(duty: str | None, battery: str | None, price_per_kwh: float | None, device_price: float | None,
        lifetime: str | None) -> Use | None:  # fmt: skip
    """Read the options; None if there are none.

    :raises UsageError: naming the option that cannot be read, or that needs another one.
    """
    if (device_price is None) != (lifetime is None):
        raise UsageError("--device-price and --lifetime belong together", "give both, for example 60 and 3y")
    found = Use(
        rate_hz=None if duty is None else _rate(duty),
        battery_wh=None if battery is None else _battery(battery),
        price_per_kwh=price_per_kwh,
        device_price=device_price,
        lifetime_s=None if lifetime is None else _lifetime(lifetime),
    )
    return None if found == Use() else found


def _number(text: str) -> float:
    value = float(text)
    return value if 0 < value < 1e12 else 0.0


_NUMBER = r"(\d+(?:\.\d+)?)"


def _rate(text: str) -> float:
    match = re.fullmatch(rf"{_NUMBER}/{_NUMBER}?(s|min|h|d)", text.strip())
    value = _number(match[1]) / (_number(match[2] or "1") or float("inf")) if match else 0.0
    if not match or not value:
        raise UsageError(f"--duty {text!r} is not a number of inferences per time", "for example 1/s, 10/min or 1/5min")
    return value / SECONDS[match[3]]


def _battery(text: str) -> float:
    plain = text.strip().lower()
    if match := re.fullmatch(rf"{_NUMBER}(m?)ah@{_NUMBER}v", plain):
        found = _number(match[1]) * (1e-3 if match[2] else 1.0) * _number(match[3])
    elif match := re.fullmatch(rf"{_NUMBER}wh", plain):
        found = _number(match[1])
    else:
        found = 0.0
    if not found:
        raise UsageError(f"--battery {text!r} is not a charge and a voltage", "for example 3000mAh@3.7V, or 11.1Wh")
    return found


def _lifetime(text: str) -> float:
    match = re.fullmatch(rf"{_NUMBER}(y|d|h)", text.strip())
    value = _number(match[1]) if match else 0.0
    if not match or not value:
        raise UsageError(f"--lifetime {text!r} is not a time", "for example 3y, 500d or 10000h")
    return value * YEARS[match[2]] * 365.25 * 86400


def operation(profile: Profile, board: Target, asked: Use) -> Operation:
    """What follows from a profile for a board that is used like that.

    :raises UsageError: if the board cannot infer as often, or nothing is known of its idle power.
    """
    seconds = profile.latency_ms.scaled(1e-3)
    rate = _inverse(seconds) if asked.rate_hz is None else Figure(asked.rate_hz, asked.rate_hz, asked.rate_hz)
    if asked.rate_hz is not None and asked.rate_hz * seconds.value > 1:
        raise UsageError(
            f"an inference takes {profile.latency_ms.value:.3g} ms on {board.name}: {asked.rate_hz:.3g} in a second "
            "are too many",
            "lower --duty, or choose a faster target",
        )
    busy = Figure(1.0, 1.0, 1.0)
    average, words = profile.power_w, "one inference after the other"
    if asked.rate_hz is not None:
        busy = Figure(*(min(1.0, asked.rate_hz * s) for s in (seconds.value, seconds.low, seconds.high)))
        average, words = _average(profile, board, busy)
    energy = Figure(
        average.value / rate.value * 1e3, average.low / rate.high * 1e3, average.high / rate.low * 1e3
    )  # mJ of one inference with the idling before the next
    energy_cost = device_cost = total = None
    if asked.price_per_kwh is not None:
        energy_cost = energy.scaled(1e-3 * MILLION / 3.6e6 * asked.price_per_kwh)
        total = energy_cost
    if asked.device_price is not None and asked.lifetime_s is not None:
        device_cost = _inverse(rate).scaled(asked.device_price * MILLION / asked.lifetime_s)
        total = device_cost if total is None else Figure(
            total.value + device_cost.value, total.low + device_cost.low, total.high + device_cost.high
        )  # fmt: skip
    return Operation(
        rate_hz=rate, busy=busy, average_w=average, energy_mj=energy,
        battery_h=None if asked.battery_wh is None else _inverse(average).scaled(asked.battery_wh),
        energy_cost=energy_cost, device_cost=device_cost, cost_per_million=total,
        basis=f"{words}; losses of converters and ageing of batteries are not in it",
    )  # fmt: skip


def _inverse(figure: Figure) -> Figure:
    return Figure(1 / figure.value, 1 / figure.high, 1 / figure.low)


def _average(profile: Profile, board: Target, busy: Figure) -> tuple[Figure, str]:
    """Average power with idling, and where the idle power comes from."""
    if board.power.idle_w is None:
        raise UsageError(
            f"the idle power of {board.name} is not known, so --duty says nothing of it",
            "add power.idle_w to the target's file (docs/targets.md)",
        )
    idle, spread = float(board.power.idle_w), float(board.power.uncertainty)
    words = f"idle power from the target's file: {board.power.scope.replace('_', ' ')}"
    if board.power.scope != profile.scope:
        words += f", power while it infers: {profile.scope.replace('_', ' ')}; the average mixes both"

    def at(watts: float, part: float, quiet: float) -> float:
        quiet = min(quiet, watts)
        return quiet + (watts - quiet) * part

    power = profile.power_w
    return Figure(
        at(power.value, busy.value, idle),
        at(power.low, busy.low, idle * (1 - spread)),
        at(power.high, busy.high, idle * (1 + spread)),
    ), words
