"""Rules for convolutions and matrix products, with bias, activation and a residual addition in their kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.tvm.layout import CLAMPS, Machine, Picture, as_rows, divisors, padding_of
from edgekit.backends.tvm.program import product
from edgekit.backends.tvm.tiles import CACHE, DOT_LANES, chosen_tile, held_registers, tile, tiles, window_tiles
from edgekit.graph import Graph, Operator

if TYPE_CHECKING:
    from edgekit.backends.tvm.lowering import Lowering


def _whole_vectors(count: int, machine: Machine, *, dots: bool) -> int:
    """Channels to compute: more than there are where whole vectors take fewer steps, on a processor."""
    lanes = tile(1, count, machine, dots=dots)[2]
    more = -(-count // machine.lanes) * machine.lanes
    return more if machine.borders and more // machine.lanes < count // lanes else count


def convolution(self: Lowering, number: int, operator: Operator) -> None:
    graph, o = self.graph, operator.options
    dense = operator.op == "FULLY_CONNECTED"
    weights = graph.tensors[operator.inputs[1]].array()
    if dense:
        weights = weights.reshape(weights.shape[0], 1, 1, weights.shape[1])
        given = _rows_of(self, operator.inputs[0], number, weights.shape[3])
        pads, steps = (0, 0), (1, 1, 1, 1)
    else:
        given = self.pictures[operator.inputs[0]]
        top, left, _, _ = padding_of(graph, operator)
        pads, steps = (top, left), (o.strideH, o.strideW, o.dilationHFactor, o.dilationWFactor)
    target, residual = residual_of(self, number, operator)
    integers = given.dtype != "float32"
    made, kh, kw, depth = weights.shape
    count = _whole_vectors(made, self.machine, dots=integers)
    if residual and residual.outer[2] < count:
        count = made
    out = self.make(target, count)
    if dense:
        size = (1, given.size[1], made)
        out = Picture(out.storage, out.dtype, (1, given.size[1], count), 0, 0, size)
    height, width = out.size[:2]
    plain = (kh, kw) == (1, 1) and steps[:2] == (1, 1) and height > 1
    if plain and all(p.bare for p in (given, out, residual) if p):  # a plain matrix product: pixels are rows
        given, out = as_rows(given), as_rows(out)
        residual = as_rows(residual) if residual else None
        height, width = 1, height * width
    shape = {"shape": [height, width, count], "kernel": [kh, kw, depth], "steps": list(steps)}
    choice = self.choice(
        "conv_int8" if integers else "conv", shape | {"residual": residual is not None, "dtype": given.dtype}
    )
    held = held_registers(self.machine, depth, integers=integers)
    found = list(tiles(width, count, self.machine, dots=integers, held=held))
    pixels, channels, lanes = chosen_tile(choice, found)
    four = -(-depth // 4) * 4
    dot = self.machine.dot if integers and lanes in DOT_LANES.get(self.machine.dot, ()) else ""
    wide = four if dot and four <= given.outer[2] else depth
    params: dict[str, Any] = {
        **shape, "kernel": [kh, kw, wide], "corner": [given.top - pads[0], given.left - pads[1]],
        "tile": [pixels, channels, lanes], "residual": residual is not None,
    }  # fmt: skip
    outer = count * kh * kw * wide * (1 if integers else 4) > CACHE
    params["outer"] = choice["outer"] if isinstance(choice.get("outer"), bool) else outer
    ready = np.pad(weights, ((0, count - made), (0, 0), (0, 0), (0, wide - depth)))
    blocks = ready.reshape(count // channels, channels, kh, kw, wide).transpose(0, 2, 3, 4, 1)
    inputs = [given, residual] if residual else [given]
    if not integers:
        bias = np.pad(_bias(graph, operator, made).astype(np.float32), (0, count - made))
        low, high = self.limits(target, _fused(graph, operator, target, residual))
        self.emit("conv", params | {"low": low, "high": high}, number, inputs, out, [blocks, bias])
        return
    extra = _integers(self, operator, weights, target, residual is not None)
    if dot and wide % 4 == 0 and not (dot == "mlal" and (weights == -128).any()):
        lanewise = {0: "sdot16", 8: "sdot8"}.get(wide % 16, dot)
        params["dot"] = lanewise if dot == "sdot" else dot
        blocks = _packed(blocks, params["dot"], lanes)
    constants = [np.pad(extra[name], (0, count - made)) for name in ("bias", "scale")]
    self.emit("conv_int8", params | extra["params"], number, inputs, out, [blocks, *constants])


_GROUPS = {"vnni": (1, 4), "sdot": (1, 4), "sdot8": (2, 4), "sdot16": (4, 4), "mlal": (2, 2)}
"""As in templates/intrinsics.py, which imports TVM."""


def _packed(blocks: NDArray[Any], dot: str, lanes: int) -> NDArray[Any]:
    """``[..., depth, channels]`` in the order in which dot products take them."""
    groups, together = _GROUPS[dot]
    *outer, depth, channels = blocks.shape
    split = blocks.reshape(*outer, depth // (groups * together), groups, together, channels // lanes, lanes)
    n = len(outer)
    made = split.transpose(*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return made if groups > 1 else made[..., 0, :, :]


def _rows_of(self: Lowering, index: int, node: int, depth: int) -> Picture:
    """A matrix product's input as ``[1, rows, depth]``."""
    given = self.pictures[index]
    if given.bare and given.size[2] == depth:
        return as_rows(given)
    given = self.flat(index, node)
    size = (1, product(given.size) // depth, depth)
    return Picture(given.storage, given.dtype, size, 0, 0, size)


def residual_of(self: Lowering, number: int, operator: Operator) -> tuple[int, Picture | None]:
    """If an addition is all that reads the output, and its other side is known: the addition's output, that side."""
    made, graph = operator.outputs[0], self.graph
    readers = self.uses.get(made, [])
    if len(readers) != 1 or made in graph.main.outputs or operator.options.fusedActivationFunction:
        return made, None
    after, place = readers[0]
    add = graph.operators[after]
    if add.op != "ADD" or len(set(add.inputs)) != 2:
        return made, None
    other = add.inputs[1 - place]
    alike = all(graph.tensors[i].shape == graph.tensors[made].shape for i in (other, add.outputs[0]))
    if other not in self.pictures or not alike or len(graph.tensors[made].shape) != 4 or self.obstacle(add):
        return made, None
    self.folded.add(after)
    return add.outputs[0], self.pictures[other]


def _fused(graph: Graph, operator: Operator, target: int, residual: Picture | None) -> int:
    if residual is None:
        return int(operator.options.fusedActivationFunction)
    add = next(o for o in graph.operators if target in o.outputs)
    return int(add.options.fusedActivationFunction)


def _bias(graph: Graph, operator: Operator, count: int) -> NDArray[Any]:
    index = operator.inputs[2] if len(operator.inputs) > 2 else -1
    return graph.tensors[index].array() if index >= 0 else np.zeros(count, np.int32)


def _integers(self: Lowering, operator: Operator, weights: NDArray[Any], target: int, residual: bool) -> dict[str, Any]:
    """Bias with the zero point's part, scale a channel, limits; and for a residual the addition's factors.

    ``q = clamp(round(acc * scale[c]) + zero)``; with a residual r: ``clamp(round((q - zero) ka + (r - zr) kb) + z2)``.
    ``bits`` (``add_bits``) are those of the largest result before it is clamped, whatever the input is. Where
    accumulators have less than 22 bits and floats are dear (NEON), biases are ``shifted``: they have the bits of
    1.5 * 2**23 added, so that a sum is a float by subtracting that number.
    """
    graph, made, axis = self.graph, operator.outputs[0], tuple(range(1, weights.ndim))
    quantization = graph.tensors[operator.inputs[1]].quantization
    assert quantization is not None
    scale_in, zero_in = self.scale(operator.inputs[0])
    scale_out, zero_out = self.scale(made)
    count = weights.shape[0]
    bias = _bias(graph, operator, count).astype(np.int64) - zero_in * weights.astype(np.int64).sum(axis)
    scale = np.broadcast_to(scale_in * quantization.scale.astype(np.float64) / scale_out, count).astype(np.float32)
    low, high = self.limits(made, operator.options.fusedActivationFunction)
    largest = (255 if self.machine.shifted else 128) * np.abs(weights.astype(np.int64)).sum(axis) + np.abs(bias)
    neon = self.machine.dot in ("sdot", "mlal")
    params: dict[str, Any] = {
        "zero": zero_out, "low": low, "high": high, "bits": _bits((largest * scale).max(initial=0) + 256),
        "neon": neon, "shifted": neon and _bits(largest.max(initial=0)) < 22,
    }  # fmt: skip
    if params["shifted"]:
        bias += 0x4B400000
    if residual:
        add = next(o for o in graph.operators if target in o.outputs)
        other = next(i for i in add.inputs if i != made)
        (scale_r, zero_r), (scale_2, zero_2) = self.scale(other), self.scale(target)
        low, high = self.limits(target, add.options.fusedActivationFunction)
        params["add_bits"] = _bits(256 * (scale_out + scale_r) / scale_2 + 256)
        params["add"] = [scale_out / scale_2, scale_r / scale_2, zero_r, zero_2, low, high]
    return {"bias": bias.astype(np.int32), "scale": scale, "params": params}


def _bits(value: float) -> int:
    """Bits of a number's whole part, without the sign; 64 for what has more than 32."""
    return int(np.ceil(value)).bit_length() if value < 2.0**32 else 64


def depthwise(self: Lowering, number: int, operator: Operator) -> None:
    graph, o = self.graph, operator.options
    given, weights = self.pictures[operator.inputs[0]], graph.tensors[operator.inputs[1]].array()[0]
    top, left, _, _ = padding_of(graph, operator)
    target = operator.outputs[0]
    out = self.make(target)
    lanes = tile(out.size[1], out.size[2], self.machine)[2]
    if lanes == 4 and out.dtype != "float32" and out.size[2] % 8 == 0:
        lanes = 8  # eight bytes are widened at once
    params: dict[str, Any] = {
        "shape": list(out.size), "kernel": list(weights.shape[:2]), "corner": [given.top - top, given.left - left],
        "steps": [o.strideH, o.strideW, o.dilationHFactor, o.dilationWFactor],
        "tile": [max(divisors(out.size[1], 8)), lanes, lanes],
    }  # fmt: skip
    name = "depthwise" if out.dtype == "float32" else "depthwise_int8"
    choice = self.choice(name, params | {"dtype": out.dtype})
    pixels = params["tile"][0]
    params["rows"] = 2 if out.size[0] % 2 == 0 and pixels * 2 <= 14 and o.strideH == 1 else 1
    for key, allowed in window_tiles(*out.size):
        if key in choice and choice[key] in allowed:
            params[key] = choice[key]
    if out.dtype == "float32":
        low, high = self.limits(target, o.fusedActivationFunction)
        bias = _bias(graph, operator, out.size[2]).astype(np.float32)
        self.emit("depthwise", params | {"low": low, "high": high}, number, [given], out, [weights, bias])
        return
    extra = _integers(self, operator, weights.transpose(2, 0, 1), target, False)
    pairs = extra["params"]["neon"] and not (weights == -128).any()  # two products fit 16 bits
    params["pairs"] = bool(pairs)
    constants = [weights if pairs else weights.astype(np.int16), extra["bias"], extra["scale"]]
    self.emit("depthwise_int8", params | extra["params"], number, [given], out, constants)


def weights_obstacle(graph: Graph, operator: Operator) -> str:
    tensor = graph.tensors[operator.inputs[1]]
    given = graph.tensors[operator.inputs[0]].dtype
    if tensor.data is None or tensor.sparsity is not None:
        return "its weights are not constant"
    if tensor.dtype != given and (tensor.dtype, given) != ("int4", "int8"):
        return f"its weights are {tensor.dtype}, its input is {given}"
    if operator.options.fusedActivationFunction not in CLAMPS:
        return "its activation is not one that clamps"
    if operator.op == "CONV_2D" and graph.tensors[operator.inputs[0]].shape[3] != tensor.shape[3]:
        return "it is a grouped convolution"
    one = operator.op == "DEPTHWISE_CONV_2D" and graph.tensors[operator.inputs[0]].shape[3] != tensor.shape[3]
    return "it has a channel multiplier" if one else ""
