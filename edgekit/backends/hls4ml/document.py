"""``hls.json``: what a bundle's hls4ml project is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edgekit.backends.divided.document import numbers, reading, whole
from edgekit.files import documents

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM, PROJECT = "hls.json", "hls"
"""In ``artifact/``: the document, and the folder of the project."""
TOP = "edgekit_network"
MOST_BYTES, MOST_VALUES = 4 << 20, 200_000


@dataclass(frozen=True)
class Document:
    """An hls4ml project.

    :param layers: of the project. :param multipliers: blocks that it takes, if every product takes one.
    :param interval: cycles from one inference to the next, by the reuse factors. :param latency: cycles of one.
    :param before: , ``hls``, ``after``: operators of the parts.
    """

    layers: int
    multipliers: int
    interval: int
    latency: int
    before: tuple[int, ...]
    hls: tuple[int, ...]
    after: tuple[int, ...]

    def text(self) -> str:
        """As JSON."""
        return documents.dumps({"schema": 1, **asdict(self)}, indent=None) + "\n"


def read(folder: Path) -> Document:
    """Read the document of a bundle's artifact.

    :raises DeviceError: if it is missing or damaged.
    """
    with reading(folder, PROGRAM, MOST_BYTES, MOST_VALUES) as data:
        counts = (whole(data[name], 0, 1 << 40) for name in ("layers", "multipliers", "interval", "latency"))
        layers, multipliers, interval, latency = counts
        before, hls, after = (numbers(data[name]) for name in ("before", "hls", "after"))
        return Document(layers, multipliers, interval, latency, before, hls, after)
