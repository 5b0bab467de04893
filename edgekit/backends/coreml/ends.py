"""The network's own values and the package's: an 8-bit network's integers are real numbers in Core ML."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def entered(values: NDArray[Any], about: dict[str, Any]) -> NDArray[Any]:
    """The network's own values as the package takes them: integers with a scale become the real numbers they are."""
    if about["scale"] is not None:
        real = (values.astype(np.float64) - about["zero_point"]) * about["scale"]
        return np.asarray(real, np.float32)
    return np.asarray(values, about["dtype"])


def left(values: NDArray[Any], about: dict[str, Any]) -> NDArray[Any]:
    """What the package gives as the network's own values."""
    if about["scale"] is not None:
        limits = np.iinfo(about["tensor_dtype"])
        steps = np.rint(np.nan_to_num(values.astype(np.float64) / about["scale"])) + about["zero_point"]
        return np.asarray(np.clip(steps, limits.min, limits.max), about["tensor_dtype"])
    return np.asarray(values, about["tensor_dtype"])
