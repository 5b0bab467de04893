"""Writes loop nests with TVM's IRBuilder: functions of any number of arguments, blocks of any number of loops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tvm.s_tir import Schedule
from tvm.script.ir_builder import IRBuilder
from tvm.script.ir_builder import tirx as I

Shape = Sequence[int]


@dataclass(frozen=True)
class Template:
    """Loops and their schedule.

    :param plain: the function before any schedule, which MetaSchedule starts from. :param schedule: applies the
        template's own to it.
    """

    plain: Any
    schedule: Callable[[Schedule], None] = lambda schedule: None

    def scheduled(self) -> Any:
        """The function with the template's schedule."""
        schedule = Schedule(self.plain)
        self.schedule(schedule)
        return schedule.mod["main"]


def function(arguments: Sequence[tuple[Shape, str]], body: Callable[..., None]) -> Any:
    """Return a PrimFunc whose arguments are dense arrays of these shapes and dtypes; ``body`` gets their buffers."""
    with IRBuilder() as ib, I.prim_func(s_tir=True):
        I.func_name("main")
        I.func_attr({"tirx.noalias": True})
        buffers = [I.arg(f"a{n}", I.buffer(tuple(shape), dtype)) for n, (shape, dtype) in enumerate(arguments)]
        body(*buffers)
    return ib.get()


def local(shape: Shape, dtype: str) -> Any:
    """A buffer of accumulators; a schedule makes it as small as a tile."""
    return I.sblock_alloc_buffer(tuple(shape), dtype)


def block(
    name: str,
    spatial: Shape,
    body: Callable[..., None],
    *,
    reduced: Shape = (),
    first: Callable[..., None] | None = None,
    reads: Callable[..., Sequence[Any]] | None = None,
) -> None:
    """Loops over ``spatial`` and ``reduced`` extents around a block.

    :param body: gets all axes; :param first: gets them before a reduction's first step. :param reads: the elements that
        ``body`` reads, where ``first`` reads others: a tensor intrinsic must find its own only.
    """
    extents = [*spatial, *reduced]
    with I.grid(*extents) as given:
        variables = [given] if len(extents) == 1 and not hasattr(given, "__len__") else list(given)
        with I.sblock(name):
            axes = [I.axis.spatial(e, v) for e, v in zip(spatial, variables, strict=False)]
            axes += [I.axis.reduce(e, v) for e, v in zip(reduced, variables[len(spatial) :], strict=True)]
            if reads is not None:
                I.reads(*reads(*axes))
            if first is not None:
                with I.init():
                    first(*axes)
            body(*axes)


def store(buffer: Any, value: Any, *place: Any) -> None:
    """Write ``buffer[place] = value``."""
    I.buffer_store(buffer, value, list(place))
