"""Pictures for ``edgekit-app``: of a folder, or of a camera."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np

from edgekit_runtime import Class, Detection, Error, Network

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".pgm")
SETTLED = 0.4
"""Seconds for which a file that arrives must not have changed."""
POLL = 0.1

Frame = tuple[str, np.ndarray]
Shape = tuple[str, Any]


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
        raise Error(2, "a folder needs Pillow: sudo apt-get install python3-pil") from None
    seen: dict[str, float] = {}
    while True:
        try:
            with os.scandir(folder) as entries:
                there = sorted(e.name for e in entries if e.name.lower().endswith(ENDINGS) and e.name[0] != ".")
        except OSError as error:
            raise Error(2, f"{folder} cannot be read: {error.strerror}") from error
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
        raise Error(2, "there is no picamera2: sudo apt-get install python3-picamera2") from None
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
        raise Error(2, "a camera needs OpenCV: sudo apt-get install python3-opencv") from None
    camera = cv2.VideoCapture(int(name) if name.isdigit() else name)
    try:
        if not camera.isOpened():
            raise Error(2, f"the camera {name} cannot be opened")
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
