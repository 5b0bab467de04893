"""The work of a described network, operator by operator, as :mod:`edgekit.profiling.calibrated` counts a Graph's."""

from __future__ import annotations

import math

from bench.measured.net import Net, Node, Value
from edgekit.profiling.calibrated.work import Kind, Work, conv

_ACTIVATIONS = {"relu": Kind.ACTIVATION, "relu6": Kind.ACTIVATION, "leaky": Kind.ACTIVATION,
                "gelu": Kind.ERROR_FUNCTION}  # fmt: skip


def works(net: Net) -> list[Work]:
    """Return one Work per operator that the converter writes."""
    made: list[Work] = []
    for node in net.nodes:
        made += _works(node, [net.values[i] for i in node.inputs])
    return made


def _size(value: Value) -> int:
    return math.prod(value.shape)


def _simple(kind: Kind, inputs: int, output: Value) -> Work:
    channels = output.shape[-1]
    return Work(kind, inputs, _size(output), 0, 0, _size(output) // channels, channels)


def _works(node: Node, inputs: list[Value]) -> list[Work]:
    out, options, read = node.output, node.options, sum(_size(v) for v in inputs)
    size, channels = _size(out), node.output.shape[-1]
    rows = size // channels
    if node.kind == "conv":
        taps = math.prod(options["kernel"])
        depth = inputs[0].channels // options["groups"]
        return [conv(read, size, rows, channels, depth, taps, options["stride"], options["groups"], size * depth * taps,
                     channels * depth * taps)]  # fmt: skip
    if node.kind == "depthwise":
        taps = math.prod(options["kernel"])
        return [
            Work(
                Kind.DEPTHWISE, read, size, channels * taps, size * taps, rows, channels, taps, taps, options["stride"]
            )
        ]
    if node.kind == "dense":
        depth = inputs[0].channels
        return [Work(Kind.DENSE, read, size, depth * channels, size * depth, rows, channels, depth)]
    if node.kind == "matmul":
        depth = inputs[0].shape[-1]
        return [Work(Kind.MATMUL, read, size, 0, size * depth, rows, channels, depth)]
    if node.kind == "pool":
        taps = options["kernel"] ** 2
        return [Work(Kind.POOL, read, size, 0, 0, rows, channels, taps, taps, options["stride"])]
    if node.kind == "act":
        if options["name"] == "hard_sigmoid":
            return [_simple(Kind.BINARY, read, out), _simple(Kind.BINARY, read, out)]
        return [_simple(_ACTIVATIONS.get(options["name"], Kind.TRANSCENDENTAL), read, out)]
    if node.kind == "layer_norm":
        row = Value(-1, (*out.shape[:-1], 1))
        wide = [_simple(Kind.BINARY, read, out) for _ in range(4)]
        return [_simple(Kind.MEAN, read, row), _simple(Kind.MEAN, read, row), *wide]
    kinds = {"add": Kind.BINARY, "multiply": Kind.BINARY, "concat": Kind.MOVE, "split": Kind.MOVE, "mean": Kind.MEAN,
             "resize": Kind.MOVE, "reshape": Kind.FREE, "transpose": Kind.MOVE,
             "softmax": Kind.TRANSCENDENTAL}  # fmt: skip
    if node.kind == "split":
        read = size
    return [_simple(kinds[node.kind], read, out)]
