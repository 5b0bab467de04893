"""Arithmetic element by element: what the vector unit computes by tables."""

from __future__ import annotations

import numpy as np

from edgekit.codegen import kernels as k
from edgekit.codegen import parameters as p
from edgekit.codegen.base import Scale
from edgekit.codegen.fixed_point import Integers, multiply_by_quantized_multiplier
from edgekit.codegen.schedule.overlay import vectors
from edgekit.codegen.schedule.overlay.program import Step
from edgekit.codegen.schedule.overlay.rules.base import Context, Item, Layouts, Unsuitable, exact, stored
from edgekit.codegen.tables import STORED, table


def addition(
    c: Context, node: int, pair: tuple[int, int], scales: tuple[Scale, Scale], output: Scale, limits: tuple[int, int],
    to: int, sign: int = 1,
) -> Item:  # fmt: skip
    """ADD, or with sign -1 SUB, of a pair of tensors."""
    q = p.add_parameters(*scales, output)
    values = [
        multiply_by_quantized_multiplier(
            (STORED - one.zero_point) << q.left_shift, one.factor.multiplier, one.factor.shift
        )
        for one in (q.first, q.second)
    ]  # fmt: skip
    values[1] = values[1] * sign
    finish = vectors.Finish(exact(q.output.factor.multiplier, q.output.factor.shift), q.output.zero_point, limits)
    return pairwise(c, node, "add" if sign > 0 else "sub", pair, to, values, finish)


def pairwise(
    c: Context, node: int, name: str, pair: tuple[int, int], to: int, values: list[Integers],
    finish: vectors.Finish, *, multiplies: bool = False, largest: bool = False,
) -> Item:  # fmt: skip
    """A pair of tensors, each by way of a table (``values``), combined element by element."""

    def emit(layouts: Layouts) -> list[Step]:
        tables = vectors.sums(values)
        return [
            vectors.combined(
                node, name, layouts(pair[0]), layouts(pair[1]), layouts(to), tables, finish, multiplies=multiplies,
                largest=largest,
            )
        ]  # fmt: skip

    return Item(node, pair, to, emit, together=pair)


def elementwise(c: Context, kernel: k.Elementwise) -> list[Item]:
    """ADD, SUB, MUL, MAXIMUM of two feature maps of one shape; the second may be a constant or one that repeats."""
    shape = kernel.result.shape
    if c.network.tensors[kernel.output].dtype != "int8" or kernel.function not in ("add", "sub", "mul", "maximum"):
        raise Unsuitable("the overlay has no such operator")
    if len(kernel.inputs) != 2 or any(view.shape != shape for view in kernel.inputs):
        raise Unsuitable("its operands are not of one shape")
    tensors = [view.tensor for view in kernel.inputs]
    if any(c.network.tensors[i].data is not None for i in tensors):
        raise Unsuitable("one of its operands is a constant")
    if any(c.network.tensors[i].shape != shape for i in tensors):
        raise Unsuitable("one of its operands is repeated")
    size = c.size(tensors[0])
    if c.size(tensors[1]) != size:
        raise Unsuitable("its operands lie differently in memory")
    c.sizes[kernel.output] = size
    first, second = (c.network.scale(i) for i in tensors)
    output = c.network.scale(kernel.output)
    assert kernel.limits is not None
    limits, pair = stored(kernel.limits), (tensors[0], tensors[1])
    if kernel.function in ("add", "sub"):
        sign = 1 if kernel.function == "add" else -1
        return [addition(c, kernel.node, pair, (first, second), output, limits, kernel.output, sign)]
    if kernel.function == "maximum":
        finish = vectors.Finish(limits=limits)
        if not first == second == output:
            raise Unsuitable("its operands have different scales")
        return [
            pairwise(c, kernel.node, "maximum", pair, kernel.output, [STORED, STORED], finish, largest=True)
        ]  # fmt: skip
    q = p.mul_parameters(first, second, output)
    values = [STORED - q.first_zero, STORED - q.second_zero]
    finish = vectors.Finish(exact(q.output.factor.multiplier, q.output.factor.shift), q.output.zero_point, limits)
    return [pairwise(c, kernel.node, "mul", pair, kernel.output, values, finish, multiplies=True)]


def mapped(c: Context, kernel: k.Map | k.Convert) -> list[Item]:
    """A function of one operand, and the change of a scale: a table of 256 results."""
    given, made = (c.network.tensors[i] for i in (kernel.input, kernel.output))
    if given.dtype != "int8" or made.dtype != "int8":
        raise Unsuitable(f"it turns {given.dtype} into {made.dtype}")
    source, target = c.network.scale(kernel.input), c.network.scale(kernel.output)
    if isinstance(kernel, k.Convert):
        q = p.convert_parameters(source, target)
        values = multiply_by_quantized_multiplier(STORED - q.zero, q.factor.multiplier, q.factor.shift) + q.output_zero
        results, name = np.clip(values, -128, 127), "requantize"
    else:
        results = table(kernel.function, source, target, kernel.options).astype(np.int64)
        name = kernel.function.lower()
    size = c.size(kernel.input)
    c.sizes[kernel.output] = size

    def emit(layouts: Layouts) -> list[Step]:
        x, y = layouts(kernel.input), layouts(kernel.output)
        axes = (
            vectors.Axis(y.channel_words, 1, 1), vectors.Axis(size[1], x.pitch, y.pitch),
            vectors.Axis(size[0], x.row, y.row),
        )  # fmt: skip
        return [vectors.copied(kernel.node, name, x.base, y.base, axes, vectors.sums([results]))]

    return [Item(kernel.node, (kernel.input,), kernel.output, emit)]
