"""What is advised for an array of the wrong shape works: the code in the hint is run."""

from __future__ import annotations

import re

import numpy as np
import pytest

from edgekit.data.conform import conform
from edgekit.errors import UsageError
from edgekit.graph import Tensor

CODE = re.compile(r"(?:np\.moveaxis\(x, -1, 0\)|x(?:\.\w+\([^)]*\)|\[[^\]]*\])+)")


def _hint(found: tuple[int, ...], wanted: tuple[int, ...]) -> str:
    with pytest.raises(UsageError) as caught:
        conform(np.zeros(found, np.float32), Tensor("t", wanted, "float32"), "file.npz: x", (0.0, 1.0))
    return caught.value.hint


@pytest.mark.parametrize(
    ("found", "wanted", "word"),
    [
        ((9, 3, 32, 32), (1, 32, 32, 3), "transpose(0, 2, 3, 1)"),
        ((9, 32, 32, 3), (1, 3, 32, 32), "transpose(0, 3, 1, 2)"),
        ((9, 1, 3, 32, 24), (1, 32, 24, 3), "transpose(0, 1, 3, 4, 2)"),
        ((9, 1, 28, 28), (1, 28, 28, 1), "reshape"),
        ((9, 10, 49), (1, 49, 10), "transpose(0, 2, 1)"),
        ((9, 10, 49), (1, 49, 10, 1), "transpose(0, 2, 1)"),
        ((28, 28, 1), (1, 28, 28, 1), "np.newaxis"),
        ((28, 28), (1, 28, 28, 1), "np.newaxis"),
        ((4,), (1, 4), "np.newaxis"),
        ((32, 32, 3, 9), (1, 32, 32, 3), "moveaxis"),
        ((9, 784), (1, 28, 28, 1), "reshape(-1, 1, 28, 28, 1)"),
        ((9, 28, 28), (1, 784), "reshape(-1, 1, 784)"),
        ((9, 4, 1), (1, 4), "reshape"),
        ((9, 32, 32, 1), (1, 32, 32, 3), "repeat(3, axis=-1)"),
        ((9, 32, 32, 3), (1, 32, 32, 1), "mean"),
        ((9, 32, 32, 4), (1, 32, 32, 3), ":3"),
    ],
)
def test_the_code_that_is_advised_makes_it_fit(found: tuple[int, ...], wanted: tuple[int, ...], word: str) -> None:
    hint = _hint(found, wanted)
    assert word in hint
    (code,) = CODE.findall(hint)
    fitting = eval(code, {"np": np, "x": np.zeros(found, np.float32)})
    conform(fitting, Tensor("t", wanted, "float32"), "x", (0.0, 1.0))


@pytest.mark.parametrize(
    ("found", "wanted", "words"),
    [
        ((9, 64, 64, 3), (1, 32, 32, 3), ["resize", "32 x 32", "folder"]),
        ((9, 3, 64, 48), (1, 32, 32, 3), ["resize", "from 64 x 48 to 32 x 32", "transpose(0, 2, 3, 1)"]),
        ((9, 64, 64, 3), (1, 3, 32, 32), ["resize", "transpose(0, 3, 1, 2)"]),
        ((9, 64, 64), (1, 32, 32, 1), ["resize", "np.newaxis"]),
        ((9, 5), (1, 4), ["[1, 4]"]),
        ((9, 50, 10), (1, 49, 10), ["[1, 49, 10]"]),
    ],
)
def test_no_reshape_where_it_would_garble(found: tuple[int, ...], wanted: tuple[int, ...], words: list[str]) -> None:
    hint = _hint(found, wanted)
    assert "reshape" not in hint
    for word in words:
        assert word in hint, hint


def test_channels_are_moved_as_pictures_are_stored() -> None:
    """Of the permutations that fit, height and width keep their order where they are alike."""
    assert "transpose(0, 2, 3, 1)" in _hint((9, 3, 32, 32), (1, 32, 32, 3))
