"""Scales as C has them."""

from __future__ import annotations

import numpy as np

from edgekit.codegen.fixed_point import quantize_multiplier


def factor(real: float, prefix: str = "") -> dict[str, int]:
    """The fields ``multiplier`` and ``shift`` of a real factor."""
    multiplier, shift = quantize_multiplier(real)
    return {f"{prefix}multiplier": multiplier, f"{prefix}shift": shift}


def single(value: float) -> float:
    """A number as float32 has it: TFLite computes some factors in float32."""
    return float(np.float32(value))
