"""Power and energy of an inference, from a target's power states.

Energy is power times time. A target gives three powers, with their scope: idle, one busy core, all cores busy;
between one and all the power is interpolated linearly in the number of busy threads. A GPU's target gives one: busy.
"""

from __future__ import annotations

from edgekit.profiling import Figure
from edgekit.target import Target


def power(target: Target, threads: int) -> Figure:
    """Power in watt while ``threads`` threads compute; idle power is included."""
    value, spread = target.power.watts(threads, target.cores), float(target.power.uncertainty)
    return Figure(value, value * (1 - spread), value * (1 + spread))


def energy(latency_ms: Figure, power_w: Figure) -> Figure:
    """Energy in mJ: watt times milliseconds; the interval is the product of the intervals."""
    return Figure(latency_ms.value * power_w.value, latency_ms.low * power_w.low, latency_ms.high * power_w.high)


def scope(target: Target) -> str:
    """What the target's powers cover: ``board_supply``, ``wall``, ``core_rail`` or ``accelerator``."""
    return target.power.scope
