"""Sound for ``edgekit-app``: what a microphone, or another program, sends, clip by clip.

A microphone is read with ALSA's program ``arecord``. docs/runtime.md of edgekit is the manual.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import numpy as np

from edgekit_runtime import Error, Network

STANDARD_INPUT = "-"
BYTES = 2
"""Of a sample: 16-bit integers, little-endian, of one channel."""

ENDING = 1.0
"""Seconds in which a program that has no more sound ends."""
SPEECH = "speech-to-text"

Shape = tuple[str, Any]


class Stream(NamedTuple):
    """What is heard: ``length`` samples at once, ``step`` from one clip to the next, ``rate`` per second."""

    rate: int
    length: int
    step: int


class Heard(NamedTuple):
    """A clip: int16 samples, its number, and whether the sound ends with it."""

    samples: np.ndarray
    number: int
    last: bool


def stream(network: Network, rate: int | None, step: float | None) -> Stream:
    """What to read for a network.

    :param rate: of the sound; default: the network's, to which others are resampled.
    :param step: seconds from clip to clip; default: the task's ``step``, or half a clip.
    :raises Error: if the task says how far clips are apart, and ``step`` says it, too.
    """
    clip = network.clip
    rate = rate or clip.rate
    length = -(-clip.length * rate // clip.rate)
    if step is not None and clip.step and network.task == SPEECH:
        raise Error(2, f"the bundle's clips are {clip.step / clip.rate:g} s apart: omit --step")
    if step is not None:
        return Stream(rate, length, max(1, round(step * rate)))
    if clip.step:
        return Stream(rate, length, max(1, round(clip.step * rate / clip.rate)))
    return Stream(rate, length, length if network.task == SPEECH else max(1, length // 2))


@contextmanager
def microphone(device: str, rate: int) -> Iterator[Any]:
    """The samples that a microphone sends, as a file of bytes; ``-``: standard input.

    :raises Error: if ``arecord`` is missing, or failed.
    """
    if device == STANDARD_INPUT:
        yield sys.stdin.buffer
        return
    command = ["arecord", "-q", "-t", "raw", "-f", "S16_LE", "-c", "1", "-r", str(rate), "-D", device]
    try:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    except FileNotFoundError:
        raise Error(2, "a microphone needs arecord: sudo apt-get install alsa-utils") from None
    with process:
        try:
            yield process.stdout
            with suppress(subprocess.TimeoutExpired):
                process.wait(ENDING)
            if process.returncode:
                raise Error(6, f"arecord failed with status {process.returncode}")
        finally:
            process.terminate()


def clips(file: Any, form: Stream, rest: bool) -> Generator[Heard, None, None]:
    """Cut samples into clips, until they end.

    :param rest: what is left after the last whole clip is one more, followed by silence; it is the last one.
    """
    held = np.zeros(0, np.int16)
    number, skipped = 0, 0
    while True:
        wanted = form.length - len(held) + skipped
        data = file.read(BYTES * wanted)
        more = np.frombuffer(data[: len(data) // BYTES * BYTES], "<i2")
        held = np.concatenate([held, more[skipped:]])
        if len(more) < wanted:
            break
        yield Heard(held, number, False)
        number += 1
        skipped = max(0, form.step - form.length)
        held = held[form.step :]
    if len(held) and (rest or not number):
        yield Heard(np.concatenate([held, np.zeros(form.length - len(held), np.int16)]), number, True)


def classes(network: Network, heard: Heard, rate: int) -> Shape:
    """The decision of a network for keywords: the words, and the fields of JSON."""
    found = network.hear(heard.samples, rate)
    return ", ".join(f"{one.label} {one.score:.3g}" for one in found), {"classes": [one._asdict() for one in found]}


def anomaly(network: Network, heard: Heard, rate: int) -> Shape:
    """How unusual a clip is."""
    found = network.anomaly(heard.samples, rate)
    return f"{'anomalous' if found.anomalous else 'normal'}, score {found.score:.4g}", found._asdict()


def transcript(network: Network, heard: Heard, rate: int) -> Shape:
    """What a clip adds to what was said; where clips do not go on from each other, all that was said in it."""
    alone = not network.clip.step
    found = network.follow(heard.samples, rate, 0 if alone else heard.number, alone or heard.last)
    return found.text, {"text": found.text, "labels": [one._asdict() for one in found.labels]}


DECIDERS: dict[str, Callable[[Network, Heard, int], Shape]] = {
    "keyword": classes,
    "anomaly": anomaly,
    SPEECH: transcript,
}
