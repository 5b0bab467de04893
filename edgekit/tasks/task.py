"""A task: typed, read from ``task.toml``, kept in the manifest, held against the network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.errors import CheckFailed, UsageError
from edgekit.files import documents
from edgekit.tasks import fields
from edgekit.tasks.anomaly import Anomaly
from edgekit.tasks.classifier import Classifier
from edgekit.tasks.detector import Detector
from edgekit.tasks.parts import Decider, Source
from edgekit.tasks.picture import Picture
from edgekit.tasks.ranker import Ranker
from edgekit.tasks.regressor import Regressor
from edgekit.tasks.row import Row
from edgekit.tasks.segmenter import Segmenter
from edgekit.tasks.sound import Sound
from edgekit.tasks.text import Text

if TYPE_CHECKING:
    from edgekit.graph import Graph

FILE = "task.toml"
SCHEMA = 1


class Kind(StrEnum):
    """Kinds of tasks."""

    CLASSIFICATION = "classification"
    DETECTION = "detection"
    SEGMENTATION = "segmentation"
    TEXT_CLASSIFICATION = "text-classification"
    KEYWORD = "keyword"
    ANOMALY = "anomaly"
    REGRESSION = "regression"
    RANKING = "ranking"


@dataclass(frozen=True)
class _Parts:
    """What a kind of task is made of: one of ``sources``, of which the first is the default, and ``decider``."""

    sources: tuple[type[Source], ...]
    decider: type[Decider]


_KINDS = {
    Kind.CLASSIFICATION: _Parts((Picture, Row), Classifier),
    Kind.DETECTION: _Parts((Picture,), Detector),
    Kind.SEGMENTATION: _Parts((Picture,), Segmenter),
    Kind.TEXT_CLASSIFICATION: _Parts((Text,), Classifier),
    Kind.KEYWORD: _Parts((Sound,), Classifier),
    Kind.ANOMALY: _Parts((Sound,), Anomaly),
    Kind.REGRESSION: _Parts((Row,), Regressor),
    Kind.RANKING: _Parts((Row,), Ranker),
}


@dataclass(frozen=True)
class Task:
    """What a network is for."""

    kind: Kind
    source: Source
    decider: Decider

    def json(self) -> dict[str, Any]:
        """The manifest's ``task``."""
        return {
            "schema": SCHEMA, "task": str(self.kind), self.source.NAME: self.source.json(), **self.decider.json(),
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
        kind = Kind(value["task"])
        parts = _KINDS[kind]
        source = _source(parts, value)
        return Task(kind, source.of_manifest(value[source.NAME], folder), parts.decider.of_manifest(value))
    except (KeyError, TypeError, ValueError, AttributeError, OSError) as error:
        raise CheckFailed(f"'task' in manifest.json is damaged: {error}", "compile the bundle again") from error


def _of_table(table: Mapping[str, Any], graph: Graph, path: Path) -> Task:
    """Read the source first: what a decider says of a network only makes sense if its input is the right one."""
    if table.get("schema") != SCHEMA:
        raise ValueError(f"schema = {table.get('schema')!r}: this edgekit reads schema = {SCHEMA}")
    kind = fields.choice(Kind, table.get("task", ""), "task")
    parts = _KINDS[kind]
    fields.known(table, {"schema", "task", *parts.decider.KEYS, *(source.NAME for source in parts.sources)})
    chosen = _source(parts, table)
    source = chosen.of_table(fields.table(table.get(chosen.NAME, {}), chosen.NAME), graph, path.parent)
    source.check(graph, kind, str(path))
    return Task(kind, source, parts.decider.of_table(table, graph, path.parent))


def _source(parts: _Parts, table: Mapping[str, Any]) -> type[Source]:
    """The source that a task names, else the default one.

    :raises ValueError: if it names several.
    """
    named = [source for source in parts.sources if source.NAME in table]
    if len(named) > 1:
        raise ValueError(f"{' and '.join(source.NAME for source in named)} exclude each other")
    return (named or parts.sources)[0]
