"""Real values of a tensor's elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from edgekit.graph import Tensor


def real(values: NDArray[Any], tensor: Tensor) -> NDArray[np.float64]:
    """What elements in the tensor's dtype stand for, float64."""
    found = values.astype(np.float64)
    if tensor.quantization is not None and tensor.has_scale:
        found = (found - int(tensor.quantization.zero_point[0])) * float(tensor.quantization.scale[0])
    return found
