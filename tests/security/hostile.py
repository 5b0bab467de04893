"""Runs the command line on hostile files, each in a process of its own, and measures what it does."""

from __future__ import annotations

import contextlib
import ctypes
import os
import pickle
import re
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from edgekit import cli
from edgekit.graph import tflite
from tests.networks.small import dense
from tests.security import corpus
from tests.security.corpus import Case

MOST_SECONDS, MOST_MEMORY = 30.0, 2 << 30
_ACTS = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
_SUBREAPER = 36
Judged = tuple[Case, list[int], float, int, list[str]]


def judged(families: Sequence[str] = corpus.ALL, only: Callable[[Case], bool] = lambda case: True) -> Iterator[Judged]:
    """Generate families of the corpus and run them: each case, its exit codes, seconds, bytes, and what is wrong."""
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        good, square = folder / "good.tflite", folder / "square.tflite"
        tflite.write(dense(np.ones((4, 8), np.float32), np.zeros(4, np.float32)), good)
        tflite.write(corpus.square(), square)
        status, said, *_ = _run(["compile", str(good), "-t", "host", "-o", str(folder / "made")], folder, folder)
        assert status == 0, said
        (folder / "cases").mkdir()
        for case in _generated(folder, families):
            if only(case):
                yield _judge(case, folder, {"good": str(good), "square": str(square)})


def _generated(folder: Path, families: Sequence[str]) -> list[Case]:
    """Generate in a process of its own: what that takes would count as memory of every process forked later."""
    listing = folder / "cases.pickle"
    pid = os.fork()
    if pid == 0:
        try:
            cases = corpus.generate(folder / "cases", next((folder / "made").iterdir()), families)
            listing.write_bytes(pickle.dumps(cases))
            os._exit(0)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    found: list[Case] = pickle.loads(listing.read_bytes())
    return found


def _judge(case: Case, folder: Path, words: dict[str, str]) -> Judged:
    problems: list[str] = []
    codes, most_seconds, most_memory = [], 0.0, 0
    before = _listing(folder / "cases")
    for number, command in enumerate(case.commands):
        work, temporary, out = (folder / f"{name}{number}" for name in ("work", "temporary", "out"))
        for path in (work, temporary):
            path.mkdir(exist_ok=True)
        arguments = [part.format(path=case.path, out=out, **words) for part in command]
        status, said, seconds, memory, left = _run(arguments, work, temporary)
        codes.append(status)
        most_seconds, most_memory = max(most_seconds, seconds), max(most_memory, memory)
        if status not in case.codes:
            problems.append(f"{command[0]} exits with {status}: {said[-300:]!r}")
        if status and not said.strip():
            problems.append(f"{command[0]} says nothing")
        if acts := _ACTS.findall(said):
            problems.append(f"{command[0]} prints {acts[:5]}")
        if seconds > MOST_SECONDS:
            problems.append(f"{command[0]} takes {seconds:.0f} s")
        if memory > MOST_MEMORY:
            problems.append(f"{command[0]} takes {memory >> 20} MiB")
        if left:
            problems.append(f"{command[0]} leaves running: {left}")
        if status and out.exists():
            problems.append(f"{command[0]} leaves {sorted(path.name for path in out.iterdir())}")
        found = sorted(entry.name for path in (work, temporary) for entry in path.iterdir())
        if found:
            problems.append(f"{command[0]} leaves {found}")
        if out.exists():
            out.rename(folder / f"done-{time.monotonic_ns()}")
    if _listing(folder / "cases") != before:
        problems.append("a file of the corpus has changed")
    return case, codes, most_seconds, most_memory, problems


def _listing(folder: Path) -> set[tuple[str, int, int]]:
    return {
        (str(path), path.lstat().st_size, path.lstat().st_mtime_ns) for path in folder.rglob("*") if not path.is_dir()
    }


def _run(arguments: list[str], work: Path, temporary: Path) -> tuple[int, str, float, int, list[str]]:
    """Run a command line in a forked child that stands in ``work``.

    :returns: its exit code, what it printed, seconds, the most memory of it and all below it, and what it left running.
    """
    log = os.open(temporary.parent / "log", os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
    begun = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(work)
            os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
            os._exit(_call(arguments))
        finally:
            os._exit(99)
    memory, status = 0, None
    while status is None:
        done, found = os.waitpid(pid, os.WNOHANG)
        status = os.waitstatus_to_exitcode(found) if done else None
        memory = max(memory, sum(_memory(process) for process in _below(os.getpid())))
        if status is None and time.monotonic() - begun > 3 * MOST_SECONDS:
            for process in _below(os.getpid()):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.02)
    seconds = time.monotonic() - begun
    left = _left()
    os.lseek(log, 0, os.SEEK_SET)
    said = b"".join(iter(lambda: os.read(log, 1 << 20), b"")).decode(errors="surrogateescape")
    os.close(log)
    return status, said, seconds, memory, left


def _call(arguments: list[str]) -> int:
    import io
    import sys

    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = io.TextIOWrapper(os.fdopen(number, "wb", buffering=0), errors="surrogateescape", write_through=True)
        setattr(sys, name, stream)
    from edgekit import sandbox

    if arguments[0] == "target":
        from edgekit.errors import EdgekitError
        from edgekit.target import read

        try:
            read(Path(arguments[1]))
        except EdgekitError as error:
            return cli._failed(error, False)
        return 0
    status = cli.invoke(arguments)
    sandbox.shutdown()
    return status


def _left() -> list[str]:
    """What still runs below this process after a moment; it is ended."""
    for _ in range(40):
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        found = _below(os.getpid())
        if not found:
            return []
        time.sleep(0.1)
    names = []
    for process in found:
        with contextlib.suppress(OSError):
            names.append(Path(f"/proc/{process}/comm").read_text().strip())
            os.kill(process, signal.SIGKILL)
    return names


def _below(pid: int) -> list[int]:
    found: list[int] = []
    waiting = [pid]
    while waiting:
        process = waiting.pop()
        for task in _read(f"/proc/{process}/task", list_them=True).split():
            children = [int(word) for word in _read(f"/proc/{process}/task/{task}/children").split()]
            found += children
            waiting += children
    return found


def _read(path: str, *, list_them: bool = False) -> str:
    try:
        return " ".join(os.listdir(path)) if list_them else Path(path).read_text()
    except OSError:
        return ""


def _memory(pid: int) -> int:
    match = re.search(r"RssAnon:\s+(\d+) kB", _read(f"/proc/{pid}/status"))
    return int(match[1]) << 10 if match else 0
