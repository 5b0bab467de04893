"""Weights in the order in which kernels read them."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

GROUPS = {"vnni": (1, 4), "sdot": (1, 4), "sdot8": (2, 4), "sdot16": (4, 4), "mlal": (2, 2)}
"""For each dot product, how many groups of bytes one instruction or a pair of them takes, and bytes per group."""


def blocks(weights: NDArray[Any], channels: int) -> NDArray[Any]:
    """``[out, kh, kw, in] -> [out / channels, kh, kw, in, channels]``: what a tile reads, together."""
    count, kh, kw, depth = weights.shape
    return weights.reshape(count // channels, channels, kh, kw, depth).transpose(0, 2, 3, 4, 1)


def for_dot(blocks: NDArray[Any], dot: str, lanes: int) -> NDArray[Any]:
    """``[..., depth, channels]`` in the order in which a dot product's instructions take them."""
    groups, together = GROUPS[dot]
    *outer, depth, channels = blocks.shape
    split = blocks.reshape(*outer, depth // (groups * together), groups, together, channels // lanes, lanes)
    n = len(outer)
    ordered = split.transpose(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return ordered if groups > 1 else ordered[..., 0, :, :]
