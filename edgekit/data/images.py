"""A folder of images as samples; the names of its subfolders, sorted, are the classes."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.data import npz
from edgekit.errors import UsageError
from edgekit.progress import Progress, Silent
from edgekit.tasks import picture as steps
from edgekit.tasks.task import Picture, Task

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".pgm")
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "PPM")
MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 256 << 20
_BATCH, _BATCH_BYTES = 256, 256 << 20
_LIMITS = sandbox.Limits(seconds=300, memory_mb=1536)
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def load(
    folder: Path,
    graph: Graph,
    pixel_range: tuple[float, float],
    *,
    seed: int = 0,
    limit: int | None = None,
    task: Task | None = None,
    progress: Progress = Silent(),
) -> tuple[NDArray[Any], NDArray[np.int64] | None, NDArray[np.int64]]:
    """Return the images of ``folder`` as ``[n, *tensor shape]``, their labels, and their places in the sorted list.

    They are resized (bilinear) to the network's height and width, in its channels; or as the ``task`` says.

    Real values are float32 in ``pixel_range``; a network that takes uint8 without a scale gets the bytes.

    :raises UsageError: if the network takes no picture, there is none, or one cannot be read.
    """
    if len(graph.inputs) != 1:
        raise UsageError(f"{folder}: images feed one input, but the network has {len(graph.inputs)}", "use an .npz")
    tensor = graph.inputs[0]
    height, width, channels, channels_first = _layout(tensor, folder)
    raw = tensor.dtype == "uint8" and not tensor.has_scale
    if not raw and not (tensor.dtype.startswith("float") or tensor.has_scale):
        raise UsageError(f"{folder}: the network takes {tensor.dtype} numbers, not images", "use an .npz")
    files, labels = _files(folder)
    chosen = np.arange(len(files))
    if limit is not None and limit < len(files):
        chosen = np.sort(np.random.default_rng(seed).permutation(len(files))[:limit])
        files, labels = [files[i] for i in chosen], labels[chosen] if labels is not None else None
    if len(files) * tensor.elements * 4 > npz.MAX_BYTES:
        raise UsageError(f"{folder}: {len(files)} images need more than {npz.MAX_BYTES >> 30} GiB", "use fewer")

    progress.step(f"reading {len(files)} images")
    pixels = np.empty((len(files), height, width, channels), np.uint8)
    for batch in _batches(files, height * width * channels):
        decoded = _decoded([files[position] for position in batch], (height, width, channels), task)
        pixels[batch.start : batch.stop] = decoded
        progress.advance(batch.stop, len(files))
    if task is not None:
        return steps.values(task.picture, pixels, tensor), labels, chosen
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
        f"{folder}: images need an input [1, height, width, 1, 3 or 4], but the network's is [{found}]", "use an .npz"
    )


def _files(folder: Path) -> tuple[list[Path], NDArray[np.int64] | None]:
    """List the images, sorted, and their classes (None for a flat folder)."""
    flat = _pictures(folder)
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        if not flat:
            raise UsageError(f"{folder}: no images in it", f"it may hold {', '.join(SUFFIXES)}")
        return flat, None
    if flat:
        raise UsageError(
            f"{folder}: images both next to and inside class folders, such as {flat[0].name}",
            "put every image in its class's folder",
        )
    files: list[Path] = []
    labels: list[int] = []
    for label, directory in enumerate(classes):
        inside = _pictures(directory)
        if not inside:
            raise UsageError(f"{directory}: no images in it", "every subfolder is a class")
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


def _batches(files: list[Path], pixels: int) -> Iterator[range]:
    """Divide the files into those that are decoded together."""
    begin, size = 0, 0
    for position, file in enumerate(files):
        more = file.stat().st_size + pixels
        if more > MAX_FILE_BYTES + pixels:
            raise UsageError(f"{file}: an image of over {MAX_FILE_BYTES >> 20} MiB is too large to read")
        if position > begin and (size + more > _BATCH_BYTES or position - begin >= _BATCH):
            yield range(begin, position)
            begin, size = position, 0
        size += more
    yield range(begin, len(files))


def names(folder: Path) -> list[str]:
    """The images of a folder, in the order in which they are samples, relative to it."""
    return [path.relative_to(folder).as_posix() for path in _files(folder)[0]]


def _decoded(files: list[Path], shape: tuple[int, int, int], task: Task | None) -> NDArray[np.uint8]:
    """Decode images in a sandboxed child process, which gets their bytes: decoders are written in C."""
    try:
        data = {str(number): np.frombuffer(file.read_bytes(), np.uint8) for number, file in enumerate(files)}
    except OSError as error:
        raise UsageError(f"{error.filename}: cannot be read: {error.strerror}") from error
    fit = None if task is None else asdict(task.picture)
    args = {"names": [str(file) for file in files], "shape": shape, "fit": fit}
    try:
        _, arrays = sandbox.call("edgekit.data.images:decode", args, data, limits=_LIMITS, preload=("PIL.Image",))
    except sandbox.ChildDied as died:
        more = f" or one of the {len(files) - 1} after it" if len(files) > 1 else ""
        raise UsageError(f"{files[0]}{more} cannot be decoded: Pillow {died.reason} on it") from died
    return arrays["pixels"].reshape(len(files), *shape)


def decode(args: dict[str, Any], arrays: Mapping[str, NDArray[Any]], folder: Path) -> tuple[dict[str, Any], Any]:
    """Task: decode the images whose bytes are the ``arrays``."""
    height, width, channels = args["shape"]
    fit = Picture(**args["fit"]) if args["fit"] else None
    pixels = np.empty((len(args["names"]), height, width, channels), np.uint8)
    for number, name in enumerate(args["names"]):
        pixels[number] = _pixels(name, io.BytesIO(arrays[str(number)].tobytes()), (height, width, channels), fit)
    return {}, {"pixels": pixels}


def _pixels(file: str, data: IO[bytes], shape: tuple[int, int, int], fit: Picture | None = None) -> NDArray[np.uint8]:
    """Decode one image as uint8 ``[height, width, channels]``."""
    from PIL import Image

    height, width, channels = shape
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked here, before anything is decoded
            with Image.open(data, formats=_FORMATS) as image:
                if math.prod(image.size) > MAX_PIXELS:
                    raise UsageError(f"{file}: {image.size[0]} x {image.size[1]} pixels is too large to read")
                if image.mode.startswith(("I", "F")):
                    raise UsageError(
                        f"{file}: images with more than 8 bits per channel are not supported", "convert it to 8 bits"
                    )
                if fit is not None:
                    return steps.fitted(fit, np.asarray(image.convert("RGB"), np.uint8), width, height)
                resized = image.convert(_MODES[channels]).resize((width, height), Image.Resampling.BILINEAR)
                return np.asarray(resized, np.uint8).reshape(height, width, channels)
    except UsageError:
        raise
    except Exception as error:  # decoders raise whatever they like on a damaged file
        raise UsageError(f"{file}: not an image that can be read ({type(error).__name__})") from error
