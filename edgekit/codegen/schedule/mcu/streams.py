"""Streams: several steps in a row that work row by row, so that the feature maps between them need not be in memory.

Each step keeps the rows of its window only, in scratch, and hands on every row that it computes
(``firmware_stubs/kernels/ek_stream.h``). Nothing is computed twice; the cost are copies of rows within the windows.

Which runs of steps become streams is decided in two parts. Dynamic programming finds the division of all steps into
runs and single steps whose most demanding member needs the least memory: what the arena would be if memory had no gaps
(:func:`lower_bound`). From there, a local search adds, joins and removes streams while that makes the planned arena
smaller.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from edgekit.codegen.schedule.mcu import memory
from edgekit.codegen.schedule.mcu.steps import Operand, Program, Rows, Stage, Step, aligned

WORTH = 0.01
"""Part of the arena that a change must save."""
MOST_STAGES = 24
PLANNED = 16
"""Changes whose arena is planned in each turn of the search: those with the least lower bounds."""
TRIES = 20
"""Orders that the planner tries in the search."""
Run = tuple[int, int]
"""First and last step."""


def streamed(program: Program) -> Program:
    """Make streams of steps where that makes the arena smaller."""
    possible = list(_runs(program))
    divided, bound = _divided(program, possible)
    best, least = frozenset[Run](), memory.plan(program, TRIES).arena
    for start in (divided, best):
        if least <= bound * (1 + WORTH):
            break
        chosen, arena = _improved(program, possible, start, bound)
        if arena < least * (1 - WORTH):
            best, least = chosen, arena
    return _applied(program, best)


def lower_bound(program: Program) -> int:
    """Return the bytes that no arena of these steps can do without, whichever runs of them become streams.

    For each step or stream: all buffers that live during it, less what the output shares with inputs that die, and its
    scratch; of the most demanding one; in the best division.
    """
    return _divided(program, list(_runs(program)))[1]


def _divided(program: Program, possible: Sequence[Run]) -> tuple[frozenset[Run], int]:
    """The division into runs whose most demanding one needs the least, and what it needs."""
    count = len(program.steps)
    ending: dict[int, list[tuple[int, int, Run | None]]] = {}
    for number in range(count):
        ending.setdefault(number, []).append((number, memory.need(program, number), None))
    for first, last in possible:
        need = memory.need(_merged(program, first, last), first)
        ending[last].append((first, need, (first, last)))
    best: list[tuple[int, int, frozenset[Run]]] = [(0, 0, frozenset())]  # the most, steps in streams, the runs
    for last in range(count):
        options = [
            (max(best[first][0], need), best[first][1] + (last - first + 1 if run else 0), best[first][2], run)
            for first, need, run in ending[last]
        ]
        most, streams, before, run = min(options, key=lambda option: option[:2])
        best.append((most, streams, before | {run} if run else before))
    return best[-1][2], best[-1][0]


def _improved(
    program: Program, possible: Sequence[Run], start: frozenset[Run], bound: int
) -> tuple[frozenset[Run], int]:
    """The division after a local search, and its arena; the search ends near the bound."""
    chosen, least = start, memory.plan(_applied(program, start), TRIES).arena
    while least > bound * (1 + WORTH):
        changes = [chosen - {run} for run in chosen]
        changes += [frozenset(r for r in chosen if not _meet(r, run)) | {run} for run in possible if run not in chosen]
        bounds = {change: memory.lower_bound(_applied(program, change)) for change in changes}
        promising = [change for change in bounds if bounds[change] < least * (1 - WORTH)]
        found = None
        for change in sorted(promising, key=lambda c: (bounds[c], sum(b - a for a, b in c)))[:PLANNED]:
            arena = memory.plan(_applied(program, change), TRIES).arena
            if arena < least * (1 - WORTH):
                found, least = change, arena
        if found is None:
            break
        chosen = found
    return chosen, least


def _meet(a: Run, b: Run) -> bool:
    return a[0] <= b[1] and b[0] <= a[1]


def _applied(program: Program, runs: frozenset[Run] | Sequence[Run]) -> Program:
    for first, last in sorted(runs, reverse=True):
        program = _merged(program, first, last)
    return program


def _runs(program: Program) -> Iterator[Run]:
    """First and last step of everything that could be one stream."""
    readers: dict[int, int] = {}
    writers = Counter(step.output.buffer for step in program.steps)
    for step in program.steps:
        for operand in step.inputs:
            readers[operand.buffer] = readers.get(operand.buffer, 0) + 1
    ends = {*program.outputs, *program.inputs}
    pinned = {number for number, buffer in enumerate(program.buffers) if buffer.pinned}

    def whole(step: Step) -> bool:
        """A step that uses a variable is done before the next one begins."""
        return not pinned.isdisjoint(operand.buffer for operand in (*step.inputs, step.output))

    for first, step in enumerate(program.steps):
        if step.rows is None or step.stages or whole(step):
            continue
        yield first, first
        for last in range(first + 1, min(len(program.steps), first + MOST_STAGES)):
            before, after = program.steps[last - 1], program.steps[last]
            if after.rows is None or after.stages or before.output.buffer in ends or whole(after):
                break
            if readers.get(before.output.buffer) != 1 or writers[before.output.buffer] != 1:
                break
            if _window(after) != before.output:
                break
            if before.rows is None or not _fit(before.rows, after.rows):
                break
            yield first, last


def _fit(before: Rows, after: Rows) -> bool:
    """True if the rows that a step makes are those that the next one reads."""
    return (before.output, before.out_bytes) == (after.input, after.in_bytes)


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
        offset = aligned(offset + rows.window * rows.in_bytes)
    work = max(stage.rows.scratch for stage in stages)
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
