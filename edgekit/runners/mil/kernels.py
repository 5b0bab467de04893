"""Core ML's operations that coremltools itself does not compute on this machine, in NumPy.

Each takes the operation's inputs by name. Sums are added up in float32 and rounded once to the result's type, as GPUs
do; the Neural Engine may keep fewer bits (not published).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Given = dict[str, Any]


def _windows(x: NDArray[Any], window: tuple[int, ...], given: Given, fill: float) -> NDArray[Any]:
    """``[n, c, rows, columns, window height, window width]`` of float32 pictures ``[n, c, h, w]``."""
    top, bottom, left, right = (int(p) for p in given["pad"]) if str(given["pad_type"]) == "custom" else (0, 0, 0, 0)
    step = [int(s) for s in given["strides"]]
    wide = [int(d) for d in given.get("dilations", (1, 1))]
    padded = np.pad(x.astype(np.float32), ((0, 0), (0, 0), (top, bottom), (left, right)), constant_values=fill)
    reach = tuple((w - 1) * d + 1 for w, d in zip(window, wide, strict=True))
    found = sliding_window_view(padded, reach, axis=(2, 3))
    return found[:, :, :: step[0], :: step[1], :: wide[0], :: wide[1]]


def _biased(y: NDArray[Any], given: Given, shape: tuple[int, ...]) -> NDArray[Any]:
    return np.asarray(y + given["bias"].astype(np.float32).reshape(shape) if "bias" in given else y)


def conv(given: Given) -> NDArray[Any]:
    """``conv``, with groups, strides, dilations and padding."""
    x, weight, groups = given["x"], given["weight"].astype(np.float32), int(given["groups"])
    count, depth = weight.shape[:2]
    windows = _windows(x, weight.shape[2:], given, 0.0)
    n, channels, rows, columns = windows.shape[:4]
    if depth == 1 and groups == channels:
        each = weight.reshape(channels, count // channels, *weight.shape[2:])
        y = np.einsum("nchwij,cmij->ncmhw", windows, each, optimize=True).reshape(n, count, rows, columns)
    else:
        split = windows.reshape(n, groups, depth, rows, columns, -1).transpose(0, 1, 3, 4, 2, 5)
        matrix = split.reshape(n, groups, rows * columns, -1)
        y = matrix @ weight.reshape(groups, count // groups, -1).transpose(0, 2, 1)
        y = y.transpose(0, 1, 3, 2).reshape(n, count, rows, columns)
    return _biased(y, given, (1, -1, 1, 1))


def conv_transpose(given: Given) -> NDArray[Any]:
    """Each input value adds its weights ``[in, out, h, w]`` to the windows of the result; then the padding is cut."""
    x, weight = given["x"].astype(np.float32), given["weight"].astype(np.float32)
    (n, _, rows, columns), (_, count, high, wide) = x.shape, weight.shape
    step = [int(s) for s in given["strides"]]
    full = np.zeros((n, count, (rows - 1) * step[0] + high, (columns - 1) * step[1] + wide), np.float32)
    for i in range(high):
        for j in range(wide):
            part = np.einsum("nchw,co->nohw", x, weight[:, :, i, j])
            full[:, :, i : i + rows * step[0] : step[0], j : j + columns * step[1] : step[1]][
                :, :, :rows, :columns
            ] += part
    top, bottom, left, right = (int(p) for p in given["pad"])
    y = full[:, :, top : full.shape[2] - bottom, left : full.shape[3] - right]
    return _biased(y, given, (1, -1, 1, 1))


def max_pool(given: Given) -> NDArray[Any]:
    """``max_pool``."""
    found: NDArray[Any] = _windows(given["x"], tuple(map(int, given["kernel_sizes"])), given, -np.inf).max((4, 5))
    return found


def avg_pool(given: Given) -> NDArray[Any]:
    """``avg_pool``, with or without padding in the average."""
    window = tuple(map(int, given["kernel_sizes"]))
    total = _windows(given["x"], window, given, 0.0).sum((4, 5))
    if not given.get("exclude_padding_from_average", False):
        return np.asarray(total / np.float32(np.prod(window)))
    counted: NDArray[Any] = total / _windows(np.ones_like(given["x"]), window, given, 0.0).sum((4, 5))
    return counted


def linear(given: Given) -> NDArray[Any]:
    """``linear``."""
    y = given["x"].astype(np.float32) @ given["weight"].astype(np.float32).T
    return _biased(y, given, (-1,))


def matmul(given: Given) -> NDArray[Any]:
    """``matmul``."""
    a, b = given["x"].astype(np.float32), given["y"].astype(np.float32)
    a = np.swapaxes(a, -1, -2) if given.get("transpose_x", False) else a
    return np.asarray(np.matmul(a, np.swapaxes(b, -1, -2) if given.get("transpose_y", False) else b))


def reduce(function: Callable[..., Any]) -> Callable[[Given], NDArray[Any]]:
    """Return the kernel of a reduction."""

    def reduced(given: Given) -> NDArray[Any]:
        x = given["x"]
        axes = tuple(int(a) for a in given["axes"]) if "axes" in given else None
        wide = x.astype(np.float32) if x.dtype == np.float16 else x
        return np.asarray(function(wide, axis=axes, keepdims=bool(given.get("keep_dims", False))))

    return reduced


def _points(size: int, made: int, mode: str) -> NDArray[Any]:
    """Where each of ``made`` results lies among ``size`` inputs, by MIL's ``sampling_mode``."""
    places = np.arange(made, dtype=np.float64)
    if mode == "UNALIGN_CORNERS":
        found = (places + 0.5) * size / made - 0.5
    elif mode in ("STRICT_ALIGN_CORNERS", "ALIGN_CORNERS"):
        found = places * (size - 1) / max(1, made - 1)
    else:
        found = places * size / made
    return np.clip(found, 0, size - 1)


def resize_bilinear(given: Given) -> NDArray[Any]:
    """``resize_bilinear``."""
    mode = str(given["sampling_mode"])
    y: NDArray[Any] = given["x"].astype(np.float32)
    for axis, made in ((2, int(given["target_size_height"])), (3, int(given["target_size_width"]))):
        points = _points(y.shape[axis], made, mode)
        low = np.floor(points).astype(int)
        high = np.minimum(low + 1, y.shape[axis] - 1)
        share = (points - low).reshape([-1 if a == axis else 1 for a in range(4)]).astype(np.float32)
        y = np.take(y, low, axis) * (1 - share) + np.take(y, high, axis) * share
    return y


def upsample_nearest_neighbor(given: Given) -> NDArray[Any]:
    """``upsample_nearest_neighbor``, by whole factors."""
    high, wide = int(given["scale_factor_height"]), int(given["scale_factor_width"])
    return np.asarray(np.repeat(np.repeat(given["x"], high, 2), wide, 3))


def depth_to_space(given: Given) -> NDArray[Any]:
    """``depth_to_space``."""
    x, block = given["x"], int(given["block_size"])
    n, c, h, w = x.shape
    parts = x.reshape(n, block, block, c // block**2, h, w).transpose(0, 3, 4, 1, 5, 2)
    return np.asarray(parts.reshape(n, c // block**2, h * block, w * block))


def space_to_depth(given: Given) -> NDArray[Any]:
    """``space_to_depth``."""
    x, block = given["x"], int(given["block_size"])
    n, c, h, w = x.shape
    parts = x.reshape(n, c, h // block, block, w // block, block).transpose(0, 3, 5, 1, 2, 4)
    return np.asarray(parts.reshape(n, c * block**2, h // block, w // block))


def softmax(given: Given) -> NDArray[Any]:
    """``softmax``."""
    x, axis = given["x"].astype(np.float32), int(given["axis"])
    raised = np.exp(x - x.max(axis=axis, keepdims=True))
    return np.asarray(raised / raised.sum(axis=axis, keepdims=True))


def quantize(given: Given) -> NDArray[Any]:
    """``quantize``: rounded half to even and saturated."""
    kind = np.dtype(str(given["output_dtype"]))
    steps = np.rint(given["input"].astype(np.float32) / np.float32(given["scale"])) + np.float32(
        given.get("zero_point", 0)
    )
    return np.asarray(np.clip(steps, np.iinfo(kind).min, np.iinfo(kind).max).astype(kind))


def dequantize(given: Given) -> NDArray[Any]:
    """``dequantize``."""
    return np.asarray((given["input"].astype(np.float32) - np.float32(given.get("zero_point", 0))) * given["scale"])


def prelu(given: Given) -> NDArray[Any]:
    """``prelu``, one slope per channel."""
    x, slope = given["x"].astype(np.float32), given["alpha"].astype(np.float32).reshape(1, -1, 1, 1)
    return np.asarray(np.where(x >= 0, x, x * slope))


def gather(given: Given) -> NDArray[Any]:
    """``gather``."""
    return np.asarray(np.take(given["x"], given["indices"], axis=int(given["axis"])))


def reduce_argmax(given: Given) -> NDArray[Any]:
    """``reduce_argmax``."""
    return np.asarray(np.argmax(given["x"], axis=int(given["axis"])))


def _log_sum_exp(x: NDArray[Any], axis: Any, keepdims: bool) -> NDArray[Any]:
    most = x.max(axis=axis, keepdims=True)
    return np.asarray(np.log(np.exp(x - most).sum(axis=axis, keepdims=True)) + most)


def _norm(x: NDArray[Any], axis: Any, keepdims: bool) -> NDArray[Any]:
    return np.asarray(np.sqrt((x * x).sum(axis=axis, keepdims=keepdims)))


KERNELS: dict[str, Callable[[Given], Any]] = {
    "conv": conv, "conv_transpose": conv_transpose, "max_pool": max_pool, "avg_pool": avg_pool, "linear": linear,
    "matmul": matmul, "resize_bilinear": resize_bilinear, "upsample_nearest_neighbor": upsample_nearest_neighbor,
    "depth_to_space": depth_to_space, "space_to_depth": space_to_depth, "softmax": softmax, "quantize": quantize,
    "dequantize": dequantize, "prelu": prelu, "gather": gather, "reduce_argmax": reduce_argmax,
    "reduce_max": reduce(np.max), "reduce_min": reduce(np.min), "reduce_prod": reduce(np.prod),
    "reduce_mean": reduce(np.mean), "reduce_sum": reduce(np.sum), "reduce_log_sum_exp": reduce(_log_sum_exp),
    "reduce_l2_norm": reduce(_norm),
}  # fmt: skip
