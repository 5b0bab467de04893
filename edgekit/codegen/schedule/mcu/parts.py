"""Parts of tensors in place: what joins or splits tensors along their outer axis copies nothing.

A tensor that is copied as a whole into one stretch of another one (CONCATENATION, PACK) can lie there from the start; a
stretch that is copied out of another one (SPLIT, SLICE, UNPACK) can stay where it is. Both become operands with an
offset, and the step that copies is gone. What a larger buffer takes longer than its parts would have, the memory plan
decides.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from edgekit.codegen.schedule.mcu import memory
from edgekit.codegen.schedule.mcu.steps import Operand, Piece, Program, Step

TRIES = 20
"""Orders that the planner tries for each choice."""
WORTH = 1.01
"""By what factor the arena may grow: the search for offsets has such differences, too."""
MOST = 64
"""Steps that are tried one by one."""


def in_place(program: Program, *, always: bool = False) -> Program:
    """Remove steps that copy what can lie in place.

    :param always: even if the arena gets larger; otherwise those steps are removed that do not make it larger
        (by more than :data:`WORTH`).
    """
    every = without(program, range(len(program.steps)))
    if every is program or always:
        return every
    most = WORTH * memory.plan(program, TRIES).arena
    if memory.plan(every, TRIES).arena <= most:
        return every
    best, chosen = program, list[int]()
    copies = [number for number, step in enumerate(program.steps) if step.piece is not None]
    for number in copies[:MOST]:
        changed = without(program, [*chosen, number])
        if len(changed.steps) < len(best.steps) and memory.plan(changed, TRIES).arena <= most:
            best, chosen = changed, [*chosen, number]
    return best


def without(program: Program, steps: Iterable[int]) -> Program:
    """Remove those of the steps with these numbers that copy what can lie in place.

    :param program: one whose operands are whole buffers.
    """
    places: dict[int, tuple[int, int]] = {}
    """Of buffers that are part of another one: that one, and the offset."""
    ends = {*program.inputs, *program.outputs}
    fixed = ends | {number for number, buffer in enumerate(program.buffers) if buffer.pinned}
    pinned = fixed - ends
    writers: dict[int, list[int]] = {}
    for number, step in enumerate(program.steps):
        writers.setdefault(step.output.buffer, []).append(number)
    gone = set[int]()

    def placed(buffer: int, offset: int) -> tuple[int, int]:
        while buffer in places:
            buffer, shift = places[buffer]
            offset += shift
        return buffer, offset

    for number in steps:
        step = program.steps[number]
        if step.piece is None or (source := step.inputs[0]).buffer < 0:
            continue
        x, y, piece = source.buffer, step.output.buffer, step.piece
        if x in pinned or y in pinned or placed(x, 0)[0] == placed(y, 0)[0] or max(writers.get(x, [-1])) > number:
            continue
        alone = all(_apart(program.steps[other], piece) for other in writers[y] if other != number)
        if alone and x not in fixed and x not in places and piece.nbytes == program.buffers[x].nbytes:
            places[x] = y, piece.result
        elif y not in fixed and y not in places and piece.nbytes == program.buffers[y].nbytes and len(writers[y]) == 1:
            places[y] = x, piece.source
        else:
            continue
        gone.add(number)
    if not gone:
        return program

    def moved(operand: Operand) -> Operand:
        if operand.buffer < 0:
            return operand
        buffer, offset = placed(operand.buffer, operand.offset)
        return replace(operand, buffer=buffer, offset=offset)

    def changed(step: Step) -> Step:
        return replace(step, inputs=tuple(map(moved, step.inputs)), output=moved(step.output))

    kept = [changed(step) for number, step in enumerate(program.steps) if number not in gone]
    return replace(program, steps=kept)


def _apart(step: Step, piece: Piece) -> bool:
    """Whether a step that fills a part of a buffer leaves this piece alone."""
    other = step.piece
    return other is not None and (
        other.result + other.nbytes <= piece.result or piece.result + piece.nbytes <= other.result
    )
