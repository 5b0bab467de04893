"""Operators on feature maps ``[b, height, width, channels]``: pooling, resizing, blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.training.operators.call import Call, Kind
from edgekit.training.operators.layers import PADDING


def _pooled(call: Call, name: str, x: Any) -> Any:
    o = call.options
    window, strides = (o.filterHeight, o.filterWidth), (o.strideH, o.strideW)
    return call.shaped(getattr(call.tf.nn, name)(x, window, strides, PADDING[o.padding]))


def _pool(name: str) -> Callable[[Call], Any]:
    return lambda call: _pooled(call, name, call.rows())


def _l2_pool(call: Call) -> Any:
    """The root of the mean square; where a window is all zeros its gradient is 0."""
    mean = _pooled(call, "avg_pool2d", call.tf.square(call.rows()))
    some = mean > 0
    return call.tf.where(some, call.tf.sqrt(call.tf.where(some, mean, 1)), 0)


def _sources(call: Call, size: int, wanted: int) -> NDArray[np.float32]:
    """Where the ``wanted`` places of a resized dimension lie in one of ``size``, in LiteRT's own float32."""
    o = call.options
    corners = o.alignCorners and wanted > 1
    scale = np.float32((size - 1) / (wanted - 1)) if corners else np.float32(size) / np.float32(wanted)
    half = np.float32(0.5 if o.halfPixelCenters else 0.0)
    return np.asarray((np.arange(wanted, dtype=np.float32) + half) * scale, np.float32)


def _nearest(call: Call) -> Any:
    """Source: LiteRT, reference/resize_nearest_neighbor.h (rounds half up with aligned corners, else down)."""
    x = call.rows()
    for place in (1, 2):
        size, wanted = call.shapes[0][place], call.shape[place]
        at = _sources(call, size, wanted) + np.float32(0.5 if call.options.alignCorners else 0.0)
        x = call.tf.gather(x, np.clip(np.floor(at).astype(int), 0, size - 1), axis=place)
    return call.shaped(x)


def _bilinear(call: Call) -> Any:
    """Source: LiteRT, reference/resize_bilinear.h: one dimension after the other."""
    x = call.rows()
    for place in (1, 2):
        size, wanted = call.shapes[0][place], call.shape[place]
        at = _sources(call, size, wanted) - np.float32(0.5 if call.options.halfPixelCenters else 0.0)
        low = np.maximum(np.floor(at), 0)
        share = (at - low).reshape((1, -1, 1, 1) if place == 1 else (1, 1, -1, 1))
        below = call.tf.gather(x, low.astype(int), axis=place)
        above = call.tf.gather(x, np.clip(np.ceil(at), 0, size - 1).astype(int), axis=place)
        x = below + (above - below) * share.astype(call.dtype)
    return call.shaped(x)


def _blocks(name: str) -> Callable[[Call], Any]:
    return lambda call: call.shaped(getattr(call.tf.nn, name)(call.rows(), call.options.blockSize))


def _space_to_batch(call: Call) -> Any:
    """TensorFlow puts the blocks before the samples; here they come behind, in LiteRT's first dimension."""
    tf, blocks = call.tf, call.ints(1)
    y = tf.space_to_batch(call.rows(), blocks, np.array(call.ints(2)).reshape(-1, 2))
    count, first = int(np.prod(blocks)), call.shapes[0][0]
    y = tf.reshape(y, (count, -1, first, *call.shape[1:]))
    return call.shaped(tf.transpose(y, (1, 0, *range(2, len(y.shape)))))


def _batch_to_space(call: Call) -> Any:
    tf, blocks = call.tf, call.ints(1)
    count, first = int(np.prod(blocks)), call.shape[0]
    x = tf.reshape(call.x(0), (-1, count, first, *call.shapes[0][1:]))
    x = tf.reshape(tf.transpose(x, (1, 0, *range(2, len(x.shape)))), (-1, *call.shapes[0][1:]))
    return call.shaped(tf.batch_to_space(x, blocks, np.array(call.ints(2)).reshape(-1, 2)))


def _local_response(call: Call) -> Any:
    """Normalize: x / (bias + alpha * sum of squares over 2 radius + 1 channels) ** beta."""
    o, x = call.options, call.x(0)
    pads = np.zeros((len(x.shape), 2), int)
    pads[-1] = o.radius
    squares = call.tf.pad(call.tf.square(x), pads)
    total = sum(squares[..., i : i + call.shape[-1]] for i in range(2 * o.radius + 1))
    return x / (o.bias + o.alpha * total) ** o.beta


PICTURES: dict[str, Kind] = {
    "MAX_POOL_2D": Kind(_pool("max_pool2d")),
    "AVERAGE_POOL_2D": Kind(_pool("avg_pool2d")),
    "L2_POOL_2D": Kind(_l2_pool),
    "RESIZE_BILINEAR": Kind(_bilinear),
    "RESIZE_NEAREST_NEIGHBOR": Kind(_nearest),
    "SPACE_TO_DEPTH": Kind(_blocks("space_to_depth")),
    "DEPTH_TO_SPACE": Kind(_blocks("depth_to_space")),
    "SPACE_TO_BATCH_ND": Kind(_space_to_batch, known=(1, 2)),
    "BATCH_TO_SPACE_ND": Kind(_batch_to_space, known=(1, 2)),
    "LOCAL_RESPONSE_NORMALIZATION": Kind(_local_response),
}
