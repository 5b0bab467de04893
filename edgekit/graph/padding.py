"""How windows lie on a feature map: TFLite's SAME and VALID padding."""

from __future__ import annotations

SAME, VALID = 0, 1
"""The schema's ``Padding``."""


def same(size: int, output: int, window: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Return the padding before and after an axis; the odd one comes after, as TFLite has it.

    :param size: of the input's axis. :param output: of the output's. :param window: of the kernel's.
    """
    total = max(0, (output - 1) * stride + (window - 1) * dilation + 1 - size)
    return total // 2, total - total // 2
