"""The form of a task's answer, checked before anybody uses it.

A task that reads an untrusted file runs where the file may have taken over, so its answer can be any JSON. Callers of
:func:`edgekit.sandbox.call` name the form that they rely on, a ``TypedDict``; what lacks it is the model's fault, and
ends as any other damaged file does.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NotRequired, Union

from edgekit.errors import ModelError

DAMAGED = "the child process left a damaged result"


class Arrays(dict[str, Any]):
    """Arrays by name; a missing one is the model's fault, not edgekit's."""

    def __missing__(self, name: str) -> Any:
        raise ModelError(f"{DAMAGED}: no array {name}")


@contextmanager
def consistent() -> Iterator[None]:
    """Guard the assembly of an answer.

    If its parts contradict one another (an index of nothing, lists of different lengths), it is treated as damaged,
    like one of another form.
    """
    try:
        yield
    except (AssertionError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ModelError(f"{DAMAGED}: {type(error).__name__}: {str(error)[:200]}") from error


def checked(value: Any, form: Any, place: str = "") -> Any:
    """Return ``value`` if it has a form; a type of JSON values, as annotations write them.

    Forms are ``TypedDict`` classes, ``dict[str, X]``, ``list[X]``, ``tuple[X, Y]`` (a list of that length), unions,
    ``None``, ``str``, ``int``, ``float``, ``bool`` and ``Any``. What a ``TypedDict`` does not name may be there, too.

    :raises ModelError: naming the place that has another form.
    """
    if not _has(value, form, place):
        raise ModelError(f"{DAMAGED}{f': {place}' if place else ''}")
    return value


def _has(value: Any, form: Any, place: str) -> bool:
    origin, arguments = typing.get_origin(form), typing.get_args(form)
    if form is Any:
        return True
    if form is None or form is type(None):
        return value is None
    if origin in (Union, types.UnionType):
        return any(_fits(value, one, place) for one in arguments)
    if origin is list:
        return isinstance(value, list) and _parts([(one, arguments[0]) for one in value], f"{place}[]")
    if origin is dict:
        return isinstance(value, dict) and _parts([(one, arguments[1]) for one in value.values()], f"{place}.*")
    if origin is tuple:
        same = isinstance(value, list) and len(value) == len(arguments)
        return same and _parts(list(zip(value, arguments, strict=True)), f"{place}[]")
    if typing.is_typeddict(form):
        return isinstance(value, dict) and _keys(value, form, place)
    if form is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is form


def _parts(parts: list[tuple[Any, Any]], place: str) -> bool:
    for value, form in parts:
        checked(value, form, place)
    return True


def _fits(value: Any, form: Any, place: str) -> bool:
    try:
        return _has(value, form, place)
    except ModelError:
        return False


def _keys(value: Mapping[str, Any], form: Any, place: str) -> bool:
    for name, kind in typing.get_type_hints(form, include_extras=True).items():
        optional = typing.get_origin(kind) is NotRequired
        if name in value:
            checked(value[name], typing.get_args(kind)[0] if optional else kind, f"{place}.{name}".lstrip("."))
        elif not optional:
            raise ModelError(f"{DAMAGED}: {place} lacks {name}".replace(":  lacks", ": it lacks"))
    return True
