"""A task: typed, read from ``task.toml``, kept in the manifest, held against the network."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import plugins
from edgekit.errors import CheckFailed, UsageError
from edgekit.files import documents
from edgekit.tasks import fields
from edgekit.tasks.parts import Decider, Source, TaskKind
from edgekit.tasks.twins import Twins

if TYPE_CHECKING:
    from edgekit.graph import Graph

FILE = "task.toml"
SCHEMA = 1
_GROUP, _OURS = "steps", "edgekit"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}", re.ASCII)
"""Of a kind; the C library reads the same."""


@dataclass(frozen=True)
class Task:
    """What a network is for.

    :param kind: the name of a :class:`~edgekit.tasks.parts.TaskKind`. :param plugin: the package that it comes from;
        empty: it is one of edgekit's own. :param twins: what of a plug-in's kind the C library has, too.
    """

    kind: str
    source: Source
    decider: Decider
    plugin: str = ""
    twins: Twins = Twins()

    def files(self) -> dict[str, bytes]:
        """What of it lies in the bundle beside the manifest, by the files' names."""
        return {**self.source.files(), **self.decider.files()}

    def json(self) -> dict[str, Any]:
        """The manifest's ``task``."""
        plugin = {"plugin": self.plugin, "twins": self.twins.json()} if self.plugin else {}
        return {
            "schema": SCHEMA, "task": self.kind, **plugin, self.source.NAME: self.source.json(), **self.decider.json(),
        }  # fmt: skip


def find(model: Path, given: Path | None) -> Path | None:
    """The task's file: the one that is given, or the one beside the model."""
    beside = model.parent / FILE
    return given or (beside if beside.is_file() else None)


def read(path: Path, graph: Graph) -> Task:
    """Read a task for a network.

    :raises UsageError: with one line on what is wrong: a key, its value, or that the network does not fit.
    """
    try:
        table = documents.read_toml(path)
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read: {error}", "docs/tasks.md shows one") from error
    try:
        task = _of_table(table, graph, path)
    except ValueError as error:
        raise UsageError(f"{path}: {error}", "docs/tasks.md has all keys") from error
    check(task, graph, str(path))
    return task


def check(task: Task, graph: Graph, where: str) -> None:
    """Hold a task against a network.

    :raises UsageError: if they do not fit, with what would.
    """
    task.source.check(graph, task.kind, where)
    task.decider.check(graph, task.kind, where)


def of_manifest(manifest: Mapping[str, Any], folder: Path | None = None) -> Task | None:
    """Read the manifest's ``task``; None if there is none.

    :param folder: the bundle's, in which files of the task may lie.
    :raises CheckFailed: if it is damaged; :raises UsageError: if a newer edgekit wrote it.
    """
    value = manifest.get("task")
    if value is None:
        return None
    try:
        if value["schema"] != SCHEMA:
            raise UsageError(f"the bundle's task has schema {value['schema']}, of a newer edgekit", "update edgekit")
        kind, plugin = value["task"], value.get("plugin", "")
        if plugin and kind not in plugins.names(_GROUP):
            raise _absent(kind, plugin)
        parts, found = _kind(kind)
        if plugin != found:
            raise ValueError(f"{kind} is a kind of {found or _OURS}, not of {plugin or _OURS}")
        source = _source(parts, value)
        decider = parts.decider.of_manifest(value, folder)
        made = source.of_manifest(value[source.NAME], folder)
        return Task(kind, made, decider, plugin, _twins(value, made, decider) if plugin else Twins())
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise CheckFailed(f"'task' in manifest.json is damaged: {error}", "compile the bundle again") from error


def _of_table(table: Mapping[str, Any], graph: Graph, path: Path) -> Task:
    """Read the source first: what a decider says of a network only makes sense if its input is the right one."""
    if table.get("schema") != SCHEMA:
        raise ValueError(f"schema = {table.get('schema')!r}: this edgekit reads schema = {SCHEMA}")
    kind = table.get("task", "")
    parts, plugin = _kind(kind)
    fields.known(table, {"schema", "task", *parts.decider.KEYS, *(source.NAME for source in parts.sources)})
    chosen = _source(parts, table)
    source = chosen.of_table(fields.table(table.get(chosen.NAME, {}), chosen.NAME), graph, path.parent)
    source.check(graph, kind, str(path))
    decider = parts.decider.of_table(table, graph, path.parent)
    return Task(kind, source, decider, plugin, Twins.of(source, decider) if plugin else Twins())


def _twins(value: Mapping[str, Any], source: Source, decider: Decider) -> Twins:
    """What the C library runs of a plug-in's kind: nothing, in bundles of an older edgekit.

    :raises ValueError: if the plug-in is made of other parts by now.
    """
    given = value.get("twins")
    found = Twins.of(source, decider)
    if given is not None and given != found.json():
        raise ValueError(f"the plug-in's parts are {found.json()} by now, and were {str(given)[:100]}")
    return Twins() if given is None else found


def _kind(kind: Any) -> tuple[TaskKind, str]:
    """A kind of task by its name, and the package that it comes from if it is not edgekit's own.

    :raises ValueError: if there is none.
    """
    known = plugins.names(_GROUP)
    if not isinstance(kind, str) or kind not in known or not _NAME.fullmatch(kind):
        raise ValueError(f"task = {kind!r}: it is one of {', '.join(known)}")
    package = known[kind].dist
    name = package.name if package is not None else "?"
    found: TaskKind = plugins.get(_GROUP, kind)
    return found, "" if name == _OURS else name


def _absent(kind: Any, plugin: Any) -> UsageError:
    return UsageError(
        f"the bundle's task is {str(kind)[:64]!r}, of the plug-in {str(plugin)[:64]!r}, which is not installed",
        f"install it; there are {', '.join(plugins.names(_GROUP))}",
    )


def _source(parts: TaskKind, table: Mapping[str, Any]) -> type[Source]:
    """The source that a task names, else the default one.

    :raises ValueError: if it names several.
    """
    named = [source for source in parts.sources if source.NAME in table]
    if len(named) > 1:
        raise ValueError(f"{' and '.join(source.NAME for source in named)} exclude each other")
    return (named or parts.sources)[0]
