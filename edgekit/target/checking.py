"""What a target's file must and may say: types, units, bounds. Checked when the file is read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgekit.errors import UsageError
from edgekit.files import tables
from edgekit.files.tables import Key, WrongTable
from edgekit.target import machines
from edgekit.target.cores import Accelerator, Cache, Cpu, Cycles, Gpu, Memory, System
from edgekit.target.fpga import Fpga
from edgekit.target.hls import Hls
from edgekit.target.kinds import BoardKind
from edgekit.target.listing import HINT
from edgekit.target.logic import Logic
from edgekit.target.mcu import Mcu, Npu, RegionKind
from edgekit.target.power import BusyPower, CorePower
from edgekit.target.schema import Target

POWERS: dict[BoardKind, type[CorePower] | type[BusyPower]] = {
    kind: BusyPower if kind in (BoardKind.GPU, BoardKind.FPGA, BoardKind.LOGIC, BoardKind.HLS) else CorePower
    for kind in BoardKind
}
_TABLES: dict[str, type] = {
    "cpu": Cpu, "gpu": Gpu, "memory": Memory, "cycles": Cycles, "accelerator": Accelerator, "cache": Cache,
    "npu": Npu, "mcu": Mcu, "fpga": Fpga, "logic": Logic, "hls": Hls, "system": System,
}  # fmt: skip
KEYS: dict[str, Key] = {
    name: key
    for table, form in (*_TABLES.items(), ("power", CorePower), ("power", BusyPower))
    for name, key in tables.keys(form, f"{table}.")
}
"""Every number that a file may have, by its dotted name."""
_MEMORY = ("memory.bandwidth_gbps", "memory.sustained_gbps")
_CORES = ("cpu.clock_mhz", "cpu.macs_per_cycle.float32", "power.one_core_w", "power.all_cores_w")
_ACCELERATOR = ("cpu.macs_per_cycle.int8", "cache.l2.kib", *(key for key in KEYS if key.startswith("accelerator.")))
REQUIRED: dict[BoardKind, tuple[str, ...]] = {
    BoardKind.LINUX: ("cpu.cores", *_CORES, *_MEMORY),
    BoardKind.PHONE: ("cpu.cores", *_CORES, *_MEMORY),
    BoardKind.GPU: (
        "gpu.clock_mhz", "gpu.flops_per_cycle", "gpu.efficiency", "gpu.launch_us", "power.busy_w", *_MEMORY,
    ),
    BoardKind.ACCELERATOR: (*_CORES, *_ACCELERATOR, *_MEMORY),
    BoardKind.NPU: (*_CORES, "cpu.macs_per_cycle.int8", *(key for key in KEYS if key.startswith("npu.")), *_MEMORY),
    BoardKind.MCU: (*_CORES, *_MEMORY, "mcu.stack_bytes"),
    BoardKind.FPGA: (*(key for key in KEYS if key.startswith("fpga.") and key != "fpga.baud"), "power.busy_w"),
    BoardKind.LOGIC: (*(key for key in KEYS if key.startswith("logic.")), "power.busy_w", *_MEMORY),
    BoardKind.HLS: (*(key for key in KEYS if key.startswith("hls.")), "power.busy_w", *_MEMORY),
}  # fmt: skip
"""By kind, what the estimate needs."""
EMULATED = ("cycles.exposure", "cycles.fork_join_us", "memory.latency_ns")
"""What the emulator's figures need, too."""
EMULATED_CACHE = {
    "l1d": ("ways", "line_bytes"), "l1i": ("ways", "line_bytes"),
    "l2": ("ways", "line_bytes", "latency_cycles", "transfer_cycles"),
    "l3": ("ways", "line_bytes", "latency_cycles", "transfer_cycles"),
}  # fmt: skip
"""What they need of each cache that there is, beside its size."""


def parse(path: Path, data: Mapping[str, Any]) -> Target:
    """Make the target of a file's content.

    :raises UsageError: naming the file, the key and its unit.
    """
    try:
        if "schema" not in data:
            raise WrongTable("not a target: schema is missing")
        name, kind = data.get("name"), data.get("kind")
        if data.get("schema") != 1 or name != path.stem:
            raise WrongTable(f"schema must be 1 and name must be {path.stem!r}")
        if kind not in list(BoardKind):
            raise WrongTable(f"kind is {kind!r}, not one of {', '.join(BoardKind)}")
        runners = data.get("runners")
        linux = kind != BoardKind.MCU  # whose emulator has a cost model of its own
        _check(data, BoardKind(kind), emulated=linux and isinstance(runners, list) and "emulator" in runners)
        if kind == BoardKind.FPGA:
            chip = tables.build(Fpga, data.get("fpga"), "fpga")
            chip.check()
            data = {**data, "fpga": chip, "memory": chip.memory}
        power: CorePower | BusyPower = tables.build(POWERS[BoardKind(kind)], data["power"], "power")
        board = tables.build(Target, {**data, "power": power})
        if board.kind is BoardKind.MCU:
            _check_mcu(board)
        if board.hls is not None:
            board.hls.check()
        return board
    except WrongTable as error:
        raise UsageError(f"{path}: {error}", HINT) from error


def _check_mcu(board: Target) -> None:
    """Refuse a microcontroller without memories, and names that edgekit has no file or machine for."""
    if board.mcu is None:
        raise WrongTable("mcu is missing: the table of a microcontroller")
    for kind in RegionKind:
        if not board.mcu.of_kind(kind):
            raise WrongTable(f"mcu.regions has no memory of kind {kind}")
    if board.emulator and board.emulator.machine not in machines.MACHINES:
        raise WrongTable(f"emulator.machine is {board.emulator.machine!r}, not one of {', '.join(machines.MACHINES)}")


def _check(data: Mapping[str, Any], kind: BoardKind, *, emulated: bool) -> None:
    """Refuse numbers that are missing or make no sense, in the order of :data:`KEYS`."""
    needed = [*REQUIRED[kind], *(EMULATED if emulated else ())]
    for level, leaves in EMULATED_CACHE.items() if emulated else ():
        if _value(data, f"cache.{level}"):
            needed += [f"cache.{level}.{leaf}" for leaf in leaves]
    for name, key in KEYS.items():
        value = _value(data, name)
        if value is None:
            if name in needed:
                raise WrongTable(f"{name} is missing: {key.meaning}")
        elif reason := key.wrong(value):
            raise WrongTable(f"{name} {reason}")


def _value(data: Mapping[str, Any], name: str) -> Any:
    value: Any = data
    for part in name.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value
