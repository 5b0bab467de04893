"""Runs the vendor's ``edgetpu_compiler`` and reads what it says (coral.ai/docs/edgetpu/compiler, version 16)."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit import sandbox
from edgekit.errors import EdgekitError, ModelError
from edgekit.sandbox.environment import clean
from edgekit.text.logs import lines
from edgekit.tools.toolchain import Tool

SUFFIX = "_edgetpu"
LIMITS = sandbox.Limits(seconds=900, memory_mb=8192)
_OPERATIONS = re.compile(r"^([A-Z][A-Z0-9_]*)\s+(\d+)\s+(\S.*?)\s*$", re.MULTILINE)
_MEMORY = re.compile(r"^(On-chip memory [^:]+|Off-chip memory [^:]+): ([\d.]+)(B|KiB|MiB)\s*$", re.MULTILINE)
_UNITS = {"B": 1, "KiB": 1 << 10, "MiB": 1 << 20}
MAPPED = "Mapped to Edge TPU"


@dataclass(frozen=True)
class Made:
    """What the compiler reports.

    :param operations: operator, how many, and its status in the vendor's words.
    :param memory: bytes, by the vendor's names.
    """

    version: str
    operations: tuple[tuple[str, int, str], ...]
    memory: dict[str, int]

    @property
    def mapped(self) -> int:
        """Operators on the Edge TPU."""
        return sum(count for _, count, status in self.operations if status == MAPPED)

    def json(self) -> dict[str, Any]:
        """Return the contents of ``compiler.json``, without its schema."""
        rows = [{"operator": op, "count": count, "status": status} for op, count, status in self.operations]
        return {"version": self.version, "operations": rows, "memory": self.memory}


def compile(tool: Tool, model: Path, result: Path) -> Made:
    """Compile ``model`` to ``result``.

    :raises ModelError: if the compiler refuses the model, in its words.
    """
    with sandbox.scratch() as folder:
        shutil.copyfile(model, folder / model.name)
        command = [*tool.argv, "-s", "-o", str(folder), model.name]
        environment = {"PATH": clean()["PATH"], "TMPDIR": str(folder)}
        try:
            done = sandbox.run_program(command, folder=folder, env=environment, limits=LIMITS)
        except sandbox.ChildDied as death:
            raise EdgekitError(f"edgetpu_compiler {death.reason}", "try a smaller network") from death
        made = folder / f"{model.stem}{SUFFIX}.tflite"
        if done.returncode != 0 or not made.is_file():
            raise ModelError(
                f"edgetpu_compiler refuses the network: {_reason(done.stdout)}", "change it, or use another target"
            )
        shutil.copyfile(made, result)
    return read(done.stdout)


def read(text: str) -> Made:
    """Read the compiler's output; its times and paths are left out, so that equal networks give equal reports."""
    version = re.search(r"^Edge TPU Compiler version (\S+)", text, re.MULTILINE)
    operations = tuple((op, int(count), status) for op, count, status in _OPERATIONS.findall(text))
    memory = {name.lower(): round(float(value) * _UNITS[unit]) for name, value, unit in _MEMORY.findall(text)}
    return Made(version.group(1) if version else "unknown", operations, memory)


def _reason(text: str) -> str:
    said = lines(text)
    telling = [line for line in said if re.search(r"error|invalid|fail|not ", line, re.IGNORECASE)]
    return (telling or said or ["it said nothing"])[-1][:200]
