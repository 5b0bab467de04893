"""Affine quantization at the ends of float32."""

from __future__ import annotations

import warnings

import numpy as np

from edgekit.graph import Quantization


def test_values_beyond_float32_are_infinite_without_a_warning() -> None:
    q = Quantization(np.array([3e38], np.float32), np.zeros(1, np.int64))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        real = q.dequantize(np.array([-128, 0, 1, 127], np.int8))
    np.testing.assert_array_equal(real, np.array([-np.inf, 0, 3e38, np.inf], np.float32))
