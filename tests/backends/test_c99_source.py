"""The C of networks is clean: warnings, sanitizers, what it calls, for all operators of the table."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgekit import plugins, resources, target
from edgekit.backends import unsupported
from edgekit.backends.c99 import emit, library
from edgekit.backends.c99.emit import Optimize
from edgekit.codegen.schedule.mcu import memory, streams
from edgekit.codegen.schedule.mcu.steps import Program
from edgekit.graph import Graph, tflite
from edgekit.graph.edit import compact
from edgekit.graph.explode import explode
from tests.backends import c99_networks, c99_random
from tests.codegen.mcu_chains import all_streamed, chains
from tests.networks.small import MODELS
from tests.ops import columns

STUBS = resources.folder("firmware_stubs")
WARNINGS = (*library.STANDARD, "-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Werror")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g", "-O0")
HARNESS = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "model.h"

/* Runs the network once on inputs of pseudo-random bytes, each model's memory of its exact size on the heap. */
int main(void)
{
    struct ek_instance m;
    void *arena = aligned_alloc(EK_ARENA_ALIGNMENT, (MODEL_ARENA_BYTES + 15) / 16 * 16);
    uint32_t seed = 1;
    memset(arena, 0x5A, MODEL_ARENA_BYTES);
    model_model.init(&m, arena);
    for (uint32_t i = 0; i < model_model.inputs; i++) {
        uint8_t *to = model_model.input(&m, i);
        for (uint32_t n = 0; n < model_model.input_bytes[i]; n++)
            to[n] = (uint8_t)((seed = seed * 1664525u + 1013904223u) >> 24);
    }
    model_model.run(&m);
    free(arena);
    puts("done");
    return 0;
}
"""


def table(form: str) -> Graph:
    """All cases of the operator table that C99 has kernels for, side by side."""
    cases, backend, board = columns.source(form), plugins.get("backends", "c99"), target.load("host")
    kept = [n for n in range(len(cases.cases)) if not unsupported(backend, compact(cases.part([n])[0]), board)]
    graph, _ = cases.part(kept)
    if form != "int8":
        return compact(graph)
    parts = explode(graph)
    assert parts is not None
    return compact(parts.graph)


def written(program: Program, folder: Path, optimize: Optimize = Optimize.SPEED) -> Path:
    """Write the C of a program with an arena planned in a hurry."""
    source = emit.source(program, "model", optimize, memory.plan(program, tries=0))
    (folder / "model.c").write_text(source.code)
    (folder / "model.h").write_text(source.header)
    return folder / "model.c"


def compile_(compiler: str, folder: Path, *options: str) -> None:
    done = subprocess.run(
        [compiler, *options, f"-I{STUBS / 'kernels'}", "-I."], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[:4000]


@pytest.fixture(scope="module")
def programs() -> dict[str, Program]:
    """Every operator, and streams."""
    made = {form: c99_networks.scheduled(table(form)) for form in ("int8", "float32")}
    return made | {"streams": all_streamed(c99_networks.scheduled(chains(3)), 24)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("compiler", "optimize"), [("gcc", Optimize.SPEED), ("gcc", Optimize.SIZE), ("clang", Optimize.SPEED)]
)
def test_no_warnings(compiler: str, optimize: Optimize, programs: dict[str, Program], tmp_path: Path) -> None:
    tool = shutil.which(compiler) or shutil.which("clang-15")
    if tool is None:
        pytest.skip(f"{compiler} is not installed")
    for program in programs.values():
        written(program, tmp_path, optimize)
        level = "-O1" if compiler == "gcc" else "-O0"
        compile_(tool, tmp_path, *WARNINGS, level, "-c", "model.c", "-o", "model.o")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["int8", "float32", "streams"])
def test_sanitizers_find_nothing(form: str, programs: dict[str, Program], tmp_path: Path) -> None:
    """Undefined behaviour, and what lies outside of arena and constants, on arbitrary bytes (NaNs among them)."""
    written(programs[form], tmp_path)
    (tmp_path / "main.c").write_text(HARNESS)
    compile_("gcc", tmp_path, "-std=c11", *SANITIZERS, "model.c", "main.c", "-lm", "-o", "run")
    done = subprocess.run([tmp_path / "run"], capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "done\n" and done.returncode == 0, done.stderr[:4000]


@pytest.mark.parametrize("name", ["ic_resnet8_int8", "kws_int8", "ad01_int8"])
def test_integer_networks_call_nothing(name: str, tmp_path: Path) -> None:
    """Neither the C library nor libm nor a heap; and no function calls itself."""
    path = MODELS / "mlperf_tiny" / f"{name}.tflite"
    if not path.is_file():
        pytest.skip("the shared models are not there")
    program = streams.streamed(c99_networks.scheduled(tflite.read(path)))
    assert undefined(program, tmp_path) <= ALLOWED


ALLOWED = {"memcpy", "memset", "memmove"}
"""What a compiler may call on its own, and every toolchain has."""


def undefined(program: Program, folder: Path) -> set[str]:
    """The symbols that the object of a program needs."""
    written(program, folder)
    compile_("gcc", folder, *library.STANDARD, "-O2", "-c", "model.c", "-o", "model.o")
    symbols = subprocess.run(["nm", "-u", "model.o"], cwd=folder, capture_output=True, text=True, check=True).stdout
    return {line.split()[-1] for line in symbols.splitlines()} - {"_GLOBAL_OFFSET_TABLE_"}


@pytest.mark.parametrize("family", c99_random.FAMILIES)
def test_integer_operators_call_nothing(family: str, tmp_path: Path) -> None:
    graph = c99_random.mixture(family, 3, 25)
    assert undefined(c99_networks.scheduled(graph), tmp_path) <= ALLOWED


def test_functions_of_floats_call_the_mathematical_library(tmp_path: Path) -> None:
    """The check before can fail."""
    n = c99_random.Mixture(0)
    x = n.given(1, 4, dtype="float32")
    y = n.add("EXP", (x,), (1, 4))
    assert "expf" in undefined(c99_networks.scheduled(n.graph((x,), (y,))), tmp_path)


@pytest.mark.slow
def test_no_recursion(programs: dict[str, Program], tmp_path: Path) -> None:
    """In the graph of calls that the compiler sees, no function reaches itself."""
    written(programs["int8"], tmp_path)
    compile_("gcc", tmp_path, *library.STANDARD, "-O1", "-fcallgraph-info", "-c", "model.c", "-o", "model.o")
    text = (tmp_path / "model.ci").read_text()
    calls: dict[str, set[str]] = {}
    for line in text.splitlines():
        if line.startswith("edge:"):
            _, source, _, to, *_ = line.split('"')
            calls.setdefault(source, set()).add(to)
    assert sum(map(len, calls.values())) > 100
    for start in calls:
        reached, waiting = set[str](), list(calls[start])
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += calls.get(name, ())
        assert start not in reached or start == "__indirect_call", start


def test_arrays_are_written_as_numbers_of_their_type(tmp_path: Path) -> None:
    """The least integers, and floats that have no decimal form."""
    n = c99_random.Mixture(0)
    x = n.given(3, dtype="int64")
    low = n.constant(np.array([-(2**63), 2**63 - 1, -1]))
    made = n.add("MINIMUM", (x, low), (3,), "int64", options="MaximumMinimum")
    network = c99_networks.compiled(c99_networks.scheduled(n.graph((x,), (made,))), tmp_path)
    outputs, _ = network.guarded_run([np.array([5, 5, 5])])
    assert outputs[0].tolist() == [-(2**63), 5, -1]
