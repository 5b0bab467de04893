"""Runners: open a session for a bundle, and execute it there -> outputs + trace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from enum import Enum, StrEnum, auto
from typing import TYPE_CHECKING, Any, Protocol

from edgekit import plugins
from edgekit.errors import DeviceError, UsageError
from edgekit.progress import Progress, Silent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.bundle.execution import Execution
    from edgekit.bundle.material import Failed, Made, Material
    from edgekit.target import Target


class Source(StrEnum):
    """Where inferences run."""

    DEVICE = "device"
    HOST = "host"
    EMULATOR = "emulator"


class Observes(Enum):
    """What a runner's traces tell of an inference."""

    NOTHING = auto()
    TIMES = auto()
    COUNTS = auto()
    """Instructions, or launches of kernels: the same in every run."""


@dataclass(frozen=True)
class BlockUse:
    """How often an emulator ran a block of straight-line machine code, and what that missed in the caches.

    :param code: the instructions' bytes in hex.
    :param misses: ``(L1, L2, L3, streamed L1, streamed L2, streamed L3)``: lines missed at each level, and how
        many of them continued an ascending or descending run, which a hardware prefetcher catches.
    :param region: the memory that the code lies in, where a microcontroller has several; :param loads: and
        :param stores: accesses to each memory, by its name.
    :param address: of the first instruction. :param taken: executions after which a jump led elsewhere than to the
        next instruction; :param entered: those that a jump led to.
    """

    code: str
    count: int
    misses: tuple[int, ...] = ()
    region: str = ""
    loads: Mapping[str, int] = field(default_factory=dict)
    stores: Mapping[str, int] = field(default_factory=dict)
    address: int = 0
    taken: int = 0
    entered: int = 0


@dataclass
class OperatorTrace:
    """What was observed of one operator, for one inference.

    :param index: index in the Graph's operators, or None for work that belongs to no single operator.
    :param name: the runtime's own name of the kernel.
    :param latency_ms: measured time; None in an emulator.
    :param counts: instructions by class and cache misses (see :mod:`edgekit.profiling.cycles`); empty on a device.
    """

    index: int | None
    name: str
    latency_ms: float | None = None
    counts: dict[str, int] = field(default_factory=dict)
    fused: tuple[int, ...] = ()
    """Further Graph operators that ran inside this kernel (an activation, a pad)."""
    blocks: list[BlockUse] = field(default_factory=list)
    """What the emulator executed, for the cycle model; empty on a device."""
    threads: int = 1
    """The most threads that share its work."""


@dataclass
class Trace:
    """What was observed of whole inferences.

    :param latency_ms: one figure an inference; empty in an emulator.
    :param counts: instruction counts of one inference; ``counts["instructions"]`` is their sum.
    :param power_w: samples of measured power while inferences ran, watt; ``power_scope`` says what they cover.
    :param peak_ram_bytes: resident memory at its highest, None where unknown.
    """

    source: Source
    runtime: str
    latency_ms: list[float] = field(default_factory=list)
    operators: list[OperatorTrace] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    power_w: list[float] = field(default_factory=list)
    power_scope: str | None = None
    peak_ram_bytes: int | None = None


@dataclass(frozen=True)
class Partial:
    """What a run executed, and what not, of a network of which nothing here can execute all.

    :param values: results of the operators that were executed, fed with the reference's values: by index of the tensor.
    :param reference: what the reference computes there. :param not_executed: indices of the operators that were not.
    :param checked: what was checked of them instead, in words. :param on: where the others ran.
    :param wrong: what is wrong with the artifact, so that nothing was executed; empty if nothing is.
    """

    values: Mapping[int, NDArray[Any]]
    reference: Mapping[int, NDArray[Any]]
    not_executed: tuple[int, ...]
    checked: str
    on: str = ""
    wrong: str = ""


@dataclass
class Run:
    """The result of a run.

    :param outputs: one array per network output, ``[samples, *tensor shape]``, in the tensor's dtype.
    :param conditions: threads, clock, dtype, machine: whatever a reader of the figures must know.
    :param partial: where the outputs are not all computed by the artifact: what is. None where they are.
    :param decided: what the C library made of the options' material, or how it failed on that; None if there was none,
        or it is not run here.
    """

    outputs: list[NDArray[Any]]
    trace: Trace
    conditions: dict[str, Any] = field(default_factory=dict)
    partial: Partial | None = None
    decided: Made | Failed | None = None


@dataclass(frozen=True)
class RunOptions:
    """How to run once.

    :param repeat: timed inferences (each over the samples in turn); outputs come from the first pass.
    :param profile: also observe every operator (may slow the run down a little).
    :param material: also have the C library decide on it, where the runner executes that.
    """

    repeat: int = 1
    warmup: int = 0
    threads: int = 1
    profile: bool = False
    material: Material | None = None


@dataclass(frozen=True)
class OpenOptions:
    """How to open a session: what holds for all of its runs."""

    progress: Progress = field(default_factory=Silent)


@dataclass(frozen=True)
class Device:
    """What a session runs on.

    :param name: in messages and measurements. :param arch: its processor, as ``uname -m`` says; empty where there is
        none of its own.
    """

    name: str
    arch: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why a runner cannot run a bundle, and what to do; without a hint, the runners that can are named."""

    reason: str
    hint: str = ""


class Session(Protocol):
    """A bundle on a device, ready to run."""

    def info(self) -> Device:
        """What the bundle runs on."""

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """Execute the bundle on ``inputs``: one array per network input, ``[samples, *tensor shape]``.

        After an error the session can be closed, and need not be able to run again.

        :raises DeviceError: if the device or emulator fails.
        """


class Runner(Protocol):
    """One way to execute bundles."""

    @property
    def name(self) -> str:
        """What ``--on`` calls it."""

    @property
    def source(self) -> Source:
        """Where it runs inferences."""

    @property
    def observes(self) -> Observes:
        """What its traces tell."""

    @property
    def proves(self) -> bool:
        """True if it proves bundles of several backends and needs no device; a target's ``runners`` name it."""

    def at(self, address: str) -> Runner:
        """The runner for the device at this address.

        :raises UsageError: if the address is wrong, or the runner takes none.
        """

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """Why bundles that are executed so, for this target, cannot run here; None if they can."""

    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> AbstractContextManager[Session]:
        """Make ready, once, what all runs share: connect and upload, flash, or compile a simulator.

        Whatever that left anywhere is gone when the context ends, also after errors and Ctrl-C.

        :param bundle: one that the runner accepts.
        :raises DeviceError: if the device or emulator fails, or the bundle lacks a file.
        :raises ToolMissing: if the emulator or a client program is not installed.
        """


class Defaults:
    """What most runners on this machine say of themselves; inherit it and say what differs."""

    name: str
    source = Source.HOST
    observes = Observes.NOTHING
    proves = False

    def at(self, address: str) -> Runner:
        """See :class:`Runner`: it takes no address."""
        raise UsageError(f"--on {self.name} takes no address, {address!r} was given", f"write --on {self.name}")

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`Runner`: it runs every bundle."""
        return None


def get(on: str) -> Runner:
    """Return the runner for ``--on`` (``host``, ``emulator``, ``ssh://user@host:port``, ...).

    The part before the first colon names the plugin, what follows is an address.

    :raises UsageError: if there is no such runner, or it takes no address.
    """
    name, separator, address = on.partition(":")
    runner: Runner = plugins.get("runners", name)
    return runner.at(address) if separator else runner


def provers(target: Target, execution: Execution) -> list[str]:
    """Runners that can prove bundles for a target without the device, those that run the target's own code first.

    :param execution: of the bundle, which may be for one of them only.
    """
    if execution.prover:
        return [execution.prover]
    found = [get(name) for name in target.runners if name in plugins.names("runners")]
    found = [runner for runner in found if runner.proves and runner.accepts(execution, target) is None]
    return [runner.name for runner in sorted(found, key=lambda runner: runner.source is not Source.EMULATOR)]


@contextmanager
def opened(runner: Runner, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
    """Open a session for a bundle.

    :raises DeviceError: if the runner does not accept it; for other errors see :meth:`Runner.open`.
    """
    execution, target = bundle.execution, bundle.target
    refusal = runner.accepts(execution, target)
    if refusal is not None:
        names = provers(target, execution)
        instead = f"run it with --on {names[0]}, or on the device" if names else "run it on the device"
        raise DeviceError(refusal.reason, refusal.hint or instead)
    with runner.open(bundle, options) as session:
        yield session


def once(
    runner: Runner, bundle: Bundle, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions(),
    opening: OpenOptions = OpenOptions(),
) -> Run:  # fmt: skip
    """Run a bundle in a session of its own; for errors see :func:`opened` and :meth:`Session.run`."""
    with opened(runner, bundle, opening) as session:
        return session.run(inputs, options)
