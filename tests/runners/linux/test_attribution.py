"""Kernels and the Graph's operators they belong to."""

from __future__ import annotations

import pytest

from edgekit.graph import Graph, Operator, Subgraph, Tensor
from edgekit.runners.linux import attribution
from edgekit.runners.linux.kernels import Kernel


def chain(*ops: str) -> Graph:
    """A network of operators in a row, each with one input and one output; convolutions have weights."""
    tensors = [Tensor("in", (1, 4, 4, 8), "float32")]
    operators = []
    for op in ops:
        inputs = [len(tensors) - 1]
        if op in ("CONV_2D", "FULLY_CONNECTED", "DEPTHWISE_CONV_2D"):
            shape = {"CONV_2D": (8, 1, 1, 8), "FULLY_CONNECTED": (8, 8), "DEPTHWISE_CONV_2D": (1, 3, 3, 8)}[op]
            tensors.append(Tensor("w", shape, "float32"))
            inputs.append(len(tensors) - 1)
        tensors.append(Tensor(op, (1, 4, 4, 8), "float32"))
        operators.append(Operator(op, tuple(inputs), (len(tensors) - 1,)))
    return Graph([Subgraph("main", tensors, operators, (0,), (len(tensors) - 1,))])


def ran(*names: str) -> list[Kernel[None]]:
    return [Kernel(name, None, 1.0, None, 1) for name in names]


CONV, DEPTHWISE, DENSE = (
    "Convolution (NHWC, F32) IGEMM",
    "Convolution (NHWC, F32) DWConv",
    "Fully Connected (NC, F32) GEMM",
)


@pytest.mark.parametrize(
    ("ops", "kernels", "expected"),
    [
        # an activation folded into the convolution before it
        (["CONV_2D", "RELU6", "CONV_2D"], [CONV, CONV], [(0, (1,)), (2, ())]),
        # a pad folded into the convolution after it, and one that ran
        (["PAD", "CONV_2D", "PAD", "CONV_2D"], [CONV, "Constant Pad (ND, X32)", CONV], [(1, (0,)), (2, ()), (3, ())]),
        # a reshape that was dropped; 1x1 convolutions run as fully connected
        (["CONV_2D", "RESHAPE", "FULLY_CONNECTED"], [DENSE, DENSE], [(0, ()), (2, ())]),
        # depthwise and plain convolutions do not swap
        (["CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D"], [CONV, DEPTHWISE, DENSE], [(0, ()), (1, ()), (2, ())]),
        # a conversion before a hybrid convolution belongs to it
        (["CONV_2D"], ["Convert (NC, F32, QD8)", CONV], [(0, ())]),
        # two unary operators in a row, by order
        (["ABS", "ABS"], ["Abs (NC)", "Abs (NC)"], [(0, ()), (1, ())]),
        # what fits nothing keeps its name and belongs to no operator
        (["CONV_2D"], [CONV, "Something New (NC)"], [(0, ()), (None, ())]),
    ],
)
def test_kernels_go_to_their_operators(
    ops: list[str], kernels: list[str], expected: list[tuple[int | None, tuple[int, ...]]]
) -> None:
    shares = attribution.attribute(chain(*ops), ran(*kernels))
    assert [(share.index, tuple(share.fused)) for share in shares] == expected
    assert sum(len(share.kernels) for share in shares) == len(kernels)


def test_a_compiled_networks_kernels_say_whose_they_are() -> None:
    """-1 belongs to none, whatever the kernel's name is like; what was folded in is noted."""
    named = [("Convolution (NHWC, F32) IGEMM", 0), ("Convert", -1), ("conv", 2), ("Clamp", -1)]
    shares = attribution.attribute(
        chain("CONV_2D", "RELU", "CONV_2D", "CONV_2D"), [Kernel(name, node, 1.0, None, 1) for name, node in named]
    )
    found = [(share.index, share.name, share.fused) for share in shares]
    assert found == [(0, named[0][0], [1]), (None, "Convert", []), (2, "conv", []), (None, "Clamp", [])]


def test_litert_s_own_kernels_anchor_the_others() -> None:
    graph = chain("ABS", "SOFTMAX", "ABS")
    native = Kernel("SOFTMAX", 1, 1.0, None, 1)
    shares = attribution.attribute(graph, [native, *ran("Abs (NC)")])
    assert [share.index for share in shares] == [1, 0] or [share.index for share in shares] == [1, 2]
