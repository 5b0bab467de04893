"""Profiles: latency, energy and memory of one inference and of each operator, every figure with its source.

A cost model turns a Graph, a target and (where there is one) a trace into a :class:`Profile`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.profiling.operation import Operation
    from edgekit.runners import Trace
    from edgekit.target import Target


class Evidence(StrEnum):
    """Where a profile's figures come from: nothing is run, an emulator counts, or a machine is timed."""

    ESTIMATE = "estimate"
    EMULATOR = "emulator"
    DEVICE = "device"


@dataclass(frozen=True)
class Figure:
    """A value and the interval it is believed to lie in."""

    value: float
    low: float
    high: float

    def scaled(self, factor: float) -> Figure:
        """Multiply the value and both bounds."""
        return Figure(self.value * factor, self.low * factor, self.high * factor)


@dataclass
class OperatorProfile:
    """One row. ``index`` is the operator's place in the Graph, None for work of the runtime itself.

    ``macs`` and ``bytes`` are counted on the Graph; ``share`` is its part of the whole latency, 0..1.
    """

    index: int | None
    name: str
    op: str
    macs: int
    bytes: int
    latency_ms: float
    energy_mj: float
    instructions: int | None = None
    cycles: int | None = None
    """Modelled clock cycles from its start to its end, on all threads; None where no model computes them."""
    share: float = 0.0
    bound: str = ""
    kernels: str = ""
    """Names of the GPU's kernels that computed it; ``counts`` are their launches, work-items, flops and bytes.
    Of an FPGA's accelerator, ``counts`` are those of its simulation."""
    counts: dict[str, int] = field(default_factory=dict)


@dataclass
class Profile:
    """Latency (ms), energy (mJ) and power (W) of one inference.

    :param scope: what the energy covers: ``wall``, ``board_supply``, ``core_rail`` or ``accelerator``.
    :param basis: where the figures come from, in words: the method, and why the interval is as wide as it is.
    """

    target: str
    source: Evidence
    runtime: str
    conditions: dict[str, Any]
    latency_ms: Figure
    energy_mj: Figure
    power_w: Figure
    scope: str
    memory: dict[str, int | None]
    operators: list[OperatorProfile] = field(default_factory=list)
    basis: str = ""
    instructions: int | None = None
    cycles: int | None = None
    macs: int | None = None
    """Of the whole network; None where no model states work for each."""
    zero_wait_cycles: Figure | None = None
    """Cycles of a microcontroller whose memories need no wait states."""
    operation: Operation | None = None
    """What follows for a board that is used as the user says; None where nothing was asked."""

    def json(self) -> dict[str, Any]:
        """The document that ``edgekit profile --json`` prints (docs/formats.md)."""
        data = asdict(self)
        data["energy_mj"]["scope"] = data.pop("scope")
        if data["operation"] is None:
            del data["operation"]
        return {"schema": 1, **data}


class CostModel(Protocol):
    """Predicts or summarises a Profile; :func:`edgekit.profiling.registry.lookup` says which one does."""

    def profile(self, graph: Graph, trace: Trace | None, target: Target, conditions: dict[str, Any]) -> Profile:
        """:param trace: None for an estimate."""
