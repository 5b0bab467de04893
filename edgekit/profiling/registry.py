"""Which cost model makes a profile: looked up by target, runtime, dtype and source of evidence.

A file in ``targets/costs/`` registers a model with its coefficients, for all that it lists: ``evidence``, and where it
does not serve everything ``targets``, ``kinds`` (of targets), ``runtimes`` and ``dtypes``. The most specific one is
taken, so that a file for one target, runtime and dtype wins over those that serve many.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from edgekit import resources
from edgekit.errors import EdgekitError
from edgekit.files import documents, tables
from edgekit.graph import Graph
from edgekit.profiling import CostModel, Evidence, Profile, accelerator, cycles, fpga, gpu, npu, overlay, roofline
from edgekit.profiling.dtypes import Dtype, dtype_of
from edgekit.profiling.mcu import cost as firmware
from edgekit.profiling.mcu import estimate as firmware_estimate
from edgekit.profiling.measured import Measured
from edgekit.runners import Source, Trace
from edgekit.target import BoardKind, Target

EVIDENCE = {Source.HOST: Evidence.DEVICE, Source.DEVICE: Evidence.DEVICE, Source.EMULATOR: Evidence.EMULATOR}
"""What a run's trace is evidence of, by where it was observed."""
C = TypeVar("C")


def _with(form: type[C], model: Callable[[C], CostModel]) -> Callable[[Any], CostModel]:
    return lambda table: model(tables.build(form, table, "coefficients"))


MODELS: dict[str, Callable[[Any], CostModel]] = {
    "accelerator": _with(accelerator.Coefficients, accelerator.AcceleratorCost),
    "cycles": _with(cycles.Coefficients, cycles.EmulatedCost),
    "firmware": lambda _: firmware.FirmwareCost(),
    "firmware-estimate": _with(firmware_estimate.Coefficients, firmware_estimate.FirmwareEstimate),
    "fpga": _with(fpga.Coefficients, fpga.FpgaEstimate),
    "gpu": _with(gpu.Coefficients, gpu.GpuCost),
    "npu": _with(npu.Coefficients, npu.NpuCost),
    "overlay": _with(overlay.Coefficients, overlay.OverlayCost),
    "measured": lambda _: Measured(),
    "roofline": _with(roofline.Coefficients, roofline.Roofline),
}
"""By the name that files give them: cost models from the table of their coefficients."""


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
    """Profile a network with nothing run. Conditions: ``threads``, ``runtime`` where it is known."""
    model = lookup(target, str(conditions.get("runtime", "any")), dtype_of(graph), Evidence.ESTIMATE)
    return model.profile(graph, None, target, conditions)


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
        return registration, MODELS[registration.model](data.get("coefficients", {}))
    except (ValueError, KeyError, OSError) as error:
        raise EdgekitError(f"{path}: not a cost model: {error}", "docs/targets.md lists the keys") from error
