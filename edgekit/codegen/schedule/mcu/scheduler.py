"""Kernels -> steps: which function of the C kernel library computes each kernel, with which parameters."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edgekit.codegen import kernels
from edgekit.codegen.kernels import Network
from edgekit.codegen.lower import Missing
from edgekit.codegen.schedule.mcu import packing
from edgekit.codegen.schedule.mcu.base import McuScheduler, NoKernel
from edgekit.codegen.schedule.mcu.folding import folded
from edgekit.codegen.schedule.mcu.rules import (
    convolutions,
    elements,
    indices,
    maps,
    movement,
    recurrent,
    reductions,
    windows,
)
from edgekit.codegen.schedule.mcu.steps import Program
from edgekit.graph import Graph

Rule = Callable[[McuScheduler, Any], None]


def schedule(network: Network, graph: Graph, weights: packing.Packing = "rows") -> Program | list[Missing]:
    """Schedule a network; or list all operators that the library has no function for.

    :param graph: what the network was lowered from: the names of its operators.
    :param weights: how kernels take them.
    """
    network = folded(network)
    scheduler = McuScheduler(network, weights)
    missing: dict[int, str] = {}
    for kernel in network.kernels:
        try:
            if (rule := RULES.get(type(kernel))) is None:
                raise NoKernel("there is no kernel for it")
            rule(scheduler, kernel)
        except NoKernel as error:
            missing.setdefault(kernel.node, str(error))
    if missing:
        return [Missing(node, graph.operators[node].op, reason) for node, reason in sorted(missing.items())]
    return scheduler.finished()


RULES: dict[type[kernels.Kernel], Rule] = {
    kernels.Conv2D: convolutions.convolution,
    kernels.DepthwiseConv2D: convolutions.convolution,
    kernels.MatMul: convolutions.dense,
    kernels.TransposeConv: convolutions.transposed,
    kernels.Pool: windows.pool,
    kernels.Softmax: windows.softmax,
    kernels.Resize: windows.resize,
    kernels.Elementwise: elements.elementwise,
    kernels.Map: maps.mapped,
    kernels.Convert: maps.convert,
    kernels.Reshape: movement.reshape,
    kernels.Move: movement.move,
    kernels.Pad: movement.pad,
    kernels.Spread: movement.spread,
    kernels.Reduce: reductions.reduce,
    kernels.Gather: indices.gather,
    kernels.ArgExtreme: indices.extreme,
    kernels.CumSum: indices.cumsum,
    kernels.Svdf: recurrent.svdf,
    kernels.Lstm: recurrent.lstm,
    kernels.RealSvdf: recurrent.float_svdf,
    kernels.RealLstm: recurrent.float_lstm,
    kernels.LogSoftmax: recurrent.rows,
    kernels.L2Normalization: recurrent.rows,
}
"""By kind of kernel."""
