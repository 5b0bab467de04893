"""Passes: Graph -> Graph, and a report.

A pass is deterministic for a seed and never changes the Graph it is given.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from edgekit.training.context import Context

if TYPE_CHECKING:
    from edgekit.graph import Graph


@dataclass(frozen=True)
class PassContext(Context):
    """What a pass may use.

    :param params: the pass's parameters from the recipe.
    """

    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Report:
    """What a pass tells. A pass that has something to tell returns a subclass with fields of its own.

    The fields land under ``passes`` in the JSON of ``compile``, beside the pass's ``name`` and ``params``.
    """

    @property
    def trained(self) -> bool:
        """True if workers trained."""
        return False

    @property
    def left_in_float(self) -> int:
        """How many operators a quantization left in float."""
        return 0

    def json(self) -> dict[str, Any]:
        """The fields by name, as JSON has them."""
        return asdict(self)


@dataclass(frozen=True)
class Passed:
    """What a pass made, and what it tells of that."""

    graph: Graph
    report: Report = Report()


class Pass(Protocol):
    """One transformation of a Graph."""

    name: str

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the transformed Graph with the pass's report.

        :raises UsageError: on wrong parameters or missing data.
        :raises ModelError: if the Graph cannot be transformed.
        """
