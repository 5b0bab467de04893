"""A backend in NumPy: interprets typed kernels, integers in TFLite's exact arithmetic. No TVM, no schedule.

:mod:`tests.codegen.integers` has the quantized kernels, :mod:`tests.codegen.recurrent` those with state, and
:mod:`tests.codegen.reals` everything else: floats, truth values, whole numbers, and what only moves elements.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from edgekit.codegen import kernels as k
from edgekit.codegen.builder import QUANTIZED
from edgekit.codegen.views import View, row_major
from tests.codegen import integers, reals, recurrent
from tests.codegen.sums import products

Array = NDArray[Any]


def run(network: k.Network, inputs: list[Array]) -> list[Array]:
    """Compute the outputs for one sample."""
    return Interpreter(network).run(inputs)


class Interpreter:
    """A network at work: the values of its tensors, of which variables live on from one run to the next."""

    def __init__(self, network: k.Network) -> None:
        self.network = network
        self.values: dict[int, Array] = {
            index: tensor.array() for index, tensor in enumerate(network.tensors) if _readable(tensor)
        }
        self.values |= {one.tensor: one.initial.copy() for one in network.variables}

    def run(self, inputs: list[Array]) -> list[Array]:
        """Compute the outputs for the next sample."""
        for index, values in zip(self.network.inputs, inputs, strict=True):
            self.values[index] = values.reshape(self.network.tensors[index].shape)
        for kernel in self.network.kernels:
            self.step(kernel)
        return [self.values[index].copy() for index in self.network.outputs]

    def step(self, kernel: k.Kernel) -> None:
        """Run one kernel."""
        tensor = self.network.tensors[kernel.output]
        target = self.values.setdefault(kernel.output, np.zeros(tensor.shape, np.dtype(tensor.dtype)))
        if isinstance(kernel, k.Svdf | k.Lstm):
            made, states = recurrent.stepped(kernel, self.network, self.values)
            self.values |= states
        elif any(self._quantized(index) for index in (*k.reads(kernel), kernel.output)):
            made = self.quantized(kernel)
        else:
            made = reals.computed(kernel, tensor.shape, self.values, self.seen)
        if made is None:
            return
        result = getattr(kernel, "result", None)
        if result is not None:
            self.seen(result)[...] = np.asarray(made).reshape(result.shape)
        else:
            self.values[kernel.output] = np.asarray(made).reshape(tensor.shape).astype(target.dtype)

    def quantized(self, kernel: k.Kernel) -> Array | None:
        """The values of a kernel that reads or writes integers that stand for real values."""
        network, values = self.network, self.values
        match kernel:
            case k.Conv2D() | k.DepthwiseConv2D() | k.TransposeConv() | k.MatMul():
                x = values[kernel.input].astype(np.int64) - network.scale(kernel.input).zero_point
                total = products(kernel, network.tensors[kernel.output].shape, x)
                end = kernel.epilogue
                return integers.finished(end, total, values[end.residual.tensor] if end.residual else None)
            case k.Pool():
                return integers.pooled(kernel, network.tensors[kernel.output].shape, values[kernel.input])
            case k.Softmax():
                return integers.softmax(kernel, network, values[kernel.input])
            case k.LogSoftmax():
                return integers.log_softmax(kernel, network, values[kernel.input])
            case k.L2Normalization():
                return integers.normalized(kernel, network, values[kernel.input])
            case k.Elementwise() if kernel.function != "select":
                return integers.elementwise(kernel, network, [self.seen(view) for view in kernel.inputs])
            case k.Map():
                return integers.mapped(kernel, network, values[kernel.input])
            case k.Reduce():
                return integers.reduced(kernel, network, [self.seen(view) for view in kernel.inputs])
            case k.Resize():
                return integers.resized(kernel, values[kernel.input])
            case k.Convert():
                return integers.converted(kernel, network, values[kernel.input])
            case k.Pad() | k.Spread():
                values[kernel.output][...] = network.scale(kernel.output).zero_point
        return reals.computed(kernel, network.tensors[kernel.output].shape, values, self.seen)

    def seen(self, view: View) -> Array:
        """A view of a tensor's values."""
        values = self.values[view.tensor]
        layout = row_major(self.network.tensors[view.tensor].shape)
        strides = tuple(s * values.itemsize for s in view.strides(layout))
        return as_strided(values.reshape(-1)[view.offset(layout) :], view.shape, strides)

    def _quantized(self, index: int) -> bool:
        tensor = self.network.tensors[index]
        return tensor.dtype in (*QUANTIZED, "uint8") and tensor.has_scale


def _readable(tensor: Any) -> bool:
    return tensor.data is not None and tensor.sparsity is None
