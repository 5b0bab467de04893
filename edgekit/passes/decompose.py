"""Decompositions of a layer's weights into a chain of smaller ones; :mod:`edgekit.passes.low_rank` uses them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph.padding import SAME, same

DAMPING = 1e-3
"""Share of the inputs' mean variance added to every direction, so that unseen inputs keep some weight."""
ROWS = 20_000
"""At most so many input vectors (positions of a convolution) estimate a covariance."""

Matrix = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Mean ``[k]`` and covariance ``[k, k]`` of what a layer's weights ``[out, k]`` meet."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]


@dataclass(frozen=True)
class Factors:
    """A layer's chain of weights, and what to add to its bias ``[out]`` (None: nothing)."""

    weights: tuple[NDArray[np.float32], ...]
    shift: NDArray[np.float32] | None = None

    @property
    def size(self) -> int:
        """Number of weights in all factors."""
        return sum(w.size for w in self.weights)


Method = Callable[[float], Factors | None]
"""Energy -> factors; None where they would not save arithmetic."""


def patches(inputs: NDArray[np.float32], weights: NDArray[np.float32], options: Any) -> NDArray[np.float32]:
    """What a convolution multiplies its weights with: ``[rows, kh * kw * in]`` of inputs ``[n, 1, h, w, in]``."""
    x = inputs.reshape(-1, *inputs.shape[-3:])
    for axis, kernel, stride, dilation in (
        (1, weights.shape[1], options.strideH, options.dilationHFactor),
        (2, weights.shape[2], options.strideW, options.dilationWFactor),
    ):
        reach = (kernel - 1) * dilation + 1
        if options.padding == SAME:
            width = [(0, 0)] * x.ndim
            width[axis] = same(x.shape[axis], -(-x.shape[axis] // stride), kernel, stride, dilation)
            x = np.pad(x, width)
        x = np.lib.stride_tricks.sliding_window_view(x, reach, axis)[
            (slice(None),) * axis + (slice(None, None, stride),)
        ]
        x = x[..., ::dilation]
    rows = np.moveaxis(x, 3, -1)  # [n, h', w', kh, kw, in]
    positions = np.prod(rows.shape[:3])
    chosen = np.unique(np.linspace(0, positions - 1, min(ROWS, int(positions))).astype(np.int64))
    return rows[np.unravel_index(chosen, rows.shape[:3])].reshape(len(chosen), -1)


def _rank(singular: Matrix, energy: float) -> int:
    """The least rank that keeps ``energy`` of the squared singular values."""
    squares = np.cumsum(singular**2)
    if squares[-1] == 0:
        return 1
    return int(np.searchsorted(squares, energy * squares[-1] * (1 - 1e-12)) + 1)


def matrix(weights: NDArray[np.float32], known: Moments | None, shape: tuple[int, ...]) -> Method:
    """Two factors of a matrix ``[out, in]``.

    :param known: moments of the layer's inputs, or None.
    :param shape: of the first factor's rows: ``(in,)``, or ``(kh, kw, in)`` for a convolution.
    """
    w = weights.astype(np.float64)
    root = np.eye(w.shape[1])
    if known is not None:
        damping = DAMPING * np.trace(known.covariance) / w.shape[1] + np.finfo(np.float32).tiny
        root = np.linalg.cholesky(known.covariance + damping * np.eye(w.shape[1]))
    u, s, vt = np.linalg.svd(w @ root, full_matrices=False)
    right = np.linalg.solve(root.T, vt.T).T  # vt @ inverse of root

    def factors(energy: float) -> Factors | None:
        rank = min(_rank(s, energy), len(s))
        if rank * sum(w.shape) >= w.size:
            return None
        share = np.sqrt(s[:rank])  # split evenly, so that neither factor's range is extreme
        first, last = share[:, None] * right[:rank], u[:, :rank] * share
        shift = None if known is None else ((w - last @ first) @ known.mean).astype(np.float32)
        last = last if len(shape) == 1 else last[:, None, None, :]
        return Factors((first.reshape(rank, *shape).astype(np.float32), last.astype(np.float32)), shift)

    return factors


def tucker(weights: NDArray[np.float32], larger: float) -> Method:
    """Factors of ``[out, kh, kw, in]``: ``[r1, 1, 1, in]``, ``[r2, kh, kw, r1]``, ``[out, 1, 1, r2]``.

    :param larger: positions of the input over positions of the output (4 for stride 2).
    """
    w = weights.astype(np.float64)
    out, kh, kw, into = w.shape
    u_out, s_out, _ = np.linalg.svd(w.reshape(out, -1), full_matrices=False)
    u_in, s_in, _ = np.linalg.svd(np.moveaxis(w, 3, 0).reshape(into, -1), full_matrices=False)

    def factors(energy: float) -> Factors | None:
        r2, r1 = min(_rank(s_out, energy), out), min(_rank(s_in, energy), into)
        macs = larger * into * r1 + kh * kw * r1 * r2 + r2 * out
        if macs >= w.size or r1 * into + kh * kw * r1 * r2 + r2 * out >= w.size:
            return None
        core = np.einsum("oyxi,or,is->ryxs", w, u_out[:, :r2], u_in[:, :r1])
        first, last = u_in[:, :r1].T[:, None, None, :], u_out[:, :r2][:, None, None, :]
        return Factors((first.astype(np.float32), core.astype(np.float32), last.astype(np.float32)))

    return factors
