"""The runner's input file."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.bundle.samples import pack, samples_in
from edgekit.errors import DeviceError


def test_samples_lie_one_after_another_in_little_endian() -> None:
    first = np.array([[1], [2]], ">i2")
    second = np.array([[3, 4], [5, 6]], np.uint8)
    assert pack([first, second]) == bytes([1, 0, 3, 4, 2, 0, 5, 6])


def test_number_of_samples() -> None:
    assert samples_in([np.zeros((3, 1))]) == 3
    assert samples_in([]) == 1 and pack([]) == b""
    with pytest.raises(DeviceError, match="no samples"):
        samples_in([np.zeros((0, 1))])
