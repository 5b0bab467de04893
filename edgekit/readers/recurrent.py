"""Final states of fused recurrent operators, read from their sequences instead of their variables.

onnx2tf gives out the last state of an ONNX LSTM or RNN by reading the fused operator's variable tensor. Nothing in the
file says that the operator comes first, and XNNPACK, which takes the reader and leaves the operator, runs it too early:
it reads zeros, or the state of the run before. The state's value also stands in the sequence, as its last step.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from edgekit.graph import Graph, Operator, Tensor, tflite
from edgekit.graph.edit import compact, constant


@dataclass(frozen=True)
class _State:
    """A hidden state of a fused operator.

    :param operand: its position among the operands. :param reverse: the sequence runs backwards, so that its last step
        is the first. :param output: the sequence's position among the results.
    """

    operand: int
    reverse: bool = False
    output: int = 0


_HIDDEN = {
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (_State(18),),
    "UNIDIRECTIONAL_SEQUENCE_RNN": (_State(4),),
    "BIDIRECTIONAL_SEQUENCE_LSTM": (_State(35), _State(37, reverse=True, output=1)),
    "BIDIRECTIONAL_SEQUENCE_RNN": (_State(4), _State(8, reverse=True, output=1)),
}
"""Source of the positions: TFLite's kernels ``unidirectional_sequence_lstm.cc`` and so on."""
_STATEFUL = frozenset({*_HIDDEN, "LSTM", "RNN", "SVDF"})
"""Operators that write variables which are their operands."""


def from_sequences(graph: Graph) -> Graph:
    """Return the Graph with every later reader of a hidden state reading the sequence's last step instead.

    Cell states stand in no sequence: they are left as they are, and so are readers before the operator.
    """
    tensors = list(graph.tensors)
    operators: list[Operator] = []
    instead: dict[int, int] = {}
    changed = False
    read = [{i for later in graph.operators[n + 1 :] for i in later.inputs} for n in range(len(graph.operators))]
    for number, operator in enumerate(graph.operators):
        inputs = tuple(instead.get(index, index) for index in operator.inputs)
        operators.append(replace(operator, inputs=inputs))
        for state in _HIDDEN.get(operator.op, ()):
            index = operator.inputs[state.operand] if state.operand < len(operator.inputs) else -1
            if index < 0 or index not in read[number] or not tensors[index].is_variable:
                continue
            operators.append(_last_step(tensors, operator, state, index))
            instead[index] = operators[-1].outputs[0]
            changed = True
    if not changed:
        return graph
    main = replace(graph.main, tensors=tensors, operators=operators)
    return compact(replace(graph, subgraphs=[main, *graph.subgraphs[1:]]))


def _last_step(tensors: list[Tensor], operator: Operator, state: _State, index: int) -> Operator:
    """Slice the last step, ``[batch, units]``, out of a sequence ``[batch, steps, units]``, or steps first."""
    options: Any = operator.options
    merged = bool(getattr(options, "mergeOutputs", False)) and state.output == 1
    sequence = operator.outputs[0 if merged else state.output]
    shape = list(tensors[sequence].shape)
    axis = 0 if options.timeMajor else 1
    begin, end, units = [0, 0, 0], list(shape), tensors[index].shape[-1]
    begin[axis] = 0 if state.reverse else shape[axis] - 1
    end[axis] = begin[axis] + 1
    begin[2], end[2] = (shape[2] - units, shape[2]) if merged else (0, units)
    name = f"{tensors[index].name}_last"
    ends = [
        constant(f"{name}_{what}", np.array(values, np.int32))
        for what, values in (("begin", begin), ("end", end), ("strides", [1, 1, 1]))
    ]
    first = len(tensors)
    result = Tensor(name, (shape[1 - axis], units), "float32")
    tensors += [*ends, result]
    slicing = tflite.schema().StridedSliceOptionsT()
    slicing.shrinkAxisMask = 1 << axis
    return Operator("STRIDED_SLICE", (sequence, first, first + 1, first + 2), (first + 3,), slicing)


def zeros_folded(graph: Graph) -> Graph:
    """Return the Graph without variables that nothing writes: they are zero, and so is what is multiplied by them.

    onnx2tf takes one for the first state of an unrolled GRU. Ranges of variables are not measured, so each would keep
    its readers from being quantized.
    """
    tensors = list(graph.tensors)
    kept = {i for operator in graph.operators if operator.op in _STATEFUL for i in operator.inputs}
    zero = {
        i
        for i, t in enumerate(tensors)
        if t.is_variable and i not in kept and t.dtype == "float32" and i not in graph.main.inputs
    }
    if not zero or len(graph.subgraphs) > 1:
        return graph
    operators: list[Operator] = []
    instead: dict[int, int] = {}
    for operator in graph.operators:
        inputs = tuple(instead.get(index, index) for index in operator.inputs)
        plain = not getattr(operator.options, "fusedActivationFunction", 0)
        ends = set(operator.outputs) & set(graph.main.outputs)
        if plain and not ends and _is_product(operator, inputs) and zero.intersection(inputs[:2]):
            zero.update(operator.outputs)
        elif plain and not ends and (other := _other_summand(tensors, operator, inputs, zero)) is not None:
            instead[operator.outputs[0]] = other
        else:
            operators.append(replace(operator, inputs=inputs))
    for index in zero:
        tensors[index] = constant(tensors[index].name, np.zeros(tensors[index].shape, np.float32))
    return compact(replace(graph, subgraphs=[replace(graph.main, tensors=tensors, operators=operators)]))


def _is_product(operator: Operator, inputs: tuple[int, ...]) -> bool:
    biased = operator.op == "FULLY_CONNECTED" and any(index >= 0 for index in inputs[2:])
    return operator.op in ("BATCH_MATMUL", "MUL", "FULLY_CONNECTED") and not biased


def _other_summand(tensors: list[Tensor], operator: Operator, inputs: tuple[int, ...], zero: set[int]) -> int | None:
    """Return the value of an ADD of zeros: its other operand, if that has the result's shape already."""
    if operator.op != "ADD":
        return None
    shape = tensors[operator.outputs[0]].shape
    for number, index in enumerate(inputs):
        if index in zero and inputs[1 - number] not in zero and tensors[inputs[1 - number]].shape == shape:
            return inputs[1 - number]
    return None
