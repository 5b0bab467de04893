"""LiteRT in a child process, for one sample after the other: each finds the network's state as in the beginning.

State is variable tensors, which LiteRT resets, and resource variables, which it keeps as long as the interpreter lives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


class Anew:
    """An interpreter that is made anew before each sample but the first, where the network may have resource variables.

    Nobody else may hold :attr:`interpreter`: two of a large network take twice the memory.

    :param make: makes an interpreter that has run nothing yet, with its tensors allocated.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._used = False
        self.interpreter = make()
        self._resources = _has_resources(self.interpreter)

    def start(self) -> None:
        """Forget what earlier samples left."""
        if self._resources and self._used:
            self.interpreter = None
            self.interpreter = self._make()
        self._used = True
        self.interpreter.reset_all_variables()


def _has_resources(interpreter: Any) -> bool:
    """True if any subgraph has a handle of a resource: LiteRT gives those NumPy's type of objects."""
    details = (d for n in range(interpreter.num_subgraphs()) for d in interpreter.get_tensor_details(n))
    return any(d["dtype"] is np.object_ for d in details)
