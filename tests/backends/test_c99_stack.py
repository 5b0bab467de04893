"""The worst case of a firmware's stack: machine code read for its calls and frames, and what it was linked from."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from edgekit.backends.c99 import stack
from edgekit.backends.c99.stack import Pointers, Worst
from edgekit.errors import ModelError
from tests.runners.firmware_bundles import bundle, network

NOTHING = Pointers(frozenset(), frozenset(), frozenset())
THUMB = """
00000100 <outer>:
     100:	push	{r4, r5, lr}
     102:	sub	sp, #20
     104:	bl	200 <inner>
     108:	cmp	r0, #0
     10a:	beq.n	102 <outer+0x2>
     10c:	add	sp, #20
     10e:	ldmia.w	sp!, {r4, r5, lr}
     112:	b.w	300 <tail>

00000200 <inner>:
     200:	vpush	{d8-d9}
     204:	str.w	lr, [sp, #-8]!
     208:	ldr	r3, [pc, #4]	@ (210 <inner+0x10>)
     20a:	blx	r3
     20c:	vpop	{d8-d9}
     20e:	ldr.w	pc, [sp], #8
     210:	.word	0x00000300

00000300 <tail>:
     300:	stmdb	sp!, {r4, r5, r6, r7}
     304:	bx	r2
     306:	pop	{r4, r5, r6, r7}
     308:	bx	lr
     30a:	nop

00000400 <through>:
     400:	movs	r0, #1

00000410 <last>:
     410:	push	{r4}
     412:	bx	lr
     414:	movs	r0, r0
"""
RISCV = """
80000000 <ek_reset>:
80000000:	auipc	sp,0x802
80000004:	mv	sp,sp
80000008:	j	80000010 <main>

80000010 <main>:
80000010:	add	sp,sp,-48 # 80801ff0 <ek_stack_low+0x1ff0>
80000014:	auipc	ra,0x1
80000018:	jalr	-4(ra) # 80001010 <far>
8000001c:	jalr	a5
8000001e:	add	sp,sp,48
80000020:	ret

80001010 <far>:
80001010:	sub	sp,sp,a5
80001014:	ret
"""


def test_frames_calls_and_pointers_of_thumb() -> None:
    found = stack.functions(THUMB, {})
    assert {one.name: one.frame for one in found.values()} == {
        "outer": 32, "inner": 24, "tail": 16, "through": 0, "last": 4,
    }  # fmt: skip
    calls = {one.name: sorted(found[place].name for place in one.calls) for one in found.values()}
    assert calls == {"outer": ["inner", "tail"], "inner": [], "tail": [], "through": ["last"], "last": []}
    assert [one.name for one in found.values() if one.indirect] == ["inner"]  # `tail` jumps within itself
    reached = Pointers(frozenset(("tail",)), frozenset(("last",)), frozenset())
    assert stack.worst(found, [0x100], reached) == Worst(32 + 24 + 16, ("outer", "inner", "tail"))


def test_the_compilers_word_counts_and_only_the_server_reaches_the_network() -> None:
    said = stack.usage(["a.c:1:2:inner\t400\tstatic\nb.c:9:1:tail\t8\tdynamic\n", "c.c:3:1:inner\t40\tstatic\n"])
    assert said == {"inner": 400}
    found = stack.functions(THUMB, said)
    reached = Pointers(frozenset(), frozenset(("outer",)), frozenset(("tail",)))
    assert stack.worst(found, [0x100], reached) == Worst(432, ("outer", "inner"))
    reached = Pointers(frozenset(), frozenset(("outer",)), frozenset(("inner",)))
    assert stack.worst(found, [0x100], reached) == Worst(None, (), "outer may call itself")


def test_frames_and_calls_of_riscv() -> None:
    found = stack.functions(RISCV, {})
    main, far = found[0x80000010], found[0x80001010]
    assert main.frame == 48 and main.calls == {0x80001010} and main.indirect
    assert far.dynamic
    assert stack.worst(found, [0x80000000], NOTHING) == Worst(None, (), "the frame of far has no bound")
    known = stack.functions(RISCV, {"far": 16})
    assert stack.worst(known, [0x80000000], NOTHING) == Worst(64, ("ek_reset", "main", "far"))


def test_addresses_are_taken_by_all_but_calls_and_vectors() -> None:
    text = """
a.o:     file format elf32-littlearm

RELOCATION RECORDS FOR [.text.run]:
OFFSET   TYPE              VALUE
00000062 R_ARM_THM_CALL    called
00000066 R_ARM_ABS32       taken
0000006a R_ARM_ABS32       .text.run

RELOCATION RECORDS FOR [.vectors]:
OFFSET   TYPE              VALUE
00000000 R_ARM_ABS32       ek_reset

RELOCATION RECORDS FOR [.rodata.net_model]:
OFFSET   TYPE              VALUE
00000004 R_RISCV_32        run+0x4
"""
    found = stack.pointers(text, "net_model", ["serve"])
    assert found == Pointers(frozenset(("taken", ".text.run")), frozenset(("run",)), frozenset(("serve",)))


@pytest.mark.emulator
@pytest.mark.parametrize("board", ["nucleo-l4r5zi", "pico", "mps3-an547", "esp32-c3"])
def test_instructions_subtract_what_the_compiler_says(board: str, tmp_path: Path) -> None:
    """Two sources for the same figure: the worst case is the same without ``-fstack-usage``."""
    made = bundle(tmp_path, board)
    objdump = ("riscv64-unknown-elf" if board == "esp32-c3" else "arm-none-eabi") + "-objdump"
    if shutil.which(objdump) is None:
        pytest.skip(f"{objdump} is not installed")
    machine = [] if board == "esp32-c3" else ["-m", "armv8.1-m.main"]
    files = [made.artifact / name for name in ("firmware.elf", "emulator.elf")]
    largest = str(next(path for path in files if path.is_file()))
    command = [objdump, *machine, "-d", "--no-show-raw-insn", largest]
    found = stack.functions(subprocess.run(command, capture_output=True, text=True, check=True).stdout, {})
    said = json.loads((made.artifact / "firmware.json").read_text())["stack"]
    by_name = {one.name: one for one in found.values()}
    assert said["unknown"] == "" and said["chain"][0] == "ek_reset"
    frames = sum(by_name[name].frame for name in said["chain"])
    handler = by_name["ek_systick"].frame if "ek_systick" in by_name else 0
    assert said["bytes"] - frames in (0, 36 + handler, 108 + handler)  # what an interrupt adds on the board


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("code", "unknown"),
    [
        ("volatile uint32_t many = 8; volatile uint8_t room[many]; room[0] = 1;", "has no bound"),
        ("if (instance->arena[700] == 99) instance->tick((void *)run);", "may call itself"),
    ],
    ids=["a frame of any size", "recursion through a pointer"],
)
def test_what_has_no_bound_is_unknown(code: str, unknown: str, tmp_path: Path) -> None:
    changes = {"a": f"    int32_t *z =>    {code}\n    int32_t *z "}
    if "run" in code:
        changes["b"] = "static void tick(=>static void run(struct ek_instance *instance);\nstatic void tick("
    made = bundle(tmp_path, "nucleo-l4r5zi", network(**changes))
    said = json.loads((made.artifact / "firmware.json").read_text())["stack"]
    assert said["bytes"] is None and unknown in said["unknown"]


@pytest.mark.emulator
def test_a_worst_case_beyond_what_is_reserved_is_refused(tmp_path: Path) -> None:
    code = "volatile uint8_t room[9000]; for (int32_t i = 0; i < 9000; i++) room[i] = 1;"
    with pytest.raises(ModelError) as caught:
        bundle(tmp_path, "nucleo-l4r5zi", network(a=f"    int32_t *z =>    {code}\n    int32_t *z "))
    assert "bytes of stack on nucleo-l4r5zi, which reserves 8192" in caught.value.message
    assert "ek_serve > " in caught.value.message and "mcu.stack_bytes" in caught.value.hint
