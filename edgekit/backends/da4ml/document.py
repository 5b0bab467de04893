"""``logic.json``: what a bundle's network in logic is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from edgekit.backends.divided.document import numbers, reading, whole
from edgekit.files import documents

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM, RTL = "logic.json", "rtl"
"""In ``artifact/``: the document, and the folder of Verilog."""
TOP = "edgekit_network"
MOST_BYTES, MOST_VALUES = 4 << 20, 200_000


@dataclass(frozen=True)
class Document:
    """A network in logic.

    :param stages: registers between input and output, without the last one. :param adders: additions and subtractions.
    :param register_bits: of all registers. :param products: multiplications that they stand for.
    :param before: , ``logic``, ``after``: operators of the parts.
    """

    stages: int
    adders: int
    register_bits: int
    products: int
    before: tuple[int, ...]
    logic: tuple[int, ...]
    after: tuple[int, ...]

    def text(self) -> str:
        """As JSON."""
        return documents.dumps({"schema": 1, **asdict(self)}, indent=None) + "\n"


def read(folder: Path) -> Document:
    """Read the document of a bundle's artifact.

    :raises DeviceError: if it is missing or damaged.
    """
    with reading(folder, PROGRAM, MOST_BYTES, MOST_VALUES) as data:
        stages = whole(data["stages"], 1, 1000)
        counts = (whole(data[name], 0, 1 << 40) for name in ("adders", "register_bits", "products"))
        adders, register_bits, products = counts
        before, logic, after = (numbers(data[name]) for name in ("before", "logic", "after"))
        return Document(stages, adders, register_bits, products, before, logic, after)
