"""Tables of a target's file: processors, what is around them, and what is installed on them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from edgekit.files.tables import number


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
class Accelerator:
    """A chip beside a host's processor."""

    call_us: float = number("one call of the accelerator, microseconds", zero=True)
    operator_us: float = number("one operator in a call, microseconds", zero=True)
    efficiency: float = number("part of the peak that operators reach", most=1)
    depthwise_efficiency: float = number("part of the peak that depthwise convolutions reach", most=1)
    bytes_per_cycle: float = number("activations moved on the chip, bytes per cycle")
    program_kib: float = number("memory on the chip that the program takes, KiB", zero=True)


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
