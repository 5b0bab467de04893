"""Pictures with true masks: a folder ``images`` and a folder ``masks``, with a file of the same name for each."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.data import images, npz
from edgekit.errors import UsageError
from edgekit.tasks.segmentation import UNSEEN
from edgekit.tasks.segmenter import Segmenter

if TYPE_CHECKING:
    from edgekit.tasks.task import Task

IMAGES, MASKS = "images", "masks"
SUFFIX = ".png"
_MODES = ("L", "P")
_LIMITS = sandbox.Limits(seconds=300, memory_mb=1536)


def is_masked(path: Path) -> bool:
    """True of a folder that has both."""
    return path.is_dir() and (path / IMAGES).is_dir() and (path / MASKS).is_dir()


def read(path: Path, task: Task | None, pictures: Sequence[Path], sizes: NDArray[np.int64]) -> NDArray[Any]:
    """The masks of pictures: uint8 ``[h, w]`` each, classes, and 255 for pixels to leave out.

    :param sizes: width and height of each picture.
    :raises UsageError: one line on what is wrong: a mask is missing, of another size, or has classes that are none.
    """
    if task is None or not isinstance(task.decider, Segmenter):
        raise UsageError(
            f"{path}: masks are for segmentation", 'compile the model with task = "segmentation" (docs/tasks.md)'
        )
    if int(sizes.prod(axis=1).sum()) > npz.MAX_BYTES:
        raise UsageError(f"{path}: the masks need more than {npz.MAX_BYTES >> 30} GiB", "use fewer")
    made = np.empty(len(pictures), object)
    for number, (picture, (width, height)) in enumerate(zip(pictures, sizes.tolist(), strict=True)):
        made[number] = _read(path / MASKS / f"{picture.stem}{SUFFIX}", (width, height), task.decider.raster.classes)
    return made


def _read(file: Path, size: tuple[int, int], classes: int) -> NDArray[np.uint8]:
    data = {"mask": images.content(file)}
    try:
        _, arrays = sandbox.call(
            "edgekit.data.masks:decode", {"name": str(file)}, data, limits=_LIMITS, preload=("PIL.Image",)
        )
    except sandbox.ChildDied as died:
        raise UsageError(f"{file}: cannot be decoded: Pillow {died.reason} on it") from died
    mask = arrays["mask"].astype(np.uint8)
    if mask.shape[::-1] != size:
        raise UsageError(
            f"{file}: the mask has {mask.shape[1]} x {mask.shape[0]} pixels, its picture {size[0]} x {size[1]}"
        )
    wrong = mask[(mask >= classes) & (mask != UNSEEN)]
    if wrong.size:
        raise UsageError(f"{file}: the mask has the class {wrong.max()}, but the network has {classes}")
    return mask


def decode(args: dict[str, Any], arrays: Mapping[str, NDArray[Any]], folder: Path) -> tuple[dict[str, Any], Any]:
    """Task: decode the mask whose bytes are in ``arrays``."""
    image = images.opened(args["name"], io.BytesIO(arrays["mask"].tobytes()))
    if image.mode not in _MODES:
        raise UsageError(f"{args['name']}: a mask is grey or has a palette: its bytes are the classes")
    return {}, {"mask": np.asarray(image, np.uint8)}
