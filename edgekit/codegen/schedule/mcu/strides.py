"""Views as loops over memory: extents, and the step of each operand along each axis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgekit.codegen.kernels import Network
from edgekit.codegen.schedule.mcu.steps import Piece, Struct, Value
from edgekit.codegen.views import View, row_major

AXES = 6
"""``EK_AXES``: loops that a kernel over views has."""


def walk(network: Network, views: Sequence[View]) -> tuple[Struct, bool]:
    """The loops over views of one shape, joined where memory allows it.

    :returns: ``struct ek_walkN`` for N views, and True if all of them are dense in the same order.
    :raises ValueError: if there are more axes than loops.
    """
    layouts = [row_major(network.tensors[view.tensor].shape) for view in views]
    offsets = [view.offset(layout) for view, layout in zip(views, layouts, strict=True)]
    axes = list(
        zip(views[0].shape, *(v.strides(layout) for v, layout in zip(views, layouts, strict=True)), strict=True)
    )
    joined: list[tuple[int, ...]] = []
    for extent, *steps in axes:
        if extent == 1:
            continue
        if joined and all(before == step * extent for before, step in zip(joined[-1][1:], steps, strict=True)):
            joined[-1] = (joined[-1][0] * extent, *steps)
        else:
            joined.append((extent, *steps))
    if len(joined) > AXES:
        raise ValueError(f"it takes {len(joined)} nested loops, of which there are at most {AXES}")
    dense = not any(offsets) and (not joined or (len(joined) == 1 and all(step == 1 for step in joined[0][1:])))
    rows = [(1,) + (0,) * len(views)] * (AXES - len(joined)) + joined
    fields: dict[str, Value] = {"size": tuple(row[0] for row in rows), "offset": tuple(offsets)}
    fields["step"] = tuple(tuple(row[1 + n] for row in rows) for n in range(len(views)))
    return Struct(f"ek_walk{len(views)}", fields), dense


def flat(elements: int, operands: int) -> Struct:
    """The loops over dense operands of one shape."""
    zeros = (0,) * (AXES - 1)
    return Struct(f"ek_walk{operands}", {
        "size": (*(1,) * (AXES - 1), elements), "offset": (0,) * operands, "step": ((*zeros, 1),) * operands,
    })  # fmt: skip


def rows(walk: Struct, item: int) -> Struct | None:
    """The loops of two operands over bytes, if elements along the last axis lie together on both sides.

    :param item: bytes of an element.
    """
    fields: Any = walk.fields
    size, offset, step = fields["size"], fields["offset"], fields["step"]
    if any(one[-1] != 1 for one in step) or size[-1] * item < 4:
        return None
    return Struct(walk.tag, {
        "size": (*size[:-1], size[-1] * item), "offset": tuple(n * item for n in offset),
        "step": tuple((*(n * item for n in one[:-1]), 1) for one in step),
    })  # fmt: skip


def piece(walk: Struct, item: int) -> Piece | None:
    """What loops of two operands copy, if it lies together on both sides.

    :param item: bytes of an element.
    """
    fields: Any = walk.fields
    size, (source, result), step = fields["size"], fields["offset"], fields["step"]
    together = size[-1] == 1 or all(one[-1] == 1 for one in step)
    if not together or any(extent != 1 for extent in size[:-1]):
        return None
    return Piece(source * item, result * item, size[-1] * item)


def step(network: Network, view: View) -> int:
    """Elements of memory from one element of a view of one axis to the next."""
    return view.strides(row_major(network.tensors[view.tensor].shape))[0]
