"""Fix every shape of a network: LiteRT infers them from the inputs' shapes; what only computed shapes becomes constant.

Converters leave -1 in the shapes of intermediate tensors, beside it a 1 that may be wrong (TensorFlow's writes [1, 64]
for a [-1, 64] that is [32, 64]), and operators that compute sizes from the batch (SHAPE, STRIDED_SLICE, PACK).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator, tflite
from edgekit.graph.edit import compact, constant
from edgekit.readers import ReadOptions
from edgekit.readers.shapes import Settled
from edgekit.reference.litert import PRELOAD
from edgekit.sandbox import answers

FOLDED_BYTES = 1 << 20
"""What an operator that only depends on shapes may make at most to be replaced by its result."""

_OPAQUE = frozenset(
    {"WHILE", "IF", "CALL", "CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "HASHTABLE_FIND",
     "HASHTABLE_SIZE", "RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL", "MULTINOMIAL"}
)  # fmt: skip
"""Operators whose results do not follow from their operands' values alone."""
_ASKS = frozenset({"SHAPE", "RANK"})
_BY_DATA = frozenset({"WHERE", "UNIQUE"})
"""Operators whose result shapes follow from their operands' values."""
_AXES = ("SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN", "REDUCE_PROD", "REDUCE_ANY", "REDUCE_ALL", "ARG_MAX", "ARG_MIN")
_SHAPED_BY: dict[str, tuple[int, ...]] = {
    "RESHAPE": (1,), "FILL": (0,), "BROADCAST_TO": (1,), "SLICE": (1, 2), "STRIDED_SLICE": (1, 2, 3), "TILE": (1,),
    "PAD": (1,), "PADV2": (1,), "MIRROR_PAD": (1,), "RANGE": (0, 1, 2), "RESIZE_BILINEAR": (1,),
    "RESIZE_NEAREST_NEIGHBOR": (1,), "TRANSPOSE_CONV": (0,), "CONV_3D_TRANSPOSE": (0,), "BATCH_TO_SPACE_ND": (1, 2),
    "SPACE_TO_BATCH_ND": (1, 2), "EXPAND_DIMS": (1,), "TRANSPOSE": (1,), "SPLIT": (0,), "SPLIT_V": (1, 2),
    "ONE_HOT": (1,), "TOPK_V2": (1,), "SPARSE_TO_DENSE": (1,), "UNSORTED_SEGMENT_SUM": (2,),
    "UNSORTED_SEGMENT_MAX": (2,), "UNSORTED_SEGMENT_MIN": (2,), "UNSORTED_SEGMENT_PROD": (2,),
    "NON_MAX_SUPPRESSION_V4": (2,), "NON_MAX_SUPPRESSION_V5": (2,), **dict.fromkeys(_AXES, (1,)),
}  # fmt: skip
"""Operands whose values decide the shape of the result, by their positions."""


def is_open(graph: Graph) -> bool:
    """True if the network leaves sizes open, or computes with shapes."""
    return any(o.op in _ASKS for o in graph.operators) or any(
        t.data is None and (-1 in (t.shape_signature or ()) or any(size < 0 for size in t.shape)) for t in graph.tensors
    )


def fixed(graph: Graph, shown: str, options: ReadOptions) -> Graph:
    """Return the Graph with the shapes that follow from its inputs' shapes, which are known.

    What LiteRT cannot run, or what depends on data or lies in loops and branches, stays as it is.
    """
    if not is_open(graph):
        return graph
    known = _Known(graph)
    shapes = [tensor.shape for tensor in graph.inputs]
    try:
        return _settled(graph, known, shapes, shown, options)
    except ModelError:
        return graph


def resized(graph: Graph, settled: Settled, path: Path, options: ReadOptions) -> Graph:
    """Return the Graph for the settled input shapes, every shape in it fixed.

    :raises ModelError: if the network does not work at this size, or has shapes that no input size fixes.
    """
    if len(graph.subgraphs) > 1:
        raise ModelError(
            f"{path} has loops or branches, whose shapes --shape cannot fix", "convert the model with fixed sizes"
        )
    known = _Known(graph)
    if known.stuck is not None:
        raise ModelError(
            f"{path}: operator {known.stuck} ({graph.operators[known.stuck].op}) makes results whose size depends on "
            "the data: --shape cannot fix it",
            "convert the model without it",
        )
    options.progress.step(f"inferring the shapes of {path.name} (LiteRT, in a sandbox)")
    return _settled(graph, known, settled.shapes, str(path), options)


def _settled(graph: Graph, known: _Known, shapes: Sequence[tuple[int, ...]], shown: str, options: ReadOptions) -> Graph:
    """Run the network once in a child, on zeros; take over the shapes and what only depends on them."""
    try:
        answer, values = sandbox.call(
            "edgekit.readers.tflite_child:infer",
            {"shown": shown, "inputs": list(graph.main.inputs), "shapes": list(shapes), "wanted": known.results,
             "bytes": FOLDED_BYTES},
            {"model": np.frombuffer(tflite.dumps(graph), np.uint8)},
            limits=sandbox.Limits(seconds=options.seconds, memory_mb=options.memory_mb),
            preload=PRELOAD, form=_Shapes,
        )  # fmt: skip
    except sandbox.ChildDied as died:
        raise ModelError(f"{shown}: LiteRT {died.reason} on it with these shapes") from died
    with answers.consistent():
        return _inferred(graph, known, answer, values)


class _Shapes(TypedDict):
    shapes: dict[str, list[int]]


def _inferred(graph: Graph, known: _Known, answer: Mapping[str, Any], values: Mapping[str, NDArray[Any]]) -> Graph:
    inferred = {int(index): tuple(shape) for index, shape in answer["shapes"].items()}
    tensors = [
        replace(tensor, shape=inferred.get(index, tensor.shape) if tensor.data is None else tensor.shape,
                shape_signature=None, has_rank=True)
        if index in known.shaped else tensor
        for index, tensor in enumerate(graph.tensors)
    ]  # fmt: skip
    main = replace(graph.main, tensors=tensors)
    fixed = replace(graph, subgraphs=[main, *graph.subgraphs[1:]])
    return _checked(_folded(fixed, known, {int(name): array for name, array in values.items()}))


def _checked(graph: Graph) -> Graph:
    """The Graph as its file form gives it back, with its notes: what LiteRT said holds what every file must."""
    again = tflite.loads(tflite.dumps(graph))
    again.notes = graph.notes
    return again


class _Known:
    """What follows from the inputs' shapes alone.

    :ivar shaped: the tensors whose shapes do.
    :ivar stuck: the first operator whose results' shapes do not.
    :ivar operators: those whose results do, and whose operands did not all stand in the file.
    :ivar results: of these operators.
    """

    def __init__(self, graph: Graph) -> None:
        tensors, outputs = graph.tensors, set(graph.main.outputs)
        valued = {i for i, t in enumerate(tensors) if t.data is not None}
        derived: set[int] = set()
        self.shaped = valued | {i for i, t in enumerate(tensors) if t.is_variable} | set(graph.main.inputs)
        self.stuck: int | None = None
        self.operators: set[int] = set()
        for number, operator in enumerate(graph.operators):
            operands = [i for i in operator.inputs if i >= 0]
            if not _shape_follows(operator, operands, self.shaped, valued):
                self.stuck = number if self.stuck is None else self.stuck
                continue
            self.shaped.update(operator.outputs)
            asks = operator.op in _ASKS
            if asks or (operands and all(i in valued for i in operands) and not _opaque(operator)):
                valued.update(operator.outputs)
                if asks or derived.intersection(operands):
                    derived.update(operator.outputs)
                    if not outputs.intersection(operator.outputs):
                        self.operators.add(number)
        self.results = sorted({i for number in self.operators for i in graph.operators[number].outputs})


def _opaque(operator: Operator) -> bool:
    return operator.custom or operator.op in _OPAQUE


def _shape_follows(operator: Operator, operands: list[int], shaped: set[int], valued: set[int]) -> bool:
    """True if the shapes of the results follow from the operands' shapes, and from values that are known."""
    if _opaque(operator) or operator.op in _BY_DATA:
        return all(i in valued for i in operands) and operator.op in _BY_DATA
    deciding = [operator.inputs[k] for k in _SHAPED_BY.get(operator.op, ()) if k < len(operator.inputs)]
    return all(i in shaped for i in operands) and all(i in valued for i in deciding if i >= 0)


def _folded(graph: Graph, known: _Known, values: dict[int, NDArray[np.generic]]) -> Graph:
    """Replace what only computed shapes by constants.

    A large one keeps its operator, with constant operands. Operators that only fed a replaced one are removed, too:
    quantizers give no integers to a result that nobody reads, and LiteRT refuses such an operator.
    """
    gone, kept = set(known.operators), list(graph.tensors)
    read = {index for operator in graph.operators for index in operator.inputs}
    gone |= {
        number
        for number, operator in enumerate(graph.operators)
        if not _opaque(operator) and any(index in read for index in operator.outputs)
    }
    for index, value in values.items():
        if value.nbytes <= FOLDED_BYTES and kept[index].quantization is None:
            kept[index] = constant(kept[index].name, value)
    needed = set(graph.main.outputs)
    operators = []
    for number, operator in reversed(list(enumerate(graph.operators))):
        if number in gone and not any(i in needed and kept[i].data is None for i in operator.outputs):
            continue
        needed.update(operator.inputs)
        operators.append(operator)
    main = replace(graph.main, tensors=kept, operators=operators[::-1])
    return compact(replace(graph, subgraphs=[main, *graph.subgraphs[1:]]))
