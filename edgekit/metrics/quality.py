"""The cost of quantization, in the field's figures: of each weight tensor, and of the network's outputs.

With w the real values and q the quantized ones turned back into real values:

* absolute error ``||w - q||`` and relative error ``||w - q|| / ||w||`` (Euclidean norms);
* SQNR, the signal to quantization noise ratio, ``10 log10(sum w^2 / sum (w - q)^2)`` dB;
* cosine similarity of outputs, ``a . b / (||a|| ||b||)``.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.graph import Graph, Subgraph, Tensor, tflite
from edgekit.graph.floats import real_values, restore
from edgekit.graph.ops import MOVES, suits
from edgekit.graph.stats import label
from edgekit.metrics.channels import STEPS, collapsed, lost

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset

OUTPUT_SAMPLES = 64


@dataclass(frozen=True)
class TensorQuality:
    """One constant that quantization changed.

    :param operator: index of the operator that uses it, in the quantized Graph; ``op`` its kind.
    :param scales: number of scales: 1, or one per output channel; 0 for float16.
    :param relative_error: None where all real values are 0.
    :param sqnr_db: None where nothing was lost, or all real values are 0.
    :param saturated: share of values outside what the integers can hold, 0..1.
    """

    name: str
    operator: int
    op: str
    dtype: str
    shape: tuple[int, ...]
    scales: int
    absolute_error: float
    relative_error: float | None
    sqnr_db: float | None
    saturated: float


@dataclass(frozen=True)
class OutputQuality:
    """One output over the samples: cosine similarity, mean and worst sample, and SQNR (None: nothing was lost).

    :param lost: in words, the channels that span less than a few steps, and what gives them the scale; empty where
        there are none.
    """

    name: str
    cosine_similarity: float | None
    cosine_worst: float | None
    sqnr_db: float | None
    lost: str = ""


@dataclass(frozen=True)
class Quality:
    """The whole network. ``samples`` is how many the outputs were compared on; 0 without data."""

    tensors: list[TensorQuality]
    outputs: list[OutputQuality]
    samples: int = 0

    def json(self) -> dict[str, Any]:
        """What ``compile --json`` prints under ``quantization``."""
        return asdict(self)


def report(original: Graph, quantized: Graph, dataset: Dataset | None = None) -> dict[str, Any] | None:
    """Return what ``compile --json`` prints under ``quantization``; None where no tensor changed its dtype."""
    found = measure(original, quantized, dataset)
    return found.json() if found.tensors or _dtypes(original) != _dtypes(quantized) else None


def measure(original: Graph, quantized: Graph, dataset: Dataset | None = None) -> Quality:
    """Compare a float Graph with its quantized Graph; outputs on at most 64 samples of ``dataset``.

    :raises ModelError: if LiteRT refuses one of them.
    """
    tensors = weights(original, quantized)
    if dataset is None:
        return Quality(tensors, [])
    samples = dataset.subset(OUTPUT_SAMPLES)
    before, after = _real_outputs(original, samples), _real_outputs(quantized, samples)
    if len(before) != len(after):
        raise ModelError(f"the float network has {len(before)} outputs, but the quantized one has {len(after)}")
    outputs = [
        replace(
            output_quality(original.tensors[i].name, a, b),
            lost=lost_words(original, i, quantized, j, a, b, noise=samples.random),
        )
        for i, j, a, b in zip(original.main.outputs, quantized.main.outputs, before, after, strict=True)
    ]
    return Quality(tensors, outputs, len(samples))


def weights(original: Graph, quantized: Graph) -> list[TensorQuality]:
    """Compare every constant whose dtype changed, in the order of the operators that use them.

    A tensor is found in the float Graph by its name, where that is unique there, else by its place: the same
    input of the same operator, QUANTIZE and DEQUANTIZE not counted.
    """
    if not original.is_quantized:
        original, _ = restore(original)  # weights that were reduced already are what the network computed with
    names: dict[str, Tensor | None] = {}
    for tensor in original.tensors:
        names[tensor.name] = None if tensor.name in names else tensor
    places = _places(original.main)
    found: list[TensorQuality] = []
    seen: set[int] = set()
    for key, (number, index) in _places(quantized.main).items():
        tensor = quantized.tensors[index]
        source = names.get(tensor.name)
        if (source is None or source.data is None) and key in places:
            source = original.tensors[places[key][1]]
        if (
            index in seen
            or source is None
            or source.data is None
            or source.dtype == tensor.dtype
            or source.shape != tensor.shape
        ):
            continue
        if tensor.dtype != "float16" and (tensor.quantization is None or tensor.quantization.scale.size == 0):
            continue
        seen.add(index)
        found.append(tensor_quality(source, tensor, number, quantized.operators[number].op))
    return found


def tensor_quality(source: Tensor, tensor: Tensor, operator: int = 0, op: str = "") -> TensorQuality:
    """Compare one quantized constant with its float (or less quantized) source."""
    w, q = real_values(source).astype(np.float64), real_values(tensor).astype(np.float64)
    scales = 0 if tensor.quantization is None else len(tensor.quantization.scale)
    return TensorQuality(
        tensor.name or source.name, operator, op, tensor.dtype, tensor.shape, scales,
        absolute_error(w, q), relative_error(w, q), sqnr_db(w, q), saturated(w, tensor),
    )  # fmt: skip


def absolute_error(w: NDArray[Any], q: NDArray[Any]) -> float:
    """``||w - q||``."""
    return float(np.linalg.norm((np.asarray(w, np.float64) - q).reshape(-1)))


def relative_error(w: NDArray[Any], q: NDArray[Any]) -> float | None:
    """``||w - q|| / ||w||``; None where w is all zeros."""
    norm = float(np.linalg.norm(np.asarray(w, np.float64).reshape(-1)))
    return absolute_error(w, q) / norm if norm > 0 else None


def sqnr_db(w: NDArray[Any], q: NDArray[Any]) -> float | None:
    """``10 log10(sum w^2 / sum (w - q)^2)`` in dB; None where either sum is 0 or not finite."""
    relative, error = relative_error(w, q), absolute_error(w, q)
    if not math.isfinite(error) or relative is None or not math.isfinite(relative):
        return None
    return -20 * math.log10(relative) if relative > 0 and error > 0 else None


def cosine_similarity(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    """``a . b / (||a|| ||b||)``; 1 where both are all zeros, None where one is or a value is not finite."""
    a, b = np.asarray(a, np.float64).reshape(-1), np.asarray(b, np.float64).reshape(-1)
    if not (np.isfinite(a).all() and np.isfinite(b).all()):
        return None
    a_norm, b_norm = float(np.linalg.norm(a)), float(np.linalg.norm(b))
    if a_norm == 0 or b_norm == 0:
        return 1.0 if a_norm == b_norm else None
    return float(np.clip((a / a_norm) @ (b / b_norm), -1, 1))


def saturated(w: NDArray[np.float64], tensor: Tensor) -> float:
    """Share of the real values ``w`` that lie more than half a step outside what the tensor's integers can hold."""
    q = tensor.quantization
    if tensor.dtype == "float16" or q is None or w.size == 0:
        return 0.0
    bits = {"int4": 4, "int2": 2, "uint4": 4}.get(tensor.dtype) or np.iinfo(tensor.dtype).bits
    low, high = (0, 2**bits - 1) if tensor.dtype.startswith("u") else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    shape = [1] * w.ndim
    if q.per_channel:
        shape[q.axis] = -1
    steps = w / q.scale.reshape(shape).astype(np.float64) + q.zero_point.reshape(shape)
    return float(((steps < low - 0.5) | (steps > high + 0.5)).mean())


def output_quality(name: str, before: NDArray[Any], after: NDArray[Any]) -> OutputQuality:
    """Compare one output's real values, ``[samples, ...]`` each.

    A sample of which one is all zeros, or not finite, has nothing in common: its similarity counts as 0.
    """
    each = [cosine_similarity(a, b) or 0.0 for a, b in zip(before, after, strict=True)]
    mean = float(np.mean(each)) if each else None
    return OutputQuality(name, mean, min(each, default=None), sqnr_db(before, after))


def lost_words(
    original: Graph, output: int, quantized: Graph, made: int, before: NDArray[Any], after: NDArray[Any], *, noise: bool
) -> str:
    """Name the channels of an output that one scale loses, and the operator that gives it to them; empty without.

    :param output: tensor of the float Graph, ``made`` of the quantized one, whose names may have been shortened.
    :param before: its float values, ``[samples, *shape]``; ``after``: what is left of them. ``noise``: on noise.
    """
    if suits({i: o for o in quantized.operators for i in o.outputs}, made):
        return ""
    q = quantized.tensors[made].quantization
    scale = 0.0 if q is None or q.scale.size != 1 else float(q.scale[0])
    found = lost(before, scale, noise=noise) or collapsed(before, after, noise=noise)
    if found is None:
        return ""
    makers = {i: o for o in original.operators for i in o.outputs}
    operator = makers.get(output)
    while operator is not None and operator.op in (*MOVES, "QUANTIZE", "DEQUANTIZE"):
        operator = makers.get(operator.inputs[0])
    name = "" if operator is None else f", under one scale that {operator.op} ({label(original.main, operator)}) gives"
    return f"{found.words()} span less than {STEPS:g} steps{name}"


def _dtypes(graph: Graph) -> set[str]:
    return {tensor.dtype for tensor in graph.tensors}


def _places(subgraph: Subgraph) -> dict[tuple[int, int], tuple[int, int]]:
    """Map (operator's place, input's place) to (operator's index, tensor's index) for all constants that operators use.

    They may be used directly or through DEQUANTIZE; QUANTIZE and DEQUANTIZE take no place.
    """
    behind = {o.outputs[0]: o.inputs[0] for o in subgraph.operators if o.op == "DEQUANTIZE"}
    places = {}
    place = 0
    for number, operator in enumerate(subgraph.operators):
        if operator.op in ("QUANTIZE", "DEQUANTIZE"):
            continue
        for slot, index in enumerate(operator.inputs):
            constant = behind.get(index, index)
            if constant >= 0 and subgraph.tensors[constant].data is not None:
                places[place, slot] = (number, constant)
        place += 1
    return places


def _real_outputs(graph: Graph, dataset: Dataset) -> list[NDArray[np.float64]]:
    """Run the samples with LiteRT's default kernels; return the outputs' real values."""
    from edgekit.data.dataset import as_network_inputs
    from edgekit.reference.litert import reference_outputs

    with sandbox.scratch() as folder:
        tflite.write(graph, folder / "model.tflite")
        outputs = reference_outputs(folder / "model.tflite", as_network_inputs(dataset, graph), optimized=True)
    real = []
    for values, tensor in zip(outputs, graph.outputs, strict=True):
        integer = values.dtype.kind in "iu" and tensor.quantization is not None
        real.append(
            (tensor.quantization.dequantize(values) if integer and tensor.quantization else values).astype("f8")
        )
    return real
