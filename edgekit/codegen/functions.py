"""Functions of one real value that operators apply to each element, in float64.

Integer kernels take them from a table of all 256 results.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

_erf = np.vectorize(math.erf)


def _gelu_argument(x: NDArray[Any], approximate: bool) -> NDArray[Any]:
    """GELU's argument (Hendrycks and Gimpel 2016)."""
    return (2 / np.pi) ** 0.5 * (x + 0.044715 * x**3) if approximate else x / 2**0.5


REAL: dict[str, Callable[..., NDArray[Any]]] = {
    "LOGISTIC": lambda x: 1 / (1 + np.exp(-x)),
    "TANH": np.tanh,
    "HARD_SWISH": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "RELU": lambda x: np.maximum(x, 0),
    "RELU6": lambda x: np.clip(x, 0, 6),
    "RELU_N1_TO_1": lambda x: np.clip(x, -1, 1),
    "RELU_0_TO_1": lambda x: np.clip(x, 0, 1),
    "LEAKY_RELU": lambda x, alpha: np.maximum(x, 0) + alpha * np.minimum(x, 0),
    "ELU": lambda x: np.expm1(np.minimum(x, 0)) + np.maximum(x, 0),
    "GELU": lambda x, approximate: 0.5 * x * (1 + (np.tanh if approximate else _erf)(_gelu_argument(x, approximate))),
    "EXP": np.exp,
    "LOG": np.log,
    "SQRT": np.sqrt,
    "RSQRT": lambda x: 1 / np.sqrt(x),
    "ABS": np.abs,
    "NEG": np.negative,
    "SQUARE": np.square,
    "SIN": np.sin,
    "COS": np.cos,
    "FLOOR": np.floor,
    "CEIL": np.ceil,
    "ROUND": np.rint,
}
"""By operator."""


def table(op: str, inputs: NDArray[Any], options: dict[str, Any], scale: float, zero: int) -> NDArray[np.float64]:
    """The quantized results of a function, before they are clamped, as floats.

    :param inputs: real values. :param options: the function's own, as ``alpha``.
    :param scale: of the results; :param zero: their zero point. What is undefined becomes the least value.
    """
    with np.errstate(all="ignore"):
        results: NDArray[np.float64] = np.rint(np.nan_to_num(REAL[op](inputs, **options), nan=-1e9) / scale) + zero
    return results
