"""The processor of a target, as LLVM and as the schedules see it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.backends.runner_build import native_arch
from edgekit.codegen.schedule.machine import Machine
from edgekit.errors import UsageError

if TYPE_CHECKING:
    from edgekit.target import Target

_X86: list[tuple[set[str], list[str], int, int, str]] = [
    ({"avx512f", "avx512bw", "avx512vl", "avx512_vnni"},
     ["+avx512f", "+avx512bw", "+avx512vl", "+avx512dq", "+avx512vnni", "+fma", "+avx2"], 16, 32, "vnni"),
    ({"avx2", "fma"}, ["+avx2", "+fma"], 8, 16, ""),
    ({"sse4_1"}, ["+sse4.1"], 4, 16, ""),
]  # fmt: skip
"""Flags of /proc/cpuinfo; LLVM's attributes; 32-bit lanes, vector registers, dot product."""


@dataclass(frozen=True)
class Processor:
    """What kernels are compiled for: ``target``: TVM's, for LLVM; ``machine``: what schedules know of it."""

    target: dict[str, Any]
    machine: Machine


def processor(target: Target) -> Processor:
    """Return the target's processor.

    :raises UsageError: if TVM kernels cannot be made for it.
    """
    arch = native_arch(target.arch)
    if arch == "x86_64":
        return _x86(_flags())
    if arch == "aarch64":
        features = target.processor.features if target.arch != "native" else sorted(_flags())
        dot = "asimddp" in features
        # A core's name stands for all that it may have; boards and phones leave out some of it, SVE above all.
        less = [] if "sve" in features else ["-sve"]
        options = {"mattr": ["+neon", *(["+dotprod"] if dot else []), *less], "mcpu": "generic"}
        core = target.processor.core.lower()
        if core.startswith("cortex-"):
            options["mcpu"] = core
        return Processor(_llvm("aarch64-linux-gnu", options), Machine(4, 32, "sdot" if dot else "mlal"))
    raise UsageError(f"edgekit makes no TVM kernels for {arch}", "use the backend litert")


def _x86(flags: set[str]) -> Processor:
    for needed, attributes, lanes, registers, dot in _X86:
        if needed <= flags:
            return Processor(_llvm("x86_64-linux-gnu", {"mattr": attributes}), Machine(lanes, registers, dot))
    return Processor(_llvm("x86_64-linux-gnu", {}), Machine(4, 16))


def _llvm(triple: str, options: dict[str, Any]) -> dict[str, Any]:
    return {"kind": "llvm", "mtriple": triple, **options}


def _flags() -> set[str]:
    """This machine's features, as the kernel names them."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return set(value.split())
    return set()
