"""All C compiles without a warning, by the standard that CONTRIBUTING.md states for its folder."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from edgekit import target
from edgekit.backends import runner_build
from edgekit.backends.c99.emit import HEADERS
from edgekit.backends.c99.firmware import zig_flags
from edgekit.backends.gpu import host_build
from edgekit.data.mfcc import Mfcc, Quantization
from edgekit.data.mfcc_source import source
from edgekit.runners import tracing
from edgekit.runners.cuda_emulator import FLAGS as CUDA_FLAGS

ROOT = Path(__file__).parents[2]
WARNINGS = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
COMPILERS = {
    ("x86-64", "C"): "gcc", ("x86-64", "C++"): "g++",
    ("AArch64", "C"): "aarch64-linux-gnu-gcc", ("AArch64", "C++"): "aarch64-linux-gnu-g++",
}  # fmt: skip
EMULATOR = ROOT / "edgekit" / "runners" / "emulator"
TINY = ROOT / "tests" / "firmware_stubs" / "tiny_model"
LIBRARY = "tests/firmware_stubs/kernels.c"
TRACING = ROOT / "edgekit" / "runners" / "tracing"
WEIGHTS = """enum { ROWS = 2, COLUMNS = 3 };
static const float weights[COLUMNS][ROWS] = {{0}}, bias[COLUMNS] = {0};
"""
"""What a test adds to ``tests/runners/compiled/network.c``."""
EXAMPLE = ROOT / "examples" / "keyword_spotting" / "firmware"
KEYWORDS = {
    "labels.h": "#define LABELS 12\nstatic const char *const labels[LABELS] = {0};\n",
    "mfcc.h": source(Mfcc(), Quantization(0.5, 0)).header,
    "model.h": """#include "ek_model.h"
#define MODEL_ARENA_BYTES 64
#define MODEL_INPUT_0_ELEMENTS 490
#define MODEL_OUTPUT_0_ELEMENTS 12
#define MODEL_OUTPUT_0_ZERO_POINT -128
void model_init(struct ek_instance *instance, void *arena);
void *model_input(const struct ek_instance *instance, uint32_t index);
const void *model_output(const struct ek_instance *instance, uint32_t index);
void model_run(struct ek_instance *instance);
""",
}
"""What is written for ``examples/keyword_spotting/firmware``."""


@cache
def table() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Path -> language and flags, as CONTRIBUTING.md has them."""
    section = (ROOT / "CONTRIBUTING.md").read_text().split("\n## C\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(.+?)` \| (C|C\+\+) \| `(.+?)` \|$", section, re.MULTILINE)
    return {path: (language, tuple(flags.split())) for path, language, flags in rows}


def sources() -> list[Path]:
    """Every C file of the checkout, the kernels, which are headers, and the headers with a row of their own."""
    folders = [ROOT / name for name in ("edgekit", "firmware_stubs", "tests", "examples", "tools", "bench")]
    found = [path for folder in folders for path in sorted(folder.rglob("*.c"))]
    found += sorted((ROOT / "firmware_stubs" / "kernels").glob("*.h"))
    return [*found, *(ROOT / path for path in table() if path.endswith(".h"))]


def row(path: Path) -> tuple[str, tuple[str, ...]]:
    """The most specific row that covers ``path``."""
    names = [str(path.relative_to(ROOT)), *(str(parent) for parent in path.relative_to(ROOT).parents)]
    return next(table()[name] for name in names if name in table())


def compile_strictly(path: Path, arch: str, folder: Path, *defines: str) -> str:
    """What the compiler says."""
    language, flags = row(path)
    compiler = COMPILERS[arch, language]
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    (folder / "weights.h").write_text(WEIGHTS)
    stubs = ROOT / "firmware_stubs"
    places = [path.parent, stubs / "gpu", stubs / "linux", stubs / "kernels", EMULATOR, TRACING, folder]
    if path.is_relative_to(EXAMPLE):
        for name, text in KEYWORDS.items():
            (folder / name).write_text(text)
        places += [EXAMPLE / "emulator", stubs / "audio", stubs / "mcu"]
    if path == stubs / "kernels" / "linux" / "library.c":
        places.append(TINY)
        defines += ('-DEK_MODEL_HEADER="tiny.h"', "-DEK_MODEL=tiny_model", "-DEK_MODEL_STEPS=TINY_STEPS")
        defines += ("-DEK_MODEL_INPUTS=1", "-DEK_MODEL_OUTPUTS=1")
    folders = [f"-I{place}" for place in places]
    # A header's own functions are called by whoever includes it.
    kind = ["-x", language.lower(), "-Wno-unused-function"] if path.suffix == ".h" else []
    command = [compiler, *flags, *WARNINGS, "-O2", *folders, *defines, *kind, "-c", path, "-o", folder / "made.o"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (not done.stderr)
    return done.stderr


FIRMWARE = {
    "Cortex-M": ("arm-none-eabi-gcc", "-mcpu=cortex-m4", "-mthumb"),
    "RISC-V": ("riscv64-unknown-elf-gcc", "-march=rv32imc_zicsr", "-mabi=ilp32"),
}  # fmt: skip
CONFIG = """#define EK_CONFIG_UART_BASE 0x40004000u
#define EK_CONFIG_UART_CLOCK_HZ 25000000u
#define EK_CONFIG_UART_BAUD 115200u
"""
NETWORK = """#include "tiny.h"
#define EK_CONFIG_MODEL tiny_model
#define EK_CONFIG_ARENA_BYTES TINY_ARENA_BYTES
#define EK_CONFIG_STEPS TINY_STEPS
#define EK_CONFIG_CLOCK_HZ 120000000u
#define EK_CONFIG_DIGEST {1, 2, 3}
"""


def is_firmware(path: Path) -> bool:
    return str(path.relative_to(ROOT)).startswith(
        tuple(f"firmware_stubs/{name}/" for name in ("mcu", "cortex_m", "riscv"))
    )


@pytest.mark.parametrize("arch", FIRMWARE)
@pytest.mark.parametrize(
    "path", [path for path in sources() if is_firmware(path)], ids=lambda path: str(path.relative_to(ROOT))
)
@pytest.mark.parametrize("define", ["-DPLAIN", "-DEK_CONFIG_CACHES=1", "-DEK_CONFIG_UART_LOW_POWER=1"])
def test_no_warnings_in_firmware(path: Path, arch: str, define: str, tmp_path: Path) -> None:
    other = {"Cortex-M": "riscv", "RISC-V": "cortex_m"}[arch]
    compiler, *machine = FIRMWARE[arch]
    if path.parent.name == other or (
        define != "-DPLAIN" and define.removeprefix("-D").split("=")[0] not in path.read_text()
    ):
        pytest.skip("not compiled so")
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    (tmp_path / "ek_config.h").write_text(CONFIG)
    (tmp_path / "ek_network.h").write_text(NETWORK)
    stubs = ROOT / "firmware_stubs"
    places = (tmp_path, stubs / "kernels", stubs / "mcu", stubs / "mcu" / "freestanding", TINY)
    folders = [f"-I{place}" for place in places]
    command = [compiler, *machine, *row(path)[1], *WARNINGS, "-O2", *folders, define, "-c", path, "-o", "made.o"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr


@pytest.mark.parametrize("arch", ["x86-64", "AArch64"])
@pytest.mark.parametrize(
    "path", [path for path in sources() if not is_firmware(path)], ids=lambda path: str(path.relative_to(ROOT))
)
def test_no_warnings(path: Path, arch: str, tmp_path: Path) -> None:
    assert not compile_strictly(path, arch, tmp_path)
    if "EDGEKIT_STATIC_NETWORK" in path.read_text():
        assert not compile_strictly(path, arch, tmp_path, "-DEDGEKIT_STATIC_NETWORK")


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed (411 MB)")
@pytest.mark.parametrize(("board", "packing", "instruction"), [
    ("pico", "ROWS", "muls"), ("nucleo-l4r5zi", "PAIRS", "smlad"), ("stm32h7a3", "PAIRS", "smlad"),
    ("nucleo-u575", "PAIRS", "smlad"), ("mps3-an547", "BLOCKS", "vmullb.s16"), ("ra8d1", "BLOCKS", "vmlava.s8"),
])  # fmt: skip
def test_no_warnings_from_zig(board: str, packing: str, instruction: str, tmp_path: Path) -> None:
    """Clang on every core, MVE among them, and with the instructions that the packing is for."""
    kernels, flags = ROOT / "firmware_stubs" / "kernels", table()["firmware_stubs/kernels"][1]
    text = "".join(f'#include "{header}"\n' for header in HEADERS) + (ROOT / LIBRARY).read_text()
    (tmp_path / "all.c").write_text(text)
    machine = zig_flags(target.load(board).microcontroller)
    command = [sys.executable, "-P", "-E", "-m", "ziglang", "cc", *machine, *flags, *WARNINGS, "-O2", f"-I{kernels}",
               f"-DEK_PACKING=EK_PACKING_{packing}", "-Wno-unused-command-line-argument"]  # fmt: skip
    command += ["-S", "all.c", "-o", "all.s"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert instruction in (tmp_path / "all.s").read_text()


@pytest.mark.parametrize(
    ("place", "code"),
    [
        ("firmware_stubs/linux", "int f(long x) { return x; }"),
        ("firmware_stubs/linux", "int f(int x) { for (int x = 0; x < 3; x++) ; return x; }"),
        ("firmware_stubs/linux/compiled_network.h", "int f(int x) { return ({ x; }); }"),
        ("firmware_stubs/linux/compiled_network.h", "_Static_assert(1, \"C11\");"),
    ],
)  # fmt: skip
def test_the_flags_refuse(place: str, code: str, tmp_path: Path) -> None:
    (tmp_path / "a.c").write_text(code + "\n")
    command = ["gcc", *table()[place][1], *WARNINGS, "-c", "a.c", "-o", "a.o"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and "error" in done.stderr


def test_edgekit_compiles_by_the_same_standards() -> None:
    standards = {path: flags[0] for path, (_, flags) in table().items()}
    assert standards["firmware_stubs/linux"] == runner_build.STANDARD
    assert standards["firmware_stubs/gpu"] == host_build.FLAGS[0]
    assert standards["edgekit/runners"] == tracing.FLAGS[0]
    assert standards["firmware_stubs/gpu/cuda/prelude.h"] == CUDA_FLAGS[0]
    assert standards["firmware_stubs/linux"] in (ROOT / "firmware_stubs" / "linux" / "Makefile").read_text()
