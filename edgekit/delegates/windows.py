"""Rules about windows, scales and sizes, for processors of neural networks (:mod:`edgekit.delegates.rules`)."""

from __future__ import annotations

from edgekit.delegates.node import Node, name_of

VALID = 1
"""The schema's number of the padding VALID."""


def most_stride(node: Node, arguments: list[str]) -> str | None:
    """No stride exceeds the argument; with ``valid``: but those of windows without padding and dilation."""
    steps = int(node.option("strideH", 1)), int(node.option("strideW", 1))
    height, width = (s if size > 1 else 1 for s, size in zip(steps, node.outputs[0].shape[1:3], strict=True))
    strides = height, width
    dilation = int(node.option("dilationHFactor", 1)), int(node.option("dilationWFactor", 1))
    if "valid" in arguments and max(dilation) == 1 and not _padded(node, strides):
        return None
    most = int(arguments[0])
    return None if max(strides) <= most else f"its stride is {strides[0]}x{strides[1]}, more than {most}"


def _padded(node: Node, strides: tuple[int, int]) -> bool:
    """True if windows without dilation reach beyond the feature map."""
    tensor, data, result = node.input(1), node.input(0), node.outputs[0]
    assert data is not None
    size = tensor.shape[1:3] if tensor is not None else (node.option("filterHeight"), node.option("filterWidth"))
    reach = [(o - 1) * s + k for o, s, k in zip(result.shape[1:3], strides, size, strict=True)]
    return int(node.option("padding")) != VALID and any(r > i for r, i in zip(reach, data.shape[1:3], strict=True))


def pooled(node: Node, arguments: list[str]) -> str | None:
    """No padded pool is larger than ``pooled ROWS`` in height or width; none at all is higher than 256."""
    height, width = int(node.option("filterHeight")), int(node.option("filterWidth"))
    padded = int(node.option("padding")) != VALID
    most = int(arguments[0]) if arguments and padded else 256
    if height > most or (arguments and padded and width > most) or height * width > 65536:
        return f"its {'padded ' if padded else ''}window is {height}x{width}, more than {most}"
    return None


def same_scales(node: Node, arguments: list[str]) -> str | None:
    """Inputs are quantized as the output is."""
    result = node.outputs[0].quantization
    for tensor in node.inputs:
        q = tensor.quantization if tensor is not None else None
        if q is None or result is None:
            continue
        if q.scale.tolist() != result.scale.tolist() or q.zero_point.tolist() != result.zero_point.tolist():
            return f"{name_of(tensor)} is quantized otherwise than the result"  # type: ignore[arg-type]
    return None


def scaled(node: Node, arguments: list[str]) -> str | None:
    """Inputs that are computed, and outputs, have a scale."""
    bad = next((t for t in (*node.runtime, *node.outputs) if not t.has_scale), None)
    return f"{name_of(bad)} is not quantized" if bad else None


def small_zero(node: Node, arguments: list[str]) -> str | None:
    """Zero points fit into 8 bits, those of wider integers are 0."""
    for tensor in (*node.runtime, *node.outputs):
        q = tensor.quantization
        if q is not None and tensor.dtype not in ("int8", "uint8") and q.zero_point.any():
            return f"{name_of(tensor)} is {tensor.dtype} with a zero point that is not 0"
    return None


def batch_one(node: Node, arguments: list[str]) -> str | None:
    """The first of four dimensions is 1."""
    shape = node.inputs[0].shape  # type: ignore[union-attr]
    return f"its batch is {shape[0]}" if len(shape) == 4 and shape[0] != 1 else None


def last_axis(node: Node, arguments: list[str]) -> str | None:
    """The axis is the last one, of at most ``last_axis N`` elements."""
    tensor, data = node.input(1), node.input(0)
    assert tensor is not None and data is not None
    rank = len(data.shape)
    if int(tensor.array().reshape(-1)[0]) % rank != rank - 1:
        return "it does not work along the last axis"
    return (
        f"it compares {data.shape[-1]} values, more than {arguments[0]}" if data.shape[-1] > int(arguments[0]) else None
    )


def upscale(node: Node, arguments: list[str]) -> str | None:
    """The resize enlarges both dimensions by the same of the factors; ``half`` names the factor of half pixels."""
    data, result = node.input(0), node.outputs[0]
    assert data is not None
    if data.shape == result.shape or data.shape[1:3] == (1, 1):
        return None
    less = 1 if node.option("alignCorners", False) else 0
    pairs = [(o - less, i - less) for o, i in zip(result.shape[1:3], data.shape[1:3], strict=True)]
    allowed = [int(word) for word in arguments]
    if node.option("halfPixelCenters", False) and node.operator.op == "RESIZE_BILINEAR":
        allowed = allowed[:1]
    for factor in allowed:
        if all(o == i * factor for o, i in pairs):
            return None
    return f"it resizes {list(data.shape[1:3])} to {list(result.shape[1:3])}, not by {' or '.join(map(str, allowed))}"
