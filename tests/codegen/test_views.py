"""Views against NumPy: whatever is done to a view, it names the elements that NumPy finds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from edgekit.codegen.views import View, row_major, whole
from edgekit.errors import DamagedModel

SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


def elements(view: View, shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """The places in the dense tensor that a view names."""
    layout = row_major(shape)
    strides, offset = view.strides(layout), view.offset(layout)
    made = np.full(view.shape, offset, np.int64)
    for axis, (extent, stride) in enumerate(zip(view.shape, strides, strict=True)):
        made += (np.arange(extent) * stride).reshape(-1, *(1,) * (view.ndim - axis - 1))
    return made


@st.composite
def steps(draw: Any, view: View) -> tuple[str, Any]:
    kind = draw(st.sampled_from(["index", "transpose", "broadcast", "split", "expand", "swap"]))
    if kind == "index":
        each = [
            draw(st.integers(-n, n - 1) | st.slices(n) | st.just(slice(None, None, -1)) if n else st.just(slice(None)))
            for n in view.shape
        ]
        place = draw(st.integers(0, len(each)))
        each.insert(place, draw(st.sampled_from([None, Ellipsis])))
        return kind, tuple(each[: draw(st.integers(place, len(each)))])
    if kind == "transpose":
        return kind, draw(st.permutations(range(view.ndim)))
    if kind == "broadcast":
        return kind, (*draw(SHAPES)[:1], *(draw(st.integers(1, 3)) if n == 1 else n for n in view.shape))
    if kind == "split":
        return kind, tuple(m for n in view.shape for m in next((d, n // d) for d in (2, 3, 1) if n % d == 0))
    return kind, draw(st.integers(0, view.ndim))


@given(st.data(), SHAPES)
@settings(max_examples=300, deadline=None)
def test_a_view_names_the_elements_that_numpy_finds(data: Any, shape: tuple[int, ...]) -> None:
    view, array = whole(0, shape), np.arange(math.prod(shape)).reshape(shape)
    for _ in range(data.draw(st.integers(1, 4))):
        kind, value = data.draw(steps(view))
        if kind == "index":
            try:
                array = array[value]
            except IndexError:  # what follows an ellipsis indexes other axes than it was drawn for
                with pytest.raises(DamagedModel):
                    view[value]
                return
            view = view[value]
        elif kind == "transpose":
            view, array = view.transpose(value), array.transpose(value)
        elif kind == "broadcast":
            view, array = view.broadcast(value), np.broadcast_to(array, value)
        elif kind == "split":
            assume(0 not in value)
            view, array = view.split(value), array.reshape(value)
        elif kind == "swap" and view.ndim >= 2:
            view, array = view.swapped(), array.swapaxes(-1, -2)
        elif kind == "expand":
            view, array = view.expand(value), np.expand_dims(array, value)
        assert view.shape == array.shape
        np.testing.assert_array_equal(elements(view, shape), array)
        assume(0 not in view.shape and math.prod(view.shape) < 5000 and view.ndim < 9)


STEPS_THAT_DO_NOT_FIT = [
    lambda v: v[0, 0, 0],
    lambda v: v[2],
    lambda v: v[-3],
    lambda v: v.transpose((0, 0)),
    lambda v: v.transpose((0,)),
    lambda v: v.broadcast((2, 2)),
    lambda v: v.broadcast((3,)),
    lambda v: v.split((6,)),
    lambda v: v.split((2, 2)),
    lambda v: v.split((2, 3, 2)),
    lambda v: v.split((3, 2)),
    lambda v: v.split(()),
]


@pytest.mark.parametrize("step", STEPS_THAT_DO_NOT_FIT)
def test_what_does_not_fit_is_a_damaged_model(step: Any) -> None:
    with pytest.raises(DamagedModel):
        step(whole(0, (2, 3)))
