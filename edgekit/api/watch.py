"""Decide on the pictures that arrive in a folder, with one session that stays open."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from edgekit import bundle as bundles
from edgekit import runners
from edgekit.api.verify import default_runner
from edgekit.bundle import Bundle
from edgekit.data import dataset, images
from edgekit.data.arrivals import Arrivals
from edgekit.data.spec import PIXELS
from edgekit.errors import UsageError
from edgekit.progress import Progress, Silent
from edgekit.runners import RunOptions, Session
from edgekit.tasks.decisions import Decision, decide
from edgekit.tasks.parts import Sample
from edgekit.tasks.picture import Picture
from edgekit.tasks.task import Task
from edgekit.text.system import explained

POLL = 0.1
"""Seconds between two looks at the folder."""


def watch(
    path: str | Path,
    folder: str | Path,
    told: Callable[[Decision], None],
    *,
    on: str | None = None,
    decisions: str | Path | None = None,
    threads: int = 1,
    progress: Progress = Silent(),
) -> int:
    """Decide on each picture in a folder, those that are there first, until Ctrl-C; return how many there were.

    A picture that cannot be read is told as a warning, and the next one is waited for.

    :param told: gets each decision. :param decisions: add a line of JSON to this file for each.
    :raises UsageError: if the bundle has no task, or the folder cannot be read.
    """
    with bundles.opened(Path(path)) as bundle, _lines(decisions) as lines:
        if bundle.task is None or not isinstance(bundle.task.source, Picture):
            raise UsageError(
                "the bundle has no task that takes pictures", "compile the model with a task.toml (docs/tasks.md)"
            )
        arrivals = Arrivals(Path(folder), images.SUFFIXES)
        arrivals.ready()
        on = on or default_runner(bundle)
        count = 0
        with runners.opened(runners.get(on), bundle) as session:
            progress.note(f"waiting for pictures in {folder}, until Ctrl-C")
            try:
                while True:
                    for file in arrivals.ready():
                        decision = _decided(bundle, bundle.task, session, file, threads, progress)
                        if decision is None:
                            continue
                        count += 1
                        if lines is not None:
                            lines.write(json.dumps(decision.json()) + "\n")
                            lines.flush()
                        told(decision)
                    time.sleep(POLL)
            except KeyboardInterrupt:
                return count


@contextmanager
def _lines(path: str | Path | None) -> Iterator[IO[str] | None]:
    if path is None:
        yield None
        return
    try:
        with Path(path).open("a") as file:
            yield file
    except OSError as error:
        raise explained(error, Path(path).parent, "--decisions") from error


def _decided(
    bundle: Bundle, task: Task, session: Session, file: Path, threads: int, progress: Progress
) -> Decision | None:
    """The decision on a picture; None, after a warning, if it cannot be read."""
    assert isinstance(task.source, Picture)
    graph = bundle.graph
    try:
        made = images.load([file], file, graph, PIXELS, picture=task.source)
    except UsageError as error:
        progress.warn(error.message)
        return None
    inputs = dataset.as_network_inputs(dataset.Dataset([made.values]), graph)
    run = session.run(inputs, RunOptions(threads=threads))
    width, height = made.sizes[0].tolist()
    sample = Sample(file.name, [each[0] for each in inputs], (width, height))
    return decide(task, sample, [each[0] for each in run.outputs], graph)
