"""Rows of tables as a task's source: numbers scaled as in training, categories by their lists.

``firmware_stubs/linux/row_source.c`` is the same in C, with the same bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.tasks import fields, labels
from edgekit.tasks.parts import WithoutFiles

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor

MOST_COLUMNS = 4096
_LARGEST = float(np.finfo(np.float32).max)
Cells = tuple[float | str, ...]
"""Of a row: numbers, and texts of categories, in the order of the task's columns."""
_KEYS = {"name", "mean", "std", "values", "code", "other", "input"}
_WHOLE = ("int32", "int64")


class Code(StrEnum):
    """What becomes of a cell."""

    NUMBER = "number"
    """(number - mean) / std."""
    ONE_HOT = "one-hot"
    """As many elements as there are values: 1 for the cell's, 0 for the others."""
    INDEX = "index"
    """The value's number in the list, as embedding tables take it."""


@dataclass(frozen=True)
class Column:
    """A column of the table.

    :param input: the network's input that it is a part of. :param mean, std: of a number.
    :param values: of a category. :param other: a further value, for all that are not in the list.
    """

    name: str
    code: Code
    input: int = 0
    mean: float = 0.0
    std: float = 1.0
    values: tuple[str, ...] = ()
    other: bool = False

    @property
    def elements(self) -> int:
        """Of the input."""
        return len(self.values) + self.other if self.code is Code.ONE_HOT else 1

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read an entry of ``row.columns``."""
        fields.known(table, _KEYS, "row.columns.")
        name = _name(table.get("name"))
        place = _input(table.get("input", 0), graph)
        if "values" not in table:
            if table.keys() & {"code", "other"}:
                raise ValueError(f"row.columns: code and other are for values, which {name!r} has not")
            return cls(name, Code.NUMBER, place, _real(table.get("mean", 0)), _std(table.get("std", 1)))
        if table.keys() & {"mean", "std"}:
            raise ValueError(f"row.columns: {name!r} has values, which exclude mean and std")
        whole = place < len(graph.inputs) and graph.inputs[place].dtype in _WHOLE
        code = fields.choice(Code, table.get("code", "index" if whole else "one-hot"), "row.columns.code")
        if code is Code.NUMBER:
            raise ValueError(f'row.columns: {name!r} has values, so its code is "one-hot" or "index"')
        return cls(
            name, code, place, values=_values(labels.of_table(table["values"], folder), name),
            other=fields.flag(table.get("other", False), "row.columns.other"),
        )  # fmt: skip

    @classmethod
    def of_manifest(cls, given: Mapping[str, Any]) -> Self:
        """Read what ``asdict`` made of one."""
        name, code = _name(given["name"]), Code(given["code"])
        return cls(
            name, code, fields.whole(given["input"], MOST_COLUMNS, "input"), _real(given["mean"]), _std(given["std"]),
            () if code is Code.NUMBER else _values(labels.checked(given["values"]), name),
            fields.flag(given["other"], "other"),
        )  # fmt: skip

    def real(self, cells: Sequence[str]) -> NDArray[np.float64]:
        """What cells become, ``[n, elements]``.

        :raises ValueError: with what is wrong with a cell, and with its index as the second argument.
        """
        if self.code is Code.NUMBER:
            found = [_parsed(cell) for cell in cells]
            for row, value in enumerate(found):
                if value is None:
                    raise ValueError(f"{cells[row]!r} is not a number", row)
            with np.errstate(over="ignore"):
                made = (np.array(found, np.float64) - self.mean) / self.std
            for row, value in enumerate(np.abs(made).tolist()):
                if not value <= _LARGEST:
                    raise ValueError(f"{cells[row]!r} is too large", row)
            return made[:, np.newaxis]
        numbers = {value: number for number, value in enumerate(self.values)}
        for row, cell in enumerate(cells):
            if cell not in numbers and not self.other:
                raise ValueError(f"{cell!r} is not among its values", row)
        chosen = np.array([numbers.get(cell, len(self.values)) for cell in cells], np.int64)
        if self.code is Code.INDEX:
            return chosen[:, np.newaxis].astype(np.float64)
        marked = np.zeros((len(chosen), self.elements))
        marked[np.arange(len(chosen)), chosen] = 1
        return marked


@dataclass(frozen=True)
class Row(WithoutFiles):
    """From the cells of a row to the network's inputs, in which the columns follow each other."""

    NAME: ClassVar[str] = "row"

    columns: tuple[Column, ...]

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read ``[row]``."""
        fields.known(table, {"columns"}, "row.")
        given = _listed(table.get("columns"))
        return cls(_distinct([Column.of_table(fields.table(one, "row.columns"), graph, folder) for one in given]))

    @classmethod
    def of_manifest(cls, given: Mapping[str, Any], folder: Path | None) -> Self:
        """Read what ``json`` wrote."""
        return cls(_distinct([Column.of_manifest(one) for one in _listed(given["columns"])]))

    def json(self) -> dict[str, Any]:
        """Its object in the manifest's ``task``."""
        return {"columns": [{**asdict(one), "values": list(one.values)} for one in self.columns]}

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network."""
        for number, tensor in enumerate(graph.inputs):
            mine = [one for one in self.columns if one.input == number]
            found, wanted = sum(one.elements for one in mine), math.prod(tensor.shape)
            if found != wanted or min(tensor.shape, default=1) < 1:
                raise UsageError(
                    f"{where}: the columns of input {tensor.name!r} are {found} numbers, but it takes "
                    f"{list(tensor.shape)}", "list its columns in row.columns, in their order"
                )  # fmt: skip
            if tensor.dtype in _WHOLE:
                wrong = [one.name for one in mine if one.code is not Code.INDEX]
                if wrong:
                    raise UsageError(
                        f'{where}: input {tensor.name!r} takes whole numbers, so {wrong[0]!r} needs code = "index"'
                    )
            elif tensor.dtype != "float32" and not (tensor.has_scale and tensor.dtype in ("int8", "uint8", "int16")):
                raise UsageError(f"{where}: {kind} takes a row, but input {tensor.name!r} is {tensor.dtype}")
        beyond = [one for one in self.columns if one.input >= len(graph.inputs)]
        if beyond:
            raise UsageError(f"{where}: {beyond[0].name!r} is of input {beyond[0].input}, which the network has not")

    def values(self, cells: Mapping[str, Sequence[str]], tensors: Sequence[Tensor]) -> list[NDArray[Any]]:
        """The inputs for the columns of a table, ``[n, *tensor shape]`` each: int32 or int64, else float32.

        :raises ValueError: with the column and what is wrong with a cell, and the cell's index as second argument.
        """
        parts: list[list[NDArray[np.float64]]] = [[] for _ in tensors]
        for column in self.columns:
            try:
                parts[column.input].append(column.real(cells[column.name]))
            except ValueError as error:
                raise ValueError(f"column {column.name!r}: {error.args[0]}", error.args[1]) from error
        made = [np.concatenate(part, axis=1) for part in parts]
        return [
            each.reshape(len(each), *tensor.shape).astype(tensor.dtype if tensor.dtype in _WHOLE else np.float32)
            for each, tensor in zip(made, tensors, strict=True)
        ]


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list) or not 0 < len(value) <= MOST_COLUMNS:
        raise ValueError(f"row.columns is not a list of 1 to {MOST_COLUMNS} columns")
    return value


def _distinct(columns: list[Column]) -> tuple[Column, ...]:
    names = [one.name for one in columns]
    again = next((name for name in names if names.count(name) > 1), None)
    if again is not None:
        raise ValueError(f"row.columns: two are called {again!r}")
    return tuple(columns)


def _name(value: Any) -> str:
    (name,) = labels.checked([value])
    return name


def _values(values: tuple[str, ...], name: str) -> tuple[str, ...]:
    if len(set(values)) < len(values) or not values:
        raise ValueError(f"row.columns: the values of {name!r} are missing, or one is there twice")
    return values


def _input(value: Any, graph: Graph) -> int:
    """An input's number, or its name: the signature's or the tensor's."""
    if not isinstance(value, str):
        return fields.whole(value, max(len(graph.inputs) - 1, 0), "row.columns.input")
    names = {name: index for s in graph.signatures if s.subgraph == 0 for name, index in s.inputs.items()}
    for number, (index, tensor) in enumerate(zip(graph.main.inputs, graph.inputs, strict=True)):
        if names.get(value) == index or tensor.name == value:
            return number
    raise ValueError(f"row.columns.input: the network has no input {value!r}")


def _real(value: Any) -> float:
    return fields.numbers([value])[0]


def _std(value: Any) -> float:
    found = _real(value)
    if found <= 0:
        raise ValueError("row.columns.std is not above 0")
    return found


def _parsed(cell: str) -> float | None:
    try:
        found = float(cell)
    except ValueError:
        return None
    return found if math.isfinite(found) and "_" not in cell else None
