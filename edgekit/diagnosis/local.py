"""Each operator's own noise, inside the quantized network and in isolation.

* **In the network**: its output in the quantized network against its output in the float network. Its own noise and
  what came down from the operators before it.
* **Alone**: fed with the float network's values. This is split further by doing, in float, one thing at a time that
  integers do: rounding its inputs, its weights, its output. What these three together do not explain is the kernel's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.diagnosis.measure import noise, real
from edgekit.diagnosis.versions import Versions
from edgekit.errors import ModelError
from edgekit.graph import Graph, Tensor, tflite
from edgekit.graph.edit import with_values
from edgekit.graph.explode import Exploded, explode
from edgekit.graph.floats import real_values
from edgekit.graph.mixture import FLOAT, Mixture
from edgekit.reference.litert import reference_outputs, reference_tensors

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset

LOCAL_BYTES = 128 << 20
"""Activations that are held in memory to measure operators alone."""
LOCAL_SAMPLES = 32
Values = dict[int, NDArray[Any]]


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


def local_samples(graph: Graph) -> int:
    """How many samples' activations may be held in memory."""
    each = sum(t.nbytes for t in graph.tensors if t.data is None)
    return int(max(1, min(LOCAL_SAMPLES, LOCAL_BYTES // max(1, each))))


def tensors(graph: Graph, data: Dataset) -> Values:
    """All activations of a network over the samples, inputs included, ``[n, *shape]`` by tensor."""
    from edgekit.data.dataset import as_network_inputs

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
    """Run the integer kernels on exact values.

    Returns the noise of each operator alone, and its distance from exact arithmetic on the same rounded inputs and
    weights, in steps of its output.
    """
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
