"""``logic.json``: what a bundle's network in logic is made of."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from edgekit.errors import DeviceError
from edgekit.files import documents

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM, RTL = "logic.json", "rtl"
"""In ``artifact/``: the document, and the folder of Verilog."""
TOP = "edgekit_network"
MOST_BYTES, MOST_VALUES = 4 << 20, 200_000
_AGAIN = "compile the bundle again"


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
    try:
        with (folder / PROGRAM).open("rb") as file:
            data = documents.loads(file.read(MOST_BYTES), MOST_VALUES)
        if not isinstance(data, dict) or data.get("schema") != 1:
            raise ValueError("it is of another version")
        numbers = [_whole(data[name]) for name in ("stages", "adders", "register_bits", "products")]
        parts = [tuple(_whole(one) for one in _list(data[name])) for name in ("before", "logic", "after")]
        if not 1 <= numbers[0] <= 1000:
            raise ValueError(f"it has {numbers[0]} stages")
        stages, adders, register_bits, products = numbers
        before, logic, after = parts
        return Document(stages, adders, register_bits, products, before, logic, after)
    except OSError as error:
        raise DeviceError(f"the bundle has no artifact/{PROGRAM}: {error.strerror}", _AGAIN) from error
    except (KeyError, ValueError, TypeError) as error:
        raise DeviceError(f"artifact/{PROGRAM} is damaged: {error}", _AGAIN) from error


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("a list is missing")
    return value


def _whole(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= 1 << 40:
        raise ValueError(f"{value!r} is not a number")
    return value
