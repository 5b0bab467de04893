"""Which sources and deciders the C library has, too: a plug-in's kind of task may be made of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from edgekit.tasks.parts import Decider, Source


@dataclass(frozen=True)
class Twins:
    """What the C library runs of a plug-in's kind of task.

    :param source: its name; empty: none. :param decider: the kind of edgekit's own that has the same; empty: none.
    """

    source: str = ""
    decider: str = ""

    @classmethod
    def of(cls, source: Source, decider: Decider) -> Self:
        """The twins of two parts; classes that are derived from edgekit's have none.

        A decider without a source that makes its inputs there is of no use.
        """
        sources, deciders = _own()
        if type(source) not in sources:
            return cls()
        return cls(source.NAME, deciders.get(type(decider), ""))

    def json(self) -> dict[str, Any]:
        """Its object in the manifest's ``task``."""
        return asdict(self)


def _own() -> tuple[frozenset[type], dict[type, str]]:
    """Return edgekit's own sources, and the kinds of its deciders; the parts are imported when a task needs them."""
    from edgekit.tasks import kinds

    return kinds.SOURCES, kinds.DECIDERS
