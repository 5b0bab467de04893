"""What quantization does to each operator: inside the quantized network, by itself, and to the network's outputs.

Noise is relative: ``sum (x - q)^2 / sum x^2``; in decibels, ``-10 log10`` of it is the SQNR. For each operator:

* **in the network**: its output in the quantized network against its output in the float network. Its own noise and
  what came down from the operators before it.
* **alone**: fed with the float network's values. This is split further by doing, in float, one thing at a time that
  integers do: rounding its inputs, its weights, its output. What these three together do not explain is the kernel's.
* **its effect**: the outputs of a network in which it alone computes in integers (:mod:`edgekit.graph.mixture`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit import accuracy, quality, sandbox
from edgekit.diagnosis.trial import run
from edgekit.diagnosis.versions import Versions
from edgekit.errors import ModelError
from edgekit.graph import Graph, Tensor, tflite
from edgekit.graph.edit import with_values
from edgekit.graph.explode import Exploded, explode
from edgekit.graph.mixture import FLOAT, Mixture
from edgekit.graph.stats import statistics
from edgekit.passes.float32 import real_values
from edgekit.progress import Progress, Silent
from edgekit.runners.reference import reference_outputs, reference_tensors

if TYPE_CHECKING:
    from edgekit.dataset import Dataset

LOCAL_BYTES = 128 << 20
"""Activations that are held in memory to measure operators alone."""
LOCAL_SAMPLES = 32
EFFECT_MACS = 2e11
"""Operators' effects are measured on as many samples as fit in this many MACs (a minute or so), within bounds."""
EFFECT_SAMPLES = (8, 256)
Values = dict[int, NDArray[Any]]


@dataclass(frozen=True)
class Outcome:
    """A network's outputs over some samples, judged against the float network's.

    :param noise: relative noise of its outputs, the worst of them; infinite where it does not run.
    :param accuracy: share of right labels; None without labels.
    :param flips: share of samples whose label is another one than the float network's; None where it is no classifier.
        With labels any network of one choice among classes is one; without, it must end in a softmax or logistic.
    :param failure: why it does not run; empty where it does.
    """

    noise: float
    accuracy: float | None = None
    flips: float | None = None
    failure: str = ""

    @property
    def sqnr_db(self) -> float | None:
        return decibels(self.noise)


@dataclass(frozen=True)
class Local:
    """One operator's noise; each None where it could not be measured.

    :param network: of its output in the quantized network.
    :param alone: of its output when fed with exact values. ``inputs``, ``weights``, ``output``: only these are rounded.
    :param kernel: mean difference, in steps of the output, between LiteRT's kernel and exact arithmetic.
    """

    network: float | None = None
    alone: float | None = None
    inputs: float | None = None
    weights: float | None = None
    output: float | None = None
    kernel: float | None = None


def decibels(noise: float | None) -> float | None:
    """``-10 log10(noise)``; None where there is no noise, or no measure of it."""
    return None if noise is None or noise <= 0 or not math.isfinite(noise) else -10 * math.log10(noise)


def noise(real: NDArray[Any], rounded: NDArray[Any]) -> float:
    """Relative noise power; infinite where ``real`` is all zeros and ``rounded`` is not, or is no number."""
    if not np.isfinite(rounded).all():
        return math.inf
    relative = quality.relative_error(real, rounded)
    if relative is not None:
        return relative**2
    return 0.0 if quality.absolute_error(real, rounded) == 0 else math.inf


def real(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    """The real values of an activation."""
    integer = values.dtype.kind in "iu" and tensor.quantization is not None and tensor.has_scale
    return tensor.quantization.dequantize(values) if integer and tensor.quantization else values


class Judge:
    """Runs networks with the same inputs and outputs over the same samples, and judges their outputs."""

    def __init__(self, graph: Graph, data: Dataset) -> None:
        self.graph, self.data = graph, data
        self.outputs = run(graph, data)
        chooses = accuracy.measurable(graph) and (data.labels is not None or _is_distribution(graph))
        self.top1 = accuracy.top1(self.outputs[0], graph) if chooses else None
        self.float = self._judged(graph, self.outputs)

    def __call__(self, graph: Graph) -> Outcome:
        try:
            return self._judged(graph, run(graph, self.data))
        except ModelError as error:
            return Outcome(math.inf, 0.0 if self.float.accuracy is not None else None, 1.0, error.message)

    def _judged(self, graph: Graph, outputs: list[NDArray[Any]]) -> Outcome:
        pairs = zip(self.outputs, outputs, graph.outputs, strict=True)
        worst = max(noise(a, real(tensor, b)) for a, b, tensor in pairs)
        if self.top1 is None:
            return Outcome(worst)
        top1 = accuracy.top1(outputs[0], graph)
        labels = self.data.labels
        right = None if labels is None else float((top1 == labels).mean())
        return Outcome(worst, right, float((top1 != self.top1).mean()))


def _is_distribution(graph: Graph) -> bool:
    """True if the first output comes from a softmax or a logistic function, directly or through a change of shape."""
    made = {i: o for o in graph.operators for i in o.outputs}
    wanted = graph.main.outputs[0]
    while wanted in made and made[wanted].op in ("RESHAPE", "SQUEEZE"):
        wanted = made[wanted].inputs[0]
    return wanted in made and made[wanted].op in ("SOFTMAX", "LOG_SOFTMAX", "LOGISTIC")


def effects(
    versions: Versions, judge: Judge, precision: str, numbers: Sequence[int], progress: Progress = Silent()
) -> dict[int, Outcome]:
    """Quantize one operator at a time, all others in float; those that cannot be quantized are left out."""
    found = {}
    for done, number in enumerate(numbers):
        if versions.has(number, precision):
            choice = [FLOAT] * len(versions.graph.operators)
            choice[number] = precision
            found[number] = judge(versions.mix(choice, io=FLOAT).graph)
        progress.advance(done + 1, len(numbers))
    return found


def effect_samples(graph: Graph, variants: int) -> int:
    """How many samples the effect of each operator is measured on: by the work, so the same in every run."""
    least, most = EFFECT_SAMPLES
    return int(max(least, min(most, EFFECT_MACS / max(1, statistics(graph).macs * variants))))


def local_samples(graph: Graph) -> int:
    """How many samples' activations may be held in memory."""
    each = sum(t.nbytes for t in graph.tensors if t.data is None)
    return int(max(1, min(LOCAL_SAMPLES, LOCAL_BYTES // max(1, each))))


def tensors(graph: Graph, data: Dataset) -> Values:
    """All activations of a network over the samples, inputs included, ``[n, *shape]`` by tensor."""
    from edgekit.dataset import as_network_inputs

    inputs = as_network_inputs(data, graph)
    with sandbox.scratch() as folder:
        tflite.write(graph, folder / "model.tflite")
        made = reference_tensors(folder / "model.tflite", inputs, optimized=True)
    return made | dict(zip(graph.main.inputs, inputs, strict=True))


def locals_(versions: Versions, precision: str, exact: Values, data: Dataset) -> list[Local]:
    """Measure every operator inside the quantized network, and alone.

    :param exact: the float network's activations on ``data``.
    """
    graph = versions.graph
    mixture = versions.mix([precision] * len(graph.operators))
    network = _in_network(mixture, exact, data)
    apart, whole = explode(graph), explode(mixture.graph)
    inputs: dict[int, float] = {}
    weights: dict[int, float] = {}
    both: Values = {}
    alone: dict[int, float] = {}
    kernel: dict[int, float] = {}
    if apart is not None:
        quantized = _quantized_weights(versions, precision)
        rounded = _rounded_inputs(mixture, exact)
        inputs = _alone(apart, exact, rounded)
        weights = _alone(_with_constants(apart, quantized), exact, exact)
        both = _alone(_with_constants(apart, quantized), exact, rounded, raw=True)
    if whole is not None:
        alone, kernel = _kernels(mixture, whole, exact, both)
    rows = []
    for number in range(len(graph.operators)):
        made = mixture.outputs_of(number)
        rows.append(
            Local(
                network.get(number),
                alone.get(number),
                inputs.get(number),
                weights.get(number),
                _rounding(mixture, made, exact),
                kernel.get(number),
            )
        )
    return rows


def _in_network(mixture: Mixture, exact: Values, data: Dataset) -> dict[int, float]:
    try:
        found = tensors(mixture.graph, data)
    except ModelError:
        return {}
    return {
        number: max(
            noise(exact[mixture.values[i]], real(mixture.graph.tensors[i], found[i]))
            for i in operator.outputs
            if i in found and mixture.values[i] in exact
        )
        for number, operator in zip(mixture.origin, mixture.graph.operators, strict=True)
        if number >= 0 and any(i in found and mixture.values[i] in exact for i in operator.outputs)
    }


def _rounding(mixture: Mixture, made: tuple[int, ...], exact: Values) -> float | None:
    """Noise of rounding and clipping an operator's outputs."""
    found = []
    for index in made:
        tensor, values = mixture.graph.tensors[index], exact.get(mixture.values[index])
        if values is not None and values.dtype == np.float32:
            found.append(noise(values, rounded(tensor, values)))
    return max(found, default=None)


def rounded(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    """Real values as an integer tensor would hold them."""
    if tensor.quantization is None or not tensor.has_scale or tensor.dtype == FLOAT:
        return values
    return tensor.quantization.dequantize(tensor.quantization.quantize(values, tensor.dtype))


def _rounded_inputs(mixture: Mixture, exact: Values) -> Values:
    """The float network's activations as their readers get them: in the form in which each was made."""
    found = dict(exact)
    for index, own in mixture.values.items():
        if own in exact and exact[own].dtype == np.float32:
            found[own] = rounded(mixture.graph.tensors[index], exact[own])
    return found


def _quantized_weights(versions: Versions, precision: str) -> dict[tuple[int, int], NDArray[Any]]:
    """The constants of each operator as its quantized counterpart holds them, by (operator, input)."""
    graph, version = versions.graph, versions[precision]
    found = {}
    for number, operator in enumerate(graph.operators):
        counterpart = version.operators[versions.counterpart(number, precision)]
        for slot, (own, other) in enumerate(zip(operator.inputs, counterpart.inputs, strict=True)):
            if own < 0 or graph.tensors[own].data is None or graph.tensors[own].dtype != FLOAT:
                continue
            tensor = version.tensors[other]
            if tensor.data is not None and tensor.dtype != FLOAT and tensor.has_scale:
                found[number, slot] = real_values(tensor).reshape(graph.tensors[own].shape)
    return found


def _with_constants(apart: Exploded, constants: dict[tuple[int, int], NDArray[Any]]) -> Exploded:
    """The taken-apart network with other constants, by (operator, input)."""
    main = replace(apart.graph.main, tensors=list(apart.graph.tensors), operators=list(apart.graph.operators))
    numbers = list(dict.fromkeys(apart.operators))
    for place, number in enumerate(numbers):
        operator = main.operators[place]
        inputs = list(operator.inputs)
        for slot, index in enumerate(inputs):
            if (number, slot) in constants:
                main.tensors.append(with_values(main.tensors[index], constants[number, slot].astype(np.float32)))
                inputs[slot] = len(main.tensors) - 1
        main.operators[place] = replace(operator, inputs=tuple(inputs))
    return replace(apart, graph=Graph([main]))


def _fed(apart: Exploded, values: Values, optimized: bool) -> Values | None:
    """Run a taken-apart network; the results by its outputs' places."""
    if any(index not in values for index in apart.inputs):
        return None
    with sandbox.scratch() as folder:
        tflite.write(apart.graph, folder / "model.tflite")
        try:
            made = reference_outputs(folder / "model.tflite", [values[i] for i in apart.inputs], optimized=optimized)
        except ModelError:
            return None
    return dict(enumerate(made))


def _alone(apart: Exploded, exact: Values, fed: Values, *, raw: bool = False) -> dict[int, Any]:
    """Each operator's noise when fed with ``fed``; with ``raw`` its results, by tensor."""
    made = _fed(apart, fed, True)
    if made is None:
        return {}
    if raw:
        return {index: made[place] for place, index in enumerate(apart.outputs)}
    found: dict[int, Any] = {}
    for place, (number, index) in enumerate(zip(apart.operators, apart.outputs, strict=True)):
        if index in exact and exact[index].dtype == np.float32:
            found[number] = max(found.get(number, 0.0), noise(exact[index], made[place]))
    return found


def _kernels(
    mixture: Mixture, whole: Exploded, exact: Values, ideal: Values
) -> tuple[dict[int, float], dict[int, float]]:
    """Run the integer kernels on exact values: noise of each operator alone, and its distance from exact arithmetic
    on the same rounded inputs and weights, in steps of its output."""
    known = {
        index: tensor.quantization.quantize(exact[own], tensor.dtype)
        if (tensor := mixture.graph.tensors[index]).quantization is not None and tensor.dtype != FLOAT
        else exact[own]
        for index, own in mixture.values.items()
        if own in exact
    }
    made = _fed(whole, known, False)
    alone: dict[int, float] = {}
    kernel: dict[int, float] = {}
    for place, (number, index) in enumerate(zip(whole.operators, whole.outputs, strict=True)):
        origin, own = mixture.origin[number], mixture.values.get(index)
        if made is None or origin < 0 or own not in exact or exact[own].dtype != np.float32:
            continue
        tensor = mixture.graph.tensors[index]
        alone[origin] = max(alone.get(origin, 0.0), noise(exact[own], real(tensor, made[place])))
        if own in ideal and tensor.quantization is not None and tensor.dtype != FLOAT:
            wanted = tensor.quantization.quantize(ideal[own], tensor.dtype)
            steps = float(np.abs(wanted.astype(np.float64) - made[place]).mean())
            kernel[origin] = max(kernel.get(origin, 0.0), steps)
    return alone, kernel
