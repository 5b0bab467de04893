"""Machine code, disassembled by the toolchain, and what the pipeline makes of it."""

from __future__ import annotations

import pytest
from profiling.mcu.sequences import instruction

from edgekit.errors import ToolMissing
from edgekit.profiling.mcu import Kind, decode, riscv, thumb
from edgekit.tools import toolchain

arm = pytest.mark.skipif(not toolchain.load("cortex-m-cc").found(), reason="gcc-arm-none-eabi is not installed")
riscv32 = pytest.mark.skipif(
    not toolchain.load("riscv32-cc").found(), reason="gcc-riscv64-unknown-elf is not installed"
)

LOOP = "0b6851f8042b23fb02000139fad1"  # ldr, ldr.w post-indexed, smlad, subs, bne


def code(*halfwords: int) -> str:
    return b"".join(word.to_bytes(2, "little") for word in halfwords).hex()


@arm
def test_blocks_are_disassembled_one_by_one() -> None:
    first = code(0x680B, 0xF851, 0x2B04)  # ldr r3, [r1]; ldr.w r2, [r1], #4
    second = code(0xFB21, 0x0002, 0x3901, 0xD1FA)  # smlad r0, r1, r2, r0; subs r1, #1; bne
    found = decode.disassembled([first, second, first], decode.THUMB_7)
    assert [(one.mnemonic, one.size) for one in found[first]] == [("ldr", 2), ("ldr", 4)]
    assert found[first][1].operands == ("r2", "[r1]", "#4")
    assert [one.mnemonic for one in found[second]] == ["smlad", "subs", "bne"]


@arm
def test_conditions_of_one_block_do_not_reach_into_the_next() -> None:
    block = code(0xBF08)  # it eq, whose instruction a block boundary cuts off
    other = code(0x1840, 0x4770)  # adds r0, r0, r1; bx lr
    found = decode.disassembled([block, other], decode.THUMB_7)
    assert [one.mnemonic for one in found[other]] == ["adds", "bx"]


@arm
def test_vector_instructions_are_known_where_the_core_has_them() -> None:
    block = code(0xECB0, 0x1E10, 0xEEF0, 0x2F22, 0xF00F, 0xC01B)  # vldrb.u8, vmladava.s8, le
    kinds = [thumb.operation(one).kind for one in decode.disassembled([block], decode.THUMB_8)[block]]
    assert kinds == [Kind.VEC_LOAD, Kind.VEC_DOT, Kind.LOOP_END]


@arm
def test_what_the_disassembler_does_not_know_is_unknown() -> None:
    block = code(0xFB21, 0x0002, 0xDEFF, 0xF7F0, 0xA000)
    kinds = [thumb.operation(one).kind for one in decode.disassembled([block], decode.THUMB_7)[block]]
    assert kinds[0] is Kind.DUAL_MAC
    assert Kind.UNKNOWN in kinds


def test_zig_has_no_disassembler(monkeypatch: pytest.MonkeyPatch) -> None:
    zig = toolchain.Tool(("python", "-m", "ziglang", "cc"), "", "ziglang", (), (), ())
    monkeypatch.setattr(toolchain.Toolchain, "find", lambda _: zig)
    with pytest.raises(ToolMissing, match="no disassembler"):
        decode.disassembled(["00bf"], decode.THUMB_7)


@riscv32
def test_risc_v_is_disassembled() -> None:
    block = code(0x431C, 0x0711, 0x87B3, 0x02F7, 0x99E3, 0xFEE6)  # c.lw, c.addi, mul, bne
    operations = [riscv.operation(one) for one in decode.disassembled([block], decode.RISCV)[block]]
    assert [one.kind for one in operations] == [Kind.LOAD, Kind.ALU, Kind.MUL, Kind.BRANCH]
    assert operations[1].reads == operations[1].writes == {"x14"}
    assert operations[3].conditional


@pytest.mark.parametrize(
    ("text", "kind", "reads", "writes"),
    [
        ("movs r0, #1", Kind.ALU, "", "r0"),
        ("addne r0, r1", Kind.ALU, "r0 r1", "r0"),
        ("adds r0, #1", Kind.ALU, "r0", "r0"),
        ("bls 0x10", Kind.BRANCH, "", ""),
        ("bics r0, r1", Kind.ALU, "r0 r1", "r0"),
        ("cmp r0, r1", Kind.ALU, "r0 r1", ""),
        ("uxtb r0, r1", Kind.SHIFT, "r1", "r0"),
        ("bfi r0, r1, #2, #3", Kind.SHIFT, "r0 r1", "r0"),
        ("movt r0, #2", Kind.ALU, "r0", "r0"),
        ("smlald r0, r1, r2, r3", Kind.DUAL_MAC, "r0 r1 r2 r3", "r0 r1"),
        ("smull r0, r1, r2, r3", Kind.LONG_MUL, "r2 r3", "r0 r1"),
        ("smmulr r0, r1, r2", Kind.MUL, "r1 r2", "r0"),
        ("muls r0, r1, r0", Kind.MUL, "r0 r1", "r0"),
        ("ldr r0, [r1, r2, lsl #2]", Kind.LOAD, "r1 r2", "r0"),
        ("ldrsb r0, [r1], #1", Kind.LOAD_NARROW, "r1", "r0 r1"),
        ("ldrd r0, r1, [r2, #8]!", Kind.LOAD_DOUBLE, "r2", "r0 r1 r2"),
        ("str r0, [r1, #4]", Kind.STORE, "r0 r1", ""),
        ("strb r0, [r1, r2]", Kind.STORE_INDEXED, "r0 r1 r2", ""),
        ("ldmia.w r0!, {r4, r5}", Kind.LOAD_MULTIPLE, "r0", "r0 r4 r5"),
        ("vpush {d8-d9}", Kind.STORE_MULTIPLE, "s16 s17 s18 s19 sp", "sp"),
        ("vldr s0, [r0, #4]", Kind.LOAD, "r0", "s0"),
        ("vmov r0, s1", Kind.FP_MOVE, "s1", "r0"),
        ("vmov r0, r1, d0", Kind.FP_MOVE, "s0 s1", "r0 r1"),
        ("vfma.f32 s0, s1, s2", Kind.FP_MAC, "s0 s1 s2", "s0"),
        ("vcvt.s32.f32 s0, s1", Kind.FP_ADD, "s1", "s0"),
        ("vldrh.u16 q0, [r1, q2, uxtw #1]", Kind.VEC_GATHER, "r1 s8 s9 s10 s11", "s0 s1 s2 s3"),
        ("vmlava.s8 r2, q0, q1", Kind.VEC_DOT, "r2 s0 s1 s2 s3 s4 s5 s6 s7", "r2"),
        ("vmlav.s8 r2, q0, q1", Kind.VEC_DOT, "s0 s1 s2 s3 s4 s5 s6 s7", "r2"),
        ("vaddt.i32 q0, q1, q2", Kind.VEC_ALU, "s4 s5 s6 s7 s8 s9 s10 s11", "s0 s1 s2 s3"),
        ("vmovlt.s8 q0, q1", Kind.VEC_SHIFT, "s4 s5 s6 s7", "s0 s1 s2 s3"),
        ("vqrdmulh.s32 q0, q1, r2", Kind.VEC_MUL, "r2 s4 s5 s6 s7", "s0 s1 s2 s3"),
        ("vmov q0[2], q0[0], r1, r2", Kind.VEC_MOVE, "r1 r2 s0 s1 s2 s3", "s0 s1 s2 s3"),
        ("vmov.32 r0, q0[1]", Kind.VEC_MOVE, "s0 s1 s2 s3", "r0"),
        ("vdup.32 q0, r1", Kind.VEC_MOVE, "r1", "s0 s1 s2 s3"),
        ("vctp.8 r3", Kind.VEC_PREDICATE, "r3", ""),
        ("dls lr, r3", Kind.LOOP_START, "r3", "lr"),
        ("frobnicate r0, r1", Kind.UNKNOWN, "r1", "r0"),
    ],
)
def test_registers_and_kinds(text: str, kind: Kind, reads: str, writes: str) -> None:
    found = thumb.operation(instruction(text))
    assert (found.kind, found.reads, found.writes) == (kind, set(reads.split()), set(writes.split()))


@pytest.mark.parametrize(
    ("text", "kind", "reads", "writes"),
    [
        ("c.li x12, 3", Kind.ALU, "", "x12"),
        ("c.add x10, x15", Kind.ALU, "x10 x15", "x10"),
        ("c.mv x14, x10", Kind.ALU, "x10", "x14"),
        ("lbu x15, 0(x14)", Kind.LOAD_NARROW, "x14", "x15"),
        ("c.swsp x8, 4(x2)", Kind.STORE, "x2 x8", ""),
        ("jal x1, 0x10", Kind.CALL, "", "x1"),
        ("c.jr x1", Kind.INDIRECT, "x1", ""),
        ("remu x1, x2, x3", Kind.DIV, "x2 x3", "x1"),
        ("xfrob x1, x2", Kind.UNKNOWN, "x1 x2", "x1"),
    ],
)
def test_risc_v_registers_and_kinds(text: str, kind: Kind, reads: str, writes: str) -> None:
    found = riscv.operation(instruction(text))
    assert (found.kind, found.reads, found.writes) == (kind, set(reads.split()), set(writes.split()))
