"""What a target's file must and may say: types, units, bounds. Checked when the file is read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from edgekit.errors import UsageError
from edgekit.files import tables
from edgekit.files.tables import Key, WrongTable, number
from edgekit.target import machines
from edgekit.target.fpga import Fpga
from edgekit.target.kinds import BoardKind
from edgekit.target.listing import HINT as HINT
from edgekit.target.logic import Logic

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class MacsPerCycle:
    """Peak multiplications with addition per cycle of one core, by dtype."""

    float32: float = number("float32 multiplications with addition per cycle of one core")
    float16: float | None = number("float16 multiplications with addition per cycle of one core", default=None)
    int8: float | None = number("int8 multiplications with addition per cycle of one core", default=None)

    @property
    def integer(self) -> float:
        """Of int8; where the file does not say, integers run no faster than float32."""
        return self.float32 if self.int8 is None else self.int8


@dataclass(frozen=True, kw_only=True)
class CpuId:
    """The fields of MIDR_EL1."""

    implementer: int = number("the core's implementer", whole=True, zero=True)
    part: int = number("the core's part number", whole=True, zero=True)
    variant: int = number("the core's variant", whole=True, zero=True)
    revision: int = number("the core's revision", whole=True, zero=True)


@dataclass(frozen=True, kw_only=True)
class Cpu:
    """The cores that a network runs on. Clocks in MHz; ``features`` as ``/proc/cpuinfo`` lists them."""

    core: str = ""
    cores: int = number("number of cores", default=1, whole=True)
    clock_mhz: float = number("sustained clock, MHz")
    clock_min_mhz: float | None = number("lowest clock, MHz", default=None)
    macs_per_cycle: MacsPerCycle
    features: tuple[str, ...] = ()
    id: CpuId | None = None

    @property
    def hertz(self) -> float:
        """The sustained clock, Hz."""
        return float(self.clock_mhz) * 1e6


@dataclass(frozen=True, kw_only=True)
class CacheLevel:
    """One cache. Sizes in KiB and bytes, latencies in cycles; None where the file does not say."""

    kib: int = number("size, KiB", whole=True)
    line_bytes: int | None = number("length of a line, bytes", default=None, whole=True)
    shared: bool = False
    ways: int | None = number("ways of associativity", default=None, whole=True)
    latency_cycles: float | None = number("load-use latency, cycles", default=None)
    transfer_cycles: float | None = number("bringing one line while a prefetcher runs ahead, cycles", default=None)


@dataclass(frozen=True)
class Cache:
    """The caches, each None where there is none."""

    l1d: CacheLevel | None = None
    l1i: CacheLevel | None = None
    l2: CacheLevel | None = None
    l3: CacheLevel | None = None

    @property
    def data(self) -> tuple[CacheLevel, ...]:
        """The levels of data caches, from the core on, as far as they are there without a gap."""
        levels = []
        for level in (self.l1d, self.l2, self.l3):
            if level is None:
                break
            levels.append(level)
        return tuple(levels)

    @property
    def last_level_bytes(self) -> int:
        """Size of the largest cache, bytes."""
        return max((c.kib << 10 for c in (self.l1d, self.l1i, self.l2, self.l3) if c is not None), default=0)


@dataclass(frozen=True, kw_only=True)
class Gpu:
    """A graphics processor; ``arch``: what NVIDIA's compiler compiles for, as ``sm_87``."""

    name: str = ""
    arch: str = ""
    cores: int | None = number("number of cores", default=None, whole=True)
    clock_mhz: float = number("sustained clock, MHz")
    flops_per_cycle: int = number("float32 operations per cycle of all cores", whole=True)
    efficiency: float = number("part of the peak that convolutions reach", most=1)
    launch_us: float = number("one kernel's launch, microseconds", zero=True)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """The main memory: GiB, GB/s, nanoseconds."""

    ram_gib: float | None = number("memory, GiB", default=None)
    bandwidth_gbps: float = number("bandwidth of the memory by its data sheet, GB/s")
    sustained_gbps: float = number("bandwidth of the memory that programs reach, GB/s")
    latency_ns: float | None = number("a random access, nanoseconds", default=None)

    @property
    def sustained(self) -> float:
        """Bytes per second that programs reach."""
        return float(self.sustained_gbps) * 1e9

    @property
    def best(self) -> float:
        """Bytes per second by the data sheet."""
        return float(self.bandwidth_gbps) * 1e9


@dataclass(frozen=True, kw_only=True)
class _Powers:
    """Powers in watts; ``scope``: what they cover, ``board_supply``, ``wall``, ``core_rail`` or ``accelerator``."""

    scope: str = "board_supply"
    idle_w: float | None = number("power of the idle board, watts", default=None, zero=True)
    uncertainty: float = number("relative uncertainty of the powers", default=0.5, most=1, zero=True)


@dataclass(frozen=True, kw_only=True)
class CorePower(_Powers):
    """Powers of processors; linear between one core and all of them."""

    one_core_w: float = number("power with one core busy, watts")
    all_cores_w: float = number("power with all cores busy, watts")

    def watts(self, threads: int, cores: int) -> float:
        """Power while ``threads`` threads compute; idle power is included."""
        one, every = float(self.one_core_w), float(self.all_cores_w)
        busy = min(max(threads, 1), cores)
        return one + (every - one) * (busy - 1) / max(1, cores - 1)


@dataclass(frozen=True, kw_only=True)
class BusyPower(_Powers):
    """Power of a board whose GPU or FPGA computes."""

    busy_w: float = number("power with the GPU or FPGA busy, watts")

    def watts(self, threads: int, cores: int) -> float:
        """Power while it computes, whatever threads there are; idle power is included."""
        return float(self.busy_w)


@dataclass(frozen=True)
class Emulator:
    """qemu's name of the core; ``machine``: that of a whole machine with it (:mod:`edgekit.target.machines`)."""

    cpu: str
    machine: str = ""


@dataclass(frozen=True, kw_only=True)
class Cycles:
    """The core's model for the emulator's figures (:mod:`edgekit.profiling.cycles`).

    ``cpi``: cycles per instruction by class, without llvm-mca.
    """

    llvm_cpu: str = ""
    llvm_features: str = ""
    core_factor: float = number("cycles of computing for each that llvm-mca predicts", default=1.0)
    exposure: float = number("part of the wait for memory that one thread does not hide", most=1, zero=True)
    exposure_all_cores: float = number("that part where all cores compute", default=1.0, most=1, zero=True)
    judged_threads: int = number(
        "most threads of the measurements that judged this model", default=0, zero=True, whole=True
    )
    fork_join_us: float = number("cost of sharing an operator among threads, microseconds", zero=True)
    cpi: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class System:
    """What is installed on a board: versions of the C and the C++ library, empty where nobody said; pages in KiB."""

    name: str
    glibc: str = ""
    glibcxx: str = ""
    page_kib: int | None = number("size of a page of memory, KiB", default=None, whole=True)

    def __post_init__(self) -> None:
        """Check the versions.

        :raises ValueError: if one is not numbers between dots.
        """
        for key in ("glibc", "glibcxx"):
            if not re.fullmatch(r"([0-9]{1,4}(\.[0-9]{1,4}){1,3})?", getattr(self, key)):
                raise ValueError(f"system.{key} must be a version, such as 2.36")


@dataclass(frozen=True, kw_only=True)
class Accelerator:
    """A chip beside a host's processor."""

    call_us: float = number("one call of the accelerator, microseconds", zero=True)
    operator_us: float = number("one operator in a call, microseconds", zero=True)
    efficiency: float = number("part of the peak that operators reach", most=1)
    depthwise_efficiency: float = number("part of the peak that depthwise convolutions reach", most=1)
    bytes_per_cycle: float = number("activations moved on the chip, bytes per cycle")
    program_kib: float = number("memory on the chip that the program takes, KiB", zero=True)


class RegionKind(StrEnum):
    """What a microcontroller's memory is."""

    FLASH = "flash"
    RAM = "ram"


@dataclass(frozen=True, kw_only=True)
class Region:
    """A memory of a microcontroller. ``wait_states``: cycles that a read takes beyond one, where no cache has it."""

    kind: RegionKind
    address: int = number("first address", whole=True, zero=True)
    kib: int = number("size, KiB", whole=True)
    wait_states: int = number("cycles that a read takes beyond one", whole=True, zero=True)
    fetch_bytes: int = number("bytes that a read brings", whole=True)


class Fpu(StrEnum):
    """What a core computes in hardware of floating point."""

    NONE = "none"
    SINGLE = "single"
    DOUBLE = "double"


class FlashImage(StrEnum):
    """What a board's tool writes to its flash."""

    ELF = "elf"
    BIN = "bin"
    UF2_RP2040 = "uf2-rp2040"
    UF2_RP2350 = "uf2-rp2350"


@dataclass(frozen=True, kw_only=True)
class Uart:
    """The serial port that the firmware talks over. ``driver``: ``firmware_stubs/mcu/uart_DRIVER.c``."""

    driver: str
    base: int = number("address of its registers", whole=True)
    clock_hz: int = number("clock of the UART, Hz", whole=True)
    baud: int = number("bits per second", whole=True)


@dataclass(frozen=True, kw_only=True)
class Mcu:
    """A microcontroller: instruction set and memories.

    :param arch: as the compiler calls it: ``cortex-m4`` (``-mcpu``), ``rv32imc`` (``-march``).
    :param board: ``firmware_stubs/FAMILY/board_BOARD.c``, which sets clocks and pins; empty: no firmware for the board.
    :param vectors: where the processor looks for its vectors, if not at the beginning of the flash.
    :param constants: where loads see the flash, if not where code runs.
    :param boot_bytes: size of the boot block before the vectors, whose last word is a CRC-32 of the rest.
    :param image: the form that the board's tool writes to its flash, if it does not take an ELF file.
    :param regions: memories by name. Code and constants go into the first of kind flash, data and stack into the
        first of kind RAM, the arena into the first RAM with room for it.
    """

    arch: str
    fpu: Fpu
    dsp: bool
    mve: bool
    caches: bool
    board: str = ""
    stack_bytes: int = number("stack, bytes", whole=True)
    vectors: int | None = number("address of the vectors", default=None, whole=True, zero=True)
    constants: int | None = number("address at which loads see the flash", default=None, whole=True)
    boot_bytes: int | None = number("size of the boot block, bytes", default=None, whole=True)
    image: FlashImage = FlashImage.ELF
    regions: Mapping[str, Region]
    uart: Uart | None = None

    def of_kind(self, kind: RegionKind) -> tuple[tuple[str, Region], ...]:
        """The memories of a kind, in order of preference."""
        return tuple((name, region) for name, region in self.regions.items() if region.kind is kind)


@dataclass(frozen=True, kw_only=True)
class Npu:
    """A neural processor beside a microcontroller, as its compiler vela knows it.

    :param accelerator, system_config, memory_mode: vela's names of them. :param host: the target whose core the
        remaining operators run on.
    """

    accelerator: str
    system_config: str
    memory_mode: str
    host: str
    macs_per_cycle: int = number("int8 multiplications with addition per cycle", whole=True)
    clock_mhz: float = number("clock, MHz")
    sram_kib: int = number("SRAM for activations, KiB", whole=True)
    flash_kib: int = number("memory for weights and commands, KiB", whole=True)

    @property
    def hertz(self) -> float:
        """The clock, Hz."""
        return float(self.clock_mhz) * 1e6


@dataclass(frozen=True, kw_only=True)
class Target:
    """A board or device, as its file ``targets/NAME.toml`` says; docs/targets.md lists keys and units.

    :param arch: the processor's architecture as Linux names it (``aarch64``, ``x86_64``), or ``native``.
    :param calibration: what the file says of calibrations, as it is there.
    """

    name: str
    kind: BoardKind
    description: str
    arch: str
    backends: tuple[str, ...]
    runners: tuple[str, ...]
    delegates: tuple[str, ...] = ()
    memory: Memory
    power: CorePower | BusyPower
    cpu: Cpu | None = None
    gpu: Gpu | None = None
    cache: Cache = Cache()
    accelerator: Accelerator | None = None
    npu: Npu | None = None
    mcu: Mcu | None = None
    fpga: Fpga | None = None
    logic: Logic | None = None
    emulator: Emulator | None = None
    system: System | None = None
    cycles: Cycles | None = None
    calibration: tuple[Mapping[str, Any], ...] = ()

    @property
    def processor(self) -> Cpu:
        """The ``cpu``.

        :raises UsageError: if the target has none.
        """
        return _there(self.cpu, self, "cpu")

    @property
    def graphics(self) -> Gpu:
        """The ``gpu``.

        :raises UsageError: if the target has none.
        """
        return _there(self.gpu, self, "gpu")

    @property
    def neural(self) -> Npu:
        """The ``npu``.

        :raises UsageError: if the target has none.
        """
        return _there(self.npu, self, "npu")

    @property
    def microcontroller(self) -> Mcu:
        """The ``mcu``.

        :raises UsageError: if the target has none.
        """
        return _there(self.mcu, self, "mcu")

    @property
    def programmable(self) -> Fpga:
        """The ``fpga``.

        :raises UsageError: if the target has none.
        """
        return _there(self.fpga, self, "fpga")

    @property
    def circuit(self) -> Logic:
        """The ``logic``.

        :raises UsageError: if the target has none.
        """
        return _there(self.logic, self, "logic")

    @property
    def cores(self) -> int:
        """Cores that threads run on."""
        return self.cpu.cores if self.cpu else 1


def _there(table: T | None, target: Target, name: str) -> T:
    if table is None:
        raise UsageError(f"the target {target.name} has no table {name}", HINT)
    return table


POWERS: dict[BoardKind, type[CorePower] | type[BusyPower]] = {
    kind: BusyPower if kind in (BoardKind.GPU, BoardKind.FPGA, BoardKind.LOGIC) else CorePower for kind in BoardKind
}
_TABLES: dict[str, type] = {
    "cpu": Cpu, "gpu": Gpu, "memory": Memory, "cycles": Cycles, "accelerator": Accelerator, "cache": Cache,
    "npu": Npu, "mcu": Mcu, "fpga": Fpga, "logic": Logic, "system": System,
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
    BoardKind.FPGA: (*(key for key in KEYS if key.startswith("fpga.")), "power.busy_w"),
    BoardKind.LOGIC: (*(key for key in KEYS if key.startswith("logic.")), "power.busy_w", *_MEMORY),
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


def target(path: Path, data: Mapping[str, Any]) -> Target:
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
