"""A folder of images as samples; the names of its subfolders, sorted, are the classes."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.data import npz
from edgekit.errors import UsageError
from edgekit.progress import Progress, Silent
from edgekit.tasks import picture as steps
from edgekit.tasks.picture import Picture

if TYPE_CHECKING:
    from PIL import Image

    from edgekit.graph import Graph, Tensor

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif", ".ppm", ".pgm")
_FORMATS = ("PNG", "JPEG", "BMP", "WEBP", "GIF", "PPM")
MAX_PIXELS = 64_000_000
MAX_FILE_BYTES = 256 << 20
_BATCH, _BATCH_BYTES = 256, 256 << 20
_LIMITS = sandbox.Limits(seconds=300, memory_mb=1536)
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


@dataclass(frozen=True)
class Pictures:
    """Pictures as samples.

    :param values: ``[n, *tensor shape]``. :param sizes: width and height of each picture, int64 ``[n, 2]``.
    :param chosen: where each stands in the sorted list.
    """

    values: NDArray[Any]
    sizes: NDArray[np.int64]
    chosen: NDArray[np.int64]


def load(
    files: Sequence[Path],
    source: Path,
    graph: Graph,
    pixel_range: tuple[float, float],
    *,
    seed: int = 0,
    limit: int | None = None,
    picture: Picture | None = None,
    progress: Progress = Silent(),
) -> Pictures:
    """Return images, resized (bilinear) to the network's height and width, in its channels; or as ``picture`` says.

    Real values are float32 in ``pixel_range``; a network that takes uint8 without a scale gets the bytes.

    :param source: what names them, for messages.
    :raises UsageError: if the network takes no picture, or one cannot be read.
    """
    if len(graph.inputs) != 1:
        raise UsageError(f"{source}: images feed one input, but the network has {len(graph.inputs)}", "use an .npz")
    tensor = graph.inputs[0]
    height, width, channels, channels_first = _layout(tensor, source)
    raw = tensor.dtype == "uint8" and not tensor.has_scale
    if not raw and not (tensor.dtype.startswith("float") or tensor.has_scale):
        raise UsageError(f"{source}: the network takes {tensor.dtype} numbers, not images", "use an .npz")
    chosen = np.arange(len(files))
    if limit is not None and limit < len(files):
        chosen = np.sort(np.random.default_rng(seed).permutation(len(files))[:limit])
        files = [files[i] for i in chosen.tolist()]
    if len(files) * tensor.elements * 4 > npz.MAX_BYTES:
        raise UsageError(f"{source}: {len(files)} images need more than {npz.MAX_BYTES >> 30} GiB", "use fewer")

    progress.step(f"reading {len(files)} images")
    pixels = np.empty((len(files), height, width, channels), np.uint8)
    sizes = np.empty((len(files), 2), np.int64)
    for batch in _batches(files, height * width * channels):
        part = slice(batch.start, batch.stop)
        pixels[part], sizes[part] = _decoded(files[part], (height, width, channels), picture)
        progress.advance(batch.stop, len(files))
    if picture is not None:
        return Pictures(steps.values(picture, pixels, tensor), sizes, chosen)
    if channels_first:
        pixels = np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))
    pixels = pixels[:, np.newaxis]
    return Pictures(pixels if raw else scaled(pixels, pixel_range), sizes, chosen)


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


def listed(
    folder: Path, suffixes: Sequence[str] = SUFFIXES, what: str = "images"
) -> tuple[list[Path], NDArray[np.int64] | None]:
    """List the images, or other files, sorted, and their classes (None for a flat folder).

    :raises UsageError: if there is none.
    """
    flat = inside(folder, suffixes)
    classes = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
    if not classes:
        if not flat:
            raise UsageError(f"{folder}: no {what} in it", f"it may hold {', '.join(suffixes)}")
        return flat, None
    if flat:
        raise UsageError(
            f"{folder}: {what} both next to and inside class folders, such as {flat[0].name}",
            "put every file in its class's folder",
        )
    files: list[Path] = []
    labels: list[int] = []
    for label, directory in enumerate(classes):
        found = inside(directory, suffixes)
        if not found:
            raise UsageError(f"{directory}: no {what} in it", "every subfolder is a class")
        files += found
        labels += [label] * len(found)
    return files, np.array(labels, np.int64)


def inside(folder: Path, suffixes: Sequence[str] = SUFFIXES) -> list[Path]:
    """The images, or other files, in a folder itself, sorted."""
    try:
        return sorted(
            p for p in folder.iterdir()
            if p.suffix.lower() in suffixes and not p.name.startswith(".") and p.is_file()
        )  # fmt: skip
    except OSError as error:
        raise UsageError(f"{folder}: cannot be read: {error.strerror}") from error


def content(file: Path) -> NDArray[np.uint8]:
    """A picture's bytes, not decoded.

    :raises UsageError: if it is no file, is too large, or cannot be read.
    """
    try:
        if file.exists() and not file.is_file():
            raise UsageError(f"{file}: cannot be read: it is not a file")
        with file.open("rb") as opened:
            data = opened.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_FILE_BYTES:
        raise _large(file)
    return np.frombuffer(data, np.uint8)


def _large(file: Path) -> UsageError:
    return UsageError(f"{file}: an image of over {MAX_FILE_BYTES >> 20} MiB is too large to read")


def _batches(files: Sequence[Path], pixels: int) -> Iterator[range]:
    """Divide the files into those that are decoded together."""
    begin, size = 0, 0
    for position, file in enumerate(files):
        try:
            more = file.stat().st_size + pixels
        except OSError as error:
            raise UsageError(f"{file}: cannot be read: {error.strerror}") from error
        if more > MAX_FILE_BYTES + pixels:
            raise _large(file)
        if position > begin and (size + more > _BATCH_BYTES or position - begin >= _BATCH):
            yield range(begin, position)
            begin, size = position, 0
        size += more
    yield range(begin, len(files))


def _decoded(
    files: Sequence[Path], shape: tuple[int, int, int], picture: Picture | None
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Decode images in a sandboxed child process, which gets their bytes: decoders are written in C.

    Returns pixels ``[n, height, width, channels]``, and width and height of each picture.
    """
    data = {str(number): content(file) for number, file in enumerate(files)}
    fit = None if picture is None else picture.json()
    args = {"names": [str(file) for file in files], "shape": shape, "fit": fit}
    try:
        _, arrays = sandbox.call("edgekit.data.images:decode", args, data, limits=_LIMITS, preload=("PIL.Image",))
    except sandbox.ChildDied as died:
        more = f" or one of the {len(files) - 1} after it" if len(files) > 1 else ""
        raise UsageError(f"{files[0]}{more} cannot be decoded: Pillow {died.reason} on it") from died
    return arrays["pixels"].reshape(len(files), *shape), arrays["sizes"].reshape(len(files), 2)


def decode(args: dict[str, Any], arrays: Mapping[str, NDArray[Any]], folder: Path) -> tuple[dict[str, Any], Any]:
    """Task: decode the images whose bytes are the ``arrays``."""
    height, width, channels = args["shape"]
    fit = Picture.of_manifest(args["fit"], folder) if args["fit"] else None
    pixels = np.empty((len(args["names"]), height, width, channels), np.uint8)
    sizes = np.empty((len(args["names"]), 2), np.int64)
    for number, name in enumerate(args["names"]):
        image = opened(name, io.BytesIO(arrays[str(number)].tobytes()))
        sizes[number] = image.size
        if fit is not None and steps.too_narrow(fit, image.size, (width, height)):
            raise UsageError(
                f"{name}: a picture of {image.width} x {image.height} pixels is too narrow for the network's input"
            )
        pixels[number] = _pixels(image, (height, width, channels), fit)
    return {}, {"pixels": pixels, "sizes": sizes}


def _pixels(image: Image.Image, shape: tuple[int, int, int], fit: Picture | None = None) -> NDArray[np.uint8]:
    """An image as uint8 ``[height, width, channels]``."""
    from PIL import Image

    height, width, channels = shape
    if fit is not None:
        return steps.fitted(fit, np.asarray(image.convert("RGB"), np.uint8), width, height)
    resized = image.convert(_MODES[channels]).resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(resized, np.uint8).reshape(height, width, channels)


def opened(file: str, data: IO[bytes]) -> Image.Image:
    """Decode one image, in a child process, and turn it as its EXIF data says: cameras store how they were held.

    :raises UsageError: if it cannot be decoded, or is too large.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the size is checked here, before anything is decoded
            image = Image.open(data, formats=_FORMATS)
            if math.prod(image.size) > MAX_PIXELS:
                raise UsageError(f"{file}: {image.size[0]} x {image.size[1]} pixels is too large to read")
            if image.mode.startswith(("I", "F")):
                raise UsageError(
                    f"{file}: images with more than 8 bits per channel are not supported", "convert it to 8 bits"
                )
            image.load()
            return ImageOps.exif_transpose(image)
    except UsageError:
        raise
    except Exception as error:  # decoders raise whatever they like on a damaged file
        raise UsageError(f"{file}: not an image that can be read ({type(error).__name__})") from error
