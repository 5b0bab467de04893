"""Rules for recurrent layers, running sums and selection along an axis: written out step by step, or by comparing."""

from __future__ import annotations

from typing import Any

import numpy as np

from edgekit.backends.tvm.onnx.rules.building import Rewrite

MAX_STEPS = 256
MAX_COMPARED = 1 << 24
"""Pairs of elements that TopK compares."""


def running(r: Rewrite) -> bool:
    """CumSum and CumProd by doubling distances: log2(n) additions of shifted copies (Hillis & Steele 1986)."""
    x, spec = r.input(0), r.spec(0)
    place = r.constant(1)
    if place is None or not spec.shape:
        raise r.refused("its axis is not constant")
    combine, neutral = ("Add", 0) if r.node.op_type == "CumSum" else ("Mul", 1)
    axis = int(place.reshape(-1)[0]) % len(spec.shape)
    length = spec.shape[axis]
    backwards = bool(r.attribute("reverse", 0))
    value = r.mirrored(x, axis, length) if backwards else x

    def shifted(value: str, by: int) -> str:
        shape = [by if n == axis else size for n, size in enumerate(spec.shape)]
        fill = r.value(np.full(shape, neutral), spec.dtype)
        return r.op("Concat", fill, r.part(value, axis, 0, length - by), axis=axis)

    if r.attribute("exclusive", 0):
        value = shifted(value, 1) if length > 1 else r.value(np.full(spec.shape, neutral), spec.dtype)
    distance = 1
    while distance < length:
        value = r.op(combine, value, shifted(value, distance))
        distance *= 2
    r.out(r.mirrored(value, axis, length) if backwards else value)
    return True


def top_k(r: Rewrite) -> bool:
    """Each element's rank is how many come before it; result n is the element of rank n."""
    spec, count = r.spec(0), r.constant(1)
    if count is None and r.attribute("k") is None:
        raise r.refused("its k is not constant")
    k = int(count.reshape(-1)[0]) if count is not None else int(r.attribute("k"))
    axis = int(r.attribute("axis", -1)) % len(spec.shape)
    length = spec.shape[axis]
    if spec.elements * max(length, k) > MAX_COMPARED:
        raise r.refused(f"it compares more than {MAX_COMPARED} pairs of elements")
    order = [n for n in range(len(spec.shape)) if n != axis] + [axis]
    outer = [spec.shape[n] for n in order[:-1]]
    x = r.op("Transpose", r.input(0), perm=order)
    rows, columns = r.shaped(x, [*outer, length, 1]), r.shaped(x, [*outer, 1, length])
    first = "Greater" if r.attribute("largest", 1) else "Less"
    earlier = r.value(np.tri(length, k=-1), "bool")  # [i, j]: j < i
    before = r.op("Or", r.op(first, columns, rows), r.op("And", r.op("Equal", columns, rows), earlier))
    rank = r.op("ReduceSum", r.cast(before, "int32"), r.value([-1], "int64"), keepdims=0)
    here = r.op("Equal", r.shaped(rank, [*outer, 1, length]), r.value(np.arange(k).reshape(k, 1), "int32"))
    back = [order.index(n) for n in range(len(order))]
    found = []
    for source, dtype in ((columns, spec.dtype), (r.value(np.arange(length), "int64"), "int64")):
        picked = r.op("Where", here, source, r.value(0, dtype))
        found.append(r.op("Transpose", r.total(picked, [-1], keep=False), perm=back))
    r.out(found[0])
    r.out(found[1], 1)
    return True


def one_hot(r: Rewrite) -> bool:
    """Compares indices with their positions; one out of range matches none."""
    depth = r.constant(1)
    if depth is None:
        raise r.refused("its depth is not constant")
    shape, count = list(r.spec(0).shape), int(depth.reshape(-1)[0])
    axis = int(r.attribute("axis", -1)) % (len(shape) + 1)
    indices = r.cast(r.input(0), "int64")
    size = r.value(count, "int64")
    wrapped = r.op("Where", r.op("Less", indices, r.value(0, "int64")), r.op("Add", indices, size), indices)
    places = r.value(np.arange(count).reshape([count if n == axis else 1 for n in range(len(shape) + 1)]), "int64")
    hit = r.op("Equal", r.shaped(wrapped, [*shape[:axis], 1, *shape[axis:]]), places)
    off, on = (r.shaped(r.part(r.input(2), 0, n, n + 1), []) for n in (0, 1))
    r.out(r.op("Where", hit, on, off))
    return True


def reverse_sequence(r: Rewrite) -> bool:
    """The first elements of each sequence mirrored: from ``length - 1 - t`` where t is below the length."""
    shape = r.spec(0).shape
    batch, time = int(r.attribute("batch_axis", 1)), int(r.attribute("time_axis", 0))
    lengths = r.shaped(r.input(1), [size if n == batch else 1 for n, size in enumerate(shape)])
    steps = np.arange(shape[time]).reshape([-1 if n == time else 1 for n in range(len(shape))])
    t = r.value(steps, "int64")
    turned = r.op("Sub", r.op("Sub", lengths, r.value(1, "int64")), t)
    places = r.op("Where", r.op("Less", t, lengths), turned, t)
    r.out(r.op("GatherElements", r.input(0), r.op("Expand", places, r.value(shape, "int64")), axis=time))
    return True


_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_DEFAULTS = {"LSTM": ("Sigmoid", "Tanh", "Tanh"), "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",)}
_PLAIN = {"Sigmoid", "Tanh", "Relu"}


class _Direction:
    """One direction of a recurrent layer: weights, states, activations."""

    def __init__(self, r: Rewrite, number: int, hidden: int) -> None:
        kind = r.node.op_type
        self.r, self.kind, self.hidden, self.number = r, kind, hidden, number
        self.dtype = r.spec(0).dtype
        names = r.attribute("activations")
        wanted = [name.decode() for name in names] if names else list(_DEFAULTS[kind]) * 2
        size = len(_DEFAULTS[kind])
        self.functions = wanted[number * size : (number + 1) * size]
        if any(name not in _PLAIN for name in self.functions) or r.attribute("clip") is not None:
            raise r.refused(f"its activations are not among {', '.join(sorted(_PLAIN))}, or it clips")
        self.w, self.r_weights = self._matrix(1), self._matrix(2)
        gates = _GATES[kind]
        bias = r.shaped(r.part(r.input(3), 0, number, number + 1), [2, gates * hidden]) if r.has(3) else ""
        zero = r.value(np.zeros(gates * hidden), self.dtype)
        self.wb, self.rb = (
            (r.shaped(r.part(bias, 0, n, n + 1), [gates * hidden]) if bias else zero) for n in (0, 1)
        )  # fmt: skip

    def _matrix(self, place: int) -> str:
        """[gates * hidden, n] as [n, gates * hidden]."""
        shape = self.r.spec(place).shape
        one = self.r.shaped(self.r.part(self.r.input(place), 0, self.number, self.number + 1), shape[1:])
        return self.r.op("Transpose", one, perm=[1, 0])

    def state(self, place: int, batch: int) -> str:
        """The initial state, zeros where none is given."""
        if not self.r.has(place):
            return self.r.value(np.zeros((batch, self.hidden)), self.dtype)
        axis = int(self.r.attribute("layout", 0))
        one = self.r.part(self.r.input(place), axis, self.number, self.number + 1)
        return self.r.shaped(one, [batch, self.hidden])

    def gate(self, value: str, number: int) -> str:
        return self.r.part(value, 1, number * self.hidden, (number + 1) * self.hidden)


def recurrent(r: Rewrite) -> bool:
    """LSTM, GRU and RNN with each step written out. Formulas: onnx/defs/rnn."""
    if r.attribute("input_forget", 0):
        raise r.refused("input_forget=1 is not compiled")
    across = bool(r.attribute("layout", 0))
    steps, batch, depth = r.spec(0).shape
    if across:
        steps, batch = batch, steps
    lengths = r.constant(4)
    if r.has(4) and (lengths is None or (lengths != steps).any()):
        raise r.refused("its sequences have other lengths than the input, or unknown ones")
    if steps > MAX_STEPS:
        raise r.refused(f"it has {steps} steps; up to {MAX_STEPS} are written out")
    hidden = int(r.spec(2).shape[2])
    way = (r.attribute("direction", b"forward") or b"forward").decode()
    if (2 if way == "bidirectional" else 1) != r.spec(1).shape[0]:
        raise r.refused("its direction does not fit its weights")
    every, last, cells = [], [], []
    for number in range(r.spec(1).shape[0]):
        d = _Direction(r, number, hidden)
        backwards = way == "reverse" or number == 1
        outputs, h, c = _STEPS[r.node.op_type](d, steps, batch, depth, backwards)
        every.append(r.op("Concat", *(r.shaped(y, [1, 1, batch, hidden]) for y in outputs), axis=0))
        last.append(r.shaped(h, [1, batch, hidden]))
        cells.append(r.shaped(c, [1, batch, hidden]) if c else "")
    whole = r.op("Concat", *every, axis=1)  # [steps, directions, batch, hidden]
    r.out(r.op("Transpose", whole, perm=[2, 0, 1, 3]) if across else whole)
    for place, states in ((1, last), (2, cells)):
        if all(states) and r.wants(place):
            state = r.op("Concat", *states, axis=0)
            r.out(r.op("Transpose", state, perm=[1, 0, 2]) if across else state, place)
    return True


def _inputs(d: _Direction, steps: int, batch: int, depth: int) -> list[str]:
    """What the inputs add to the gates, of all steps at once."""
    r = d.r
    given = r.op("Transpose", r.input(0), perm=[1, 0, 2]) if r.attribute("layout", 0) else r.input(0)
    rows = r.shaped(given, [steps * batch, depth])
    gates = r.op("Add", r.op("MatMul", rows, d.w), d.wb)
    return [r.part(gates, 0, t * batch, (t + 1) * batch) for t in range(steps)]


def _ordered(steps: int, backwards: bool) -> list[int]:
    return list(range(steps))[::-1] if backwards else list(range(steps))


Steps = tuple[list[str], str, str]


def _lstm(d: _Direction, steps: int, batch: int, depth: int, backwards: bool) -> Steps:
    r = d.r
    f, g, last = d.functions
    h, c = d.state(5, batch), d.state(6, batch)
    peepholes: list[str] = []
    if r.has(7):
        held = r.shaped(r.part(r.input(7), 0, d.number, d.number + 1), [3, d.hidden])
        peepholes = [r.part(held, 0, n, n + 1) for n in range(3)]
    outputs = [""] * steps
    given = _inputs(d, steps, batch, depth)
    for t in _ordered(steps, backwards):
        gates = r.op("Add", r.op("Add", given[t], r.op("MatMul", h, d.r_weights)), d.rb)
        i, o, forget, new = (d.gate(gates, n) for n in range(4))
        if peepholes:
            i = r.op("Add", i, r.op("Mul", peepholes[0], c))
            forget = r.op("Add", forget, r.op("Mul", peepholes[2], c))
        i, forget, new = r.op(f, i), r.op(f, forget), r.op(g, new)
        c = r.op("Add", r.op("Mul", forget, c), r.op("Mul", i, new))
        if peepholes:
            o = r.op("Add", o, r.op("Mul", peepholes[1], c))
        h = r.op("Mul", r.op(f, o), r.op(last, c))
        outputs[t] = h
    return outputs, h, c


def _gru(d: _Direction, steps: int, batch: int, depth: int, backwards: bool) -> Steps:
    r = d.r
    f, g = d.functions
    h, outputs = d.state(5, batch), [""] * steps
    given = _inputs(d, steps, batch, depth)
    before = bool(r.attribute("linear_before_reset", 0))
    parts = [r.part(d.r_weights, 1, n * d.hidden, (n + 1) * d.hidden) for n in range(3)]
    biases = [r.part(d.rb, 0, n * d.hidden, (n + 1) * d.hidden) for n in range(3)]
    one = r.value(1, d.dtype)

    def recurrent_part(state: str, n: int) -> str:
        return r.op("Add", r.op("MatMul", state, parts[n]), biases[n])

    for t in _ordered(steps, backwards):
        z = r.op(f, r.op("Add", d.gate(given[t], 0), recurrent_part(h, 0)))
        reset = r.op(f, r.op("Add", d.gate(given[t], 1), recurrent_part(h, 1)))
        inner = r.op("Mul", reset, recurrent_part(h, 2)) if before else recurrent_part(r.op("Mul", reset, h), 2)
        new = r.op(g, r.op("Add", d.gate(given[t], 2), inner))
        h = r.op("Add", r.op("Mul", r.op("Sub", one, z), new), r.op("Mul", z, h))
        outputs[t] = h
    return outputs, h, ""


def _rnn(d: _Direction, steps: int, batch: int, depth: int, backwards: bool) -> Steps:
    r = d.r
    h, outputs = d.state(5, batch), [""] * steps
    given = _inputs(d, steps, batch, depth)
    for t in _ordered(steps, backwards):
        h = r.op(d.functions[0], r.op("Add", r.op("Add", given[t], r.op("MatMul", h, d.r_weights)), d.rb))
        outputs[t] = h
    return outputs, h, ""


_STEPS: dict[str, Any] = {"LSTM": _lstm, "GRU": _gru, "RNN": _rnn}
