"""Conform a user's array to an input tensor, or say in one line why that is impossible."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data import images
from edgekit.data.shape_advice import advise
from edgekit.data.spec import PIXELS
from edgekit.errors import UsageError

if TYPE_CHECKING:
    from edgekit.graph import Tensor

FLOATS = ("float16", "float32", "float64")
SCALED = "0..255 was scaled to"
INTEGERS = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


def conform(values: NDArray[Any], tensor: Tensor, name: str, pixel_range: tuple[float, float]) -> tuple[Any, str]:
    """Return ``values`` as ``[n, *tensor shape]`` in a dtype the network can take, and a note (or "").

    The batch dimension of 1, and after it a last dimension of 1, may be missing. uint8 for a network that does
    not itself take uint8 is pixels: 0..255 becomes ``pixel_range``.

    :raises UsageError: on a wrong shape or dtype, NaN or infinity, or no samples.
    """
    shape = shape_of(tensor)
    accepted = [shape]
    if shape[:1] == (1,):
        accepted.append(shape[1:])
        if shape[1:] and shape[-1] == 1:
            accepted.append(shape[1:-1])
    if values.shape[1:] not in accepted or values.ndim == 0:
        expected = " or ".join(shape_text(("n", *s)) for s in accepted)
        raise UsageError(
            f"{name} has shape {shape_text(values.shape)}, expected {expected}",
            advise(_array_name(name), values.shape, accepted),
        )
    if len(values) == 0:
        raise UsageError(f"{name} is empty: its shape is {shape_text(values.shape)}", "pass at least one sample")
    values = values.reshape(len(values), *shape)

    found, wanted = str(values.dtype), tensor.dtype
    real = wanted in FLOATS or tensor.has_scale
    if found == wanted and wanted not in FLOATS:
        return values, ""
    if real and found in FLOATS:
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        if not np.isfinite(values).all():
            raise UsageError(f"{name} holds NaN, infinity, or values beyond float32", "clean the data first")
        return values, ""
    if real and found == "uint8":
        return images.scaled(values, pixel_range), scaling(f"{name} is uint8", pixel_range)
    if not real and found in INTEGERS and wanted in INTEGERS:
        info = np.iinfo(wanted)
        if int(values.min()) < info.min or int(values.max()) > info.max:
            raise UsageError(f"{name} holds values outside {wanted}, which the network takes")
        return values.astype(wanted), ""
    expected = "float32 (or uint8 pixels)" if real else wanted
    raise UsageError(
        f"{name} is {found}, expected {expected}", f"convert it: {_array_name(name)}.astype('{_advice(tensor)}')"
    )


def shape_of(tensor: Tensor) -> tuple[int, ...]:
    """The tensor's shape; an unknown dimension is 1."""
    return tuple(abs(d) for d in tensor.shape)


def shape_text(shape: Sequence[object]) -> str:
    """Return a shape for messages: ``[n, 28, 28]``."""
    return "[" + ", ".join(map(str, shape)) + "]"


def _array_name(name: str) -> str:
    """The array's own name, without the file's."""
    return name.rpartition(": ")[2]


def _advice(tensor: Tensor) -> str:
    return "float32" if tensor.dtype in FLOATS or tensor.has_scale else tensor.dtype


def scaling(what: str, pixel_range: tuple[float, float]) -> str:
    """Say that pixels were scaled, and how to have them scaled otherwise."""
    change = " (change it with ?range=LOW,HIGH)" if pixel_range == PIXELS else ""
    return f"{what}: {SCALED} {pixel_range[0]:g}..{pixel_range[1]:g}{change}"
