"""Choices that tuning made for kernels, in place of the rules'.

A choice is kept for a *workload*: what a kernel computes, as far as it matters for its speed. It holds parameters of
the kernel's template (``tile``, ``outer``, ``rows``), or ``trace``, a schedule of MetaSchedule's for its loops (TVM's
JSON). What does not fit a kernel is left out, so a damaged choice costs speed and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

Choices = Mapping[str, Mapping[str, Any]]
"""By workload."""

_MATTERS = (
    "shape", "kernel", "steps", "residual", "dtype", "kind", "size", "window", "strides", "pads", "reduced", "function",
    "kinds", "given",
)  # fmt: skip
"""Parameters of a workload: not the values of zero points, scales and limits, not the places in larger pictures."""


def workload(template: str, params: Mapping[str, Any]) -> str:
    """The name under which a kernel's choice is kept; the depth of a convolution counts in whole fours, because dot
    products may read a few zeros more."""
    kept = {name: params[name] for name in _MATTERS if name in params}
    if template in ("conv", "conv_int8"):
        kh, kw, depth = kept["kernel"]
        kept["kernel"] = [kh, kw, -(-depth // 4) * 4]
    return f"{template} {json.dumps(kept, sort_keys=True, separators=(',', ':'))}"
