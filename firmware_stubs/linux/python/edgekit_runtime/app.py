"""``edgekit-app``: decides on the pictures of a folder or a camera, and tells how fast that is.

Needs Pillow for a folder, and OpenCV or picamera2 for a camera. docs/runtime.md of edgekit is the manual.
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
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, closing
from types import FrameType
from typing import Any, NoReturn

import numpy as np

from edgekit_runtime import Class, Detection, Error, Network

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".pgm")
SETTLED = 0.4
"""Seconds for which a file that arrives must not have changed."""
POLL = 0.1
USAGE = 2
"""The status of an error that a picture itself is the reason for."""
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

Frame = tuple[str, np.ndarray]
Shape = tuple[str, Any]


def stop(why: str) -> NoReturn:
    """End with a line and status 2."""
    print(f"edgekit-app: {why}", file=sys.stderr)
    raise SystemExit(2)


def warn(what: str) -> None:
    """Print a warning."""
    print(f"warning: {what}", file=sys.stderr, flush=True)


def opened(path: str) -> np.ndarray | None:
    """A picture file as RGB bytes ``[h, w, 3]``, upright; None, after a warning, if it cannot be read."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except Exception as error:  # decoders raise whatever they like on a damaged file
        warn(f"{path} is no picture that can be read ({type(error).__name__})")
        return None


def of_folder(folder: str, watch: bool) -> Generator[Frame, None, None]:
    """The pictures in a folder, by their names; with ``watch`` also those that arrive, for ever."""
    try:
        import PIL  # noqa: F401
    except ImportError:
        stop("a folder needs Pillow: sudo apt-get install python3-pil")
    seen: dict[str, float] = {}
    while True:
        try:
            with os.scandir(folder) as entries:
                there = sorted(e.name for e in entries if e.name.lower().endswith(ENDINGS) and e.name[0] != ".")
        except OSError as error:
            stop(f"{folder} cannot be read: {error.strerror}")
        seen = {name: seen[name] for name in there if name in seen}
        for name in there:
            path = os.path.join(folder, name)
            try:
                changed = os.stat(path).st_mtime
            except OSError:
                continue
            if seen.get(name) == changed or not os.path.isfile(path) or (watch and time.time() - changed < SETTLED):
                continue
            seen[name] = changed
            picture = opened(path)
            if picture is not None:
                yield name, picture
        if not watch:
            return
        time.sleep(POLL)


def of_camera(name: str) -> Generator[Frame, None, None]:
    """The frames of ``picamera2``, or of a V4L2 camera: a number, or a file in /dev."""
    reader = _picamera if name == "picamera2" else _video
    for number, frame in enumerate(reader(name)):
        yield str(number), frame


def _picamera(name: str) -> Iterator[np.ndarray]:
    try:
        from picamera2 import Picamera2
    except ImportError:
        stop("there is no picamera2: sudo apt-get install python3-picamera2")
    camera = Picamera2()
    camera.configure(camera.create_video_configuration(main={"format": "BGR888"}))  # as arrays these are in RGB
    camera.start()
    try:
        while True:
            yield camera.capture_array()
    finally:
        camera.stop()


def _video(name: str) -> Iterator[np.ndarray]:
    try:
        import cv2
    except ImportError:
        stop("a camera needs OpenCV: sudo apt-get install python3-opencv")
    camera = cv2.VideoCapture(int(name) if name.isdigit() else name)
    try:
        if not camera.isOpened():
            stop(f"the camera {name} cannot be opened")
        while True:
            there, frame = camera.read()
            if not there:
                return
            yield np.ascontiguousarray(frame[:, :, ::-1])
    finally:
        camera.release()


def classes(network: Network, picture: np.ndarray) -> Shape:
    """The decision of a classifier: the words, and the fields of JSON."""
    found = network.classify(picture)
    return ", ".join(map(_words, found)), {"classes": [one._asdict() for one in found]}


def detections(network: Network, picture: np.ndarray) -> Shape:
    """The decision of a detector."""
    found = network.detect(picture)
    return ", ".join(map(_words, found)) or "nothing", {"detections": [one._asdict() for one in found]}


def mask(network: Network, picture: np.ndarray) -> Shape:
    """The decision of a network for segmentation."""
    made = network.segment(picture)
    flat = made.reshape(-1)
    begins = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    runs = np.stack([flat[begins], np.diff(np.append(begins, len(flat)))], axis=1)
    counts = [(int(n), int((flat == n).sum()), network.mask_label(int(n))) for n in np.unique(flat)]
    most = sorted(counts, key=lambda one: -one[1])
    every = [{"number": n, "label": label, "pixels": count} for n, count, label in counts]
    fields = {"width": made.shape[1], "height": made.shape[0], "classes": every, "runs": runs.tolist()}
    return ", ".join(f"{label} {count / len(flat):.1%}" for _, count, label in most), {"mask": fields}


def neighbours(network: Network, picture: np.ndarray) -> Shape:
    """The decision of an embedding."""
    found = network.recognize(picture, most=65536)
    label = found[0].label if found and found[0].known else None
    listed = ", ".join(f"{one.label} {one.cosine:.3g}" for one in found)
    words = listed if label is not None else f"unknown (nearest: {listed})" if found else "unknown"
    every = [one._asdict() for one in found]
    return words, {"label": label, "neighbours": every, "vector": network.embed().astype(float).tolist()}


def _words(one: Class | Detection) -> str:
    words = f"{one.label} {one.score:.3g}"
    return words if isinstance(one, Class) else f"{words} at {' '.join(str(round(side)) for side in one[3:])}"


DECIDERS: dict[str, Callable[[Network, np.ndarray], Shape]] = {
    "classification": classes, "detection": detections, "embedding": neighbours, "segmentation": mask,
}  # fmt: skip


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
    """Frames per second since the last line, and how long decisions took."""

    def __init__(self) -> None:
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
            return "no frames"
        parts = np.percentile(np.array(self.latency_ms), [50, 95, 99])
        shown = ", ".join(f"{ms:.3f} ({part} %)" for ms, part in zip(parts, (50, 95, 99), strict=False))
        return f"{self.total} frames, {rate:.1f} per second; latency in ms: {shown}"


def arguments(given: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser("edgekit-app", description="Decide on the pictures of a folder or a camera.")
    parser.add_argument("bundle", help="a bundle's folder, or its .edgekit file")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--folder", help="pictures")
    source.add_argument("--camera", help="0, /dev/video0, or picamera2")
    parser.add_argument("--watch", action="store_true", help="with --folder: wait for more, until Ctrl-C")
    parser.add_argument("--decisions", metavar="FILE", help="add a line of JSON to this file for each frame")
    parser.add_argument("--threads", type=int, default=1, help="processor threads of an inference (default: 1)")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between lines on speed (default: 10)")
    parser.add_argument("--frames", type=int, help="end after so many")
    parser.add_argument("--unit", action="store_true", help="print a unit for systemd that runs this command")
    found = parser.parse_args(given)
    if found.watch and not found.folder:
        parser.error("--watch is for --folder")
    return found


def unit(given: list[str], found: argparse.Namespace) -> str:
    """A unit for systemd, with the same arguments; paths are made absolute."""
    places = {found.bundle, found.folder, found.decisions} - {None}
    words = [os.path.abspath(word) if word in places else word for word in given if word != "--unit"]
    command = shlex.join([sys.executable, "-m", "edgekit_runtime.app", *words]).replace("%", "%%").replace("$", "$$")
    return UNIT.format(bundle=os.path.basename(found.bundle.rstrip("/")), command=command, folder=os.getcwd())


def run(found: argparse.Namespace) -> None:
    """Decide, until the frames or Ctrl-C end it."""
    speed = Speed()
    try:
        with ExitStack() as stack:
            network = stack.enter_context(Network(found.bundle, threads=found.threads))
            decide = DECIDERS.get(network.task or "")
            if decide is None:
                stop(f"the bundle's task is {network.task or 'none'}; edgekit-app knows {', '.join(DECIDERS)}")
            lines = stack.enter_context(open(found.decisions, "a")) if found.decisions else None
            frames = of_folder(found.folder, found.watch) if found.folder else of_camera(found.camera)
            stack.enter_context(closing(frames))
            for name, picture in frames:
                begin = time.perf_counter()
                try:
                    words, fields = decide(network, picture)
                except Error as error:
                    if error.status != USAGE or not found.folder:
                        raise
                    warn(f"{name}: {error}")  # too narrow, or too large
                    continue
                speed.add(1e3 * (time.perf_counter() - begin))
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
