"""The host runner: executes a bundle natively on this machine, timed, in a locked-down process."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.backends import runner_build
from edgekit.backends.litert import library
from edgekit.bundle.execution import PROGRAM
from edgekit.bundle.samples import pack, samples_in
from edgekit.errors import DeviceError, EdgekitError, ModelError
from edgekit.reference.litert import reference_outputs
from edgekit.runners import Run, RunOptions, instead
from edgekit.runners.linux import process as runner
from edgekit.runners.linux import program as programs
from edgekit.runners.linux.program import Program
from edgekit.sandbox.environment import clean

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle

LIMITS = sandbox.Limits(seconds=600, memory_mb=8192)


class HostRunner:
    """Runs the bundle's own C runner, or, where LiteRT runs a bundle made for another processor, one built here."""

    name = "host"

    def run(self, bundle: Bundle, inputs: Sequence[NDArray[Any]], options: RunOptions) -> Run:
        """See :class:`edgekit.runners.Runner`.

        :raises ModelError: if LiteRT refuses the model; :raises DeviceError: if the run crashes or takes too long, or
            if the network was compiled for another processor.
        """
        program = programs.of(bundle)
        executable, library = _tools(bundle, program)
        command = [str(executable), *program.arguments(str(library), str(programs.model(bundle).resolve()))]
        try:
            with sandbox.scratch() as folder:
                return execute(command, bundle, program, inputs, options, folder, environment())
        except (DeviceError, ModelError) as error:
            if program.compiled or "LiteRT" not in error.message:
                raise
            raise _named(bundle, inputs, error) from error


def _named(bundle: Bundle, inputs: Sequence[NDArray[Any]], error: EdgekitError) -> EdgekitError:
    """The error with what LiteRT's interpreter says of it: that names the operator, its C interface does not."""
    try:
        reference_outputs(programs.model(bundle), inputs, optimized=True)
    except ModelError as told:
        return type(error)(f"the run failed on this machine: {told.message}", error.hint)
    return error


def execute(
    command: Sequence[str], bundle: Bundle, program: Program, inputs: Sequence[NDArray[Any]], options: RunOptions,
    folder: Path, env: Mapping[str, str], where: str = "this machine", limits: sandbox.Limits = LIMITS,
    writable: Sequence[Path] = (),
) -> Run:  # fmt: skip
    """Run ``command`` (the C runner with its library) in ``folder``, locked down, and read what it left there.

    :raises ModelError, DeviceError: see :meth:`HostRunner.run`; ``where`` names the place in their messages.
    """
    samples = samples_in(inputs)
    (folder / runner.INPUTS).write_bytes(pack(inputs))
    try:
        done = sandbox.run_program(
            [*command, *runner.arguments(samples, options)], folder=folder, limits=limits, env=env, writable=writable,
            readable=[bundle.artifact, programs.model(bundle)],
        )  # fmt: skip
    except sandbox.ChildDied as death:
        raise DeviceError(f"the run on {where} {death.reason}", "use fewer samples or repeats") from death
    if done.returncode != 0:
        raise runner.failure(done.returncode, done.stdout, where, program)
    outputs = runner.results(folder, bundle.graph, samples)
    trace, conditions = runner.parse_trace(runner.trace_text(folder), bundle.graph, "host")
    return Run(outputs, trace, conditions)


def _tools(bundle: Bundle, program: Program) -> tuple[Path, Path]:
    """The C runner and the library that work here."""
    here, arch = platform.machine(), runner_build.native_arch(bundle.target.arch)
    own, network = bundle.artifact / PROGRAM, bundle.artifact / program.library
    if program.compiled and arch != here:
        raise DeviceError(
            f"the bundle's network is compiled for {arch}, this machine is {here}",
            instead(bundle.target, bundle.execution),
        )
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
