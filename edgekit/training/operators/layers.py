"""Operators with weights: convolutions, dense layers, matrix products, tables."""

from __future__ import annotations

import math
from typing import Any

from edgekit.graph import Graph, Operator
from edgekit.graph.padding import same
from edgekit.training.operators.call import Call, Kind, axis

PADDING = {0: "SAME", 1: "VALID"}


def _with_bias(call: Call, y: Any, place: int = 2) -> Any:
    return call.shaped(y + call.values[place] if call.has(place) else y)


def _padded(call: Call, x: Any, kernel: tuple[int, int]) -> Any:
    """Pad as SAME asks: half of what is missing in front, the odd one behind."""
    o = call.options
    if PADDING[o.padding] == "VALID":
        return x
    steps = ((o.strideH, o.dilationHFactor), (o.strideW, o.dilationWFactor))
    pads = []
    for size, window, (stride, dilation) in zip(call.shapes[0][1:3], kernel, steps, strict=True):
        pads.append(same(size, -(-size // stride), window, stride, dilation))
    return call.tf.pad(x, ((0, 0), *pads, (0, 0)))


def _convolve(call: Call, x: Any, kernel: Any) -> Any:
    """Convolve with ``kernel`` ``[h, w, in, out]``.

    TensorFlow has no gradient for dilations on a CPU, except for ``tf.nn.convolution``, which spreads them over the
    batch; that one has no strides then, so rows are left out.
    """
    o = call.options
    strides, dilations = (o.strideH, o.strideW), (o.dilationHFactor, o.dilationWFactor)
    if dilations == (1, 1):
        return call.tf.nn.conv2d(x, kernel, strides, PADDING[o.padding])
    x = _padded(call, x, kernel.shape[:2])
    y = call.tf.nn.convolution(x, kernel, (1, 1), "VALID", dilations=dilations)
    return y[:, :: o.strideH, :: o.strideW]


def _conv(call: Call) -> Any:
    """Weights ``[out, h, w, in / groups]``."""
    kernel = call.tf.transpose(call.values[1], (1, 2, 3, 0))
    x, groups = call.rows(), call.shapes[0][3] // call.shapes[1][3]
    if groups == 1:
        return _with_bias(call, _convolve(call, x, kernel))
    if call.shapes[1][3] == 1:
        return _by_channel(call, kernel)
    pairs = zip(call.tf.split(x, groups, 3), call.tf.split(kernel, groups, 3), strict=True)
    return _with_bias(call, call.tf.concat([_convolve(call, part, k) for part, k in pairs], 3))


def _depthwise(call: Call) -> Any:
    """Weights ``[1, h, w, channels * multiplier]``."""
    return _by_channel(call, call.values[1])


def _by_channel(call: Call, kernel: Any) -> Any:
    """Convolve depthwise with ``kernel`` ``[1, h, w, channels * multiplier]`` or ``[h, w, 1, ...]``.

    The multiplier is innermost. TensorFlow wants equal strides, and none together with dilations: otherwise it goes in
    steps of 1 and rows are left out.
    """
    o, tf = call.options, call.tf
    x, (_, h, w, _), channels = call.rows(), call.shapes[1], call.shapes[0][3]
    kernel = tf.reshape(kernel, (h, w, channels, call.shape[3] // channels))
    dilations = (o.dilationHFactor, o.dilationWFactor)
    if o.strideH == o.strideW and (dilations == (1, 1) or o.strideH == 1):
        strides = (1, o.strideH, o.strideW, 1)
        y = tf.nn.depthwise_conv2d(x, kernel, strides, PADDING[o.padding], dilations=dilations)
    else:
        x = _padded(call, x, (h, w))
        y = tf.nn.depthwise_conv2d(x, kernel, (1, 1, 1, 1), "VALID", dilations=dilations)
        y = y[:, :: o.strideH, :: o.strideW]
    return _with_bias(call, y)


def _transpose_conv(call: Call) -> Any:
    """Inputs: the output's shape, weights ``[out, h, w, in]``, activations, perhaps a bias."""
    o, tf = call.options, call.tf
    x, kernel = call.rows(2), tf.transpose(call.values[1], (1, 2, 0, 3))
    shape = (tf.shape(x)[0], *call.shape[1:])
    return _with_bias(call, tf.nn.conv2d_transpose(x, kernel, shape, (o.strideH, o.strideW), PADDING[o.padding]), 3)


def _dense(call: Call) -> Any:
    """Weights ``[out, in]``; whatever else a sample holds are further rows, as in LiteRT."""
    w = call.values[1]
    rows = call.tf.reshape(call.x(0), (-1, call.shapes[1][1]))
    return _with_bias(call, call.tf.matmul(rows, w, transpose_b=True))


def _matmul(call: Call) -> Any:
    """Multiply matrices whose operands are broadcast here, or whose rows are joined.

    TensorFlow 2.21's own broadcasting (oneDNN) of ``[8, 1, 3, 4] x [1, 1, 4, 5]`` writes beyond its memory.
    """
    tf, o, rank = call.tf, call.options, len(call.shape)
    a, b = (_matrices(call, place, adjoint) for place, adjoint in ((0, o.adjX), (1, o.adjY)))
    if not call.flows[1] and math.prod(b.shape[:-2]) == 1:  # a dense layer
        return call.shaped(tf.matmul(tf.reshape(a, (-1, a.shape[-1])), tf.reshape(b, b.shape[-2:])))
    batch = (call.count(), *call.shape[: rank - 2])
    a, b = (tf.reshape(tf.broadcast_to(m, (*batch, *m.shape[-2:])), (-1, *m.shape[-2:])) for m in (a, b))
    return call.shaped(tf.matmul(a, b))


def _matrices(call: Call, place: int, adjoint: bool) -> Any:
    x = call.x(place, len(call.shape))
    return call.tf.linalg.matrix_transpose(x) if adjoint else x


def _gather(call: Call) -> Any:
    """Entries of a table or an activation, by constant or computed integers."""
    o, tf = call.options, call.tf
    place = axis(o.axis, len(call.shapes[0]))
    if o.batchDims == 0 and not call.flows[1]:
        return call.shaped(tf.gather(call.x(0), call.values[1], axis=place))
    if o.batchDims == 0 and not call.flows[0]:
        y = tf.gather(_dense_gradient(call, 0), call.values[1], axis=place - 1)  # the samples lie at place - 1
        return call.shaped(tf.transpose(y, (place - 1, *(i for i in range(len(y.shape)) if i != place - 1))))
    batch = o.batchDims % max(len(call.shapes[1]), 1)
    return call.shaped(tf.gather(call.full(0), call.full(1), axis=place, batch_dims=batch + 1))


def _embedding(call: Call) -> Any:
    """Inputs: rows ``[k]``, the table."""
    return call.shaped(call.tf.gather(_dense_gradient(call, 1), call.x(0)))


def _dense_gradient(call: Call, place: int) -> Any:
    """A constant table, whose gradient is a tensor of its shape and not a list of slices."""
    return call.tf.reshape(call.values[place], call.shapes[place])


def _gather_nd(call: Call) -> Any:
    return call.shaped(call.tf.gather_nd(call.full(0), call.full(1), batch_dims=1))


def _prelu(call: Call) -> Any:
    rank, relu = len(call.shape), call.tf.nn.relu
    x, alpha = call.x(0, rank), call.x(1, rank)
    return relu(x) - alpha * relu(-x)


def _groups(graph: Graph, operator: Operator) -> str:
    shapes = [graph.tensors[i].shape for i in operator.inputs[:2]]
    if [len(shape) for shape in shapes] != [4, 4]:
        return "its input or its weights do not have four dimensions"
    x, w = shapes
    each, out = max(w[3], 1), w[0]
    fits = x[3] % each == 0 and out % max(x[3] // each, 1) == 0
    return "" if fits else "its channels do not divide into groups"


def _layout(graph: Graph, operator: Operator) -> str:
    return "its weights are shuffled" if getattr(operator.options, "weightsFormat", 0) else ""


LAYERS: dict[str, Kind] = {
    "CONV_2D": Kind(_conv, weights=(1, 2), still=(1, 2), refuse=_groups),
    "DEPTHWISE_CONV_2D": Kind(_depthwise, weights=(1, 2), still=(1, 2)),
    "TRANSPOSE_CONV": Kind(_transpose_conv, weights=(1, 3), still=(1, 3)),
    "FULLY_CONNECTED": Kind(_dense, weights=(1, 2), still=(1, 2), refuse=_layout),
    "BATCH_MATMUL": Kind(_matmul, weights=(0, 1)),
    "GATHER": Kind(_gather, weights=(0,)),
    "GATHER_ND": Kind(_gather_nd, weights=(0,)),
    "EMBEDDING_LOOKUP": Kind(_embedding, weights=(1,), still=(1,)),
    "PRELU": Kind(_prelu, weights=(1,)),
}
