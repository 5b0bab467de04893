"""What a training step costs in edgekit, beside the same network trained natively in Keras, and with two workers.

Each round measures every way once, one after the other, so that whatever else the machine does meets all of them.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit import plugins
from edgekit.api.load import load
from edgekit.data.dataset import Dataset
from edgekit.passes import PassContext
from edgekit.progress import Silent

Moment = tuple[int, float, float, int]
"""Steps done, seconds, processor seconds, and of which process."""
WARM = 10
"""Steps that are not counted: the first ones build the graph."""


@dataclass(frozen=True)
class Cost:
    """Of one training: medians of milliseconds a step over windows of half a second, and the largest memory."""

    wall_ms: float
    processor_ms: float
    peak_mb: float


def cost(moments: Sequence[Moment], peak_kb: float) -> Cost:
    """:raises ValueError: if the training was too short to say."""
    own = [m for m in moments if m[0] >= WARM and m[2] > 0 and m[3] == moments[-1][3]]  # a child that ended says 0
    pairs = [(a, b) for a, b in itertools.pairwise(own) if b[0] > a[0]]
    if not pairs:
        raise ValueError("the training was over before it could be timed; give more epochs")
    wall = statistics.median((b[1] - a[1]) / (b[0] - a[0]) for a, b in pairs)
    first, last = pairs[0][0], pairs[-1][1]
    return Cost(1e3 * wall, 1e3 * (last[2] - first[2]) / (last[0] - first[0]), peak_kb * 1.024e-3)


def keras(model: Path, digits: int, epochs: int, batch: int) -> Cost:
    """Train natively, in a process and a session of its own, as edgekit's children are: schedulers share by session."""
    command = [sys.executable, Path(__file__).with_name("keras_program.py"), model, digits, epochs, batch]
    done = subprocess.run(
        list(map(str, command)), check=True, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    *lines, end = [json.loads(line) for line in done.stdout.splitlines() if line[:1] in b"[{"]
    return cost([(*line, 0) for line in lines], end["peak_kb"])


def edgekit(model: Path, data: Dataset, name: str, params: dict[str, Any], workers: str = "1") -> Cost:
    """Train with the pass ``name``, and watch its children."""
    graph = load(model)
    watch = _Watch()
    context = PassContext(data=data, params=params, workers=workers, progress=watch, source=graph)
    with watch:
        plugins.get("passes", name).apply(graph, context)
    return cost(watch.moments, watch.peak_kb)


class _Watch(Silent):
    """A Progress that notes when steps are done, and, from a thread, how much memory the largest child holds."""

    def __init__(self) -> None:
        self._moments: dict[int, list[Moment]] = {}
        self.peak_kb = 0.0
        self._largest, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *unused: object) -> None:
        self._over.set()
        self._thread.join()

    def advance(self, done: int, total: int) -> None:
        moment = done, time.monotonic(), _processor_seconds(self._largest), self._largest
        self._moments.setdefault(total, []).append(moment)

    @property
    def moments(self) -> list[Moment]:
        """Those of the training: it has the most steps of all that is counted here."""
        return self._moments[max(self._moments)]

    def _look(self) -> None:
        while not self._over.wait(0.1):
            for pid in _descendants():
                peak = _peak_kb(pid)
                if peak > self.peak_kb:
                    self.peak_kb, self._largest = peak, pid


def _descendants() -> list[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int(re.search(r"\) \S (\d+)", (folder / "stat").read_text())[1])  # type: ignore[index]
        except (OSError, TypeError):
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found, waiting = [], [os.getpid()]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _peak_kb(pid: int) -> float:
    try:
        match = re.search(r"VmHWM:\s*(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return float(match[1]) if match else 0.0


def _processor_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
