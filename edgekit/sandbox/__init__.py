"""Run work on untrusted models in a sandboxed child process.

Interpreters and converters can crash, hang, or be made to misbehave by a hostile model, so none of them ever
runs in edgekit's own process. :func:`call` runs a Python task in a child; :func:`run_program` runs a program
in one. What comes back crosses the border as JSON and plain arrays, never as pickles.

A task is named ``"package.module:function"`` and looks like this::

    def task(args: dict[str, Any], arrays: Arrays, folder: Path) -> tuple[dict[str, Any], Arrays]

where ``folder`` is its scratch folder, the only place it can write. A long task may :func:`tell` its caller how far
it is.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from edgekit.errors import BY_NAME, EdgekitError, ModelError, ToolMissing
from edgekit.files import left_behind, plain_files, temporary
from edgekit.files.pipes import MOST_BYTES, Output, TooMuch
from edgekit.sandbox import answers, environment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.sandbox.loopback import Loopback

    Arrays = Mapping[str, NDArray[Any]]

_RESULT_BYTES = 64 << 20
_MESSAGES = "messages"
_MESSAGE_BYTES = 16 << 20
_UNLOCKED, _TOO_MUCH = 97, 98
"""Exit statuses of ``launch.py``."""
WITHOUT = "EDGEKIT_NO_SANDBOX"
"""The variable of the environment that lets children run whose lock is not complete: ``--no-sandbox`` sets it."""
_NO_SETTINGS = "/dev/null/settings"
"""Where Keras looks for settings: else it stops at the user's, which a child may not read. None can be made here."""
_PATIENCE = 15.0
"""Seconds that a program's supervisor has to end the processes below it."""
_TICK = 0.2
"""Seconds between two checks for a child's messages."""


@dataclass(frozen=True)
class Limits:
    """A child's limits: wall-clock seconds, private memory and size of a single written file in MiB.

    :param network: leave this machine's network usable, for children that reach boards, and a GPU's driver.
    :param modes: let ``fchmod`` set the modes 0600, 0640 and 0644, for libraries that copy files with it.
    """

    seconds: float = 120.0
    memory_mb: int = 4096
    file_mb: int = 2048
    network: bool = False
    modes: bool = False


class ChildBug(Exception):
    """An error in edgekit's own code in a child process: a bug, as it would be in edgekit's own process."""

    def __init__(self, message: str, trace: str) -> None:
        super().__init__(message)
        self.add_note(f"in a child process:\n{trace}")


class ChildDied(EdgekitError):
    """The child ended without an answer: it crashed, was killed, or ran past a limit.

    ``reason`` is a few words (``"crashed (SIGSEGV)"``); ``log`` the end of what it printed.
    """

    exit_code = ModelError.exit_code

    def __init__(self, reason: str, log: str) -> None:
        super().__init__(f"the child process {reason}")
        self.reason, self.log = reason, log


class _Worker:
    """A child that has imported some modules and forks once per task, so that a task starts in milliseconds."""

    def __init__(self, preload: Sequence[str]) -> None:
        self._lock = threading.Lock()
        env = environment.clean(
            OPENBLAS_NUM_THREADS="1", TF_CPP_MIN_LOG_LEVEL="2", CUDA_VISIBLE_DEVICES="-1",
            KERAS_HOME=_NO_SETTINGS,
        )  # fmt: skip
        self._process = _started(environment.python("edgekit.sandbox.worker", *preload), env)

    def alive(self) -> bool:
        return self._process.poll() is None

    def submit(self, request: dict[str, Any], seconds: float, look: Callable[[], None] | None) -> dict[str, Any]:
        """Send a request and wait for its status line; the worker enforces the time limit, we only back it up.

        :param look: called about five times a second meanwhile.
        """
        assert self._process.stdin and self._process.stdout
        with self._lock:
            try:
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                self._process.stdin.flush()
                end = time.monotonic() + seconds + 60
                ready: list[Any] = []
                while not ready and time.monotonic() < end:
                    left = max(0.0, end - time.monotonic())
                    ready, _, _ = select.select([self._process.stdout], [], [], min(_TICK, left) if look else left)
                    if look:
                        look()
                line = self._process.stdout.readline() if ready else b""
            except BrokenPipeError:
                line = b""
            except BaseException:  # Ctrl-C while waiting: its answer must not reach the next request
                self.close()
                raise
        if not line:
            self.close()
            return {"signal": int(signal.SIGKILL)}
        status: dict[str, Any] = json.loads(line)
        return status

    def stop(self) -> None:
        """Kill it; a thread that waits for its answer gets one."""
        self._kill()
        with self._lock:
            self.close()

    def _kill(self) -> None:
        with suppress(ProcessLookupError):
            if self.alive():
                os.killpg(self._process.pid, signal.SIGKILL)

    def close(self) -> None:
        self._kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()


def _started(command: list[str], env: dict[str, str]) -> subprocess.Popen[bytes]:
    """Start a worker."""
    return subprocess.Popen(
        command, cwd=environment.NEUTRAL, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


_programs: set[subprocess.Popen[bytes]] = set()
_workers: dict[tuple[int, tuple[str, ...]], _Worker] = {}
_workers_lock = threading.Lock()


def _worker(preload: Sequence[str], lane: int = 0) -> _Worker:
    key = lane, tuple(preload)
    with _workers_lock:
        if not _workers:
            atexit.register(shutdown)
        worker = _workers.get(key)
        if worker is None or not worker.alive():
            worker = _workers[key] = _Worker(preload)
        return worker


def warm(preload: Sequence[str]) -> None:
    """Start the worker for ``preload`` now, so that its imports happen while the caller does other work."""
    _worker(preload)


def shutdown() -> None:
    """End all workers."""
    with _workers_lock:
        for worker in _workers.values():
            worker.close()
        _workers.clear()


def stop(lanes: Iterable[int]) -> None:
    """Kill the workers of these lanes and what runs in them."""
    wanted = set(lanes)
    with _workers_lock:
        stopped = [_workers.pop(key) for key in list(_workers) if key[0] in wanted]
    for worker in stopped:
        worker.stop()


def stop_all() -> None:
    """Kill every child at once: their callers, in other threads, get an error and clean up."""
    for process in list(_programs):
        with suppress(ProcessLookupError):
            process.terminate()
    shutdown()


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a private temporary folder that is removed afterwards."""
    with temporary.folder() as folder:
        yield folder


def call(
    task: str,
    args: Mapping[str, Any],
    arrays: Arrays | None = None,
    *,
    limits: Limits = Limits(),
    preload: Sequence[str] = (),
    writable: Sequence[Path] = (),
    readable: Sequence[Path] = (),
    lane: int = 0,
    listen: Callable[[dict[str, Any]], None] | None = None,
    network: Loopback | None = None,
    form: Any = dict[str, Any],
    anyway: bool = False,
) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Run ``task`` in a sandboxed child process and return its ``(json, arrays)``.

    :param task: ``"package.module:function"``.
    :param args: JSON-able arguments.
    :param preload: modules the child's parent has already imported; calls with the same ``preload`` share it.
    :param writable: further folders that the child may write to.
    :param readable: files and folders that it may read, beside Python, the system and its scratch folder.
    :param lane: calls of different lanes run at the same time, those of one lane one after the other.
    :param listen: receives, in the calling thread, what the task tells with :func:`tell`.
    :param network: a network that children share, and nobody else; without one a child has none at all.
    :param form: what the caller relies on in the JSON, see :mod:`edgekit.sandbox.answers`.
    :param anyway: run it even where the lock is not complete, to find out what is missing.
    :raises EdgekitError: the error that the task itself raised, rebuilt.
    :raises ChildBug: if edgekit's own code in the task failed.
    :raises ChildDied: if the child crashed or ran past its limits.
    """
    import numpy as np

    with scratch() as folder:
        (folder / "args.json").write_text(json.dumps(dict(args)))
        if arrays:
            np.savez(folder / "args.npz", allow_pickle=False, **dict(arrays))
        (folder / "work").mkdir()
        allowed = [str(path) for path in writable]
        request = {
            "task": task, "folder": str(folder), "writable": allowed, "limits": asdict(limits),
            "required": required() and not anyway, "network": network.pid if network else 0,
            "readable": [*environment.readable(), *_real(readable)],
        }  # fmt: skip
        look = _Messages(folder / "work", listen) if listen else None
        status = _worker(preload, lane).submit(request, limits.seconds, look)
        work = folder / "work"
        if status.get("exit") == 0 and 0 <= left_behind.size(work, "result.json") <= _RESULT_BYTES:
            result = left_behind.document(work, "result.json", _RESULT_BYTES, ModelError)
            if isinstance(result.get("unlocked"), str):
                raise unlocked(result["unlocked"])
            if isinstance(result.get("error"), dict):
                raise rebuilt(result["error"])
            if isinstance(result.get("bug"), dict):
                raise ChildBug(str(result["bug"].get("message")), str(result["bug"].get("traceback")))
            if not isinstance(result.get("value"), dict):
                raise ModelError(answers.DAMAGED)
            outputs: dict[str, NDArray[Any]] = {}
            if os.path.lexists(work / "result.npz"):
                outputs = left_behind.arrays(work, "result.npz", ModelError)
            return answers.checked(result["value"], form), answers.Arrays(outputs)
        raise ChildDied(_reason(status, limits), _tail(work, "log"))


def tell(folder: Path, message: Mapping[str, Any]) -> None:
    """Send a message of JSON values from a task to the caller's ``listen``."""
    with (folder / _MESSAGES).open("a") as file:
        file.write(json.dumps(dict(message)) + "\n")


class _Messages:
    """Passes on each complete line that was added to a file since the last call."""

    def __init__(self, folder: Path, listen: Callable[[dict[str, Any]], None]) -> None:
        self._folder, self._listen, self._read, self._rest = folder, listen, 0, b""

    def __call__(self) -> None:
        try:
            with plain_files.opened(self._folder, _MESSAGES) as file:
                file.seek(self._read)
                found = file.read(1 << 20)
        except (OSError, plain_files.NotPlain):
            return
        self._read += len(found)
        *lines, rest = (self._rest + found).split(b"\n")
        self._rest = rest if len(rest) <= _MESSAGE_BYTES else b""
        for line in lines:
            with suppress(ValueError, RecursionError):
                message = json.loads(line)
                if isinstance(message, dict):
                    self._listen(message)


def run_program(
    argv: Sequence[str],
    *,
    folder: Path,
    limits: Limits = Limits(),
    env: Mapping[str, str] | None = None,
    writable: Sequence[Path] = (),
    readable: Sequence[Path] = (),
) -> subprocess.CompletedProcess[str]:
    """Run a program in the sandbox.

    It has no network, writes only below ``folder`` and ``writable``, and reads only there, in ``readable``, in the
    program's own folder and in the system's. Nothing that it starts is left when it ends, or when this process ends.

    Returns with stdout and stderr captured together as text; a run past ``limits.seconds``, or one that prints
    without end, is killed and raises :class:`ChildDied`.
    """
    process = started(
        argv, folder=folder, limits=limits, env=environment.clean() if env is None else env, writable=writable,
        readable=readable,
    )  # fmt: skip
    output = Output(process)
    try:
        out = output.wait(limits.seconds)
    except subprocess.TimeoutExpired:
        raise ChildDied(f"ran past {limits.seconds:g} s", output.text[-2000:]) from None
    except TooMuch:
        raise ChildDied(f"printed over {MOST_BYTES >> 20} MiB", output.text[-2000:]) from None
    finally:
        finished(process)
    if process.returncode == _UNLOCKED and out.startswith("edgekit: "):
        raise unlocked(out.splitlines()[0].rpartition(": ")[2])
    if process.returncode == _TOO_MUCH:
        raise ChildDied("was killed: it took more memory or started more processes than allowed", out[-2000:])
    code = process.returncode
    return subprocess.CompletedProcess(list(argv), 128 - code if 128 < code <= 192 else code, out, "")


def started(
    argv: Sequence[str],
    *,
    folder: Path,
    limits: Limits,
    env: Mapping[str, str],
    writable: Sequence[Path] = (),
    readable: Sequence[Path] = (),
    stdin: int = subprocess.DEVNULL,
    stderr: int | IO[bytes] = subprocess.STDOUT,
) -> subprocess.Popen[bytes]:
    """Start a program as :func:`run_program` does, with a pipe for its stdout; :func:`finished` is to end it.

    :param limits: its caller watches the wall clock.
    """
    command = str(argv[0])
    settings = {
        "limits": asdict(limits), "parent": os.getpid(), "required": required(), "plain": False,
        "writable": [str(folder), *map(str, writable)],
        "readable": [*environment.readable(), *environment.program(command), *_real(readable)],
    }  # fmt: skip
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).with_name("launch.py")), json.dumps(settings), *argv]
    process = _launched(launcher, folder, dict(env), stdin, stderr)
    _programs.add(process)
    return process


def _launched(
    launcher: list[str], folder: Path, env: dict[str, str], stdin: int, stderr: int | IO[bytes]
) -> subprocess.Popen[bytes]:
    """Start a program's supervisor."""
    return subprocess.Popen(
        launcher, cwd=folder, env=env, stdin=stdin, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
    )


def finished(process: subprocess.Popen[bytes]) -> None:
    """End a program that :func:`started` started, where it has not ended, and everything below it."""
    if process.poll() is None:
        _end(process)
    for stream in (process.stdin, process.stdout):
        if stream:
            with suppress(BrokenPipeError):
                stream.close()
    _programs.discard(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let the supervisor end everything below it; if it does not, end what can be reached."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def required() -> bool:
    """True if a child that cannot be sandboxed must not run: always, unless the user said ``--no-sandbox``."""
    return os.environ.get(WITHOUT) != "1"


def unlocked(what: str) -> EdgekitError:
    """Return the error for a sandbox that this machine cannot set up."""
    return ToolMissing(
        f"this machine cannot sandbox child processes: {what} cannot be set",
        "read untrusted models on Linux 5.13 or later, or in a virtual machine; for files that you trust: "
        f"edgekit --no-sandbox COMMAND ... (or {WITHOUT}=1)",
    )


def _real(paths: Iterable[Path]) -> list[str]:
    """Return these paths and the targets of their links."""
    return [str(path) for given in paths for path in dict.fromkeys((Path(given).absolute(), Path(given).resolve()))]


def rebuilt(error: Mapping[str, Any]) -> EdgekitError:
    """Rebuild the error that another process reported by its ``kind``, ``message`` and ``hint``."""
    kind = BY_NAME.get(str(error.get("kind")), ModelError)
    return kind(str(error.get("message", "")), str(error.get("hint", "")))


def _reason(status: Mapping[str, Any], limits: Limits) -> str:
    if status.get("timeout"):
        return f"ran past {limits.seconds:g} s"
    number = status.get("signal")
    if number in (signal.SIGXCPU, signal.SIGKILL):
        return "was killed: it ran past its limits of time or memory"
    if number:
        try:
            return f"crashed ({signal.Signals(number).name})"
        except ValueError:
            return f"crashed (signal {number})"
    return f"ended with status {status.get('exit')}"


def _tail(folder: Path, name: str, size: int = 2000) -> str:
    try:
        with plain_files.opened(folder, name) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read(size).decode(errors="replace").strip()
    except (OSError, plain_files.NotPlain):
        return ""
