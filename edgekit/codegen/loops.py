"""Loop nests: what a backend's templates write code for. Frozen dataclasses, equal where their code is.

A nest says which elements it reads and writes, by strides or by the corner of a feature map in its buffer, and in which
tiles. Numbers that end up as literals in the code are here; weights and other arrays are arguments of the call.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, ClassVar, Literal

Corner = tuple[int, int, int, int, int]
"""A feature map in its buffer: the buffer's height, width and channels, and the map's first row and column."""
Shape = tuple[int, ...]
Quantized = tuple[float, int]
"""Scale and zero point, as stored."""
Limits = tuple[float, float]


@dataclass(frozen=True)
class Loops:
    """``dtype``: of the output."""

    template: ClassVar[str]
    """The name of what writes its code, part of function names."""
    dtype: str

    @property
    def name(self) -> str:
        """The template's name, by which types share a template."""
        return self.template

    @property
    def title(self) -> str:
        """For people: what is computed, and of which size."""
        extent: tuple[int, ...] = getattr(self, "shape", ()) or getattr(self, "size", ())
        return f"{getattr(self, 'function', '') or self.name} {'x'.join(map(str, extent))}"


@dataclass(frozen=True)
class FloatEnd:
    """A float sum of products is clamped."""

    low: float
    high: float


@dataclass(frozen=True)
class Addition:
    """A residual addition of integers: ``clamp(round(own * own_factor + (other - other_zero) * other_factor) + zero)``.

    :param bits: of the largest sum before it is clamped.
    """

    bits: int
    own_factor: float
    other_factor: float
    other_zero: int
    zero: int
    low: float
    high: float


@dataclass(frozen=True)
class IntegerEnd:
    """``clamp(round(sum * scale[channel]) + zero)``, then the addition.

    :param bits: of the largest result before it is clamped, whatever the input is.
    :param neon: the processor converts and narrows as NEON does.
    :param shifted: biases have :data:`MAGIC_BITS` added, so that a sum is a float by subtracting that number.
    """

    zero: int
    low: float
    high: float
    bits: int
    neon: bool
    shifted: bool
    add: Addition | None = None


MAGIC = 12582912.0
"""``1.5 * 2**23``: a float of that size has steps of 1, so that adding it rounds, half to even, into its low bits."""
MAGIC_BITS = 0x4B400000
"""The same number's bits; their low 16 are 0."""
End = FloatEnd | IntegerEnd


@dataclass(frozen=True)
class Conv(Loops):
    """A convolution or matrix product.

    Arguments: input, the residual's other operand if there is one, weights in blocks of ``tile[1]`` channels, bias,
    for integers one scale per channel, output.

    :param shape: rows, columns, channels of the output as computed. :param kernel: height, width, depth.
    :param steps: strides, then dilations. :param corner: first row and column that the window reads.
    :param tile: pixels, channels, lanes. :param outer: the feature map is walked once for each block of channels.
    :param dot: the dot product that its weights are packed for.
    """

    template = "conv"
    inputs: tuple[Corner, ...]
    output: Corner
    shape: tuple[int, int, int]
    kernel: tuple[int, int, int]
    steps: tuple[int, int, int, int]
    corner: tuple[int, int]
    tile: tuple[int, int, int]
    end: End
    residual: bool = False
    outer: bool = False
    dot: str = ""

    @property
    def name(self) -> str:
        """Name of the function that the loops become."""
        return "conv" if self.dtype == "float32" else "conv_int8"


@dataclass(frozen=True)
class Depthwise(Loops):
    """A depthwise convolution; fields as of :class:`Conv`.

    :param rows: of one tile. :param pairs: two products are added in 16 bits.
    """

    template = "depthwise"
    inputs: tuple[Corner, ...]
    output: Corner
    shape: tuple[int, int, int]
    kernel: tuple[int, int]
    steps: tuple[int, int, int, int]
    corner: tuple[int, int]
    tile: tuple[int, int, int]
    end: End
    rows: int = 1
    pairs: bool = False

    @property
    def name(self) -> str:
        """Name of the function that the loops become."""
        return "depthwise" if self.dtype == "float32" else "depthwise_int8"


@dataclass(frozen=True)
class Elements(Loops):
    """The same place of feature maps, element by element."""

    inputs: tuple[Corner, ...]
    output: Corner
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class Map(Elements):
    """A function of one float."""

    template = "map"
    function: str
    alpha: float = 0.0


@dataclass(frozen=True)
class Shift(Elements):
    """int8 to uint8 with 128 added, or back."""

    template = "shift"


@dataclass(frozen=True)
class Table(Elements):
    """Each stored value, from ``least`` on, has its own result."""

    template = "table"
    least: int


@dataclass(frozen=True)
class Binary(Elements):
    """Two operands: feature maps (``map``), or constants of one value (``scalar``) or one per channel (``channels``).

    :param scales: of the operands, :param made: of the result; for integers.
    """

    template = "binary"
    function: str
    kinds: tuple[str, ...]
    limits: Limits
    scales: tuple[Quantized, ...] = ()
    made: Quantized | None = None


@dataclass(frozen=True)
class Convert(Elements):
    """From ``given`` with its scale to the output's type: ``(scale, zero, low, high)``."""

    template = "convert"
    given: str
    source: Quantized | None = None
    target: tuple[float, int, float, float] | None = None


@dataclass(frozen=True)
class Pool(Loops):
    """``size``: rows and columns of the input; ``pads``: before them."""

    template = "pool"
    inputs: tuple[Corner, ...]
    output: Corner
    kind: Literal["max", "average"]
    shape: tuple[int, int, int]
    size: tuple[int, int]
    window: tuple[int, int]
    strides: tuple[int, int]
    pads: tuple[int, int]
    limits: Limits


@dataclass(frozen=True)
class Mean(Loops):
    """The mean of each channel of a feature map of ``size``.

    :param zeros: zero points of input and output; for integers.
    """

    template = "mean"
    inputs: tuple[Corner, ...]
    output: Corner
    size: tuple[int, int, int]
    factor: float = 1.0
    zeros: tuple[int, ...] = ()
    limits: Limits | None = None


@dataclass(frozen=True)
class Softmax(Loops):
    """Along the last axis; integers take powers from a table."""

    template = "softmax"
    inputs: tuple[Corner, ...]
    output: Corner
    shape: tuple[int, int, int]
    beta: float
    made: Quantized | None = None


@dataclass(frozen=True)
class Resize(Loops):
    """A feature map of another size; its positions are arguments."""

    inputs: tuple[Corner, ...]
    output: Corner
    shape: tuple[int, int, int]
    limits: Limits


@dataclass(frozen=True)
class Nearest(Resize):
    """Each output pixel is the nearest input pixel."""

    template = "nearest"


@dataclass(frozen=True)
class Bilinear(Resize):
    """Each output pixel is interpolated between four input pixels."""

    template = "bilinear"


@dataclass(frozen=True)
class Nest(Loops):
    """``out[i] = function(inputs)`` over rows of elements: element ``i`` of one is ``offset + sum(i * strides)``.

    For each operand, the output last: ``strides``, ``offsets``, and ``sizes``, the elements of its buffer.

    :param dtypes: of the inputs, where one differs from the output's. :param limits: of arithmetic.
    :param scales: of int8 operands. :param made: of an int8 result. :param truth: a conversion to truth values.
    :param steps: and ``lengths``: of each axis that a ``gather``'s indices run along.
    """

    template = "nest"
    function: str
    shape: Shape
    strides: tuple[Shape, ...]
    offsets: Shape
    sizes: Shape
    dtypes: tuple[str, ...] = ()
    limits: Limits | None = None
    scales: tuple[Quantized, ...] = ()
    made: Quantized | None = None
    truth: bool = False
    steps: Shape = ()
    lengths: Shape = ()


@dataclass(frozen=True)
class Accumulate(Loops):
    """Products of rows of elements, joined over the ``reduced`` axes, whose strides are ``steps``.

    :param factor: of the result. :param zeros: of the inputs, :param made: of the output; for integers.
    """

    template = "accumulate"
    kind: str
    factor: float
    shape: Shape
    strides: tuple[Shape, ...]
    reduced: Shape
    steps: tuple[Shape, ...]
    offsets: Shape
    sizes: Shape
    zeros: tuple[int, ...] = ()
    made: int = 0
    limits: Limits | None = None


@dataclass(frozen=True)
class Largest(Loops):
    """Where along an axis of ``length`` the largest or smallest element is; ``step``: its stride."""

    template = "largest"
    kind: str
    shape: Shape
    strides: tuple[Shape, ...]
    length: int
    step: int
    offsets: Shape
    sizes: Shape
    dtypes: tuple[str, ...]


@dataclass(frozen=True)
class Running(Loops):
    """Running sums along an axis of ``length``; ``steps``: its strides in input and output."""

    template = "running"
    shape: Shape
    strides: tuple[Shape, ...]
    length: int
    steps: Shape
    offsets: Shape
    sizes: Shape
    exclusive: bool = False


KINDS: dict[str, type[Any]] = {
    kind.__name__: kind
    for kind in (
        FloatEnd, Addition, IntegerEnd, Conv, Depthwise, Map, Shift, Table, Binary, Convert, Pool, Mean, Softmax,
        Nearest, Bilinear, Nest, Accumulate, Largest, Running,
    )
}  # fmt: skip
"""By name, for :func:`decoded`; a backend with loops of its own adds them."""


def encoded(value: Any) -> Any:
    """Loops as JSON values, for a child process."""
    if type(value).__name__ in KINDS:
        return {"is": type(value).__name__} | {f.name: encoded(getattr(value, f.name)) for f in fields(value)}
    return [encoded(one) for one in value] if isinstance(value, tuple) else value


def decoded(value: Any) -> Any:
    """The loops that :func:`encoded` described."""
    if isinstance(value, dict):
        return KINDS[value["is"]](**{name: decoded(one) for name, one in value.items() if name != "is"})
    return tuple(decoded(one) for one in value) if isinstance(value, list) else value
