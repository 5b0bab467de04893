"""Why an operator loses precision: rules on its tensors and weights, each with words and a remedy.

A rule looks at one activation (with the operator that makes it) or at one operator. It answers None, or the words and
the figures behind them. The thresholds are far from what healthy networks show; they only matter for operators whose
effect on the network's outputs was measured to be large.
"""

from __future__ import annotations

from collections.abc import Callable

from edgekit.diagnosis.evidence import Evidence
from edgekit.diagnosis.rules import operators, ranges, tensors
from edgekit.diagnosis.rules.common import Cause
from edgekit.diagnosis.rules.tensors import JOINS

__all__ = ["FOREIGN", "JOINS", "OPERATOR_RULES", "TENSOR_RULES", "Cause"]

TENSOR_RULES: tuple[Callable[[Evidence, int, int], Cause | None], ...] = (
    ranges.data_range, ranges.dead_range, ranges.clipped, ranges.overwide, tensors.tiny_scale, tensors.joint_scale,
    tensors.mismatched_scales, tensors.bias_overflow, tensors.buried, tensors.outlier_channels, tensors.heavy_tail,
    tensors.cancellation,
)  # fmt: skip
"""Asked with the operator that makes an activation (-1: an input) and the activation; the first answer counts."""
FOREIGN = ("data_range", "dead_range", "clipped", "overwide")
"""Causes that come down from what came in: looked for up to the first tensor that shows them."""
OPERATOR_RULES: tuple[Callable[[Evidence, int], Cause | None], ...] = (
    operators.does_not_run, operators.wrong_kernel, operators.near_zero, operators.wide_tensor,
    operators.weight_outliers, operators.coarse_exponential,
)  # fmt: skip
"""Asked with an operator; every answer counts."""
