"""Rules of convolutions, pools and resizing: what works on pictures with their channels first."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.backends.coreml.emitter import Emitter, Made, Rule
from edgekit.backends.coreml.tools import mb
from edgekit.graph import Operator
from edgekit.graph.padding import SAME, sides


def _pads(e: Emitter, operator: Operator, window: tuple[int, int], dilations: tuple[int, int] = (1, 1)) -> list[int]:
    """MIL's ``pad``: top, bottom, left, right."""
    x, y = e.shape(operator.inputs[0]), e.shape(operator.outputs[0])
    rows, columns = sides(operator.options, x, y, window, dilations)
    return [*rows, *columns]


def _bias(e: Emitter, operator: Operator, place: int) -> dict[str, Any]:
    if len(operator.inputs) <= place or operator.inputs[place] < 0:
        return {}
    return {"bias": e.rounded(e.real(operator.inputs[place]).astype(np.float32).reshape(-1), "a bias")}


def convolution(e: Emitter, operator: Operator) -> Made:
    """Emit CONV_2D (also grouped) and DEPTHWISE_CONV_2D."""
    o, data, weight = operator.options, operator.inputs[0], operator.inputs[1]
    shape, channels = e.shape(weight), e.shape(data)[3]
    dilations = (o.dilationHFactor or 1, o.dilationWFactor or 1)
    if operator.op == "DEPTHWISE_CONV_2D":  # [1, h, w, c * m]
        order, groups = (3, 0, 1, 2), channels
    else:  # [out, h, w, c / groups]
        order, groups = (0, 3, 1, 2), channels // shape[3]
    y = mb.conv(
        x=e.picture(data), weight=e.constant(weight, order=order), strides=[o.strideH, o.strideW], pad_type="custom",
        pad=_pads(e, operator, (shape[1], shape[2]), dilations), dilations=list(dilations), groups=groups,
        **_bias(e, operator, 2),
    )  # fmt: skip
    return Made([y], True)


def transposed(e: Emitter, operator: Operator) -> Made:
    """TRANSPOSE_CONV: the inputs are the output's shape, weights ``[out, h, w, in]``, the picture, a bias."""
    o, weight, data = operator.options, operator.inputs[1], operator.inputs[2]
    x, w, y = e.shape(data), e.shape(weight), e.shape(operator.outputs[0])
    pads = []
    for axis, stride in ((1, o.strideH), (2, o.strideW)):
        total = (x[axis] - 1) * stride + w[axis] - y[axis]
        before = total // 2 if o.padding == SAME else 0
        pads += [before, total - before]
    made = mb.conv_transpose(
        x=e.picture(data), weight=e.constant(weight, order=(3, 0, 1, 2)), strides=[o.strideH, o.strideW],
        pad_type="custom", pad=pads, dilations=[1, 1], groups=1, **_bias(e, operator, 3),
    )  # fmt: skip
    return Made([made], True)


def pool(e: Emitter, operator: Operator) -> Made:
    """Emit MAX_POOL_2D and AVERAGE_POOL_2D."""
    o, x = operator.options, e.picture(operator.inputs[0])
    window = (o.filterHeight, o.filterWidth)
    common = {
        "x": x, "kernel_sizes": list(window), "strides": [o.strideH, o.strideW], "pad_type": "custom",
        "pad": _pads(e, operator, window),
    }  # fmt: skip
    if operator.op == "MAX_POOL_2D":
        return Made([mb.max_pool(**common)], True)
    return Made([mb.avg_pool(**common, exclude_padding_from_average=True)], True)


def bilinear(e: Emitter, operator: Operator) -> Made:
    """Emit RESIZE_BILINEAR."""
    o, (height, width) = operator.options, e.shape(operator.outputs[0])[1:3]
    mode = "UNALIGN_CORNERS" if o.halfPixelCenters else "STRICT_ALIGN_CORNERS" if o.alignCorners else "DEFAULT"
    x = e.picture(operator.inputs[0])
    return Made([mb.resize_bilinear(x=x, target_size_height=height, target_size_width=width, sampling_mode=mode)], True)


def nearest(e: Emitter, operator: Operator) -> Made:
    """By whole factors, where all conventions of corners agree."""
    x, y = e.shape(operator.inputs[0]), e.shape(operator.outputs[0])
    picture = e.picture(operator.inputs[0])
    return Made(
        [
            mb.upsample_nearest_neighbor(
                x=picture, scale_factor_height=np.float32(y[1] // x[1]), scale_factor_width=np.float32(y[2] // x[2])
            )
        ],
        True,
    )


RULES: dict[str, Rule] = {
    "CONV_2D": convolution, "DEPTHWISE_CONV_2D": convolution, "TRANSPOSE_CONV": transposed, "MAX_POOL_2D": pool,
    "AVERAGE_POOL_2D": pool, "RESIZE_BILINEAR": bilinear, "RESIZE_NEAREST_NEIGHBOR": nearest,
}  # fmt: skip
