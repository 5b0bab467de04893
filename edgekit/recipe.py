"""Recipes: an ordered list of passes with parameters, read from ``compile/recipes/*.toml``."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit import plugins, resources
from edgekit.errors import UsageError


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


def _read(path: Path) -> Recipe:
    try:
        data = tomllib.loads(path.read_text())
        if data["schema"] != 1:
            raise UsageError(f"{path}: schema must be 1")
        steps = []
        for entry in data.get("pass", []):
            params = {key: value for key, value in entry.items() if key != "name"}
            steps.append(Step(entry["name"], params))
        return Recipe(path.stem, data["description"], bool(data.get("needs_data", False)), tuple(steps))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError, OSError) as error:
        raise UsageError(f"{path}: not a recipe: {error}", "docs/formats.md shows one") from error
