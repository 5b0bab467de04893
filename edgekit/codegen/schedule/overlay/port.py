"""What commands take of the memory port: their words come one after the other, ahead of their use, into the FIFO."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from edgekit.codegen.schedule.overlay.machine import Machine
from edgekit.codegen.schedule.overlay.program import Step
from edgekit.codegen.schedule.overlay.tiles import HEADER_BYTES


def waited(machine: Machine, steps: Sequence[Step]) -> list[Step]:
    """The steps; the cycles of those that wait for the port have the wait in them.

    A command ends when its last byte has come, at the earliest. The port reads on while commands compute, until the
    FIFO is full: byte ``n`` comes when ``n - FIFO`` bytes are used up, at the earliest.
    """
    per_byte, fifo = 8 / machine.mem_bits * machine.beat_cycles, machine.stream_kib << 10
    used = [(0, 0.0)]  # how many bytes, when
    place, arrived, done = 0, 0.0, list[Step]()
    for step in steps:
        first, place = place, place + HEADER_BYTES + len(step.data)
        starts = [(first, arrived), *((count + fifo, when) for count, when in used if first < count + fifo < place)]
        arrived = max(when + (place - start) * per_byte for start, when in starts)
        before = used[-1][1]
        end = max(before + step.cycles, arrived)
        done.append(replace(step, cycles=round(end) - round(before)))
        used.append((place, end))
    return done
