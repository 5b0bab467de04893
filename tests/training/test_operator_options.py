"""Convolutions, slices, paddings, reductions and resizing with options that hypothesis chooses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.graph import Graph
from tests.installed import needed
from tests.training.judging import assert_gradients_are_true, assert_litert_agrees, run, samples
from tests.training.networks import after, convolution, ints, normal, transpose_convolution

needed("tensorflow", "train")
pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]
SMALL = st.integers(1, 3)
Draw = Any


def _covered(size: int, window: int, stride: int, dilation: int, same: bool) -> int:
    reach = (window - 1) * dilation + 1
    return -(-size // stride) if same else (size - reach) // stride + 1


@st.composite
def convolutions(draw: Draw) -> Graph:
    """CONV_2D, grouped or not, or DEPTHWISE_CONV_2D: any strides, dilations and padding."""
    h, w = draw(st.integers(7, 11)), draw(st.integers(7, 11))
    windows, strides, dilations = ((draw(SMALL), draw(SMALL)) for _ in range(3))
    same = draw(st.booleans())
    shape = tuple(_covered(*v, same) for v in zip((h, w), windows, strides, dilations, strict=True))
    options = {"strideH": strides[0], "strideW": strides[1], "padding": int(not same)}
    options |= {"dilationHFactor": dilations[0], "dilationWFactor": dilations[1]}
    groups, each, outs = draw(SMALL), draw(SMALL), draw(SMALL)
    channels = groups * each
    if draw(st.booleans()):
        out = (1, *shape, outs * groups)
        return convolution("CONV_2D", (1, h, w, channels), out, normal(outs * groups, *windows, each), **options)
    out = (1, *shape, channels * outs)
    weights = normal(1, *windows, channels * outs)
    return convolution("DEPTHWISE_CONV_2D", (1, h, w, channels), out, weights, depthMultiplier=outs, **options)


@st.composite
def transpose_convolutions(draw: Draw) -> Graph:
    """TRANSPOSE_CONV to every size that a convolution of the same options would bring back."""
    sizes, windows, strides = ((draw(SMALL) + 1, draw(SMALL) + 1) for _ in range(3))
    same = draw(st.booleans())
    out = []
    for size, window, stride in zip(sizes, windows, strides, strict=True):
        least = (size - 1) * stride + (1 if same else window)
        out.append(least + draw(st.integers(0, stride - 1)))
    options = {"strideH": strides[0], "strideW": strides[1], "padding": int(not same)}
    return transpose_convolution((1, *sizes, draw(SMALL)), (1, *out, draw(SMALL)), windows, **options)


@st.composite
def pools(draw: Draw) -> Graph:
    h, w, same = draw(st.integers(4, 9)), draw(st.integers(4, 9)), draw(st.booleans())
    windows, strides = ((draw(SMALL), draw(SMALL)) for _ in range(2))
    out = [_covered(*v, 1, same) for v in zip((h, w), windows, strides, strict=True)]
    names = ("filterHeight", "filterWidth", "strideH", "strideW")
    options = dict(zip(names, (*windows, *strides), strict=True)) | {"padding": int(not same)}
    op = draw(st.sampled_from(["MAX_POOL_2D", "AVERAGE_POOL_2D", "L2_POOL_2D"]))
    return after(op, (1, h, w, 2), (1, *out, 2), options="Pool2D", **options)


@st.composite
def resizes(draw: Draw) -> Graph:
    shape, size = ((draw(st.integers(1, 9)), draw(st.integers(1, 9))) for _ in range(2))
    kind = draw(st.sampled_from(["Bilinear", "NearestNeighbor"]))
    corners = draw(st.booleans())
    half = draw(st.booleans()) and not (corners and kind == "Bilinear")
    op = {"Bilinear": "RESIZE_BILINEAR", "NearestNeighbor": "RESIZE_NEAREST_NEIGHBOR"}[kind]
    given = {"options": f"Resize{kind}", "alignCorners": corners, "halfPixelCenters": half}
    return after(op, (1, *shape, 2), (1, *size, 2), ints(*size), version=3, **given)


@st.composite
def strided_slices(draw: Draw) -> Graph:
    """Any begin, end and step, also from the end and backwards, any masks; some dimensions vanish."""
    shape = (draw(SMALL), draw(st.integers(2, 6)), draw(st.integers(2, 6)))
    masks = {name: draw(st.integers(0, 7)) for name in ("beginMask", "endMask")}
    parts: list[NDArray[np.int32]] = []
    kept: list[slice | int] = []
    shrunk = 0
    for place, size in enumerate(shape):
        step = draw(st.sampled_from([-2, -1, 1, 2]))
        begin, end = (draw(st.integers(-size, size - 1)) for _ in range(2))
        if draw(st.integers(0, 3)) == 0:
            shrunk |= 1 << place
            step = 1
            at: slice | int = 0 if masks["beginMask"] >> place & 1 else begin
            end = begin + 1
        else:
            begun, ended = (not masks[name] >> place & 1 for name in ("beginMask", "endMask"))
            at = slice(begin if begun else None, end if ended else None, step)
            if not len(range(*at.indices(size))):
                at, begin, end, step = slice(-size, None, 1), -size, size, 1
        parts.append(ints(begin, end, step))
        kept.append(at)
    out = np.zeros(shape)[tuple(kept)].shape
    constants = [np.ascontiguousarray(v) for v in np.stack(parts, 1)]
    return after("STRIDED_SLICE", shape, out, *constants, options="StridedSlice", shrinkAxisMask=shrunk, **masks)


@st.composite
def reductions(draw: Draw) -> Graph:
    shape = tuple(draw(SMALL) for _ in range(draw(st.integers(2, 4))))
    axes = draw(st.lists(st.integers(0, len(shape) - 1), min_size=1, unique=True))
    keep = draw(st.booleans())
    out = np.zeros(shape).sum(tuple(axes), keepdims=keep).shape
    op = draw(st.sampled_from(["MEAN", "SUM", "REDUCE_MAX", "REDUCE_MIN"]))
    signed = [a - len(shape) * draw(st.integers(0, 1)) for a in axes]
    return after(op, shape, out, ints(*signed), options="Reducer", keepDims=keep)


@st.composite
def transposes(draw: Draw) -> Graph:
    shape = tuple(draw(SMALL) for _ in range(draw(st.integers(2, 4))))
    order = draw(st.permutations(range(len(shape))))
    return after("TRANSPOSE", shape, tuple(shape[i] for i in order), ints(*order))


@st.composite
def paddings(draw: Draw) -> Graph:
    shape = tuple(draw(SMALL) + 1 for _ in range(draw(st.integers(2, 4))))
    op = draw(st.sampled_from(["PAD", "MIRROR_PAD"]))
    most = 2 if op == "PAD" else 1
    pads = [[draw(st.integers(0, most)), draw(st.integers(0, most))] for _ in shape]
    out = tuple(s + sum(p) for s, p in zip(shape, pads, strict=True))
    options = {"options": "MirrorPad", "mode": draw(st.integers(0, 1))} if op == "MIRROR_PAD" else {}
    return after(op, shape, out, ints(*pads), **options)


KINDS = {
    "convolutions": convolutions(), "transpose convolutions": transpose_convolutions(), "pools": pools(),
    "resizes": resizes(), "slices": strided_slices(), "reductions": reductions(), "transposes": transposes(),
    "paddings": paddings(),
}  # fmt: skip


class Drawn:
    """Ten networks of each kind, with names that tell them."""

    def __init__(self, kinds: dict[str, list[Graph]]) -> None:
        self.graphs = [graph for kind in kinds.values() for graph in kind]
        self.names = [f"{name} {_told(graph)}" for name, kind in kinds.items() for graph in kind]

    def __repr__(self) -> str:
        return f"{len(self.graphs)} networks"


TEN_OF_EACH = st.fixed_dictionaries({name: st.lists(kind, min_size=10, max_size=10) for name, kind in KINDS.items()})


@given(TEN_OF_EACH.map(Drawn))
@settings(
    max_examples=2, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate),
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_any_options(tmp_path_factory: pytest.TempPathFactory, drawn: Drawn) -> None:
    inputs = [samples(graph, 3) for graph in drawn.graphs]
    _, found = run("forward", drawn.graphs, inputs)
    assert_litert_agrees(drawn.graphs, drawn.names, inputs, found, tmp_path_factory.mktemp("options"))
    assert_gradients_are_true(drawn.graphs, drawn.names)


def _told(graph: Graph) -> str:
    """The last operator with its shapes, constants and options, for a failure's message."""
    operator = graph.operators[-1]
    shapes = [graph.tensors[i].shape for i in (*operator.inputs, *operator.outputs)]
    small = [graph.tensors[i].array().tolist() for i in operator.inputs if _is_small(graph, i)]
    return f"{operator.op} {shapes} {small} {vars(operator.options) if operator.options else ''}"


def _is_small(graph: Graph, index: int) -> bool:
    return graph.tensors[index].data is not None and graph.tensors[index].dtype == "int32"


def test_strategies_draw_what_they_say() -> None:
    """The networks above are not all alike: at least these options occur among a hundred draws."""
    seen: set[str] = set()

    @given(convolutions())
    @settings(max_examples=100, database=None, derandomize=True, phases=(Phase.generate,))
    def look(graph: Graph) -> None:
        operator = graph.operators[0]
        o, (x, w) = operator.options, (graph.tensors[i].shape for i in operator.inputs[:2])
        seen.add(operator.op)
        seen.update(["unequal strides"] if o.strideH != o.strideW else [])
        seen.update(["stride and dilation"] if o.strideH > 1 and o.dilationHFactor > 1 else [])
        seen.update(["groups"] if operator.op == "CONV_2D" and x[3] != w[3] else [])

    look()
    assert seen == {"CONV_2D", "DEPTHWISE_CONV_2D", "unequal strides", "stride and dilation", "groups"}
