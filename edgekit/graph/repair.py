"""Repair files of old or unusual converters, so that current runtimes accept and compute them.

Each repair keeps the network's meaning and returns one line that says what was done; the reader puts the
lines in ``Graph.notes``. What cannot be repaired without a guess is left as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from edgekit.graph.ir import Graph, Signature, Subgraph, Tensor
from edgekit.graph.schema import schema


def repair(graph: Graph) -> list[str]:
    """Repair ``graph`` in place and return what was done, in words; empty where nothing was wrong."""
    notes = _signatures(graph)
    for subgraph in graph.subgraphs:
        for step in _STEPS:
            notes += step(subgraph)
    return notes


def _signatures(graph: Graph) -> list[str]:
    """Drop signatures that name other tensors than their subgraph's inputs and outputs: LiteRT 2.3 aborts on them."""
    kept: list[Signature] = []
    dropped: list[Signature] = []
    for signature in graph.signatures:
        ends = [set[int](), set[int]()]
        if 0 <= signature.subgraph < len(graph.subgraphs):
            subgraph = graph.subgraphs[signature.subgraph]
            ends = [set(subgraph.inputs), set(subgraph.outputs)]
        fits = set(signature.inputs.values()) <= ends[0] and set(signature.outputs.values()) <= ends[1]
        (kept if fits else dropped).append(signature)
    graph.signatures = kept
    return [
        f"the signature {signature.key[:80]!r} names tensors that are not inputs and outputs of the network: dropped"
        for signature in dropped
    ]


def _quantized_dimension(subgraph: Subgraph) -> list[str]:
    """Give a quantized dimension that does not exist the only meaning it can have.

    Older converters wrote 3 for biases of rank 1 and for single scales; LiteRT 2.3 refuses the former.
    """
    count = 0
    for tensor in subgraph.tensors:
        q = tensor.quantization
        if q is None or 0 <= q.axis < max(1, len(tensor.shape)):
            continue
        fitting = [0] if len(q.scale) == 1 else [i for i, size in enumerate(tensor.shape) if size == len(q.scale)]
        if len(fitting) == 1:
            tensor.quantization = replace(q, axis=fitting[0])
            count += 1
    return [f"{count} tensors had a quantized dimension that does not exist: repaired"] if count else []


def _svdf_state(subgraph: Subgraph) -> list[str]:
    """Widen SVDF operators with 8-bit state to 16 bits, the only integer form LiteRT has a kernel for.

    LiteRT's integer SVDF kernel reads the time weights and writes the state as int16 whatever their type is
    (``EvalIntegerSVDF`` in tflite/kernels/internal/reference/svdf.h), so the 8-bit form, which only
    microcontroller kernels know, makes it write behind the state's buffer. ``state = q - zero_point`` in int16
    with the same scale holds the same real values; results differ only where the 8-bit state would have
    saturated.
    """
    uses = Counter(index for op in subgraph.operators for index in op.inputs if index >= 0)
    widened = 0
    for op in subgraph.operators:
        if op.op != "SVDF" or op.custom or len(op.inputs) != 5 or min(op.inputs[i] for i in (0, 1, 2, 4)) < 0:
            continue
        signal, features, time, state = (subgraph.tensors[op.inputs[i]] for i in (0, 1, 2, 4))
        if any(t.dtype != "int8" or t.quantization is None for t in (signal, features, time, state)):
            continue
        if any(t.quantization is None or t.quantization.zero_point.size != 1 for t in (time, state)):
            continue
        if time.data is None or uses[op.inputs[2]] != 1 or uses[op.inputs[4]] != 1:
            continue
        _widen(time)
        _widen(state)
        widened += 1
    if not widened:
        return []
    return [
        f"{widened} SVDF operators had 8-bit time weights and state, which LiteRT overruns: widened to 16 bits "
        "(the results differ only where an 8-bit state would saturate)"
    ]


def _scalar_shapes(subgraph: Subgraph) -> list[str]:
    """Write a RESHAPE to a scalar without its operand for the shape, a constant of no elements.

    A flatbuffer has no data for such a constant, so LiteRT takes it as computed and the result's size as unknown until
    then, which its compiled form refuses. Without the operand the options count (``reshape.cc``): no sizes, a scalar.
    """
    known = {index for op in subgraph.operators for index in op.outputs} | set(subgraph.inputs)
    count = 0
    for op in subgraph.operators:
        if op.op != "RESHAPE" or op.custom or (len(op.inputs), len(op.outputs)) != (2, 1):
            continue
        if op.inputs[1] < 0 or op.inputs[1] in known:
            continue
        shape, result = (subgraph.tensors[index] for index in (op.inputs[1], op.outputs[0]))
        if shape.shape == (0,) and not shape.is_variable and result.shape == ():
            op.inputs = op.inputs[:1]
            op.options = schema().ReshapeOptionsT()
            op.options.newShape = []
            result.shape_signature = None
            count += 1
    return [f"{count} RESHAPE operators had an empty constant as the shape of a scalar: left out"] if count else []


def _widen(tensor: Tensor) -> None:
    """Turn an int8 tensor into an int16 one with the same real values: same scale, zero point 0."""
    assert tensor.quantization is not None
    if tensor.data is not None:
        wide = tensor.array().astype(np.int16) - tensor.quantization.zero_point.astype(np.int16)
        tensor.data = np.frombuffer(wide.astype("<i2").tobytes(), np.uint8)
    tensor.dtype = "int16"
    tensor.quantization = replace(tensor.quantization, zero_point=np.zeros(1, np.int64), axis=0)


_STEPS: tuple[Callable[[Subgraph], list[str]], ...] = (_quantized_dimension, _svdf_state, _scalar_shapes)
