"""Loops that TVM's own ONNX frontend made (:mod:`edgekit.backends.tvm.onnx`), scheduled by one simple rule.

Sums get a register tile: of the axis that lies together in memory a few vectors, of the axis before it a few rows; the
reduction runs around the tile, whose accumulators stay local. All else is left to LLVM.
"""

from __future__ import annotations

from typing import Any

import tvm
from tvm import tirx
from tvm.s_tir import Schedule

from edgekit.backends.tvm.onnx.loops import Frontend
from edgekit.backends.tvm.templates.building import Template

_ROWS = (8, 6, 4, 3, 2, 1)
_LEAST, _NARROW = 4, 16
"""A shorter axis is not worth a vector; one up to this long may be a vector of its own."""


def frontend(p: Frontend) -> Template:
    """TVM's own function; loops that the rule does not fit stay as they are."""
    function = tvm.ir.load_json(p.loops)
    try:
        return Template(scheduled(function, p.lanes, p.registers))
    except Exception:  # TVM raises errors of many kinds
        return Template(function)


def scheduled(function: Any, lanes: int, registers: int) -> Any:
    """The function with its sums in register tiles."""
    schedule = Schedule(function)
    for block in schedule.get_child_blocks(schedule.get_sblock("root")):
        axes = list(schedule.get(block).iter_vars)
        loops = schedule.get_loops(block)
        kinds = [axis.iter_type for axis in axes]
        if len(loops) != len(axes) or tirx.IterVar.CommReduce not in kinds:
            continue
        spatial = [loop for loop, kind in zip(loops, kinds, strict=True) if kind == tirx.IterVar.DataPar]
        reduced = [loop for loop, kind in zip(loops, kinds, strict=True) if kind == tirx.IterVar.CommReduce]
        if spatial and _extent(schedule, spatial[-1]) >= _LEAST:
            _tiled(schedule, block, spatial, reduced, lanes, registers)
    return schedule.mod["main"]


def _extent(schedule: Any, loop: Any) -> int:
    return int(schedule.get(loop).extent)


def _tiled(schedule: Any, block: Any, spatial: list[Any], reduced: list[Any], lanes: int, registers: int) -> None:
    *outer, last = spatial
    width = _extent(schedule, last)
    narrow = width if width <= _NARROW else 0
    columns = next((n for n in (2 * lanes, lanes, 8, 4) if width % n == 0), narrow)
    if not columns:
        return
    vectors = -(-columns // lanes)
    # Rows share what is loaded along the last axis: of a convolution its channels, of a matrix product the other axis.
    rows, row = 1, None
    if outer:
        row = outer[1] if len(reduced) > 1 and len(outer) > 1 else outer[-1]
        count = _extent(schedule, row)
        rows = next(n for n in _ROWS if (count % n == 0 and n * vectors <= registers * 3 // 4) or n == 1)
    far, near = schedule.split(last, [None, columns])
    inner = [near]
    around = [loop for loop in outer if loop is not row]
    if row is not None:
        above, below = schedule.split(row, [None, rows])
        around.append(above)
        inner = [below, near]
    schedule.reorder(*around, far, *reduced, *inner)
    local = schedule.cache_write(block, 0, "local")
    schedule.reverse_compute_at(local, far)
    for part in (block, local):
        loops = schedule.get_loops(part)
        schedule.vectorize(loops[-1])
        if len(inner) == 2:
            schedule.unroll(loops[-2])
    schedule.decompose_reduction(block, reduced[0])
