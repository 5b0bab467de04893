"""What a task is made of: a source, which makes the network's inputs, and a decider, which reads its outputs.

A new source or decider is a module with a class of this form, and a kind of task that is made of it
(:class:`TaskKind`); in C a file with a ``struct task_source`` or ``struct task_decider``, and a line in a table of
``task.c``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.graph import Graph


@dataclass(frozen=True)
class Sample:
    """What a network was run on.

    :param name: the file's name in its folder, or the sample's number.
    :param inputs: as they went into the network, in the tensors' dtypes.
    :param size: width and height of a picture; default: those of the network's input.
    """

    name: str
    inputs: Sequence[NDArray[Any]] = ()
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Line:
    """A line of a decision, as the C runner writes it: a class, its label, and values, such as a score and a box."""

    number: int
    label: str
    values: tuple[float, ...]


class Outcome(Protocol):
    """What a decider makes of a sample's outputs."""

    def json(self) -> dict[str, Any]:
        """Its fields in the JSON of ``run``."""

    def words(self) -> str:
        """What ``run`` prints of it; safe for a terminal."""

    def lines(self) -> list[Line]:
        """What ``firmware_stubs/linux/decide.c`` writes of it."""

    def agrees(self, other: Any) -> bool:
        """True if another outcome of the same task comes to the same, whatever its scores are."""


class WithoutFiles:
    """A part of a task of which everything lies in the manifest."""

    def files(self) -> dict[str, bytes]:
        """Nothing."""
        return {}


class Source(Protocol):
    """What a network's inputs are made of."""

    NAME: ClassVar[str]
    """Of its table in ``task.toml`` and in the manifest."""

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read its table.

        :param folder: of ``task.toml``. :raises ValueError: with one line on what is wrong.
        """

    @classmethod
    def of_manifest(cls, given: Mapping[str, Any], folder: Path | None) -> Self:
        """Read what ``json`` wrote, and ``files``; ValueError, KeyError, TypeError or AttributeError if it is damaged.

        :param folder: the bundle's. :raises OSError: if a file is missing.
        """

    def json(self) -> dict[str, Any]:
        """Its object in the manifest's ``task``."""

    def files(self) -> dict[str, bytes]:
        """What of it lies in the bundle beside the manifest, by the files' names."""

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network.

        :param where: the file that says it. :raises UsageError: if they do not fit, with what would.
        """


class Decider(Protocol):
    """From a network's outputs to a decision."""

    KEYS: ClassVar[frozenset[str]]
    """Of ``task.toml``, beside those that all tasks have."""

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read its keys of ``task.toml``; the source is known to fit the network.

        :param folder: of ``task.toml``. :raises ValueError: with one line on what is wrong.
        """

    @classmethod
    def of_manifest(cls, task: Mapping[str, Any], folder: Path | None) -> Self:
        """Read what ``json`` wrote, and ``files``; ValueError, KeyError, TypeError or AttributeError if it is damaged.

        :param folder: the bundle's. :raises OSError: if a file is missing.
        """

    def json(self) -> dict[str, Any]:
        """Its keys in the manifest's ``task``."""

    def files(self) -> dict[str, bytes]:
        """What of it lies in the bundle beside the manifest, by the files' names."""

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network.

        :param where: the file that says it. :raises UsageError: if they do not fit, with what would.
        """

    def decide(self, sample: Sample, outputs: Sequence[NDArray[Any]], graph: Graph, source: Source) -> Outcome:
        """What it makes of a sample's outputs, which are in the tensors' dtypes."""


class TaskKind(Protocol):
    """A kind of task: a plug-in of the group ``edgekit.steps``, under the name that ``task`` has in ``task.toml``."""

    sources: ClassVar[tuple[type[Source], ...]]
    """It takes one of them; the first is the default."""
    decider: ClassVar[type[Decider]]
