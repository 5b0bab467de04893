"""Indices of the largest, running sums: loops that follow one axis."""

from __future__ import annotations

from typing import Any

from tvm import tirx
from tvm.script.ir_builder import tirx as I

from edgekit.backends.tvm.templates.building import Template, block, function, local, store
from edgekit.backends.tvm.templates.common import I32, place
from edgekit.codegen import loops


def largest(p: loops.Largest) -> Template:
    """Where along an axis the largest (smallest) element is; of equal ones the first."""
    (size, made_size), (strides, made_strides), (offset, made_offset) = p.sizes, p.strides, p.offsets
    kept = len(p.shape)

    def body(a: Any, d: Any) -> None:
        c = local(p.shape, I32)

        def look(*axes: Any) -> None:
            at, found = place(offset, strides, axes[:kept]), c[axes[:kept]]
            one, best = a[at + axes[kept] * p.step], a[at + found * p.step]
            better = one > best if p.kind == "max" else one < best
            store(c, tirx.Select(better, axes[kept].astype(I32), found), *axes[:kept])

        def end(*axes: Any) -> None:
            store(d, c[axes].astype(p.dtype), place(made_offset, made_strides, axes))

        block("C", p.shape, look, reduced=[p.length],
              first=lambda *axes: store(c, tirx.const(0, I32), *axes[:kept]))  # fmt: skip
        block("D", p.shape, end)

    return Template(function([((size,), p.dtypes[0]), ((made_size,), p.dtype)], body))


def running(p: loops.Running) -> Template:
    """Sums of all elements before, with (or without) the element itself."""
    (size, made_size), (strides, made_strides), (offset, made_offset) = p.sizes, p.strides, p.offsets
    step, made_step = p.steps
    dtype, late = p.dtype, int(p.exclusive)

    def body(a: Any, d: Any) -> None:
        def follow(*axes: Any) -> None:
            at, to = place(offset, strides, axes), place(made_offset, made_strides, axes)
            store(d, tirx.const(0, dtype) if late else a[at], to)
            with I.serial(0, p.length - 1) as k:
                store(d, d[to + k * made_step] + a[at + (k + 1 - late) * step], to + (k + 1) * made_step)

        block("E", p.shape, follow)

    return Template(function([((size,), dtype), ((made_size,), dtype)], body))
