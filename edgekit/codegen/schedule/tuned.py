"""Choices that tuning made for loop nests, in place of the schedule's.

A choice is kept for a *workload*: what a nest computes, as far as it matters for its speed. It holds fields of the nest
(``tile``, ``outer``, ``rows``), or ``trace``, a schedule of MetaSchedule's (TVM's JSON). What does not fit a nest is
left out, so a damaged choice costs speed and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from edgekit.codegen.loops import Conv, Loops

Choices = Mapping[str, Mapping[str, Any]]
"""By workload."""

_MATTERS = (
    "shape", "kernel", "steps", "residual", "dtype", "kind", "size", "window", "strides", "pads", "reduced", "function",
    "kinds", "given",
)  # fmt: skip
"""Fields of a workload: not the values of zero points, scales and limits, not the places in larger feature maps."""


def workload(nest: Loops) -> str:
    """Return the name under which a nest's choice is kept.

    The depth of a convolution counts in whole fours, because dot products may read a few zeros more.
    """
    if isinstance(nest, Conv):
        return conv_workload(nest.dtype, nest.shape, nest.kernel, nest.steps, residual=nest.residual)
    values = {name: getattr(nest, name) for name in _MATTERS if hasattr(nest, name)}
    kept = {name: value for name, value in values.items() if value not in (None, (), "")}
    return _named(nest.name, kept)


def conv_workload(
    dtype: str, shape: tuple[int, ...], kernel: tuple[int, ...], steps: tuple[int, ...], *, residual: bool
) -> str:
    """:func:`workload` of a :class:`~edgekit.codegen.loops.Conv`, whose tile depends on the choice."""
    depth = -(-kernel[2] // 4) * 4
    kept = {"shape": shape, "kernel": (*kernel[:2], depth), "steps": steps, "residual": residual, "dtype": dtype}
    return _named("conv" if dtype == "float32" else "conv_int8", kept)


def depthwise_workload(dtype: str, shape: tuple[int, ...], kernel: tuple[int, ...], steps: tuple[int, ...]) -> str:
    """:func:`workload` of a :class:`~edgekit.codegen.loops.Depthwise`."""
    kept = {"shape": shape, "kernel": kernel, "steps": steps, "dtype": dtype}
    return _named("depthwise" if dtype == "float32" else "depthwise_int8", kept)


def _named(name: str, kept: Mapping[str, Any]) -> str:
    return f"{name} {json.dumps(kept, sort_keys=True, separators=(',', ':'))}"
