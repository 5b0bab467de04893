"""Runners: execute a bundle -> outputs + trace."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.bundle.execution import Execution
    from edgekit.progress import Progress
    from edgekit.target import Target


PROVERS = ("emulator", "pocl", "cuda-emulator", "mil", "host")
"""Runners that need no device and run what several backends make."""


def provers(target: Target, execution: Execution | None = None) -> list[str]:
    """Runners that can prove bundles for a target without the device, the best first.

    :param execution: of the bundle, which may be for one of them only.
    """
    own = execution.prover if execution else ""
    return [own] if own else [name for name in PROVERS if name in target.runners]


def instead(target: Target, execution: Execution | None = None) -> str:
    """What to say where a runner cannot run a bundle: the one that can, without the device."""
    names = provers(target, execution)
    return f"run it with --on {names[0]}, or on the device" if names else "run it on the device"


@dataclass(frozen=True)
class BlockUse:
    """How often an emulator ran a block of straight-line machine code, and what that missed in the caches.

    :param code: the instructions' bytes in hex.
    :param misses: ``(L1, L2, L3, streamed L1, streamed L2, streamed L3)``: lines missed at each level, and how
        many of them continued an ascending or descending run, which a hardware prefetcher catches.
    """

    code: str
    count: int
    misses: tuple[int, ...] = ()


@dataclass
class OperatorTrace:
    """What was observed of one operator, for one inference.

    :param index: index in the Graph's operators, or None for work that belongs to no single operator.
    :param name: the runtime's own name of the kernel.
    :param latency_ms: measured time; None in an emulator.
    :param counts: instructions by class and cache misses (see :mod:`edgekit.profiling.cycles`); empty on a device.
    :param cycles: modelled cycles; None on a device.
    """

    index: int | None
    name: str
    latency_ms: float | None = None
    counts: dict[str, int] = field(default_factory=dict)
    cycles: float | None = None
    fused: tuple[int, ...] = ()
    """Further Graph operators that ran inside this kernel (an activation, a pad)."""
    blocks: list[BlockUse] = field(default_factory=list)
    """What the emulator executed, for the cycle model; empty on a device."""


@dataclass
class Trace:
    """What was observed of whole inferences.

    :param source: ``"device"``, ``"host"`` or ``"emulator"``.
    :param latency_ms: one figure an inference; empty in an emulator.
    :param counts: instruction counts of one inference; ``counts["instructions"]`` is their sum.
    :param power_w: samples of measured power while inferences ran, watt; ``power_scope`` says what they cover.
    :param peak_ram_bytes: resident memory at its highest, None where unknown.
    """

    source: str
    runtime: str
    latency_ms: list[float] = field(default_factory=list)
    operators: list[OperatorTrace] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    cycles: float | None = None
    power_w: list[float] = field(default_factory=list)
    power_scope: str | None = None
    peak_ram_bytes: int | None = None


@dataclass
class Run:
    """The result of a run.

    :param outputs: one array per network output, ``[samples, *tensor shape]``, in the tensor's dtype.
    :param conditions: threads, clock, dtype, machine: whatever a reader of the figures must know.
    """

    outputs: list[NDArray[Any]]
    trace: Trace
    conditions: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunOptions:
    """How to run.

    :param repeat: timed inferences (each over the samples in turn); outputs come from the first pass.
    :param profile: also observe every operator (may slow the run down a little).
    """

    repeat: int = 1
    warmup: int = 0
    threads: int = 1
    profile: bool = False
    progress: Progress | None = None


class Runner(Protocol):
    """One way to execute a bundle."""

    name: str

    def run(self, bundle: Bundle, inputs: Sequence[NDArray[Any]], options: RunOptions) -> Run:
        """Execute the bundle on ``inputs``: one array per network input, ``[samples, *tensor shape]``.

        :raises DeviceError: if the device or emulator fails.
        :raises ToolMissing: if the emulator or a client program is not installed.
        """


def get(on: str) -> Runner:
    """Return the runner for ``--on`` (``host``, ``emulator``, ``ssh://user@host:port``, ...).

    The part before the first colon names the plugin; a plugin with an address gets it as ``address``.

    :raises UsageError: if there is no such runner, or it takes no address.
    """
    from edgekit import plugins
    from edgekit.errors import UsageError

    name, separator, address = on.partition(":")
    runner: Runner = plugins.get("runners", name)
    if not separator:
        return runner
    at = getattr(runner, "at", None)
    if at is None:
        raise UsageError(f"--on {name} takes no address, {address!r} was given", f"write --on {name}")
    found: Runner = at(address)
    return found
