"""The table of operator cases: what every backend is asked to compute, in all the shapes and options that matter.

A case is one operator, or a few that backends fold together. Its name says its operators, shapes and options; nothing
else in the tests lists operators. :func:`network` puts many cases side by side into one Graph, because a compile costs
far more than a case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.codegen.functions import REAL
from edgekit.graph import Graph, Operator, Quantization, Tensor
from tests.networks.building import RELU, RELU6, RELU_N1_TO_1, Pictures, several
from tests.networks.float_recurrent import FloatForm
from tests.networks.float_recurrent import add_lstm as add_float_lstm
from tests.networks.float_recurrent import add_svdf as add_float_svdf
from tests.networks.lstm import Form, add_lstm
from tests.networks.streaming import add_svdf

Make = Callable[..., Any]
FLOATS = ("float32", "float16", "int8")
"""The default: a float network, compiled in each of these."""
WHOLE = ("float32",)
"""Whole numbers and booleans beside floats: they stay what they are, so one network of them is enough."""
BYTES = ("bytes",)
"""An int8 network as it comes, not made by edgekit's recipe."""


@dataclass(frozen=True)
class Input:
    """A computed operand: an input of the network; ``below``: its whole numbers are from 0 to less than that."""

    shape: tuple[int, ...]
    dtype: str = "float32"
    quantization: tuple[float, int] | None = None
    below: int = 0

    def values(self, rng: np.random.Generator, samples: int) -> NDArray[Any]:
        """Values, ``[samples, *shape]``: normal, or any integer."""
        shape = (samples, *self.shape)
        if self.dtype == "float32":
            return rng.normal(size=shape).astype(np.float32)
        limits = np.iinfo(self.dtype)
        low, high = (0, self.below) if self.below else (limits.min, limits.max)
        return rng.integers(low, high, shape, self.dtype, endpoint=not self.below)


@dataclass(frozen=True)
class Case:
    """One row of the table.

    :param make: takes a builder and the inputs; adds the operators.
    :param dtypes: what it is compiled in: :data:`FLOATS`, :data:`WHOLE` or :data:`BYTES`.
    :param wide: its sums need more than float16: not for what computes in that.
    """

    inputs: tuple[Input, ...]
    make: Make
    dtypes: tuple[str, ...] = FLOATS
    wide: bool = False
    graph: Graph = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "graph", network([self]).graph)

    @property
    def name(self) -> str:
        """Operators, shapes and options: ``CONV_2D 1x8x8x4 -> 1x4x4x8 strideH=2 strideW=2``."""
        return " + ".join(described(self.graph, operator) for operator in self.graph.operators)


def described(graph: Graph, operator: Operator) -> str:
    """Name, shapes and options of an operator."""
    tensors = [graph.tensors[i] for i in operator.inputs if i >= 0]
    values = [_values(t) for t in tensors if t.data is not None and t.dtype in ("int32", "int64") and t.elements < 9]
    shapes = [_shape(graph.tensors[i]) for i in operator.inputs if i >= 0 and not _values(graph.tensors[i])]
    plain = type(operator.options)() if operator.options is not None else None
    options = [f"{k}={v}" for k, v in sorted(vars(operator.options or object).items())
               if isinstance(v, bool | int | float) and plain is not None and v != getattr(plain, k)]  # fmt: skip
    made = ", ".join(_shape(graph.tensors[i]) for i in operator.outputs)
    return " ".join([operator.op, ", ".join(shapes), "->", made, *values, *options])


def _values(tensor: Tensor) -> str:
    """A small constant of whole numbers in words; empty for anything else."""
    whole = tensor.data is not None and tensor.dtype in ("int32", "int64") and tensor.elements < 9
    return str(tensor.array().tolist()).replace(" ", "") if whole else ""


def _shape(tensor: Tensor) -> str:
    sizes = "x".join(map(str, tensor.shape)) or "scalar"
    scale = f"*{tensor.quantization.scale[0]:g}" if tensor.quantization and tensor.dtype in ("int8", "uint8") else ""
    return sizes if tensor.dtype == "float32" else f"{sizes}:{tensor.dtype}{scale}"


def scaled(scale: float, zero: int) -> Quantization:
    return Quantization(np.array([scale], np.float32), np.array([zero], np.int64), 0)


@dataclass(frozen=True)
class Network:
    """Cases side by side; ``places``: for each case its places among the Graph's outputs."""

    graph: Graph
    inputs: tuple[Input, ...]
    places: tuple[tuple[int, ...], ...]

    def values(self, samples: int = 3) -> list[NDArray[Any]]:
        """Values of all inputs, ``[samples, *shape]``."""
        rng = np.random.default_rng(1)
        return [one.values(rng, samples) for one in self.inputs]


def network(cases: Iterable[Case]) -> Network:
    """All cases in one Graph; equal inputs are shared."""
    n = Pictures()
    outputs: list[int] = []
    places: list[tuple[int, ...]] = []
    known: list[tuple[Input, int]] = []
    for case in cases:
        n.rng = np.random.default_rng(0)
        given: list[int] = []
        for one in case.inputs:
            number = next((i for other, i in known if other == one and i not in given), None)
            if number is None:
                scale = one.quantization and scaled(*one.quantization)
                number = n.tensor(one.shape, one.dtype, quantization=scale)
                known.append((one, number))
            given.append(number)
        first = len(n.operators)
        case.make(n, *given)
        added = n.operators[first:]
        read = {i for o in added for i in o.inputs}
        results = [i for o in added for i in o.outputs if i not in read]
        places.append(tuple(range(len(outputs), len(outputs) + len(results))))
        outputs += results
    graph = n.graph(tuple(number for _, number in known), tuple(outputs))
    return Network(graph, tuple(one for one, _ in known), tuple(places))


def on(
    *inputs: tuple[int, ...] | Input, dtypes: Sequence[str] = FLOATS, wide: bool = False
) -> Callable[..., list[Case]]:
    """Cases that share their inputs' shapes."""
    taken = tuple(one if isinstance(one, Input) else Input(one) for one in inputs)
    return lambda *makes: [Case(taken, make, tuple(dtypes), wide) for make in makes]


def op(name: str, *constants: Any, shape: tuple[int, ...], dtype: str = "float32", first: bool = False,
       version: int = 1, **options: Any) -> Make:  # fmt: skip
    """An operator of one or more inputs followed by constants (``first``: the constants come first)."""

    def make(n: Pictures, *given: int) -> int:
        kept = tuple(n.constant(np.asarray(c, getattr(c, "dtype", np.int32))) for c in constants)
        made = n.add(name, (*kept, *given) if first else (*given, *kept), shape, dtype, **options)
        n.operators[-1] = replace(n.operators[-1], version=version)
        return made

    return make


def real(*values: float) -> Any:
    """A constant of floats; one value is an array of one element."""
    return np.array(values, np.float32)


def reducer(name: str, axes: Sequence[int], shape: tuple[int, ...], keep: bool = False, dtype: str = "float32") -> Make:
    return op(name, np.array(axes, np.int32), shape=shape, dtype=dtype, options="Reducer", keepDims=keep)


def pool(name: str, *rest: Any) -> Make:
    return lambda n, x: n.pool(name, x, *rest)


def two(name: str, activation: int = 0) -> Make:
    return lambda n, a, b: n.add2(name, a, b, activation)


def with_constant(name: str, *shape: int, activation: int = 0, first: bool = False) -> Make:
    """Two operands, one of them constant; ``first``: that one comes first."""

    def make(n: Pictures, x: int) -> int:
        constant = n.weights(*shape, fan_in=4)
        return n.add2(name, *((constant, x) if first else (x, constant)), activation)

    return make


def function(name: str, shape: tuple[int, ...]) -> Make:
    options = {
        "LEAKY_RELU": {"options": "LeakyRelu", "alpha": 0.2}, "GELU": {"options": "Gelu"},
        "HARD_SWISH": {"options": "HardSwish"},
    }  # fmt: skip
    return op(name, shape=shape, **options.get(name, {}))


def of_positive(name: str) -> Make:
    """A function of positive numbers, made by EXP."""
    return lambda n, x: n.add(name, (n.add("EXP", (x,), n.tensors[x].shape),), n.tensors[x].shape)


A, B, C, D, E = (1, 13, 17, 3), (1, 9, 14, 10), (1, 7, 7, 24), (1, 8, 8, 64), (1, 6, 5, 1)
CONVOLUTIONS = [
    *on(A)(
        lambda n, a: n.conv(a, 8, (3, 3), (2, 2), activation=RELU6),
        lambda n, a: n.conv(a, 7, (5, 3), valid=True, activation=RELU),
        lambda n, a: n.conv(a, 16, dilation=(2, 2)),
        lambda n, a: n.conv(a, 16, (3, 5), dilation=(2, 1), valid=True, activation=RELU_N1_TO_1),
        lambda n, a: n.conv(a, 24, (1, 1), (2, 3)),
    ),
    *on(B)(
        lambda n, b: n.conv(b, 3, (1, 1)),
        lambda n, b: n.conv(b, 10, (3, 3), (2, 2)),
        lambda n, b: n.conv(b, 13, (2, 4), (1, 2)),
    ),
    *on(C)(
        lambda n, c: n.conv(c, 64, (1, 1), activation=RELU),
        lambda n, c: n.conv(c, 5, (7, 7), valid=True),
        lambda n, c: n.conv(c, 24),
    ),
    *on(D)(
        lambda n, d: n.conv(d, 24, (1, 1), (2, 2)),
        lambda n, d: n.conv(d, 48, (2, 2), (1, 1)),
        lambda n, d: n.conv(d, 32, (3, 3), (2, 2)),
    ),
    *on(E)(lambda n, e: n.conv(e, 1), lambda n, e: n.conv(e, 6, (4, 5), (3, 2), activation=RELU6)),
]

A, B, C = (1, 12, 9, 3), (1, 14, 14, 16), (1, 7, 11, 37)
DEPTHWISE = [
    *on(A)(
        lambda n, a: n.depthwise(a),
        lambda n, a: n.depthwise(a, (5, 5), (2, 2), activation=RELU6),
        lambda n, a: n.depthwise(a, (3, 2), valid=True),
    ),
    *on(B)(
        lambda n, b: n.depthwise(b, activation=RELU),
        lambda n, b: n.depthwise(b, strides=(2, 2)),
        lambda n, b: n.depthwise(b, (7, 7), dilation=(1, 1)),
        lambda n, b: n.depthwise(b, dilation=(2, 2), activation=RELU_N1_TO_1),
        lambda n, b: n.depthwise(b, (3, 3), (2, 2), valid=True),
    ),
    *on(C)(lambda n, c: n.depthwise(c, (4, 4), (1, 3)), lambda n, c: n.depthwise(c, (7, 11), valid=True)),
]

DENSE = [
    *on((1, 37))(
        lambda n, a: n.dense(a, 10),
        lambda n, a: n.dense(a, 1, RELU),
        lambda n, a: n.dense(a, 128, RELU6, bias=False),
    ),
    *on((5, 64))(lambda n, b: n.dense(b, 7), lambda n, b: n.dense(b, 48, RELU)),
    *on((1, 3, 4, 8))(lambda n, c: n.dense(c, 11, keep=True)),
]

A, B = (1, 13, 9, 10), (1, 8, 8, 64)
WINDOWS = [
    *(case for name in ("MAX_POOL_2D", "AVERAGE_POOL_2D") for case in (
        *on(A)(
            pool(name, (2, 2), (2, 2), True),
            pool(name, (3, 3), (2, 2), False, RELU),
            pool(name, (3, 2), (1, 1), False),
        ),
        *on(B)(pool(name, (8, 8), (8, 8), True), pool(name, (2, 3), (3, 1), False, RELU6)),
    )),
    *on(A)(
        reducer("MEAN", [1, 2], (1, 10)),
        lambda n, a: n.pad(a, (0, 0), (1, 2), (0, 3), (0, 0)),
        lambda n, a: n.conv(n.pad(a, (0, 0), (0, 1), (0, 1), (0, 0)), 16, strides=(2, 2)),
    ),
    *on(B)(
        reducer("MEAN", [1, 2], (1, 1, 1, 64), keep=True),
        lambda n, b: n.conv(n.pad(b, (0, 0), (1, 1), (1, 1), (0, 0)), 16, valid=True),
    ),
]  # fmt: skip

A, C = (1, 5, 7, 10), (1, 37)
ACTIVATIONS = ("RELU", "RELU6", "LOGISTIC", "TANH", "HARD_SWISH")
ELEMENTWISE = [
    *(case for name in ("ADD", "SUB", "MUL", "MAXIMUM", "MINIMUM") for case in (
        *on(A, A)(two(name)), *on(A)(with_constant(name, 10, first=True)), *on(C)(with_constant(name, 1)),
    )),
    *on(A)(lambda n, a: n.add2("ADD", a, a, RELU), with_constant("MUL", 10, activation=RELU_N1_TO_1)),
    *on(A, A)(two("SUB", RELU6)),
    *(case for shape in (A, C) for case in on(shape)(*(function(name, shape) for name in ACTIVATIONS))),
    *on(C)(op("SOFTMAX", shape=C, options="Softmax", beta=1.0)),
    *on(A)(op("SOFTMAX", shape=A, options="Softmax", beta=0.5)),
]  # fmt: skip

B = (1, 37)
FUNCTIONS = [
    *(case for name in sorted(REAL.keys() - {*ACTIVATIONS}) for case in (
        on((3, 11))(of_positive(name)) if name in ("LOG", "SQRT", "RSQRT")
        else on(A if name < "N" else B)(function(name, A if name < "N" else B))
    )),
    *on(A)(
        with_constant("PRELU", 10),
        with_constant("PRELU", 5, 7, 10),
        with_constant("SQUARED_DIFFERENCE", 1, 1, 1, 1),
        lambda n, a: n.add2("SUB", a, reducer("MEAN", [1, 2], (1, 1, 1, 10), keep=True)(n, a)),
        with_constant("MUL", 7, 1, activation=RELU, first=True),
        with_constant("ADD", 5, 7, 10, activation=RELU6, first=True),
    ),
    *on(B)(lambda n, b: n.add2("DIV", b, n.add("EXP", (b,), (1, 37)))),
]  # fmt: skip

A, B, C = (1, 6, 8, 12), (1, 6, 8, 5), (4, 6, 10)
PADDING = [[0, 0], [1, 2], [0, 1], [0, 0]]


def joined(axis: int, shape: tuple[int, ...], *order: int) -> Make:
    """CONCATENATION of inputs, by their numbers."""
    return lambda n, *given: n.add(
        "CONCATENATION", tuple(given[i] for i in order), shape, n.tensors[given[0]].dtype, options="Concatenation",
        axis=axis,
    )  # fmt: skip


RESIZES = {
    "bilinear": ("RESIZE_BILINEAR", "ResizeBilinear"),
    "nearest": ("RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighbor"),
}


def resize(kind: str, shape: tuple[int, ...], align: bool = False, half: bool = False) -> Make:
    name, options = RESIZES[kind]
    return op(name, shape[1:3], shape=shape, options=options, alignCorners=align, halfPixelCenters=half)


def then_conv(make: Make, count: int) -> Make:
    """What a padded convolution reads: its halo belongs to the operator before."""
    return lambda n, *given: n.conv(make(n, *given), count)


def packed(n: Pictures, c: int) -> None:
    parts = several(n, "UNPACK", (c,), [(4, 10)] * 6, "Unpack", num=6, axis=1)
    n.add("PACK", tuple(parts[:3]), (4, 10, 3), options="Pack", valuesCount=3, axis=2)


MOVES = [
    *on(A, B)(then_conv(joined(3, (1, 6, 8, 29), 0, 1, 0), 8)),
    *on(B)(
        joined(1, (1, 12, 8, 5), 0, 0),
        then_conv(resize("nearest", (1, 12, 16, 5)), 8),
        lambda n, b: op("PADV2", PADDING, real(0.25), shape=(1, 9, 9, 5))(n, n.add("RELU", (b,), (1, 6, 8, 5))),
        then_conv(op("PADV2", PADDING, real(0.5), shape=(1, 9, 9, 5)), 4),
    ),
    *on(C)(
        joined(-1, (4, 6, 20), 0, 0),
        op("TRANSPOSE", (2, 0, 1), shape=(10, 4, 6), options="Transpose"),
        op("STRIDED_SLICE", (1, -1, 0), (2, -7, 0), (1, -1, 1), shape=(6, 10), options="StridedSlice",
           shrinkAxisMask=1, endMask=4),
        op("GATHER", 3, shape=(4, 6), options="Gather", axis=2),
        lambda n, c: op("BROADCAST_TO", (4, 6, 10), shape=(4, 6, 10), options="BroadcastTo", version=2)(
            n, op("SLICE", (0, 2, 0), (4, 1, 10), shape=(4, 1, 10), options="Slice")(n, c)),
        lambda n, c: several(n, "SPLIT_V", (c, n.ints(1, 5), n.ints(1)), [(4, 1, 10), (4, 5, 10)], "SplitV",
                             numSplits=2),
        packed,
    ),
    *on(A)(
        op("TRANSPOSE", (0, 3, 1, 2), shape=(1, 12, 6, 8), options="Transpose"),
        then_conv(op("TRANSPOSE", (0, 2, 1, 3), shape=(1, 8, 6, 12), options="Transpose"), 8),
        op("SLICE", (0, 1, 2, 3), (1, 4, -1, 5), shape=(1, 4, 6, 5), options="Slice"),
        op("STRIDED_SLICE", (0, 0, 1, 0), (1, 6, 8, 12), (1, 2, 3, 1), shape=(1, 3, 3, 12), options="StridedSlice",
           endMask=8, beginMask=1),
        op("SPACE_TO_DEPTH", shape=(1, 3, 4, 48), options="SpaceToDepth", blockSize=2),
        op("DEPTH_TO_SPACE", shape=(1, 12, 16, 3), options="DepthToSpace", blockSize=2),
        *(resize(kind, (1, *size, 12), align, half)
          for size, align, half in (((12, 16), False, False), ((9, 5), True, False), ((7, 13), False, True))
          for kind in ("bilinear", "nearest")),
        op("GATHER", (7, 0, 1, 2, 7), shape=(1, 6, 5, 12), options="Gather", axis=2),
        lambda n, a: several(n, "SPLIT", (n.ints(3), a), [(1, 6, 8, 4)] * 3, "Split", numSplits=3),
    ),
]  # fmt: skip

B, C, S = (1, 9, 7, 1), (1, 4, 5, 3), (1, 4, 5)


def grouped(n: Pictures, a: int) -> None:
    weights, bias = n.weights(8, 3, 3, 3, fan_in=27), n.bias(8)
    made = n.add("CONV_2D", (a, weights, bias), (1, 6, 8, 8), options="Conv2D", strideH=1, strideW=1,
                 dilationHFactor=1, dilationWFactor=1)  # fmt: skip
    n.conv(made, 16, (1, 1))


def transposed(kernel: int, stride: int, valid: bool) -> Make:
    shape = tuple((size - 1) * stride + kernel if valid else size * stride for size in (4, 5))

    def make(n: Pictures, c: int) -> None:
        given = (n.ints(1, *shape, 6), n.weights(6, kernel, kernel, 3, fan_in=9), c)
        bias = (n.bias(6),) if kernel != 4 else ()
        n.add("TRANSPOSE_CONV", (*given, *bias), (1, *shape, 6), options="TransposeConv", padding=int(valid),
              strideH=stride, strideW=stride)  # fmt: skip
        n.operators[-1] = replace(n.operators[-1], version=3)

    return make


REWRITTEN = [
    *on(B)(lambda n, b: n.depthwise(b, (4, 3), (2, 1), activation=RELU, times=10)),
    *on(C)(
        lambda n, c: n.depthwise(c, times=5),
        *(transposed(kernel, stride, valid)
          for kernel, stride, valid in ((3, 2, False), (4, 2, True), (2, 3, False), (3, 1, False), (5, 3, True))),
    ),
    *on(A)(lambda n, a: n.depthwise(a, (5, 5), (2, 2), times=2, activation=RELU6), grouped),
]  # fmt: skip
"""Operators that others stand for."""

B, C = (4, 6, 10), (4, 10, 7)
SUMS = [
    *(case for name in ("SUM", "MEAN", "REDUCE_MAX", "REDUCE_MIN") for case in (
        *on(A)(reducer(name, [3], (1, 6, 8)), reducer(name, [1], (1, 8, 12)), reducer(name, [-1], (1, 6, 8, 1), True)),
        *on(B)(reducer(name, [0, 2], (6,)), reducer(name, [1], (4, 10))),
    )),
    *on(B, C)(op("BATCH_MATMUL", shape=(4, 6, 7), options="BatchMatMul")),
    *on(B)(
        lambda n, b: n.add("BATCH_MATMUL", (b, b), (4, 6, 6), options="BatchMatMul", adjY=True),
        lambda n, b: n.add("BATCH_MATMUL", (b, n.weights(10, 16, fan_in=10)), (4, 6, 16), options="BatchMatMul"),
    ),
]  # fmt: skip

MAP, TABLE = (1, 5, 7, 6), (4, 9)
WORD, WIDE, FEW = Input(TABLE, "int32"), Input(TABLE, "int64"), Input(TABLE, "int32", below=3)


def compared(name: str, *values: float) -> Make:
    """MAP comparison of two inputs, or of one with a constant."""
    constants = (real(*values),) if values else ()
    return lambda n, *given: op(name, *constants, shape=n.tensors[given[0]].shape, dtype="bool")(n, *given)


def truths(n: Pictures, i: int, j: int) -> tuple[int, int]:
    """Where a number is the smaller one of the two, and where they differ."""
    least = n.add("MINIMUM", (i, j), TABLE, "int32", options="MaximumMinimum")
    return n.add("EQUAL", (i, least), TABLE, "bool"), n.add("NOT_EQUAL", (i, j), TABLE, "bool")


def logical(n: Pictures, name: str, *given: int) -> int:
    return n.add(name, given, TABLE, "bool")


def of_truths(make: Make) -> Make:
    return lambda n, i, j: make(n, *truths(n, i, j))


def cast(to: str) -> Make:
    return lambda n, x: n.add("CAST", (x,), n.tensors[x].shape, to, options="Cast")


def whole(name: str, options: str, dtype: str) -> Make:
    return lambda n, a, b: n.add(name, (a, b), TABLE, dtype, options=options)


def chosen(n: Pictures, a: int) -> None:
    less = n.add("LESS", (a, n.constant(real(0.5))), n.tensors[a].shape, "bool")
    n.add("SELECT_V2", (less, a, n.add("NEG", (a,), n.tensors[a].shape)), n.tensors[a].shape)


def turned(n: Pictures, i: int) -> None:
    made = n.reshape(op("SLICE", (1, 2), (2, 3), shape=(2, 3), dtype="int32", options="Slice")(n, i), 3, 2)
    n.tensors[made].dtype = "int32"


def positive(name: str, *values: float) -> Make:
    return lambda n, x: op(name, real(*values), shape=n.tensors[x].shape)(n, n.add("EXP", (x,), n.tensors[x].shape))


ODD = np.arange(-4, 5, dtype=np.int32) * 2 + 1
CHOICES = [
    *(case for name in ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL") for case in (
        *on(MAP, MAP, dtypes=WHOLE)(compared(name)), *on(MAP, dtypes=WHOLE)(compared(name, 0.5)),
    )),
    *on(FEW, FEW, dtypes=WHOLE)(
        truths,
        of_truths(lambda n, same, other: logical(
            n, "LOGICAL_OR", logical(n, "LOGICAL_AND", same, other), logical(n, "LOGICAL_NOT", same))),
        lambda n, i, j: n.add("SELECT", (truths(n, i, j)[0], i, j), TABLE, "int32"),
        of_truths(lambda n, same, other: reducer("REDUCE_ANY", [0], (9,), dtype="bool")(
            n, logical(n, "LOGICAL_AND", same, other))),
        of_truths(lambda n, same, other: reducer("REDUCE_ALL", [0], (1, 9), True, "bool")(n, other)),
        of_truths(lambda n, same, other: cast("float32")(n, same)),
        of_truths(lambda n, same, other: cast("int32")(n, same)),
        joined(0, (8, 9), 0, 1),
        *(whole(name, options, "int32")
          for name, options in (("ADD", "Add"), ("SUB", "Sub"), ("MUL", "Mul"), ("MAXIMUM", "MaximumMinimum"))),
    ),
    *on(MAP, MAP, dtypes=WHOLE)(
        lambda n, a, b: n.add("SELECT_V2", (n.add("LESS", (a, b), MAP, "bool"), a, n.constant(real(0.5))), MAP)),
    *on(TABLE, dtypes=WHOLE)(
        chosen,
        lambda n, c: cast("bool")(n, n.add("RELU", (c,), TABLE)),
        cast("int32"),
        op("FLOOR_DIV", real(0.5), shape=TABLE),
        op("FLOOR_MOD", real(0.5), shape=TABLE),
        positive("POW", 0.5),
        reducer("REDUCE_PROD", [1], (4,)),
    ),
    *on(FEW, dtypes=WHOLE)(
        turned,
        *(cast(to) for to in ("float32", "int64", "bool")),
    ),
    *on(WORD, dtypes=WHOLE)(
        op("FLOOR_DIV", ODD, shape=TABLE, dtype="int32"),
        op("FLOOR_MOD", ODD, shape=TABLE, dtype="int32"),
        op("FLOOR_MOD", [3], shape=TABLE, dtype="int32"),
        op("DIV", [3], shape=TABLE, dtype="int32", options="Div"),
        *(reducer(name, [1], (4,), dtype="int32") for name in ("SUM", "REDUCE_MAX", "REDUCE_MIN")),
    ),
    *on(WIDE, dtypes=WHOLE)(
        cast("float32"), cast("int32"), op("TRANSPOSE", (1, 0), shape=(9, 4), dtype="int64", options="Transpose")),
    *on(WIDE, FEW, dtypes=WHOLE)(
        *((lambda n, w, j, name=name, options=options: n.add(name, (w, cast("int64")(n, j)), TABLE, "int64",
                                                             options=options))
          for name, options in (("ADD", "Add"), ("SUB", "Sub"), ("MUL", "Mul"), ("MAXIMUM", "MaximumMinimum")))),
]  # fmt: skip
"""Comparisons, truth values, choices, conversions: float32, int32, int64, bool."""


PICTURE = (1, 6, 6, 4)


def chosen_in_picture(condition: Make) -> Make:
    """MAP choice between a convolution's result and one half; the condition takes the result and the input."""

    def make(n: Pictures, x: int) -> None:
        a = n.conv(x, 4)
        n.add("SELECT_V2", (condition(n, a, x), a, n.constant(real(0.5))), PICTURE)

    return make


def of_conv(make: Make) -> Make:
    return lambda n, x: make(n, n.conv(x, 4))


def truth(n: Pictures, name: str, *given: int) -> int:
    return n.add(name, given, PICTURE, "bool")


PICTURES = [
    *on(PICTURE, dtypes=WHOLE)(
        chosen_in_picture(lambda n, a, x: truth(
            n, "LOGICAL_AND", truth(n, "LOGICAL_NOT", truth(n, "LESS", a, n.constant(real(0.5)))),
            truth(n, "GREATER_EQUAL", a, n.constant(real(0.3))))),
        chosen_in_picture(lambda n, a, x: truth(
            n, "LOGICAL_OR", truth(n, "GREATER", a, n.constant(real(0.5))),
            truth(n, "LESS_EQUAL", a, n.constant(real(-0.3))))),
        chosen_in_picture(lambda n, a, x: truth(n, "EQUAL", n.add("ROUND", (a,), PICTURE), n.constant(real(0.0)))),
        chosen_in_picture(lambda n, a, x: truth(n, "NOT_EQUAL", a, n.add("RELU", (a,), PICTURE))),
        lambda n, x: n.add("SELECT", (truth(n, "LESS", x, n.constant(real(0.1))), n.conv(x, 4), x), PICTURE),
        of_conv(lambda n, a: cast("float32")(n, truth(n, "NOT_EQUAL", a, n.add("RELU", (a,), PICTURE)))),
        of_conv(op("FLOOR_DIV", real(0.3), shape=PICTURE)),
        of_conv(lambda n, a: op("FLOOR_MOD", real(2.0), shape=PICTURE)(
            n, n.add("ROUND", (n.add("EXP", (a,), PICTURE),), PICTURE))),
        of_conv(positive("POW", 0.5)),
    ),
]  # fmt: skip
"""Comparisons and choices in feature maps, beside convolutions."""


def best(n: Pictures, c: int) -> int:
    return op("ARG_MAX", [1], shape=(4,), dtype="int32", options="ArgMax", outputType=2)(n, c)


def row(n: Pictures, c: int) -> int:
    return n.reshape(op("SLICE", (1, 0), (1, 9), shape=(1, 9), options="Slice")(n, c), 9)


def of_row(make: Make) -> Make:
    return lambda n, c: make(n, row(n, c))


def gathered(x: Callable[[Pictures, int], int], index: Callable[[Pictures, int], int], shape: tuple[int, ...],
             **options: int) -> Make:  # fmt: skip
    return lambda n, c: n.add("GATHER", (x(n, c), index(n, c)), shape, options="Gather", **options)


def rows_of_column(n: Pictures, c: int) -> int:
    made = n.reshape(best(n, c), 4, 1)
    n.tensors[made].dtype = "int32"
    return made


def minimum_of_five(n: Pictures, a: int, c: int) -> None:
    five = op("MINIMUM", 5, shape=(4,), dtype="int32", options="MaximumMinimum")(n, best(n, c))
    n.add("GATHER", (a, five), (1, 5, 7, 4), options="Gather", axis=3)


def one_hot(axis: int, shape: tuple[int, ...]) -> Make:
    constants = np.int32(9), np.float32(1.5), np.float32(-0.5)
    return lambda n, c: op("ONE_HOT", *constants, shape=shape, options="OneHot", axis=axis)(n, best(n, c))


def unpacked_row(n: Pictures, c: int) -> None:
    parts = several(n, "UNPACK", (row(n, c),), [()] * 9, "Unpack", num=9, axis=0)
    n.add("PACK", tuple(parts), (9,), options="Pack", valuesCount=9)


LOOKUPS = [
    *on(TABLE, dtypes=WHOLE)(
        best,
        op("ARG_MIN", [0], shape=(9,), dtype="int64", options="ArgMin", outputType=4),
        gathered(lambda n, c: c, op("ARG_MIN", [0], shape=(9,), dtype="int64", options="ArgMin", outputType=4), (9, 9),
                 axis=0),
        gathered(lambda n, c: c, rows_of_column, (4, 1), axis=1, batchDims=1),
        op("GATHER", [[1, 0], [3, 2]], shape=(2, 2, 9), options="Gather", axis=0),
        op("GATHER_ND", [[0, 3], [2, 8], [3, 0]], shape=(3,), options="GatherNd"),
        gathered(row, best, (4,)),
        of_row(op("GATHER", 4, shape=(), options="Gather")),
        of_row(op("ARG_MAX", 0, shape=(), dtype="int32", options="ArgMax", outputType=2)),
        of_row(op("CUMSUM", 0, shape=(9,), options="Cumsum")),
        unpacked_row,
        lambda n, c: n.add("EMBEDDING_LOOKUP", (best(n, c), n.weights(9, 5, fan_in=1)), (4, 5)),
        one_hot(-1, (4, 9)),
        one_hot(0, (9, 4)),
        *(op("CUMSUM", 1, shape=TABLE, options="Cumsum", exclusive=exclusive, reverse=reverse)
          for exclusive in (False, True) for reverse in (False, True)),
    ),
    *on(MAP, dtypes=WHOLE)(
        op("ARG_MAX", [2], shape=(1, 5, 6), dtype="int64", options="ArgMax", outputType=4),
        op("CUMSUM", 2, shape=MAP, options="Cumsum"),
    ),
    *on(MAP, TABLE, dtypes=WHOLE)(minimum_of_five),
]  # fmt: skip

A, B, C = (3, 6, 8, 4), (1, 6, 8, 12), (2, 3, 2, 5, 2)
CROP = ((2, 3), [[0, 2], [1, 0]])


def of_batch(make: Make) -> Make:
    return lambda n, a: make(n, n.conv(a, 8, activation=RELU))


def matrix(make: Make) -> Make:
    return lambda n, b: make(n, n.reshape(b, 48, 12))


LAYOUTS = [
    *on(A)(
        of_batch(pool("MAX_POOL_2D", (2, 2), (2, 2), True)),
        of_batch(pool("AVERAGE_POOL_2D", (3, 3), (1, 1), False)),
        of_batch(lambda n, x: n.depthwise(x, (3, 3), (2, 2))),
        of_batch(with_constant("ADD", 8)),
        of_batch(reducer("MEAN", [1, 2], (3, 8))),
        op("RESIZE_BILINEAR", (9, 5), shape=(3, 9, 5, 4), options="ResizeBilinear", alignCorners=False,
           halfPixelCenters=True),
        lambda n, a: n.pad(a, (0, 1), (1, 0), (2, 2), (0, 0)),
    ),
    *on(B)(
        lambda n, b: n.pad(b, (0, 0), (1, 0), (0, 0), (3, 1)),
        *(op("MIRROR_PAD", [[0, 0], [2, 1], [1, 3], [0, 0]], shape=(1, 9, 12, 12), options="MirrorPad", mode=mode)
          for mode in (0, 1)),
        matrix(op("MIRROR_PAD", [[1, 0], [0, 5]], shape=(49, 17), options="MirrorPad", mode=0)),
        op("TILE", (2, 1, 3, 2), shape=(2, 6, 24, 24), options="Tile"),
        op("REVERSE_V2", [2], shape=B, options="ReverseV2"),
        op("SPACE_TO_BATCH_ND", *CROP, shape=(6, 4, 3, 12), options="SpaceToBatchND"),
        lambda n, b: op("BATCH_TO_SPACE_ND", *CROP, shape=(1, 6, 8, 12), options="BatchToSpaceND")(
            n, op("SPACE_TO_BATCH_ND", *CROP, shape=(6, 4, 3, 12), options="SpaceToBatchND")(n, b)),
        matrix(op("LOG_SOFTMAX", shape=(48, 12), options="LogSoftmax")),
        op("L2_NORMALIZATION", shape=B, options="L2Norm"),
        *(op("GELU", shape=B, options="Gelu", approximate=tanh) for tanh in (False, True)),
        op("SQUEEZE", shape=B[1:], options="Squeeze", squeezeDims=[0]),
        op("EXPAND_DIMS", 1, shape=(1, 1, 6, 8, 12), options="ExpandDims"),
    ),
    *on(C)(
        lambda n, c: n.pad(c, (1, 0), (0, 0), (0, 1), (2, 0), (0, 0)),
        op("TRANSPOSE", (4, 2, 0, 3, 1), shape=(2, 2, 2, 5, 3), options="Transpose"),
    ),
]  # fmt: skip
"""Batches of feature maps, padding of any axis, tiles, rows."""

A, C = (1, 6, 8, 12), (4, 9)
OTHERS = [
    *on(A, dtypes=WHOLE)(
        lambda n, a: n.pool("L2_POOL_2D", a, (2, 2), (2, 2), True),
    ),
    *on(C, C, dtypes=WHOLE)(op("ADD_N", shape=C, options="AddN")),
    *on(C, dtypes=WHOLE)(
        op("SIGN", shape=C),
        lambda n, c: several(n, "TOPK_V2", (c, n.constant(np.array(3, np.int32))), [(4, 3), (4, 3)], "TopKV2",
                             dtypes=("float32", "int32")),
        op("REVERSE_SEQUENCE", np.array([3, 9, 1, 5], np.int32), shape=C, options="ReverseSequence", seqDim=1,
           batchDim=0),
        op("MATRIX_DIAG", shape=(4, 9, 9), options="MatrixDiag"),
    ),
]  # fmt: skip
"""What most backends refuse: they must say so."""


LOW, HIGH, LOG, UNIT = (0.05, -20), (0.08, 31), (16 / 256, 127), (1 / 128, 0)
BYTE, INNER = (1 / 255, 0), (1 / 200, -117)


def bytes_of(make: Make, scale: tuple[float, int], dtype: str = "int8") -> Make:
    """The result of the last operator in int8."""

    def made(n: Pictures, *given: int) -> int:
        found: int = make(n, *given)
        n.tensors[found].dtype, n.tensors[found].quantization = dtype, scaled(*scale)
        return found

    return made


def of_image(n: Pictures, x: int) -> None:
    """As pictures come: uint8, made int8 by QUANTIZE."""
    y = bytes_of(op("QUANTIZE", shape=(1, 5, 7, 3), options="Quantize"), INNER)(n, x)
    z = bytes_of(pool("MAX_POOL_2D", (2, 2), (2, 2), True), INNER)(n, y)
    bytes_of(op("QUANTIZE", shape=(1, 2, 3, 3), options="Quantize"), BYTE, "uint8")(n, z)


def select_bytes(n: Pictures, a: int, b: int) -> int:
    zeros = n.constant(np.full((1, 8), -20, np.int8), quantization=scaled(*LOW))
    return n.add("SELECT_V2", (n.add("NOT_EQUAL", (a, b), (3, 8), "bool"), a, zeros), (3, 8), "int8")


def gather_bytes(n: Pictures, a: int, b: int) -> int:
    best = op("ARG_MAX", [1], shape=(3,), dtype="int32", options="ArgMax", outputType=2)(n, a)
    return n.add("GATHER", (b, best), (3, 3), "int8", options="Gather", axis=1)


def extreme(scale: float, kernel: tuple[int, int], depthwise: bool) -> Make:
    """Weights of -128, and sums or results of more bits than ordinary convolutions have."""

    def make(n: Pictures, x: int) -> None:
        rng = np.random.default_rng(int(1000 * scale) + 10 * kernel[0] + depthwise)
        out = n.depthwise(x, kernel, activation=RELU6) if depthwise else n.conv(x, 16, kernel)
        weights, bias = n.operators[-1].inputs[1:3]
        values = rng.integers(-128, 128, n.tensors[weights].shape).astype(np.int8)
        values[:, 0, 0] = 127
        n.tensors[weights].data, n.tensors[weights].dtype = values.reshape(-1).view(np.uint8), "int8"
        n.tensors[weights].quantization = scaled(0.01, 0)
        totals = rng.integers(-9999, 9999, n.tensors[bias].shape).astype(np.int32)
        n.tensors[bias].data, n.tensors[bias].dtype = totals.view(np.uint8), "int32"
        n.tensors[bias].quantization = scaled(0.0002, 0)
        n.tensors[out].dtype, n.tensors[out].quantization = "int8", scaled(scale, -7)

    return make


A, B = Input((3, 8), "int8", LOW), Input((3, 8), "int8", HIGH)
AS_THEY_COME = [
    *on(A, B, dtypes=BYTES)(
        *(op(name, shape=(3, 8), dtype="bool")
          for name in ("LESS", "LESS_EQUAL", "GREATER", "GREATER_EQUAL", "EQUAL", "NOT_EQUAL")),
        bytes_of(select_bytes, LOW),
        bytes_of(gather_bytes, HIGH),
    ),
    *on(A, dtypes=BYTES)(
        op("ARG_MAX", [1], shape=(3,), dtype="int32", options="ArgMax", outputType=2),
        bytes_of(op("LOG_SOFTMAX", shape=(3, 8), options="LogSoftmax"), LOG),
        bytes_of(lambda n, a: n.pad(a, (1, 0), (0, 2)), LOW),
        op("DEQUANTIZE", shape=(3, 8), options="Dequantize"),
    ),
    *on(B, dtypes=BYTES)(
        bytes_of(op("TILE", (2, 1), shape=(6, 8), options="Tile"), HIGH),
        bytes_of(op("L2_NORMALIZATION", shape=(3, 8), options="L2Norm"), UNIT),
    ),
    *on(Input((1, 5, 7, 3), "uint8", BYTE), dtypes=BYTES)(of_image),
]  # fmt: skip
EXTREMES = on(Input((1, 5, 6, 512), "int8", (0.02, 5)), dtypes=BYTES, wide=True)(
    *(extreme(scale, kernel, depthwise)
      for scale in (0.5, 0.002, 1e-5)  # results of few bits, of many, of more than 22
      for kernel, depthwise in (((3, 3), True), ((2, 2), True), ((1, 1), False), ((3, 3), False)))
)  # fmt: skip


def lstm_bytes(form: Form) -> Make:
    return lambda n, x: add_lstm(n, x, form, np.random.default_rng(form.seed), 0.02, 4)


def svdf_bytes(rank: int, units: int, memory: int) -> Make:
    return lambda n, x: add_svdf(n, x, rank, units, memory, True, -3, np.random.default_rng(memory))


STEPS, FRAME = Input((1, 3, 5), "int8", LOW), Input((2, 7), "int8", LOW)
RECURRENT = [
    *on((1, 3, 5), dtypes=WHOLE)(
        lambda n, x: add_float_lstm(n, x, FloatForm()),
        lambda n, x: add_float_lstm(n, x, FloatForm(outputs=4, normalized=True, cell_clip=1.0)),
        lambda n, x: add_float_lstm(n, x, FloatForm(coupled=True, peephole=True)),
    ),
    *on((2, 7), dtypes=WHOLE)(
        lambda n, x: add_float_svdf(n, x, 4, 2, 5, activation=RELU),
        lambda n, x: add_float_svdf(n, x, 6, 1, 3, bias=False),
    ),
    *on(STEPS, dtypes=BYTES)(
        lstm_bytes(Form()), lstm_bytes(Form(outputs=4, normalized=True)), lstm_bytes(Form(coupled=True, peephole=True)),
    ),
    *on(FRAME, dtypes=BYTES)(svdf_bytes(2, 4, 5), svdf_bytes(1, 6, 3)),
]  # fmt: skip

FAMILIES = {
    "convolutions": CONVOLUTIONS, "depthwise": DEPTHWISE, "dense": DENSE, "windows": WINDOWS,
    "elementwise": ELEMENTWISE, "functions": FUNCTIONS, "moves": MOVES, "sums": SUMS, "rewritten": REWRITTEN,
    "layouts": LAYOUTS, "choices": CHOICES, "pictures": PICTURES, "lookups": LOOKUPS, "others": OTHERS,
    "as they come": AS_THEY_COME, "extremes": EXTREMES,
    "recurrent": RECURRENT,
}  # fmt: skip
CASES = tuple(case for family in FAMILIES.values() for case in family)


FLOAT_FAMILIES = [name for name, cases in FAMILIES.items() if all(case.dtypes == FLOATS for case in cases)]


def family(name: str) -> Graph:
    """The network of a family's cases."""
    return network(FAMILIES[name]).graph
