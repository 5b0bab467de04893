"""Finds out which kernels ran between which two readings of the clock.

LiteRT's profiler reads the clock when an event begins and when it ends; XNNPACK reads it when its runtime starts and
after each of its kernels, n + 1 times for n kernels, and its kernels are listed afterwards as events that have no
start time. So the list of events, in the profiler's order, says exactly which reading is which, and the number of
readings proves it. A compiled network's kernels are told like LiteRT's own: two readings each. What lies between two
readings is the runner's matter: instructions in an emulator, nanoseconds on a device.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_OPERATOR, _DELEGATE_KERNELS, _TELEMETRY = 1 << 1, (1 << 2) | (1 << 3), 0b1111 << 5
"""Bits of tflite::Profiler::EventType (tflite/core/api/profiler.h)."""
ALL = 1 << 16
"""Threads of a kernel that uses as many as there are."""
_CONTROL_FLOW = {"WHILE", "IF", "CALL", "CALL_ONCE", "STABLEHLO_WHILE", "STABLEHLO_COMPOSITE"}


@dataclass(frozen=True)
class Kernel(Generic[T]):
    """One kernel that ran.

    :param node: the operator's index in the model, for LiteRT's own kernels and a compiled network's (-1: none); None
        for a delegate's.
    :param us: the time the profiler gives it, microseconds; each inference's is whole.
    :param observed: what lies between the two readings of the clock around it.
    :param threads: the most threads that share its work.
    """

    name: str
    node: int | None
    us: float
    observed: T
    threads: int


def match(events: Sequence[dict[str, Any]], between: Sequence[T]) -> list[Kernel[T]] | None:
    """Match profiler events with what lies between readings of the clock.

    :param events: ``tag``, ``node``, ``type``, ``start_us``, ``us`` of each event, in the profiler's order; ``threads``
        where it is known; also ``end_us`` where ``us`` is not the time of the inference that ``start_us`` is of, but a
        mean.
    :param between: item k lies between readings k and k + 1.
    :returns: the kernels in the order in which they ran; None where events and readings do not fit.
    """
    replay = _Replay()
    for event in events:
        replay.take(event)
    replay.close_all()
    if replay.readings != len(between) + 1:
        return None
    return [_kernel(event, between[first]) for first, event in sorted(replay.kernels, key=lambda pair: pair[0])]


def listed(events: Sequence[dict[str, Any]], operators: int) -> list[Kernel[float]]:
    """The kernels by the profiler's list alone, with its microseconds; the model has so many ``operators``."""
    # A delegate's own node comes after the model's.
    return [
        _kernel(event, float(event["us"]))
        for event in events
        if _of_delegate(event) or (int(event["type"]) == _OPERATOR and int(event["node"]) < operators)
    ]


def _kernel(event: dict[str, Any], observed: T) -> Kernel[T]:
    node = None if _of_delegate(event) else int(event["node"])
    name = str(event["tag"])
    # XNNPACK divides its kernels among all threads, and their names have a layout in brackets; LiteRT's own run on one.
    threads = int(event["threads"]) if "threads" in event else ALL if "(" in name else 1
    return Kernel(name, node, float(event["us"]), observed, threads)


def _of_delegate(event: dict[str, Any]) -> bool:
    return bool(int(event["type"]) & _DELEGATE_KERNELS)


class _Replay:
    """Replays the events and counts readings of the clock. ``kernels``: number of the reading before, and the event."""

    def __init__(self) -> None:
        self.readings = 0
        self.kernels: list[tuple[int, dict[str, Any]]] = []
        self._open: list[tuple[dict[str, Any], int]] = []
        self._last_kernel: int | None = None

    def take(self, event: dict[str, Any]) -> None:
        if _of_delegate(event):
            self._delegate_kernel(event)
        elif not int(event["type"]) & _TELEMETRY:
            self._last_kernel = None
            while self._open and _is_over(self._open[-1][0], event):
                self._close()
            self._open.append((event, self._read()))

    def close_all(self) -> None:
        while self._open:
            self._close()

    def _delegate_kernel(self, event: dict[str, Any]) -> None:
        number = int(event["node"])
        if self._last_kernel is None or number <= self._last_kernel:  # another start of XNNPACK's runtime
            while self._open and _is_leaf(self._open[-1][0]):
                self._close()
            self._read()
        self._last_kernel = number
        self.kernels.append((self.readings - 1, event))
        self._read()

    def _read(self) -> int:
        self.readings += 1
        return self.readings - 1

    def _close(self) -> None:
        event, begin = self._open.pop()
        end = self._read()
        if int(event["type"]) & _OPERATOR and end == begin + 1:
            self.kernels.append((begin, event))


def _is_over(event: dict[str, Any], later: dict[str, Any]) -> bool:
    """Whether an event ended before a later one began."""
    begin = int(later["start_us"])
    end = int(event["end_us"]) if "end_us" in event else int(event["start_us"]) + int(event["us"])
    if end != begin:
        return end < begin
    # Within one microsecond; an operator lies inside what is around it, and no operator around another.
    return _is_leaf(event) or not int(later["type"]) & _OPERATOR


def _is_leaf(event: dict[str, Any]) -> bool:
    return bool(int(event["type"]) & _OPERATOR) and str(event["tag"]) not in _CONTROL_FLOW
