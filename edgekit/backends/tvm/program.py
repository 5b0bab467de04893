"""What a Graph is lowered to: kernels over storages, nothing of TVM yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

ITEM = {"float32": 4, "int8": 1, "uint8": 1, "int32": 4, "int16": 2, "bool": 1, "float16": 2, "uint16": 2, "uint32": 4,
        "float64": 8, "int64": 8, "uint64": 8}  # fmt: skip
"""Bytes of an element."""


@dataclass(frozen=True)
class Border:
    """Rows and columns around a picture that hold ``value``: what a convolution reads beyond the edge.

    :param outer: ``(height, width, channels)`` with the border; :param inner: ``(top, left, height, width)`` of the
        picture in it.
    """

    outer: tuple[int, int, int]
    inner: tuple[int, int, int, int]
    value: float


@dataclass
class Storage:
    """A piece of memory.

    :param kind: ``input``, ``output`` (the network's; the runner copies them), ``arena``, ``constant``.
    :param border: filled before the first kernel that writes to the storage.
    """

    kind: str
    nbytes: int
    data: NDArray[Any] | None = None
    border: Border | None = None
    dtype: str = "float32"


@dataclass(frozen=True)
class View:
    """A kernel's argument: a storage as a dense array."""

    storage: int
    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        return product(self.shape) * ITEM[self.dtype]


@dataclass(frozen=True)
class Kernel:
    """A call of a template's function.

    :param params: what the function is generated from, JSON values; equal ones share one function.
    :param node: index of the operator; the ones folded into it have none of their own.
    :param args: inputs and constants, then the output.
    :param schedule: a trace of TVM's, JSON, in place of the template's own schedule.
    """

    template: str
    params: dict[str, Any]
    node: int
    args: tuple[View, ...]
    schedule: str = ""


@dataclass
class Program:
    """Kernels in order; storages by number; the network's inputs and outputs among them."""

    storages: list[Storage] = field(default_factory=list)
    kernels: list[Kernel] = field(default_factory=list)
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)

    def add(self, storage: Storage) -> int:
        self.storages.append(storage)
        return len(self.storages) - 1

    def constant(self, values: NDArray[Any]) -> View:
        """Add constant values and return them as an argument."""
        kept = np.ascontiguousarray(values)
        return View(self.add(Storage("constant", kept.nbytes, kept)), kept.shape, str(kept.dtype))

    def placements(self) -> tuple[dict[int, int], int]:
        """Return each non-constant storage's offset in the arena, multiples of 64, and the arena's bytes.

        Greedy by size over lifetimes, as :mod:`edgekit.graph.memory` does for tensors.
        """
        from edgekit.graph.memory import place

        life: dict[int, tuple[int, int]] = {}
        for number, kernel in enumerate(self.kernels):
            for view in kernel.args:
                if self.storages[view.storage].kind != "constant":
                    first, _ = life.get(view.storage, (number, number))
                    life[view.storage] = (first, number)
        for index in self.inputs:
            life[index] = (-1, life.get(index, (-1, -1))[1])
        for index in self.outputs:
            life[index] = (life[index][0] if index in life else -1, len(self.kernels))
        return place({i: self.storages[i].nbytes for i in life}, life)


def product(values: Sequence[int]) -> int:
    total = 1
    for value in values:
        total *= value
    return total


def packed(constants: Mapping[int, NDArray[Any]]) -> tuple[bytes, dict[int, int]]:
    """All constants in one piece, each at a multiple of 64 bytes, equal ones once; and their offsets."""
    blob = bytearray()
    offsets: dict[int, int] = {}
    known: dict[bytes, int] = {}
    for number, values in constants.items():
        data = np.ascontiguousarray(values).tobytes()
        if data not in known:
            blob += b"\0" * (-len(blob) % 64)
            known[data] = len(blob)
            blob += data
        offsets[number] = known[data]
    return bytes(blob), offsets
