"""Compare a converted network with its ONNX model, on samples that the converter's program ran through both.

Where ONNX Runtime cannot run the model (the converter's is older than the newest operator sets) or is known to differ
from the standard, ONNX's own reference implementation stands in for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.graph import Graph, tflite
from edgekit.readers.onnx2tf import Converted, Sample
from edgekit.reference.litert import reference_outputs
from edgekit.sandbox import answers

TOLERANCE, QUANTIZED_TOLERANCE = 1e-3, 0.1
"""Largest difference, relative to the output's largest value. Networks with quantization round differently in places,
so there the bound only catches wrong conversions."""

BOUNDED_ROUNDING = 1e-6
"""Absolute difference that rounding alone may make where outputs lie between 0 and 1, however small they are: a float32
sigmoid is computed from ``1 + exp(-x)``, so its error is a few steps at 1 (2^-23), not at its result."""
REFERENCE_SECONDS = 60.0
_SEVERAL = 4
"""Operators from which on a network is run with LiteRT's default kernels, too, when it is read."""
CHANNELS_FIRST = {3: (0, 2, 1), 4: (0, 3, 1, 2), 5: (0, 4, 1, 2, 3)}
"""What brings a channels-last tensor back to channels-first, by rank."""

Permutation = tuple[int, ...] | None


@dataclass(frozen=True)
class Comparison:
    """The layout of each output: what brings it back into the ONNX model's; and a note on what was compared."""

    permutations: list[Permutation]
    note: str


def compare(
    model: bytes, converted: Converted, about: Mapping[str, Any], shown: str, limits: sandbox.Limits
) -> Comparison:
    """Compare all outputs on all samples that both models take.

    :param about: what ``onnx_child`` says of the model.
    :raises ModelError: if results differ, an output has another size on another sample, or LiteRT runs none of the
        samples that the ONNX model takes.
    """
    samples, judge = converted.samples, "ONNX Runtime"
    if about["by_reference"] or all(isinstance(sample.onnx, str) for sample in samples):
        samples, judge = _by_reference(model, samples, limits), "ONNX's reference implementation"
    taken = [sample for sample in samples if not isinstance(sample.onnx, str)]
    both = [sample for sample in taken if not isinstance(sample.litert, str)]
    if taken and not both:
        raise ModelError(f"{shown} was converted to a network that LiteRT cannot run: {taken[0].litert}")
    outputs = about["outputs"]
    if not both:
        why = str(samples[0].litert if isinstance(samples[0].litert, str) else samples[0].onnx)
        return Comparison([_by_shape(samples, n, o["shape"]) for n, o in enumerate(outputs)], f"not compared: {why}")
    whole = not any(value["dtype"].startswith("float") for value in about["inputs"])
    quantized = any("Quantize" in operator or operator.endswith("Integer") for operator in about["operators"])
    bound = QUANTIZED_TOLERANCE if quantized else TOLERANCE
    permutations, worst = [], 0.0
    for number, output in enumerate(outputs):
        who = f"output {output['name']!r} of {output['operator']}"
        if len({np.shape(sample.onnx[number]) for sample in taken}) > 1:
            raise ModelError(
                f"{shown}: {who} has a size that depends on the data",
                "a compiled network has fixed sizes: end it before that operator, and compute the rest outside",
            )
        permutation, off = _layout(both, number, BOUNDED_ROUNDING / bound if output.get("bounded") else 0.0)
        if off is None:
            raise ModelError(f"{shown} was converted wrongly: {who} changed its shape")
        exact = whole and not quantized and not output["dtype"].startswith("float")
        if off > (0.0 if exact else bound):
            raise ModelError(
                f"{shown} was converted wrongly: {who} differs from {judge}'s by {off:.3g} of its largest value",
                "this is a bug in the converter: try another opset or simplify the model (onnxsim)",
            )
        permutations.append(permutation)
        worst = max(worst, off)
    return Comparison(permutations, f"agrees with {judge} within {worst:.2g} of the largest value, on random input")


def check_default_kernels(
    graph: Graph, samples: Sequence[Sample], about: Mapping[str, Any], shown: str, limits: sandbox.Limits
) -> None:
    """Hold LiteRT's default kernels against its plain ones, which agree with the ONNX model, on the same samples.

    Single operators are left to the proof of the compiled network; samples whose results are not finite, too.

    :param graph: the converted network, with the ONNX model's inputs.
    :raises ModelError: if results differ, or the default kernels cannot run it.
    """
    if len(graph.operators) < _SEVERAL and not any(tensor.is_variable for tensor in graph.tensors):
        return
    both = [s for s in samples if not isinstance(s.onnx, str) and not isinstance(s.litert, str)]
    both = [s for s in both if all(np.isfinite(value).all() for value in s.litert if np.ndim(value))]
    if not both:
        return
    inputs = [np.stack([sample.inputs[n] for sample in both]) for n in range(len(graph.inputs))]
    with sandbox.scratch() as folder:
        tflite.write(graph, folder / "model.tflite")
        plain = reference_outputs(folder / "model.tflite", inputs, limits=limits)
        default = reference_outputs(folder / "model.tflite", inputs, limits=limits, optimized=True)
    quantized = any("Quantize" in operator or operator.endswith("Integer") for operator in about["operators"])
    for output, expected, result in zip(about["outputs"], plain, default, strict=True):
        off = max(difference(r, e, None) or 0.0 for r, e in zip(result, expected, strict=True))
        if off > (QUANTIZED_TOLERANCE if quantized else TOLERANCE):
            raise ModelError(
                f"{shown} was converted to a network that LiteRT's default kernels compute wrongly: output "
                f"{output['name']!r} of {output['operator']} differs by {off:.3g} of its largest value"
            )


def _by_reference(model: bytes, samples: Sequence[Sample], limits: sandbox.Limits) -> list[Sample]:
    """The samples with the results of ONNX's reference implementation, where it computes them."""
    arrays = {f"{n}_{i}": array for n, sample in enumerate(samples) for i, array in enumerate(sample.inputs)}
    try:
        about, found = sandbox.call(
            "edgekit.readers.onnx_child:compute",
            {"sets": [len(sample.inputs) for sample in samples]},
            {"model": np.frombuffer(model, np.uint8), **arrays},
            limits=replace(limits, seconds=min(limits.seconds, REFERENCE_SECONDS)),
            preload=("onnx", "onnx.reference"),
            form=_Computed,
        )
    except sandbox.ChildDied:
        return list(samples)
    with answers.consistent():
        return [
            replace(sample, onnx=[found[f"{n}_{i}"] for i in range(count)]) if count else sample
            for n, (sample, count) in enumerate(zip(samples, about["counts"], strict=True))
        ]


class _Computed(TypedDict):
    counts: list[int]


def _layout(samples: Sequence[Sample], number: int, least: float) -> tuple[Permutation, float | None]:
    """The layout in which an output comes nearest in all samples, and how far off it is there; None: in no layout.

    :param least: see :func:`difference`.
    """
    best: tuple[Permutation, float | None] = None, None
    rank = np.ndim(samples[0].litert[number])
    for permutation in (None, CHANNELS_FIRST.get(rank)):
        offs = [difference(s.litert[number], s.onnx[number], permutation, least) for s in samples]  # type: ignore[arg-type]
        known = [off for off in offs if off is not None]
        if len(known) == len(offs) and (best[1] is None or max(known) < best[1]):
            best = permutation, max(known)
    return best


def difference(found: NDArray[Any], wanted: NDArray[Any], permutation: Permutation, least: float = 0.0) -> float | None:
    """Return the largest difference relative to the largest finite magnitude; None if the shapes differ.

    :param least: the magnitude is taken to be no smaller than this.
    Equal infinities and NaN at the same places are no difference; other values that are not finite are all of it.
    """
    moved = found if permutation is None or np.ndim(found) != len(permutation) else np.transpose(found, permutation)
    if moved.shape != wanted.shape:
        return None
    ours, theirs = moved.astype(np.float64), wanted.astype(np.float64)
    with np.errstate(all="ignore"):
        gap = np.abs(ours - theirs)
    gap = np.where((ours == theirs) | (np.isnan(ours) & np.isnan(theirs)), 0.0, gap)
    scale = float(np.abs(theirs[np.isfinite(theirs)]).max(initial=0.0))
    return float(np.nan_to_num(gap, nan=np.inf, posinf=np.inf).max(initial=0.0)) / max(scale, least, 1e-6)


def _by_shape(samples: Sequence[Sample], number: int, wanted: Sequence[int]) -> Permutation:
    """What brings an output to its known shape, where results cannot tell the layout: nothing, if it has it."""
    found = next((list(s.litert[number].shape) for s in samples if not isinstance(s.litert, str)), list(wanted))
    permutation = CHANNELS_FIRST.get(len(found), ())
    return permutation if found != list(wanted) and [found[axis] for axis in permutation] == list(wanted) else None
