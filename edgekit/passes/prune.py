"""Structured pruning: whole channels are removed, which reduces MACs, parameters and memory on every runtime.

Channels that depend on one another (:mod:`edgekit.passes.channels`) go together, the least important first, until the
network's MACs are at most ``macs`` times what they were. With samples, importance is what a group's channels
contribute to the outputs of the layers that read them: variance of the channel times the squared weights, as a share
of the layer's output; and what goes is made up for: each layer's remaining weights are those that reproduce its
outputs best on the samples (least squares, as in He, Zhang & Sun, "Channel Pruning", ICCV 2017, here in closed form
from the inputs' covariance), with the mean of what went added to the bias. Without samples, importance is the norm of
the filters that make the channel, as a share of their layer's (Li et al., ICLR 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph, stats
from edgekit.graph.floats import refuse_integer, restore
from edgekit.graph.stats import label
from edgekit.passes import PassContext, Passed, Report
from edgekit.passes.activations import activations, moments
from edgekit.passes.channels import WEIGHTED, Channels, analyze, layer_input, remove
from edgekit.passes.decompose import Moments

RIDGE = 1e-3
"""Share of the mean variance added to every input, so that unseen data does not upset the new weights."""
LEAST_SHARE = 0.1
"""Of every tensor at least this share of channels stays, and at least one."""


@dataclass(frozen=True)
class PrunedLayer:
    """A layer's channels before and after; ``index``: of its operator in the Graph as it was."""

    index: int
    name: str
    channels_before: int
    channels_after: int


@dataclass(frozen=True)
class Pruned(Report):
    """What a network costs before and after."""

    macs_before: int
    macs_after: int
    parameters_before: int
    parameters_after: int
    layers: list[PrunedLayer]


class Prune:
    """The pass ``prune``. Parameter: ``macs``, the share of the MACs that may remain (0..1)."""

    name = "prune"

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the smaller Graph.

        :raises UsageError: on wrong parameters; :raises ModelError: if the Graph is quantized, or no channel may go.
        """
        share = _settings(context.params)
        refuse_integer(graph, "pruned")
        graph, _ = restore(graph)
        found = analyze(graph)
        removable = found.removable()
        if not removable:
            raise ModelError("no channel of this network can be removed without changing its inputs or outputs")
        context.progress.step("rank the channels")
        values = activations(graph, context)
        known = {n: m for n in _layers(found) if (m := moments(graph, n, values)) is not None}
        order = _order(found, removable, known)
        before = stats.statistics(graph)
        context.progress.step("choose channels to remove")
        gone = _search(found, order, [row.macs for row in before.operators], share * before.macs)
        made = remove(found, gone, {n: _refitted(found, n, gone, m) for n, m in known.items()})
        after = stats.statistics(made)
        if after.macs > share * before.macs:
            context.progress.warn(
                f"pruning reaches {after.macs / before.macs:.0%} of the MACs, not {share:.0%}: "
                "the remaining channels must stay"
            )
        rows = _pruned_layers(found, gone)
        return Passed(made, Pruned(before.macs, after.macs, before.parameters, after.parameters, rows))


def _settings(params: dict[str, Any]) -> float:
    if unknown := set(params) - {"macs"}:
        raise UsageError(f"the pass prune has no parameter {sorted(unknown)[0]!r}", "it has macs")
    value = params.get("macs", 0.5)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < 1:
        raise UsageError(f"prune: macs must be between 0 and 1, found {value!r}")
    return float(value)


def _layers(found: Channels) -> list[int]:
    """Operators with weights whose channels are understood."""
    return [
        number
        for number, operator in enumerate(found.graph.operators)
        if operator.op in WEIGHTED and operator.inputs[0] in found.labels and operator.outputs[0] in found.labels
        and found.graph.tensors[operator.inputs[1]].data is not None
    ]  # fmt: skip


def _order(found: Channels, removable: set[int], known: dict[int, Moments]) -> list[int]:
    """The removable groups, the least important first; deterministic."""
    weight: dict[int, float] = dict.fromkeys(removable, 0.0)
    for number in _layers(found):
        operator = found.graph.operators[number]
        weights = found.graph.tensors[operator.inputs[1]].array().astype(np.float64)
        if number in known:
            power = np.diag(known[number].covariance) * np.sum(weights.reshape(len(weights), -1) ** 2, axis=0)
            groups = np.tile(layer_input(found, operator), len(power) // weights.shape[-1])
        elif operator.op == "DEPTHWISE_CONV_2D" or known:
            continue
        else:
            power = np.sum(weights.reshape(len(weights), -1) ** 2, axis=1)
            groups = found.groups(operator.outputs[0])
        total = float(power.sum()) or 1.0
        for group, value in zip(groups, power, strict=True):
            if int(group) in weight:
                weight[int(group)] += float(value) / total * _width(groups)
    return sorted(removable, key=lambda group: (weight[group], group))


def _width(groups: NDArray[np.int64]) -> int:
    """Channels of a layer: a share of a narrow layer counts no more than the same share of a wide one."""
    return len(np.unique(groups))


def _search(found: Channels, order: list[int], macs: Sequence[int], limit: float) -> set[int]:
    """The least important groups that must go until at most ``limit`` MACs are left, or all that may.

    :param macs: of each operator as it is.
    """
    allowed = _allowed(found, order)
    layers = [
        (number, found.groups(operator.outputs[0]), layer_input(found, operator))
        for number in _layers(found)
        for operator in [found.graph.operators[number]]
    ]

    def left(count: int) -> float:
        """MACs without the first groups: each layer's scale with its kept outputs and inputs."""
        total, gone = float(sum(macs)), allowed[:count]
        for number, outputs, inputs in layers:
            share = float(np.mean(~np.isin(outputs, gone)))
            if found.graph.operators[number].op != "DEPTHWISE_CONV_2D":
                share *= float(np.mean(~np.isin(inputs, gone)))
            total -= macs[number] * (1 - share)
        return total

    low, high = 0, len(allowed)
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if left(middle) <= limit else (middle + 1, high)
    return set(allowed[:low])


def _allowed(found: Channels, order: list[int]) -> list[int]:
    """``order`` without the groups whose loss would leave a tensor too narrow."""
    members: dict[int, list[int]] = {}
    sizes = {}
    for index in found.labels:
        groups = np.unique(found.groups(index))
        sizes[index] = len(groups)
        for group in groups:
            members.setdefault(int(group), []).append(index)
    left = dict(sizes)
    allowed = []
    for group in order:
        touched = members.get(group, [])
        if all(left[i] - 1 >= max(1, LEAST_SHARE * sizes[i]) for i in touched):
            allowed.append(group)
            for i in touched:
                left[i] -= 1
    return allowed


def _refitted(
    found: Channels, number: int, gone: set[int], known: Moments
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Weights ``[out, .., kept in]`` that reproduce the layer's outputs best from what stays, and its bias."""
    operator = found.graph.operators[number]
    tensor = found.graph.tensors[operator.inputs[1]]
    weights = tensor.array().astype(np.float64)
    kept = ~np.isin(layer_input(found, operator), list(gone))
    given = operator.inputs[2] if len(operator.inputs) > 2 else -1
    bias = found.graph.tensors[given].array().astype(np.float32) if given >= 0 else None
    if kept.all():
        return tensor.array().astype(np.float32), bias
    mean, covariance = known.mean, known.covariance
    flat = weights.reshape(len(weights), -1)
    mask = np.tile(kept, flat.shape[1] // len(kept))
    inner = covariance[np.ix_(mask, mask)]
    ridge = RIDGE * np.trace(inner) / max(1, len(inner)) + np.finfo(np.float32).tiny
    # Least squares for what went, from what stays; what stays keeps its own weights.
    carried = np.linalg.solve(inner + ridge * np.eye(len(inner)), covariance[np.ix_(mask, ~mask)])
    new = flat[:, mask] + flat[:, ~mask] @ carried.T
    shift = flat @ mean - new @ mean[mask]
    changed = (shift if bias is None else bias + shift).astype(np.float32)
    return new.reshape(*weights.shape[:-1], int(kept.sum())).astype(np.float32), changed


def _pruned_layers(found: Channels, gone: set[int]) -> list[PrunedLayer]:
    rows = []
    for number in _layers(found):
        operator = found.graph.operators[number]
        kept = ~np.isin(found.groups(operator.outputs[0]), list(gone))
        rows.append(PrunedLayer(number, label(found.graph.main, operator), len(kept), int(kept.sum())))
    return rows
