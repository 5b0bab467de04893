"""Zeros during training: existing ones stay, and a schedule may add more.

The schedule is Zhu & Gupta's ("To prune, or not to prune", 2017): the share of zeros at step t of T is
``s (1 - (1 - t/T)^3)``. At each change the weights of smallest magnitude go; a weight behind its mask keeps its
value, and returns if others have become smaller.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from edgekit.training.patterns import kept

RAMP = 0.6
"""Share of the steps after which the zeros are final."""
CHANGES = 20
"""How often they change until then."""


class Masks:
    """Masks of weights: the hooks that apply them, and their schedule.

    :param variables: the trainable Graph's, by tensor index.
    :param plan: ``keep`` (zeros of weights stay), and ``layers`` (tensor indices), ``pattern``, ``sparsity`` of the
        schedule; the pattern 2:4 comes at once, at its first change.
    :param steps: of the whole training.
    """

    def __init__(self, tf: Any, variables: Mapping[int, Any], plan: Mapping[str, Any], steps: int) -> None:
        self._variables, self._plan = variables, plan
        grown = list(plan.get("layers", ()))
        weights = [i for i, v in variables.items() if sum(d > 1 for d in v.shape) > 1]  # no biases, whatever their rank
        zeros = [i for i in weights if plan["keep"] and not variables[i].numpy().all()]
        self._masks = {
            i: tf.Variable((variables[i].numpy() != 0).astype(np.float32), trainable=False, name=f"mask{i}")
            for i in sorted({*zeros, *grown})
        }
        self._end = max(1, round(RAMP * steps))
        self._every = max(1, self._end // CHANGES)
        self._fixed = {i: self._masks[i].numpy().astype(bool) for i in zeros if i in grown}

    @property
    def state(self) -> list[Any]:
        """Return the masks, for a checkpoint."""
        return list(self._masks.values())

    def hooks(self) -> dict[int, Callable[[Any], Any]]:
        """One function a masked constant."""
        return {i: functools.partial(operator.mul, mask) for i, mask in self._masks.items()}

    def settled(self, step: int) -> bool:
        """True if the masks before ``step`` are final."""
        return not self._plan.get("layers") or step > self._end

    def schedule(self, step: int) -> None:
        """Before ``step``: choose the zeros anew, if it is time."""
        if not self._plan.get("layers") or step > self._end or (step % self._every and step != self._end):
            return
        share = self._plan["sparsity"] * (1 - (1 - step / self._end) ** 3)
        for index in self._plan["layers"]:
            values = self._variables[index].numpy()
            rows = np.abs(values.reshape(len(values), -1)).astype(np.float64)
            chosen = kept(rows, self._plan["pattern"], share).reshape(values.shape)
            self._masks[index].assign(chosen & self._fixed.get(index, True))

    def apply(self) -> None:
        """Write the zeros into the weights."""
        for index, mask in self._masks.items():
            self._variables[index].assign(self._variables[index] * mask)
