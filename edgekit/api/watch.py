"""Decide on the pictures or recordings that arrive in a folder, with one session that stays open."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from edgekit import bundle as bundles
from edgekit import runners
from edgekit.api.verify import default_runner
from edgekit.bundle import Bundle
from edgekit.data import dataset, images, sounds, wav
from edgekit.data.arrivals import Arrivals
from edgekit.data.spec import PIXELS
from edgekit.errors import UsageError
from edgekit.progress import Progress, Silent
from edgekit.runners import RunOptions, Session
from edgekit.tasks.decisions import Decision, decide, of_recordings
from edgekit.tasks.parts import Sample
from edgekit.tasks.picture import Picture
from edgekit.tasks.sound import Sound
from edgekit.tasks.task import Task
from edgekit.text.system import explained

if TYPE_CHECKING:
    from edgekit.graph import Graph

POLL = 0.1
"""Seconds between two looks at the folder."""
MOST_CLIPS = 10_000
"""Of a recording, so that one cannot hold up those behind it: at a step of a second, three hours."""


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
    """Decide on each picture or recording in a folder, those that are there first, until Ctrl-C; return how many.

    One that cannot be read is told as a warning, and the next one is waited for.

    :param told: gets each decision. :param decisions: add a line of JSON to this file for each.
    :raises UsageError: if the bundle has no task, or the folder cannot be read.
    """
    with bundles.opened(Path(path)) as bundle, _lines(decisions) as lines:
        if bundle.task is None or not isinstance(bundle.task.source, Picture | Sound):
            raise UsageError(
                "the bundle has no task that takes pictures or sound",
                "compile the model with a task.toml (docs/tasks.md)",
            )
        heard = isinstance(bundle.task.source, Sound)
        arrivals = Arrivals(Path(folder), (wav.SUFFIX,) if heard else images.SUFFIXES)
        arrivals.ready()
        on = on or default_runner(bundle)
        count = 0
        with runners.opened(runners.get(on), bundle) as session:
            progress.note(f"waiting for {'recordings' if heard else 'pictures'} in {folder}, until Ctrl-C")
            try:
                while True:
                    for file in arrivals.ready():
                        made = _decided(bundle, bundle.task, session, file, threads, progress)
                        count += bool(made)
                        for decision in made:
                            if lines is not None:
                                lines.write(decision.line())
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
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("a"))
        except OSError as error:
            raise explained(error, Path(path).parent, "--decisions") from error
        yield file


def _decided(
    bundle: Bundle, task: Task, session: Session, file: Path, threads: int, progress: Progress
) -> list[Decision]:
    """The decision on a picture, or on a recording or its clips; none, after a warning, if it cannot be read."""
    graph = bundle.graph
    try:
        samples = _read(task, file, graph)
    except UsageError as error:
        progress.warn(error.message)
        return []
    inputs = dataset.as_network_inputs(samples, graph)
    run = session.run(inputs, RunOptions(threads=threads))
    names = [file.name] if samples.names is None else samples.names.tolist()
    sizes = [None] * len(names) if samples.sizes is None else [(w, h) for w, h in samples.sizes.tolist()]
    made = []
    for row, (name, size) in enumerate(zip(names, sizes, strict=True)):
        sample = Sample(name, [each[row] for each in inputs], size)
        made.append(decide(task, sample, [each[row] for each in run.outputs], graph))
    return made if samples.recordings is None else of_recordings(task, made, samples.recordings.tolist())


def _read(task: Task, file: Path, graph: Graph) -> dataset.Dataset:
    if not isinstance(task.source, Picture):
        assert isinstance(task.source, Sound)
        clips = sounds.clips_of(file, wav.read(file), task.source)
        if clips > MOST_CLIPS:
            raise UsageError(f"{file}: it has {clips} clips, and --watch takes up to {MOST_CLIPS} of a file")
        return dataset.load(str(file), graph, task=task)
    made = images.load([file], file, graph, PIXELS, picture=task.source)
    return dataset.Dataset([made.values], sizes=made.sizes)
