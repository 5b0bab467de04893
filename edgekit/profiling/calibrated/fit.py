"""Fit of costs to measured networks: non-negative, and with a structure shared by boards that are alike.

The logarithm of a cost is the sum of the prior's, and of corrections on several levels: all boards of one runtime,
one board, one set of measurements on it. Each correction is drawn to zero, so a board with few rows keeps to its
relatives, and one with many goes its own way. Residuals are relative, ``log(measured / predicted)``, with Cauchy
weights: a row that is odd counts little. Networks of one family come out wrong together, so that many of one count
little more than few. The maximum of the posterior is found by Gauss-Newton; its curvature there gives the uncertainty
of each cost, and so that of a network whose operators were rarely seen.

The levels are a tree, and what is known of a node is a Gaussian: each step passes what the measurements say from the
sets up to the runtime, and what that says down again, which is exact and takes no matrix larger than the costs' own.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from edgekit.profiling.calibrated.features import Array
from edgekit.profiling.calibrated.quantities import FIXED, NAMES, RELATED

SCALE, TOGETHER, COST = (0.5, 10.0, 0.5), (0.5, 0.4, 0.15), (0.5, 0.25, 0.1)
"""By level (runtime, board, set): standard deviations of the logarithms of the factor common to all costs, of those
common to related costs (:data:`edgekit.profiling.calibrated.quantities.RELATED`), and of each cost's own."""
DISPATCH, OWN_DISPATCH = (1.2, 0.6, 0.2), (0.5, 0.25, 0.1)
"""The same of what an operator costs whatever its size: runtimes differ, boards and operators little. It must not
drift with large networks, in which it hardly counts, or small ones would come out milliseconds too slow."""
PARTS: Array = np.array(
    [[1.0, *(float(name in group) for group in RELATED), *(float(name == own) for own in NAMES)] for name in NAMES]
)
"""Which factors each cost is the product of, ``[features, factors]``: 1 or 0."""
NOISE = 0.08
"""Standard deviation of a measurement's logarithm that a fit does not explain."""
FAMILY = 0.2
"""The same of what all networks of a family have in common in one set."""
ODD = 6.0
"""Deviations beyond which a row counts less than half."""
STEPS = 60
CLOSE = 1e-5
"""Change of a cost's logarithm at which a fit ends."""


@dataclass(frozen=True)
class Samples:
    """Measurements that share their costs.

    :param table: amounts ``[n, features]``. :param latency_ms: ``[n]``.
    :param levels: names of the runtime, the board and the set, from the most to the least shared.
    :param noise: standard deviations of the measurements' logarithms, ``[n]``; None: :data:`NOISE`.
    :param families: what each network is of, ``[n]``; None: each of its own.
    :param offset: what is known of this machine's costs before: logarithms to add to the prior's ``[features]``.
    """

    table: Array
    latency_ms: Array
    levels: tuple[Hashable, ...]
    noise: Array | None = None
    families: Sequence[str] | None = None
    offset: Array | None = None


@dataclass(frozen=True)
class Costs:
    """Logarithms of costs (ms per unit) and their covariance ``[features, features]``."""

    log: Array
    covariance: Array

    def deviation(self, share: Array) -> float:
        """Standard deviation of the logarithm of a latency, of which each cost has a share ``[features]``."""
        return float(np.sqrt(NOISE**2 + share @ self.covariance @ share))

    def predict(self, table: Array) -> tuple[Array, Array]:
        """Return latencies in ms of networks ``[n, features]``, and standard deviations of their logarithms."""
        parts = table * np.exp(self.log)
        total = parts.sum(1)
        share = parts / np.maximum(total, 1e-12)[:, None]
        return total, np.array([self.deviation(row) for row in share])


@dataclass(frozen=True)
class _Node:
    """A place in the tree of levels: its depth, and the place of the one above; -1: none."""

    depth: int
    above: int


def fit(samples: Sequence[Samples], prior: Array) -> list[Costs]:
    """Fit all sets at once; returns the costs of each. Sets without rows get those of their levels."""
    nodes, leaves = _tree(samples)
    spreads = [_spread(depth) for depth in range(len(SCALE))]
    priors = [prior if one.offset is None else prior + one.offset for one in samples]
    values = _start(samples, priors)
    means, covariances = values, [spreads[-1]] * len(samples)
    for _ in range(STEPS):
        evidence = [_evidence(one, before, value) for one, before, value in zip(samples, priors, values, strict=True)]
        means, covariances = _posterior(nodes, leaves, evidence, spreads)
        steps = [mean - value for mean, value in zip(means, values, strict=True)]
        largest = [float(np.abs(step).max(initial=0.0)) for step in steps]
        values = [value + step / max(far, 1.0) for value, step, far in zip(values, steps, largest, strict=True)]
        if max(largest, default=0.0) < CLOSE:
            break
    return [
        Costs(before + value, covariance) for before, value, covariance in zip(priors, values, covariances, strict=True)
    ]


def _tree(samples: Sequence[Samples]) -> tuple[list[_Node], list[int]]:
    """The nodes, those above first, and each set's place among them."""
    places: dict[tuple[Hashable, ...], int] = {}
    nodes: list[_Node] = []
    leaves = []
    for one in samples:
        above = -1
        for depth in range(len(one.levels)):
            path = one.levels[: depth + 1]
            if path not in places:
                places[path] = len(nodes)
                nodes.append(_Node(depth, above))
            above = places[path]
        leaves.append(above)
    return nodes, leaves


def _spread(depth: int) -> Array:
    """Covariance of a level's corrections ``[features, features]``."""
    together = [(DISPATCH if set(group) <= set(FIXED) else TOGETHER)[depth] for group in RELATED]
    own = [(OWN_DISPATCH if name in FIXED else COST)[depth] for name in NAMES]
    deviations = np.array([SCALE[depth], *together, *own])
    made: Array = (PARTS * deviations**2) @ PARTS.T
    return made


def _start(samples: Sequence[Samples], priors: Sequence[Array]) -> list[Array]:
    """Corrections to begin with: for all costs of a board, the median ratio of its measurements."""
    known: dict[Hashable, list[float]] = {}
    for one, before in zip(samples, priors, strict=True):
        if len(one.latency_ms):
            known.setdefault(one.levels[1], []).extend(np.log(one.latency_ms) - np.log(one.table @ np.exp(before)))
    usual = float(np.median([ratio for ratios in known.values() for ratio in ratios])) if known else 0.0
    return [np.full(len(NAMES), float(np.median(known.get(one.levels[1], [usual])))) for one in samples]


def _evidence(one: Samples, prior: Array, value: Array) -> tuple[Array, Array]:
    """What a set's measurements say of its corrections, at ``value``: precision and precision times mean."""
    count = len(value)
    precision, pull = np.zeros((count, count)), np.zeros(count)
    if not len(one.latency_ms):
        return precision, pull
    parts = one.table * np.exp(prior + value)
    total = parts.sum(1)
    share, residual = parts / total[:, None], np.log(one.latency_ms) - np.log(total)
    noise = one.noise if one.noise is not None else np.full(len(total), NOISE)
    weight = 1 / (1 + (residual / (ODD * noise)) ** 2) / noise**2
    names = np.array(one.families if one.families is not None else range(len(total)))
    for name in dict.fromkeys(names.tolist()):
        rows = names == name
        own, heavy, left = share[rows], weight[rows], residual[rows]
        mean, off = heavy @ own, float(heavy @ left)
        common = FAMILY**2 / (1 + FAMILY**2 * float(heavy.sum()))
        precision += own.T @ (own * heavy[:, None]) - common * np.outer(mean, mean)
        pull += own.T @ (heavy * left) - common * off * mean
    return precision, precision @ value + pull


def _posterior(
    nodes: Sequence[_Node], leaves: Sequence[int], evidence: Sequence[tuple[Array, Array]], spreads: Sequence[Array]
) -> tuple[list[Array], list[Array]]:
    """Means and covariances of the sets' corrections, given what each set's measurements say."""
    count = len(spreads[0])
    unit = np.eye(count)
    precision = [np.zeros((count, count)) for _ in nodes]
    pull = [np.zeros(count) for _ in nodes]
    for leaf, (sure, pulled) in zip(leaves, evidence, strict=True):
        precision[leaf] = precision[leaf] + sure
        pull[leaf] = pull[leaf] + pulled
    gains = []
    for place, node in reversed(list(enumerate(nodes))):
        inverse = np.linalg.inv(unit + precision[place] @ spreads[node.depth])
        gains.append(spreads[node.depth] @ inverse)
        if node.above >= 0:
            precision[node.above] = precision[node.above] + inverse @ precision[place]
            pull[node.above] = pull[node.above] + inverse @ pull[place]
    means: list[Array] = []
    covariances: list[Array] = []
    for place, (node, gain) in enumerate(zip(nodes, reversed(gains), strict=True)):
        mean = means[node.above] if node.above >= 0 else np.zeros(count)
        around = covariances[node.above] if node.above >= 0 else np.zeros((count, count))
        kept = unit - gain @ precision[place]
        means.append(mean + gain @ (pull[place] - precision[place] @ mean))
        covariances.append(gain + kept @ around @ kept.T)
    return [means[leaf] for leaf in leaves], [covariances[leaf] for leaf in leaves]
