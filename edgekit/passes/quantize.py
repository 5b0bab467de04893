"""Post-training quantization, on ai-edge-quantizer: flatbuffer to flatbuffer, in a sandboxed child process.

Ranges of activations are ours (:mod:`edgekit.passes.quantize_child`): the plain minimum and maximum over the
samples. On the MNIST network that changes 1 to 3 labels of 2,000 in int8 and none with int16 activations, where
the quantizer's own moving average changes 7 and 6, because it cuts the tails off.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import ModelError, QuantizationFailed, UsageError
from edgekit.graph import Graph, Operator, Signature, Subgraph, Tensor, tflite
from edgekit.graph.edit import compact, used
from edgekit.graph.floats import refuse_integer, restore
from edgekit.passes import PassContext, Passed, Report, bias, float16, recurrent
from edgekit.passes.quantize_child import TASKS, WRONG_KERNELS

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset
    from edgekit.progress import Progress

PRELOAD = ("ai_edge_quantizer",)
"""What the child imports before it forks; pass it to :func:`edgekit.sandbox.warm` to hide the import (a second)."""

Ranges = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Smallest and largest value of each of the main subgraph's tensors, ``[tensors]`` each, NaN where unknown."""

_LIMITS = sandbox.Limits(seconds=900, memory_mb=8192)
SPLIT = "split_scales keeps it in float"
_BORDERS = ("QUANTIZE", "DEQUANTIZE")
_WEIGHTS = ("float16", "int8", "int4")
_ACTIVATIONS = ("float", "int8", "int16")
_GRANULARITIES = ("channel", "tensor")


@dataclass(frozen=True)
class Settings:
    """The pass's parameters, checked.

    :param weights: ``float16``, ``int8`` or ``int4`` (int4 for convolutions and dense layers, int8 elsewhere).
    :param activations: ``float``, ``int8`` or ``int16``; integers need samples.
    :param granularity: one scale per output ``channel``, or one per ``tensor``.
    :param samples: how many samples, at most, measure the ranges.
    :param io: dtype of the network's own real inputs and outputs: the activations' (default) or ``float32``.
    """

    weights: str = "int8"
    activations: str = "int8"
    granularity: str = "channel"
    samples: int = 200
    io: str = ""

    @property
    def static(self) -> bool:
        """True if activations become integers, so that their ranges must be calibrated."""
        return self.activations != "float"

    def __post_init__(self) -> None:
        io = (self.activations, "float32", "") if self.static else ("float32", "")
        choices = {"weights": _WEIGHTS, "activations": _ACTIVATIONS, "granularity": _GRANULARITIES, "io": io}
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                listed = ", ".join(choice for choice in allowed if choice)
                raise UsageError(f"quantize: {name} is {getattr(self, name)!r}", f"it may be {listed}")
        if self.static and self.weights == "float16":
            raise UsageError("quantize: float16 weights require float activations")
        if not isinstance(self.samples, int) or isinstance(self.samples, bool) or self.samples < 1:
            raise UsageError(f"quantize: samples is {self.samples!r}", "it must be 1 or more")


@dataclass(frozen=True)
class FloatOperator:
    """An operator that stayed in float, and why."""

    index: int
    op: str
    reason: str


@dataclass(frozen=True)
class Quantized(Report):
    """What was quantized to what.

    :param calibration_samples: on which the ranges were measured; JSON calls them ``samples``.
    :param repaired_biases, hybrid_operators: how many; None where none could be. JSON leaves out what is None.
    """

    weights: str
    activations: str
    granularity: str
    io: str
    float_operators: list[FloatOperator]
    calibration_samples: int | None = None
    repaired_biases: int | None = None
    hybrid_operators: int | None = None

    @property
    def left_in_float(self) -> int:
        """See :class:`edgekit.passes.Report`."""
        return len(self.float_operators)

    def json(self) -> dict[str, Any]:
        """See :class:`edgekit.passes.Report`."""
        own = super().json()
        counts = {"samples": own.pop("calibration_samples")}
        counts |= {name: own.pop(name) for name in ("repaired_biases", "hybrid_operators")}
        return {name: value for name, value in counts.items() if value is not None} | own


class Quantize:
    """The pass ``quantize``; its parameters are those of :class:`Settings`."""

    name = "quantize"

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the quantized Graph. Operators that cannot be quantized stay float32, and are reported.

        :raises UsageError: on wrong parameters, or without samples where they are needed.
        :raises ModelError: if the Graph is quantized already, gives NaN, or cannot be quantized.
        """
        unknown = set(context.params) - set(Settings.__dataclass_fields__)
        if unknown:
            known = ", ".join(Settings.__dataclass_fields__)
            raise UsageError(f"quantize: there is no parameter {sorted(unknown)[0]!r}", f"known: {known}")
        settings = Settings(**context.params)
        refuse_integer(graph, "quantized again")
        if settings.static and context.data is None:
            raise UsageError(
                f"{settings.activations} activations need samples to measure their ranges on",
                "pass them with --data FILE.npz, a folder of images, or (to try it out) --data random",
            )
        restored, count = restore(graph, dense=settings.weights != "float16")
        if count:
            context.progress.warn(f"{count} tensors of reduced precision were converted back to float32 first")
        if settings.weights == "float16":
            return _halved(restored, settings, context)
        ranges = samples = hybrid = None
        if settings.static:
            ranges, samples = measured(restored, settings, context)
        context.progress.step("quantizing")
        made, excluded = integers(restored, settings, ranges)
        quantized, repaired = finished(made, restored)
        if settings.activations != "int16":
            quantized, hybrid = recurrent.hybrid(quantized)
        told = report(quantized, settings, excluded, context, restored)
        told = replace(told, calibration_samples=samples, repaired_biases=repaired, hybrid_operators=hybrid)
        return Passed(quantized, told)


def _halved(graph: Graph, settings: Settings, context: PassContext) -> Passed:
    """Return the Graph with weights in float16, where they fit."""
    made, kept = float16.halved(graph)
    if not any(t.dtype == "float16" for t in made.tensors):
        why = kept[0] if kept else None
        reason = f": {why.op} ({why.name}): {why.reason}" if why else f" of {float16.LEAST_ELEMENTS} values or more"
        raise ModelError(f"no constant of this network can be kept in float16{reason}", "use --recipe float32")
    made = replace(made, notes=list(graph.notes))
    for one in kept:
        made.notes.append(f"{one.op} ({one.name}) keeps float32 weights: {one.reason}")
    rows = [FloatOperator(one.operator, one.op, one.reason) for one in kept]
    if kept:
        rest = f" and {len(kept) - 1} more" if len(kept) > 1 else ""
        context.progress.warn(f"float32 weights stay in {kept[0].op} ({kept[0].name}): {kept[0].reason}{rest}")
    return Passed(made, Quantized(settings.weights, settings.activations, settings.granularity, "float32", rows))


def measured(graph: Graph, settings: Settings, context: PassContext) -> tuple[Ranges, int]:
    """Measure the ranges of all activations on the context's samples, at most ``settings.samples`` of them.

    :returns: the ranges, and how many samples they were measured on.
    """
    assert context.data is not None
    data = context.data.subset(settings.samples, context.seed)
    context.progress.step(f"calibrating on {len(data)} samples")
    with sandbox.scratch() as folder:
        tflite.write(_prepared(graph), folder / "float.tflite")
        return calibrate(folder / "float.tflite", graph, data, context.progress), len(data)


def integers(
    graph: Graph, settings: Settings, ranges: Ranges | None, *, check: bool = True
) -> tuple[Graph, dict[str, str]]:
    """Quantize a float Graph with given ranges of its activations.

    :param check: run the result once, and leave what LiteRT refuses in float.
    :returns: a Graph whose tensors bear names by their place in ``graph`` (``s0t7`` is tensor 7 of the main subgraph),
        for :func:`finished` to end; and what stayed in float, with the reason: operators by the name of their first
        result, and kinds of operators.
    :raises ModelError: if it cannot be quantized.
    """
    with sandbox.scratch() as folder:
        model = folder / "float.tflite"
        tflite.write(_prepared(graph), model)
        fields = {name: getattr(settings, name) for name in Settings.__dataclass_fields__}
        kept = any(tensor.keep_float for tensor in graph.outputs)
        args = {"model": str(model), "check": check, "float_outputs": kept, **fields}
        arrays = {} if ranges is None else {"low": ranges[0], "high": ranges[1]}
        try:
            found, made = sandbox.call(
                f"{TASKS}:quantize", args, arrays, limits=_LIMITS, preload=PRELOAD, readable=[model]
            )
        except sandbox.ChildDied as death:
            raise QuantizationFailed(f"quantization {death.reason} on this model", "try --recipe float32") from death
        except ModelError as error:
            raise QuantizationFailed(error.message, error.hint or "try --recipe float32") from error
    return _ends(tflite.loads(made["model"].tobytes()), graph, settings), found["excluded"]


def _ends(quantized: Graph, graph: Graph, settings: Settings) -> Graph:
    """Return the quantized Graph with outputs and signatures that belong together.

    Where an output feeds operators of the network, too, and one of them stays in float, the quantizer makes the result
    of that operator's DEQUANTIZE the output, whatever ``settings.io`` is, and leaves the signature at the old tensor:
    LiteRT aborts on such a file.
    """
    outputs = list(quantized.main.outputs)
    sources = {o.outputs[0]: o.inputs[0] for o in quantized.operators if o.op == "DEQUANTIZE"}
    for position, original in enumerate(graph.main.outputs):
        source = sources.get(outputs[position], -1)
        if settings.static and settings.io != "float32" and source >= 0:
            wanted = quantized.tensors[source].name == f"s0t{original}"
            outputs[position] = source if wanted else outputs[position]
    subgraphs = [replace(quantized.main, outputs=tuple(outputs)), *quantized.subgraphs[1:]]
    places = [dict(zip(graph.main.inputs, quantized.main.inputs, strict=True)),
              dict(zip(graph.main.outputs, outputs, strict=True))]  # fmt: skip
    signatures = [
        signature
        if signature.subgraph
        else replace(
            signature,
            inputs={name: places[0].get(index, index) for name, index in signature.inputs.items()},
            outputs={name: places[1].get(index, index) for name, index in signature.outputs.items()},
        )
        for signature in _prepared(graph).signatures
    ]
    return replace(quantized, subgraphs=subgraphs, signatures=signatures)


def finished(made: Graph, graph: Graph) -> tuple[Graph, int]:
    """Return what :func:`integers` made of ``graph`` with its biases repaired and its names given back.

    :returns: the Graph, and how many biases were repaired.
    """
    quantized, repaired = bias.repair(made, graph)
    return _named(compact(quantized), graph), repaired


def calibrate(model: Path, graph: Graph, data: Dataset, progress: Progress) -> Ranges:
    """Measure each tensor's minimum and maximum over the samples: two float32 ``[tensors]``, NaN where unseen.

    The samples go to the child in portions of about half a second, so that progress is seen.

    :param model: ``graph`` as a file.
    :raises ModelError: if the network gives NaN or infinity on a sample, or LiteRT refuses it.
    """
    from edgekit.data.dataset import as_network_inputs

    inputs = as_network_inputs(data, graph)
    low = np.full(len(graph.tensors), np.nan, np.float32)
    high = low.copy()
    done, portion = 0, 4
    while done < len(data):
        began = time.monotonic()
        arrays = {f"input{i}": values[done : done + portion] for i, values in enumerate(inputs)}
        args = {"model": str(model), "tensors": len(graph.tensors), "first": done}
        try:
            _, found = sandbox.call(
                f"{TASKS}:calibrate", args, arrays, limits=_LIMITS, preload=PRELOAD, readable=[model]
            )
        except sandbox.ChildDied as death:
            raise ModelError(f"LiteRT itself {death.reason} on this model", "try --recipe float32") from death
        low, high = np.fmin(low, found["low"]), np.fmax(high, found["high"])
        done = min(done + portion, len(data))
        progress.advance(done, len(data))
        portion = max(1, int(portion * min(8.0, 0.5 / max(time.monotonic() - began, 1e-3))))
    return low, high


def _prepared(graph: Graph) -> Graph:
    """Return the Graph as the quantizer needs it: every tensor named uniquely, by its place, and a signature.

    Ranges are looked up by name, so two tensors of one name would share one range; and names that say the
    subgraph let the bodies of control flow, which are not calibrated, be left alone. Constants that nothing uses lose
    their data: the quantizer would replace it, but not their dtype, if they share it with weights.
    """
    subgraphs = []
    for s, subgraph in enumerate(graph.subgraphs):
        named = [replace(t, name=_place(s, i, t)) for i, t in enumerate(subgraph.tensors)]
        kept = used(subgraph)
        tensors = [t if i in kept else replace(t, data=None) for i, t in enumerate(named)]
        subgraphs.append(replace(subgraph, tensors=tensors))
    inputs = {f"input{i}": index for i, index in enumerate(graph.main.inputs)}
    outputs = {f"output{i}": index for i, index in enumerate(graph.main.outputs)}
    signatures = graph.signatures or [Signature("serving_default", inputs, outputs)]
    return replace(graph, subgraphs=subgraphs, signatures=signatures)


def _place(subgraph: int, index: int, tensor: Tensor) -> str:
    """A tensor's name by its place; the quantizer's rules apply to what begins with ``s0t``."""
    return f"{'f' if tensor.keep_float else 's'}{subgraph}t{index}"


def _named(quantized: Graph, graph: Graph) -> Graph:
    """Give the tensors their names back; new ones are named after the tensor they convert."""
    names = {
        _place(s, i, tensor): tensor.name
        for s, subgraph in enumerate(graph.subgraphs)
        for i, tensor in enumerate(subgraph.tensors)
    }

    def restored(name: str) -> str:
        match = re.match(r"[sf]\d+t\d+", name)
        return names.get(match[0], match[0]) + name[match.end() :] if match else name

    subgraphs = [
        replace(
            subgraph,
            tensors=[
                replace(t, name=restored(t.name), keep_float=bool(re.fullmatch(r"f\d+t\d+", t.name)))
                for t in subgraph.tensors
            ],
        )
        for subgraph in quantized.subgraphs
    ]
    signatures = quantized.signatures if graph.signatures else []
    return replace(quantized, subgraphs=subgraphs, signatures=signatures, notes=list(graph.notes))


def report(
    quantized: Graph, settings: Settings, excluded: dict[str, str], context: PassContext, original: Graph
) -> Quantized:
    """Return the report, and warn of operators that stayed in float.

    :param excluded: of :func:`integers`, for ``original``.
    :raises ModelError: if all of them did.
    """
    check = _computes_float if settings.static else _has_float_weights
    names = {original.tensors[int(key[3:])].name: key for key in excluded if key.startswith("s0t")}

    def single(operator: Operator) -> str:
        return next((names[n] for i in operator.outputs if (n := quantized.tensors[i].name) in names), "")

    left = [
        FloatOperator(
            index,
            operator.op,
            SPLIT if _kept(quantized, operator) else why_float(operator.op, excluded, single(operator)),
        )
        for index, operator in enumerate(quantized.operators)
        if operator.op not in _BORDERS and check(quantized.main, operator)
    ]
    integer = [t for t in quantized.tensors if t.dtype in ("int8", "int4", "int16", "float16")]
    if not integer:
        raise ModelError("no operator of this network can be quantized", "compile it in float: --recipe float32")
    unasked = [entry for entry in left if entry.reason != SPLIT]
    if unasked:
        kinds = sorted({entry.op for entry in unasked})
        what = "operators stay" if settings.static else "operators keep constants"
        context.progress.warn(f"{len(unasked)} {what} in float32: {', '.join(kinds)}")
    io = (settings.io or settings.activations) if settings.static else "float32"
    return Quantized(settings.weights, settings.activations, settings.granularity, io, left)


def _kept(quantized: Graph, operator: Operator) -> bool:
    return any(quantized.tensors[i].keep_float for i in operator.outputs)


def why_float(op: str, excluded: dict[str, str], name: str = "") -> str:
    """Why an operator of this kind stays in float.

    :param name: of the single operator in ``excluded`` (``s0t7``: its first result).
    """
    if name in excluded:
        return excluded[name].rpartition(" (")[0]
    if op in recurrent.WEIGHTS:
        return "LiteRT computes it with float activations; its weights are rounded to 8 bits where the recipe's are"
    if op in WRONG_KERNELS:
        return "LiteRT's integer kernel is wrong"
    name = "CONV_2D_TRANSPOSE" if op == "TRANSPOSE_CONV" else op  # the quantizer's word
    return excluded.get(name, "ai-edge-quantizer does not quantize it")


def _computes_float(subgraph: Subgraph, operator: Operator) -> bool:
    return any(subgraph.tensors[i].dtype == "float32" for i in operator.outputs)


def _has_float_weights(subgraph: Subgraph, operator: Operator) -> bool:
    """True if a constant of two dimensions or more (a weight, not a bias) is still float32."""
    tensors: list[Any] = [subgraph.tensors[i] for i in operator.inputs if i >= 0]
    return any(t.data is not None and t.dtype == "float32" and len(t.shape) > 1 and t.elements > 1 for t in tensors)
