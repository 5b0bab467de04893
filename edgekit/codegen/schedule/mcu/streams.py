"""Streams: several steps in a row that work row by row, so that the feature maps between them need not be in memory.

Each step keeps the rows of its window only, in scratch, and hands on every row that it computes
(``firmware_stubs/kernels/ek_stream.h``). Nothing is computed twice; the cost are copies of rows within the windows.
Which steps become streams is searched for: of all runs of steps that can, the one that makes the arena smallest, then
the next, until none helps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from edgekit.codegen.schedule.mcu import memory
from edgekit.codegen.schedule.mcu.steps import ALIGNMENT, Operand, Program, Rows, Stage, Step

WORTH = 0.02
"""Part of the arena that a stream must save."""
MOST_STAGES = 24
PLANNED = 16
"""Runs whose arena is planned: those with the least lower bounds."""


def streamed(program: Program) -> Program:
    """Make streams of steps where that makes the arena smaller."""
    least = memory.plan(program).arena
    while True:
        tried = [_merged(program, first, last) for first, last in _runs(program)]
        bounds = [memory.lower_bound(one) for one in tried]
        order = sorted(range(len(tried)), key=lambda n: (bounds[n], len(tried[n].steps)))
        found = program
        for n in order[:PLANNED]:
            if bounds[n] >= least * (1 - WORTH):
                break
            arena = memory.plan(tried[n], tries=20).arena
            if arena < least * (1 - WORTH):
                found, least = tried[n], arena
        if found is program:
            return program
        program = found


def _runs(program: Program) -> Iterator[tuple[int, int]]:
    """First and last step of everything that could be one stream."""
    readers: dict[int, int] = {}
    for step in program.steps:
        for operand in step.inputs:
            readers[operand.buffer] = readers.get(operand.buffer, 0) + 1
    ends = {*program.outputs, *program.inputs}
    for first, step in enumerate(program.steps):
        if step.rows is None or step.stages:
            continue
        yield first, first
        for last in range(first + 1, min(len(program.steps), first + MOST_STAGES)):
            before, after = program.steps[last - 1], program.steps[last]
            if after.rows is None or after.stages or before.output.buffer in ends:
                break
            if readers.get(before.output.buffer) != 1 or _window(after) != before.output:
                break
            if before.rows is None or (before.rows.output, before.rows.out_bytes) != (
                after.rows.input,
                after.rows.in_bytes,
            ):
                break
            yield first, last


def _window(step: Step) -> Operand:
    assert step.rows is not None
    return step.inputs[step.rows.place]


def _merged(program: Program, first: int, last: int) -> Program:
    steps = program.steps[first : last + 1]
    stages, others, offset = list[Stage](), list[Operand](), 0
    for step in steps:
        rows = step.rows
        assert rows is not None
        rest = [operand for place, operand in enumerate(step.inputs) if place != rows.place]
        others += rest
        stages.append(Stage(step, rows, len(others) if rest else -1, offset))
        offset = _up(offset + rows.window * rows.in_bytes)
    work = max(step.scratch for step in steps)
    inputs = (_window(steps[0]), *others)
    behind = _behind(stages, len(inputs))
    title = " + ".join(step.title for step in steps)
    made = Step("ek_stream", steps[0].node, title, inputs, steps[-1].output, None, None, offset + work, behind,
                stages=tuple(stages))  # fmt: skip
    return replace(program, steps=[*program.steps[:first], made, *program.steps[last + 1 :]])


def _behind(stages: Sequence[Stage], inputs: int) -> tuple[int | None, ...]:
    """How far the output must lie behind each input: the stream is run on numbers of rows alone."""
    most = [-(1 << 62)] * inputs
    made, filled = [0] * len(stages), [stage.rows.top for stage in stages]
    taken = 0
    final = stages[-1].rows

    def advance(level: int) -> None:
        while level < len(stages) and filled[level] == stages[level].rows.window:
            rows = stages[level].rows
            made[level] += 1
            filled[level] -= rows.stride
            level += 1
            if level < len(stages):
                filled[level] += 1
            else:
                written = made[-1] * final.out_bytes
                most[0] = max(most[0], written - taken * stages[0].rows.in_bytes)
                for number, stage in enumerate(stages):
                    if stage.other >= 0:
                        read = made[number] * stage.rows.out_bytes
                        most[stage.other] = max(most[stage.other], written - read)

    while taken < stages[0].rows.input:
        taken += 1
        filled[0] += 1
        advance(0)
    for level, stage in enumerate(stages):
        for _ in range(stage.rows.bottom):
            filled[level] += 1
            advance(level)
    assert made[-1] == final.output, (made, final.output)
    return tuple(most)


def _up(value: int) -> int:
    return -(-value // ALIGNMENT) * ALIGNMENT


__all__ = ["Rows", "streamed"]
