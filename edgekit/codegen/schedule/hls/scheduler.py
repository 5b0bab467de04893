"""Network -> Program: one rule per kind of kernel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np

from edgekit.codegen import kernels as k
from edgekit.codegen.schedule.hls import finish, products, windows
from edgekit.codegen.schedule.hls import rounding as made
from edgekit.codegen.schedule.hls.context import NO_LAYER, STORED_RANGE, Context, Unsuitable, places
from edgekit.codegen.schedule.hls.layers import Integers, Program, Range, Table, Value
from edgekit.codegen.schedule.unrolled.exact import STORED_LIMITS
from edgekit.codegen.schedule.unrolled.rounding import NoRounding
from edgekit.codegen.tables import STORED, table

MOST_READERS = 7
"""Of a value, for which hls4ml copies its stream."""


def missing(network: k.Network) -> list[tuple[int, str]]:
    """Operators that do not become layers, with the reason."""
    return _scheduled(network)[1]


def schedule(network: k.Network) -> Program:
    """Schedule a network that has no missing operators."""
    context, unsuitable = _scheduled(network)
    assert not unsuitable, unsuitable
    inputs = tuple(context.values[tensor][0] for tensor in network.inputs)
    outputs, taken = list[Value](), {value.number for value in inputs}
    for tensor in network.outputs:
        value = context.read(network.kernels[-1].node, tensor, 0)
        if value.number in taken:  # an input, or another output
            value = context.moved(network.kernels[-1].node, value, 0)
        outputs.append(value)
        taken.add(value.number)
    return Program(tuple(context.layers), inputs, tuple(outputs))


def _scheduled(network: k.Network) -> tuple[Context, list[tuple[int, str]]]:
    context, unsuitable = Context(network), dict[int, str]()
    for tensor in network.inputs:
        try:
            context.passed(tensor, 0, STORED_RANGE)
        except Unsuitable as error:
            unsuitable[0] = str(error)
    for kernel in network.kernels:
        try:
            for tensor in (*k.reads(kernel), kernel.output):
                if network.tensors[tensor].dtype != "int8":
                    raise Unsuitable(f"it computes with {network.tensors[tensor].dtype}")
                context.shape(tensor)
            rule = _RULES.get(type(kernel))
            if rule is None:
                raise Unsuitable(NO_LAYER)
            rule(context, kernel)
        except Unsuitable as error:
            unsuitable.setdefault(kernel.node, str(error))
            _continued(context, kernel.output)
        except NoRounding:
            unsuitable.setdefault(kernel.node, "its rounding is not that of one multiplication")
            _continued(context, kernel.output)
    for node in _crowded(context):
        unsuitable.setdefault(node, f"it reads a tensor that has over {MOST_READERS} readers")
    if network.variables:
        unsuitable.setdefault(0, "it keeps state from one run to the next")
    return context, sorted(unsuitable.items())


def _crowded(context: Context) -> list[int]:
    """Operators of layers that read a value which has enough readers before them."""
    readers = Counter[int]()
    for tensor in context.network.outputs:
        readers.update(value.number for value in list(context.values.get(tensor, {}).values())[:1])
    found = []
    for layer in context.layers:
        read = [getattr(layer, one.name) for one in fields(layer) if one.name != "output"]
        numbers = [value.number for value in read if isinstance(value, Value)]
        readers.update(numbers)
        if any(number and readers[number] > MOST_READERS for number in numbers):
            found.append(layer.node)
    return found


def _continued(context: Context, tensor: int) -> None:
    """Go on behind an operator that has no layers, so that others are judged, too."""
    shape = context.network.tensors[tensor].shape
    context.values.setdefault(tensor, {})[0] = Value(0, shape[1:] or shape, STORED_RANGE)


def _elementwise(context: Context, kernel: k.Elementwise) -> None:
    if len(kernel.inputs) != 2 or kernel.function not in ("add", "sub"):
        raise Unsuitable(NO_LAYER)
    size = int(np.prod(context.shape(kernel.output), dtype=np.int64))
    for view in (*kernel.inputs, kernel.result):
        if not np.array_equal(places(context, view), np.arange(size)):
            raise Unsuitable("its operands are of different shapes")
    operands = []
    for view in kernel.inputs:
        base, value = context.any_of(view.tensor)
        operands.append((value, base, context.network.scale(view.tensor)))
    limits = kernel.limits or STORED_LIMITS
    finish.added(
        context, kernel, operands, context.network.scale(kernel.output), limits, 1 if kernel.function == "add" else -1
    )


def _map(context: Context, kernel: k.Map) -> None:
    scale = context.network.scale
    results = table(kernel.function, scale(kernel.input), scale(kernel.output), kernel.options)
    _table(context, kernel, results.astype(np.int64))


def _convert(context: Context, kernel: k.Convert) -> None:
    source, output = context.network.scale(kernel.input), context.network.scale(kernel.output)
    conversion = made.conversion(source, output)
    _table(context, kernel, np.clip(conversion(STORED), *STORED_LIMITS))


def _table(context: Context, kernel: k.Map | k.Convert, results: Integers) -> None:
    base, value = context.any_of(kernel.input)
    target = context.base(kernel.output)
    numbers = results[value.range.low + base + 128 : value.range.high + base + 129] - target
    output = context.fresh(value.shape, Range(int(numbers.min()), int(numbers.max())))
    context.values.setdefault(kernel.output, {})[target] = output
    context.layers.append(Table(kernel.node, output, value, numbers))


def _reshape(context: Context, kernel: k.Reshape) -> None:
    """Numbers pass in the order in which they are stored, so that nothing is to be done."""
    context.any_of(kernel.input)
    context.values[kernel.output] = dict(context.values[kernel.input])


_RULES: dict[type, Callable[[Context, Any], None]] = {
    k.Conv2D: products.convolution, k.DepthwiseConv2D: products.convolution, k.MatMul: products.product,
    k.Pool: windows.pool, k.Reduce: windows.reduce, k.Pad: windows.pad,
    k.Elementwise: _elementwise, k.Map: _map, k.Convert: _convert, k.Reshape: _reshape,
}  # fmt: skip
