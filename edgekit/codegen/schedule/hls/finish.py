"""What happens to sums: they are rounded, and added to others."""

from __future__ import annotations

from edgekit.codegen import kernels as k
from edgekit.codegen.schedule.hls import rounding as made
from edgekit.codegen.schedule.hls.context import Context, Unsuitable
from edgekit.codegen.schedule.hls.layers import Combine, Requantize, Value
from edgekit.codegen.schedule.unrolled import exact
from edgekit.codegen.schedule.unrolled.rounding import Fit, NoRounding


def rounded(
    context: Context, kernel: k.Kernel, value: Value, fits: list[Fit], limits: tuple[int, int], bias: int = 0
) -> None:
    """Round a value to the kernel's output; ``bias`` is yet to be added to it."""
    base = context.base(kernel.output)
    rounding = made.of_fits(fits, limits, value.range, base, bias)
    output = context.passed(kernel.output, base, rounding.range)
    context.layers.append(Requantize(kernel.node, output, value, rounding))


def added(
    context: Context, kernel: k.Kernel, operands: list[tuple[Value, int, k.Scale]], output: k.Scale,
    limits: k.Limits, sign: int,
) -> None:  # fmt: skip
    """ADD and SUB of two values, each less its base."""
    (one, first_base, first), (other, second_base, second) = operands
    if one.shape != other.shape:
        raise Unsuitable("its operands are of different shapes")
    ends = (int(limits[0]), int(limits[1]))
    total = exact.Sum((first, second, output), sign, ends)
    base = context.base(kernel.output)
    try:
        fit = total.fit()
        rounding = made.of_pair(fit, ends, (one.range, other.range), (first_base, second_base), base)
    except NoRounding:  # in two steps, as the reference
        one = _widened(context, kernel, one, total.operand(0), first_base)
        other = _widened(context, kernel, other, total.operand(1), second_base)
        rounding = made.of_pair(total.total(), ends, (one.range, other.range), (0, 0), base)
    result = context.passed(kernel.output, base, rounding.range)
    context.layers.append(Combine(kernel.node, result, one, other, rounding))


def _widened(context: Context, kernel: k.Kernel, value: Value, fit: Fit, base: int) -> Value:
    """An operand at the common scale."""
    rounded = made.of_fits([fit], exact.WORD_LIMITS, value.range, 0, base)
    wide = context.fresh(value.shape, rounded.range)
    context.layers.append(Requantize(kernel.node, wide, value, rounded))
    return wide
