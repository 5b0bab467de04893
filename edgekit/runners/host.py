"""The host runner: executes a bundle natively on this machine, timed, in a locked-down process."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.backends import runner_build
from edgekit.backends.litert import library
from edgekit.bundle.execution import PROGRAM
from edgekit.bundle.samples import pack, samples_in
from edgekit.errors import DeviceError, EdgekitError, ModelError
from edgekit.reference.litert import reference_outputs
from edgekit.runners import Defaults, Device, Observes, OpenOptions, Refusal, Run, RunOptions, Session, Source
from edgekit.runners.linux import decided
from edgekit.runners.linux import process as runner
from edgekit.runners.linux import program as programs
from edgekit.runners.linux.program import Program
from edgekit.sandbox.environment import clean

if TYPE_CHECKING:
    import subprocess

    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.bundle.execution import Execution
    from edgekit.bundle.material import Failed, Made
    from edgekit.target import Target

LIMITS = sandbox.Limits(seconds=600, memory_mb=8192)


@dataclass(frozen=True)
class Process:
    """A session of the C runner on this machine: each run is a process, locked down, in a new folder of its own.

    :param command: the C runner with its library, as absolute paths. :param where: the place, in messages.
    :param readable: what the process reads beside the bundle. :param writable: what it writes beside its folder.
    """

    command: Sequence[str]
    bundle: Bundle
    program: Program
    where: str = "this machine"
    env: Mapping[str, str] = field(default_factory=lambda: environment())
    limits: sandbox.Limits = LIMITS
    readable: Sequence[Path] = ()
    writable: Sequence[Path] = ()

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        return Device(self.where, platform.machine())

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`.

        :raises ModelError: if LiteRT refuses the model; :raises DeviceError: if the run crashes or takes too long.
        """
        with sandbox.scratch() as folder:
            run = self.execute(inputs, options, folder)
        run.decided = self.decided(options)
        return run

    def execute(self, inputs: Sequence[NDArray[Any]], options: RunOptions, folder: Path) -> Run:
        """Run once in an empty ``folder``, and read what that left there."""
        samples = samples_in(inputs)
        (folder / runner.INPUTS).write_bytes(pack(inputs))
        self._start(runner.arguments(samples, options), folder)
        outputs = runner.results(folder, self.bundle.graph, samples)
        trace, conditions = runner.parse_trace(runner.trace_text(folder), self.bundle.graph, Source.HOST)
        return Run(outputs, trace, conditions)

    def decided(self, options: RunOptions) -> Made | Failed | None:
        """What the C library makes of the options' material, or how it fails; None if there is none."""
        material = options.material
        if material is None:
            return None
        with sandbox.scratch() as folder:
            (folder / runner.INPUTS).write_bytes(material.packed())
            for name, data in decided.beside(self.bundle).items():
                (folder / name).write_bytes(data)
            done = self._ended(decided.arguments(material), folder)
            graph, samples = self.bundle.graph, len(material.rows)
            return decided.settled(done.returncode, done.stdout, lambda: decided.left(folder, graph, samples))

    def _start(self, arguments: Sequence[str], folder: Path) -> None:
        done = self._ended(arguments, folder)
        if done.returncode != 0:
            raise runner.failure(done.returncode, done.stdout, self.where, self.program)

    def _ended(self, arguments: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        try:
            return sandbox.run_program(
                [*self.command, *arguments], folder=folder, limits=self.limits, env=self.env,
                writable=self.writable,
                readable=[self.bundle.artifact, programs.model(self.bundle), *self.readable],
            )  # fmt: skip
        except sandbox.ChildDied as death:
            raise DeviceError(f"the run on {self.where} {death.reason}", "use fewer samples or repeats") from death


class _Explained(Process):
    """Errors of LiteRT are told with what its interpreter says of them."""

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`Process`."""
        try:
            return super().run(inputs, options)
        except (DeviceError, ModelError) as error:
            if self.program.compiled or "LiteRT" not in error.message:
                raise
            raise _named(self.bundle, inputs, error) from error


class HostRunner(Defaults):
    """Runs the bundle's own C runner, or, where LiteRT runs a bundle made for another processor, one built here."""

    name = "host"
    observes = Observes.TIMES
    proves = True

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`; it does not run networks that are compiled for another processor."""
        if refusal := programs.refusal(execution):
            return refusal
        here, arch = platform.machine(), runner_build.native_arch(target.arch)
        if programs.of(execution).compiled and arch != here:
            return Refusal(f"the bundle's network is compiled for {arch}, this machine is {here}")
        return None

    @contextmanager
    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
        """See :class:`edgekit.runners.Runner`."""
        program = programs.of(bundle.execution)
        executable, library = _tools(bundle, program)
        command = [str(executable), *program.arguments(str(library), str(programs.model(bundle).resolve()))]
        yield _Explained(command, bundle, program)


def _named(bundle: Bundle, inputs: Sequence[NDArray[Any]], error: EdgekitError) -> EdgekitError:
    """The error with what LiteRT's interpreter says of it: that names the operator, its C interface does not."""
    try:
        reference_outputs(programs.model(bundle), inputs, optimized=True)
    except ModelError as told:
        return type(error)(f"the run failed on this machine: {told.message}", error.hint)
    return error


def _tools(bundle: Bundle, program: Program) -> tuple[Path, Path]:
    """The C runner and the library that work here."""
    here, arch = platform.machine(), runner_build.native_arch(bundle.target.arch)
    own, network = bundle.artifact / PROGRAM, bundle.artifact / program.library
    if program.compiled and not network.is_file():
        raise DeviceError(f"the bundle has no artifact/{program.library}", "compile it again")
    if arch == here and own.is_file():
        return own.resolve(), network.resolve()
    if program.compiled:
        return runner_build.get(here).path, network.resolve()
    return runner_build.get(here).path, library.get(here)


def environment() -> dict[str, str]:
    """Only what a meter's program needs to be found; nothing that changes LiteRT's behaviour."""
    return {key: value for key, value in clean().items() if key in ("PATH", "HOME", "LANG")}
