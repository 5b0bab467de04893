"""Sequences whose cycles were computed by hand, from the rules in docs/cycle-models.md."""

from __future__ import annotations

import pytest
from profiling.mcu.sequences import at, operations

from edgekit.profiling.mcu import Kind, Operation, pipeline
from edgekit.profiling.mcu.cores import Bound, core
from edgekit.profiling.mcu.pipeline import misaligned, refill

CASES = {
    "cortex-m4": [
        # Cortex-M4 TRM, 3.3.2, with a NOP of one cycle between the turns
        ("ldr r0, [r1]; ldr r2, [r3]; nop", 3 + 1),
        ("ldr r0, [r1, r5]; ldr r1, [r2]; ldr r2, [r3, #4]; nop", 4 + 1),
        ("ldr r0, [r1, r2]; str r0, [r3, #20]; nop", 3 + 1),
        ("ldr r0, [r1, r2]; str r1, [r3, r2]; nop", 3 + 1),
        ("ldr r0, [r1]; ldr r2, [r0]; nop", 4 + 1),  # the address was loaded: not pipelined
        ("ldr r0, [r1], #4; ldr r2, [r1], #4; nop", 4 + 1),  # on one moving pointer: measured
        ("ldr r0, [r1]; nop", 2 + 1),
        ("add r0, r1; ldr r2, [r0]", 1 + 1 + 2),  # no forwarding to the address
        ("add r0, r1; nop; ldr r2, [r0]", 1 + 1 + 2),  # with an instruction between, no stall
        ("str r0, [r1, #4]; nop", 1 + 1),
        ("str r0, [r1, r2]; nop", 2 + 1),
        ("ldrd r0, r1, [r2]; nop", 3 + 1),
        ("ldmia r0!, {r1, r2, r3}; nop", 4 + 1),
        ("push {r4, r5, lr}; nop", 4 + 1),
        ("smlad r0, r1, r2, r0; smlad r0, r1, r3, r0", 2),
        ("smull r0, r1, r2, r3; mla r4, r5, r6, r4; mul r7, r5, r6", 3),
        ("sdiv r0, r1, r2", 6),
        ("sxtb16 r0, r1; ssat r0, #8, r0; add r2, r3, r4, lsl #2", 3),
        ("vadd.f32 s0, s1, s2; vadd.f32 s3, s0, s2; nop", 1 + 1 + 1 + 1),  # the next one waits a cycle
        ("vfma.f32 s0, s1, s2; nop", 3 + 1),
        ("vldr s0, [r0]; vmul.f32 s1, s2, s3", 2 + 1),
        ("b 0x10", 1),
    ],
    "cortex-m0plus": [
        ("ldr r0, [r1]; ldr r2, [r3]", 4),  # nothing is pipelined
        ("ldrb r0, [r1]; adds r0, r2", 2 + 1),  # the value is there at once
        ("str r0, [r1]; strh r0, [r1]", 4),
        ("muls r0, r1, r0", 1),
        ("ldmia r0!, {r1, r2}; push {r4, r5, r6, r7}", 3 + 5),
        ("mrs r0, primask", 3),
    ],
    "cortex-m7": [
        ("adds r0, #1; adds r1, #1; adds r2, #1; adds r3, #1", 2),
        ("adds r0, #1; adds r0, #1; adds r0, #1; adds r0, #1", 4),
        ("ldr r0, [r4]; ldr r1, [r4, #4]; ldr r2, [r4, #8]; ldr r3, [r4, #12]", 2),
        ("ldr r0, [r4]; add r1, r0, #1; ldr r2, [r4]; add r3, r2, #1", 3),  # load; add and load; add
        ("smlal r0, r1, r2, r3; smlal r0, r1, r2, r3", 2),  # sums every cycle
        ("mul r0, r1, r2; add r3, r0, #1", 3),  # a cycle more to others
        ("ldr r0, [r6]; smlad r1, r0, r2, r1; nop", 3 + 0),  # the factor a cycle later; the nop beside it
        ("ldrb r0, [r6]; add r1, r0, #1", 3),  # bytes a cycle later than words
        ("str r0, [r4]; str r1, [r4, #4]", 2),
        ("ldr r0, [r4]; str r2, [r5]; ldr r1, [r4, #8]; str r3, [r5, #8]", 2),
        ("sxtb r0, r1; uxtb r2, r3", 2),  # one shifter
        ("sxtb16 r0, r1; add r2, r3", 1),  # packed operations first
        ("add r2, r3; sxtb16 r0, r1", 2),  # not second
        ("smlad r0, r1, r2, r0; str r3, [r4]", 2),  # no store beside a multiplication
        ("smlad r0, r1, r2, r0; ldr r3, [r4]", 1),
        ("ldrd r0, r1, [r4]; add r2, r3", 2),  # nothing beside it
        ("ldmia r0!, {r1, r2, r3, r4}; nop", 2 + 1),
        ("add r0, r1; add r2, r3, r0, lsl #2; nop", 3),  # the shifter needs it earlier
        ("ldr r0, [r1]; ldr r1, [r0]; nop", 3 + 3),  # three cycles from data to address, twice in a turn
        ("vadd.f32 s0, s0, s1", 3),
        ("vfma.f32 s0, s1, s2", 3),  # the sum is there after three
    ],
    "cortex-m33": [
        ("ldr r0, [r1]; add r2, r3", 2),
        ("ldr r0, [r1]; add r2, r0; nop", 4),  # use one cycle later
        ("smlad r0, r1, r2, r0; smlad r0, r1, r3, r0", 2),
        ("ldrd r0, r1, [r2]; nop", 3),
        ("subs r0, #1; bne 0x10", 1),  # a 16-bit instruction and a branch
        ("subs.w r0, r0, #1; bne 0x10", 2),
    ],
    "cortex-m55": [
        # each vector instruction keeps its unit for two cycles, and another unit can work meanwhile
        ("vldrb.s8 q0, [r0], #16; vmladava.s8 r2, q1, q2", 2),
        ("vldrb.s8 q0, [r0], #16; vldrb.s8 q1, [r1], #16; vmladava.s8 r2, q0, q1", 4),
        ("vldrb.s8 q0, [r0], #16; vldrb.s8 q1, [r1], #16", 4),
        ("vadd.i32 q0, q1, q2; vmul.i32 q3, q1, q2", 2),
        ("vadd.i32 q0, q1, q2; vsub.i32 q3, q1, q2", 4),
        ("vmladava.s8 r2, q0, q1; vmladava.s8 r4, q0, q2", 4),
        ("add r0, r1; add r2, r3", 2),
        ("vldrb.s8 q0, [r0], #16; vmladava.s8 r2, q1, q2; le lr, 0x10", 2),  # the loop cache
    ],
    "cortex-m85": [
        ("vldrb.s8 q0, [r0], #16; vmladava.s8 r2, q1, q2", 2),
        ("vldrb.s8 q0, [r0], #16; vstrb.8 q3, [r1], #16", 2),  # loads and stores have a unit each
        ("adds r0, #1; adds r1, #1; adds r2, #1; adds r3, #1", 2),
        ("vadd.i32 q0, q1, q2; add r0, r1; vmul.i32 q3, q1, q2; add r2, r3", 2),
    ],
    "rv32imc": [
        ("lw x1, 0(x2); add x3, x4, x5", 2),
        ("lw x1, 0(x2); add x3, x1, x5", 3),
        ("mul x1, x2, x3; add x4, x1, x5", 2),
        ("div x1, x2, x3", 10),
        ("sw x1, 0(x2); beq x1, x2, 0x10", 2),
    ],
}


@pytest.mark.parametrize(("arch", "text", "expected"), [(a, *case) for a, cases in CASES.items() for case in cases])
def test_sequences_take_the_cycles_that_the_rules_give(arch: str, text: str, expected: float) -> None:
    assert at(text, arch) == expected


@pytest.mark.parametrize("arch", CASES)
def test_low_bounds_are_below_values_and_those_below_high_bounds(arch: str) -> None:
    for text, _ in CASES[arch]:
        assert at(text, arch, Bound.LOW) <= at(text, arch) <= at(text, arch, Bound.HIGH), text


def test_loads_of_32_bits_pipeline_at_the_high_bound_only_where_a_word_begins() -> None:
    text = "ldr.w r0, [r1]; ldr.w r2, [r3]; nop"
    assert [at(text, "cortex-m4", Bound.HIGH, place) for place in (0, 2)] == [4, 5]
    assert [at(text, "cortex-m4", Bound.VALUE, place) for place in (0, 2)] == [4, 4]


def test_a_load_after_a_store_takes_a_cycle_more_at_the_high_bound() -> None:
    text = "str r0, [r1]; ldr r2, [r3]; nop"
    assert [at(text, "cortex-m4", bound) for bound in Bound] == [4, 4, 5]


@pytest.mark.parametrize(
    ("arch", "text", "count", "taken", "expected"),
    [
        ("cortex-m4", "bne 0x10", 100, 90, 90 * 1),
        ("cortex-m4", "bl 0x10", 100, 100, 100 * 2),
        ("cortex-m4", "bx lr", 100, 100, 100 * 2),
        ("cortex-m4", "tbb [pc, r0]", 100, 100, 100 * 2),
        ("cortex-m4", "pop {r4, pc}", 100, 100, 100 * 2),
        ("cortex-m4", "ldr pc, [r0]", 100, 100, 100 * 2),
        ("cortex-m4", "add r0, r1", 100, 0, 0),
        ("cortex-m0plus", "bne 0x10", 10, 5, 5 * 1),
        ("cortex-m0plus", "bl 0x10", 10, 10, 10 * 2),
        ("cortex-m7", "bne 0x10", 100, 90, 10 * 8),  # predicted as taken, and ten times wrong
        ("cortex-m7", "bne 0x10", 100, 10, 10 * 8),  # predicted as not taken
        ("cortex-m7", "b 0x10", 100, 100, 0),
        ("cortex-m33", "bne 0x10", 10, 5, 5 * 1),
        ("cortex-m55", "le lr, 0x10", 10, 9, 9 * 0 + 1 * 3),
        ("cortex-m85", "le lr, 0x10", 10, 9, 9 * 0 + 1 * 4),
        ("rv32imc", "beq x1, x2, 0x10", 10, 5, 5 * 2),
        ("rv32imc", "j 0x10", 10, 10, 10 * 2),
    ],
)
def test_jumps_add_what_the_core_needs_to_refill(arch: str, text: str, count: int, taken: int, expected: int) -> None:
    model = core(arch)
    (last,) = operations(text, model.isa)
    assert refill(last, model, count, taken) == expected


def test_targets_of_jumps_lose_a_cycle_where_32_bits_straddle_two_words() -> None:
    wide, narrow = operations("add.w r0, r1, r2; add r0, r1")
    model = core("cortex-m4")
    assert [misaligned(wide, address, model, 10) for address in (0x100, 0x102)] == [0, 10]
    assert misaligned(narrow, 0x102, model, 10) == 0


def test_a_measured_loop() -> None:
    """compendium.i-0.nl, branch timing on a Cortex-M4: 14 instructions, three turns of a loop, take 16 cycles."""
    model = core("cortex-m4")
    turn, last = operations("add r0, r2; sub r1, #1; cmp r1, #0; bne 0x4"), operations("bne 0x4")[0]
    assert 2 + 3 * pipeline.cycles(turn, model) + refill(last, model, 3, 2) == 16


@pytest.mark.parametrize("arch", CASES)
def test_unknown_instructions_are_never_free(arch: str) -> None:
    unknown = [Operation(Kind.UNKNOWN, 4)]
    low, value, high = (core(arch, bound) for bound in Bound)
    times = [model.timing(Kind.UNKNOWN).issue for model in (low, value, high)]
    assert 1 <= times[0] <= times[1] < times[2]
    assert not value.knows(unknown[0].kind)
