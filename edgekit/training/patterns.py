"""Sparsity patterns: anywhere, in blocks of rows, or two of four."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BLOCK = 4
"""Outputs that share one pattern under ``block``: what XNNPACK's sparse kernels take at once."""


def kept(score: NDArray[np.float64], pattern: str, sparsity: float) -> NDArray[np.bool_]:
    """Which of the weights with these scores ``[out, k]`` stay."""
    if pattern == "block":
        whole = len(score) // BLOCK * BLOCK
        blocks = score[:whole].reshape(-1, BLOCK, score.shape[1]).sum(axis=1)
        chosen = np.repeat(_best(blocks, sparsity), BLOCK, axis=0)
        return np.concatenate([chosen, np.ones_like(score[whole:], bool)])
    if pattern == "2:4":
        whole = score.shape[1] // 4 * 4
        fours = score[:, :whole].reshape(-1, 4)
        chosen = np.zeros_like(fours, bool)
        np.put_along_axis(chosen, np.argsort(-fours, axis=1, kind="stable")[:, :2], True, axis=1)
        return np.concatenate([chosen.reshape(len(score), whole), np.ones_like(score[:, whole:], bool)], axis=1)
    return _best(score, sparsity)


def _best(score: NDArray[np.float64], sparsity: float) -> NDArray[np.bool_]:
    """Keep the best of each row: every output loses the same share, so that none is cut off."""
    count = score.shape[1] - round(sparsity * score.shape[1])
    kept = np.zeros_like(score, bool)
    np.put_along_axis(kept, np.argsort(-score, axis=1, kind="stable")[:, : max(count, 1)], True, axis=1)
    return kept
