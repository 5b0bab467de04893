"""Pictures with true boxes: annotations in COCO's JSON, or YOLO's text files beside the pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.files import documents
from edgekit.tasks.detector import Detector

if TYPE_CHECKING:
    from edgekit.tasks.task import Task

JSON = ".json"
IMAGES, LABELS, NAMES = "images", "labels", "classes.txt"
_MOST_BYTES, _MOST_VALUES = 1 << 30, 50_000_000
_MOST_TEXT, _MOST_LINES = 4 << 20, 10_000


@dataclass(frozen=True)
class Boxes:
    """Boxes of one picture, true or detected.

    :param corners: left, top, right, bottom, in one unit, float64 ``[n, 4]``. :param classes: int64 ``[n]``.
    :param scores: of detections, float64 ``[n]``. :param crowd: true boxes around many objects, bool ``[n]``: what
        lies in one is neither right nor wrong.
    """

    corners: NDArray[np.float64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64] | None = None
    crowd: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Annotated:
    """Pictures and their true boxes, in the same order.

    :param fractions: corners are shares of the picture's sides, not pixels.
    """

    files: list[Path]
    boxes: list[Boxes]
    fractions: bool

    def in_pixels(self, number: int, size: tuple[int, int]) -> Boxes:
        """The boxes of a picture of ``size``, width and height, in its pixels."""
        found = self.boxes[number]
        if not self.fractions:
            return found
        return Boxes(found.corners * np.array([*size, *size], np.float64), found.classes)


def is_annotated(path: Path) -> bool:
    """True if this is COCO's JSON, or a folder in YOLO's form: ``images`` and ``labels``."""
    if path.is_dir():
        return (path / IMAGES).is_dir() and (path / LABELS).is_dir()
    return path.suffix.lower() == JSON


def read(path: Path, task: Task | None, pictures: Sequence[Path]) -> Annotated:
    """Read annotations for a detector.

    :param pictures: those of a folder in YOLO's form, in their order.
    :raises UsageError: one line on what is wrong: a file, or classes that are not the task's.
    """
    detector = None if task is None else task.decider
    if not isinstance(detector, Detector):
        raise UsageError(f"{path}: boxes are for detectors", "compile the model with a task.toml (docs/tasks.md)")
    return _coco(path, detector) if path.is_file() else _yolo(path, detector, pictures)


def _coco(path: Path, detector: Detector) -> Annotated:
    """COCO's format: https://cocodataset.org/#format-data."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it is larger than {_MOST_BYTES >> 20} MiB")
        document = documents.loads(path.read_bytes(), _MOST_VALUES)
        places = {_whole(one["id"]): number for number, one in enumerate(document["images"])}
        files = [_picture(path, one["file_name"]) for one in document["images"]]
        names = {_whole(one["id"]): str(one["name"]) for one in document["categories"]}
        rows: list[list[tuple[int, list[float], bool]]] = [[] for _ in files]
        for one in document["annotations"]:
            left, top, width, height = (float(v) for v in one["bbox"])
            box = [left, top, left + width, top + height]
            if not np.isfinite(box).all() or width < 0 or height < 0:
                raise ValueError(f"the box {one['bbox']} is none")
            category = _whole(one["category_id"])
            if category not in names:
                raise ValueError(f"there is no category {category}")
            rows[places[_whole(one["image_id"])]].append((category, box, bool(one.get("iscrowd", 0))))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except KeyError as error:
        raise UsageError(f"{path}: these are no annotations of COCO's form: {error} is missing") from error
    except (ValueError, TypeError, AttributeError, IndexError) as error:
        raise UsageError(f"{path}: these are no annotations of COCO's form: {error}") from error
    if not files:
        raise UsageError(f"{path}: it has no pictures")
    classes = _classes(path, [names[key] for key in sorted(names)], detector)
    numbers = {key: classes[names[key]] for key in names}
    return Annotated(files, [_boxes([(numbers[c], b, k) for c, b, k in one]) for one in rows], fractions=False)


def _picture(path: Path, name: Any) -> Path:
    """Where a picture is: beside the annotations, or in a folder of images, or in that which COCO's own names say."""
    pure = PurePosixPath(str(name))
    if not isinstance(name, str) or pure.is_absolute() or ".." in pure.parts or "\0" in name:
        raise ValueError(f"the picture {name!r} is not beside it")
    folders = [path.parent, path.parent / IMAGES, path.parent.parent / IMAGES]
    folders.append(path.parent.parent / path.stem.removeprefix("instances_"))
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise ValueError(f"the picture {name!r} is in none of {', '.join(map(str, folders))}")


def _classes(path: Path, names: list[str], detector: Detector) -> dict[str, int]:
    """The number of each annotated class in the task's labels; without labels, in the order that the file gives."""
    if not detector.labels:
        if len(names) > detector.head.classes:
            raise UsageError(f"{path}: there are {len(names)} classes, but the network has {detector.head.classes}")
        return {name: number for number, name in enumerate(names)}
    for name in names:
        if name not in detector.labels:
            raise UsageError(
                f"{path}: the class {name!r} is not among the task's labels",
                f"they are {', '.join(detector.labels[:10])}",
            )
    return {name: detector.labels.index(name) for name in names}


def _yolo(path: Path, detector: Detector, pictures: Sequence[Path]) -> Annotated:
    """A line ``class x y width height`` for each box, in shares of the picture's sides; no file, no boxes."""
    numbers = list(range(detector.head.classes))
    if (path / NAMES).is_file():
        names = [line.strip() for line in _text(path / NAMES).splitlines() if line.strip()]
        found = _classes(path / NAMES, names, detector)
        numbers = [found[name] for name in names]
    boxes = []
    for picture in pictures:
        file = path / LABELS / picture.relative_to(path / IMAGES).with_suffix(".txt")
        rows = []
        for number, line in enumerate(_text(file).splitlines() if file.is_file() else (), 1):
            try:
                one, x, y, w, h = (float(word) for word in line.split())
                if not one.is_integer() or not 0 <= one < len(numbers):
                    raise UsageError(f"{file}: line {number} has the class {one:g}, but there are {len(numbers)}")
                if not np.isfinite([x, y, w, h]).all() or min(w, h) < 0:
                    raise ValueError
            except ValueError:
                raise UsageError(f"{file}: line {number} is not a class and four shares: {line[:60]!r}") from None
            rows.append((numbers[int(one)], [x - w / 2, y - h / 2, x + w / 2, y + h / 2], False))
        boxes.append(_boxes(rows))
    return Annotated(list(pictures), boxes, fractions=True)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_TEXT + 1)
        text = data.decode()
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"{path}: is not text in UTF-8") from error
    if len(data) > _MOST_TEXT or text.count("\n") > _MOST_LINES:
        raise UsageError(f"{path}: is too large")
    return text


def _boxes(rows: Sequence[tuple[int, list[float], bool]]) -> Boxes:
    return Boxes(
        np.array([box for _, box, _ in rows], np.float64).reshape(-1, 4), np.array([c for c, _, _ in rows], np.int64),
        crowd=np.array([crowd for _, _, crowd in rows], bool),
    )  # fmt: skip


def _whole(value: Any) -> int:
    if not isinstance(value, int):
        raise ValueError(f"{value!r} is not a whole number")
    return value
