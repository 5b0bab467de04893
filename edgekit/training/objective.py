"""The training objective: labels, a teacher's outputs, or both.

For a softmax with logits s and a teacher's logits t (Hinton, Vinyals & Dean, "Distilling the Knowledge in a Neural
Network", 2015)::

    L = (1 - alpha) CE(y, softmax(s)) + alpha T^2 KL(softmax(t / T) || softmax(s / T))

A sigmoid's output is a softmax over (s, 0). Any other output is compared by the squared error, divided by the variance
of the teacher's output over the samples, so that outputs of any scale count alike.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.graph import Graph


@dataclass(frozen=True)
class Head:
    """One output of the network.

    :param kind: ``softmax``, ``sigmoid`` or ``linear``.
    :param index: the tensor to compare: logits where the last operator is a softmax or a sigmoid.
    :param scale: logits are the tensor times this (a softmax's beta).
    """

    kind: str
    index: int
    scale: float = 1.0


def heads(graph: Graph, *, labelled: bool = False) -> list[Head]:
    """Return the outputs' heads.

    :param labelled: the first output is a classifier's, so that without a softmax it is logits.
    """
    makers = {index: operator for operator in graph.operators for index in operator.outputs}
    found = []
    for index in graph.main.outputs:
        maker = makers.get(index)
        if maker is not None and maker.op == "SOFTMAX":
            found.append(Head("softmax", maker.inputs[0], float(maker.options.beta)))
        elif maker is not None and maker.op == "LOGISTIC":
            found.append(Head("sigmoid", maker.inputs[0]))
        else:
            found.append(Head("linear", index))
    if labelled and found[0].kind == "linear" and math.prod(graph.outputs[0].shape) > 1:
        found[0] = Head("softmax", found[0].index)
    return found


def alike(student: Sequence[Head], teacher: Sequence[Head]) -> list[Head]:
    """The student's heads, a linear one read as logits where the teacher's is a softmax or a sigmoid."""
    return [
        Head(t.kind, s.index) if s.kind == "linear" else s for s, t in zip(student, teacher, strict=True)
    ]  # fmt: skip


@dataclass(frozen=True)
class Objective:
    """Losses of samples, in TensorFlow.

    :param alpha: weight of the teacher, 0..1; the labels have the rest. :param temperature: softens both.
    :param variances: of the teacher's outputs, one a head.
    """

    tf: Any
    heads: Sequence[Head]
    alpha: float
    temperature: float = 1.0
    variances: Sequence[float] = ()

    def losses(self, found: Sequence[Any], labels: Any, teacher: Sequence[Any]) -> Any:
        """Return one loss per sample, ``[n]``.

        :param found: the heads' tensors, ``[n, ...]`` each; :param teacher: the same of the teacher, already scaled.
        """
        loss = 0.0
        if self.alpha < 1:
            loss += (1 - self.alpha) * self._hard(found[0], labels)
        if self.alpha > 0:
            loss += self.alpha * sum(self._soft(n, found[n], t) for n, t in enumerate(teacher))
        return loss

    def predicted(self, found: Sequence[Any]) -> Any:
        """The class of each sample, from the first head."""
        return self.tf.argmax(self._logits(found[0], 0)[:, 0], -1, output_type=self.tf.int64)

    def _logits(self, values: Any, number: int) -> Any:
        head = self.heads[number]
        return _rows(self.tf, head.kind, values if head.scale == 1 else values * head.scale)

    def _hard(self, values: Any, labels: Any) -> Any:
        rows = self._logits(values, 0)[:, 0]
        return self.tf.nn.sparse_softmax_cross_entropy_with_logits(labels, rows)

    def _soft(self, number: int, values: Any, teacher: Any) -> Any:
        tf, kind, t = self.tf, self.heads[number].kind, self.temperature
        if kind == "linear":
            error = tf.reshape((values - teacher) ** 2, (tf.shape(values)[0], -1))
            return tf.reduce_mean(error, -1) / self.variances[number]
        wanted = tf.nn.log_softmax(_rows(tf, kind, teacher) / t)
        given = tf.nn.log_softmax(self._logits(values, number) / t)
        return t * t * tf.reduce_mean(tf.reduce_sum(tf.exp(wanted) * (wanted - given), -1), -1)


def _rows(tf: Any, kind: str, logits: Any) -> Any:
    """Logits as ``[n, rows, classes]``; a sigmoid's single logit s becomes (0, s)."""
    count = tf.shape(logits)[0]
    if kind == "sigmoid":
        flat = tf.reshape(logits, (count, -1, 1))
        return tf.concat([tf.zeros_like(flat), flat], -1)
    return tf.reshape(logits, (count, -1, logits.shape[-1]))
