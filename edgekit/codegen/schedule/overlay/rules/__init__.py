"""Kernels -> items: what each kernel reads and writes, and its commands once everything has its place."""

from __future__ import annotations

from edgekit.codegen import kernels as k
from edgekit.codegen.schedule.overlay.rules.base import Context, Item, Layouts, Unsuitable
from edgekit.codegen.schedule.overlay.rules.elements import elementwise, mapped
from edgekit.codegen.schedule.overlay.rules.movement import move, pad, reshape, resize, spread
from edgekit.codegen.schedule.overlay.rules.products import convolution, dense, pool, reduce

__all__ = ["Context", "Item", "Layouts", "Unsuitable", "items"]


def items(c: Context, kernel: k.Kernel) -> list[Item]:
    """What becomes of a kernel.

    :raises Unsuitable: if the overlay does not compute it.
    """
    match kernel:
        case k.Conv2D() | k.DepthwiseConv2D():
            return convolution(c, kernel)
        case k.MatMul():
            return dense(c, kernel)
        case k.Elementwise():
            return elementwise(c, kernel)
        case k.Map() | k.Convert():
            return mapped(c, kernel)
        case k.Pool():
            return pool(c, kernel)
        case k.Reduce():
            return reduce(c, kernel)
        case k.Reshape():
            return reshape(c, kernel)
        case k.Pad():
            return pad(c, kernel)
        case k.Spread():
            return spread(c, kernel)
        case k.Resize():
            return resize(c, kernel)
        case k.Move():
            return move(c, kernel)
        case _:
            raise Unsuitable("the overlay has no such operator")
