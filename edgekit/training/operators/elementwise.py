"""Operators on elements, with operands broadcast to each other, and reductions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgekit.training.operators.call import Call, Kind, axis


def _function(tf: Any, name: str) -> Any:
    """A function of ``tf.nn``, ``tf.math`` or ``tf``."""
    return next(getattr(place, name) for place in (tf.nn, tf.math, tf) if hasattr(place, name))


def _unary(name: str) -> Callable[[Call], Any]:
    return lambda call: _function(call.tf, name)(call.x(0))


def _binary(name: str) -> Callable[[Call], Any]:
    def binary(call: Call) -> Any:
        rank = len(call.shape)
        return _function(call.tf, name)(call.x(0, rank), call.x(1, rank))

    return binary


def _divide(call: Call) -> Any:
    """Integers are cut towards 0."""
    return _binary("truncatediv" if "int" in call.dtype else "divide")(call)


def _clipped(low: float, high: float) -> Callable[[Call], Any]:
    return lambda call: call.tf.clip_by_value(call.x(0), low, high)


def _select(call: Call) -> Any:
    """All three of one shape, or a condition for each row, or one alone."""
    condition = call.x(0)
    missing = len(call.shape) - len(call.shapes[0])
    condition = call.tf.reshape(condition, (-1, *call.shapes[0], *(1,) * missing))
    return call.tf.where(condition, call.x(1), call.x(2))


def _select_v2(call: Call) -> Any:
    rank = len(call.shape)
    return call.tf.where(*(call.x(place, rank) for place in range(3)))


def _cast(call: Call) -> Any:
    return call.tf.cast(call.x(0), call.dtype)


def _softmax(call: Call) -> Any:
    return call.tf.nn.softmax(call.x(0) * call.options.beta)


def _l2_normalization(call: Call) -> Any:
    """Along the last dimension; lengths below 1e-6 count as 1e-6, as in LiteRT."""
    return call.tf.math.l2_normalize(call.x(0), -1, epsilon=1e-12)


def _cumsum(call: Call) -> Any:
    (place,) = call.axes(1, len(call.shape))
    return call.tf.cumsum(call.x(0), place, exclusive=call.options.exclusive, reverse=call.options.reverse)


def _reduction(name: str) -> Callable[[Call], Any]:
    def reduce(call: Call) -> Any:
        axes = call.axes(1, len(call.shapes[0]))
        return getattr(call.tf, f"reduce_{name}")(call.x(0), axes, keepdims=call.options.keepDims)

    return reduce


def _arg(name: str) -> Callable[[Call], Any]:
    def arg(call: Call) -> Any:
        return getattr(call.tf, name)(call.x(0), axis(call.ints(1)[0], len(call.shapes[0])), output_type=call.dtype)

    return arg


def _sum_of_all(call: Call) -> Any:
    return call.tf.add_n([call.full(place) for place in range(len(call.values))])


_UNARY = {
    "RELU": "relu", "RELU6": "relu6", "ELU": "elu", "LOGISTIC": "sigmoid", "TANH": "tanh", "EXP": "exp", "LOG": "log",
    "SQRT": "sqrt", "RSQRT": "rsqrt", "SQUARE": "square", "NEG": "negative", "ABS": "abs", "SIN": "sin", "COS": "cos",
    "LOG_SOFTMAX": "log_softmax",
}  # fmt: skip
_BINARY = {"POW": "pow", "SQUARED_DIFFERENCE": "squared_difference", "MAXIMUM": "maximum", "MINIMUM": "minimum"}
_AFFINE = {"ADD": "add", "SUB": "subtract", "MUL": "multiply"}
_FLAT_UNARY = {"FLOOR": "floor", "CEIL": "ceil", "ROUND": "round", "SIGN": "sign", "LOGICAL_NOT": "logical_not"}
_FLAT_BINARY = {
    "EQUAL": "equal", "NOT_EQUAL": "not_equal", "LESS": "less", "LESS_EQUAL": "less_equal", "GREATER": "greater",
    "GREATER_EQUAL": "greater_equal", "LOGICAL_AND": "logical_and", "LOGICAL_OR": "logical_or",
    "FLOOR_DIV": "floordiv",
}  # fmt: skip
_REDUCTIONS = {"MEAN": "mean", "SUM": "sum", "REDUCE_MAX": "max", "REDUCE_MIN": "min", "REDUCE_PROD": "prod"}

ELEMENTWISE: dict[str, Kind] = {
    **{op: Kind(_unary(name)) for op, name in _UNARY.items()},
    **{op: Kind(_binary(name)) for op, name in _BINARY.items()},
    **{op: Kind(_binary(name), vectors=(0, 1)) for op, name in _AFFINE.items()},
    **{op: Kind(_unary(name), slopes=False) for op, name in _FLAT_UNARY.items()},
    **{op: Kind(_binary(name), slopes=False) for op, name in _FLAT_BINARY.items()},
    **{op: Kind(_reduction(name), known=(1,)) for op, name in _REDUCTIONS.items()},
    **{f"REDUCE_{n}": Kind(_reduction(n.lower()), known=(1,), slopes=False) for n in ("ANY", "ALL")},
    **{f"ARG_{n}": Kind(_arg(f"arg{n.lower()}"), known=(1,), slopes=False) for n in ("MAX", "MIN")},
    "DIV": Kind(_divide, vectors=(0, 1)),
    "LEAKY_RELU": Kind(lambda call: call.tf.nn.leaky_relu(call.x(0), call.options.alpha)),
    "HARD_SWISH": Kind(lambda call: call.x(0) * call.tf.nn.relu6(call.x(0) + 3.0) / 6.0),
    "GELU": Kind(lambda call: call.tf.nn.gelu(call.x(0), call.options.approximate)),
    "RELU_N1_TO_1": Kind(_clipped(-1.0, 1.0)),
    "RELU_0_TO_1": Kind(_clipped(0.0, 1.0)),
    "SOFTMAX": Kind(_softmax),
    "L2_NORMALIZATION": Kind(_l2_normalization),
    "SELECT": Kind(_select),
    "SELECT_V2": Kind(_select_v2),
    "CAST": Kind(_cast),
    "CUMSUM": Kind(_cumsum, known=(1,)),
    "ADD_N": Kind(_sum_of_all),
}
