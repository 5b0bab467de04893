"""Power and energy of an inference, from a target's power states.

Energy is power times time. A target gives three powers, with their scope: idle, one busy core, all cores busy;
between one and all the power is interpolated linearly in the number of busy threads. A GPU's target gives one: busy.
"""

from __future__ import annotations

from edgekit.profiling import Figure
from edgekit.target import BoardKind, Target

DEFAULT_UNCERTAINTY = 0.5


def power(target: Target, threads: int) -> Figure:
    """Power in watt while ``threads`` threads compute; idle power is included."""
    value = _gpu(target) if target.kind is BoardKind.GPU else _processor(target, threads)
    spread = float(target.get("power.uncertainty", DEFAULT_UNCERTAINTY))
    return Figure(value, value * (1 - spread), value * (1 + spread))


def _gpu(target: Target) -> float:
    return float(target.get("power.busy_w"))


def _processor(target: Target, threads: int) -> float:
    cores = max(1, int(target.get("cpu.cores", 1)))
    one, every = float(target.get("power.one_core_w")), float(target.get("power.all_cores_w"))
    busy = min(max(threads, 1), cores)
    return one + (every - one) * (busy - 1) / max(1, cores - 1)


def energy(latency_ms: Figure, power_w: Figure) -> Figure:
    """Energy in mJ: watt times milliseconds; the interval is the product of the intervals."""
    return Figure(latency_ms.value * power_w.value, latency_ms.low * power_w.low, latency_ms.high * power_w.high)


def scope(target: Target) -> str:
    """What the target's powers cover: ``board_supply``, ``wall``, ``core_rail`` or ``accelerator``."""
    return str(target.get("power.scope", "board_supply"))
