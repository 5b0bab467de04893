"""Scales as C has them: the fields of structs."""

from __future__ import annotations

import numpy as np

from edgekit.codegen.kernels import Factor
from edgekit.codegen.schedule.mcu.steps import Value


def factor(value: Factor, prefix: str = "") -> dict[str, Value]:
    """The fields ``multiplier`` and ``shift``."""
    return {f"{prefix}multiplier": value.multiplier, f"{prefix}shift": value.shift}


def single(value: float) -> float:
    """A number as float32 has it."""
    return float(np.float32(value))
