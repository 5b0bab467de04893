"""Toolchains: the files are complete, the first alternative that is there wins, a missing one says how to get it."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edgekit.errors import ToolMissing
from edgekit.tools import toolchain
from edgekit.tools.toolchain import Tool, Toolchain


def tool(program: str = "", module: str = "", debian: tuple[str, ...] = (), files: tuple[str, ...] = ()) -> Tool:
    return Tool((program,), program, module, debian, ("a-package==1",), files)


@pytest.mark.parametrize("name", toolchain.names())
def test_files_are_complete(name: str) -> None:
    loaded = toolchain.load(name)
    assert loaded.purpose and not loaded.purpose.endswith(".")
    assert loaded.tools
    first = loaded.tools[0]
    assert first.program or first.module or first.files
    assert first.debian or first.pip or first.by_hand, "a missing tool must come with the command that gets it"
    assert not any("{python}" in part for one in loaded.tools for part in one.argv)


def test_what_the_main_job_needs_is_essential() -> None:
    essential = {name for name in toolchain.names() if toolchain.load(name).essential}
    assert essential == {"aarch64-cc", "aarch64-sysroot", "host-cc", "plugin-cc", "qemu-aarch64"}


def test_the_first_that_is_there_wins() -> None:
    chain = Toolchain("any", "does a job", (tool("no-such-program"), tool("sh"), tool("cat")))
    assert chain.find().program == "sh"
    assert chain.found()


def test_a_program_without_its_files_is_not_there(tmp_path: Path) -> None:
    present = tmp_path / "header.h"
    present.touch()
    assert tool("sh", files=(str(present),)).found()
    assert not tool("sh", files=(str(present), str(tmp_path / "other.h"))).found()


def test_a_module_is_looked_for_in_this_python() -> None:
    assert tool(module="click").found()
    assert not tool(module="no_such_module").found()


def test_a_missing_tool_says_what_for_and_how_to_get_it() -> None:
    chain = Toolchain("any", "makes coffee", (tool("no-such-program", debian=("coffee", "milk")), tool("neither")))
    with pytest.raises(ToolMissing) as caught:
        chain.find()
    assert caught.value.message == "no-such-program is missing; it makes coffee"
    sudo = "" if os.geteuid() == 0 else "sudo "
    assert caught.value.hint == f"install it: {sudo}apt-get install -y --no-install-recommends coffee milk"


def test_without_debian_packages_pip_is_named() -> None:
    assert tool(module="no_such_module").install_command() == f"{sys.executable} -m pip install a-package==1"
