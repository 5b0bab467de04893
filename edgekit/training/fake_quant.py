"""Fake quantization: apply the effect of integers to float values during training.

The arithmetic is that of TFLite's quantization specification as ai-edge-quantizer applies it: activations of 8 bits are
asymmetric (scale ``(high - low) / 255`` over a range that holds 0, whole zero point), of 16 bits symmetric (``bound /
32767``); weights are symmetric, one scale an output channel (``bound / 127``, ``bound / 7``). Rounding passes its
gradient on (Bengio, Leonard & Courville 2013); ranges are learned through it (Esser et al., "Learned Step Size
Quantization", ICLR 2020; Bhalgat et al., "LSQ+", 2020), as factors of the measured ones, so that one learning rate fits
all. A :class:`Plan` needs no TensorFlow; :class:`FakeQuant` is made in the child.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

LEAST_FACTOR = 0.05
MOMENTUM = 0.99
"""Of the moving average."""
CLIPS = np.linspace(0.3, 1.0, 36)
"""Factors of a channel's largest weight that are tried for its first bound, where there are 4 bits."""


@dataclass(frozen=True)
class Weight:
    """A constant that becomes integers of ``bits``.

    :param axis: each place along it has a scale of its own; None: one for all.
    :param symmetric: as weights are; other constants have a zero point, as activations.
    """

    index: int
    bits: int
    axis: int | None
    symmetric: bool = True


@dataclass(frozen=True)
class Range:
    """Activations that share one scale and zero point.

    :param tensors: indices of those whose values are rounded; the others of the group only pass values on.
    :param owners: indices of all tensors whose range it is.
    :param fixed: the operator's specification fixes the range (a softmax's 0..1): it is not learned.
    """

    tensors: tuple[int, ...]
    owners: tuple[int, ...]
    bits: int
    low: float
    high: float
    fixed: bool


@dataclass(frozen=True)
class Plan:
    """All that is quantized in a Graph, by tensor index."""

    weights: tuple[Weight, ...]
    ranges: tuple[Range, ...]

    def json(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
        return asdict(self)

    @staticmethod
    def of(document: Mapping[str, Any]) -> Plan:
        """Read a plan from what :meth:`json` returned."""
        weights = tuple(Weight(**entry) for entry in document["weights"])
        ranges = [entry | {name: tuple(entry[name]) for name in ("tensors", "owners")} for entry in document["ranges"]]
        return Plan(weights, tuple(Range(**entry) for entry in ranges))


class FakeQuant:
    """The hooks of a plan, and the variables behind them.

    :param variables: the trainable Graph's, by tensor index.
    :param learned: ranges are trained; otherwise they are moving averages of each batch's.
    """

    def __init__(self, tf: Any, plan: Plan, variables: Mapping[int, Any], *, learned: bool) -> None:
        self.tf, self.plan, self._learned = tf, plan, learned
        self._values = variables
        start = [[r.low, r.high] for r in plan.ranges] or np.zeros((0, 2))
        self._measured = tf.Variable(np.array(start, np.float32), trainable=False, name="ranges")
        self._factors = tf.Variable(np.ones((len(plan.ranges), 2), np.float32), name="range_factors")
        self._clips = {
            w.index: tf.Variable(first_bounds(variables[w.index].numpy(), w), name=f"clip{w.index}")
            for w in plan.weights
            if w.bits < 8
        }
        self._seen: dict[int, list[Any]] = {}

    @property
    def trained(self) -> list[Any]:
        """Variables that get gradients."""
        return [*([self._factors] if self._learned and self.plan.ranges else []), *self._clips.values()]

    @property
    def state(self) -> list[Any]:
        """All variables."""
        return [self._measured, self._factors, *self._clips.values()]

    def weight_hooks(self) -> dict[int, Callable[[Any], Any]]:
        """One function a constant."""
        return {w.index: self._weight(w) for w in self.plan.weights}

    def activation_hooks(self) -> dict[int, Callable[[Any], Any]]:
        """One function a tensor that is rounded."""
        return {index: self._activation(number) for number, r in enumerate(self.plan.ranges) for index in r.tensors}

    def forget(self) -> None:
        """Before a forward pass: what earlier ones saw does not count."""
        self._seen = {}

    def seen(self) -> Any:
        """After a forward pass: each range's smallest and largest value in the batch, ``[ranges, 2]``."""
        tf = self.tf
        lows = [tf.reduce_min([low for low, _ in self._seen[n]]) for n in range(len(self.plan.ranges))]
        highs = [tf.reduce_max([high for _, high in self._seen[n]]) for n in range(len(self.plan.ranges))]
        return tf.stack([lows, highs], 1) if lows else tf.zeros((0, 2))

    def average(self, seen: Any) -> None:
        """Move the measured ranges towards a batch's; fixed ones stay."""
        free = np.array([[not r.fixed] for r in self.plan.ranges], np.float32).reshape(-1, 1)
        self._measured.assign_add(free * (1 - MOMENTUM) * (seen - self._measured))

    def ranges(self, tensors: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the present ranges as a calibration's result: low and high, float32 ``[tensors]``, NaN elsewhere."""
        low, high = np.full(tensors, np.nan, np.float32), np.full(tensors, np.nan, np.float32)
        for number, r in enumerate(self.plan.ranges):
            bounds = [float(b) for b in self._bounds(number)]
            low[list(r.owners)], high[list(r.owners)] = bounds
        return low, high

    def clip_weights(self) -> None:
        """Cut the weights at their learned bounds, so that the largest weight gives exactly the trained scale."""
        for w in self.plan.weights:
            if w.index in self._clips:
                bound = self._bound(w, self._values[w.index])
                self._values[w.index].assign(self.tf.clip_by_value(self._values[w.index], -bound, bound))

    def _bounds(self, number: int) -> tuple[Any, Any]:
        tf, r = self.tf, self.plan.ranges[number]
        if r.fixed:
            return r.low, r.high
        pair = self._measured[number]
        if self._learned:
            pair = pair * tf.maximum(self._factors[number], LEAST_FACTOR)
        return tf.minimum(pair[0], 0.0), tf.maximum(pair[1], 0.0)

    def _activation(self, number: int) -> Callable[[Any], Any]:
        r = self.plan.ranges[number]

        def hook(x: Any) -> Any:
            if not self._learned:
                self._seen.setdefault(number, []).append((self.tf.reduce_min(x), self.tf.reduce_max(x)))
            return rounded_activation(self.tf, x, *self._bounds(number), r.bits)

        return hook

    def _weight(self, w: Weight) -> Callable[[Any], Any]:
        tf = self.tf
        if w.symmetric:
            return lambda values: rounded_weight(tf, values, self._bound(w, values), w.bits)

        def constant(values: Any) -> Any:
            low, high = tf.minimum(tf.reduce_min(values), 0.0), tf.maximum(tf.reduce_max(values), 0.0)
            return rounded_activation(tf, values, tf.stop_gradient(low), tf.stop_gradient(high), w.bits)

        return constant

    def _bound(self, w: Weight, values: Any) -> Any:
        tf = self.tf
        largest = tf.stop_gradient(tf.reduce_max(tf.abs(values), _axes(values.shape, w.axis), keepdims=True))
        return tf.minimum(self._clips[w.index], largest) if w.index in self._clips else largest


def rounded_activation(tf: Any, x: Any, low: Any, high: Any, bits: int) -> Any:
    """Return ``x`` as integers of ``bits`` over ``low <= 0 <= high`` would represent it."""
    if bits == 16:
        scale = tf.maximum(tf.maximum(-low, high), 1e-9) / 32767.0
        return _stepped(tf, x, scale, tf.constant(0.0), bits)
    scale = tf.maximum(high - low, 1e-9) / 255.0
    return _stepped(tf, x, scale, _round(tf, -128.0 - low / scale), bits)


def _stepped(tf: Any, x: Any, scale: Any, zero: Any, bits: int) -> Any:
    """``(clip(round(x / scale) + zero) - zero) * scale``, float32, with the derivatives of the same without ``round``.

    They are written out because this is most of what a step costs: TensorFlow's own operator gives the gradient of x
    and its sums below and above the range in one go, and inside it a scale's derivative is ``(y - x) / scale``.
    """
    least, most = (-32767.0, 32767.0) if bits == 16 else (-128.0, 127.0)

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def stepped(x: Any, scale: Any, zero: Any) -> Any:
        low, high = least - zero, most - zero
        y = tf.clip_by_value(tf.round(x / scale), low, high) * scale

        def backward(g: Any) -> tuple[Any, Any, Any]:
            inside, below, above = tf.quantization.fake_quant_with_min_max_vars_gradient(
                g, x, low * scale, high * scale, num_bits=bits, narrow_range=bits == 16
            )
            rounding = tf.tensordot(tf.reshape(inside, [-1]), tf.reshape(y - x, [-1]), 1)
            return inside, rounding / scale + below * low + above * high, -scale * (below + above)

        return y, backward

    return stepped(x, scale, zero)


def rounded_weight(tf: Any, w: Any, bound: Any, bits: int) -> Any:
    """``w`` as symmetric integers of ``bits``, the largest of which is ``bound``."""
    most = float(2 ** (bits - 1) - 1)
    scale = tf.maximum(bound, 1e-9) / most
    return tf.clip_by_value(_round(tf, w / scale), -most, most) * scale


def first_bounds(values: NDArray[Any], weight: Weight) -> NDArray[np.float32]:
    """Each channel's bound with the smallest squared error, among ``CLIPS`` of its largest weight; keeps the rank."""
    axes = _axes(values.shape, weight.axis)
    most = 2 ** (weight.bits - 1) - 1
    largest = np.maximum(np.abs(values).max(axes, keepdims=True), 1e-9).astype(np.float32)
    errors = []
    for clip in CLIPS:
        scale = clip * largest / most
        errors.append(((np.clip(np.rint(values / scale), -most, most) * scale - values) ** 2).sum(axes, keepdims=True))
    best: NDArray[np.float32] = (CLIPS[np.argmin(errors, axis=0)] * largest).astype(np.float32)
    return best


def _axes(shape: Sequence[int], axis: int | None) -> tuple[int, ...]:
    return tuple(n for n in range(len(shape)) if n != axis)


def _round(tf: Any, x: Any) -> Any:
    return x + tf.stop_gradient(tf.round(x) - x)
