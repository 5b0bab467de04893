"""Compares what an artifact computes from source material with what it computes from the golden inputs made of that.

It is the same network on the same input. Without this, outputs that no inference made would lead both sides to the same
decision.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from edgekit.metrics import differences, parity, verdict

if TYPE_CHECKING:
    from edgekit.bundle.material import Made, Material
    from edgekit.graph import Graph
    from edgekit.metrics.decision import DecisionParity


def judge(
    found: DecisionParity, graph: Graph, material: Material, outputs: Sequence[NDArray[Any]], made: Made,
    bounds: differences.Bounds,
) -> DecisionParity:  # fmt: skip
    """A verdict that is ok stays so if the outputs are the same, too.

    :param outputs: the artifact's on all golden inputs. :param bounds: of the proof of the network.
    """
    if not found.ok:
        return found
    for number, row in enumerate(material.rows):
        golden, again = ([each[at : at + 1] for each in of] for of, at in ((outputs, row), (made.outputs, number)))
        result = parity.compare(graph, golden, again, bounds)
        if not result.ok and result.reason != verdict.NOTHING:
            reason = (
                f"{found.what} {number}: the C library leads to other outputs than the same input in golden.npz: "
                f"they are off by {result.distance()}"
            )
            return replace(found, ok=False, agree=None, reason=reason)
    return found
