"""What TFLite's integer kernels give for means and sums, as roundings of one multiplication."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from edgekit.codegen import fixed_point as fx
from edgekit.codegen import kernels as k
from edgekit.codegen import parameters as p
from edgekit.codegen.schedule.unrolled import rounding
from edgekit.codegen.schedule.unrolled.rounding import Fit
from edgekit.codegen.schedule.unrolled.steps import Integers

STORED_LIMITS = (-128, 127)
WORD_LIMITS = (-(1 << 31), (1 << 31) - 1)


def times(x: Integers, factor: k.Factor) -> Integers:
    """The reference's multiplication."""
    return fx.multiply_by_quantized_multiplier(x, factor.multiplier, factor.shift)


def mean(source: k.Scale, output: k.Scale, count: int) -> Fit:
    """MEAN (reduce.h): a fit for sums of ``stored - zero_point`` over ``count`` elements.

    :raises NoRounding: if there is none.
    """
    factor = p.mean_factor(source, output, count)

    def exact(total: Integers) -> Integers:
        clipped: Integers = np.clip(times(total, factor) + output.zero_point, *STORED_LIMITS)
        return clipped

    ends = [np.array([(end - source.zero_point) * count], np.int64) for end in STORED_LIMITS]
    return rounding.of_channels(exact, ends[0], ends[1], STORED_LIMITS, [source.scale / output.scale / count])[0]


def products(requantization: k.Requantization, limits: tuple[int, int], low: Integers, high: Integers) -> list[Fit]:
    """Convolutions and FULLY_CONNECTED: a fit for the sums of each channel, from ``low`` to ``high``.

    :raises NoRounding: if a channel has none.
    """
    r = requantization
    weights = np.broadcast_to(r.weights, len(low)).tobytes()
    return list(_products(r.input, weights, r.output, (r.rounds_once, r.wide), limits, low.tobytes(), high.tobytes()))


@lru_cache(maxsize=1024)
def _products(
    source: k.Scale, weights: bytes, output: k.Scale, kind: tuple[bool, bool], limits: tuple[int, int], low: bytes,
    high: bytes,
) -> tuple[Fit, ...]:  # fmt: skip
    """The search takes most of the time of judging a network, and of the same network it is asked time and again."""
    requantization = k.Requantization(source, np.frombuffer(weights), output, *kind)
    ends = np.frombuffer(low, np.int64), np.frombuffer(high, np.int64)

    def exact(sums: Integers) -> Integers:
        clipped: Integers = np.clip(requantization.apply(sums), *limits)
        return clipped

    return tuple(rounding.of_channels(exact, *ends, limits, requantization.factors(len(ends[0]))))


@dataclass(frozen=True)
class Sum:
    """ADD and SUB (reference/integer_ops/add.h).

    :param scales: of the operands and of the result. :param sign: of the second operand. :param limits: of the result.
    """

    scales: tuple[k.Scale, k.Scale, k.Scale]
    sign: int
    limits: tuple[int, int]

    @property
    def parameters(self) -> p.AddParameters:
        """As the reference has them."""
        return p.add_parameters(*self.scales)

    def fit(self) -> Fit:
        """A fit for pairs of stored integers.

        :raises NoRounding: if there is none: then :meth:`operand` of both, and :meth:`total`.
        """
        first, second, output = self.scales
        sides = (self.parameters.first, self.parameters.second)

        def exact(a: Integers, b: Integers) -> Integers:
            return self._finished(self._scaled(a, sides[0]) + self.sign * self._scaled(b, sides[1]))

        factors = (first.scale / output.scale, self.sign * second.scale / output.scale)
        return rounding.of_pairs(exact, self.limits, factors)

    def operand(self, number: int) -> Fit:
        """A fit for an operand's stored integers, which gives them at the common scale, in :data:`WORD_LIMITS`."""
        side = (self.parameters.first, self.parameters.second)[number]
        real = math.ldexp(side.factor.multiplier, side.factor.shift - 31 + self.parameters.left_shift)
        return rounding.of_stored(lambda x: self._scaled(x, side), WORD_LIMITS, real)

    def total(self) -> Fit:
        """A fit for both operands at the common scale."""
        factor = self.parameters.output.factor
        reach = np.array([1 << (self.parameters.left_shift + 9)], np.int64)
        real = math.ldexp(factor.multiplier, factor.shift - 31)
        fit = rounding.of_channels(self._finished, -reach, reach, self.limits, [real])[0]
        return replace(fit, gains=(fit.gains[0], self.sign * fit.gains[0]))

    def _scaled(self, x: Integers, side: p.Operand) -> Integers:
        return times((x - side.zero_point) << self.parameters.left_shift, side.factor)

    def _finished(self, total: Integers) -> Integers:
        output = self.parameters.output
        clipped: Integers = np.clip(times(total, output.factor) + output.zero_point, *self.limits)
        return clipped
