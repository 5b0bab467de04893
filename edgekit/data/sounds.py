"""A folder of WAV files as samples: each clip of a recording is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data import images, npz, transcripts, wav
from edgekit.data.wav import Recording
from edgekit.errors import UsageError
from edgekit.progress import Progress
from edgekit.tasks import resample
from edgekit.tasks.anomaly import NORMAL, Anomaly
from edgekit.tasks.classifier import Classifier
from edgekit.tasks.features import clip
from edgekit.tasks.sound import Sound
from edgekit.tasks.task import Task
from edgekit.tasks.transcriber import Transcriber

if TYPE_CHECKING:
    from edgekit.graph import Tensor


@dataclass(frozen=True)
class Listed:
    """Recordings, sorted.

    :param truth: their classes, int64 ``[n]``, or what is said in them, ``[n]`` of str; None in a flat folder without
        transcripts, and for a single file.
    """

    files: list[Path]
    truth: NDArray[Any] | None


@dataclass(frozen=True)
class Clips:
    """Clips of recordings.

    :param values: ``[n, *tensor shape]``. :param recordings: which file each is of, int64 ``[n]``.
    :param names: the recording's name; of a clip that is not its first, with the time at which it begins.
    """

    values: NDArray[Any]
    recordings: NDArray[np.int64]
    names: NDArray[Any]


def holds_sounds(name: str, task: Task | None) -> bool:
    """True if this is a folder or a WAV file, and the task takes sound."""
    path = Path(name)
    return (
        task is not None and isinstance(task.source, Sound) and bool(name)
        and (path.is_dir() or (path.is_file() and path.suffix.lower() == wav.SUFFIX))
    )  # fmt: skip


def listed(path: Path, task: Task) -> Listed:
    """List the WAV files of a folder, and the class of each by the folder that it is in, or what is said in it.

    :raises UsageError: if there are none, or folders are not called as the task's classes.
    """
    if path.is_file():
        return Listed([path], None)
    if isinstance(task.decider, Transcriber):
        return _said(path)
    files, numbers = images.listed(path, (wav.SUFFIX,), "WAV files")
    if numbers is None:
        return Listed(files, None)
    names = sorted({file.parent.name for file in files})
    return Listed(files, _classes(path, names, task)[numbers])


def _said(path: Path) -> Listed:
    found = transcripts.read(path)
    if found is None:
        return Listed(images.listed(path, (wav.SUFFIX,), "WAV files")[0], None)
    return Listed([file for file, _ in found], np.array([text for _, text in found], object))


def _classes(path: Path, names: Sequence[str], task: Task) -> NDArray[np.int64]:
    """The class of each folder."""
    if isinstance(task.decider, Anomaly):
        if NORMAL not in names:
            raise UsageError(f"{path}: none of its folders is called {NORMAL!r}", "sounds in all others are anomalous")
        return np.array([name != NORMAL for name in names], np.int64)
    labels = task.decider.labels if isinstance(task.decider, Classifier) else ()
    if not labels:
        return np.arange(len(names))
    for name in names:
        if name not in labels:
            raise UsageError(
                f"{path}: the folder {name!r} is not among the task's labels", f"they are {', '.join(labels[:20])}"
            )
    return np.array([labels.index(name) for name in names], np.int64)


def material(files: Sequence[Path], sound: Sound, most: int) -> list[Recording]:
    """What a network hears of recordings, their first clips: one channel in int16 each, of at most ``most`` samples."""
    made = []
    for file in files:
        found = wav.read(file)
        count = min(most, 1 + sound.length * found.rate // sound.rate)
        samples = np.rint(clip(found.samples[:count]) * 32768)
        made.append(Recording(found.rate, np.clip(samples, -32768, 32767).astype(np.int16)[:, np.newaxis]))
    return made


def clips_of(file: Path, recording: Recording, sound: Sound) -> int:
    """How many clips a recording has.

    :raises UsageError: if its rate has nothing to do with the task's.
    """
    try:
        return sound.clips(resample.count(len(recording.samples), recording.rate, sound.rate))
    except resample.Unrelated as error:
        raise UsageError(f"{file}: {error}", f"resample it: sox {file.name} -r {sound.rate} out.wav") from error


def load(files: Sequence[Path], base: Path, sound: Sound, tensor: Tensor, progress: Progress) -> Clips:
    """Read recordings, as the network hears them.

    :param base: the folder that names are relative to.
    :raises UsageError: with one line, if one cannot be read, or its rate has nothing to do with the task's.
    """
    progress.step(f"reading {len(files)} recordings")
    values: list[NDArray[Any]] = []
    names: list[str] = []
    room = npz.MAX_BYTES
    for number, file in enumerate(files, 1):
        recording = wav.read(file)
        count = clips_of(file, recording, sound)
        room -= count * (tensor.elements * 4 + sound.length * 8)
        if room < 0:
            raise UsageError(f"{base}: its sounds need more than {npz.MAX_BYTES >> 30} GiB", "use fewer")
        values.append(sound.values(clip(recording.samples), tensor, recording.rate))
        name = file.relative_to(base).as_posix()
        names += [name, *(f"{name} at {k * sound.step / sound.rate:g} s" for k in range(1, count))]
        progress.advance(number, len(files))
    recordings = np.repeat(np.arange(len(files)), [len(each) for each in values])
    return Clips(np.concatenate(values), recordings, np.array(names))
