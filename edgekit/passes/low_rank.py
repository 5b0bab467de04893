"""Low rank: a large weight matrix becomes two small ones, a convolution a chain of two or three.

* With samples, every layer is one matrix W (a convolution's is ``[out, kh * kw * in]``), and the rank-r matrix is
  chosen that changes the layer's outputs least on what the layer really sees: from the singular value decomposition
  of W L, where L L^T is the covariance of its inputs (as in Chen et al., "DRONE", NeurIPS 2021). What the inputs'
  mean contributed goes into the bias, exactly. "Energy" is then the share of the outputs' variance that is kept.
* Without samples: the truncated singular value decomposition for dense layers and 1x1 convolutions (Eckart & Young
  1936), Tucker-2 over output and input channels for larger ones (Kim et al., ICLR 2016). "Energy" is the share of
  the squared singular values of the weights.

A layer is factorized only where that lowers its MACs. How far is either said by ``energy``, or by ``parameters``, the
share of all these layers' weights that may remain: then the energy is searched that just reaches it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph, Operator, Subgraph, Tensor
from edgekit.graph.edit import compact, constant, uses
from edgekit.graph.floats import refuse_integer, restore
from edgekit.graph.stats import label
from edgekit.passes import PassContext, Passed, Report
from edgekit.passes.activations import activations, moments
from edgekit.passes.decompose import Factors, Method, Moments, matrix, tucker

KINDS = ("dense", "conv")


@dataclass(frozen=True)
class _Layer:
    """One layer that can be factorized."""

    index: int
    kind: str
    weights: NDArray[np.float32]
    factors: Method


@dataclass(frozen=True)
class FactorizedLayer:
    """A layer that became several; ``ranks``: between them."""

    index: int
    name: str
    kind: str
    ranks: list[int]
    weights_before: int
    weights_after: int


@dataclass(frozen=True)
class Factorized(Report):
    """The share of the weights' energy that is kept, and how many weights there are."""

    energy: float
    weights_before: int
    weights_after: int
    layers: list[FactorizedLayer]


class LowRank:
    """The pass ``low_rank``. Parameters: ``energy`` (0..1) or ``parameters`` (0..1), ``layers`` (dense, conv)."""

    name = "low_rank"

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the factorized Graph.

        :raises UsageError: on wrong parameters; :raises ModelError: if the Graph is quantized.
        """
        energy, budget, kinds = _settings(context.params)
        refuse_integer(graph, "factorized")
        graph, _ = restore(graph)
        context.progress.step("decompose the weights")
        layers = _layers(graph, kinds, activations(graph, context))
        if budget is not None:
            energy = _search(layers, budget)
        factors = {layer.index: made for layer in layers if (made := layer.factors(energy)) is not None}
        before = sum(layer.weights.size for layer in layers)
        after = sum(factors[layer.index].size if layer.index in factors else layer.weights.size for layer in layers)
        rows = [
            FactorizedLayer(
                index=layer.index,
                name=label(graph.main, graph.operators[layer.index]),
                kind=layer.kind,
                ranks=[int(w.shape[0]) for w in factors[layer.index].weights[:-1]],
                weights_before=int(layer.weights.size),
                weights_after=int(factors[layer.index].size),
            )
            for layer in layers
            if layer.index in factors
        ]
        if budget is not None and before and after > budget * before:
            context.progress.warn(
                f"low rank reaches {after / before:.0%} of the weights, not {budget:.0%}: "
                "the remaining weights have full rank"
            )
        return Passed(_rewritten(graph, factors), Factorized(energy, before, after, rows))


def _settings(params: dict[str, Any]) -> tuple[float, float | None, tuple[str, ...]]:
    unknown = set(params) - {"energy", "parameters", "layers"}
    if unknown:
        raise UsageError(
            f"the pass low_rank has no parameter {sorted(unknown)[0]!r}", "it has energy, parameters, layers"
        )
    if "energy" in params and "parameters" in params:
        raise UsageError("the pass low_rank takes energy or parameters, not both")
    for name in ("energy", "parameters"):
        value = params.get(name, 0.5)
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
            raise UsageError(f"low_rank: {name} must be above 0 and at most 1, found {value!r}")
    kinds = tuple(params.get("layers", KINDS))
    if not kinds or set(kinds) - set(KINDS):
        raise UsageError(f"low_rank: layers must be some of {', '.join(KINDS)}, found {list(kinds)}")
    return float(params.get("energy", 0.9)), params.get("parameters"), kinds


def _layers(graph: Graph, kinds: tuple[str, ...], values: dict[int, NDArray[np.float32]]) -> list[_Layer]:
    """The layers that can be factorized: float weights of their own, one group, no sharing with other operators."""
    readers = uses(graph)
    found = []
    for number, operator in enumerate(graph.operators):
        if operator.op not in ("FULLY_CONNECTED", "CONV_2D") or len(operator.inputs) < 2:
            continue
        tensor = graph.tensors[operator.inputs[1]]
        source = graph.tensors[operator.inputs[0]]
        if tensor.data is None or tensor.dtype != "float32" or tensor.sparsity or len(readers[operator.inputs[1]]) > 1:
            continue
        weights = tensor.array().astype(np.float32)
        kind = "dense" if operator.op == "FULLY_CONNECTED" else "conv"
        if kind not in kinds or (kind == "conv" and source.shape[-1] != weights.shape[-1]):  # the latter: groups
            continue
        found.append(_Layer(number, kind, weights, _method(graph, operator, weights, moments(graph, number, values))))
    return found


def _method(graph: Graph, operator: Operator, weights: NDArray[np.float32], known: Moments | None) -> Method:
    """Choose the decomposition: by the inputs where they are known, else by the weights alone."""
    if known is not None or operator.op == "FULLY_CONNECTED" or weights.shape[1:3] == (1, 1):
        return matrix(weights.reshape(len(weights), -1), known, weights.shape[1:])
    source, out = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    return tucker(weights, source.elements / out.elements * weights.shape[0] / weights.shape[3])


def _search(layers: list[_Layer], budget: float) -> float:
    """The largest energy whose factors keep the weights within ``budget``; bisection, 30 steps."""
    total = sum(layer.weights.size for layer in layers)

    def share(energy: float) -> float:
        kept = 0
        for layer in layers:
            made = layer.factors(energy)
            kept += layer.weights.size if made is None else made.size
        return kept / total if total else 0.0

    low, high = 0.0, 1.0
    if share(high) <= budget:
        return high
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) <= budget else (low, middle)
    return low if low > 0 else high


def _rewritten(graph: Graph, factors: dict[int, Factors]) -> Graph:
    """Replace each layer by its chain of factors; the last keeps the bias and the activation."""
    main = replace(graph.main, tensors=list(graph.tensors), operators=[])
    for number, operator in enumerate(graph.operators):
        if number in factors:
            _chain(main, operator, factors[number])
        else:
            main.operators.append(operator)
    return compact(replace(graph, subgraphs=[main, *graph.subgraphs[1:]]))


def _chain(main: Subgraph, operator: Operator, factors: Factors) -> None:
    """Append the operators of one layer, and the tensors they need."""

    def new(tensor: Tensor) -> int:
        main.tensors.append(tensor)
        return len(main.tensors) - 1

    name = main.tensors[operator.outputs[0]].name.split(";")[0]
    value, count = operator.inputs[0], len(factors.weights)
    for position, weights in enumerate(factors.weights):
        if position == count - 1:
            output, bias = operator.outputs[0], _bias(main, operator, factors.shift)
        else:  # LiteRT's convolution wants a bias, be it zero
            at_input = position == 0 and count == 3
            output = new(_middle(main.tensors, operator, weights, f"{name}/rank{position}", at_input))
            bias = np.zeros(len(weights), np.float32)
        kernel = new(constant(f"{name}/factor{position}", weights))
        inputs = (value, kernel) if bias is None else (value, kernel, new(constant(f"{name}/bias{position}", bias)))
        options = _options(operator, position, count)
        main.operators.append(Operator(operator.op, inputs, (output,), options, version=operator.version))
        value = output


def _bias(main: Subgraph, operator: Operator, shift: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
    """The layer's bias, with the shift."""
    given = main.tensors[operator.inputs[2]] if len(operator.inputs) > 2 and operator.inputs[2] >= 0 else None
    bias = None if given is None else given.array().astype(np.float32)
    if shift is None:
        return bias
    return shift if bias is None else bias + shift


def _middle(
    tensors: list[Tensor], operator: Operator, factor: NDArray[np.float32], name: str, at_input: bool
) -> Tensor:
    """The tensor behind a factor; ``at_input``: it has as many positions as the layer's input, else as its output."""
    source, out = tensors[operator.inputs[0]], tensors[operator.outputs[0]]
    if operator.op == "CONV_2D":
        return Tensor(name, (*(source if at_input else out).shape[:-1], len(factor)), "float32")
    keep = operator.options is not None and operator.options.keepNumDims
    rows = source.shape[:-1] if keep else (out.elements // out.shape[-1],)
    return Tensor(name, (*rows, len(factor)), "float32")


def _options(operator: Operator, position: int, count: int) -> Any:
    """Options of one factor.

    The last has the activation. Stride, dilation and padding go to the middle one of three and to the first of two, so
    that the second works on as few positions as the output has.
    """
    options = copy.deepcopy(operator.options)
    if options is None:
        raise ModelError(f"a {operator.op} operator has no options")
    if position < count - 1:
        options.fusedActivationFunction = 0
    if operator.op == "CONV_2D" and position != (1 if count == 3 else 0):
        options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
    return options
