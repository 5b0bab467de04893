"""Bundles on devices: upload the C runner and what it takes once, run it there, bring back outputs and times.

One implementation for all connections (:class:`edgekit.transport.Connection`). The device needs a POSIX shell; where
its system cannot load the C runner or LiteRT, Python with ai-edge-litert or tflite-runtime serves (no times of single
operators then).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

from edgekit.backends.runner_build import native_arch
from edgekit.bundle.execution import MODEL, PROGRAM
from edgekit.bundle.samples import pack, samples_in
from edgekit.errors import DeviceError
from edgekit.files import left_behind
from edgekit.runners import Defaults, Device, Observes, OpenOptions, Refusal, Run, RunOptions, Session, Source
from edgekit.runners.linux import decided, process
from edgekit.runners.linux import program as programs
from edgekit.runners.linux.program import SCRIPT, Program
from edgekit.text.logs import last_line
from edgekit.transport import Connection, Done, File, TooLarge
from edgekit.transport.keeper import kept

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.bundle.execution import Execution
    from edgekit.bundle.material import Failed, Made
    from edgekit.target import Target

RUN_SECONDS = 900.0
_CANNOT_EXECUTE = (126, 127)
_TOO_OLD = ("GLIBC", "CXXABI", "cannot load the library")
"""What the loader says where the system's libraries are older than the runner's or LiteRT's."""


@dataclass(frozen=True)
class Hints:
    """What to do on one kind of device.

    :param processor: the bundle is for another one. :param files: the bundle lacks one. :param start: the runner does
        not start. :param python: neither does Python's. :param noexec: the folder holds no programs. :param failed:
        the run failed there; empty: what the error itself says.
    """

    processor: str
    files: str
    start: str
    python: str = ""
    noexec: str = ""
    failed: str = ""


class RemoteRunner(Defaults):
    """Runs bundles at the other end of a connection."""

    source, observes = Source.DEVICE, Observes.TIMES
    hints: Hints

    def connection(self) -> Connection:
        """A connection to the device, not yet entered.

        :raises UsageError: if nothing says which device it is.
        """
        raise NotImplementedError

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`."""
        return programs.refusal(execution)

    @contextmanager
    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
        """See :class:`edgekit.runners.Runner`."""
        program, progress = programs.of(bundle.execution), options.progress
        files = self._files(bundle, program)
        connection = self.connection()
        progress.step(f"connect to {connection.shown}")
        with connection as device:
            arch = native_arch(bundle.target.arch)
            if device.arch != arch:
                raise DeviceError(
                    f"{device.shown} is {device.arch}, but the bundle is for {arch} ({bundle.target.name})",
                    self.hints.processor,
                )
            progress.step(f"copy to {device.shown}")
            device.put(files)
            yield RemoteSession(bundle, program, device, options, self.hints, Device(device.device(), arch))

    def _files(self, bundle: Bundle, program: Program) -> dict[str, File]:
        """What the device needs, beside the inputs of a run."""
        paths = program.files(bundle)
        if not program.compiled:
            paths[SCRIPT] = bundle.artifact / SCRIPT
        for path in paths.values():
            if not path.is_file():
                raise DeviceError(f"the bundle has no {path.relative_to(bundle.path)}", self.hints.files)
        return {name: File(path.read_bytes(), name in (PROGRAM, SCRIPT)) for name, path in paths.items()}


@dataclass
class RemoteSession:
    """A bundle that lies in the folder of an open connection."""

    bundle: Bundle
    program: Program
    connection: Connection
    options: OpenOptions
    hints: Hints
    device: Device
    _python: bool = False
    """True once the C runner did not start, and Python's did."""

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        return self.device

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`.

        :raises DeviceError: one line on what failed: the connection, the device, or the run.
        :raises ModelError: if LiteRT refuses the model there.
        """
        samples, graph = samples_in(inputs), self.bundle.graph
        self.options.progress.step(f"run on {self.connection.shown}")
        self._execute(process.arguments(samples, options), pack(inputs))
        expected = samples * sum(tensor.nbytes for tensor in graph.outputs)
        try:
            files = self.connection.get({process.OUTPUTS: expected, process.TRACE: left_behind.MOST_JSON})
        except TooLarge as error:
            if error.file == process.OUTPUTS:
                raise process.too_long(error.size, expected) from error
            raise
        outputs = process.unpack(files[process.OUTPUTS], graph, samples)
        text = files[process.TRACE].decode(errors="replace")
        trace, conditions = process.parse_trace(text, graph, Source.DEVICE)
        return Run(outputs, trace, {**conditions, "device": self.device.name}, decided=self._decided(options))

    def _decided(self, options: RunOptions) -> Made | Failed | None:
        """What the C library makes of the options' material; None if there is none, or Python serves there."""
        material, graph = options.material, self.bundle.graph
        if material is None or self._python:
            return None
        self.connection.put({name: File(data) for name, data in decided.beside(self.bundle).items()})
        own = self.program.arguments(f"./{self.program.library}", MODEL)
        done = self._start([f"./{PROGRAM}", *own, *decided.arguments(material)], material.packed())
        samples = len(material.rows)
        files = {} if done.returncode else self.connection.get(decided.sizes(graph, samples))
        return decided.settled(done.returncode, done.text, lambda: decided.parsed(files, graph, samples))

    def _execute(self, arguments: Sequence[str], inputs: bytes) -> None:
        """Run the C runner, or where the system cannot load it or LiteRT, the Python one."""
        python = ["python3", SCRIPT, "--python", "--model", MODEL, *arguments]
        if self._python:
            again = self._start(python, inputs)
            if again.returncode != 0:
                self._failed(again)
            return
        own = self.program.arguments(f"./{self.program.library}", MODEL)
        first = self._start([f"./{PROGRAM}", *own, *arguments], inputs)
        if first.returncode == 0:
            return
        if first.returncode not in _CANNOT_EXECUTE and not any(sign in first.text for sign in _TOO_OLD):
            self._failed(first)
        shown, compiled = self.connection.shown, self.program.compiled
        if compiled and self.hints.noexec and first.returncode == 126 and "Permission denied" in first.text:
            raise DeviceError(f"{shown} cannot start programs in {self.connection.folder}", self.hints.noexec)
        if compiled:
            raise DeviceError(f"{shown} cannot run {PROGRAM}: {_last(first)}", self.hints.start)
        second = self._start(python, inputs)
        if second.returncode != 0:
            raise DeviceError(
                f"{shown} can run neither {PROGRAM} ({_last(first)}) nor {SCRIPT} ({_last(second)})", self.hints.python
            )
        self._python = True

    def _start(self, command: Sequence[str], inputs: bytes) -> Done:
        """Run a program on the device; nothing of the run before it is left for results."""
        old = " ".join((process.OUTPUTS, process.TRACE, decided.FED, decided.DECISIONS))
        script = f"rm -f {old}; cat >{process.INPUTS} || exit 1; {kept(command)}"
        return self.connection.run(script, data=inputs, seconds=RUN_SECONDS)

    def _failed(self, done: Done) -> NoReturn:
        error = process.failure(done.returncode, done.text, self.connection.shown, self.program)
        if self.hints.failed and isinstance(error, DeviceError):
            raise DeviceError(error.message, self.hints.failed)
        raise error


def _last(done: Done) -> str:
    return last_line(done.text, "no message", most=160)
