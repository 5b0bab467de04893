"""Processes that begin where their imports are done, so that a test does not pay for the same imports again.

``tests/warm.py`` asks for them. One forge serves a pytest worker. It has imported edgekit's command line with all that
commands import, and forks a child for each command: a process of its own with its own streams, folder and environment.
For the workers of :mod:`edgekit.sandbox` it starts a forge of their own per list of preloaded modules and environment,
which forks in the same way; what is forked runs the unchanged ``edgekit.sandbox.worker``. The ONNX converter, which has
a Python of its own, has a forge, too: what is forked runs the unchanged ``edgekit/sandbox/launch.py``, which sets the
lock, and then the unchanged ``edgekit/readers/onnx2tf_program.py``, whose imports are done. Other programs in the
sandbox only begin at ``launch.py`` with its imports done; it starts them as ever.

A request is one message on a Unix socket: a JSON document and descriptors. The answers on that connection are JSON
lines: ``{"pid": ...}`` once the process runs, and ``{"status": ...}``, as of ``waitpid``, when it has ended.

    python tests/forge.py SOCKET KERNELS   the forge of commands; ends with its standard input; see tests/kernels.py
    python tests/forge.py --workers FD ... a forge of workers that import these modules; ends with the socket FD
    python tests/forge.py --launcher FD    a forge of supervisors of sandboxed programs
    python tests/forge.py --converter FD PROGRAM FOLDER   a forge of the ONNX converter, copied to the FOLDER
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import io
import json
import os
import pkgutil
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TextIO

ROOT = Path(__file__).parents[1]
MOST = 1 << 20
"""Bytes of a request."""
FREE = frozenset({
    "EDGEKIT_CACHE", "EDGEKIT_NO_SANDBOX", "EDGEKIT_SSH_OPTIONS", "EDGEKIT_WORKER_PYTHON", "HOME", "PATH",
    "PYTEST_CURRENT_TEST", "SOURCE_DATE_EPOCH", "TMPDIR", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR",
})  # fmt: skip
"""Variables of the environment that no import depends on; a process with others set differently is started afresh."""
HEAVY = ("tensorflow", "tf_keras", "keras", "tvm", "onnx", "ai_edge_litert", "ai_edge_quantizer", "coremltools")
"""Packages that the forge of commands does not import: most commands leave them to their children."""
ALSO = (
    "ai_edge_litert.schema_py_generated",
    "email.parser",
    "numpy.random",
    "rich.console",
    "rich.progress",
    "rich.table",
)
"""What most commands import besides."""
LEFT_OUT = (
    "edgekit.__main__", "edgekit.backends.coreml.tools", "edgekit.readers.onnx2tf_program", "edgekit.sandbox.launch",
    "edgekit.sandbox.start", "edgekit.tuning.child",
)  # fmt: skip
"""Modules of programs and children that change their process, or do their work, when they are imported."""
KEPT_FORGES = 12
OWN_PATH = [path for path in sys.path if path != str(Path(__file__).parent)]
"""Where Python imports from by itself."""
Start = Callable[[], object]


def bound(env: dict[str, str]) -> dict[str, str]:
    """The part of an environment that imports may depend on."""
    return {name: value for name, value in env.items() if name not in FREE}


def searched(folders: str) -> list[str]:
    """The folders, divided as in PATH, where packages may lie: a forge imports nothing of this checkout but edgekit."""
    ours = [*(str(ROOT / name) for name in ("examples", "tests", "tools")), str(Path(sys.executable).parent)]
    return [path for path in folders.split(os.pathsep) if not any(Path(path).is_relative_to(own) for own in ours)]


class Forge:
    """Serves requests and reports how what it forked ended."""

    def __init__(self, source: socket.socket, *, listening: bool, control: int) -> None:
        self._source, self._listening, self._control = source, listening, control
        self._selector = selectors.DefaultSelector()
        self._selector.register(source, selectors.EVENT_READ)
        if control != source.fileno():
            self._selector.register(control, selectors.EVENT_READ)
        self._children: dict[int, tuple[int, socket.socket]] = {}
        self._forges: dict[str, tuple[subprocess.Popen[bytes], socket.socket]] = {}

    def serve(self) -> Start | None:
        """Serve until whoever asks is gone: then None. In a forked process return what it is to run."""
        while True:
            for key, _ in self._selector.select():
                if key.fd in self._children:
                    self._ended(key.fd)
                    continue
                start = self._asked(key.fd)
                if start is not None:
                    return start
                if self._source.fileno() < 0:
                    return None

    def _asked(self, fd: int) -> Start | None:
        if fd != self._source.fileno():  # the standard input has ended
            self._end()
            return None
        if not self._listening:
            text, descriptors = receive(self._source)
            if not text:
                self._end()
                return None
            return self._fork(json.loads(text), descriptors)
        connection, _ = self._source.accept()
        text, descriptors = receive(connection)
        descriptors.append(connection.detach())
        request = json.loads(text) if text else {}
        if request and "command" not in request:
            self._pass_on(request, text, descriptors)
            return None
        if "command" in request:
            return self._fork(request, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        return None

    def _fork(self, request: dict[str, Any], descriptors: list[int]) -> Start | None:
        *streams, last = descriptors
        connection = socket.socket(fileno=last)
        pid = os.fork()
        if pid:
            for descriptor in streams:
                os.close(descriptor)
            pidfd = os.pidfd_open(pid)
            self._children[pidfd] = pid, connection
            self._selector.register(pidfd, selectors.EVENT_READ)
            return None
        self._forget()
        for number, descriptor in enumerate(streams):
            os.dup2(descriptor, number)
        for descriptor in streams:
            if descriptor > 2:
                os.close(descriptor)
        sys.stdin, sys.stdout, sys.stderr = opened(sys.stdin), opened(sys.stdout), opened(sys.stderr)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["cwd"])
        if "command" not in request:
            os.setsid()
        with contextlib.suppress(OSError):
            connection.sendall(json.dumps({"pid": os.getpid()}).encode() + b"\n")
        connection.close()
        starts = {"worker": worker, "converter": converter, "launcher": launcher, "command": command}
        return next(start(request[kind]) for kind, start in starts.items() if kind in request)

    def _forget(self) -> None:
        """In a forked process: close what belongs to the forge."""
        self._selector.close()
        for pidfd, (_, connection) in self._children.items():
            os.close(pidfd)
            connection.close()
        for _, control in self._forges.values():
            control.close()
        for process, _ in self._forges.values():
            process.returncode = 0  # not this process's child: nothing to wait for
        self._source.close()

    def _ended(self, pidfd: int) -> None:
        pid, connection = self._children.pop(pidfd)
        self._selector.unregister(pidfd)
        os.close(pidfd)
        _, status = os.waitpid(pid, 0)
        with contextlib.suppress(OSError):
            connection.sendall(json.dumps({"status": status}).encode() + b"\n")
        connection.close()

    def _pass_on(self, request: dict[str, Any], text: bytes, descriptors: list[int]) -> None:
        """Let the forge of these modules and this environment, or that of the converter, answer."""
        env = bound(request["env"])
        if "launcher" in request:
            python, kind, same, arguments, env = request["launcher"][0], "--launcher", [], [], {}
        elif "worker" in request:
            python, _, _, folders, _, *modules = request["worker"]
            if modules in ([], ["tensorflow"]):  # tests' own tasks of TensorFlow preload nothing
                modules = ["tensorflow", "tf_keras"]
            kind, arguments, same = "--workers", [folders, *modules], [searched(folders), *modules]
        else:
            python = request["converter"][5]
            kind, same = "--converter", []
            folder = tempfile.mkdtemp(dir=os.path.dirname(sys.argv[1]))
            arguments = [str(ROOT / "edgekit/readers/onnx2tf_program.py"), folder]
        key = json.dumps([kind, python, same, env], sort_keys=True)
        if key in self._forges:
            self._forges[key] = self._forges.pop(key)  # the last to be given up
        else:
            while len(self._forges) >= KEPT_FORGES:
                process, control = self._forges.pop(next(iter(self._forges)))
                control.close()
                process.wait()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            start = [python, "-I", __file__, kind, str(theirs.fileno()), *arguments]
            with theirs:
                process = subprocess.Popen(
                    start, cwd="/", env=request["env"], pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                )  # fmt: skip
            self._forges[key] = process, ours
        socket.send_fds(self._forges[key][1], [text], descriptors)
        for descriptor in descriptors:
            os.close(descriptor)

    def _end(self) -> None:
        for _, control in self._forges.values():
            control.close()
        self._source.close()


def receive(connection: socket.socket) -> tuple[bytes, list[int]]:
    """A request and its descriptors; empty if the other side is gone."""
    text, descriptors, _, _ = socket.recv_fds(connection, MOST, 8)
    return text, list(descriptors)


def opened(stream: Any) -> TextIO:
    """A standard stream as Python opens it when it starts."""
    number, writes, plain = stream.fileno(), stream.writable(), stream.write_through
    binary = open(number, "wb" if writes else "rb", buffering=0 if plain and writes else -1, closefd=False)  # noqa: SIM115
    lines = not plain and (number == 2 or os.isatty(number))
    return io.TextIOWrapper(
        binary, stream.encoding, stream.errors, newline="\n" if writes else None, line_buffering=lines,
        write_through=plain,
    )  # fmt: skip


def command(arguments: Sequence[str]) -> Start:
    """What the installed script ``edgekit`` does."""

    def start() -> object:
        from edgekit.cli import main

        sys.argv[:] = arguments
        sys.path[0] = str(Path(arguments[0]).parent)
        return main()

    return start


def worker(command_line: Sequence[str]) -> Start:
    """What the command line of a sandbox worker does, see ``edgekit/sandbox/start.py``."""

    def start() -> object:
        from edgekit.sandbox.worker import main

        extend_path(command_line[3])
        sys.argv[:] = [sys.modules[main.__module__].__file__ or "", *command_line[5:]]
        try:
            main()
        finally:
            os._exit(0)  # what its modules do at their end is done by the forge, once

    return start


def converter(command_line: Sequence[str]) -> Start:
    """What the command line of a sandboxed ONNX converter does: it sets the lock, and then is the program."""

    def program(_: str, arguments: Sequence[str]) -> None:
        """Stand in for ``execvp``: what the program does once its imports are done."""
        code = 1
        try:
            sys.modules["onnx2tf_program"].main(Path(arguments[3]), float(arguments[4]))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def start() -> object:
        tempfile.tempdir = None
        os.execvp = program  # type: ignore[assignment]
        return launcher(command_line)()

    return start


def launcher(command_line: Sequence[str]) -> Start:
    """What the command line of a sandboxed program's supervisor does."""

    def start() -> object:
        launch, settings = command_line[3], {**json.loads(command_line[4]), "parent": os.getppid()}
        sys.argv[:] = [launch, json.dumps(settings), *command_line[5:]]
        exec(code(launch), {"__name__": "__main__", "__file__": launch})
        return 0

    return start


@functools.cache
def code(path: str) -> CodeType:
    """A program, compiled."""
    return compile(Path(path).read_bytes(), path, "exec")


def import_launcher() -> None:
    """Import what the supervisor of a sandboxed program imports, under the names that it has there."""
    launch = ROOT / "edgekit" / "sandbox" / "launch.py"
    package = ModuleType("lock")
    package.__path__ = [str(launch.parent)]
    sys.modules["lock"] = package
    for name in ("lockdown", "namespaces", "tree"):
        importlib.import_module(f"lock.{name}")
    code(str(launch))


def import_converter(program: Path, folder: Path) -> None:
    """Import the converter's program from a copy in the folder, and what all its jobs need."""
    for name in ("onnx2tf_program.py", "onnx2tf_runs.py"):
        shutil.copyfile(program.with_name(name), folder / name)
    sys.path.insert(0, str(folder))
    module = importlib.import_module("onnx2tf_program")
    sys.path.remove(str(folder))
    module.warm(folder)
    module.warm = lambda _: None


class _Refuses:
    """Finds neither the HEAVY packages nor what is LEFT_OUT, so that modules which need one stay unimported, too."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.split(".")[0] in HEAVY or name in LEFT_OUT:
            raise ModuleNotFoundError(name, name=name)


def extend_path(folders: str) -> None:
    """Have the folders of a worker, divided as in PATH, behind Python's own: as ``edgekit/sandbox/start.py``."""
    sys.path[:] = [*OWN_PATH, *(path for path in folders.split(os.pathsep) if path and path not in OWN_PATH)]


def import_commands() -> None:
    """Import the command line and what its commands import when they are called."""
    import edgekit

    folders, refuses = list(sys.path), _Refuses()
    sys.meta_path.insert(0, refuses)  # type: ignore[arg-type]
    for module in pkgutil.walk_packages(edgekit.__path__, "edgekit."):
        with contextlib.suppress(ImportError):
            importlib.import_module(module.name)
    sys.meta_path.remove(refuses)  # type: ignore[arg-type]
    for name in ALSO:
        importlib.import_module(name)
    absent = [name for name, module in sys.modules.items() if module is None]
    assert sys.path == folders and not absent, "a module changes how others are imported: leave it out"


def main() -> None:
    """Import, serve, and in each forked process run what was asked for."""
    if sys.argv[1] == "--workers":
        source = socket.socket(fileno=int(sys.argv[2]))
        extend_path(sys.argv[3])
        importlib.import_module("edgekit.sandbox.worker").preload(sys.argv[4:])
        forge = Forge(source, listening=False, control=source.fileno())
    elif sys.argv[1] == "--launcher":
        source = socket.socket(fileno=int(sys.argv[2]))
        import_launcher()
        forge = Forge(source, listening=False, control=source.fileno())
    elif sys.argv[1] == "--converter":
        source = socket.socket(fileno=int(sys.argv[2]))
        import_converter(Path(sys.argv[3]), Path(sys.argv[4]))
        forge = Forge(source, listening=False, control=source.fileno())
    else:
        import_commands()
        sandbox, warm = importlib.import_module("edgekit.sandbox"), importlib.import_module("tests.warm")
        sandbox._started = functools.partial(warm.start_worker, place=sys.argv[1])
        sandbox._launched = functools.partial(warm.start_program, place=sys.argv[1])
        if sys.argv[2]:
            importlib.import_module("tests.kernels").keep(Path(sys.argv[2]))
        source = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        source.bind(sys.argv[1])
        source.listen(64)
        os.write(1, b"ready\n")
        forge = Forge(source, listening=True, control=0)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.collect()
    gc.freeze()
    start = forge.serve()
    if start is not None:
        del forge
        sys.exit(start())  # type: ignore[arg-type]
    os._exit(0)


if __name__ == "__main__":
    main()
