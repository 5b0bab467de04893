"""Draws detections and masks on pictures, in a sandboxed child process: the pictures are a stranger's."""

from __future__ import annotations

import colorsys
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.data import images
from edgekit.errors import UsageError
from edgekit.tasks.segmentation import UNSEEN

if TYPE_CHECKING:
    from PIL import Image

    from edgekit.tasks.detection import Detection

_LIMITS = sandbox.Limits(seconds=300, memory_mb=1536)
_TURN = 0.381966
"""Part of the color wheel from one class to the next: the golden angle, so that neighbours differ."""


@dataclass(frozen=True)
class Mark:
    """A box, in the picture's pixels, with a text at its upper left corner; classes have colors."""

    box: tuple[float, float, float, float]
    text: str
    number: int

    @classmethod
    def of(cls, found: Detection) -> Mark:
        """The mark of a detection."""
        box = (found.left, found.top, found.right, found.bottom)
        return cls(box, f"{found.label} {found.score:.2f}", found.number)


def drawn(file: Path, marks: Sequence[Mark], mask: NDArray[np.uint8] | None = None) -> bytes:
    """A picture with marks on it, as PNG.

    :param mask: a class for each pixel ``[h, w]``, which are laid over it in their colors; 255: none.
    :raises UsageError: if it cannot be read or decoded.
    """
    data: dict[str, NDArray[Any]] = {"picture": images.content(file)}
    if mask is not None:
        data["mask"] = mask
    args = {"name": str(file), "marks": [asdict(mark) for mark in marks]}
    try:
        _, arrays = sandbox.call("edgekit.data.drawing:draw", args, data, limits=_LIMITS, preload=("PIL.Image",))
    except sandbox.ChildDied as died:
        raise UsageError(f"{file}: cannot be drawn on: Pillow {died.reason} on it") from died
    return arrays["png"].tobytes()


def _color(number: int) -> tuple[int, int, int]:
    red, green, blue = colorsys.hsv_to_rgb(number * _TURN % 1, 0.9, 1)
    return round(255 * red), round(255 * green), round(255 * blue)


def _laid_over(image: Image.Image, mask: NDArray[np.uint8]) -> Image.Image:
    """The picture, half of it in the colors of its classes."""
    from PIL import Image

    pixels = np.asarray(image, np.uint8)
    colors = np.array([_color(number) for number in range(UNSEEN + 1)], np.uint16)
    mixed = ((pixels + colors[mask]) // 2).astype(np.uint8)
    return Image.fromarray(np.where((mask == UNSEEN)[..., None], pixels, mixed))


def draw(args: dict[str, Any], arrays: Mapping[str, NDArray[Any]], folder: Path) -> tuple[dict[str, Any], Any]:
    """Task: draw ``marks`` on the picture whose bytes are in ``arrays``."""
    from PIL import ImageDraw, ImageFont

    image = images.opened(args["name"], io.BytesIO(arrays["picture"].tobytes())).convert("RGB")
    if "mask" in arrays:
        image = _laid_over(image, arrays["mask"])
    pen, thick = ImageDraw.Draw(image), max(1, round(max(image.size) / 300))
    font = ImageFont.load_default(max(10, round(max(image.size) / 40)))
    for mark in args["marks"]:
        color = _color(mark["number"])
        left, top, right, bottom = mark["box"]
        pen.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), outline=color, width=thick)
        _, _, wide, high = pen.textbbox((0, 0), mark["text"], font=font)
        at = (left, top - high - 2 if top >= high + 2 else top)
        pen.rectangle((*at, at[0] + wide + 2, at[1] + high + 2), fill=color)
        pen.text((at[0] + 1, at[1]), mark["text"], fill="black", font=font)
    made = io.BytesIO()
    image.save(made, "PNG")
    return {}, {"png": np.frombuffer(made.getvalue(), np.uint8)}
