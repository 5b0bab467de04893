"""Quantization-aware training: the network is trained with the rounding of its integers, and written with it.

What becomes an integer, and which tensors share a scale, is read off what the pass ``quantize`` makes of the same
network (:func:`plan`), so that training rounds where the integer network will. The trained ranges go back to
ai-edge-quantizer as its calibration: scales and zero points of the result are the trained ones.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph, Tensor
from edgekit.passes import PassContext, Passed, quantize
from edgekit.passes.trained import TrainedReport
from edgekit.training import job
from edgekit.training.fake_quant import Plan, Range, Weight
from edgekit.training.settings import Training, parse

_FIXED = ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC", "TANH", "L2_NORMALIZATION")
"""TFLite's specification fixes the scale of their outputs."""
_PASSING = (
    "RESHAPE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "TRANSPOSE",
    "MAX_POOL_2D",
    "SPLIT",
    "SLICE",
    "STRIDED_SLICE",
    "GATHER",
)
"""Their outputs are values of their input: rounded already, if they share its scale."""
_WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL")


@dataclass(frozen=True)
class Settings(Training):
    """The pass's parameters.

    :param weights: ``int8`` or ``int4`` (convolutions and dense layers; int8 elsewhere).
    :param activations: ``int8`` or ``int16``. :param io: as in ``quantize``.
    :param ranges: ``learned``, or ``moving-average``.
    :param samples: how many samples, at most, measure the first ranges.
    """

    weights: str = "int8"
    activations: str = "int8"
    io: str = ""
    ranges: str = "learned"
    samples: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        choices = {
            "weights": ("int8", "int4"), "activations": ("int8", "int16"), "ranges": ("learned", "moving-average"),
            "io": ("", "float32", self.activations),
        }  # fmt: skip
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                raise UsageError(
                    f"{name} cannot be {getattr(self, name)!r}", "it may be " + ", ".join(a for a in allowed if a)
                )


@dataclass(frozen=True)
class QuantizedInTraining(TrainedReport):
    """How the training went, and what it quantized; ``ranges``: how they were found."""

    quantized: quantize.Quantized
    ranges: str

    @property
    def left_in_float(self) -> int:
        """See :class:`edgekit.passes.Report`."""
        return self.quantized.left_in_float

    def json(self) -> dict[str, Any]:
        """All items beside each other; ``samples`` are those that were trained on."""
        own = self.quantized.json()
        calibrated = own.pop("samples")
        return {**self.history.json(), **own, "calibration_samples": calibrated, "ranges": self.ranges}


class QuantizationAwareTraining:
    """The pass ``qat``; its parameters are those of :class:`Settings`."""

    name = "qat"

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the trained and quantized Graph; deterministic for a seed.

        :raises UsageError: on wrong parameters, or samples that cannot teach.
        :raises ModelError: if the Graph is quantized, has an operator that cannot be trained, or training diverges.
        :raises ToolMissing: without TensorFlow.
        """
        settings = parse(Settings, context.params, self.name)
        graph, share, teacher = job.taught(graph, context, settings, "quantization-aware training")
        static = quantize.Settings(settings.weights, settings.activations, samples=settings.samples, io=settings.io)
        ranges, calibrated = quantize.measured(graph, static, context)
        context.progress.step("determine what becomes an integer")
        first, _ = quantize.integers(graph, static, ranges)
        wanted = plan(graph, first, ranges)
        if not wanted.weights:
            raise ModelError("no weight of this network can be quantized", "compile it in float: --recipe float32")
        training = job.Job(graph, settings, share, teacher, plan=wanted, learned=settings.ranges == "learned")
        trained = job.train(training, context, "train with rounding")
        assert trained.low is not None
        assert trained.high is not None
        context.progress.step("quantizing")
        made, excluded = quantize.integers(trained.graph, static, (trained.low, trained.high))
        quantized, repaired = quantize.finished(made, trained.graph)
        report = quantize.report(quantized, static, excluded, context, trained.graph)
        report = replace(report, calibration_samples=calibrated, repaired_biases=repaired)
        return Passed(quantized, QuantizedInTraining(trained.history, report, settings.ranges))


def plan(graph: Graph, quantized: Graph, ranges: quantize.Ranges) -> Plan:
    """Read off ``quantized`` what becomes an integer in ``graph``, and what shares a scale.

    :param quantized: what :func:`edgekit.passes.quantize.integers` made of ``graph`` with ``ranges``.
    """
    found: dict[int, Tensor] = {}
    for tensor in quantized.tensors:
        # What stays in float, an operator's result or a network's input, has its integers in a tensor beside it.
        match = re.fullmatch(r"s0t(\d+)(_quantized)?", tensor.name)
        if match is None or tensor.dtype not in ("int4", "int8", "int16"):
            continue
        first = match[2] is None or int(match[1]) not in found
        if first and tensor.quantization is not None and tensor.quantization.scale.size:
            found[int(match[1])] = tensor
    makers = {i: o for o in graph.operators for i in o.outputs}
    weighted = {o.inputs[1] for o in graph.operators if o.op in _WEIGHTED}
    weights = [
        _constant(i, tensor, symmetric=i in weighted)
        for i, tensor in found.items()
        if graph.tensors[i].data is not None and graph.tensors[i].dtype == "float32"
    ]
    flowing = {i: t for i, t in found.items() if graph.tensors[i].data is None}
    groups: dict[tuple[str, bytes, int], list[int]] = {}
    for index, tensor in sorted(flowing.items()):
        assert tensor.quantization is not None
        key = tensor.dtype, tensor.quantization.scale.tobytes(), int(tensor.quantization.zero_point[0])
        groups.setdefault(key, []).append(index)
    made = []
    for members in groups.values():
        fixed = any(makers[i].op in _FIXED for i in members if i in makers)
        passed = {i for i in members if i in makers and makers[i].op in _PASSING and makers[i].inputs[0] in members}
        bits, low, high = _range(flowing[members[0]], [(ranges[0][i], ranges[1][i]) for i in members], fixed)
        made.append(Range(tuple(i for i in members if i not in passed), tuple(members), bits, low, high, fixed))
    return Plan(tuple(weights), tuple(made))


def _constant(index: int, tensor: Tensor, *, symmetric: bool) -> Weight:
    assert tensor.quantization is not None
    bits = {"int4": 4, "int8": 8, "int16": 16}[tensor.dtype]
    return Weight(index, bits, tensor.quantization.axis if tensor.quantization.per_channel else None, symmetric)


def _range(tensor: Tensor, measured: list[tuple[float, float]], fixed: bool) -> tuple[int, float, float]:
    """Bits and range of a group: the member's whose measured range made the scale, or else what the scale holds."""
    assert tensor.quantization is not None
    scale, zero = float(tensor.quantization.scale[0]), int(tensor.quantization.zero_point[0])
    bits = 16 if tensor.dtype == "int16" else 8
    if not fixed:
        for low, high in measured:
            low, high = min(float(low), 0.0), max(float(high), 0.0)
            width = max(-low, high) / 32767 if bits == 16 else (high - low) / 255
            if np.isclose(width, scale, rtol=1e-5, atol=0):
                return bits, low, high
    least, most = (-32767, 32767) if bits == 16 else (-128, 127)
    return bits, (least - zero) * scale, (most - zero) * scale
