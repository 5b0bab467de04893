"""The rules that a delegate's table may name. Each returns why it does not hold, or None.

A rule gets the operator with its tensors (:class:`Node`) and its arguments, the words after its name. Files are
hostile: an operator whose options or inputs are not what its kind has breaks a rule, and never edgekit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from edgekit.graph import Graph, Operator, Tensor

VALUES = frozenset({"float32", "float16", "bfloat16", "float64", "int16", "int8", "uint8", "int4"})
"""Dtypes of values; int32, int64 and bool are also shapes, axes, indices and conditions."""
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")
Rule = Callable[["Node", list[str]], str | None]


@dataclass(frozen=True)
class Node:
    """An operator of a Graph's main subgraph. ``dtypes``: what its table is of."""

    graph: Graph
    operator: Operator
    dtypes: tuple[str, ...]

    @property
    def inputs(self) -> list[Tensor | None]:
        return [self.graph.tensors[i] if i >= 0 else None for i in self.operator.inputs]

    @property
    def outputs(self) -> list[Tensor]:
        return [self.graph.tensors[i] for i in self.operator.outputs]

    @property
    def runtime(self) -> list[Tensor]:
        """Inputs that are no constants."""
        return [t for t in self.inputs if t is not None and t.data is None]

    def input(self, index: int) -> Tensor | None:
        return self.inputs[index] if index < len(self.operator.inputs) else None

    def option(self, name: str, default: Any = 0) -> Any:
        """A field of the operator's options; the schema's default where it has none."""
        return getattr(self.operator.options, name, default)


def refusal(node: Node, rules: tuple[str, ...]) -> str:
    """The first rule's words that do not hold; empty where all do.

    :raises KeyError: if there is no such rule: a mistake in a table, which tests find.
    """
    for text in rules:
        name, *arguments = text.split()
        rule = RULES[name]
        try:
            if reason := rule(node, arguments):
                return reason
        except (IndexError, AttributeError, TypeError, ValueError, OverflowError):
            return "its inputs or options are damaged"
    return ""


def _name(tensor: Tensor) -> str:
    """A tensor's name, without the converter's decorations."""
    name = tensor.name.split(";")[0]
    return repr(name if len(name) <= 48 else f"{name[:45]}...") if name else "a tensor"


def _dtypes(node: Node, arguments: list[str]) -> str | None:
    """Values that flow have the table's dtypes."""
    if not node.operator.inputs or not node.operator.outputs:
        raise IndexError
    flowing = [t for t in node.runtime if t.dtype in VALUES and not t.is_variable]
    for tensor in flowing + node.outputs:
        if tensor.dtype not in node.dtypes:
            return f"{_name(tensor)} is {tensor.dtype}, but the list is of {', '.join(node.dtypes)}"
    return None


def _constant_shapes(node: Node, arguments: list[str]) -> str | None:
    """Sizes are numbers. A free batch is not counted: the size of one sample is what is delegated."""
    for tensor in node.runtime + node.outputs:
        if any(d < 0 for d in (*tensor.shape, *(tensor.shape_signature or ())[1:])) or not tensor.has_rank:
            return f"the size of {_name(tensor)} is known only when it runs"
    return None


def _inner_three(node: Node, arguments: list[str]) -> str | None:
    for tensor in node.runtime + node.outputs:
        if any(d != 1 for d in tensor.shape[:-3]):
            return f"{_name(tensor)} is {list(tensor.shape)}: only the inner three dimensions may exceed 1"
    return None


def _activation(node: Node, arguments: list[str]) -> str | None:
    name = ACTIVATIONS[int(node.option("fusedActivationFunction"))]
    return None if name in arguments else f"it has the activation {name} fused into it"


def _inputs(node: Node, arguments: list[str]) -> str | None:
    count = len(node.operator.inputs)
    return None if str(count) in arguments else f"it has {count} inputs, not {' or '.join(arguments)}"


def _outputs(node: Node, arguments: list[str]) -> str | None:
    count = len(node.operator.outputs)
    return None if str(count) in arguments else f"it has {count} outputs, not {' or '.join(arguments)}"


def _runtime(node: Node, arguments: list[str]) -> str | None:
    """So many inputs that are no constants."""
    count = len(node.runtime)
    return None if str(count) in arguments else f"{count} of its inputs are computed, not {' or '.join(arguments)}"


def _static(node: Node, arguments: list[str]) -> str | None:
    for index in map(int, arguments):
        tensor = node.input(index)
        if tensor is not None and tensor.data is None:
            return f"its input {index}, {_name(tensor)}, is no constant"
    return None


def _bias(node: Node, arguments: list[str]) -> str | None:
    return "it has no bias" if node.input(2) is None else None


def _weights(node: Node, arguments: list[str]) -> str | None:
    """Input 1 has one of the dtypes, also where it is a constant."""
    tensor = node.input(1)
    if tensor is None or tensor.dtype in arguments:
        return None
    return f"its weights are {tensor.dtype}, not {' or '.join(arguments)}"


def _same_dilation(node: Node, arguments: list[str]) -> str | None:
    height, width = int(node.option("dilationHFactor", 1)), int(node.option("dilationWFactor", 1))
    return None if height == width else f"its dilation is {height} in height and {width} in width"


def _rank(node: Node, arguments: list[str]) -> str | None:
    """``rank INPUT RANK...``"""
    tensor = node.input(int(arguments[0]))
    rank = len(tensor.shape) if tensor is not None else 0
    return None if str(rank) in arguments[1:] else f"its input has {rank} dimensions, not {' or '.join(arguments[1:])}"


def _axes(node: Node) -> list[int]:
    """The constant axes of a reduction, counted from the front.

    :raises ValueError: if they are no constants.
    """
    tensor, data = node.input(1), node.input(0)
    assert tensor is not None and data is not None
    rank = len(data.shape)
    return sorted({int(a) % rank for a in tensor.array().reshape(-1)} if rank else set())


def _not_batch(node: Node, arguments: list[str]) -> str | None:
    if node.input(1) is None or node.inputs[1].data is None:  # type: ignore[union-attr]
        return "its axes are no constants"
    data = node.input(0)
    assert data is not None
    if len(data.shape) == 4 and 0 in _axes(node):
        return "it reduces the batch dimension"
    return None


def _depth_multiple(node: Node, arguments: list[str]) -> str | None:
    data = node.input(0)
    assert data is not None
    last = len(data.shape) - 1
    if last in _axes(node) and data.shape[last] % int(arguments[0]):
        return f"it reduces {data.shape[last]} channels, which is no multiple of {arguments[0]}"
    return None


def _spatial_axes(node: Node, arguments: list[str]) -> str | None:
    """Reduction over height and width, or over width, of 4-dimensional tensors."""
    axes = _axes(node)
    return None if axes in ([1, 2], [2]) else f"it reduces the axes {axes}, not height and width"


def _pad_not_batch(node: Node, arguments: list[str]) -> str | None:
    tensor, data = node.input(1), node.input(0)
    if tensor is None or data is None or tensor.data is None:
        return "its padding is no constant"
    if len(data.shape) == 4 and tensor.array()[0].any():
        return "it pads the batch dimension"
    return None


def _pad_positive(node: Node, arguments: list[str]) -> str | None:
    tensor = node.input(1)
    return "its padding is negative" if tensor is not None and (tensor.array() < 0).any() else None


def _pad_shape(node: Node, arguments: list[str]) -> str | None:
    tensor = node.input(1)
    shape = tensor.shape if tensor is not None else ()
    return None if shape in ((3, 2), (4, 2)) else f"it pads {shape[0] if shape else 0} dimensions, not 3 or 4"


def _axis_not_batch(node: Node, arguments: list[str]) -> str | None:
    """PACK, SPLIT: the option or input that names the axis does not name the batch of a 4-dimensional tensor."""
    tensor = node.input(0) if node.operator.op == "SPLIT" else None
    value = int(tensor.array().reshape(-1)[0]) if tensor is not None else int(node.option("axis"))
    shape = node.outputs[0].shape
    batch = len(shape) == 4 and value in (0, -4)
    return "it works along the batch dimension" if batch else None


def _max_elements(node: Node, arguments: list[str]) -> str | None:
    count = node.outputs[0].elements
    return None if count <= int(arguments[0]) else f"it has {count} elements, more than {arguments[0]}"


def _vector(node: Node, arguments: list[str]) -> str | None:
    shape = node.outputs[0].shape
    return None if all(d == 1 for d in shape[:-1]) else f"its result is {list(shape)}, no vector"


def _beta_one(node: Node, arguments: list[str]) -> str | None:
    beta = float(node.option("beta", 1.0))
    return None if beta == 1 else f"its beta is {beta:g}, not 1"


def _plain_slice(node: Node, arguments: list[str]) -> str | None:
    """No masks that change the rank; ``strides``: all are 1."""
    for name, words in (("ellipsisMask", "an ellipsis"), ("newAxisMask", "a new axis"), ("shrinkAxisMask", "an index")):
        if name[:-4].lower() in arguments and int(node.option(name)):
            return f"it slices with {words}"
    if "strides" in arguments:
        tensor = node.input(3)
        if tensor is None or tensor.data is None or (tensor.array() != 1).any():
            return "not all of its strides are 1"
    return None


def _block(node: Node, arguments: list[str]) -> str | None:
    size = int(node.option("blockSize"))
    return None if size > 1 else f"its block size is {size}, not more than 1"


def _pooling(node: Node, arguments: list[str]) -> str | None:
    """1 x 1 pooling with a stride is no pooling."""
    kernel = (int(node.option("filterHeight")), int(node.option("filterWidth")))
    stride = (int(node.option("strideH")), int(node.option("strideW")))
    return f"it is a 1x1 pooling with stride {stride[0]}" if kernel == (1, 1) and stride != (1, 1) else None


def _default_weights(node: Node, arguments: list[str]) -> str | None:
    return "its weights are shuffled" if int(node.option("weightsFormat")) else None


def _zero_padding(node: Node, arguments: list[str]) -> str | None:
    """CONCATENATION with a constant: it is the only other input, and nothing but zeros (of the real values)."""
    constants = [t for t in node.inputs if t is not None and t.data is not None]
    if not constants:
        return None
    tensor = constants[0]
    q = tensor.quantization
    zero = int(q.zero_point[0]) if q is not None and q.zero_point.size else 0
    good = len(node.operator.inputs) == 2 and bool((tensor.array() == zero).all())
    return None if good else "it joins a constant that is not zero, or more than one other tensor"


def _channel_slope(node: Node, arguments: list[str]) -> str | None:
    tensor = node.input(1)
    shape = tensor.shape if tensor is not None else ()
    return None if all(d == 1 for d in shape[:-1]) else f"its slopes {list(shape)} differ from place to place"


def _depthwise_gpu(node: Node, arguments: list[str]) -> str | None:
    data, result = node.input(0), node.outputs[0]
    assert data is not None
    if data.shape[3] != 1 and data.shape[3] != result.shape[3]:
        return f"it makes {result.shape[3]} channels of {data.shape[3]}: a multiplier needs 1 channel"
    return None


def _one_covers(node: Node, arguments: list[str]) -> str | None:
    """Of two operands of the same rank, one is at least as large as the other in every dimension."""
    first, second = node.input(0), node.input(1)
    assert first is not None and second is not None
    if len(first.shape) != len(second.shape):
        return None
    pairs = list(zip(first.shape, second.shape, strict=True))
    both = any(a < b for a, b in pairs) and any(b < a for a, b in pairs)
    return f"{list(first.shape)} and {list(second.shape)} spread over each other" if both else None


def _resize_corners(node: Node, arguments: list[str]) -> str | None:
    both = bool(node.option("alignCorners", False)) and bool(node.option("halfPixelCenters", False))
    return "it has both align_corners and half_pixel_centers" if both else None


def _not_per_channel(node: Node, arguments: list[str]) -> str | None:
    bad = next((t for t in (node.input(0), *node.outputs) if t and t.quantization and t.quantization.per_channel), None)
    return f"{_name(bad)} has a scale for each channel" if bad else None


def _input_dtype(node: Node, arguments: list[str]) -> str | None:
    """``input_dtype INDEX DTYPE...``"""
    tensor = node.input(int(arguments[0]))
    if tensor is None or tensor.dtype in arguments[1:]:
        return None
    return f"its input {arguments[0]} is {tensor.dtype}, not {' or '.join(arguments[1:])}"


def _reflect(node: Node, arguments: list[str]) -> str | None:
    return "it mirrors symmetrically, not by reflection" if int(node.option("mode")) else None


RULES: dict[str, Rule] = {
    "dtypes": _dtypes, "constant_shapes": _constant_shapes, "inner_three": _inner_three, "activation": _activation,
    "inputs": _inputs, "outputs": _outputs, "runtime": _runtime, "static": _static, "bias": _bias,
    "weights": _weights, "same_dilation": _same_dilation, "rank": _rank, "not_batch": _not_batch,
    "depth_multiple": _depth_multiple, "spatial_axes": _spatial_axes, "pad_not_batch": _pad_not_batch,
    "pad_positive": _pad_positive, "pad_shape": _pad_shape, "axis_not_batch": _axis_not_batch,
    "max_elements": _max_elements, "vector": _vector, "beta_one": _beta_one, "plain_slice": _plain_slice,
    "block": _block, "pooling": _pooling, "default_weights": _default_weights, "zero_padding": _zero_padding,
    "channel_slope": _channel_slope, "depthwise_gpu": _depthwise_gpu, "one_covers": _one_covers,
    "resize_corners": _resize_corners, "not_per_channel": _not_per_channel, "input_dtype": _input_dtype,
    "reflect": _reflect,
}  # fmt: skip
