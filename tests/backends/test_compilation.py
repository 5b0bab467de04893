"""C that was generated is compiled once: what counts as the same, and what does not."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edgekit import resources
from edgekit.backends import compilation, runner_build
from edgekit.backends.compilation import Compilation
from edgekit.errors import EdgekitError
from edgekit.tools.toolchain import Tool

SOURCES = {"one.c": b'#include "own/two.h"\nint f(void) { return TWO; }\n', "own/two.h": b"#define TWO 2\n"}
JOB = Compilation([["-O1", "-c", "one.c"]], SOURCES, ["one.o"], "one does not compile")


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The compiler's command lines, with an empty cache."""
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "cache"))
    made: list[list[str]] = []
    run = runner_build.run_compiler

    def counted(command: list[str], *arguments: Any, **options: Any) -> str:
        made.append(list(command))
        return run(command, *arguments, **options)

    monkeypatch.setattr(runner_build, "run_compiler", counted)
    return made


@pytest.fixture
def tool(tmp_path: Path) -> Tool:
    """A compiler with a header of its own."""
    (tmp_path / "tool" / "bin").mkdir(parents=True)
    (tmp_path / "tool" / "include").mkdir()
    program, header = tmp_path / "tool" / "bin" / "cc", tmp_path / "tool" / "include" / "three.h"
    header.write_text("#define THREE 3\n")
    program.write_text(f'#!/bin/sh\nexec gcc -isystem {header.parent} "$@"\n')
    program.chmod(0o755)
    return Tool((str(program),), str(program), "", (), (), ())


def test_the_same_is_compiled_once(calls: list[list[str]], tool: Tool) -> None:
    first = compilation.compiled(tool, JOB)
    assert compilation.compiled(tool, JOB) == first and list(first) == ["one.o"] and len(calls) == 1
    assert first["one.o"][:4] == b"\x7fELF"


@pytest.mark.parametrize(
    "other",
    [
        replace(JOB, commands=[["-O0", "-c", "one.c"]]),
        replace(JOB, inputs={**JOB.inputs, "one.c": b"int g(void) { return 1; }\n"}),
        replace(JOB, inputs={**JOB.inputs, "own/two.h": b"#define TWO 3\n"}),
    ],
    ids=["flags", "source", "header"],
)
def test_something_else_is_compiled_again(calls: list[list[str]], tool: Tool, other: Compilation) -> None:
    assert compilation.compiled(tool, JOB) != compilation.compiled(tool, other)
    assert len(calls) == 2


def test_another_compiler_compiles_again(calls: list[list[str]], tool: Tool) -> None:
    compilation.compiled(tool, JOB)
    program = Path(tool.program)
    program.write_text(program.read_text() + "# newer\n")
    compilation.compiled(tool, JOB)
    assert len(calls) == 2


def test_a_header_of_the_compilers_that_changed_compiles_again(calls: list[list[str]], tool: Tool) -> None:
    job = replace(JOB, inputs={"one.c": b"#include <three.h>\nint f(void) { return THREE; }\n"})
    first = compilation.compiled(tool, job)
    header = Path(tool.program).parents[1] / "include" / "three.h"
    header.write_text("#define THREE 4444\n")
    assert compilation.compiled(tool, job) != first and len(calls) == 2
    header.unlink()
    with pytest.raises(EdgekitError):
        compilation.compiled(tool, job)


def test_a_library_that_changed_links_again(calls: list[list[str]], tool: Tool) -> None:
    place = Path(tool.program).parents[1] / "include"
    one = compilation.compiled(tool, replace(JOB, inputs={**JOB.inputs, "one.c": b"int f(void) { return 1; }\n"}))
    (place / "libone.a").write_bytes(one["one.o"])  # the linker takes an object, too
    job = Compilation(
        [["-shared", "-nostdlib", "-o", "all.so", f"-L{place}", "-lone"]], {}, ["all.so"], "it does not link"
    )
    first = compilation.compiled(tool, job)
    assert compilation.compiled(tool, job) == first and len(calls) == 2
    two = compilation.compiled(
        tool, replace(JOB, inputs={**JOB.inputs, "one.c": b"int f(void) { return 123456; } int g;\n"})
    )
    (place / "libone.a").write_bytes(two["one.o"])
    assert compilation.compiled(tool, job) != first


def test_errors_are_told_every_time(calls: list[list[str]], tool: Tool) -> None:
    job = replace(JOB, inputs={**JOB.inputs, "one.c": b"int f(void) { return none; }\n"})
    for _ in range(2):
        with pytest.raises(EdgekitError, match=r"one does not compile: .*none"):
            compilation.compiled(tool, job)
    assert len(calls) == 2


def test_a_damaged_entry_is_made_again(calls: list[list[str]], tool: Tool) -> None:
    first = compilation.compiled(tool, JOB)
    (entry,) = resources.cache("compiled").iterdir()
    data = bytearray(entry.read_bytes())
    data[-10] ^= 1
    entry.write_bytes(data)
    assert compilation.compiled(tool, JOB) == first and len(calls) == 2
    assert compilation.compiled(tool, JOB) == first and len(calls) == 2


def test_threads_get_the_same(calls: list[list[str]], tool: Tool) -> None:
    found: list[dict[str, bytes]] = []
    threads = [threading.Thread(target=lambda: found.append(compilation.compiled(tool, JOB))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 4 and all(one == found[0] for one in found)


def test_without_a_cache_it_is_compiled_every_time(
    calls: list[list[str]], tool: Tool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path / "file"))
    assert compilation.compiled(tool, JOB) == compilation.compiled(tool, JOB)
    assert len(calls) == 2
