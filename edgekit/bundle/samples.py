"""Samples in the form that the C runner takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from edgekit.errors import DeviceError


def samples_in(inputs: Sequence[NDArray[Any]]) -> int:
    """Number of samples; a network without inputs runs once.

    :raises DeviceError: if there are none.
    """
    count = len(inputs[0]) if inputs else 1
    if count == 0:
        raise DeviceError("there are no samples to run", "pass --data that contains samples")
    return count


def pack(inputs: Sequence[NDArray[Any]]) -> bytes:
    """The runner's input file: per sample, each input's little-endian bytes, back to back."""
    swapped = [array.astype(array.dtype.newbyteorder("<"), copy=False) for array in inputs]
    return b"".join(array[i].tobytes() for i in range(samples_in(inputs)) for array in swapped)
