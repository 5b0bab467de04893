"""Sums over the workers that train together: one process or many.

Many are TensorFlow's own engine, ``tf.distribute.MultiWorkerMirroredStrategy``: each worker computes on its shard, and
the gradients are all-reduced over gRPC. Every worker then takes the same step, so their variables stay the same bits.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any


class Alone:
    """One process: a sum over it is what it computed."""

    workers, index = 1, 0

    def summed(self, function: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        """Return ``function`` itself: there is nothing to sum over."""
        return function


class Cluster:
    """One of several processes; make it before TensorFlow does anything else.

    :param addresses: ``host:port`` of every worker, in order; :param index: which of them this is.
    """

    def __init__(self, tf: Any, addresses: Sequence[str], index: int) -> None:
        os.environ["TF_CONFIG"] = json.dumps(
            {"cluster": {"worker": list(addresses)}, "task": {"type": "worker", "index": index}}
        )
        self._tf, self.workers, self.index = tf, len(addresses), index
        self._strategy = tf.distribute.MultiWorkerMirroredStrategy()

    def summed(self, function: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        """Return ``function`` with each tensor of its result summed over the workers; call it in step on all."""
        tf = self._tf

        def everywhere(*given: Any) -> list[Any]:
            here = function(*given)
            return list(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, here))

        return lambda *given: list(self._strategy.run(everywhere, args=given))
