"""One arena for a program: no two buffers overlap beyond what kernels allow, and simple programs reach the bound."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.codegen.schedule.mcu import memory
from edgekit.codegen.schedule.mcu.steps import ALIGNMENT, Operand, Program, Step


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Steps that read what inputs, pinned buffers and steps before them hold."""
    program = Program()
    sizes = st.integers(1, 300)
    known = [program.add(draw(sizes)) for _ in range(draw(st.integers(1, 2)))]
    program.inputs += known
    if draw(st.booleans()):
        known.append(program.add(draw(sizes), pinned=True))
    for number in range(draw(st.integers(1, 9))):
        read = draw(st.lists(st.sampled_from(known[-4:]), min_size=1, max_size=2))
        behind = tuple(draw(st.one_of(st.none(), st.integers(-60, 200))) for _ in read)
        output = program.add(draw(sizes))
        step = Step("f", number, "", tuple(map(Operand, read)), Operand(output), scratch=draw(st.sampled_from([0, 70])),
                    behind=behind, in_place=draw(st.booleans()))  # fmt: skip
        program.steps.append(step)
        known.append(output)
    program.outputs += draw(st.lists(st.sampled_from(known), min_size=1, max_size=2, unique=True))
    return program


def lives(program: Program, buffer: int) -> range:
    """The steps during which a buffer's bytes matter; -1 is before the first, their number after the last."""
    count = len(program.steps)
    if program.buffers[buffer].pinned:
        return range(-1, count + 1)
    times = [n for n, s in enumerate(program.steps) for o in (*s.inputs, s.output) if o.buffer == buffer]
    times += [-1] * (buffer in program.inputs) + [count] * (buffer in program.outputs)
    return range(min(times), max(times) + 1) if times else range(0)


def may_overlap(program: Program, output: int, source: int, starts: tuple[int, ...]) -> bool:
    """True if a step writes the one, reads the other last, and reads each byte before it is overwritten there."""
    for number, step in enumerate(program.steps):
        if step.output.buffer != output or lives(program, source)[-1] != number or lives(program, output)[0] != number:
            continue
        far = [b for o, b in zip(step.inputs, step.behind, strict=True) if o.buffer == source]
        if far and all(b is not None for b in far):
            distance = max(b for b in far if b is not None)
            return starts[output] + distance <= starts[source] or (step.in_place and starts[output] == starts[source])
    return False


@settings(max_examples=150, deadline=None)
@given(programs())
def test_nothing_overlaps_that_must_not(program: Program) -> None:
    plan = memory.plan(program, tries=30)
    rooms = [(n, plan.buffers[n], one.nbytes, lives(program, n)) for n, one in enumerate(program.buffers)]
    rooms += [(-1, plan.scratch[n], s.scratch, range(n, n + 1)) for n, s in enumerate(program.steps) if s.scratch]
    for place, (a, start_a, size_a, alive_a) in enumerate(rooms):
        if alive_a:
            assert start_a % ALIGNMENT == 0 and 0 <= start_a <= plan.arena - size_a
        for b, start_b, size_b, alive_b in rooms[:place]:
            together = alive_a and alive_b and alive_a[0] <= alive_b[-1] and alive_b[0] <= alive_a[-1]
            if together and start_a < start_b + size_b and start_b < start_a + size_a:
                assert min(a, b) >= 0, "scratch is overwritten"
                pairs = ((a, b), (b, a))
                assert any(may_overlap(program, output, source, plan.buffers) for output, source in pairs)
    assert plan.arena >= plan.lower_bound == memory.lower_bound(program)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=2, max_size=9), st.booleans())
def test_chains_reach_the_bound(sizes: list[int], in_place: bool) -> None:
    """Each step reads what the one before it wrote: two buffers at a time, or one where steps work in place."""
    sizes = [ALIGNMENT * size for size in sizes]
    program = Program()
    buffers = [program.add(size) for size in sizes]
    for number, (source, output) in enumerate(pairwise(buffers)):
        program.steps.append(
            Step("f", number, "", (Operand(source),), Operand(output), behind=(0 if in_place else None,))
        )
    program.inputs, program.outputs = buffers[:1], buffers[-1:]
    expected = max(max(a, b) if in_place else a + b for a, b in pairwise(sizes))
    plan = memory.plan(program)
    assert plan.lower_bound == expected
    assert plan.arena == expected
