"""TOML tables as frozen dataclasses: a class says which keys a table must and may have, and of which type.

A field's annotation is the key's type: ``str``, ``bool``, a number declared with :func:`number`, an ``Enum``, another
dataclass for a table inside, ``tuple[T, ...]`` for a list, ``Mapping[str, T]`` for a table with free keys, each of
them with ``| None`` where the key may be left out. A field with a default may be left out, too. Further keys of the
file are left alone.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")


class WrongTable(ValueError):
    """A key is missing or mistyped; the message names it by its dotted path, with its meaning and unit."""


@dataclass(frozen=True)
class Key:
    """A number in a file.

    :param meaning: what it is, with its unit. :param most: the largest value that makes sense.
    :param whole: True for integers. :param zero: True if it may be 0.
    """

    meaning: str
    most: float = math.inf
    whole: bool = False
    zero: bool = False

    def wrong(self, value: Any) -> str:
        """What is wrong with a value; empty if nothing is."""
        kind = int if self.whole else (int, float)
        if isinstance(value, bool) or not isinstance(value, kind):
            return f"is {value!r}, not a {'whole number' if self.whole else 'number'}: {self.meaning}"
        low = value >= 0 if self.zero else value > 0
        if not (math.isfinite(value) and low and value <= self.most):
            return f"is {value!r}, which cannot be: {self.meaning}"
        return ""


FREE = Key("a number", zero=True)
"""What numbers in tables with free keys may be."""


def number(
    meaning: str, *, default: Any = MISSING, most: float = math.inf, whole: bool = False, zero: bool = False
) -> Any:
    """Declare a field as a number; see :class:`Key`. Without ``default`` it is required."""
    return dataclasses.field(default=default, metadata={"key": Key(meaning, most, whole, zero)})


def keys(form: type, prefix: str = "") -> Iterator[tuple[str, Key]]:
    """Dotted names of all numbers that a dataclass declares, with those of the tables inside."""
    for name, kind, key, _ in _fields(form):
        if key is not None:
            yield prefix + name, key
        elif dataclasses.is_dataclass(kind):
            yield from keys(typing.cast(type, kind), f"{prefix}{name}.")


def build(form: type[T], table: Any, name: str = "") -> T:
    """Return the dataclass of a table. Numbers keep the type that the file gives them.

    :param name: dotted path of the table in its file, for messages.
    :raises WrongTable: if a key is missing or mistyped.
    """
    if not isinstance(table, Mapping):
        raise WrongTable(f"{name} is {table!r}, not a table")
    values = {}
    for key, kind, limits, required in _fields(typing.cast(Any, form)):
        path = f"{name}.{key}" if name else key
        if table.get(key) is not None:
            values[key] = _value(kind, limits, table[key], path)
        elif required:
            raise WrongTable(f"{path} is missing" + (f": {limits.meaning}" if limits else ""))
    return form(**values)


def _value(kind: Any, key: Key | None, value: Any, path: str) -> Any:
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if key is not None or kind is float:
        if reason := (key or FREE).wrong(value):
            raise WrongTable(f"{path} {reason}")
        return value
    if kind is Any or (dataclasses.is_dataclass(value) and not isinstance(value, type)):  # or it was built already
        return value
    if dataclasses.is_dataclass(kind):
        return build(typing.cast(type, kind), value, path)
    if origin is tuple:
        if not isinstance(value, list):
            raise WrongTable(f"{path} is {value!r}, not a list")
        return tuple(_value(arguments[0], None, entry, path) for entry in value)
    if origin is not None:
        if not isinstance(value, Mapping):
            raise WrongTable(f"{path} is {value!r}, not a table")
        return {name: _value(arguments[1], None, entry, f"{path}.{name}") for name, entry in value.items()}
    if issubclass(kind, Enum):
        if value not in [member.value for member in kind]:
            raise WrongTable(f"{path} is {value!r}, not one of {', '.join(str(member.value) for member in kind)}")
        return kind(value)
    if not isinstance(value, kind):
        raise WrongTable(f"{path} is {value!r}, not {'true or false' if kind is bool else 'a text'}")
    return value


@functools.cache
def _fields(form: Any) -> list[tuple[str, Any, Key | None, bool]]:
    """Of each field: name, type without None, limits of a number, and whether it is required."""
    hints = typing.get_type_hints(form)
    rows = []
    for field in dataclasses.fields(form):
        kind = hints[field.name]
        options = typing.get_args(kind) if typing.get_origin(kind) in (typing.Union, types.UnionType) else (kind,)
        inner = next(option for option in options if option is not type(None))
        required = field.default is MISSING and field.default_factory is MISSING
        rows.append((field.name, inner, field.metadata.get("key"), required))
    return rows
