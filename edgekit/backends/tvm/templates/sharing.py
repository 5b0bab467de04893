"""Divides loop nests among threads.

TVM makes a function of a parallel loop's body and hands it to ``TVMBackendParallelLaunch``, which the network's source
defines (:mod:`edgekit.backends.tvm.emit`). Iterations write different elements, each computed as on one thread, so the
bits do not depend on the number of threads.
"""

from __future__ import annotations

from typing import Any

from tvm.s_tir import Schedule

ITERATIONS = 32
"""Of a parallel loop, where there are so many: equal parts for up to eight threads."""
_SERIAL = 0


def share(s: Schedule, block: Any) -> None:
    """Make one parallel loop of the outermost loops around ``block``, as many as give :data:`ITERATIONS`.

    To be called before a reduction is decomposed: only then does TVM see that iterations do not meet. The innermost
    loop is left alone.
    """
    outer, count = [], 1
    for loop in s.get_loops(block)[:-1]:
        if s.get(loop).kind != _SERIAL or count >= ITERATIONS:
            break
        outer.append(loop)
        count *= int(s.get(loop).extent)
    if count > 1:
        s.parallel(s.fuse(*outer) if len(outer) > 1 else outer[0])
