"""The null runner: reference execution on this machine, whatever the bundle's target is. It times nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from edgekit.reference.litert import reference_outputs
from edgekit.runners import Run, RunOptions, Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle


class NullRunner:
    """Runs the bundle's model on LiteRT's reference kernels."""

    name = "null"

    def run(self, bundle: Bundle, inputs: Sequence[NDArray[Any]], options: RunOptions) -> Run:
        """See :class:`edgekit.runners.Runner`; ``repeat``, ``threads`` and ``profile`` have no effect."""
        outputs = reference_outputs(bundle.model, inputs)
        return Run(outputs, Trace(source="host", runtime="reference kernels"), {"threads": 1})
