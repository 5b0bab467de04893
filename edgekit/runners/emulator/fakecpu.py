"""The files by which Linux describes its processors, made from a target's data.

LiteRT (through XNNPACK's cpuinfo) chooses its kernels by what ``/proc/cpuinfo`` and
``/sys/devices/system/cpu`` say, and crashes where they are missing. Under the emulator's root they describe the
target's cores, so the guest picks the kernels that the real board would.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit.errors import UsageError
from edgekit.target import Target
from edgekit.target.listing import HINT


def files(target: Target) -> dict[str, str]:
    """Return the files' contents by path, relative to the emulator's root."""
    cores = target.processor.cores
    everyone = f"0-{cores - 1}" if cores > 1 else "0"
    found = {"proc/cpuinfo": "".join(_cpuinfo(target, core) for core in range(cores))}
    base = "sys/devices/system/cpu"
    for name in ("possible", "present", "online"):
        found[f"{base}/{name}"] = f"{everyone}\n"
    found[f"{base}/kernel_max"] = f"{cores - 1}\n"
    for core in range(cores):
        for name, value in _core(target, core, cores, everyone).items():
            found[f"{base}/cpu{core}/{name}"] = f"{value}\n"
    return found


def write(target: Target, root: Path) -> None:
    """Write the files below ``root``."""
    for name, text in files(target).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def _cpuinfo(target: Target, core: int) -> str:
    identity = target.processor.id
    if identity is None:
        raise UsageError(f"the target {target.name} has no table cpu.id", HINT)
    lines = {
        "processor\t": core,
        "BogoMIPS\t": "108.00",
        "Features\t": " ".join(target.processor.features),
        "CPU implementer\t": hex(identity.implementer),
        "CPU architecture": 8,
        "CPU variant\t": hex(identity.variant),
        "CPU part\t": hex(identity.part),
        "CPU revision\t": identity.revision,
    }
    return "".join(f"{key}: {value}\n" for key, value in lines.items()) + "\n"


def _core(target: Target, core: int, cores: int, everyone: str) -> dict[str, Any]:
    """The files of one core, relative to its own folder."""
    cpu = target.processor
    khz = int(cpu.clock_mhz) * 1000
    lowest = int(cpu.clock_min_mhz or cpu.clock_mhz) * 1000
    mask = f"{(1 << cores) - 1:x}"
    found: dict[str, Any] = {
        "cpufreq/cpuinfo_max_freq": khz,
        "cpufreq/scaling_max_freq": khz,
        "cpufreq/cpuinfo_min_freq": lowest,
        "topology/physical_package_id": 0,
        "topology/core_id": core,
        "topology/thread_siblings_list": core,
        "topology/core_cpus_list": core,
        "topology/cluster_id": 0,
        "topology/core_siblings": mask,
        "topology/cluster_cpus": mask,
    }
    for name in ("core_siblings_list", "package_cpus_list", "cluster_cpus_list", "die_cpus_list"):
        found[f"topology/{name}"] = everyone
    caches = target.cache
    there = (
        (caches.l1d, "Data", 1), (caches.l1i, "Instruction", 1), (caches.l2, "Unified", 2), (caches.l3, "Unified", 3),
    )  # fmt: skip
    present = [(cache, kind, level) for cache, kind, level in there if cache is not None]
    for index, (cache, kind, level) in enumerate(present):
        found |= {
            f"cache/index{index}/type": kind,
            f"cache/index{index}/level": level,
            f"cache/index{index}/size": f"{cache.kib}K",
            f"cache/index{index}/coherency_line_size": cache.line_bytes,
            f"cache/index{index}/ways_of_associativity": cache.ways,
            f"cache/index{index}/shared_cpu_list": everyone if cache.shared else core,
        }
    return found
