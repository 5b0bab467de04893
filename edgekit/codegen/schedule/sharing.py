"""Into how many parts a kernel's work may be divided among threads."""

from __future__ import annotations

import math

from edgekit.codegen import loops
from edgekit.codegen.program import Call

STEPS = 4000
"""Least work of a part, in vector instructions that multiply: a few microseconds, several times what it costs to hand
work to a thread that is awake."""
BYTES = 16
"""Read or written while a processor executes one of these, where a kernel does little but move elements."""
MOST = 64
"""Parts of one kernel."""


def parts_of(call: Call) -> int:
    """Return the most parts into which a call's work is divided; 1: it runs on the caller's thread.

    A schedule found by tuning has no parallel loop.
    """
    nest = call.loops
    if call.trace:
        return 1
    if isinstance(nest, loops.Conv | loops.Depthwise):
        products = math.prod(nest.shape) * math.prod(nest.kernel)
        at_once = nest.tile[2] * (4 if isinstance(nest, loops.Conv) and nest.dot else 1)
        steps = products // at_once
    else:
        steps = max(argument.nbytes for argument in call.args) // BYTES
    return max(1, min(MOST, steps // STEPS))
