"""Simulates a bundle for an FPGA cycle by cycle: the accelerator's RTL, compiled by Verilator."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgekit.bundle import Bundle
from edgekit.bundle.execution import Kind
from edgekit.runners import Defaults, Observes, OpenOptions, Refusal, Session, Source
from edgekit.runners.overlay import Accelerator, Loaded
from edgekit.runners.verilator import job, logic, simulator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle.execution import Execution
    from edgekit.runners.overlay.counted import Computed
    from edgekit.target import Target


class VerilatorRunner(Defaults):
    """Simulates bundles for FPGAs."""

    name = "verilator"
    source, observes, proves = Source.EMULATOR, Observes.COUNTS, True

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`: only bundles for FPGAs."""
        fits = execution.kind in (Kind.OVERLAY, Kind.LOGIC)
        return None if fits else Refusal("the bundle is not for an FPGA")

    @contextmanager
    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
        """See :class:`edgekit.runners.Runner`."""
        yield opened(bundle, options)


def opened(bundle: Bundle, options: OpenOptions = OpenOptions()) -> Session:
    """A session of a bundle for an FPGA; see :meth:`edgekit.runners.Runner.open`."""
    return logic.opened(bundle, options) if bundle.execution.kind is Kind.LOGIC else _accelerator(bundle, options)


def _accelerator(bundle: Bundle, options: OpenOptions) -> Session:
    loaded = Loaded.of(bundle)
    program, timing = loaded.program, job.MemoryTiming.of(bundle.target.programmable)
    built = simulator.built(program.machine, options.progress)

    def compute(fed: Sequence[NDArray[Any]], samples: int) -> Computed:
        return job.run(
            built, loaded.stream, program.inputs, program.outputs, fed, samples, timing, depth=simulator.LOG_DEPTH
        )

    shown = f"simulated accelerator of {program.machine.ic}x{program.machine.oc} lanes"
    step = "simulate the accelerator"
    return Accelerator(loaded, Source.EMULATOR, shown, compute, step, simulator.LOG_DEPTH, options)
