"""What each operator computes, in differentiable TensorFlow: one function an operator, found by table.

Shapes are LiteRT's (NHWC), except that the leading dimension of activations is the batch, of any size. Each function
takes a :class:`Call` and returns the operator's only output; fused activations are applied by the caller.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Call:
    """One operator at work: TensorFlow, its inputs (None where absent), its options, its output's shape for batch 1."""

    tf: Any
    inputs: list[Any]
    options: Any
    shape: tuple[int, ...]


_PADDING = {0: "SAME", 1: "VALID"}
FUSED: dict[int, Callable[[Any, Any], Any]] = {
    0: lambda tf, x: x,
    1: lambda tf, x: tf.nn.relu(x),
    2: lambda tf, x: tf.clip_by_value(x, -1.0, 1.0),
    3: lambda tf, x: tf.nn.relu6(x),
    4: lambda tf, x: tf.tanh(x),
}
"""Fused activations by the schema's ActivationFunctionType."""


def _with_bias(call: Call, y: Any) -> Any:
    bias = call.inputs[2] if len(call.inputs) > 2 else None
    return y if bias is None else y + bias


def _conv(call: Call) -> Any:
    """Weights ``[out, h, w, in]``."""
    o = call.options
    kernel = call.tf.transpose(call.inputs[1], (1, 2, 3, 0))
    dilations = (o.dilationHFactor, o.dilationWFactor)
    # tf.nn.conv2d has no gradient for dilations on a CPU; tf.nn.convolution spreads them over space and batch.
    run = call.tf.nn.conv2d if dilations == (1, 1) else call.tf.nn.convolution
    y = run(call.inputs[0], kernel, (o.strideH, o.strideW), _PADDING[o.padding], dilations=dilations)
    return _with_bias(call, y)


def _depthwise(call: Call) -> Any:
    """Weights ``[1, h, w, channels * multiplier]``; the multiplier runs fastest."""
    o, (x, w) = call.options, call.inputs[:2]
    kernel = call.tf.reshape(w, (w.shape[1], w.shape[2], x.shape[3], w.shape[3] // x.shape[3]))
    strides = (1, o.strideH, o.strideW, 1)
    dilations = (o.dilationHFactor, o.dilationWFactor)
    y = call.tf.nn.depthwise_conv2d(x, kernel, strides, _PADDING[o.padding], dilations=dilations)
    return _with_bias(call, y)


def _dense(call: Call) -> Any:
    """Weights ``[out, in]``; all but the last ``in`` values of a sample are further rows, as in LiteRT."""
    w = call.inputs[1]
    rows = call.tf.reshape(call.inputs[0], (-1, w.shape[1]))
    return _batched(call, _with_bias(call, call.tf.matmul(rows, w, transpose_b=True)))


def _batched(call: Call, y: Any) -> Any:
    return call.tf.reshape(y, (-1, *call.shape[1:]))


def _pool(kind: str) -> Callable[[Call], Any]:
    def pool(call: Call) -> Any:
        o = call.options
        window, strides = (o.filterHeight, o.filterWidth), (o.strideH, o.strideW)
        return getattr(call.tf.nn, kind)(call.inputs[0], window, strides, _PADDING[o.padding])

    return pool


def _mean(call: Call) -> Any:
    axes = [int(a) for a in np.asarray(call.inputs[1]).reshape(-1)]
    return call.tf.reduce_mean(call.inputs[0], axes, keepdims=call.options.keepDims)


def _pad(call: Call) -> Any:
    value = call.inputs[2] if len(call.inputs) > 2 else 0
    return call.tf.pad(call.inputs[0], np.asarray(call.inputs[1]), constant_values=value)


def _softmax(call: Call) -> Any:
    return call.tf.nn.softmax(call.inputs[0] * call.options.beta)


def _prelu(call: Call) -> Any:
    x, alpha = call.inputs
    return call.tf.nn.relu(x) - alpha * call.tf.nn.relu(-x)


def _binary(name: str) -> Callable[[Call], Any]:
    return lambda call: getattr(call.tf, name)(*call.inputs)


def _unary(name: str) -> Callable[[Call], Any]:
    """``name`` is a function of ``tf.math`` or ``tf.nn``."""
    return lambda call: (getattr(call.tf.nn, name, None) or getattr(call.tf.math, name))(call.inputs[0])


OPERATORS: dict[str, Callable[[Call], Any]] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "FULLY_CONNECTED": _dense,
    "MAX_POOL_2D": _pool("max_pool2d"),
    "AVERAGE_POOL_2D": _pool("avg_pool2d"),
    "MEAN": _mean,
    "PAD": _pad,
    "PADV2": _pad,
    "RESHAPE": lambda call: _batched(call, call.inputs[0]),
    "SQUEEZE": lambda call: _batched(call, call.inputs[0]),
    "EXPAND_DIMS": lambda call: _batched(call, call.inputs[0]),
    "CONCATENATION": lambda call: call.tf.concat(call.inputs, call.options.axis),
    "SOFTMAX": _softmax,
    "PRELU": _prelu,
    "LEAKY_RELU": lambda call: call.tf.nn.leaky_relu(call.inputs[0], call.options.alpha),
    "HARD_SWISH": lambda call: call.inputs[0] * call.tf.nn.relu6(call.inputs[0] + 3.0) / 6.0,
    "ADD": _binary("add"),
    "SUB": _binary("subtract"),
    "MUL": _binary("multiply"),
    "DIV": _binary("divide"),
    "MAXIMUM": _binary("maximum"),
    "MINIMUM": _binary("minimum"),
    "RELU": _unary("relu"),
    "RELU6": _unary("relu6"),
    "ELU": _unary("elu"),
    "LOGISTIC": _unary("sigmoid"),
    "TANH": _unary("tanh"),
}
"""Every operator that can be trained through."""

PARAMETERS: dict[str, tuple[int, ...]] = {
    "CONV_2D": (1, 2), "DEPTHWISE_CONV_2D": (1, 2), "FULLY_CONNECTED": (1, 2), "PRELU": (1,),
}  # fmt: skip
"""Input positions whose constants are trained. Constants elsewhere (scales of the input, 1/6 of a hard swish) stay."""
