"""External programs: what each is for and how to find it, read from ``compile/toolchains/*.toml``.

A toolchain lists alternatives in order of preference; the first whose program is there wins::

    schema = 1
    purpose = "compiles the C runner for AArch64"
    [[tool]]
    program = "aarch64-linux-gnu-gcc"
    debian = ["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"]
    [[tool]]
    module = "ziglang"
    argv = ["{python}", "-P", "-E", "-m", "ziglang", "cc", "-target", "aarch64-linux-gnu.2.28"]
    pip = ["ziglang==0.13.0"]
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

from edgekit import resources
from edgekit.errors import ToolMissing


@dataclass(frozen=True)
class Tool:
    """One alternative: a program on the PATH or a Python module, the command that runs it, how to install it."""

    argv: tuple[str, ...]
    program: str
    module: str
    debian: tuple[str, ...]
    pip: tuple[str, ...]
    files: tuple[str, ...]
    by_hand: str = ""
    """How to get what neither apt nor pip knows."""

    def found(self) -> bool:
        """True if the program, the module and the files are there."""
        if self.program and not shutil.which(self.program):
            return False
        if self.module and not _is_there(self.module):
            return False
        return all(Path(file).exists() for file in self.files)

    def install_command(self) -> str:
        """The exact command that installs it, or what to do by hand."""
        if self.by_hand:
            return self.by_hand
        if self.debian:
            sudo = "" if os.geteuid() == 0 else "sudo "
            return f"{sudo}apt-get install -y --no-install-recommends " + " ".join(self.debian)
        return f"{sys.executable} -m pip install " + " ".join(self.pip)


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # not even the package around it
        return False


@dataclass(frozen=True)
class Toolchain:
    """The alternatives for a job, in order of preference.

    :param group: what `edgekit doctor` lists it under: a key of ``edgekit.api.doctor.GROUPS``.
    :param without: what cannot be done without it, in words.
    :param essential: the main job, a model on a Raspberry Pi, cannot do without it.
    """

    name: str
    purpose: str
    tools: tuple[Tool, ...]
    essential: bool = False
    group: str = "other"
    without: str = ""

    def found(self) -> bool:
        """True if one of the alternatives is installed."""
        return any(tool.found() for tool in self.tools)

    def find(self) -> Tool:
        """Return the first alternative that is installed.

        :raises ToolMissing: if none is; the hint is the command that installs the preferred one.
        """
        for tool in self.tools:
            if tool.found():
                return tool
        first = self.tools[0]
        missing = first.program or first.module or first.files[0]
        hint = f"install it: {first.install_command()}"
        if other := self.without_root():
            hint += f"; or, without root: {other.install_command()}"
        raise ToolMissing(f"{missing} is missing; it {self.purpose}", hint)

    def without_root(self) -> Tool | None:
        """Return the alternative that pip installs, where the preferred one takes root."""
        if not self.tools[0].debian:
            return None
        return next((tool for tool in self.tools if tool.module and tool.pip), None)


def names() -> list[str]:
    """Names of all toolchains, sorted."""
    return sorted(path.stem for path in resources.folder("compile").glob("toolchains/*.toml"))


def load(name: str) -> Toolchain:
    """Read a toolchain by name; it must exist."""
    data = tomllib.loads((resources.folder("compile") / "toolchains" / f"{name}.toml").read_text())
    tools = []
    for entry in data["tool"]:
        program, module = entry.get("program", ""), entry.get("module", "")
        argv = tuple(part.replace("{python}", sys.executable) for part in entry.get("argv", [program]))
        packages = tuple(entry.get("debian", ())), tuple(entry.get("pip", ()))
        tools.append(Tool(argv, program, module, *packages, tuple(entry.get("files", ())), entry.get("by_hand", "")))
    words = data.get("group", "other"), data.get("without", "")
    return Toolchain(name, data["purpose"], tuple(tools), bool(data.get("essential", False)), *words)


def fetching_environment() -> dict[str, str]:
    """The environment in which uv fetches: without the variables that say where packages come from."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_", "PYTHON"))}
