"""Rules about an operator's tensors: their number, dtypes, shapes and constants (:mod:`edgekit.delegates.rules`)."""

from __future__ import annotations

from edgekit.delegates.node import VALUES, Node, computes_half, name_of


def dtypes(node: Node, arguments: list[str]) -> str | None:
    """Values that flow have the table's dtypes."""
    if not node.operator.inputs or not node.operator.outputs:
        raise IndexError
    flowing = [t for t in node.runtime if t.dtype in VALUES and not t.is_variable]
    for tensor in flowing + node.outputs:
        if tensor.dtype not in node.dtypes:
            return f"{name_of(tensor)} is {tensor.dtype}, but the list is of {', '.join(node.dtypes)}"
    return None


def constant_shapes(node: Node, arguments: list[str]) -> str | None:
    """Sizes are numbers. A free batch is not counted: the size of one sample is what is delegated."""
    for tensor in node.runtime + node.outputs:
        if any(d < 0 for d in (*tensor.shape, *(tensor.shape_signature or ())[1:])) or not tensor.has_rank:
            return f"the size of {name_of(tensor)} is known only when it runs"
    return None


def inner_three(node: Node, arguments: list[str]) -> str | None:
    """Only the innermost three dimensions exceed 1."""
    for tensor in node.runtime + node.outputs:
        if any(d != 1 for d in tensor.shape[:-3]):
            return f"{name_of(tensor)} is {list(tensor.shape)}: only the inner three dimensions may exceed 1"
    return None


def inputs(node: Node, arguments: list[str]) -> str | None:
    """The number of inputs is one of the arguments."""
    count = len(node.operator.inputs)
    return None if str(count) in arguments else f"it has {count} inputs, not {' or '.join(arguments)}"


def outputs(node: Node, arguments: list[str]) -> str | None:
    """The number of outputs is one of the arguments."""
    count = len(node.operator.outputs)
    return None if str(count) in arguments else f"it has {count} outputs, not {' or '.join(arguments)}"


def runtime(node: Node, arguments: list[str]) -> str | None:
    """So many inputs that are not constants."""
    count = len(node.runtime)
    return None if str(count) in arguments else f"{count} of its inputs are computed, not {' or '.join(arguments)}"


def static(node: Node, arguments: list[str]) -> str | None:
    """The inputs with these indices are constants."""
    for index in map(int, arguments):
        tensor = node.input(index)
        if tensor is not None and not node.is_constant(node.operator.inputs[index]):
            return f"its input {index}, {name_of(tensor)}, is not a constant"
    return None


def bias(node: Node, arguments: list[str]) -> str | None:
    """There is a bias."""
    return "it has no bias" if node.input(2) is None else None


def weights(node: Node, arguments: list[str]) -> str | None:
    """Input 1 has one of the dtypes, also where it is a constant."""
    tensor = node.input(1)
    if tensor is None or tensor.dtype in arguments:
        return None
    return f"its weights are {tensor.dtype}, not {' or '.join(arguments)}"


def rank(node: Node, arguments: list[str]) -> str | None:
    """The input has one of the ranks: ``rank INPUT RANK...``."""
    tensor = node.input(int(arguments[0]))
    rank = len(tensor.shape) if tensor is not None else 0
    return None if str(rank) in arguments[1:] else f"its input has {rank} dimensions, not {' or '.join(arguments[1:])}"


def _axes(node: Node) -> list[int]:
    """The constant axes of a reduction, counted from the front.

    :raises ValueError: if they are not constants.
    """
    tensor, data = node.input(1), node.input(0)
    assert tensor is not None and data is not None
    rank = len(data.shape)
    return sorted({int(a) % rank for a in tensor.array().reshape(-1)} if rank else set())


def not_batch(node: Node, arguments: list[str]) -> str | None:
    """The reduction leaves out the batch dimension."""
    if node.input(1) is None or node.inputs[1].data is None:  # type: ignore[union-attr]
        return "its axes are not constants"
    data = node.input(0)
    assert data is not None
    if len(data.shape) == 4 and 0 in _axes(node):
        return "it reduces the batch dimension"
    return None


def depth_multiple(node: Node, arguments: list[str]) -> str | None:
    """A reduction over channels has a multiple of so many of them."""
    data = node.input(0)
    assert data is not None
    last = len(data.shape) - 1
    if last in _axes(node) and data.shape[last] % int(arguments[0]):
        return f"it reduces {data.shape[last]} channels, which is not a multiple of {arguments[0]}"
    return None


def pad_not_batch(node: Node, arguments: list[str]) -> str | None:
    """The padding leaves out the batch dimension."""
    tensor, data = node.input(1), node.input(0)
    if tensor is None or data is None or tensor.data is None:
        return "its padding is not a constant"
    if len(data.shape) == 4 and tensor.array()[0].any():
        return "it pads the batch dimension"
    return None


def pad_positive(node: Node, arguments: list[str]) -> str | None:
    """The padding is not negative."""
    tensor = node.input(1)
    return "its padding is negative" if tensor is not None and (tensor.array() < 0).any() else None


def pad_shape(node: Node, arguments: list[str]) -> str | None:
    """The padding is for 3 or 4 dimensions."""
    tensor = node.input(1)
    shape = tensor.shape if tensor is not None else ()
    return None if shape in ((3, 2), (4, 2)) else f"it pads {shape[0] if shape else 0} dimensions, not 3 or 4"


def max_elements(node: Node, arguments: list[str]) -> str | None:
    """The result has at most so many elements."""
    count = node.outputs[0].elements
    return None if count <= int(arguments[0]) else f"it has {count} elements, more than {arguments[0]}"


def vector(node: Node, arguments: list[str]) -> str | None:
    """All dimensions of the result but the last are 1."""
    shape = node.outputs[0].shape
    return None if all(d == 1 for d in shape[:-1]) else f"its result is {list(shape)}, not a vector"


def zero_padding(node: Node, arguments: list[str]) -> str | None:
    """CONCATENATION with a constant: it is the only other input, and nothing but zeros (of the real values)."""
    constants = [t for t in node.inputs if t is not None and t.data is not None]
    if not constants:
        return None
    tensor = constants[0]
    q = tensor.quantization
    zero = int(q.zero_point[0]) if q is not None and q.zero_point.size else 0
    good = len(node.operator.inputs) == 2 and bool((tensor.array() == zero).all())
    return None if good else "it joins a constant that is not zero, or more than one other tensor"


def channel_slope(node: Node, arguments: list[str]) -> str | None:
    """There is one slope per channel."""
    tensor = node.input(1)
    shape = tensor.shape if tensor is not None else ()
    return None if all(d == 1 for d in shape[:-1]) else f"its slopes {list(shape)} differ from place to place"


def depthwise_gpu(node: Node, arguments: list[str]) -> str | None:
    """A channel multiplier above 1 has a single input channel."""
    data, result = node.input(0), node.outputs[0]
    assert data is not None
    if data.shape[3] != 1 and data.shape[3] != result.shape[3]:
        return f"it makes {result.shape[3]} channels of {data.shape[3]}: a multiplier needs 1 channel"
    return None


def one_covers(node: Node, arguments: list[str]) -> str | None:
    """Of two operands of the same rank, one is at least as large as the other in every dimension."""
    first, second = node.input(0), node.input(1)
    assert first is not None and second is not None
    if len(first.shape) != len(second.shape):
        return None
    pairs = list(zip(first.shape, second.shape, strict=True))
    both = any(a < b for a, b in pairs) and any(b < a for a, b in pairs)
    return f"{list(first.shape)} and {list(second.shape)} spread over each other" if both else None


def not_per_channel(node: Node, arguments: list[str]) -> str | None:
    """Input and outputs have one scale per tensor."""
    bad = next((t for t in (node.input(0), *node.outputs) if t and t.quantization and t.quantization.per_channel), None)
    return f"{name_of(bad)} has a scale for each channel" if bad else None


def input_dtype(node: Node, arguments: list[str]) -> str | None:
    """The input has one of the dtypes: ``input_dtype INDEX DTYPE...``."""
    tensor = node.input(int(arguments[0]))
    if tensor is None or tensor.dtype in arguments[1:]:
        return None
    return f"its input {arguments[0]} is {tensor.dtype}, not {' or '.join(arguments[1:])}"


def half(node: Node, arguments: list[str]) -> str | None:
    """The network computes in float16: its weights were made smaller."""
    return None if computes_half(node.graph) else "it computes in float32: --recipe float16 makes it float16"


def most_dimensions(node: Node, arguments: list[str]) -> str | None:
    """No tensor has more than so many dimensions."""
    for tensor in node.runtime + node.outputs:
        if len(tensor.shape) > int(arguments[0]):
            return f"{name_of(tensor)} has {len(tensor.shape)} dimensions, more than {arguments[0]}"
    return None


def most_size(node: Node, arguments: list[str]) -> str | None:
    """No dimension exceeds the argument."""
    for tensor in node.runtime + node.outputs:
        if any(size > int(arguments[0]) for size in tensor.shape):
            return f"{name_of(tensor)} is {list(tensor.shape)}: a dimension exceeds {arguments[0]}"
    return None
