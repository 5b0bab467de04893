"""Pictures as they are, but no larger than allowed; decoded in a sandboxed child process."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.data import images
from edgekit.errors import UsageError
from edgekit.tasks import picture as steps

_LIMITS = sandbox.Limits(seconds=300, memory_mb=1536)


def read(files: Sequence[Path], most: int) -> list[NDArray[np.uint8]]:
    """Pictures, uint8 ``[h, w, 3]`` in RGB; those with over ``most`` pixels are resized to about as many.

    :raises UsageError: if one cannot be read or decoded.
    """
    return [_read(file, most) for file in files]


def _read(file: Path, most: int) -> NDArray[np.uint8]:
    data = {"picture": images.content(file)}
    args = {"name": str(file), "most": most}
    try:
        _, arrays = sandbox.call("edgekit.data.shrunk:decode", args, data, limits=_LIMITS, preload=("PIL.Image",))
    except sandbox.ChildDied as died:
        raise UsageError(f"{file}: cannot be decoded: Pillow {died.reason} on it") from died
    return arrays["picture"].astype(np.uint8)


def decode(args: dict[str, Any], arrays: Mapping[str, NDArray[Any]], folder: Path) -> tuple[dict[str, Any], Any]:
    """Task: decode the picture whose bytes are in ``arrays``."""
    image = images.opened(args["name"], io.BytesIO(arrays["picture"].tobytes())).convert("RGB")
    pixels, larger = np.asarray(image, np.uint8), (image.width * image.height / args["most"]) ** 0.5
    if larger > 1:
        width, height = max(1, int(image.width / larger)), max(1, int(image.height / larger))
        pixels = steps.resized(pixels, min(width, args["most"]), min(height, args["most"]))
    return {}, {"picture": np.ascontiguousarray(pixels)}
