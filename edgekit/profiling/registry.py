"""Which cost model makes a profile: looked up by target, runtime, dtype and source of evidence.

A file in ``targets/costs/`` registers a model with its coefficients, for all that it lists: ``evidence``, and where it
does not serve everything ``targets``, ``kinds`` (of targets), ``runtimes`` and ``dtypes``. The most specific one is
taken, so that a file for one target, runtime and dtype wins over those that serve many.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from edgekit import resources
from edgekit.errors import EdgekitError
from edgekit.files import documents, tables
from edgekit.graph import Graph
from edgekit.profiling import CostModel, Evidence, Profile
from edgekit.profiling.calibrated import calibration
from edgekit.profiling.calibrated.estimate import CalibratedCost
from edgekit.profiling.dtypes import Dtype, dtype_of
from edgekit.runners import Source, Trace
from edgekit.target import BoardKind, Target

EVIDENCE = {Source.HOST: Evidence.DEVICE, Source.DEVICE: Evidence.DEVICE, Source.EMULATOR: Evidence.EMULATOR}
"""What a run's trace is evidence of, by where it was observed."""
CPUS = (BoardKind.LINUX, BoardKind.PHONE)
"""Where an estimate that names no runtime is LiteRT's."""
MODELS: dict[str, tuple[str, str]] = {
    "accelerator": ("accelerator", "AcceleratorCost"),
    "cycles": ("cycles", "EmulatedCost"),
    "firmware": ("mcu.cost", "FirmwareCost"),
    "firmware-estimate": ("mcu.estimate", "FirmwareEstimate"),
    "fpga": ("fpga", "FpgaEstimate"),
    "gpu": ("gpu", "GpuCost"),
    "hls": ("hls", "HlsCost"),
    "logic": ("logic", "LogicCost"),
    "npu": ("npu", "NpuCost"),
    "overlay": ("overlay", "OverlayCost"),
    "measured": ("measured", "Measured"),
    "roofline": ("roofline", "Roofline"),
}
"""By the name that files give them: module and class of cost models. Some bring a code generator along, so a module is
imported when a file names it; its ``Coefficients``, if it has any, are the form of the file's table."""


def _model(name: str, table: Any) -> CostModel:
    module_name, class_name = MODELS[name]
    module = import_module(f"edgekit.profiling.{module_name}")
    form = getattr(module, "Coefficients", None)
    made: CostModel = getattr(module, class_name)(*([tables.build(form, table, "coefficients")] if form else []))
    return made


@dataclass(frozen=True)
class Registration:
    """A cost model, and what it serves; empty: all there are."""

    model: str
    evidence: tuple[Evidence, ...]
    targets: tuple[str, ...] = ()
    kinds: tuple[BoardKind, ...] = ()
    runtimes: tuple[str, ...] = ()
    dtypes: tuple[Dtype, ...] = ()

    def serves(self, target: Target, runtime: str, dtype: Dtype, evidence: Evidence) -> bool:
        """True if it makes such profiles."""
        asked = ((self.targets, target.name), (self.kinds, target.kind), (self.runtimes, runtime), (self.dtypes, dtype))
        return evidence in self.evidence and all(not listed or value in listed for listed, value in asked)

    @property
    def rank(self) -> tuple[bool, ...]:
        """How specific it is: by the target first, then the runtime, the dtype, the target's kind."""
        return tuple(map(bool, (self.targets, self.runtimes, self.dtypes, self.kinds)))


def lookup(target: Target, runtime: str, dtype: Dtype, evidence: Evidence) -> CostModel:
    """Return the most specific cost model.

    :raises EdgekitError: if there is none, or two are equally specific: edgekit's own files are damaged.
    """
    found = [(r, model) for r, model in _registered() if r.serves(target, runtime, dtype, evidence)]
    best = [model for r, model in found if r.rank == max(other.rank for other, _ in found)]
    if len(best) != 1:
        raise EdgekitError(
            f"{len(best)} cost models fit {target.name}, {runtime}, {dtype} and {evidence} equally well",
            "one file in targets/costs must be the most specific",
        )
    return best[0]


def estimate(graph: Graph, target: Target, conditions: dict[str, Any]) -> Profile:
    """Profile a network with nothing run, by a calibration if there is one.

    Conditions: ``threads`` (None: the usual number), ``runtime`` where it is known, ``power_mode``.
    """
    runtime, dtype = str(conditions.get("runtime", "any")), dtype_of(graph)
    if runtime != "any" or target.kind in CPUS:
        choice = calibration.choose(target.name, runtime, dtype, str(conditions.get("power_mode") or ""))
        if choice is not None:
            return CalibratedCost(choice).profile(graph, None, target, conditions)
    conditions = {**conditions, "threads": conditions.get("threads") or 1}
    profile = lookup(target, runtime, dtype, Evidence.ESTIMATE).profile(graph, None, target, conditions)
    if runtime in calibration.runtimes(target.name):
        return replace(profile, basis=f"{profile.basis}; {runtime} was not measured in {dtype} on {target.name}")
    return profile


def uncalibrated(graph: Graph, target: Target, threads: int) -> Profile:
    """Profile a network with nothing run, by the hardware's figures alone.

    To compare networks whose operators differ in dtype: calibrations are of one dtype, so that of two networks one may
    have a calibration and the other none.
    """
    model = lookup(target, "any", dtype_of(graph), Evidence.ESTIMATE)
    return model.profile(graph, None, target, {"threads": threads})


def observed(graph: Graph, trace: Trace, target: Target, conditions: dict[str, Any]) -> Profile:
    """Profile a network from what a runner observed."""
    model = lookup(target, trace.runtime, dtype_of(graph), EVIDENCE[trace.source])
    return model.profile(graph, trace, target, conditions)


@cache
def _registered() -> list[tuple[Registration, CostModel]]:
    return [read(path) for path in sorted((resources.folder("targets") / "costs").glob("*.toml"))]


def read(path: Path) -> tuple[Registration, CostModel]:
    """Read a file of ``targets/costs/``.

    :raises EdgekitError: naming the file and the key that is wrong.
    """
    try:
        data = documents.read_toml(path)
        registration = tables.build(Registration, data)
        return registration, _model(registration.model, data.get("coefficients", {}))
    except (ValueError, KeyError, OSError) as error:
        raise EdgekitError(f"{path}: not a cost model: {error}", "docs/targets.md lists the keys") from error
