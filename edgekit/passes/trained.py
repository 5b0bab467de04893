"""The report of a pass that trains."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from edgekit.passes import Report
from edgekit.training.job import History


@dataclass(frozen=True)
class TrainedReport(Report):
    """How a training went."""

    history: History

    @property
    def trained(self) -> bool:
        """See :class:`edgekit.passes.Report`."""
        return True

    def json(self) -> dict[str, Any]:
        """The training's items, and a subclass's own fields beside them."""
        own = asdict(self)
        del own["history"]
        return {**self.history.json(), **own}
