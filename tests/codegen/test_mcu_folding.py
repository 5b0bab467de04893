"""Padding that a convolution does by itself needs no step and no memory."""

from __future__ import annotations

import pytest

from edgekit.codegen.kernels import Conv2D, DepthwiseConv2D, Pad
from edgekit.codegen.lower import lower
from edgekit.codegen.schedule.mcu.folding import folded
from tests.networks.building import Pictures


def network(
    pads: tuple[tuple[int, int], ...], *, depthwise: bool, read_twice: bool = False
) -> tuple[int, tuple[int, ...]]:
    """How much padding is left, and the padding of the convolution after it."""
    n = Pictures()
    x = n.tensor((1, 8, 8, 4))
    padded = n.pad(x, (0, 0), *pads, (0, 0))
    y = (n.depthwise if depthwise else lambda *a, **k: n.conv(a[0], 6, *a[1:], **k))(padded, strides=(2, 2), valid=True)
    made = folded(lower(n.graph((x,), (padded, y) if read_twice else (y,))))
    (convolution,) = (one for one in made.kernels if isinstance(one, Conv2D | DepthwiseConv2D))
    return sum(isinstance(one, Pad) for one in made.kernels), convolution.padding


@pytest.mark.parametrize("depthwise", [False, True])
def test_padding_goes_into_the_convolution(depthwise: bool) -> None:
    assert network(((0, 1), (1, 2)), depthwise=depthwise) == (0, (0, 1, 1, 2))


def test_padding_stays_where_a_window_would_lie_in_it_as_a_whole() -> None:
    assert network(((3, 0), (0, 0)), depthwise=False) == (1, (0, 0, 0, 0))


def test_padding_stays_where_something_else_reads_it() -> None:
    assert network(((0, 1), (0, 1)), depthwise=True, read_twice=True)[0] == 1
