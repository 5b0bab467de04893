"""SAME padding: as many windows as the output has fit, and the odd row comes after."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from edgekit.graph.padding import same

SIZES = st.integers(1, 40)


@given(SIZES, st.integers(1, 9), st.integers(1, 5), st.integers(1, 4))
def test_windows_fit_exactly(size: int, window: int, stride: int, dilation: int) -> None:
    output = -(-size // stride)
    before, after = same(size, output, window, stride, dilation)
    reach = (output - 1) * stride + (window - 1) * dilation + 1
    assert before + size + after == max(size, reach)
    assert after - before in (0, 1)


def test_by_hand() -> None:
    assert same(5, 3, 3, 2) == (1, 1)
    assert same(6, 3, 3, 2) == (0, 1)
    assert same(4, 2, 1, 2) == (0, 0)
