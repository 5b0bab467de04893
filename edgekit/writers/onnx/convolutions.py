"""Convolutions, pooling, matrix products."""

from __future__ import annotations

from collections.abc import Callable

from edgekit.graph import Operator
from edgekit.graph.padding import sides
from edgekit.writers.onnx.exporter import Exporter, Refusal


def _pads(b: Exporter, operator: Operator, window: tuple[int, int], dilations: tuple[int, int] = (1, 1)) -> list[int]:
    """ONNX's ``pads``: top, left, bottom, right."""
    x, y = b.tensor(operator.inputs[0]).shape, b.tensor(operator.outputs[0]).shape
    (top, bottom), (left, right) = sides(operator.options, x, y, window, dilations)
    return [top, left, bottom, right]


def _bias(b: Exporter, operator: Operator, place: int) -> list[str]:
    if len(operator.inputs) <= place or operator.inputs[place] < 0:
        return []
    values = b.constant(operator.inputs[place])
    if values is None:
        raise Refusal("its bias is computed as it runs")
    return [b.keep(values.reshape(-1))]


def convolution(b: Exporter, operator: Operator) -> None:
    """Write CONV_2D (also grouped) and DEPTHWISE_CONV_2D."""
    o, x, weights = operator.options, b.tensor(operator.inputs[0]), b.tensor(operator.inputs[1])
    dilations = o.dilationHFactor, o.dilationWFactor
    window = weights.shape[1], weights.shape[2]
    if operator.op == "DEPTHWISE_CONV_2D":
        count, group = weights.shape[3], x.shape[3]
        kernel = b.weights(operator.inputs[1], (3, 0, 1, 2), (count, 1, *window), 0)
    else:
        count, group = weights.shape[0], x.shape[3] // weights.shape[3]
        kernel = b.weights(operator.inputs[1], (0, 3, 1, 2), (count, weights.shape[3], *window), 0)
    made = b.node(
        "Conv", [b.picture(operator.inputs[0]), kernel, *_bias(b, operator, 2)], kernel_shape=window, group=group,
        strides=(o.strideH, o.strideW), dilations=dilations, pads=_pads(b, operator, window, dilations),
    )  # fmt: skip
    b.put(operator.outputs[0], b.activated(made, o.fusedActivationFunction), picture=True)


def transposed(b: Exporter, operator: Operator) -> None:
    """``TRANSPOSE_CONV``: the inputs are the output's shape, weights ``[o, kh, kw, i]``, the picture, a bias."""
    o, index, source = operator.options, operator.inputs[1], operator.inputs[2]
    count, *window, depth = b.tensor(index).shape
    x, y = b.tensor(source).shape, b.tensor(operator.outputs[0]).shape
    before, after, extra = [], [], []
    for axis, stride, wide in zip((1, 2), (o.strideH, o.strideW), window, strict=True):
        beyond = (x[axis] - 1) * stride + wide - y[axis]
        before.append(max(0, beyond) // 2)
        after.append(max(0, beyond) - max(0, beyond) // 2)
        extra.append(max(0, -beyond))
    kernel = b.weights(index, (3, 0, 1, 2), (depth, count, *window), 1)
    made = b.node(
        "ConvTranspose", [b.picture(source), kernel, *_bias(b, operator, 3)], kernel_shape=window,
        strides=(o.strideH, o.strideW), pads=(*before, *after), output_padding=extra,
    )  # fmt: skip
    b.put(operator.outputs[0], b.activated(made, getattr(o, "fusedActivationFunction", 0)), picture=True)


def pool(b: Exporter, operator: Operator) -> None:
    """Write MAX_POOL_2D and AVERAGE_POOL_2D."""
    o = operator.options
    window = o.filterHeight, o.filterWidth
    op, given = ("MaxPool", {}) if operator.op == "MAX_POOL_2D" else ("AveragePool", {"count_include_pad": 0})
    made = b.node(
        op, [b.picture(operator.inputs[0])], kernel_shape=window, strides=(o.strideH, o.strideW),
        pads=_pads(b, operator, window), **given,
    )  # fmt: skip
    same = operator.op == "MAX_POOL_2D" and o.fusedActivationFunction == 0
    b.put(operator.outputs[0], b.activated(made, o.fusedActivationFunction), picture=True, exact=same)


def dense(b: Exporter, operator: Operator) -> None:
    """Write FULLY_CONNECTED as a MatMul of rows."""
    count, depth = b.tensor(operator.inputs[1]).shape
    source, made = operator.inputs[0], operator.outputs[0]
    rows = b.own(source)
    if len(b.tensor(source).shape) != 2:
        rows = b.node("Reshape", [rows, b.shape((b.tensor(source).elements // depth, depth))])
    name = b.node("MatMul", [rows, b.weights(operator.inputs[1], (1, 0), (depth, count), 1)])
    if bias := _bias(b, operator, 2):
        name = b.node("Add", [name, *bias])
    name = b.activated(name, operator.options.fusedActivationFunction)
    if len(b.tensor(made).shape) != 2:
        name = b.node("Reshape", [name, b.shape(b.tensor(made).shape)])
    b.put(made, name)


def matmul(b: Exporter, operator: Operator) -> None:
    """``BATCH_MATMUL``; ``adjX`` and ``adjY`` swap the last two dimensions."""
    o, sides = operator.options, []
    for index, swapped in zip(operator.inputs, (o.adjX, o.adjY), strict=True):
        name, rank = b.own(index), len(b.tensor(index).shape)
        order = (*range(rank - 2), rank - 1, rank - 2)
        sides.append(b.node("Transpose", [name], perm=order) if swapped else name)
    b.put(operator.outputs[0], b.node("MatMul", sides))


RULES: dict[str, Callable[[Exporter, Operator], None]] = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D"), convolution),
    "TRANSPOSE_CONV": transposed,
    **dict.fromkeys(("MAX_POOL_2D", "AVERAGE_POOL_2D"), pool),
    "FULLY_CONNECTED": dense,
    "BATCH_MATMUL": matmul,
}
