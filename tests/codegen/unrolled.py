"""What the steps of an unrolled network mean, in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.schedule.unrolled import Largest, Linear, Pair, Pick, Program, Step, Table
from edgekit.codegen.schedule.unrolled.steps import NOTHING, Integers, Rounding


def run(program: Program, inputs: list[NDArray[Any]]) -> list[Integers]:
    """The outputs of one sample, flat."""
    values = {i: x.reshape(-1).astype(np.int64) for i, x in zip(program.inputs, inputs, strict=True)}
    for step in program.steps:
        values[step.output] = _computed(step, values)
    return [values[i] for i in program.outputs]


def _computed(step: Step, values: dict[int, Integers]) -> Integers:
    match step:
        case Linear():
            x = np.append(values[step.input] - step.zero, 0)[step.index]
            sums = np.einsum("rgk,gko->rgo", x, step.weights).reshape(-1)
            return _rounded(step.rounding, sums * step.rounding.gain)
        case Pair():
            a, b = (values[i][at] for i, at in zip((step.first, step.second), step.places, strict=True))
            return _rounded(step.rounding, a * step.rounding.gain + b * step.other)
        case Table():
            return step.table[values[step.input] + 128]
        case Largest():
            joined = np.concatenate([values[i] for i in step.inputs])
            worst = 1 << 20 if step.smallest else -(1 << 20)
            picked = np.where(step.index == NOTHING, worst, joined[step.index])
            return np.clip((picked.min if step.smallest else picked.max)(1), step.low, step.high)
        case Pick():
            joined = np.concatenate([*(values[i] for i in step.inputs), np.zeros(1, np.int64)])
            return np.where(step.index == NOTHING, step.values, joined[step.index])
    raise NotImplementedError(type(step))


def _rounded(rounding: Rounding, total: Integers) -> Integers:
    offset = np.where(total < rounding.border, rounding.below, rounding.offset)
    return np.clip((total + offset) >> rounding.shift, rounding.low, rounding.high)
