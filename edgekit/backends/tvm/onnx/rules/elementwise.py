"""Rules for operators that work on each element, where TVM's frontend lacks a case or computes it wrongly."""

from __future__ import annotations

import numpy as np

from edgekit.backends.tvm.onnx.rules.building import Rewrite


def softplus(r: Rewrite) -> bool:
    """log(1 + e^x), exact for small e^x: with u = 1 + e, log1p(e) = log(u) * e / (u - 1) (Higham 2002, 1.14.1)."""
    dtype = r.spec(0).dtype
    x, one = r.input(0), r.value(1, dtype)
    e = r.op("Exp", r.op("Neg", r.op("Abs", x)))
    u = r.op("Add", e, one)
    above = r.op("Sub", u, one)
    small = r.op("Equal", above, r.value(0, dtype))
    ratio = r.op("Div", e, r.op("Where", small, one, above))
    grown = r.op("Where", small, e, r.op("Mul", r.op("Log", u), ratio))
    r.out(r.op("Add", grown, r.op("Relu", x)))
    return True


def mish(r: Rewrite) -> bool:
    """X tanh(log(1 + e^x)) = x n / (n + 2) with n = e^x (e^x + 2); x itself where e^x is large."""
    dtype = r.spec(0).dtype
    x, two = r.input(0), r.value(2, dtype)
    bound = r.value(5 if dtype == "float16" else 20, dtype)
    e = r.op("Exp", r.op("Min", x, bound))
    n = r.op("Mul", e, r.op("Add", e, two))
    r.out(r.op("Where", r.op("Less", x, bound), r.op("Mul", x, r.op("Div", n, r.op("Add", n, two))), x))
    return True


def is_infinite(r: Rewrite) -> bool:
    """IsInf of one sign only."""
    high, low = r.attribute("detect_positive", 1), r.attribute("detect_negative", 1)
    if high and low:
        return False
    if not high and not low:
        r.out(r.op("Expand", r.value(False, "bool"), r.value(r.spec(0).shape, "int64")))
        return True
    r.out(r.op("Equal", r.input(0), r.value(np.inf if high else -np.inf, r.spec(0).dtype)))
    return True


def divide(r: Rewrite) -> bool:
    """Div of integers, as ONNX's reference has it: by 0 it is 0, and the least by -1 itself. Processors trap."""
    dtype = r.spec(0).dtype
    if dtype.startswith("float"):
        return False
    x = r.input(0)
    safe, zero, minus = _divisor(r, dtype)
    result = r.op("Where", zero, r.value(0, dtype), r.op("Div", x, safe))
    if minus:
        result = r.op("Where", minus, r.op("Sub", r.value(0, dtype), x), result)
    r.out(result)
    return True


def modulo(r: Rewrite) -> bool:
    """Mod of floats whose result has the divisor's sign; of integers, by 0 and by -1 it is 0."""
    dtype = r.spec(0).dtype
    zero = r.value(0, dtype)
    if not dtype.startswith("float"):
        safe, none, minus = _divisor(r, dtype)
        result = r.op("Where", none, zero, r.op("Mod", r.input(0), safe, fmod=r.attribute("fmod", 0)))
        r.out(r.op("Where", minus, zero, result) if minus else result)
        return True
    if r.attribute("fmod", 0):
        return False
    y = r.input(1)
    rest = r.op("Mod", r.input(0), y, fmod=1)
    other = r.op("Xor", r.op("Less", rest, zero), r.op("Less", y, zero))
    off = r.op("And", other, r.op("Not", r.op("Equal", rest, zero)))
    r.out(r.op("Where", off, r.op("Add", rest, y), rest))
    return True


def _divisor(r: Rewrite, dtype: str) -> tuple[str, str, str]:
    """The divisor with 1 in the place of 0 and -1; where it is 0; where it is -1 ("": nowhere)."""
    y, one = r.input(1), r.value(1, dtype)
    zero = r.op("Equal", y, r.value(0, dtype))
    safe = r.op("Where", zero, one, y)
    if dtype.startswith("u"):
        return safe, zero, ""
    minus = r.op("Equal", y, r.value(-1, dtype))
    return r.op("Where", minus, one, safe), zero, minus


def shift(r: Rewrite) -> bool:
    """Shifts by less than 0 or by all bits and more give 0."""
    dtype = r.spec(0).dtype
    if r.attribute("direction") is None:
        return False
    amount, bits = r.input(1), np.dtype(dtype).itemsize * 8
    fits = r.op("Less", amount, r.value(bits, dtype))
    if dtype.startswith("i"):
        fits = r.op("And", fits, r.op("Not", r.op("Less", amount, r.value(0, dtype))))
    safe = r.op("Where", fits, amount, r.value(0, dtype))
    moved = r.op("BitShift", r.input(0), safe, direction=r.attribute("direction").decode())
    rest = r.value(0, dtype)
    if dtype.startswith("i") and r.attribute("direction") == b"RIGHT":
        return False
    r.out(r.op("Where", fits, moved, rest))
    return True


def power(r: Rewrite) -> bool:
    """Pow of other types than two equal floats: in float64, and back."""
    base, exponent = r.spec(0).dtype, r.spec(1).dtype
    if base == exponent and base.startswith("float"):
        return False
    whole = "float64" if not base.startswith("float") else base
    raised = r.op("Pow", r.cast(r.input(0), whole), r.cast(r.input(1), whole))
    if not base.startswith("float") and not exponent.startswith("float"):
        raised = r.op("Round", raised)
    r.out(r.cast(raised, base))
    return True


def celu(r: Rewrite) -> bool:
    """Lower Celu: ``max(0, x) + min(0, alpha * (exp(x / alpha) - 1))``."""
    dtype = r.spec(0).dtype
    alpha, zero, one = r.value(r.attribute("alpha", 1.0), dtype), r.value(0, dtype), r.value(1, dtype)
    x = r.input(0)
    grown = r.op("Mul", alpha, r.op("Sub", r.op("Exp", r.op("Div", r.op("Min", x, zero), alpha)), one))
    r.out(r.op("Add", r.op("Max", x, zero), grown))
    return True


def dropout(r: Rewrite) -> bool:
    """Outside of training the input itself, and a mask of ones."""
    training = r.constant(2)
    if r.has(2) and (training is None or training.reshape(-1)[:1].any()):
        ratio = r.constant(1)
        if training is None or ratio is None or ratio.reshape(-1)[0] != 0:
            raise r.refused("it draws random numbers in training mode")
    if not r.wants(1):
        r.out(r.input(0))
        return True
    r.out(r.input(0))
    r.out(r.op("Expand", r.value(True, "bool"), r.value(r.spec(0).shape, "int64")), 1)
    return True


def batch_norm(r: Rewrite) -> bool:
    """Training mode is refused."""
    if r.attribute("training_mode", 0):
        raise r.refused("it is in training mode")
    return False


def wide(r: Rewrite) -> bool:
    """Operators that sum float16 values, or approximate in them: in float32, and back."""
    if r.spec(0).dtype != "float16":
        return False
    given = [r.cast(r.input(n), "float32") if r.has(n) else "" for n in range(len(r.node.input))]
    attributes = {a.name: r.attribute(a.name) for a in r.node.attribute}
    r.out(r.cast(r.op(r.node.op_type, *given, **attributes), "float16"))
    return True


def extreme(r: Rewrite) -> bool:
    """ReduceMax and ReduceMin: truth values as integers; of infinities alone TVM's are the largest floats."""
    dtype, kind = r.spec(0).dtype, r.node.op_type
    attributes = {a.name: r.attribute(a.name) for a in r.node.attribute}
    rest = [r.input(n) for n in range(1, len(r.node.input))]
    if dtype == "bool":
        r.out(r.cast(r.op(kind, r.cast(r.input(0), "int32"), *rest, **attributes), "bool"))
        return True
    if not dtype.startswith("float"):
        return False
    end = r.value(-np.inf if kind == "ReduceMax" else np.inf, dtype)
    beyond = r.op("Not", r.op("Equal", r.input(0), end))
    ordinary = r.op("ReduceMax", r.cast(beyond, "int32"), *rest, **attributes)
    found = r.op(kind, r.input(0), *rest, **attributes)
    r.out(r.op("Where", r.op("Equal", ordinary, r.value(0, "int32")), end, found))
    return True
