"""Recipes: an ordered list of passes with parameters, read from ``compile/recipes/*.toml``."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from edgekit import plugins, resources
from edgekit.errors import UsageError
from edgekit.files import documents
from edgekit.metrics.bounds import Bounds
from edgekit.metrics.tasks import NAMES

HINT = "docs/formats.md shows one"


@dataclass(frozen=True)
class Step:
    """One pass of a recipe: the plugin's name and its parameters."""

    name: str
    params: dict[str, Any]


@dataclass(frozen=True)
class Recipe:
    """What to do to a Graph before it is compiled."""

    name: str
    description: str
    needs_data: bool
    steps: tuple[Step, ...]
    bounds: Bounds = Bounds()


def names() -> list[str]:
    """Names of the recipes that come with edgekit."""
    return sorted(path.stem for path in resources.folder("compile").glob("recipes/*.toml"))


def load(name: str) -> Recipe:
    """Read a recipe by its name, or from a path that ends in ``.toml``.

    ``int8-w/int16-a`` and ``int8-w-int16-a`` are the same name.

    :raises UsageError: if there is none, or its file is wrong.
    """
    if name.endswith(".toml"):
        return _read(Path(name))
    stem = name.replace("/", "-")
    if stem not in names():
        raise UsageError(f"there is no recipe named {name!r}", plugins.nearest(stem, names()))
    return _read(resources.folder("compile") / "recipes" / f"{stem}.toml")


def dumps(plan: Recipe, comment: str = "") -> str:
    """Return the recipe as the TOML file that :func:`load` reads, with ``comment`` in its first lines."""
    lines = [f"# {''.join(c if c.isprintable() else '?' for c in line)}".rstrip() for line in comment.splitlines()]
    lines += ["schema = 1", f"description = {_toml(plan.description)}"]
    lines += ["needs_data = true"] if plan.needs_data else []
    for step in plan.steps:
        lines += ["", "[[pass]]", f"name = {_toml(step.name)}"]
        lines += [f"{_key(key)} = {_toml(value)}" for key, value in step.params.items()]
    bounds = {entry.name: value for entry in fields(Bounds) if (value := getattr(plan.bounds, entry.name)) is not None}
    if bounds:
        lines += ["", "[bounds]", *(f"{name} = {_toml(value)}" for name, value in bounds.items())]
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """The value in TOML: JSON's notation, but for tables."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(key)} = {_toml(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if re.fullmatch("[A-Za-z0-9_-]+", name) else _toml(name)


def changed(plan: Recipe, changes: Sequence[str]) -> Recipe:
    """Return the recipe with other parameters, ``"PASS.PARAMETER=VALUE"`` each; the value is TOML's, or text.

    Every pass of that name is changed.

    :raises UsageError: if the recipe has no such pass, or the change is not of that form.
    """
    steps = list(plan.steps)
    for change in changes:
        name, parameter, value = change_of(change)
        here = [step.name for step in steps]
        if name not in here:
            raise UsageError(
                f"--set {change}: the recipe {plan.name} has no pass {name!r}",
                "it has " + ", ".join(here) if here else "it has no passes",
            )
        steps = [replace(s, params=s.params | {parameter: value}) if s.name == name else s for s in steps]
    return replace(plan, steps=tuple(steps))


def change_of(text: str) -> tuple[str, str, Any]:
    """Return what ``NAME.PARAMETER=VALUE`` says.

    :raises UsageError: if it is not of that form.
    """
    place, equals, value = text.partition("=")
    name, dot, parameter = place.strip().partition(".")
    if not (equals and dot and name and parameter):
        raise UsageError(f"--set {text}: it must be PASS.PARAMETER=VALUE", "as in --set finetune.epochs=5")
    result = _value(value)
    if not _plain(result):
        raise UsageError(f"--set {text}: {value} is not a valid value of a parameter")
    return name, parameter, result


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, KeyError, RecursionError):
        return text


def _read(path: Path) -> Recipe:
    """Read a recipe file, which may come from anybody."""
    try:
        return _recipe(path.stem, documents.read_toml(path))
    except KeyError as error:
        raise UsageError(f"{path}: not a recipe: it has no {error}", HINT) from error
    except OSError as error:
        raise UsageError(f"{path}: not a recipe: {error.strerror or error}", HINT) from error
    except ValueError as error:  # also what tomllib and decoding raise
        raise UsageError(f"{path}: not a recipe: {str(error)[:300]}", HINT) from error


def _recipe(name: str, data: dict[str, Any]) -> Recipe:
    _known("recipe", data, ("schema", "description", "needs_data", "pass", "bounds"))
    if data["schema"] != 1:
        raise ValueError("schema must be 1")
    needs_data = data.get("needs_data", False)
    if not isinstance(data["description"], str) or not isinstance(needs_data, bool):
        raise ValueError("description is text, needs_data is true or false")
    passes = data.get("pass", [])
    if not isinstance(passes, list) or not all(isinstance(entry, dict) for entry in passes):
        raise ValueError("passes are tables, each below [[pass]]")
    return Recipe(name, data["description"], needs_data, tuple(map(_step, passes)), _bounds(data.get("bounds", {})))


def _step(entry: dict[str, Any]) -> Step:
    if not isinstance(entry["name"], str):
        raise ValueError("the name of a pass is text")
    if not _plain(entry):
        raise ValueError(
            f"the parameters of {entry['name']} must be texts, finite numbers, true, false, or lists of them"
        )
    return Step(entry["name"], {key: value for key, value in entry.items() if key != "name"})


def _plain(value: Any) -> bool:
    """True if JSON can hold the value."""
    if isinstance(value, dict | list):
        return all(map(_plain, value.values() if isinstance(value, dict) else value))
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _bounds(table: Any) -> Bounds:
    if not isinstance(table, dict):
        raise ValueError("bounds is a table")
    _known("[bounds]", table, [entry.name for entry in fields(Bounds)])
    limits = ("metric_drop", "metric_group_drop")
    if ("metric" in table) != any(name in table for name in limits) or table.get("metric", NAMES[0]) not in NAMES:
        raise ValueError(
            f"metric and metric_drop (or metric_group_drop) go together, and metric is one of {', '.join(NAMES)}"
        )
    for name in limits:
        drop = table.get(name, 0)
        if isinstance(drop, bool) or not isinstance(drop, int | float) or not 0 <= drop < math.inf:
            raise ValueError(f"{name} is {drop!r}, it must be a number from 0")
    for key, value in table.items():
        if key.startswith("metric"):
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
            raise ValueError(f"{key} is {value!r}, it must be points of accuracy, 0 to 100")
    return Bounds(**table)


def _known(what: str, table: dict[str, Any], keys: Sequence[str]) -> None:
    """Refuse a key that is not known, since one that is misspelt would silently do nothing."""
    if unknown := sorted(set(table) - set(keys)):
        raise ValueError(f"{what} has no key {unknown[0]!r}; {plugins.nearest(unknown[0], keys)}")
