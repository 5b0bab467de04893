"""Finds out which phase of a trace is which kernel.

The trace plugin cuts an inference at every reading of the clock. LiteRT's profiler reads it when an event begins
and when it ends; XNNPACK reads it when its runtime starts and after each of its kernels, n + 1 times for n
kernels, and its kernels are listed afterwards as events that have no start time. So the list of events, in the
profiler's order, says exactly which reading is which, and the number of readings proves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.runners.emulator.report import Phase

_OPERATOR, _DELEGATE_KERNELS, _TELEMETRY = 1 << 1, (1 << 2) | (1 << 3), 0b1111 << 5
"""Bits of tflite::Profiler::EventType (tflite/core/api/profiler.h)."""
_CONTROL_FLOW = {"WHILE", "IF", "CALL", "CALL_ONCE", "STABLEHLO_WHILE", "STABLEHLO_COMPOSITE"}


@dataclass
class Kernel:
    """One kernel that ran.

    :param node: the operator's index in the model, for LiteRT's own kernels; None for a delegate's.
    """

    name: str
    node: int | None
    phase: Phase


def kernels(events: Sequence[dict[str, Any]], phases: Sequence[Phase]) -> list[Kernel] | None:
    """Match profiler events with phases.

    :param events: ``tag``, ``node``, ``type``, ``start_us``, ``us`` of each event, in the profiler's order.
    :param phases: of the marked inference; readings of the clock lie between them.
    :returns: the kernels in the order in which they ran; None where events and phases do not fit.
    """
    reader = _Reader()
    for event in events:
        reader.take(event)
    reader.close_all()
    if reader.readings != len(phases) - 1:
        return None
    found = []
    for name, node, first, last in reader.spans:
        # A reading ends a phase: phase k + 1 follows reading k.
        inside = phases[first + 1 : last + 1]
        if inside:
            found.append((first, Kernel(name, node, inside[0])))
    return [kernel for _, kernel in sorted(found, key=lambda pair: pair[0])]


class _Reader:
    """Replays the events and counts readings of the clock."""

    def __init__(self) -> None:
        self.readings = 0
        self.spans: list[tuple[str, int | None, int, int]] = []
        self._open: list[tuple[dict[str, Any], int]] = []
        self._last_kernel: int | None = None

    def take(self, event: dict[str, Any]) -> None:
        kind = int(event["type"])
        if kind & _DELEGATE_KERNELS:
            self._kernel(event)
        elif not kind & _TELEMETRY:
            self._last_kernel = None
            while self._open and _end(self._open[-1][0]) <= int(event["start_us"]):
                self._close()
            self._open.append((event, self._read()))

    def close_all(self) -> None:
        while self._open:
            self._close()

    def _kernel(self, event: dict[str, Any]) -> None:
        number = int(event["node"])
        if self._last_kernel is None or number <= self._last_kernel:  # another start of XNNPACK's runtime
            while self._open and _is_leaf(self._open[-1][0]):
                self._close()
            self._read()
        self._last_kernel = number
        self.spans.append((str(event["tag"]), None, self.readings - 1, self.readings))
        self._read()

    def _read(self) -> int:
        self.readings += 1
        return self.readings - 1

    def _close(self) -> None:
        event, begin = self._open.pop()
        end = self._read()
        if int(event["type"]) & _OPERATOR and end == begin + 1:
            self.spans.append((str(event["tag"]), int(event["node"]), begin, end))


def _end(event: dict[str, Any]) -> int:
    return int(event["start_us"]) + int(event["us"])


def _is_leaf(event: dict[str, Any]) -> bool:
    return bool(int(event["type"]) & _OPERATOR) and str(event["tag"]) not in _CONTROL_FLOW
