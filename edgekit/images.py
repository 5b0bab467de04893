"""A folder of pictures as samples; the names of its sub-folders, sorted, are the classes."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit import npz
from edgekit.errors import UsageError
from edgekit.progress import Progress, Silent

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".pgm")
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "PPM")
MAX_PIXELS = 64_000_000
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def load(
    folder: Path,
    graph: Graph,
    pixel_range: tuple[float, float],
    *,
    seed: int = 0,
    limit: int | None = None,
    progress: Progress = Silent(),
) -> tuple[NDArray[Any], NDArray[np.int64] | None, NDArray[np.int64]]:
    """Return the pictures of ``folder`` as ``[n, *tensor shape]``, their labels, and their places in the sorted list.

    They are resized (bilinear) to the network's height and width, in its channels.

    Real values are float32 in ``pixel_range``; a network that takes uint8 without a scale gets the bytes.

    :raises UsageError: if the network takes no picture, there is none, or one cannot be read.
    """
    if len(graph.inputs) != 1:
        raise UsageError(f"{folder}: pictures feed one input, the network has {len(graph.inputs)}", "use an .npz")
    tensor = graph.inputs[0]
    height, width, channels, channels_first = _layout(tensor, folder)
    raw = tensor.dtype == "uint8" and not tensor.has_scale
    if not raw and not (tensor.dtype.startswith("float") or tensor.has_scale):
        raise UsageError(f"{folder}: the network takes {tensor.dtype} numbers, not pictures", "use an .npz")
    files, labels = _files(folder)
    chosen = np.arange(len(files))
    if limit is not None and limit < len(files):
        chosen = np.sort(np.random.default_rng(seed).permutation(len(files))[:limit])
        files, labels = [files[i] for i in chosen], labels[chosen] if labels is not None else None
    if len(files) * tensor.elements * 4 > npz.MAX_BYTES:
        raise UsageError(f"{folder}: {len(files)} pictures need more than {npz.MAX_BYTES >> 30} GiB", "use fewer")

    progress.step(f"reading {len(files)} pictures")
    pixels = np.empty((len(files), height, width, channels), np.uint8)
    for position, file in enumerate(files):
        pixels[position] = _pixels(file, height, width, channels)
        progress.advance(position + 1, len(files))
    if channels_first:
        pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    pixels = pixels[:, np.newaxis]
    return (pixels if raw else scaled(pixels, pixel_range)), labels, chosen


def scaled(pixels: NDArray[np.uint8], pixel_range: tuple[float, float]) -> NDArray[np.float32]:
    """Map bytes 0..255 linearly to ``pixel_range``, float32."""
    low, high = pixel_range
    return (pixels.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)).astype(np.float32)


def _layout(tensor: Tensor, folder: Path) -> tuple[int, int, int, bool]:
    """Return height, width, channels of an input ``[1, h, w, c]`` (or ``[1, c, h, w]``: then True)."""
    shape = tensor.shape
    if len(shape) == 4 and shape[0] == 1:
        if shape[3] in _MODES:
            return shape[1], shape[2], shape[3], False
        if shape[1] in _MODES:
            return shape[2], shape[3], shape[1], True
    found = ", ".join(map(str, shape))
    raise UsageError(
        f"{folder}: pictures need an input [1, height, width, 1, 3 or 4], the network's is [{found}]", "use an .npz"
    )


def _files(folder: Path) -> tuple[list[Path], NDArray[np.int64] | None]:
    """List the pictures, sorted, and their classes (None for a flat folder)."""
    flat = _pictures(folder)
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        if not flat:
            raise UsageError(f"{folder}: no pictures in it", f"it may hold {', '.join(SUFFIXES)}")
        return flat, None
    if flat:
        raise UsageError(
            f"{folder}: pictures both beside and inside class folders, such as {flat[0].name}",
            "put every picture in its class's folder",
        )
    files: list[Path] = []
    labels: list[int] = []
    for label, directory in enumerate(classes):
        inside = _pictures(directory)
        if not inside:
            raise UsageError(f"{directory}: no pictures in it", "every sub-folder is a class")
        files += inside
        labels += [label] * len(inside)
    return files, np.array(labels, np.int64)


def _pictures(folder: Path) -> list[Path]:
    try:
        return sorted(
            p for p in folder.iterdir()
            if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()
        )  # fmt: skip
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read: {error.strerror}") from error


def _pixels(file: Path, height: int, width: int, channels: int) -> NDArray[np.uint8]:
    """Decode one picture as uint8 ``[height, width, channels]``."""
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked here, before anything is decoded
            with Image.open(file, formats=_FORMATS) as image:
                if math.prod(image.size) > MAX_PIXELS:
                    raise UsageError(f"{file}: {image.size[0]} x {image.size[1]} pixels is too large to read")
                if image.mode.startswith(("I", "F")):
                    raise UsageError(f"{file}: pictures of more than 8 bits are not supported", "convert it to 8 bits")
                resized = image.convert(_MODES[channels]).resize((width, height), Image.Resampling.BILINEAR)
                return np.asarray(resized, np.uint8).reshape(height, width, channels)
    except UsageError:
        raise
    except Exception as error:  # decoders raise whatever they like on a damaged file
        raise UsageError(f"{file}: not a picture that can be read ({type(error).__name__})") from error
