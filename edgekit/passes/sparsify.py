"""Sparsity: the least important weights become zero; shapes stay as they are.

Which ones: by magnitude, or, with samples, by magnitude times the spread of the input it meets (Sun et al., "Wanda",
ICLR 2024). With samples the weights that stay are also refitted: each output's row is the least-squares solution on
its own support, computed from the inputs' covariance (the exact form of what Frantar & Alistarh's SparseGPT, 2023,
approximates), and the mean of what went moves into the bias.

Zeros save nothing by themselves: LiteRT's kernels multiply by them. They save space once the file is compressed, and
time only on a backend that skips them. The report says both sizes.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.graph import Graph
from edgekit.graph.edit import compact, constant, uses
from edgekit.graph.floats import refuse_integer, restore
from edgekit.graph.stats import label
from edgekit.passes import PassContext, Passed, Report
from edgekit.passes.activations import activations, moments
from edgekit.passes.decompose import Moments
from edgekit.training.patterns import kept

if TYPE_CHECKING:
    from edgekit.training.job import History

PATTERNS = ("unstructured", "2:4", "block")
RIDGE = 1e-3
REFIT_FLOPS = 2e11
"""A layer whose refit would cost more floating-point operations than this keeps its remaining weights as they are."""


@dataclass(frozen=True)
class _Settings:
    sparsity: float
    pattern: str
    threshold: float | None
    refit: bool


@dataclass(frozen=True)
class SparseLayer:
    """A layer, and the part of its weights that are zero."""

    index: int
    name: str
    sparsity: float


@dataclass(frozen=True)
class Sparse(Report):
    """Bytes of all constants: as LiteRT holds them, and as deflate (zip, .edgekit) packs them.

    :param history: of the training, where there was one.
    """

    pattern: str
    layers: list[SparseLayer]
    dense_bytes: int
    packed_bytes_before: int
    packed_bytes: int
    history: History | None = None

    @property
    def trained(self) -> bool:
        """See :class:`edgekit.passes.Report`."""
        return self.history is not None

    def json(self) -> dict[str, Any]:
        """The training's items and the rest, beside each other."""
        own = super().json()
        del own["history"]
        return {**(self.history.json() if self.history else {}), **own}


class Sparsify:
    """The pass ``sparsify``. Parameters: ``sparsity`` (0..1) or ``threshold`` (absolute), ``pattern``, ``refit``.

    With ``epochs`` (and the other parameters of :class:`edgekit.training.settings.Training`) the zeros come little by
    little while the network is trained (:mod:`edgekit.training.sparsity`).
    """

    name = "sparsify"

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the Graph with zeros among its weights.

        :raises UsageError: on wrong parameters; :raises ModelError: if the Graph is quantized.
        """
        if "epochs" in context.params:
            return self._trained(graph, context)
        settings = _settings(context.params)
        refuse_integer(graph, "made sparse")
        graph, _ = restore(graph)
        values = activations(graph, context)
        main = replace(graph.main, tensors=list(graph.tensors), operators=list(graph.operators))
        layers = _layers(graph)
        context.progress.step("choose the zeros")
        for done, number in enumerate(layers):
            operator = graph.operators[number]
            tensor = graph.tensors[operator.inputs[1]]
            known = moments(graph, number, values)
            rows = tensor.array().astype(np.float64).reshape(tensor.shape[0], -1)
            mask = _mask(rows, known, settings)
            weights, shift = _fitted(rows, mask, known if settings.refit else None)
            main.tensors.append(constant(tensor.name, weights.reshape(tensor.shape)))
            inputs = [operator.inputs[0], len(main.tensors) - 1, *operator.inputs[2:]]
            if shift is not None:
                given = operator.inputs[2] if len(operator.inputs) > 2 else -1
                bias = shift if given < 0 else graph.tensors[given].array() + shift
                main.tensors.append(constant(f"{tensor.name}/bias", bias.astype(np.float32)))
                inputs[2:3] = [len(main.tensors) - 1]
            main.operators[number] = replace(operator, inputs=tuple(inputs))
            context.progress.advance(done + 1, len(layers))
        made = compact(replace(graph, subgraphs=[main, *graph.subgraphs[1:]]))
        return Passed(made, _report(graph, made, settings))

    def _trained(self, graph: Graph, context: PassContext) -> Passed:
        from edgekit.training import job
        from edgekit.training.settings import Training, parse

        own = {name: value for name, value in context.params.items() if name in ("sparsity", "pattern", "threshold")}
        if "threshold" in own:
            raise UsageError("sparsify: a threshold cannot be combined with epochs", "set sparsity")
        settings = _settings(own)
        rest = {name: value for name, value in context.params.items() if name not in own}
        training = parse(Training, rest, self.name)
        graph, share, teacher = job.taught(graph, context, training, "training with zeros")
        layers = [graph.operators[number].inputs[1] for number in _layers(graph)]
        plan = {"layers": layers, "pattern": settings.pattern, "sparsity": settings.sparsity}
        made = job.train(job.Job(graph, training, share, teacher, sparsity=plan), context, "train with zeros")
        return Passed(made.graph, _report(graph, made.graph, settings, made.history))


def _settings(params: dict[str, Any]) -> _Settings:
    unknown = set(params) - {"sparsity", "threshold", "pattern", "refit"}
    if unknown:
        known = "sparsity, threshold, pattern, refit"
        raise UsageError(f"the pass sparsify has no parameter {sorted(unknown)[0]!r}", f"it has {known}")
    if "sparsity" in params and "threshold" in params:
        raise UsageError("the pass sparsify takes sparsity or threshold, not both")
    sparsity, threshold = params.get("sparsity", 0.5), params.get("threshold")
    pattern, refit = params.get("pattern", "unstructured"), params.get("refit", True)
    if not isinstance(sparsity, int | float) or isinstance(sparsity, bool) or not 0 < sparsity < 1:
        raise UsageError(f"sparsify: sparsity must be between 0 and 1, found {sparsity!r}")
    if threshold is not None and (not isinstance(threshold, int | float) or threshold <= 0):
        raise UsageError(f"sparsify: threshold must be above 0, found {threshold!r}")
    if pattern not in PATTERNS:
        raise UsageError(f"sparsify: there is no pattern {pattern!r}", "known: " + ", ".join(PATTERNS))
    if pattern == "2:4" and ("sparsity" in params or threshold is not None):
        raise UsageError("sparsify: the pattern 2:4 is half zeros; it takes no sparsity and no threshold")
    if threshold is not None and pattern != "unstructured":
        raise UsageError("sparsify: a threshold requires the pattern unstructured")
    if not isinstance(refit, bool):
        raise UsageError(f"sparsify: refit must be true or false, found {refit!r}")
    return _Settings(float(sparsity), pattern, threshold, refit)


def _layers(graph: Graph) -> list[int]:
    """Convolutions and dense layers with float weights of their own."""
    readers = uses(graph)
    found = []
    for number, operator in enumerate(graph.operators):
        if operator.op not in ("CONV_2D", "FULLY_CONNECTED"):
            continue
        tensor = graph.tensors[operator.inputs[1]]
        own = tensor.data is not None and tensor.dtype == "float32" and tensor.sparsity is None
        grouped = operator.op == "CONV_2D" and graph.tensors[operator.inputs[0]].shape[-1] != tensor.shape[-1]
        if own and not grouped and len(readers[operator.inputs[1]]) == 1:
            found.append(number)
    return found


def _mask(rows: NDArray[np.float64], known: Moments | None, settings: _Settings) -> NDArray[np.bool_]:
    """Which of the weights ``[out, k]`` stay."""
    if settings.threshold is not None:
        return np.abs(rows) >= settings.threshold
    spread = 1.0 if known is None else np.sqrt(np.maximum(np.diag(known.covariance), 0)) + 1e-12
    return kept(np.abs(rows) * spread, settings.pattern, settings.sparsity)


def _fitted(
    rows: NDArray[np.float64], mask: NDArray[np.bool_], known: Moments | None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """The weights with zeros, refitted where the inputs are known, and what to add to the bias."""
    if known is None:
        return np.where(mask, rows, 0).astype(np.float32), None
    new = np.where(mask, rows, 0.0)
    most = int(mask.sum(axis=1).max())
    if len(rows) * most**3 <= REFIT_FLOPS:
        ridge = RIDGE * np.trace(known.covariance) / len(known.covariance) + np.finfo(np.float32).tiny
        damped = known.covariance + ridge * np.eye(len(known.covariance))
        for row, kept in enumerate(mask):
            lost = known.covariance[np.ix_(kept, ~kept)] @ rows[row, ~kept]
            new[row, kept] += np.linalg.solve(damped[np.ix_(kept, kept)], lost)
    shift = (rows - new) @ known.mean
    return new.astype(np.float32), shift.astype(np.float32)


def _report(before: Graph, after: Graph, settings: _Settings, history: History | None = None) -> Sparse:
    layers = [
        SparseLayer(
            number,
            label(after.main, after.operators[number]),
            float(np.mean(after.tensors[after.operators[number].inputs[1]].array() == 0)),
        )
        for number in _layers(after)
    ]
    dense = sum(t.data.size for t in after.constants() if t.data is not None)
    return Sparse(settings.pattern, layers, dense, _packed(before), _packed(after), history)


def _packed(graph: Graph) -> int:
    return sum(len(zlib.compress(t.data.tobytes(), 9)) for t in graph.constants() if t.data is not None)
