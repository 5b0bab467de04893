"""What an artifact needs of a board: each kind of misfit is planted in a real bundle, found and named."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgekit import bundle as bundles
from edgekit import target
from edgekit.audit import audit, elf, instructions
from edgekit.bundle import Bundle, writing
from edgekit.errors import CheckFailed, EdgekitError, ModelError
from edgekit.graph import tflite
from edgekit.target.cores import System
from tests.e2e.command import edgekit, refused
from tests.e2e.mutations import mutate
from tests.networks.small import convolutional

pytestmark = pytest.mark.emulator
GCC = "aarch64-linux-gnu-gcc"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network compiled to code for a Raspberry Pi 4."""
    folder = tmp_path_factory.mktemp("audit")
    model = folder / "net.tflite"
    tflite.write(convolutional(), model)
    done = edgekit("compile", model, "-t", "rpi4", "-b", "c99", "-o", folder, "--json")
    return Path(done.json["bundles"][0]["path"])


def with_library(bundle: Path, folder: Path, source: str, *flags: str) -> Bundle:
    """The bundle with another library; the manifest vouches for it."""
    copy = folder / "copy"
    shutil.copytree(bundle, copy)
    (folder / "planted.c").write_text(source)
    command = [GCC, "-O1", "-shared", "-fPIC", "-nostartfiles", str(folder / "planted.c"), *flags]
    subprocess.run([*command, "-o", str(copy / "artifact" / "network.so")], check=True)
    return on(bundles.load(bundle).manifest, copy, target.load("rpi4"))


def on(manifest: dict[str, Any], folder: Path, board: target.Target) -> Bundle:
    """The bundle in a folder, for a board."""
    found = Bundle(folder, manifest)
    vars(found)["target"] = board
    return found


def test_what_edgekit_compiles_fits(bundle: Path) -> None:
    found = audit(bundles.load(bundle))
    assert found is not None
    assert (found.ok, found.problems, found.unknown, found.unsaid) == (True, (), (), ())
    assert found.files == ("edgekit-run", "network.so")
    assert "instructions" in found.words()


BEYOND = {
    "asimddp": ("armv8.2-a+dotprod", "sdot v0.4s, v1.16b, v2.16b"),
    "i8mm": ("armv8.2-a+i8mm", "smmla v0.4s, v1.16b, v2.16b"),
    "bf16": ("armv8.2-a+bf16", "bfdot v0.4s, v1.8h, v2.8h"),
    "asimdhp": ("armv8.2-a+fp16", "fmla v0.8h, v1.8h, v2.8h"),
    "fphp": ("armv8.2-a+fp16", "fadd h0, h1, h2"),
    "asimdfhm": ("armv8.2-a+fp16fml", "fmlal v0.4s, v1.4h, v2.4h"),
    "asimdrdm": ("armv8.1-a", "sqrdmlah v0.4s, v1.4s, v2.4s"),
    "atomics": ("armv8.1-a", "ldaddal w0, w1, [x2]"),
    "aes": ("armv8-a+crypto", "aese v0.16b, v1.16b"),
    "sha2": ("armv8-a+crypto", "sha256h q0, q1, v2.4s"),
    "pmull": ("armv8-a+crypto", "pmull v0.1q, v1.1d, v2.1d"),
    "fcma": ("armv8.3-a", "fcadd v0.4s, v1.4s, v2.4s, #90"),
    "jscvt": ("armv8.3-a", "fjcvtzs w0, d0"),
    "lrcpc": ("armv8.3-a", "ldapr w0, [x1]"),
    "sve": ("armv8.2-a+sve", "mul z0.s, p0/m, z0.s, z1.s"),
}
"""By feature: an instruction that needs it."""


def test_instructions_that_a_raspberry_pi_4_lacks(bundle: Path, tmp_path: Path) -> None:
    """Each is the cause of a SIGILL there, on a path that the samples need not take."""
    source = "".join(
        f'void with_{feature}(void) {{ __asm__ volatile(".arch {arch}\\n\\t{line}"); }}\n'
        for feature, (arch, line) in BEYOND.items()
    )
    found = audit(with_library(bundle, tmp_path, source))
    assert found is not None and found.ok is False
    for feature, (_, line) in BEYOND.items():
        end = f"in with_{feature} (1 such): Cortex-A72 lacks {feature}"
        (problem,) = (one for one in found.problems if one.endswith(end))
        assert problem.startswith("network.so has `" + line.split()[0])
    assert len(found.problems) == len(BEYOND)
    newer = audit(on(bundles.load(bundle).manifest, tmp_path / "copy", target.load("rpi5")))
    assert newer is not None
    lacking = {problem.split()[-1] for problem in newer.problems}
    assert lacking == {"i8mm", "bf16", "asimdfhm", "fcma", "jscvt", "sve"}


def test_what_every_processor_has_is_not_reported(bundle: Path, tmp_path: Path) -> None:
    lines = ["fcvt s0, h1", "fcvtl v0.4s, v1.4h", "fcvtn v0.4h, v1.4s", "ldr h0, [x0]", "pmull v0.8h, v1.8b, v2.8b",
             "crc32b w0, w1, w2", "ldxr w0, [x1]", "mul v0.8h, v1.8h, v2.8h"]  # fmt: skip
    source = "void usual(void) {" + "".join(f'__asm__ volatile("{line}");' for line in lines) + "}"
    found = audit(with_library(bundle, tmp_path, source, "-march=armv8-a+crc"))
    assert found is not None and found.problems == ()


def test_gccs_atomics_ask_the_processor_first(bundle: Path, tmp_path: Path) -> None:
    """They hold the instruction behind a question; a bare one beside them is still found."""
    source = "int n; int add(void) { return __atomic_fetch_add(&n, 1, __ATOMIC_SEQ_CST); }"
    found = audit(with_library(bundle, tmp_path, source, "-moutline-atomics", "-s", "-nostdlib", "-lgcc"))
    text = subprocess.run(
        ["aarch64-linux-gnu-objdump", "-d", tmp_path / "copy" / "artifact" / "network.so"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "ldaddal" in text
    assert found is not None and found.problems == ()


def test_a_program_that_holds_its_c_library_is_not_judged_by_it(bundle: Path, tmp_path: Path) -> None:
    """The library has functions for processors with SVE, and asks the processor which to take."""
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    (tmp_path / "main.c").write_text("#include <string.h>\nint main(int c, char **v) { return (int)strlen(v[c - 1]); }")
    made = copy / "artifact" / "edgekit-run"
    subprocess.run([GCC, "-static", "-s", str(tmp_path / "main.c"), "-o", str(made)], check=True)
    found = audit(on(bundles.load(bundle).manifest, copy, target.load("rpi4")))
    assert found is not None and found.ok is True
    assert "not judged: instructions of edgekit-run, because it chooses" in found.words()


def test_a_symbol_version_that_the_system_lacks(bundle: Path, tmp_path: Path) -> None:
    source = "#include <dlfcn.h>\nvoid *open_it(void) { return dlopen(0, RTLD_NOW); }"
    planted = with_library(bundle, tmp_path, source)
    old = System(name="bullseye", glibc="2.31", page_kib=4)
    found = audit(on(planted.manifest, planted.path, replace(planted.target, system=old)))
    assert found is not None
    assert "network.so needs glibc 2.34, bullseye has 2.31" in found.problems
    assert audit(planted).ok  # type: ignore[union-attr]


def test_code_aligned_to_less_than_a_page(bundle: Path, tmp_path: Path) -> None:
    source, flags = "int f(void) { return 1; }", ("-Wl,-z,max-page-size=4096",)
    planted = with_library(bundle, tmp_path, source, *flags)
    assert audit(planted).ok  # type: ignore[union-attr]
    found = audit(on(planted.manifest, planted.path, target.load("rpi5")))
    assert found is not None
    assert found.problems == (
        "network.so is aligned to 4 KiB, Raspberry Pi OS 12 (bookworm) has pages of 16 KiB",
    )  # fmt: skip


def test_a_library_for_another_processor(bundle: Path, tmp_path: Path) -> None:
    planted = with_library(bundle, tmp_path, "int f(void) { return 1; }")
    subprocess.run(
        ["gcc", "-shared", "-fPIC", str(tmp_path / "planted.c"), "-o", str(planted.artifact / "network.so")], check=True
    )
    found = audit(planted)
    assert found is not None
    assert found.problems == ("network.so is for x86_64, not aarch64",)


def test_verify_says_so_and_fails(bundle: Path, tmp_path: Path) -> None:
    """Through the command line; the outputs are right all the same, because the samples never come there."""
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    source = tmp_path / "more.c"
    source.write_text('void rarely(void) { __asm__ volatile("sdot v0.4s, v1.16b, v2.16b"); }')
    program = copy / "artifact" / "planted.so"
    subprocess.run(
        [GCC, "-shared", "-fPIC", "-nostdlib", "-march=armv8.2-a+dotprod", source, "-o", program], check=True
    )
    manifest = bundles.load(bundle).manifest
    (copy / "manifest.json").unlink()
    writing.finish(copy, {key: value for key, value in manifest.items() if key != "files"})
    done = edgekit("verify", copy, "-q")
    refused(done, 5, "system: planted.so has `sdot", "in rarely", "Cortex-A72 lacks asimddp")


def test_compile_warns_of_a_board_whose_system_is_older(tmp_path: Path) -> None:
    model = tmp_path / "net.tflite"
    tflite.write(convolutional(), model)
    done = edgekit("compile", model, "-t", "jetson-agx-xavier-cpu", "-o", tmp_path)
    assert done.code == 0
    assert "libLiteRt.so needs glibc 2.34, JetPack 5 has 2.31" in done.err


def test_x86_instructions() -> None:
    assert instructions.feature_of("vpdpbusd %zmm1,%zmm2,%zmm3 ", "x86_64") == "avx512f"
    assert instructions.feature_of("{vex} vpdpbusd %ymm1,%ymm2,%ymm3 ", "x86_64") == "avx_vnni"
    assert instructions.feature_of("vfmadd231ps %ymm1,%ymm2,%ymm3 ", "x86_64") == "fma"
    assert instructions.feature_of("vpaddd %ymm1,%ymm2,%ymm3 ", "x86_64") == "avx2"
    assert instructions.feature_of("vaddps %ymm1,%ymm2,%ymm3 ", "x86_64") == "avx"
    assert instructions.feature_of("addps %xmm1,%xmm2 ", "x86_64") == ""


def test_more_files_than_are_looked_at_are_refused(bundle: Path, tmp_path: Path) -> None:
    """A file that nobody looked at does not fit."""
    copy = tmp_path / "copy"
    shutil.copytree(bundle, copy)
    for number in range(65):
        (copy / "artifact" / f"{number}.so").write_bytes(b"\x7fELF")
    with pytest.raises(CheckFailed, match="67 programs and libraries, over 64"):
        audit(on(bundles.load(bundle).manifest, copy, target.load("rpi4")))


def test_a_damaged_library_is_refused_in_one_line(bundle: Path, tmp_path: Path) -> None:
    data = (bundle / "artifact" / "network.so").read_bytes()
    broken = tmp_path / "broken.so"
    broken.write_bytes(data[:40])
    with pytest.raises(ModelError, match=r"broken\.so is damaged"):
        elf.read([broken])


def test_damaged_headers_end_in_an_answer_or_one_line(bundle: Path, tmp_path: Path) -> None:
    data = (bundle / "artifact" / "network.so").read_bytes()
    path, ends = tmp_path / "mutant.so", {True: 0, False: 0}
    for seed in range(400):
        path.write_bytes(mutate(data, seed))
        try:
            elf._facts(path)
            ends[True] += 1
        except EdgekitError as error:
            assert "\n" not in error.message
            ends[False] += 1
    assert all(ends.values())


def test_edgekits_own_programs_ask_for_an_old_c_library(bundle: Path) -> None:
    """What boards.md says of systems: bullseye and JetPack 5 have glibc 2.31, and load them."""
    for found in elf.read([bundle / "artifact" / name for name in ("edgekit-run", "network.so")]):
        assert elf.ordered(found.version("GLIBC")) <= (2, 27)
        assert found.version("GLIBCXX") == ""
