"""Rules for operators that move, repeat and resample elements, and for norms and transforms that are sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import helper

from edgekit.backends.tvm.onnx.rules.building import Rewrite
from edgekit.onnx.static import evaluate

MOST_TAPS = 8
"""Of a resampled element; beyond, a matrix product."""
MAX_POINTS = 4096
"""Of a Fourier transform, whose matrix is written out."""


def pad(r: Rewrite) -> bool:
    """Pad of some axes: of all, with none for the others."""
    axes, pads = r.constant(3), r.constant(1)
    if not r.has(3):
        return False
    if axes is None or pads is None:
        raise r.refused("its axes and pads are not constant")
    rank = len(r.spec(0).shape)
    whole = np.zeros((2, rank), np.int64)
    for place, axis in enumerate(axes.reshape(-1).tolist()):
        whole[:, axis] = pads.reshape(2, -1)[:, place]
    inputs = [r.input(0), r.value(whole.reshape(-1), "int64"), *([r.input(2)] if r.has(2) else [])]
    r.out(r.op("Pad", *inputs, mode=r.attribute("mode", b"constant").decode()))
    return True


def tile(r: Rewrite) -> bool:
    """Each axis beside a new one, which is repeated."""
    counts = r.constant(1)
    if counts is None:
        raise r.refused("its repeats are not constant")
    shape, times = r.spec(0).shape, counts.reshape(-1).tolist()
    apart = r.shaped(r.input(0), [n for size in shape for n in (1, size)])
    many = r.op("Expand", apart, r.value([n for c, size in zip(times, shape, strict=True) for n in (c, size)], "int64"))
    r.out(r.shaped(many, [c * size for c, size in zip(times, shape, strict=True)]))
    return True


def resize(r: Rewrite) -> bool:
    """Resampling is linear and works on each axis alone: its weights are what the reference makes of an identity."""
    if r.opset < 11 or r.attribute("coordinate_transformation_mode", b"") == b"tf_crop_and_resize":
        return False
    if r.attribute("keep_aspect_ratio_policy", b"stretch") != b"stretch":
        return False
    shape = r.spec(0).shape
    axes = [int(a) % len(shape) for a in r.attribute("axes") or range(len(shape))]
    scales, sizes = r.constant(2), r.constant(3)
    given = sizes if r.has(3) and sizes is not None and sizes.size else scales
    if given is None or given.size != len(axes):
        raise r.refused("its scales or sizes are not constant")
    value = r.input(0)
    floats = r.spec(0).dtype.startswith("float")
    nearest = r.attribute("mode", b"nearest") == b"nearest"
    if not floats and not nearest:
        value = r.cast(value, "float32")
    size = list(shape)
    for axis, wanted in zip(axes, given.tolist(), strict=True):
        if wanted == (size[axis] if given is sizes else 1):
            continue
        weights = _weights(r, size[axis], wanted, given is sizes)
        size[axis] = weights.shape[0]
        value = _resampled(r, value, weights, axis, size, nearest)
    if not floats and not nearest:
        raise r.refused(f"it interpolates {r.spec(0).dtype} values")
    r.out(value)
    return True


def _weights(r: Rewrite, length: int, wanted: float, sized: bool) -> NDArray[Any]:
    """[made, given] of one axis."""
    if length > MAX_POINTS:
        raise r.refused(f"it resamples an axis of more than {MAX_POINTS} elements")
    kept = [a for a in r.node.attribute if a.name not in ("axes", "keep_aspect_ratio_policy")]
    node = helper.make_node("Resize", ["x", "", "", "n"] if sized else ["x", "", "n"], ["y"], name=r.node.name)
    node.attribute.extend(kept)
    how = np.array([wanted, length], np.int64) if sized else np.array([wanted, 1], np.float32)
    return evaluate(node, max(r.opset, 13), {"x": np.eye(length, dtype=np.float32), "n": how})["y"]


def _resampled(r: Rewrite, value: str, weights: NDArray[Any], axis: int, size: list[int], nearest: bool) -> str:
    if nearest:
        return r.op("Gather", value, r.value(weights.argmax(axis=1), "int64"), axis=axis)
    taps = int((weights != 0).sum(axis=1).max())
    dtype = r.spec(0).dtype if r.spec(0).dtype.startswith("float") else "float32"
    shape = [weights.shape[0] if n == axis else 1 for n in range(len(size))]
    if taps > MOST_TAPS:
        order = [n for n in range(len(size)) if n != axis] + [axis]
        product = r.op("MatMul", r.op("Transpose", value, perm=order), r.value(weights.T, dtype))
        return r.op("Transpose", product, perm=[order.index(n) for n in range(len(order))])
    places = np.argsort(weights == 0, axis=1, kind="stable")[:, :taps]
    total = ""
    for tap in range(taps):
        share = np.take_along_axis(weights, places[:, tap : tap + 1], axis=1).reshape(shape)
        part = r.op("Gather", value, r.value(places[:, tap], "int64"), axis=axis)
        part = r.op("Mul", part, r.value(share, dtype))
        total = r.op("Add", total, part) if total else part
    return total


def norm(r: Rewrite) -> bool:
    """LpNormalization; what has norm 0 stays 0."""
    dtype = r.spec(0).dtype
    axis, x = int(r.attribute("axis", -1)), r.input(0)
    one = r.attribute("p", 2) == 1
    length = r.total(r.op("Abs", x) if one else r.op("Mul", x, x), [axis])
    length = length if one else r.op("Sqrt", length)
    none = r.op("Equal", length, r.value(0, dtype))
    r.out(r.op("Div", x, r.op("Where", none, r.value(1, dtype), length)))
    return True


def eye(r: Rewrite) -> bool:
    """EyeLike: a constant."""
    rows, columns = r.spec(0).shape
    kind = r.attribute("dtype")
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(int(kind))).name if kind else r.spec(0).dtype
    r.out(r.op("Expand", r.value(np.eye(rows, columns, int(r.attribute("k", 0))), dtype), r.value([1, 1], "int64")))
    return True


def fourier(r: Rewrite) -> bool:
    """DFT: a product with the transform's matrix, for real and imaginary parts."""
    spec, length = r.spec(0), r.constant(1)
    if r.has(2):
        place = r.constant(2)
        if place is None:
            raise r.refused("its axis is not constant")
        axis = int(place.reshape(-1)[0])
    else:
        axis = int(r.attribute("axis", 1 if r.opset < 20 else -2))
    axis %= len(spec.shape)
    given = spec.shape[axis]
    if r.has(1) and length is None:
        raise r.refused("its length is not constant")
    points = int(length.reshape(-1)[0]) if length is not None else given
    inverse, onesided = bool(r.attribute("inverse", 0)), bool(r.attribute("onesided", 0))
    if points > MAX_POINTS or (inverse and onesided):
        raise r.refused("its length or kind is not compiled")
    rows = points // 2 + 1 if onesided else points
    used = min(given, points)
    angle = 2 * np.pi * np.outer(np.arange(used), np.arange(rows)) / points * (1 if inverse else -1)
    scale = 1 / points if inverse else 1.0
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    order = [n for n in range(len(spec.shape) - 1) if n != axis]
    parts = []
    for part in range(spec.shape[-1]):
        one = r.part(r.part(r.input(0), len(spec.shape) - 1, part, part + 1), axis, 0, used)
        parts.append(r.op("Transpose", one, perm=[*order, len(spec.shape) - 1, axis]))
    real = r.op("MatMul", parts[0], r.value(cosine, spec.dtype))
    imaginary = r.op("MatMul", parts[0], r.value(sine, spec.dtype))
    if len(parts) == 2:
        real = r.op("Sub", real, r.op("MatMul", parts[1], r.value(sine, spec.dtype)))
        imaginary = r.op("Add", imaginary, r.op("MatMul", parts[1], r.value(cosine, spec.dtype)))
    both = r.op("Concat", real, imaginary, axis=len(order))  # [..., 2, rows]
    now = [*order, len(spec.shape) - 1, axis]
    r.out(r.op("Transpose", both, perm=[now.index(n) for n in range(len(now))]))
    return True


def transposed_convolution(r: Rewrite) -> bool:
    """ConvTranspose that names its output's shape: the pads that give it."""
    wanted = r.attribute("output_shape")
    if wanted is None:
        return False
    spatial = r.spec(0).shape[2:]
    ones = [1] * len(spatial)
    strides, dilations = r.attribute("strides") or ones, r.attribute("dilations") or ones
    extra = r.attribute("output_padding") or [0] * len(spatial)
    kernel = r.attribute("kernel_shape") or list(r.spec(1).shape[2:])
    begins, ends = [], []
    upper = r.attribute("auto_pad", b"NOTSET") == b"SAME_UPPER"
    for n, size in enumerate(spatial):
        natural = strides[n] * (size - 1) + extra[n] + (kernel[n] - 1) * dilations[n] + 1
        total = natural - wanted[len(wanted) - len(spatial) + n]
        if total < 0:  # the output is longer: more of the padding behind it
            extra = [e - total if m == n else e for m, e in enumerate(extra)]
            total = 0
        half = total // 2
        begins.append(half if upper else total - half)
        ends.append(total - half if upper else half)
    inputs = [r.input(n) for n in range(len(r.node.input)) if r.has(n)]
    r.out(
        r.op(
            "ConvTranspose", *inputs, strides=list(strides), dilations=list(dilations), output_padding=list(extra),
            kernel_shape=list(kernel), group=r.attribute("group", 1), pads=[*begins, *ends],
        )
    )  # fmt: skip
    return True


def roi_align(r: Rewrite) -> bool:
    """Of TVM's two ways only the average is ONNX's."""
    if r.attribute("mode", b"avg") != b"avg":
        raise r.refused("mode=max is not compiled")
    return False
