"""The emulator: runs a bundle for AArch64 Linux under qemu-user and counts exactly what it executes.

Bundles for microcontrollers run in :mod:`edgekit.runners.qemu_system`, those for FPGAs in
:mod:`edgekit.runners.verilator` and :mod:`edgekit.runners.csim`.

See docs/emulator.md. The output of every sample comes from one execution, the profile from another with the
profiler and the cache model on; both are single-threaded, because only then are the counts exact.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.bundle.execution import PROGRAM, Kind
from edgekit.bundle.samples import pack, samples_in
from edgekit.errors import DeviceError
from edgekit.files import left_behind
from edgekit.progress import Progress
from edgekit.runners import (
    BlockUse,
    Defaults,
    Device,
    Observes,
    OpenOptions,
    OperatorTrace,
    Refusal,
    Run,
    RunOptions,
    Session,
    Source,
    Trace,
    csim,
    qemu_system,
    verilator,
)
from edgekit.runners.emulator import guest, report
from edgekit.runners.linux import attribution, decided, kernels, process
from edgekit.runners.linux import program as programs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.bundle.execution import Execution
    from edgekit.bundle.material import Failed, Made, Material
    from edgekit.graph import Graph
    from edgekit.target import Target

RUNTIME_ROW = "runtime"
"""Name of the row for work of the runtime itself, between the operators."""
WHOLE_ROW = "all operators together"
"""Name of the only row where kernels cannot be told apart: in loops (WHILE), or in a LiteRT that reads the clock
elsewhere."""

_LIMITS = sandbox.Limits(seconds=1800, memory_mb=8192)


class EmulatorRunner(Defaults):
    """Runs firmware, bundles for FPGAs, and those for AArch64 Linux. Registered as ``emulator``."""

    name = "emulator"
    source, observes, proves = Source.EMULATOR, Observes.COUNTS, True

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`."""
        if execution.kind is Kind.FIRMWARE:
            return qemu_system.refusal(target)
        if execution.kind in (Kind.OVERLAY, Kind.LOGIC, Kind.HLS):
            return None
        if refusal := programs.refusal(execution):
            return refusal
        if target.arch != "aarch64" or target.emulator is None:
            return Refusal(f"there is no emulator for the target {target.name!r}")
        if not execution.command:
            return Refusal(f"the bundle has no {PROGRAM} for the emulator", guest.ANOTHER)
        return None

    @contextmanager
    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
        """See :class:`edgekit.runners.Runner`."""
        if bundle.execution.kind is Kind.FIRMWARE:
            with qemu_system.opened(bundle, options) as session:
                yield session
            return
        if bundle.execution.kind in (Kind.OVERLAY, Kind.LOGIC):
            yield verilator.opened(bundle, options)
            return
        if bundle.execution.kind is Kind.HLS:
            yield csim.opened(bundle, options)
            return
        options.progress.step("Preparing the emulator")
        machine, program = guest.machine(bundle.target), programs.of(bundle.execution)
        yield EmulatorSession(guest.Job(program, program.files(bundle), machine), bundle, options.progress)


@dataclass(frozen=True)
class EmulatorSession:
    """Emulates a bundle, each run from the same state."""

    job: guest.Job
    bundle: Bundle
    progress: Progress

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        target = self.bundle.target
        return Device(f"emulated {target.processor.core}", target.arch)

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`. ``repeat`` is ignored: every repetition would count the same.

        The trace holds exact counts, no times: :mod:`edgekit.profiling.cycles` makes cycles and times of them.
        """
        graph = self.bundle.graph
        samples, packed = samples_in(inputs), pack(inputs)
        one = packed[: len(packed) // samples]
        self.progress.step(f"Emulating {self.bundle.target.processor.core}")
        with sandbox.scratch() as folder, ThreadPoolExecutor(2) as pool:
            futures: list[Future[Any]] = []

            def start(inputs: bytes, arguments: list[str], name: str, *, caches: bool) -> Future[Path]:
                started = pool.submit(
                    guest.run, self.job, inputs, arguments, folder / name, caches=caches, limits=_LIMITS
                )
                futures.append(started)
                return started

            try:
                plain = start(
                    packed, ["--samples", str(samples), "--outputs", "out.bin", "--markers"], "plain", caches=False
                )
                observed = None
                if options.profile:
                    once = ["--samples", "1", "--warmup", "1", "--markers", "--profile"]
                    observed = start(one, once, "observed", caches=True)
                settled = None
                if options.material is not None:
                    settled = pool.submit(self._decided, options.material, folder / "decided")
                    futures.append(settled)
                outputs = process.results(plain.result(), graph, samples)
                trace = _trace(graph, plain.result(), observed.result() if observed else None)
                made = settled.result() if settled else None
            except KeyboardInterrupt:  # the pool would wait for what still runs, and for what is about to start
                while wait(futures, 0.1).not_done:
                    sandbox.stop_all()
                raise
        conditions = {
            "threads": self.job.program.threads(options.threads),
            "machine": self.info().name,
            "clock_mhz": self.bundle.target.processor.clock_mhz,
        }
        return Run(outputs, trace, conditions, decided=made)

    def _decided(self, material: Material, folder: Path) -> Made | Failed:
        """What the C library makes of material."""
        done, work = guest.ended(
            self.job, material.packed(), decided.arguments(material, trace=False), folder, caches=False,
            limits=_LIMITS, also=decided.beside(self.bundle),
        )  # fmt: skip
        graph, samples = self.bundle.graph, len(material.rows)
        return decided.settled(done.returncode, done.stdout, lambda: decided.left(work, graph, samples))


def _trace(graph: Graph, plain: Path, observed: Path | None) -> Trace:
    whole = report.merged(report.read(plain / "report").phases)
    about = left_behind.document(plain, process.TRACE)
    trace = Trace(Source.EMULATOR, str(about.get("runtime")), counts=dict(whole.counts))
    if observed is None:
        return trace
    seen = report.read(observed / "report")
    events = left_behind.document(observed, process.TRACE).get("events") or []
    try:
        found = kernels.match(events, seen.phases[1:-1])  # the first and the last lie outside all readings
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DeviceError(f"the run's trace is damaged: {error!r}", "compile the bundle again") from error
    if found is None:  # another LiteRT may read the clock elsewhere: then only the whole is known
        trace.operators = [OperatorTrace(None, WHOLE_ROW, counts=trace.counts, blocks=_all_blocks(plain))]
        return trace
    for share in attribution.attribute(graph, found):
        phase = report.merged(kernel.observed for kernel in share.kernels)
        row = OperatorTrace(share.index, share.name, counts=phase.counts, fused=tuple(share.fused))
        row.blocks = seen.blocks(phase)
        row.threads = max((kernel.threads for kernel in share.kernels), default=1)
        trace.operators.append(row)
    trace.operators.append(_runtime_row(trace, _all_blocks(plain)))
    for kind in (*report.MISS_KINDS, "load_bytes", "store_bytes"):  # only the observed run models memory
        trace.counts[kind] = sum(row.counts.get(kind, 0) for row in trace.operators)
    return trace


def _all_blocks(plain: Path) -> list[BlockUse]:
    seen = report.read(plain / "report")
    return seen.blocks(report.merged(seen.phases))


def _runtime_row(trace: Trace, blocks: list[BlockUse]) -> OperatorTrace:
    """What the whole inference executed beyond its operators; the profiler's own work is in neither."""
    counts = Counter(trace.counts)
    left = Counter({block.code: block.count for block in blocks})
    for row in trace.operators:
        counts.subtract(row.counts)
        left.subtract({block.code: block.count for block in row.blocks})
    rest = [BlockUse(code, count) for code, count in left.items() if count > 0]
    rest.sort(key=lambda block: (-block.count * len(block.code), block.code))
    return OperatorTrace(None, RUNTIME_ROW, counts={k: max(0, v) for k, v in counts.items()}, blocks=rest)
