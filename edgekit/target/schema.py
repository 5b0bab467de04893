"""What a target's file must and may say: types, units, bounds. Checked when the file is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from edgekit.errors import UsageError
from edgekit.files.tables import Key

HINT = "docs/targets.md lists the keys"


class BoardKind(StrEnum):
    """What a target is; it decides which tables its file must have."""

    LINUX = "linux"
    GPU = "gpu"
    PHONE = "phone"
    ACCELERATOR = "accelerator"


KEYS: dict[str, Key] = {
    "cpu.cores": Key("number of cores", whole=True),
    "cpu.clock_mhz": Key("sustained clock, MHz"),
    "cpu.clock_min_mhz": Key("lowest clock, MHz"),
    "cpu.macs_per_cycle.float32": Key("float32 multiplications with addition per cycle of one core"),
    "cpu.macs_per_cycle.float16": Key("float16 multiplications with addition per cycle of one core"),
    "cpu.macs_per_cycle.int8": Key("int8 multiplications with addition per cycle of one core"),
    "gpu.cores": Key("number of cores", whole=True),
    "gpu.clock_mhz": Key("sustained clock, MHz"),
    "gpu.flops_per_cycle": Key("float32 operations per cycle of all cores", whole=True),
    "gpu.efficiency": Key("part of the peak that convolutions reach", most=1),
    "gpu.launch_us": Key("one kernel's launch, microseconds", zero=True),
    "memory.ram_gib": Key("memory, GiB"),
    "memory.bandwidth_gbps": Key("bandwidth of the memory by its data sheet, GB/s"),
    "memory.sustained_gbps": Key("bandwidth of the memory that programs reach, GB/s"),
    "memory.latency_ns": Key("a random access, nanoseconds"),
    "power.idle_w": Key("power of the idle board, watts", zero=True),
    "power.one_core_w": Key("power with one core busy, watts"),
    "power.all_cores_w": Key("power with all cores busy, watts"),
    "power.busy_w": Key("power with the GPU busy, watts"),
    "power.uncertainty": Key("relative uncertainty of the powers", most=1, zero=True),
    "cycles.exposure": Key("part of the wait for memory that is not hidden", most=1, zero=True),
    "cycles.fork_join_us": Key("cost of sharing an operator among threads, microseconds", zero=True),
    "accelerator.call_us": Key("one call of the accelerator, microseconds", zero=True),
    "accelerator.operator_us": Key("one operator in a call, microseconds", zero=True),
    "accelerator.efficiency": Key("part of the peak that operators reach", most=1),
    "accelerator.depthwise_efficiency": Key("part of the peak that depthwise convolutions reach", most=1),
    "accelerator.bytes_per_cycle": Key("activations moved on the chip, bytes per cycle"),
    "accelerator.program_kib": Key("memory on the chip that the program takes, KiB", zero=True),
}
_MEMORY = ("memory.bandwidth_gbps", "memory.sustained_gbps")
_PROCESSOR = ("cpu.cores", "cpu.clock_mhz", "cpu.macs_per_cycle.float32", "power.one_core_w", "power.all_cores_w")
_ACCELERATOR = tuple(name for name in KEYS if name.startswith("accelerator."))
REQUIRED: dict[str, tuple[str, ...]] = {
    "linux": (*_PROCESSOR, *_MEMORY),
    "phone": (*_PROCESSOR, *_MEMORY),
    "gpu": ("gpu.clock_mhz", "gpu.flops_per_cycle", "gpu.efficiency", "gpu.launch_us", "power.busy_w", *_MEMORY),
    "accelerator": ("cpu.clock_mhz", *_ACCELERATOR, *_MEMORY),
}
"""By kind, what the estimate needs."""
EMULATED = ("cycles.exposure", "cycles.fork_join_us", "memory.latency_ns")
"""What the emulator's figures need, too."""


def check(path: Path, data: Mapping[str, Any], kind: str, runners: Iterable[str]) -> None:
    """Check the figures of a target.

    :raises UsageError: naming the file, the key and its unit.
    """
    needed = REQUIRED.get(kind, ()) + (EMULATED if "emulator" in runners else ())
    for name, key in KEYS.items():
        value = _value(data, name)
        if value is None:
            if name in needed:
                raise UsageError(f"{path}: {name} is missing: {key.meaning}", HINT)
        elif reason := key.wrong(value):
            raise UsageError(f"{path}: {name} {reason}", HINT)


def _value(data: Mapping[str, Any], name: str) -> Any:
    value: Any = data
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
