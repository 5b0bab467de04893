"""What an accelerator, simulated or on a board, computes and counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

COUNTERS = ("cycles", "active", "weights", "sums", "beats", "vector")
"""Of each command, in the order of the accelerator's log."""


@dataclass(frozen=True)
class Computed:
    """What the accelerator computed.

    :param outputs: one array per port, ``[samples, *shape]``. :param log: of the first sample the counters when each
        command was taken, ``[commands, 6]``; the last is the end. :param cycles: in all.
    """

    outputs: list[NDArray[np.int8]]
    log: NDArray[np.int64]
    cycles: int
