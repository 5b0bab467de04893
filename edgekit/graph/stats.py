"""The cost of a network, counted on the Graph: MACs, parameters, bytes moved, memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from edgekit.graph import control_flow, memory
from edgekit.graph.ir import Graph, Operator, Subgraph, Tensor


@dataclass(frozen=True)
class OperatorStats:
    """Statistics of one operator.

    ``macs`` are multiply-accumulates of one inference; ``bytes`` what it reads and writes in it (activations, weights);
    ``dtype`` is that of its first output.
    """

    index: int
    op: str
    name: str
    macs: int
    parameters: int
    weights_bytes: int
    activation_bytes: int
    dtype: str
    weights_dtype: str
    executions: int = 1
    """Operators that run for it: more than one for a loop or a branch, whose bodies are counted here."""
    counted: bool = True
    """False where a body runs an unknown number of times, and was counted once."""

    @property
    def bytes(self) -> int:
        """Bytes of weights and activations that the operator reads and writes."""
        return self.weights_bytes + self.activation_bytes


@dataclass(frozen=True)
class Statistics:
    """Totals of the main subgraph, and every operator."""

    operators: tuple[OperatorStats, ...]
    macs: int
    parameters: int
    weights_bytes: int
    peak_activation_bytes: int


def largest(tensors: Iterable[Tensor], count: int = 3) -> list[str]:
    """The largest tensors, for messages: name, shape and bytes."""
    ordered = sorted(tensors, key=lambda tensor: -tensor.nbytes)[:count]
    return [f"{t.name or 'unnamed'} {'x'.join(map(str, t.shape))} ({t.nbytes:,} bytes)" for t in ordered]


def statistics(graph: Graph) -> Statistics:
    """Count the main subgraph, with the bodies of its loops and branches. Unknown dimensions count as 1."""
    rows = tuple(_rows(graph, 0, {}, 0))
    constants = [t for t in graph.constants() if t.data is not None]
    return Statistics(
        operators=rows,
        macs=sum(row.macs for row in rows),
        parameters=sum(t.elements for t in constants if _is_parameter(t)),
        weights_bytes=sum(t.data.size for t in constants if t.data is not None),
        peak_activation_bytes=memory.plan(graph.main).arena_bytes,
    )


def label(subgraph: Subgraph, operator: Operator) -> str:
    """A readable name for an operator: its first output's, without the converter's decorations."""
    if not operator.outputs:
        return operator.op
    name = subgraph.tensors[operator.outputs[0]].name
    return name.split(";")[0] or operator.op


def _rows(graph: Graph, index: int, known: dict[int, _Total], depth: int) -> list[OperatorStats]:
    """All operators of a subgraph, each with what runs inside it."""
    subgraph = graph.subgraphs[index]
    rows = []
    for number, operator in enumerate(subgraph.operators):
        row = _operator(subgraph, number, operator)
        for body in control_flow.bodies(graph, subgraph, operator):
            inner = _total(graph, body.subgraph, known, depth + 1)
            turns = 1 if body.turns is None else body.turns
            row = replace(
                row,
                macs=row.macs + turns * inner.macs,
                parameters=row.parameters + inner.parameters,
                weights_bytes=row.weights_bytes + turns * inner.weights_bytes,
                activation_bytes=row.activation_bytes + turns * inner.activation_bytes,
                executions=row.executions + turns * inner.executions,
                counted=row.counted and body.turns is not None and inner.counted,
            )
        rows.append(row)
    return rows


@dataclass(frozen=True)
class _Total:
    """Sums over a subgraph's operators."""

    macs: int = 0
    parameters: int = 0
    weights_bytes: int = 0
    activation_bytes: int = 0
    executions: int = 0
    counted: bool = True


def _total(graph: Graph, index: int, known: dict[int, _Total], depth: int) -> _Total:
    """Sums over a body, made once: a file may well make one the body of thousands of loops, or of itself."""
    if index not in known:
        known[index] = _Total(counted=False)  # what a body counts as inside itself, or nested too deep
        if depth <= control_flow.MAX_DEPTH:
            rows = _rows(graph, index, known, depth)
            known[index] = _Total(
                sum(r.macs for r in rows), sum(r.parameters for r in rows), sum(r.weights_bytes for r in rows),
                sum(r.activation_bytes for r in rows), sum(r.executions for r in rows), all(r.counted for r in rows),
            )  # fmt: skip
    return known[index]


def _operator(subgraph: Subgraph, number: int, operator: Operator) -> OperatorStats:
    inputs = [subgraph.tensors[i] for i in operator.inputs if i >= 0]
    outputs = [subgraph.tensors[i] for i in operator.outputs]
    weights = [t for t in inputs if t.data is not None]
    parameters = [t for t in weights if _is_parameter(t)]
    main = max(parameters, key=lambda t: t.elements, default=None)
    return OperatorStats(
        index=number,
        op=operator.op,
        name=label(subgraph, operator),
        macs=macs(subgraph, operator),
        parameters=sum(t.elements for t in parameters),
        weights_bytes=sum(t.data.size for t in weights if t.data is not None),
        activation_bytes=sum(t.nbytes for t in inputs if t.data is None) + sum(t.nbytes for t in outputs),
        dtype=outputs[0].dtype if outputs else "",
        weights_dtype=main.dtype if main else "",
    )


def _is_parameter(tensor: Tensor) -> bool:
    """True for weights and biases; shapes, paddings and axes are int32 without a scale."""
    return tensor.dtype.startswith(("float", "bfloat")) or (
        tensor.quantization is not None and tensor.quantization.scale.size > 0
    )


def macs(subgraph: Subgraph, operator: Operator) -> int:
    """Multiply-accumulates of one execution; 0 for operators that have none, or whose shapes make no sense."""
    count = _MACS.get(operator.op)
    if count is None:
        return 0
    tensors = [subgraph.tensors[i] if i >= 0 else None for i in (*operator.inputs, *operator.outputs)]
    inputs, outputs = tensors[: len(operator.inputs)], tensors[len(operator.inputs) :]
    try:
        return count(inputs, outputs)
    except (IndexError, AttributeError, ZeroDivisionError):
        return 0


Tensors = list[Tensor | None]


def _some(tensor: Tensor | None) -> Tensor:
    if tensor is None:
        raise IndexError
    return tensor


def _conv(inputs: Tensors, outputs: Tensors) -> int:
    """Weights [out, kernel..., in / groups]: each output element sums kernel x in products."""
    return _some(outputs[0]).elements * math.prod(_some(inputs[1]).shape[1:])


def _depthwise(inputs: Tensors, outputs: Tensors) -> int:
    """Weights [1, kh, kw, out]."""
    return _some(outputs[0]).elements * math.prod(_some(inputs[1]).shape[1:3])


def _conv_3d(inputs: Tensors, outputs: Tensors) -> int:
    """Weights [kd, kh, kw, in, out]."""
    return _some(outputs[0]).elements * math.prod(_some(inputs[1]).shape[:4])


def _transpose_conv(inputs: Tensors, outputs: Tensors) -> int:
    """Inputs: output shape, weights [out, kh, kw, in], data: each input element meets kh x kw x out weights."""
    return _some(inputs[2]).elements * math.prod(_some(inputs[1]).shape[:3])


def _dense(inputs: Tensors, outputs: Tensors) -> int:
    """Weights [out, in]."""
    return _some(outputs[0]).elements * _some(inputs[1]).shape[1]


def _batch_matmul(inputs: Tensors, outputs: Tensors) -> int:
    """The summed dimension is what the left operand has and the output does not."""
    left, out = _some(inputs[0]), _some(outputs[0])
    rows = {left.shape[-1], left.shape[-2]}
    inner = left.shape[-1] if left.shape[-2] == out.shape[-2] else left.shape[-2]
    return out.elements * (inner if inner in rows else 0)


def _svdf(inputs: Tensors, outputs: Tensors) -> int:
    """Feature weights [filters, in], time weights [filters, memory] (Nakkiran et al. 2015)."""
    batch = _some(inputs[0]).shape[0]
    return batch * (_some(inputs[1]).elements + _some(inputs[2]).elements)


def _recurrent(inputs: Tensors, outputs: Tensors) -> int:
    """Every weight matrix is used once a time step."""
    data, out = _some(inputs[0]), _some(outputs[0])
    steps = out.elements // out.shape[-1]
    matrices = [t for t in inputs if t is not None and t.data is not None and len(t.shape) == 2]
    return steps * sum(t.elements for t in matrices) if data.shape else 0


def _onnx_gemm(inputs: Tensors, outputs: Tensors) -> int:
    """Left operand [rows, inner], or transposed."""
    out = _some(outputs[0])
    return out.elements * (_some(inputs[0]).elements // out.shape[0])


def _onnx_matmul(inputs: Tensors, outputs: Tensors) -> int:
    return _some(outputs[0]).elements * _some(inputs[0]).shape[-1]


def _onnx_conv_transpose(inputs: Tensors, outputs: Tensors) -> int:
    """Weights [in, out / groups, kernel...]: each input element meets all of a channel's."""
    return _some(inputs[0]).elements * math.prod(_some(inputs[1]).shape[1:])


_MACS: dict[str, Callable[[Tensors, Tensors], int]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "CONV_3D": _conv_3d,
    "TRANSPOSE_CONV": _transpose_conv,
    "FULLY_CONNECTED": _dense,
    "BATCH_MATMUL": _batch_matmul,
    "SVDF": _svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _recurrent,
    "UNIDIRECTIONAL_SEQUENCE_RNN": _recurrent,
    "BIDIRECTIONAL_SEQUENCE_LSTM": _recurrent,
    "LSTM": _recurrent,
    "RNN": _recurrent,
    "ONNX_Conv": _conv,
    "ONNX_ConvTranspose": _onnx_conv_transpose,
    "ONNX_Gemm": _onnx_gemm,
    "ONNX_MatMul": _onnx_matmul,
}
