"""Separate scales for parts of a network's outputs that one scale would lose.

A detector's output holds boxes in pixels and scores in 0..1. In integers one scale covers both, and a step of it may
be larger than any score. What joins them (CONCATENATION, PACK, and what only moves or adds behind it) can be computed
in float instead: each part keeps a scale of its own, at the price of an output in float. Where one layer makes both,
its channels are divided by factors, so that one scale fits all of them, and multiplied by these in float behind it:
powers of two, so that in float the network computes the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import UsageError
from edgekit.graph import Graph, Operator, Tensor, tflite
from edgekit.graph.edit import constant, uses, with_values
from edgekit.graph.floats import restore
from edgekit.graph.onnx_operators import has_onnx
from edgekit.graph.ops import JOINS, MOVES, SUMS, suits
from edgekit.graph.schema import schema
from edgekit.graph.stats import label
from edgekit.metrics.channels import STEPS, Lost, lost
from edgekit.passes import PassContext, Passed, Report

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset

SAMPLES, MOST_BYTES = 64, 256 << 20
_CHANNEL_AXIS = {"CONV_2D": 0, "FULLY_CONNECTED": 0, "DEPTHWISE_CONV_2D": 3}
_LINEAR, _RELU = 0, 1
_LEVELS = {"int8": 255, "int16": 65534}


@dataclass(frozen=True)
class Settings:
    """The pass's parameters.

    :param activations: what the quantizing pass behind this one makes of activations, ``int8`` or ``int16``.
    """

    activations: str = "int8"

    def __post_init__(self) -> None:
        if self.activations not in _LEVELS:
            raise UsageError(f"split_scales: activations is {self.activations!r}", f"it may be {', '.join(_LEVELS)}")

    @property
    def levels(self) -> int:
        """Steps from the smallest to the largest integer."""
        return _LEVELS[self.activations]


@dataclass
class Split:
    """A Graph being taken apart, and what is known of it.

    :param values: float values of tensors by index, ``[samples, *shape]``.
    :param done: what was done, for the report; ``failed``: what could not be done.
    """

    graph: Graph
    values: dict[int, NDArray[Any]]
    levels: int
    noise: bool
    done: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Splits(Report):
    """A row for each output that was split, and for each that could not be."""

    split: list[dict[str, Any]]
    not_split: list[dict[str, Any]]


class SplitScales:
    """The pass ``split_scales``."""

    name = "split_scales"

    def apply(self, graph: Graph, context: PassContext) -> Passed:
        """Return the Graph with marks (``keep_float``) for the quantizing pass behind this one.

        A network whose outputs fit into one scale each comes back as it is, as does one that is quantized already.

        :raises UsageError: on wrong parameters, or without samples.
        """
        if unknown := sorted(set(context.params) - {"activations"}):
            raise UsageError(f"the pass split_scales has no parameter {unknown[0]!r}", "it has activations")
        settings = Settings(**context.params)
        if context.data is None:
            raise UsageError(
                f"{settings.activations} activations need samples to measure their ranges on",
                "pass them with --data FILE.npz, a folder of images, or (to try it out) --data random",
            )
        if graph.is_quantized or not joined_outputs(graph):
            return Passed(graph)
        context.progress.step("search for outputs that share a scale")
        split = split_outputs(restore(graph)[0], context.data, settings.levels)
        for entry in split.done:
            context.progress.warn(words(entry))
        return Passed(split.graph if split.done else graph, Splits(split.done, split.failed))


def words(entry: dict[str, Any]) -> str:
    """What was done to one output."""
    how = "joined in float" if entry["how"] == "float" else "scaled, and scaled back in float"
    return (
        f"output {entry['output']}: {entry['channels']} would span less than {STEPS:g} steps of the one scale that "
        f"{entry['op']} ({entry['name']}) gives them, and be lost; they are {how}, so that output is float32"
    )


def joined_outputs(graph: Graph) -> list[int]:
    """The float outputs whose channels may need scales of their own, as tensor indices."""
    if has_onnx(graph):
        return []
    made = {i: o for o in graph.operators for i in o.outputs}
    return [
        i
        for i in dict.fromkeys(graph.main.outputs)
        if graph.tensors[i].dtype == "float32" and i in made and not suits(made, i)
    ]


def tail(graph: Graph, output: int) -> set[int]:
    """The operators behind which nothing is but moves, joins and sums up to this output."""
    made = {i: n for n, o in enumerate(graph.operators) for i in o.outputs}
    readers = {index: {n for n, _ in pairs} for index, pairs in uses(graph).items()}
    found: set[int] = set()
    waiting = [output]
    while waiting:
        tensor = waiting.pop()
        number = made.get(tensor)
        if number is None or number in found:
            continue
        operator = graph.operators[number]
        # A value that other operators need as well stays in integers for them.
        if operator.op not in MOVES + JOINS + SUMS or any(readers.get(i, set()) - found for i in operator.outputs):
            continue
        found.add(number)
        waiting.extend(i for i in operator.inputs if i >= 0)
    return found


def split_outputs(graph: Graph, data: Dataset, levels: int = 255, outputs: list[int] | None = None) -> Split:
    """Take the outputs of a float Graph apart where one scale would lose channels of them."""
    outputs = joined_outputs(graph) if outputs is None else outputs
    tails = {o: tail(graph, o) for o in outputs}
    wanted = list(dict.fromkeys([*outputs, *(i for t in tails.values() for n in sorted(t) for i in _real(graph, n))]))
    split = Split(graph, float_values(graph, wanted, data), levels, data.random)
    main = replace(graph.main, tensors=list(graph.tensors), operators=list(graph.operators))
    split.graph = replace(graph, subgraphs=[main, *graph.subgraphs[1:]])
    for output in outputs:
        _release(split, output, output, tails[output], None)
    split.graph = _ordered(split.graph)
    return split


def float_values(graph: Graph, tensors: list[int], data: Dataset) -> dict[int, NDArray[Any]]:
    """Run samples, at most 64 and as many as fit into 256 MiB, and return these float32 tensors' values."""
    from edgekit.data.dataset import as_network_inputs
    from edgekit.reference.litert import reference_outputs

    size = sum(graph.tensors[i].nbytes for i in tensors)
    few = data.subset(int(max(2, min(SAMPLES, MOST_BYTES // max(1, size)))))
    probe = replace(graph, subgraphs=[replace(graph.main, outputs=tuple(tensors)), *graph.subgraphs[1:]], signatures=[])
    with sandbox.scratch() as folder:
        tflite.write(probe, folder / "model.tflite")
        outputs = reference_outputs(folder / "model.tflite", as_network_inputs(few, graph), optimized=True)
    return dict(zip(tensors, outputs, strict=True))


def step_of(values: NDArray[Any], levels: int) -> float:
    """The step of the scale that a quantizer gives these values: 0 lies in the range."""
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 0.0)
    return (high - low) / levels if levels < 1 << 15 else 2 * max(-low, high) / levels


def _real(graph: Graph, number: int) -> list[int]:
    """An operator's float inputs and outputs that are computed."""
    operator = graph.operators[number]
    computed = {i for o in graph.operators for i in o.outputs} | set(graph.main.inputs)
    return [i for i in (*operator.outputs, *operator.inputs) if i in computed and graph.tensors[i].dtype == "float32"]


def _release(split: Split, output: int, tensor: int, inside: set[int], cause: tuple[int, Lost] | None) -> None:
    """Keep in float what gives this tensor's channels one scale, if that loses some of them; then its inputs."""
    graph = split.graph
    number = next((n for n, o in enumerate(graph.operators) if tensor in o.outputs), None)
    if number is None or tensor not in split.values or graph.tensors[tensor].keep_float:
        return
    operator = graph.operators[number]
    made = {i: o for o in graph.operators for i in o.outputs}
    found = None if suits(made, tensor) else _lost(split, tensor, operator)
    if found is None:
        return
    if number not in inside:
        _scale(split, output, tensor, number, found)
        return
    for index in operator.outputs:
        graph.tensors[index] = replace(graph.tensors[index], keep_float=True)
    inner = [i for i in operator.inputs if i in split.values]
    if operator.op in MOVES:
        _release(split, output, inner[0], inside, cause)
        if not any(graph.tensors[i].keep_float for i in inner):
            split.done.append(_entry(split, output, number, found, "float"))
        return
    split.done.append(_entry(split, output, number, found, "float"))
    for index in inner:
        _release(split, output, index, inside, cause)


def _lost(split: Split, tensor: int, operator: Operator) -> Lost | None:
    """The channels of a tensor that its scale loses, or, in a sum, those of an input that vanishes in it."""
    step = step_of(split.values[tensor], split.levels)
    found = lost(split.values[tensor], step, noise=split.noise)
    if found is None and operator.op in ("ADD", "SUB"):
        inputs = [split.values[i] for i in operator.inputs if i in split.values]
        # Beside another computed input it vanishes in that one's rounding as well: nothing is won in float.
        found = vanishing(inputs[0], step) if len(inputs) == 1 else None
    return found


def vanishing(values: NDArray[Any], step: float) -> Lost | None:
    """All channels of what is added to a constant, where it spans less than a few steps of the sum; or None."""
    span = float(values.max() - values.min())
    if not 0 < span < STEPS * step or values[0].size < 2:
        return None
    return Lost(values.ndim - 2, tuple(range(values.shape[-1])), values.shape[-1], span / step)


def _entry(split: Split, output: int, number: int, found: Lost, how: str) -> dict[str, Any]:
    operator = split.graph.operators[number]
    return {
        "output": split.graph.tensors[output].name,
        "op": operator.op,
        "name": label(split.graph.main, operator),
        "channels": found.words(),
        "axis": found.axis,
        "lost": list(found.channels),
        "steps": found.steps,
        "how": how,
    }


def _scale(split: Split, output: int, tensor: int, number: int, found: Lost) -> None:
    """Divide a layer's channels by factors, and multiply by them in float behind it."""
    graph = split.graph
    operator = graph.operators[number]
    values = split.values[tensor].astype(np.float64)
    entry = _entry(split, output, number, found, "scale")
    weights = graph.tensors[operator.inputs[1]] if operator.op in _CHANNEL_AXIS else None
    activation = getattr(operator.options, "fusedActivationFunction", -1)
    sole = len(uses(graph).get(tensor, [])) == (0 if tensor in graph.main.outputs else 1)
    if (
        weights is None
        or weights.data is None
        or weights.dtype != "float32"
        or found.axis != values.ndim - 2
        or activation not in (_LINEAR, _RELU)
        or not sole
    ):
        split.failed.append(entry)
        return
    rows = values.reshape(-1, values.shape[-1])
    low, high = rows.min(axis=0), rows.max(axis=0)
    centre = np.zeros_like(low)
    if activation == _LINEAR:  # an offset that is much larger than what varies is taken out, too
        far = np.maximum(np.abs(low), np.abs(high)) > 8 * (high - low)
        centre = np.where(far, np.rint((low + high) / 2), 0.0)
    reach = np.maximum(np.abs(low - centre), np.abs(high - centre))
    factor = 2.0 ** np.ceil(np.log2(np.where(reach > 0, reach, 1.0)))
    _rescale(graph, number, factor, centre)
    split.done.append(entry)


def _rescale(graph: Graph, number: int, factor: NDArray[Any], centre: NDArray[Any]) -> None:
    """Make operator ``number`` compute ``(x - centre) / factor``, and append what undoes that in float."""
    operator = graph.operators[number]
    tensor = operator.outputs[0]
    axis = _CHANNEL_AXIS[operator.op]
    weights = graph.tensors[operator.inputs[1]]
    shape = [1] * len(weights.shape)
    shape[axis] = -1
    bias = graph.tensors[operator.inputs[2]] if len(operator.inputs) > 2 and operator.inputs[2] >= 0 else None
    offsets = np.zeros(len(factor)) if bias is None else bias.array().astype(np.float64).reshape(-1)

    def add(made: Tensor) -> int:
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    narrow = add(with_values(weights, (weights.array() / factor.reshape(shape)).astype(np.float32)))
    moved = add(constant(f"{weights.name}/offsets", ((offsets - centre) / factor).astype(np.float32)))
    original = graph.tensors[tensor]
    scaled = add(replace(original, name=f"{original.name}/scaled"))
    graph.operators[number] = replace(operator, inputs=(operator.inputs[0], narrow, moved), outputs=(scaled,))
    graph.tensors[tensor] = replace(original, keep_float=True)
    last = scaled
    steps = [("MUL", factor)] + ([("ADD", centre)] if centre.any() else [])
    for place, (op, numbers) in enumerate(steps):
        made = tensor
        if place < len(steps) - 1:
            made = add(replace(original, name=f"{original.name}/factors", keep_float=True))
        given = add(constant(f"{original.name}/{op.lower()}", numbers.astype(np.float32)))
        options = schema().MulOptionsT() if op == "MUL" else schema().AddOptionsT()
        graph.operators.append(Operator(op, (last, given), (made,), options))
        last = made


def _ordered(graph: Graph) -> Graph:
    """Return the Graph with each operator behind those whose results it reads."""
    made = {i for o in graph.operators for i in o.outputs}
    ready = set(range(len(graph.tensors))) - made
    waiting, operators = list(graph.operators), []
    while waiting:
        index = next(n for n, o in enumerate(waiting) if all(i < 0 or i in ready for i in o.inputs))
        operators.append(waiting.pop(index))
        ready.update(operators[-1].outputs)
    return replace(graph, subgraphs=[replace(graph.main, operators=operators), *graph.subgraphs[1:]])
