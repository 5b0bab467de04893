"""``--backend auto``: compile with each backend that can, compare by the best evidence at hand, keep the fastest."""

from __future__ import annotations

import os
import shutil
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import backends
from edgekit import bundle as bundles
from edgekit.api.profile import profile
from edgekit.bundle import writing
from edgekit.errors import BY_NAME, EdgekitError, ModelError, ToolMissing, UsageError
from edgekit.files import temporary
from edgekit.progress import Progress
from edgekit.runners import Observes
from edgekit.runners import get as get_runner

if TYPE_CHECKING:
    from edgekit.api.compile import Compiled
    from edgekit.api.job import Job
    from edgekit.backends import Backend, Planned, Unsupported
    from edgekit.target import Target

ROUNDS, REPEAT = 5, 40
"""On a machine that measures, the candidates take turns, so that its moods strike all alike."""
REFEREES = ("emulator", "host")
"""Runners that need no device and whose figures of different backends compare, the best first."""
Plans = dict[str, "Planned | list[Unsupported]"]
"""By backend: its plan, or why it has none."""
Build = Callable[["Job", "Backend", "Planned", Path, bool, Progress], "Compiled"]


@dataclass
class _Candidate:
    """One backend's bundle, or why there is none; its latency by the evidence."""

    backend: str
    made: Compiled | None = None
    reason: str = ""
    error: EdgekitError | None = None
    latency_ms: float | None = None

    def json(self) -> dict[str, Any]:
        return {"backend": self.backend, "latency_ms": self.latency_ms, "reason": self.reason or None}


def threads_for(board: Target, threads: int | None) -> int:
    """Return the number of threads to compare backends with: what is asked for, else all of the board's cores.

    :raises UsageError: if the board has fewer cores.
    """
    here = len(os.sched_getaffinity(0)) if board.arch == "native" else board.cores
    if threads is not None and threads > max(here, 1):
        raise UsageError(f"{board.name} has {here} cores, not {threads}", f"pass --threads {here}, or omit it")
    return threads or max(1, min(board.cores, here))


def fastest(
    build: Build, job: Job, board: Target, plans: Plans, out: Path, pack: bool, threads: int, progress: Progress
) -> Compiled:  # fmt: skip
    """Make the bundle of the fastest backend that passes parity; its manifest says why, under ``choice``.

    :param build: makes and proves one bundle. :param plans: of each backend. :param threads: that an inference may use.
    :raises EdgekitError: with every backend's reason, if none can: of the first one's kind.
    """
    start = time.monotonic()
    with temporary.folder(out) as scratch:
        candidates = [
            _candidate(build, name, plan, job, scratch, progress) for name, plan in plans.items() if name != "null"
        ]
        ready = [c for c in candidates if c.made is not None]
        if not ready:
            reasons = "; ".join(f"{c.backend}: {c.reason}" for c in candidates)
            error = next((c.error for c in candidates if c.error is not None), None)
            kind, hint = (
                (BY_NAME.get(type(error).__name__, ModelError), error.hint)
                if error
                else (ModelError, "change the network or the target")
            )
            raise kind(f"cannot be compiled for {board.name}: {reasons}", hint)
        evidence = _measure(ready, board, threads, progress) if len(ready) > 1 else "only one could"
        best = min(ready, key=lambda c: c.latency_ms if c.latency_ms is not None else 0.0)
        choice = {"evidence": evidence, "threads": threads, "candidates": [c.json() for c in candidates]}
        progress.note(f"{board.name}: {_words(candidates, best, evidence, threads)}")
        return _kept(best, choice, out, pack, time.monotonic() - start)


def _candidate(
    build: Build, name: str, planned: Planned | list[Unsupported], job: Job, scratch: Path, progress: Progress
) -> _Candidate:  # fmt: skip
    if isinstance(planned, list):
        return _Candidate(name, reason=planned[0].words())
    folder = scratch / name
    folder.mkdir()
    try:
        return _Candidate(name, build(job, backends.get(name, job.options), planned, folder, False, progress))
    except EdgekitError as error:
        return _Candidate(name, reason=error.message, error=error)


def _measure(ready: list[_Candidate], board: Target, threads: int, progress: Progress) -> str:
    """Give each candidate its latency; say what the evidence is. Without any, the target's order decides."""
    on = next((name for name in REFEREES if name in board.runners), "")
    rounds = 0 if not on else ROUNDS if get_runner(on).observes is Observes.TIMES else 1
    found: dict[str, list[float]] = {c.backend: [] for c in ready}
    try:
        for _ in range(rounds):
            for candidate in ready:
                assert candidate.made is not None
                seen = profile(candidate.made.path, on=on, threads=threads, repeat=REPEAT, progress=progress)
                found[candidate.backend].append(seen.latency_ms.value)
    except ToolMissing as error:
        progress.warn(f"{board.name}: backends are not compared: {error.message}; {error.hint}")
        return "none: the target's first backend"
    if not on:
        return "none: the target's first backend"
    for candidate in ready:
        candidate.latency_ms = statistics.median(found[candidate.backend])
    return on


def _kept(best: _Candidate, choice: dict[str, Any], out: Path, pack: bool, seconds: float) -> Compiled:
    """Move the bundle to its place, with the choice in its manifest."""
    assert best.made is not None
    final = out / best.made.path.name
    with writing.folder(final, packed=pack) as folder:
        shutil.copytree(best.made.path, folder, dirs_exist_ok=True)
        manifest = {**best.made.manifest, "choice": choice}
        (folder / "manifest.json").unlink()
        writing.finish(folder, manifest)
        finished = bundles.load(folder).manifest
    return replace(best.made, path=final, manifest=finished, seconds=seconds)


def _words(candidates: list[_Candidate], best: _Candidate, evidence: str, threads: int) -> str:
    said = [
        f"{c.backend} {c.latency_ms:.3g} ms" if c.latency_ms is not None else f"{c.backend}: {c.reason or 'compiled'}"
        for c in candidates
    ]
    several = f", {threads} threads" if threads > 1 else ""
    return f"kept {best.backend} ({evidence}{several}): {', '.join(said)}"
