"""The host runner: executes a bundle natively on this machine, timed, in a locked-down process."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.backends.litert import build, library
from edgekit.errors import DeviceError
from edgekit.runners import Run, RunOptions
from edgekit.runners.litert import process as runner

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle

LIMITS = sandbox.Limits(seconds=600, memory_mb=8192)


class HostRunner:
    """Runs the bundle's own C runner, or, for a bundle made for another processor, one built for this machine."""

    name = "host"

    def run(self, bundle: Bundle, inputs: Sequence[NDArray[Any]], options: RunOptions) -> Run:
        """See :class:`edgekit.runners.Runner`.

        :raises ModelError: if LiteRT refuses the model; :raises DeviceError: if the run crashes or takes too long.
        """
        program, runtime = _tools(bundle)
        samples = runner.samples_in(inputs)
        with sandbox.scratch() as folder:
            (folder / runner.INPUTS).write_bytes(runner.pack(inputs))
            command = [str(program), "--library", str(runtime), "--model", str(bundle.model.resolve())]
            try:
                done = sandbox.run_program(
                    [*command, *runner.arguments(samples, options)], folder=folder, limits=LIMITS, env=_environment()
                )
            except sandbox.ChildDied as death:
                raise DeviceError(f"the run on this machine {death.reason}", "use fewer samples or repeats") from death
            if done.returncode != 0:
                raise runner.failure(done.returncode, done.stdout, "this machine")
            outputs = runner.unpack((folder / runner.OUTPUTS).read_bytes(), bundle.graph, samples)
            trace, conditions = runner.parse_trace((folder / runner.TRACE).read_text(), bundle.graph, "host")
        return Run(outputs, trace, conditions)


def _tools(bundle: Bundle) -> tuple[Path, Path]:
    """The C runner and the library that work here."""
    own = bundle.artifact / runner.PROGRAM
    if build.native_arch(bundle.target.arch) == platform.machine() and own.is_file():
        return own.resolve(), (bundle.artifact / runner.LIBRARY).resolve()
    return build.get(platform.machine()).path, library.get(platform.machine())


def _environment() -> dict[str, str]:
    """Only what a meter's program needs to be found; nothing that changes LiteRT's behaviour."""
    return {key: os.environ[key] for key in ("PATH", "HOME", "LANG") if key in os.environ}
