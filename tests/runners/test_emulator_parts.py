"""The emulator's parts: instruction classes, the plugin's report, the fake processor."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from edgekit import target
from edgekit.errors import DeviceError
from edgekit.runners import tracing
from edgekit.runners.emulator import __file__ as package
from edgekit.runners.emulator import fakecpu, report, sysroot

INSTRUCTIONS = {
    "ldr q0, [x1, #16]": "load", "ldp x0, x1, [sp], #16": "load", "ld1 {v0.16b, v1.16b}, [x0], #32": "load",
    "ldr w3, [x4, x5, lsl #2]": "load", "ldadd w0, w1, [x2]": "load", "ldrsb w1, [x2]": "load",
    "str q0, [x1]": "store", "stp d8, d9, [sp, #-64]!": "store", "st1 {v0.s}[1], [x0]": "store",
    "strb w1, [x2]": "store",
    "fmla v0.4s, v1.4s, v2.s[3]": "fp_fma_vec", "fmla v0.4s, v1.4s, v2.4s": "fp_fma_vec",
    "fmls v0.2d, v1.2d, v2.2d": "fp_fma_vec", "fmla v0.8h, v1.8h, v2.h[7]": "fp_fma_vec",
    "fadd v0.4s, v1.4s, v2.4s": "fp_vec", "fmax v0.4s, v1.4s, v2.4s": "fp_vec", "fmul v0.4s, v1.4s, v2.s[1]": "fp_vec",
    "fcvtns v0.4s, v1.4s": "fp_vec", "scvtf v0.4s, v1.4s": "fp_vec", "frintn v0.4s, v1.4s": "fp_vec",
    "fabs v0.4s, v1.4s": "fp_vec", "fcmgt v0.4s, v1.4s, #0.0": "fp_vec", "fadd v0.8h, v1.8h, v2.8h": "fp_vec",
    "sdot v0.4s, v1.16b, v2.4b[1]": "int8_dot", "udot v0.4s, v1.16b, v2.16b": "int8_dot",
    "smmla v0.4s, v1.16b, v2.16b": "int8_dot", "usdot v0.4s, v1.16b, v2.16b": "int8_dot",
    "smlal v0.4s, v1.4h, v2.h[3]": "int_mla_vec", "smull v0.8h, v1.8b, v2.8b": "int_mla_vec",
    "smlal2 v0.8h, v1.16b, v2.16b": "int_mla_vec", "sqrdmulh v0.4s, v1.4s, v2.4s": "int_mla_vec",
    "mul v0.4s, v1.4s, v2.4s": "int_mla_vec", "mla v0.8h, v1.8h, v2.h[1]": "int_mla_vec",
    "sadalp v0.4s, v1.8h": "int_vec", "sqxtn v0.8b, v1.8h": "int_vec", "dup v0.4s, w1": "int_vec",
    "movi v0.16b, #0": "int_vec", "smax v0.16b, v1.16b, v2.16b": "int_vec", "sshll v0.8h, v1.8b, #0": "int_vec",
    "ext v0.16b, v1.16b, v2.16b, #8": "int_vec", "add v0.4s, v1.4s, v2.4s": "int_vec",
    "fmadd s0, s1, s2, s3": "fp_scalar", "fadd s0, s1, s2": "fp_scalar", "fcvtzs w0, s1": "fp_scalar",
    "b.ne .": "branch", "cbz x0, .": "branch", "bl .": "branch", "ret": "branch", "svc #0": "branch", "br x3": "branch",
    "add x0, x1, x2": "int_alu", "subs x0, x0, #16": "int_alu", "madd x0, x1, x2, x3": "int_alu",
    "adrp x0, .": "int_alu",
}  # fmt: skip

HARNESS = """
#include "classify.h"
#include <stdio.h>
int main(void) { unsigned w; while (scanf("%x", &w) == 1) puts(class_names[classify(w)]); return 0; }
"""


@pytest.mark.emulator
def test_instructions_are_in_their_classes(tmp_path: Path) -> None:
    """Each instruction as the assembler encodes it, through the plugin's own classifier."""
    (tmp_path / "a.s").write_text(".arch armv8.6-a+fp16+dotprod+i8mm\n" + "\n".join(INSTRUCTIONS) + "\n")
    (tmp_path / "a.c").write_text(HARNESS)
    run = {"check": True, "cwd": tmp_path, "capture_output": True}
    subprocess.run(["aarch64-linux-gnu-as", "a.s", "-o", "a.o"], **run)
    subprocess.run(["aarch64-linux-gnu-objcopy", "-O", "binary", "a.o", "a.bin"], **run)
    subprocess.run(["gcc", f"-I{Path(package).parent}", "a.c", "-o", "a"], **run)
    code = (tmp_path / "a.bin").read_bytes()
    words = "\n".join(f"{int.from_bytes(code[i : i + 4], 'little'):x}" for i in range(0, len(code), 4))
    said = subprocess.run([tmp_path / "a"], input=words.encode(), check=True, capture_output=True).stdout.decode()
    assert dict(zip(INSTRUCTIONS, said.split(), strict=True)) == INSTRUCTIONS


CACHES = """
#include "cache_model.h"
#include <stdio.h>
int main(void) {
    struct misses m = {{0}};
    cache_init(&caches[0], 1, 2); cache_init(&caches[1], 4, 4); cache_init(&caches[2], 0, 0);
    unsigned long line;
    while (scanf("%lu", &line) == 1) cache_access(line, &m);
    printf("%lu %lu %lu %lu\\n", m.all[0], m.all[1], m.all[2], m.streamed[0]);
    return 0;
}
"""


@pytest.mark.emulator
@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([5, 5, 5], (1, 1, 0)),
        (list(range(100, 116)) * 2, (16, 16, 15)),  # 16 lines fill L1: the second round hits
        (list(range(100, 132)) * 3, (96, 32, 93)),  # twice L1: every round misses, in L2 only the first
        ([0, 8, 16, 0], (4, 3, 1)),  # three lines of one set of two ways, at a constant step
        ([0, 8, 0, 16, 0], (3, 3, 1)),  # the least recently used goes first
        ([100 + 6 * i for i in range(10)], (10, 10, 8)),  # two lines show a step, the others continue it
        ([100 - 32 * i for i in range(3)], (3, 3, 1)),
        ([100 + 33 * i for i in range(10)], (10, 10, 0)),  # further apart than half a page
        ([100 + 5 * i + 1000 * row for i in range(6) for row in range(3)], (18, 18, 12)),  # three rows in turns
        ([100, 107, 121, 128], (4, 4, 0)),  # 7, 14, 7: no constant step
    ],
)
def test_the_cache_model_is_lru_and_sees_streams(
    lines: list[int], expected: tuple[int, int, int], tmp_path: Path
) -> None:
    """L1 of 1 KiB in 2 ways (8 sets), L2 of 4 KiB in 4 ways; L1 and L2 misses, and the streamed L1 misses."""
    (tmp_path / "a.c").write_text(CACHES)
    subprocess.run(["gcc", f"-I{Path(package).parent}", "a.c", "-o", "a"], check=True, cwd=tmp_path)
    offset = [line + 1000 for line in lines]  # streams start at line 0, so stay away from it
    text = " ".join(map(str, offset)).encode()
    first, second, third, streamed = map(int, subprocess.check_output([tmp_path / "a"], input=text).split())
    assert (first, second, streamed) == expected and third == 0


def traced(program: Path, folder: Path, events: str, *caches: str) -> list[list[int]]:
    """The phases and uses of a run, as numbers; a use has 9, a phase more."""
    subprocess.run([program, f"out={folder / 'report'}", *caches], input=events, text=True, check=True)
    lines = (folder / "report").read_text().splitlines()
    assert lines[0] == "edgekit-trace 1" and lines[-1] == "end"
    return [[int(word) for word in line.split()[1:]] for line in lines if line.startswith(("phase", "use"))]


@pytest.fixture(scope="module")
def plugin_host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trace plugin in a program that plays QEMU."""
    made = tmp_path_factory.mktemp("plugin") / "host"
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
             f"-I{tracing.FOLDER}"]  # fmt: skip
    source = Path(__file__).parent / "plugin_host.c"
    subprocess.run(["gcc", *flags, f"-I{Path(package).parent}", source, "-o", made], check=True)
    return made


def test_the_plugin_counts_each_phase_by_itself(plugin_host: Path, tmp_path: Path) -> None:
    """What runs before the inference does not count; the clock divides it."""
    events = "run 1 clock run 2 begin run 1 run 1 run 3 clock clock run 1 end run 3 clock run 1"
    alu = [0] * 9
    found = traced(plugin_host, tmp_path, events)
    assert found == [
        [6, *alu, 6, 0, 0], [1, 2, *[0] * 6], [2, 1, *[0] * 6],
        [0, *alu, 0, 0, 0],
        [2, *alu, 2, 0, 0], [1, 1, *[0] * 6],
    ]  # fmt: skip


def test_the_plugin_tells_loads_from_stores_and_sees_lines_that_are_crossed(plugin_host: Path, tmp_path: Path) -> None:
    """An access of 16 bytes at 6392 lies in two lines of 64 bytes. Misses are counted anew in each phase."""
    accesses = "load 1 6392 4 load 1 64000 3 store 1 64008 2"
    events = f"begin run 1 {accesses} clock run 1 {accesses} load 1 128000 0 end"
    first, use, second, again = traced(plugin_host, tmp_path, events, "l1=1:2", "l2=4:4")
    assert first[-2:] == [24, 4] and second[-2:] == [25, 4]
    assert use[2:5] == [3, 3, 0] and use[5] == 1  # the second line of the crossing one is streamed
    assert again[2:5] == [1, 1, 0] and again[5] == 0


REPORT = """edgekit-trace 1
classes load store branch
phase 10 3 2 5 64 32
use 1 2 4 1 0 3 1 0
phase 6 1 1 4 8 8
use 1 1 0 0 0 0 0 0
use 2 3 1 1 0 0 0 0
block 1 5500 3 000000010000000200000003
block 2 5600 1 00000004
end
"""


def test_a_report_is_read_and_adds_up(tmp_path: Path) -> None:
    (tmp_path / "r").write_text(REPORT)
    found = report.read(tmp_path / "r")
    assert [p.counts["instructions"] for p in found.phases] == [10, 6]
    whole = report.merged(found.phases)
    assert whole.counts["load_bytes"] == 72 and whole.counts["l1_misses"] == 5 and whole.counts["l1_streamed"] == 3
    blocks = found.blocks(whole)
    assert [(b.count, b.misses[0]) for b in blocks] == [(3, 4), (3, 1)]
    assert len(blocks[0].code) > len(blocks[1].code)


@pytest.mark.parametrize("text", ["", REPORT.replace("end\n", ""), "use 1 2\n", "phase x\n", "block 1\n"])
def test_an_incomplete_report_is_one_clear_error(text: str, tmp_path: Path) -> None:
    (tmp_path / "r").write_text(text)
    with pytest.raises(DeviceError) as caught:
        report.read(tmp_path / "r")
    assert "trace" in caught.value.message


@pytest.mark.parametrize("name", ["rpi4", "rpi5", "jetson-orin-nano-cpu"])
def test_the_fake_processor_is_the_targets(name: str) -> None:
    board = target.load(name)
    files = fakecpu.files(board)
    assert files["proc/cpuinfo"].count("processor\t:") == board.processor.cores
    assert f"CPU part\t: {board.processor.id.part:#x}" in files["proc/cpuinfo"]
    assert ("asimddp" in files["proc/cpuinfo"]) == (name != "rpi4")
    assert files["sys/devices/system/cpu/cpu0/cache/index0/size"] == f"{board.cache.l1d.kib}K\n"
    assert files["sys/devices/system/cpu/possible"] == f"0-{board.processor.cores - 1}\n"


@pytest.mark.emulator
def test_a_root_folder_is_made_once_and_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    root = sysroot.get(target.load("rpi4"))
    assert sysroot.get(target.load("rpi4")) == root
    assert (root / "lib" / "libc.so.6").is_file() and (root / "proc" / "cpuinfo").is_file()
    assert [path for path in root.parent.iterdir() if path != root] == []
