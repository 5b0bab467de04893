"""Ranges that do not fit what the network meets: calibration saw other values than the test samples give."""

from __future__ import annotations

import numpy as np

from edgekit.diagnosis.evidence import INPUT, Evidence
from edgekit.diagnosis.local import rounded
from edgekit.diagnosis.rules.common import Cause, ends, far

NARROW = 0.25
"""Test samples that span less than this share of the calibrated range were not what calibrated it."""
CLIPPED = 1e-3
"""Noise from clipping alone above which the ranges were too small."""


def data_range(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """A network input: calibrated on other samples than it is tested with."""
    if operator != INPUT or tensor not in e.calibration or tensor not in e.test:
        return None
    seen, met = e.calibration[tensor], e.test[tensor]
    lost = _clipping(e, tensor)
    if seen.span == 0 or (met.span >= NARROW * seen.span and lost < CLIPPED):
        return None
    return Cause(
        f"the calibration samples reach from {seen.low.min():.3g} to {seen.high.max():.3g}, the test samples "
        f"from {met.low.min():.3g} to {met.high.max():.3g}",
        "calibrate on samples prepared like those seen in use (for images, --data FILE?range=LOW,HIGH)",
        {"calibrated": ends(seen), "tested": ends(met)},
    )


def overwide(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """Calibrated on much larger values than the test samples give."""
    seen, met = e.calibration.get(tensor), e.test.get(tensor)
    if operator == INPUT or seen is None or met is None or met.span >= NARROW * seen.span:
        return None
    return Cause(
        f"its range is too wide: calibration saw {seen.low.min():.3g} to {seen.high.max():.3g}, but the test "
        f"samples reach only {met.low.min():.3g} to {met.high.max():.3g}",
        "calibrate on samples like those seen in use",
        {"calibrated": ends(seen), "tested": ends(met)},
    )


def dead_range(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """Calibration saw nothing but one value (0)."""
    seen, met = e.calibration.get(tensor), e.test.get(tensor)
    if seen is None or met is None or seen.span > 1e-12 or met.span <= 1e-12:
        return None
    return Cause(
        f"its range is dead: calibration saw only 0, but on the test samples it reaches {far(met):.3g}",
        "calibrate on samples that make it respond (all classes, all modes of use)",
        {"calibrated": ends(seen), "tested": ends(met)},
    )


def clipped(e: Evidence, operator: int, tensor: int) -> Cause | None:
    """The calibrated range is too small."""
    lost = _clipping(e, tensor)
    if lost < CLIPPED or tensor not in e.calibration or tensor not in e.test:
        return None
    seen, met = e.calibration[tensor], e.test[tensor]
    return Cause(
        f"its range is saturated: calibration saw {seen.low.min():.3g} to {seen.high.max():.3g}, the test samples "
        f"reach {met.low.min():.3g} to {met.high.max():.3g}, and values beyond that are cut off",
        "calibrate on more samples, or on samples like those seen in use",
        {"calibrated": ends(seen), "tested": ends(met), "noise_of_clipping": lost},
    )


def _clipping(e: Evidence, tensor: int) -> float:
    """Noise from what lies outside an activation's integers, where that is most of its noise; else 0."""
    found, values = e.quantized(tensor), e.exact.get(tensor)
    if found is None or values is None:
        return 0.0
    q, dtype = found
    info = np.iinfo(dtype)
    low, high = ((limit - int(q.zero_point[0])) * float(q.scale[0]) for limit in (info.min - 0.5, info.max + 0.5))
    wide = values.astype(np.float64)
    outside = float(((np.clip(wide, low, high) - wide) ** 2).sum())
    total = float(((rounded(e.forms[tensor], values) - wide) ** 2).sum())
    power = float((wide**2).sum())
    return outside / power if power > 0 and outside > 0.5 * total else 0.0
