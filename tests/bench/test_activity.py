"""Signals that change in simulation go with the events that energies are stated for."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import activity
from edgekit.tools import toolchain

needs_verilator = pytest.mark.skipif(not toolchain.load("verilator").found(), reason="Verilator is not installed")


@pytest.mark.slow
@needs_verilator
@pytest.mark.emulator
def test_parts_are_active_with_their_events(tmp_path: Path) -> None:
    program, graph = activity.built(tmp_path), activity.operators()
    random, macs = activity.traced(program, graph)
    zeros, _ = activity.traced(program, graph, zeros=True)
    assert macs <= random.events["active"].sum() * activity.MACHINE.macs_per_cycle
    theirs = {"array": "active", "accumulators": "active", "stream": "beats_read", "vector unit": "vector_active"}
    for part, event in theirs.items():
        assert random.follows(part, event) > 0.5, part
        for other in set(theirs.values()) - {event}:
            assert random.follows(part, other) < 0.1, (part, other)
    idle = random.events["cycles"] == 0
    assert random.per_cycle("stream", idle) == 0
    for part in ("array", "accumulators", "requantization"):
        busy = random.per_cycle(part, random.busy)
        assert busy > 3 * random.per_cycle(part, idle)
        assert zeros.per_cycle(part, zeros.busy) < 0.6 * busy
    assert zeros.per_cycle("stream", zeros.busy) == pytest.approx(random.per_cycle("stream", random.busy), rel=0.02)
