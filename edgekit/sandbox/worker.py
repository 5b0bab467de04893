"""The worker behind :func:`edgekit.sandbox.call`: imports modules once, then forks a sandboxed child per task.

Speaks one JSON line per request on stdin and one per status on stdout.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgekit.errors import EdgekitError, ModelError
from edgekit.sandbox import environment, lockdown, namespaces, seccomp, tree
from edgekit.sandbox.blame import is_bug

_TICK = 0.05
"""Seconds between two looks at what memory a child occupies."""

_OBJECTS = 10_000
"""New objects before Python looks for cycles among them. Its own 700 cost TensorFlow's tasks a fifth of their time."""
_TRACEBACK = 8000
"""Characters of a traceback that are kept, the last ones."""


def main() -> None:
    """Import what tasks need, then fork a child for each task that is requested."""
    pipe_out = os.dup(1)
    os.dup2(2, 1)  # what modules print when they are imported is no answer
    preload(sys.argv[1:])
    seccomp.warm()
    buffer = b""
    while True:
        chunk = os.read(0, 1 << 16)
        if not chunk:
            return
        buffer += chunk
        while b"\n" in buffer:
            line, buffer = buffer.split(b"\n", 1)
            status = serve(json.loads(line), pipe_out)
            os.write(pipe_out, json.dumps(status).encode() + b"\n")


def preload(modules: Sequence[str]) -> None:
    """Import NumPy, which every task needs, and modules for some tasks: none of it is garbage, nor becomes any."""
    gc.disable()
    import numpy  # noqa: F401

    for name in modules:
        with contextlib.suppress(ImportError):  # a missing package is reported by the task that needs it
            environment.tensorflow() if name == "tensorflow" else importlib.import_module(name)
    gc.freeze()
    gc.set_threshold(_OBJECTS, *gc.get_threshold()[1:])
    gc.enable()


def serve(request: dict[str, Any], pipe_out: int) -> dict[str, Any]:
    """Fork a child for the request; wait for it, kill it at its time limit or when our own parent is gone."""
    worker = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(pipe_out)
        run_child(request, worker)
    end = time.monotonic() + float(request["limits"]["seconds"])
    pidfd = os.pidfd_open(pid)
    timed_out = False
    most = (int(request["limits"]["memory_mb"]) << 20) + tree.SLACK
    try:
        while True:
            ready, _, _ = select.select([pidfd, 0], [], [], min(_TICK, max(0.0, end - time.monotonic())))
            if pidfd in ready:
                break
            if not ready and time.monotonic() < end and tree.resident(pid) <= most:
                continue
            timed_out = not ready and time.monotonic() >= end
            with contextlib.suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)
            if ready:  # stdin became readable without a request: the parent is gone
                os._exit(0)
            break
    finally:
        os.close(pidfd)
    _, status = os.waitpid(pid, 0)
    if timed_out:
        return {"timeout": True}
    if os.WIFSIGNALED(status):
        return {"signal": os.WTERMSIG(status)}
    return {"exit": os.WEXITSTATUS(status)}


def run_child(request: dict[str, Any], worker: int) -> None:
    """Run the task in this process, which ends here without running any destructor.

    :param worker: the parent's process; if it is gone before we are tied to it, there is nobody to work for.
    """
    os.setsid()
    folder = Path(request["folder"])
    work = folder / "work"
    log = os.open(work / "log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.dup2(log, 1)
    os.dup2(log, 2)
    try:
        if (inside := request["network"]) and not namespaces.enter(inside):
            raise lockdown.Unlocked("a network of its own")
        lockdown.lock(
            [str(work), *request["writable"]], [str(folder), *request["readable"]], required=request["required"],
            loopback=bool(inside), **request["limits"],
        )  # fmt: skip
        if os.getppid() != worker:
            os._exit(1)
        result = run_task(request["task"], folder, work)
    except lockdown.Unlocked as missing:
        result = {"unlocked": str(missing)}
    except EdgekitError as error:
        result = {"error": {"kind": type(error).__name__, "message": error.message, "hint": error.hint}}
    except MemoryError:
        result = {"error": {"kind": "ModelError", "message": "the model needs more memory than allowed", "hint": ""}}
    except BaseException as error:
        traceback.print_exc()
        said = f"{type(error).__name__}: {error}"[:500]
        if is_bug(error):
            result = {"bug": {"message": said, "traceback": traceback.format_exc()[-_TRACEBACK:]}}
        else:
            result = {"error": {"kind": ModelError.__name__, "message": said}}
    try:
        (work / "result.json").write_text(json.dumps(result))
    finally:
        os._exit(0)  # some runtimes crash in their destructors after a correct run


def run_task(task: str, folder: Path, work: Path) -> dict[str, Any]:
    """Run ``module:function`` on the arguments in ``folder``; return its JSON."""
    import numpy as np

    module, function = task.split(":")
    arrays: dict[str, Any] = {}
    if (folder / "args.npz").is_file():
        with np.load(folder / "args.npz", allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    args = json.loads((folder / "args.json").read_text())
    value, outputs = getattr(importlib.import_module(module), function)(args, arrays, work)
    if outputs:
        np.savez(work / "result.npz", allow_pickle=False, **outputs)
    return {"value": value}


if __name__ == "__main__":
    main()
