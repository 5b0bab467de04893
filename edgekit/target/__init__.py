"""Targets: what each board is, read from ``targets/*.toml``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from edgekit import plugins, resources
from edgekit.errors import UsageError
from edgekit.files import documents
from edgekit.target import schema
from edgekit.target.schema import BoardKind as BoardKind


@dataclass(frozen=True)
class Target:
    """A board or device, as data. ``data`` is the whole TOML; docs/formats.md lists its keys and units.

    :param arch: the processor's architecture as Linux names it (``aarch64``, ``x86_64``), or ``native``.
    """

    name: str
    kind: BoardKind
    description: str
    arch: str
    backends: tuple[str, ...]
    runners: tuple[str, ...]
    data: dict[str, Any]

    def get(self, path: str, default: Any = None) -> Any:
        """Look up a dotted key: ``target.get("cpu.clock_mhz")``."""
        value: Any = self.data
        for part in path.split("."):
            if not isinstance(value, dict) or part not in value:
                return default
            value = value[part]
        return value


def names() -> list[str]:
    """Names of all targets, sorted."""
    return sorted(path.stem for path in resources.folder("targets").glob("*.toml"))


@cache
def load(name: str) -> Target:
    """Read a target by name.

    :raises UsageError: if there is none by that name (the hint suggests the nearest), or its file is wrong.
    """
    if name not in names():
        raise UsageError(f"there is no target named {name!r}", plugins.nearest(name, names()))
    return read(resources.folder("targets") / f"{name}.toml")


def read(path: Path) -> Target:
    """Read a target's file."""
    try:
        data = documents.read_toml(path)
        if data["schema"] != 1 or data["name"] != path.stem:
            raise UsageError(f"{path}: schema must be 1 and name must be {path.stem!r}")
        texts = (data["name"], data["kind"], data["description"], data["arch"])
        if not all(isinstance(text, str) for text in (*texts, *data["backends"], *data["runners"])):
            raise TypeError("a name is not a text")
        if data["kind"] not in list(BoardKind):
            raise UsageError(f"{path}: kind is {data['kind']!r}, not one of {', '.join(BoardKind)}", schema.HINT)
        schema.check(path, data, data["kind"], data["runners"])
        return Target(
            name=data["name"], kind=BoardKind(data["kind"]), description=data["description"], arch=data["arch"],
            backends=tuple(data["backends"]), runners=tuple(data["runners"]), data=data,
        )  # fmt: skip
    except (ValueError, TypeError, KeyError, OSError) as error:
        raise UsageError(f"{path}: not a target: {error}", "docs/targets.md lists the keys") from error
