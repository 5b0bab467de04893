"""``edgekit-app``: decides on the pictures of a folder or a camera, or on sound, and tells how fast that is.

Needs Pillow for a folder, OpenCV or picamera2 for a camera, and arecord for a microphone.
docs/runtime.md of edgekit is the manual.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import signal
import sys
import time
from collections import deque
from collections.abc import Generator
from contextlib import ExitStack, closing
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from edgekit_runtime import Error, Network, listening, seeing

USAGE = 2
"""The status of an error that a picture itself is the reason for."""
MOST_RATE, MOST_STEP = 768_000, 3600
KEPT = 10_000
"""Latencies that the percentiles are made of: the last ones."""
UNIT = """[Unit]
Description=edgekit-app: {bundle}
After=multi-user.target

[Service]
ExecStart={command}
WorkingDirectory={folder}
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
"""


Decided = tuple[str, str, dict[str, Any], float]
"""What was decided on, the words, the fields of JSON, and the milliseconds that it took."""


def stop(why: str) -> NoReturn:
    """End with a line and status 2."""
    print(f"edgekit-app: {why}", file=sys.stderr)
    raise SystemExit(2)


def line(name: str, fields: dict[str, Any]) -> str:
    """A line of JSON, which knows no NaN: null."""
    document = {"sample": name, **fields}
    try:
        return json.dumps(document, allow_nan=False) + "\n"
    except ValueError:
        return json.dumps(_finite(document)) + "\n"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Speed:
    """Frames, or clips, per second since the last line, and how long decisions took."""

    def __init__(self, unit: str = "frames") -> None:
        self.unit = unit
        self.frames, self.total = 0, 0
        self.latency_ms: deque[float] = deque(maxlen=KEPT)
        self.since = time.monotonic()

    def add(self, milliseconds: float) -> None:
        """Count a frame."""
        self.frames += 1
        self.total += 1
        self.latency_ms.append(milliseconds)

    def line(self) -> str:
        """What is told of it."""
        now = time.monotonic()
        rate, self.frames, self.since = self.frames / max(now - self.since, 1e-9), 0, now
        if not self.latency_ms:
            return f"no {self.unit}"
        parts = np.percentile(np.array(self.latency_ms), [50, 95, 99])
        shown = ", ".join(f"{ms:.3f} ({part} %)" for ms, part in zip(parts, (50, 95, 99), strict=False))
        return f"{self.total} {self.unit}, {rate:.1f} per second; latency in ms: {shown}"


def arguments(given: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser("edgekit-app", description="Decide on pictures or sound.")
    parser.add_argument("bundle", help="a bundle's folder, or its .edgekit file")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--folder", help="pictures")
    source.add_argument("--camera", help="0, /dev/video0, or picamera2")
    source.add_argument(
        "--microphone", metavar="DEVICE", help="of ALSA, such as default or plughw:1; -: samples from standard input"
    )
    parser.add_argument("--rate", type=int, help="samples per second of --microphone (default: the network's)")
    parser.add_argument("--step", type=float, help="seconds from clip to clip (default: the task's, or half a clip)")
    parser.add_argument("--watch", action="store_true", help="with --folder: wait for more, until Ctrl-C")
    parser.add_argument("--decisions", metavar="FILE", help="add a line of JSON to this file for each frame")
    parser.add_argument("--threads", type=int, default=1, help="processor threads of an inference (default: 1)")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between lines on speed (default: 10)")
    parser.add_argument("--frames", type=int, help="end after so many, or so many clips")
    parser.add_argument("--unit", action="store_true", help="print a unit for systemd that runs this command")
    found = parser.parse_args(given)
    if found.watch and not found.folder:
        parser.error("--watch is for --folder")
    if (found.rate is not None or found.step is not None) and not found.microphone:
        parser.error("--rate and --step are for --microphone")
    rate, step = (1 if each is None else each for each in (found.rate, found.step))
    if not 1 <= rate <= MOST_RATE or not 0 < step <= MOST_STEP:
        parser.error(f"--rate is 1 to {MOST_RATE}, and --step more than 0, up to {MOST_STEP}")
    return found


def unit(given: list[str], found: argparse.Namespace) -> str:
    """A unit for systemd, with the same arguments; paths are made absolute."""
    places = {found.bundle, found.folder, found.decisions} - {None}
    words = [os.path.abspath(word) if word in places else word for word in given if word != "--unit"]
    command = shlex.join([sys.executable, "-m", "edgekit_runtime.app", *words]).replace("%", "%%").replace("$", "$$")
    return UNIT.format(bundle=os.path.basename(found.bundle.rstrip("/")), command=command, folder=os.getcwd())


def seen(found: argparse.Namespace, network: Network) -> Generator[Decided, None, None]:
    """Decide on pictures."""
    decide = seeing.DECIDERS[network.task or ""]
    frames = seeing.of_folder(found.folder, found.watch) if found.folder else seeing.of_camera(found.camera)
    with closing(frames):
        for name, picture in frames:
            begin = time.perf_counter()
            try:
                words, fields = decide(network, picture)
            except Error as error:
                if error.status != USAGE or not found.folder:
                    raise
                seeing.warn(f"{name}: {error}")  # too narrow, or too large
                continue
            yield name, words, fields, 1e3 * (time.perf_counter() - begin)


def heard(found: argparse.Namespace, network: Network) -> Generator[Decided, None, None]:
    """Decide on sound."""
    decide, late = listening.DECIDERS[network.task or ""], False
    form = listening.stream(network, found.rate, found.step)
    with listening.microphone(found.microphone, form.rate) as file:
        for clip in listening.clips(file, form, rest=network.task == listening.SPEECH):
            begin = time.perf_counter()
            words, fields = decide(network, clip, form.rate)
            took = time.perf_counter() - begin
            if took * form.rate > form.step and not late:
                late = True
                seeing.warn(
                    f"a decision took {took:.3g} s, but clips are {form.step / form.rate:.3g} s apart: sound gets lost"
                )
            yield f"{clip.number * form.step / form.rate:g} s", words, fields, 1e3 * took


def decided(found: argparse.Namespace, network: Network) -> Generator[Decided, None, None]:
    """Decide on what the bundle's task takes."""
    task = network.task or "none"
    if task not in {**seeing.DECIDERS, **listening.DECIDERS}:
        stop(f"the bundle's task is {task}; edgekit-app knows {', '.join([*seeing.DECIDERS, *listening.DECIDERS])}")
    if (task in listening.DECIDERS) != bool(found.microphone):
        stop(f"the bundle's task is {task}: name a " + ("folder or camera" if found.microphone else "microphone"))
    return heard(found, network) if found.microphone else seen(found, network)


def run(found: argparse.Namespace) -> None:
    """Decide, until the frames or Ctrl-C end it."""
    speed = Speed("clips" if found.microphone else "frames")
    try:
        with ExitStack() as stack:
            network = stack.enter_context(Network(found.bundle, threads=found.threads))
            decisions = stack.enter_context(closing(decided(found, network)))
            lines = stack.enter_context(open(found.decisions, "a")) if found.decisions else None
            for name, words, fields, milliseconds in decisions:
                speed.add(milliseconds)
                if lines:
                    lines.write(line(name, fields))
                    lines.flush()
                print(f"{name}: {words}", flush=True)
                if speed.total == found.frames:
                    break
                if time.monotonic() - speed.since >= found.every:
                    print(speed.line(), file=sys.stderr, flush=True)
    except KeyboardInterrupt:
        pass
    except (Error, OSError) as error:
        stop(str(error))
    print(speed.line(), file=sys.stderr, flush=True)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(given: list[str] | None = None) -> None:
    """The program ``edgekit-app``."""
    words = sys.argv[1:] if given is None else given
    found = arguments(words)
    if found.unit:
        print(unit(words, found), end="")
        return
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    run(found)


if __name__ == "__main__":
    main()
