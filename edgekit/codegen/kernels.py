"""Typed kernels: what a network computes, without a word on where its values lie or in which order loops run.

Every kernel names its operator (``node``), its inputs and its output by the number of a tensor of the network. Weights
are unpacked arrays in the order that TFLite stores them in, converted to nothing. Integer kernels carry what TFLite's
arithmetic takes: real scales, zero points, limits in stored integers; :mod:`edgekit.codegen.fixed_point` makes the
exact fixed-point form of the scales.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.base import (
    BASIC,
    MICROCONTROLLER,
    Epilogue,
    Factor,
    Kernel,
    Limits,
    Padding,
    Requantization,
    Residual,
    Scale,
    Scope,
    scale_of,
)
from edgekit.codegen.recurrent import Gate, LayerNormalization, Lstm, Projection, RealGate, RealLstm, RealSvdf, Svdf
from edgekit.codegen.views import View
from edgekit.graph import Tensor

__all__ = [
    "BASIC", "MICROCONTROLLER", "ArgExtreme", "Conv2D", "Convert", "Convolution", "CumSum", "DepthwiseConv2D",
    "Elementwise", "Epilogue", "Factor", "Gate", "Gather", "Kernel", "L2Normalization", "LayerNormalization", "Limits",
    "LogSoftmax", "Lstm", "Map", "MatMul", "Move", "Network", "Pad", "Padding", "Pool", "Projection",
    "RealGate", "RealLstm", "RealSvdf", "Reduce", "Requantization", "Reshape", "Residual", "Resize", "Scale", "Scope",
    "Softmax", "Spread", "Svdf", "TransposeConv", "Variable", "reads", "scale_of",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Convolution(Kernel):
    """What both kinds of convolutions have.

    :param bias: one per output channel, float32, int32 or int64. :param strides: and ``dilations``: rows, columns.
    """

    input: int
    weights: NDArray[Any]
    bias: NDArray[Any] | None
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: Padding
    epilogue: Epilogue


@dataclass(frozen=True, eq=False)
class Conv2D(Convolution):
    """``[1, h, w, in] -> [1, h', w', out]``; weights ``[out, kernel height, kernel width, in / groups]``.

    :param groups: of channels: output channel ``o`` reads the input channels of group ``o // (out / groups)``.
        More than one only for backends whose scope has :attr:`Scope.convolutions`.
    """

    groups: int = 1


@dataclass(frozen=True, eq=False)
class DepthwiseConv2D(Convolution):
    """``[1, h, w, in] -> [1, h', w', channels]``; weights ``[kernel height, kernel width, channels]``.

    :param multiplier: output channels per input channel: output channel ``c`` reads input channel ``c // multiplier``.
        More than one only for backends whose scope has :attr:`Scope.convolutions`.
    """

    multiplier: int = 1


@dataclass(frozen=True, eq=False)
class TransposeConv(Kernel):
    """``[1, h, w, in] -> [1, h', w', out]``: every input pixel adds a window of products to the output.

    ``output[y * strides[0] - padding[0] + r, x * strides[1] - padding[1] + c] += input[y, x] . weights[:, r, c]`` where
    that pixel exists. Only for backends whose scope has :attr:`Scope.convolutions`.

    :param weights: ``[out, kernel height, kernel width, in]``. :param bias: one per output channel.
    :param padding: top, left: rows and columns that are cut off.
    """

    input: int
    weights: NDArray[Any]
    bias: NDArray[Any] | None
    strides: tuple[int, int]
    padding: tuple[int, int]
    epilogue: Epilogue


@dataclass(frozen=True, eq=False)
class MatMul(Kernel):
    """A matrix product with constant weights, ``[rows, in] -> [rows, out]``; the input's elements as rows of ``in``.

    :param weights: ``[out, in]``. :param bias: ``[out]``.
    """

    input: int
    weights: NDArray[Any]
    bias: NDArray[Any] | None
    epilogue: Epilogue


@dataclass(frozen=True, eq=False)
class Pool(Kernel):
    """The largest or the mean of windows; what lies outside the feature map does not count."""

    kind: Literal["max", "average"]
    input: int
    window: tuple[int, int]
    strides: tuple[int, int]
    padding: tuple[int, int]
    """Top, left."""
    limits: Limits


@dataclass(frozen=True, eq=False)
class Softmax(Kernel):
    """Shares of ``exp(beta * x)`` along the last axis."""

    input: int
    beta: float


@dataclass(frozen=True, eq=False)
class LogSoftmax(Kernel):
    """Logarithms of the shares of ``exp(x)`` along the last axis, int8; only in :attr:`Scope.rows`."""

    input: int


@dataclass(frozen=True, eq=False)
class L2Normalization(Kernel):
    """Rows along the last axis divided by their norms, int8; only in :attr:`Scope.rows`."""

    input: int


@dataclass(frozen=True, eq=False)
class Map(Kernel):
    """A function of each element by itself (:mod:`edgekit.codegen.functions`).

    :param function: the operator's name. :param alpha: LEAKY_RELU's slope. :param approximate: GELU by ``tanh``.
    """

    function: str
    input: int
    alpha: float | None = None
    approximate: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the function in :data:`edgekit.codegen.functions.REAL`."""
        if self.function == "LEAKY_RELU":
            return {"alpha": self.alpha}
        return {"approximate": self.approximate} if self.function == "GELU" else {}


@dataclass(frozen=True, eq=False)
class Elementwise(Kernel):
    """A function of the elements at the same place of several operands, already broadcast to one shape.

    Arithmetic on int8 is TFLite's: operands are rescaled, the result is requantized and clamped. Comparisons, choices
    and conversions take and make other types.

    :param function: the operator's name in lower case. :param limits: of arithmetic on float32 and int8.
    """

    function: str
    inputs: tuple[View, ...]
    result: View
    limits: Limits | None = None


@dataclass(frozen=True, eq=False)
class Move(Kernel):
    """Copies elements: ``result[i] = source[i]``. Several of them may fill one tensor."""

    source: View
    result: View


@dataclass(frozen=True, eq=False)
class Convert(Kernel):
    """Quantizes, dequantizes or requantizes each element, with the scales of input and output."""

    input: int


@dataclass(frozen=True, eq=False)
class Reshape(Kernel):
    """The same elements in the same order under another shape."""

    input: int


@dataclass(frozen=True, eq=False)
class Pad(Kernel):
    """A feature map with rows and columns around it that mean 0; ``top`` and ``left``: its corner's new place."""

    input: int
    top: int
    left: int


@dataclass(frozen=True, eq=False)
class Spread(Kernel):
    """A feature map's pixels ``strides`` apart on a larger one that means 0 elsewhere, from ``top``, ``left`` on."""

    input: int
    top: int
    left: int
    strides: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Reduce(Kernel):
    """Reduces products of views over all axes but the first ``kept``, which are the result's.

    :param kind: what joins two products. :param mean: divide by how many there are.
    :param spatial: a mean over the pixels of one feature map.
    """

    kind: Literal["sum", "prod", "max", "min"]
    inputs: tuple[View, ...]
    kept: int
    result: View
    mean: bool = False
    spatial: bool = False
    limits: Limits | None = None

    @property
    def reduced(self) -> tuple[int, ...]:
        """Extents of the axes that go."""
        return self.inputs[0].shape[self.kept :]


@dataclass(frozen=True, eq=False)
class Gather(Kernel):
    """Elements at places that other tensors hold; an index that is out of range finds the nearest end.

    ``result[i] = source[i] + sum(clamp(indices[n][i], 0, lengths[n] - 1) * axes[n])``, in the source's coordinates.

    :param axes: one step along the source's axes for each array of indices.
    """

    source: View
    indices: tuple[View, ...]
    axes: tuple[tuple[int, ...], ...]
    lengths: tuple[int, ...]
    result: View


@dataclass(frozen=True, eq=False)
class ArgExtreme(Kernel):
    """The index of the largest or smallest element along an axis; of equal ones the first."""

    kind: Literal["max", "min"]
    input: View
    axis: int
    result: View
    """Of the input's shape without the axis."""


@dataclass(frozen=True, eq=False)
class CumSum(Kernel):
    """Running sums along an axis of two views of one shape; ``exclusive``: without the element itself."""

    input: View
    axis: int
    result: View
    exclusive: bool = False


@dataclass(frozen=True, eq=False)
class Resize(Kernel):
    """A feature map of another size.

    :param rows: and ``columns``: between which of the input's positions each of the output's lies, and how far it is to
        the second: ``first``, ``second`` (int32) and ``share`` (float32). For ``nearest`` the first is the nearest; for
        ``bilinear`` in int8 shares are multiples of 1/1024, and the reference computes with them as integers.
    """

    method: Literal["nearest", "bilinear"]
    input: int
    rows: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]
    columns: tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.float32]]
    limits: Limits


@dataclass(frozen=True, eq=False)
class Variable:
    """State that outlives a run; ``initial``: the values of its tensor before the first run, in its shape and type."""

    tensor: int
    initial: NDArray[Any]


@dataclass(frozen=True, eq=False)
class Network:
    """Kernels in the order in which they run.

    :param tensors: shapes, types, quantization, and the values of constants. :param inputs: and ``outputs``: numbers.
    :param variables: tensors that keep their values from one run to the next. Kernels read them as any other tensor;
        what writes them is a :class:`Move`, :class:`Svdf`, :class:`Lstm` or one of these in floats.
    """

    tensors: tuple[Tensor, ...]
    kernels: tuple[Kernel, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    variables: tuple[Variable, ...] = ()

    def scale(self, tensor: int) -> Scale:
        """A quantized tensor's scale; per-channel scales are the weights' own."""
        return scale_of(self.tensors[tensor])

    @cached_property
    def readers(self) -> dict[int, list[Kernel]]:
        """The kernels that read each tensor, in order."""
        result: dict[int, list[Kernel]] = {}
        for kernel in self.kernels:
            for tensor in dict.fromkeys(reads(kernel)):
                result.setdefault(tensor, []).append(kernel)
        return result


def reads(kernel: Kernel) -> list[int]:
    """The numbers of the tensors that a kernel reads."""
    match kernel:
        case Elementwise(inputs=views) | Reduce(inputs=views):
            return [view.tensor for view in views]
        case Move(source=view):
            return [view.tensor]
        case Gather(source=view, indices=others):
            return [view.tensor, *(one.tensor for one in others)]
        case ArgExtreme(input=view) | CumSum(input=view):
            return [view.tensor]
        case Conv2D(input=tensor, epilogue=end) | MatMul(input=tensor, epilogue=end):
            return [tensor, *([end.residual.tensor] if end.residual else [])]
        case Svdf(input=tensor, state=state) | RealSvdf(input=tensor, state=state):
            return [tensor, state]
        case Lstm(input=tensor, activation_state=state, cell_state=other):
            return [tensor, state, other]
        case RealLstm(input=tensor, activation_state=state, cell_state=other):
            return [tensor, state, other]
        case _:
            return [kernel.input]  # type: ignore[attr-defined]
