"""A network's description: operators with their shapes, written once and used twice.

:class:`Net` records the operators that TensorFlow's converter writes for a network (batch norms folded, ReLUs fused,
``SAME`` padding). The record gives the features of the cost model in milliseconds, without TensorFlow;
:mod:`bench.measured.build` builds a Graph of the same record.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

FUSED = ("", "relu", "relu6")


@dataclass(frozen=True)
class Value:
    """A tensor of the network: its number and its shape without the batch."""

    id: int
    shape: tuple[int, ...]

    @property
    def channels(self) -> int:
        """Size of the last dimension."""
        return self.shape[-1]


@dataclass(frozen=True)
class Node:
    """One step of a description. ``kind`` is a method of :class:`Net`, ``options`` are its arguments."""

    kind: str
    inputs: tuple[int, ...]
    output: Value
    options: dict[str, Any] = field(default_factory=dict)


def divisible(channels: float, by: int = 8) -> int:
    """Round channels to a multiple, not below 90 % of them (as MobileNets' authors do)."""
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded


class Net:
    """Records operators. Each method returns the output; ``act`` may be empty or the name of an activation."""

    def __init__(self, *shape: int) -> None:
        self.values: list[Value] = [Value(0, shape)]
        self.nodes: list[Node] = []
        self.outputs: list[Value] = []

    @property
    def input(self) -> Value:
        """The network's input."""
        return self.values[0]

    def _add(self, kind: str, inputs: tuple[Value, ...], shape: tuple[int, ...], **options: Any) -> Value:
        value = Value(len(self.values), shape)
        self.values.append(value)
        self.nodes.append(Node(kind, tuple(v.id for v in inputs), value, options))
        return value

    def conv(self, x: Value, filters: int, kernel: int | tuple[int, int] = 1, stride: int = 1, act: str = "", *,
             groups: int = 1, norm: bool = True, padding: str = "same", dilation: int = 1) -> Value:  # fmt: skip
        """Convolution, with a folded batch norm, or with a bias alone."""
        size = (kernel, kernel) if isinstance(kernel, int) else kernel
        h, w = _sizes(x, size, stride, padding, dilation)
        fused = act if act in FUSED else ""
        y = self._add("conv", (x,), (h, w, filters), kernel=size, stride=stride, act=fused, groups=groups, norm=norm,
                      padding=padding, dilation=dilation)  # fmt: skip
        return self.act(y, act if not fused else "")

    def depthwise(self, x: Value, kernel: int, stride: int = 1, act: str = "", *, norm: bool = True,
                  padding: str = "same", dilation: int = 1) -> Value:  # fmt: skip
        """Depthwise convolution, one filter a channel."""
        h, w = _sizes(x, (kernel, kernel), stride, padding, dilation)
        fused = act if act in FUSED else ""
        y = self._add("depthwise", (x,), (h, w, x.channels), kernel=(kernel, kernel), stride=stride, act=fused,
                      norm=norm, padding=padding, dilation=dilation)  # fmt: skip
        return self.act(y, act if not fused else "")

    def dense(self, x: Value, units: int, act: str = "") -> Value:
        """Fully connected layer over the last dimension."""
        fused = act if act in FUSED else ""
        y = self._add("dense", (x,), (*x.shape[:-1], units), act=fused)
        return self.act(y, act if not fused else "")

    def act(self, x: Value, name: str) -> Value:
        """Activation: an operator of its own, or what the converter writes for it."""
        if not name:
            return x
        if name == "silu":
            return self.multiply(x, self.act(x, "sigmoid"))
        return self._add("act", (x,), x.shape, name=name)

    def add(self, a: Value, b: Value, act: str = "") -> Value:
        """Sum, element by element."""
        return self._add("add", (a, b), a.shape, act=act)

    def multiply(self, a: Value, b: Value) -> Value:
        """Product; ``b`` may be one row of channels."""
        return self._add("multiply", (a, b), a.shape)

    def concat(self, *values: Value) -> Value:
        """Joined along the last dimension."""
        return self._add("concat", values, (*values[0].shape[:-1], sum(v.channels for v in values)))

    def split(self, x: Value, start: int, size: int) -> Value:
        """Some channels of a value."""
        return self._add("split", (x,), (*x.shape[:-1], size), start=start)

    def pool(self, x: Value, kernel: int, stride: int, kind: str = "max", padding: str = "same") -> Value:
        """Pooling by maximum or average."""
        h, w = _sizes(x, (kernel, kernel), stride, padding, 1)
        return self._add("pool", (x,), (h, w, x.channels), kernel=kernel, stride=stride, by=kind, padding=padding)

    def mean(self, x: Value, *, keep: bool = False) -> Value:
        """Average over height and width."""
        return self._add("mean", (x,), (1, 1, x.channels) if keep else (x.channels,), keep=keep)

    def resize(self, x: Value, h: int, w: int, by: str = "nearest") -> Value:
        """Resize to height and width."""
        return self._add("resize", (x,), (h, w, x.channels), by=by)

    def reshape(self, x: Value, *shape: int) -> Value:
        """Same elements, other shape."""
        assert math.prod(shape) == math.prod(x.shape), (x.shape, shape)
        return self._add("reshape", (x,), shape)

    def transpose(self, x: Value, *order: int) -> Value:
        """Dimensions in another order (counted from 0, without the batch)."""
        return self._add("transpose", (x,), tuple(x.shape[i] for i in order), order=order)

    def matmul(self, a: Value, b: Value, *, transposed: bool = False) -> Value:
        """Batched product of the last two dimensions; ``transposed``: of ``b``."""
        n = b.shape[-2] if transposed else b.shape[-1]
        return self._add("matmul", (a, b), (*a.shape[:-1], n), transposed=transposed)

    def softmax(self, x: Value) -> Value:
        """Softmax over the last dimension."""
        return self._add("softmax", (x,), x.shape)

    def layer_norm(self, x: Value) -> Value:
        """Layer normalization over the last dimension: what the converter writes for it."""
        return self._add("layer_norm", (x,), x.shape)

    def shuffle(self, x: Value, groups: int) -> Value:
        """Channels in another order (ShuffleNet)."""
        h, w, c = x.shape
        y = self.transpose(self.reshape(x, h, w, groups, c // groups), 0, 1, 3, 2)
        return self.reshape(y, h, w, c)

    def squeeze_excite(self, x: Value, channels: int, act: str = "relu", gate: str = "hard_sigmoid") -> Value:
        """Squeeze-and-excite, with 1x1 convolutions."""
        y = self.conv(self.mean(x, keep=True), channels, 1, act=act, norm=False)
        return self.multiply(x, self.conv(y, x.channels, 1, act=gate, norm=False))

    def output(self, *values: Value) -> Net:
        """Declare the outputs; returns the network."""
        self.outputs += values
        return self


def _sizes(x: Value, kernel: tuple[int, int], stride: int, padding: str, dilation: int) -> tuple[int, int]:
    h, w, _ = x.shape
    if padding == "same":
        return -(-h // stride), -(-w // stride)
    kh, kw = (dilation * (k - 1) + 1 for k in kernel)
    return (h - kh) // stride + 1, (w - kw) // stride + 1
