"""Operators that move elements: shapes, joins, cuts, borders, resized pictures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from edgekit.graph import Operator
from edgekit.writers.onnx.elements import aligned
from edgekit.writers.onnx.exporter import TO_NCHW, Exporter, Refusal

NO_END = np.iinfo(np.int64)


def reshape(b: Exporter, operator: Operator) -> None:
    """Write RESHAPE and its kin."""
    source, made = operator.inputs[0], operator.outputs[0]
    shape = b.tensor(source).shape
    pixel = len(shape) == 4 and shape[1:3] == (1, 1) and b.only_picture(source)
    name = b.picture(source) if pixel else b.own(source)
    b.put(made, b.node("Reshape", [name, b.shape(b.tensor(made).shape)]), exact=_same_scale(b, operator))


def _same_scale(b: Exporter, operator: Operator) -> bool:
    """Whether the output is rounded as the first input was, so that moving it rounds nothing."""
    x, y = b.tensor(operator.inputs[0]).quantization, b.tensor(operator.outputs[0]).quantization
    return (x is None or y is None) or (np.array_equal(x.scale, y.scale) and np.array_equal(x.zero_point, y.zero_point))


def transpose(b: Exporter, operator: Operator) -> None:
    """Write TRANSPOSE."""
    name = b.own(operator.inputs[0])
    made = b.node("Transpose", [name], perm=b.integers(operator.inputs[1]))
    b.put(operator.outputs[0], made, exact=_same_scale(b, operator))


def _axis(axis: int, rank: int, pictures: bool) -> int:
    return TO_NCHW.index(axis % rank) if pictures else axis % rank


def concatenation(b: Exporter, operator: Operator) -> None:
    """Write CONCATENATION."""
    names, pictures = aligned(b, operator)
    axis = _axis(operator.options.axis, len(b.tensor(operator.outputs[0]).shape), pictures)
    made = b.activated(b.node("Concat", names, axis=axis), operator.options.fusedActivationFunction)
    b.put(operator.outputs[0], made, picture=pictures)


def split(b: Exporter, operator: Operator) -> None:
    """``SPLIT`` (axis, value) and ``SPLIT_V`` (value, sizes, axis): the sizes are those of the outputs."""
    place = 1 if operator.op == "SPLIT" else 0
    axis = b.integers(operator.inputs[0 if operator.op == "SPLIT" else 2])[0]
    source = operator.inputs[place]
    rank, pictures = len(b.tensor(source).shape), b.only_picture(source)
    sizes = b.shape([b.tensor(i).shape[axis % rank] for i in operator.outputs])
    name = b.picture(source) if pictures else b.own(source)
    found = b.node("Split", [name, sizes], len(operator.outputs), axis=_axis(axis, rank, pictures))
    for index, one in zip(operator.outputs, [found] if isinstance(found, str) else found, strict=True):
        b.put(index, one, picture=pictures)


def pack(b: Exporter, operator: Operator) -> None:
    """Write PACK."""
    axis = operator.options.axis % len(b.tensor(operator.outputs[0]).shape)
    parts = [b.node("Unsqueeze", [b.own(i), b.shape([axis])]) for i in operator.inputs]
    b.put(operator.outputs[0], b.node("Concat", parts, axis=axis))


def unpack(b: Exporter, operator: Operator) -> None:
    """Write UNPACK."""
    source = operator.inputs[0]
    axis = operator.options.axis % len(b.tensor(source).shape)
    sizes = b.shape([1] * len(operator.outputs))
    found = b.node("Split", [b.own(source), sizes], len(operator.outputs), axis=axis)
    for index, one in zip(operator.outputs, [found] if isinstance(found, str) else found, strict=True):
        b.put(index, b.node("Squeeze", [one, b.shape([axis])]))


def _cut(b: Exporter, operator: Operator, starts: Sequence[int], ends: Sequence[int], steps: Sequence[int]) -> None:
    given = [b.shape(starts), b.shape(ends), b.shape(range(len(starts))), b.shape(steps)]
    name = b.node("Slice", [b.own(operator.inputs[0]), *given])
    shape = b.tensor(operator.outputs[0]).shape
    if len(shape) != len(starts):
        name = b.node("Reshape", [name, b.shape(shape)])
    b.put(operator.outputs[0], name, exact=_same_scale(b, operator))


def cut(b: Exporter, operator: Operator) -> None:
    """``SLICE``: a size of -1 reaches to the end."""
    begins, sizes = (b.integers(i) for i in operator.inputs[1:3])
    ends = [NO_END.max if size < 0 else begin + size for begin, size in zip(begins, sizes, strict=True)]
    _cut(b, operator, begins, ends, [1] * len(begins))


def strided(b: Exporter, operator: Operator) -> None:
    """``STRIDED_SLICE``: bits of the masks leave a begin or end away, or take one element of a dimension."""
    o = operator.options
    if o.ellipsisMask or o.newAxisMask or getattr(o, "offset", False):
        raise Refusal("edgekit does not write its masks to ONNX")
    begins, ends, steps = (b.integers(i) for i in operator.inputs[1:4])
    if len(begins) != len(b.tensor(operator.inputs[0]).shape):
        raise Refusal("it leaves dimensions away")
    for axis, step in enumerate(steps):
        if o.shrinkAxisMask >> axis & 1:
            ends[axis] = begins[axis] + 1 if begins[axis] != -1 else NO_END.max
            steps[axis] = 1
            continue
        if o.beginMask >> axis & 1:
            begins[axis] = 0 if step > 0 else NO_END.max
        if o.endMask >> axis & 1:
            ends[axis] = NO_END.max if step > 0 else NO_END.min
    _cut(b, operator, begins, ends, steps)


def padded(b: Exporter, operator: Operator) -> None:
    """Write PAD and its kin."""
    source = operator.inputs[0]
    rank, pictures = len(b.tensor(source).shape), b.only_picture(source)
    sides = np.array(b.integers(operator.inputs[1])).reshape(rank, 2)
    sides = sides[list(TO_NCHW)] if pictures else sides
    name = b.picture(source) if pictures else b.own(source)
    amounts = b.shape([*sides[:, 0], *sides[:, 1]])
    if operator.op == "MIRROR_PAD":
        if operator.options.mode != 0:
            raise Refusal("edgekit writes mirrored borders to ONNX only where the edge is not repeated")
        made = b.node("Pad", [name, amounts], mode="reflect")
    else:
        value = 0.0
        if operator.op == "PADV2":
            values = b.constant(operator.inputs[2])
            if values is None:
                raise Refusal("its border's value is computed as it runs")
            value = float(values.reshape(-1)[0])
        made = b.node("Pad", [name, amounts, b.number(value)], mode="constant")
    b.put(operator.outputs[0], made, picture=pictures, exact=_same_scale(b, operator))


def resized(b: Exporter, operator: Operator) -> None:
    """TFLite's three rules of coordinates have the same names in ONNX; nearest neighbours are rounded as there."""
    o, source, made = operator.options, operator.inputs[0], operator.outputs[0]
    mode = "align_corners" if o.alignCorners else "half_pixel" if o.halfPixelCenters else "asymmetric"
    batch, height, width, count = b.tensor(made).shape
    given = [b.picture(source), "", "", b.shape([batch, count, height, width])]
    if operator.op == "RESIZE_BILINEAR":
        name = b.node("Resize", given, mode="linear", coordinate_transformation_mode=mode)
    else:
        nearest = "floor" if mode == "asymmetric" else "round_prefer_ceil"
        name = b.node("Resize", given, mode="nearest", coordinate_transformation_mode=mode, nearest_mode=nearest)
    b.put(made, name, picture=True)


def blocks(b: Exporter, operator: Operator) -> None:
    """Write SPACE_TO_DEPTH and DEPTH_TO_SPACE."""
    op, given = ("SpaceToDepth", {}) if operator.op == "SPACE_TO_DEPTH" else ("DepthToSpace", {"mode": "DCR"})
    made = b.node(op, [b.picture(operator.inputs[0])], blocksize=operator.options.blockSize, **given)
    b.put(operator.outputs[0], made, picture=True, exact=_same_scale(b, operator))


def gathered(b: Exporter, operator: Operator) -> None:
    """Write GATHER."""
    if getattr(operator.options, "batchDims", 0):
        raise Refusal("edgekit does not write its batch dimensions to ONNX")
    names = [b.own(i) for i in operator.inputs[:2]]
    made = b.node("Gather", names, axis=operator.options.axis)
    b.put(operator.outputs[0], made, exact=_same_scale(b, operator))


def repeated(b: Exporter, operator: Operator) -> None:
    """``BROADCAST_TO`` (its shape) and ``TILE`` (how often)."""
    op = "Expand" if operator.op == "BROADCAST_TO" else "Tile"
    made = b.node(op, [b.own(operator.inputs[0]), b.shape(b.integers(operator.inputs[1]))])
    b.put(operator.outputs[0], made, exact=_same_scale(b, operator))


RULES: dict[str, Callable[[Exporter, Operator], None]] = {
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS"), reshape),
    "TRANSPOSE": transpose,
    "CONCATENATION": concatenation,
    **dict.fromkeys(("SPLIT", "SPLIT_V"), split),
    "PACK": pack,
    "UNPACK": unpack,
    "SLICE": cut,
    "STRIDED_SLICE": strided,
    **dict.fromkeys(("PAD", "PADV2", "MIRROR_PAD"), padded),
    **dict.fromkeys(("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR"), resized),
    **dict.fromkeys(("SPACE_TO_DEPTH", "DEPTH_TO_SPACE"), blocks),
    "GATHER": gathered,
    **dict.fromkeys(("BROADCAST_TO", "TILE"), repeated),
}
