"""The rules: TFLite's operators in MIL's.

Each rule returns the variables of the operator's outputs; the emitter adds fused activations and the rounding to
integers.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.backends.coreml import shapes, windows
from edgekit.backends.coreml.emitter import Emitter, Made, Rule, activated
from edgekit.backends.coreml.operators import BINARY, REDUCTIONS, UNARY
from edgekit.backends.coreml.tools import mb
from edgekit.graph import Operator

_KINDS = {"float32": "", "int32": "int32", "int64": "int32", "bool": "bool"}


def unary(e: Emitter, operator: Operator) -> Made:
    """Emit an elementwise function of one operand."""
    first = e.channels_first(operator.inputs[:1])
    x = (e.picture if first else e.plain)(operator.inputs[0])
    return Made([_function(e, operator, x)], first)


def _function(e: Emitter, operator: Operator, x: Any) -> Any:
    number, o = e.float, operator.options
    match operator.op:
        case "ELU":
            return mb.elu(x=x, alpha=number(1))
        case "LEAKY_RELU":
            return mb.leaky_relu(x=x, alpha=number(o.alpha))
        case "GELU":
            return mb.gelu(x=x, mode="TANH_APPROXIMATION" if o is not None and o.approximate else "EXACT")
        case "HARD_SWISH":
            inner = mb.relu6(x=mb.add(x=x, y=number(3)))
            return mb.mul(x=x, y=mb.mul(x=inner, y=number(1 / 6)))
        case "NEG":
            return mb.mul(x=x, y=number(-1) if e.tensor(operator.inputs[0]).dtype == "float32" else np.int32(-1))
        case "RELU_N1_TO_1":
            return activated(x, 2)
        case "RELU_0_TO_1":
            return mb.clip(x=x, alpha=number(0), beta=number(1))
        case "RSQRT":
            return mb.rsqrt(x=x, epsilon=number(0))
        case "LOG":
            return mb.log(x=x, epsilon=number(0))
        case _:
            return getattr(mb, UNARY[operator.op])(x=x)


def binary(e: Emitter, operator: Operator) -> Made:
    """Emit an elementwise function of two operands that broadcast."""
    a, b, first = operands(e, operator.inputs)
    result = getattr(mb, BINARY[operator.op])(x=a, y=b)
    if operator.op == "SQUARED_DIFFERENCE":
        result = mb.square(x=result)
    return Made([result], first)


def operands(e: Emitter, indices: tuple[int, ...]) -> tuple[Any, ...]:
    """The operands in a layout that fits them all, and whether that has the channels first."""
    first = e.channels_first(indices)
    found = []
    for index in indices:
        if first and index in e.constants and len(e.shape(index)) < 4:
            shape = e.shape(index)
            wide = (*(1,) * (4 - len(shape)), *shape)
            found.append(e.constant(index, shape=tuple(wide[i] for i in (0, 3, 1, 2))) if _one_long(shape) else None)
            if found[-1] is None:
                values = e.rounded(e.real(index).reshape(wide).transpose(0, 3, 1, 2), "a constant")
                found[-1] = mb.const(val=np.ascontiguousarray(values), name=e.names[index])
        elif first and len(e.shape(index)) == 4:
            found.append(e.picture(index))
        else:
            found.append(e.plain(index))
    return (*found, first)


def _one_long(shape: tuple[int, ...]) -> bool:
    """True if at most one dimension is longer than 1, so that reordering the axes is a reshape."""
    return sum(size > 1 for size in shape) <= 1


def prelu(e: Emitter, operator: Operator) -> Made:
    """Emit PRELU; slopes that are not one per channel are composed of simpler operations."""
    slopes = e.real(operator.inputs[1])
    if not _one_long(slopes.shape) or len(e.shape(operator.inputs[0])) != 4 or slopes.size not in (1, slopes.shape[-1]):
        x = e.plain(operator.inputs[0])
        slope = mb.const(val=e.rounded(slopes, "a slope"), name=e.names[operator.inputs[1]])
        below = mb.mul(x=mb.minimum(x=x, y=e.float(0)), y=slope)
        return Made([mb.add(x=mb.relu(x=x), y=below)])
    x = e.picture(operator.inputs[0])
    alpha = np.broadcast_to(slopes.reshape(-1), (x.shape[1],))
    return Made([mb.prelu(x=x, alpha=e.rounded(np.ascontiguousarray(alpha), "a slope"))], True)


def softmax(e: Emitter, operator: Operator) -> Made:
    """Emit SOFTMAX (with its ``beta``) or LOG_SOFTMAX over the last axis."""
    x = e.plain(operator.inputs[0])
    beta = float(getattr(operator.options, "beta", 1.0))
    if operator.op == "SOFTMAX":
        return Made([mb.softmax(x=x if beta == 1 else mb.mul(x=x, y=e.float(beta)), axis=-1)])
    shifted = mb.sub(x=x, y=mb.reduce_max(x=x, axes=[-1], keep_dims=True))
    return Made([mb.sub(x=shifted, y=mb.reduce_log_sum_exp(x=shifted, axes=[-1], keep_dims=True))])


def normalized(e: Emitter, operator: Operator) -> Made:
    """L2_NORMALIZATION along the last dimension (TFLite's reference: no epsilon but 1e-6 under the root's result)."""
    x = e.plain(operator.inputs[0])
    norm = mb.reduce_l2_norm(x=x, axes=[-1], keep_dims=True)
    return Made([mb.real_div(x=x, y=mb.maximum(x=norm, y=e.float(1e-6)))])


def dense(e: Emitter, operator: Operator) -> Made:
    """Emit FULLY_CONNECTED on rows of the input."""
    data, weight = operator.inputs[:2]
    depth, count = e.shape(weight)[1], e.shape(weight)[0]
    x = e.plain(data)
    if e.shape(data) != (rows := (e.tensor(data).elements // depth, depth)):
        x = mb.reshape(x=x, shape=rows)
    bias = operator.inputs[2] if len(operator.inputs) > 2 and operator.inputs[2] >= 0 else None
    if weight in e.constants and (bias is None or bias in e.constants):
        more = {} if bias is None else {"bias": e.rounded(e.real(bias).astype(np.float32).reshape(-1), "a bias")}
        y = mb.linear(x=x, weight=e.constant(weight), **more)
    else:
        y = mb.matmul(x=x, y=e.plain(weight), transpose_y=True)
        y = y if bias is None else mb.add(x=y, y=e.plain(bias))
    result = e.shape(operator.outputs[0])
    return Made([y if result == (rows[0], count) else mb.reshape(x=y, shape=result)])


def matmul(e: Emitter, operator: Operator) -> Made:
    """Emit BATCH_MATMUL."""
    a, b = map(e.plain, operator.inputs)
    o = operator.options
    return Made([mb.matmul(x=a, y=b, transpose_x=bool(o.adjX), transpose_y=bool(o.adjY))])


def reduction(e: Emitter, operator: Operator) -> Made:
    """Emit a reduction over constant axes."""
    index = operator.inputs[0]
    rank = len(e.shape(index))
    axes = sorted({int(a) % rank for a in e.real(operator.inputs[1]).reshape(-1)})
    keep, function = bool(operator.options.keepDims), getattr(mb, REDUCTIONS[operator.op])
    if e.channels_first([index]) and (keep or {1, 2} <= set(axes) or 3 in axes):  # what stays keeps its order
        moved = [(0, 2, 3, 1)[a] for a in axes]
        return Made([function(x=e.picture(index), axes=moved, keep_dims=keep)], keep)
    return Made([function(x=e.plain(index), axes=axes, keep_dims=keep)])


def largest(e: Emitter, operator: Operator) -> Made:
    """Emit ARG_MAX."""
    axis = int(e.real(operator.inputs[1]).reshape(-1)[0])
    return Made([mb.reduce_argmax(x=e.plain(operator.inputs[0]), axis=axis, keep_dims=False)])


def requantized(e: Emitter, operator: Operator) -> Made:
    """QUANTIZE and DEQUANTIZE: the values stay, the emitter rounds them to the output's steps."""
    first = e.channels_first(operator.inputs)
    return Made([(e.picture if first else e.plain)(operator.inputs[0])], first)


def cast(e: Emitter, operator: Operator) -> Made:
    """Emit CAST."""
    first = e.channels_first(operator.inputs)
    x = (e.picture if first else e.plain)(operator.inputs[0])
    return Made([mb.cast(x=x, dtype=_KINDS[e.tensor(operator.outputs[0]).dtype] or e.kind)], first)


def select(e: Emitter, operator: Operator) -> Made:
    """Emit SELECT_V2."""
    condition, a, b, first = operands(e, operator.inputs)
    return Made([mb.select(cond=condition, a=a, b=b)], first)


RULES: dict[str, Rule] = {
    **dict.fromkeys(UNARY, unary), **dict.fromkeys(BINARY, binary), **dict.fromkeys(REDUCTIONS, reduction),
    **windows.RULES, **shapes.RULES,
    "PRELU": prelu, "SOFTMAX": softmax, "LOG_SOFTMAX": softmax, "L2_NORMALIZATION": normalized,
    "FULLY_CONNECTED": dense, "BATCH_MATMUL": matmul, "ARG_MAX": largest, "QUANTIZE": requantized,
    "DEQUANTIZE": requantized, "CAST": cast, "SELECT_V2": select,
}  # fmt: skip
