"""Cycles of blocks of AArch64 machine code, predicted by LLVM's machine code analyzer.

``llvm-mca`` simulates a core's pipelines (dispatch, issue ports, latencies) from LLVM's scheduling model of it,
for a block that repeats, with every load a hit. It knows nothing of caches and branch prediction. What it answered
is kept, so that only blocks never seen before cost time.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from edgekit import resources
from edgekit.files import temporary
from edgekit.sandbox.environment import NEUTRAL, clean
from edgekit.tools import toolchain

ITERATIONS = 100
_CYCLES = re.compile(r"Code Region - b(\d+)\n+Iterations:\s+\d+\nInstructions:\s+\d+\nTotal Cycles:\s+(\d+)")
_INVALID = re.compile(r"^<stdin>:(\d+):\d+: warning: invalid instruction encoding", re.MULTILINE)
_SECONDS = 300.0


@dataclass(frozen=True)
class Core:
    """A core by LLVM's name, with the features its code may use."""

    cpu: str
    features: str


def block_cycles(codes: Iterable[str], core: Core) -> dict[str, float]:
    """Return cycles per execution for each block of code (hex) that llvm-mca can judge.

    :raises ToolMissing: if llvm-mca is not installed.
    """
    tool = toolchain.load("llvm-mca").find().argv[0]
    wanted = list(dict.fromkeys(codes))
    store = _store(tool, core)
    known = _load(store)
    new = [code for code in wanted if _key(code) not in known]
    if new:
        answers = _analyze(new, core, tool)
        known |= {_key(code): answers.get(code, -1.0) for code in new}  # -1: asked, but it cannot judge the block
        _save(store, known)
    return {code: known[_key(code)] for code in wanted if known[_key(code)] > 0}


def _analyze(codes: list[str], core: Core, tool: str) -> dict[str, float]:
    """Ask llvm-mca about all blocks in one run."""
    text = _disassemble({code[i : i + 8] for code in codes for i in range(0, len(code), 8)}, core, tool)
    lines = []
    for number, code in enumerate(codes):
        lines.append(f"# LLVM-MCA-BEGIN b{number}")
        lines += [text[code[i : i + 8]] for i in range(0, len(code), 8)]
        lines.append("# LLVM-MCA-END")
    command = [
        tool, "-mtriple=aarch64", f"-mcpu={core.cpu}", f"-mattr={core.features}", f"-iterations={ITERATIONS}",
        "-instruction-info=0", "-resource-pressure=0", "--skip-unsupported-instructions=any",
    ]  # fmt: skip
    said = _run(command, "\n".join(lines) + "\n").stdout
    return {codes[int(number)]: int(cycles) / ITERATIONS for number, cycles in _CYCLES.findall(said)}


def _disassemble(words: set[str], core: Core, tool: str) -> dict[str, str]:
    """Return each instruction's text by its bytes in hex; ``nop`` for what LLVM does not know."""
    ordered = sorted(words)
    lines = [" ".join(f"0x{word[i : i + 2]}" for i in range(0, 8, 2)) for word in ordered]
    command = [tool.replace("llvm-mca", "llvm-mc"), "--disassemble", "-triple=aarch64", f"-mattr={core.features}"]
    done = _run(command, "\n".join(lines) + "\n")
    invalid = {int(line) - 1 for line in _INVALID.findall(done.stderr)}
    texts = [line.strip() for line in done.stdout.splitlines() if line.startswith("\t") and line.strip() != ".text"]
    valid = [word for index, word in enumerate(ordered) if index not in invalid]
    found = dict.fromkeys(ordered, "nop")
    if len(texts) == len(valid):
        found |= dict(zip(valid, texts, strict=True))
    return found


def _run(command: list[str], text: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command, cwd=NEUTRAL, env=clean(), input=text, capture_output=True, text=True, check=False, timeout=_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return subprocess.CompletedProcess(command, 1, "", "")


def _key(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()[:24]


def _store(tool: str, core: Core) -> Path:
    name = hashlib.sha256(f"{core.features} {ITERATIONS}".encode()).hexdigest()[:8]
    return resources.cache("mca") / f"{core.cpu}-{Path(tool).name}-{name}.json"


def _load(path: Path) -> dict[str, float]:
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _save(path: Path, known: dict[str, float]) -> None:
    """Replace the file at once; what another process added meanwhile is kept. A cache that is closed stays as it is."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.replacing(path) as file:
            file.write_text(json.dumps(_load(path) | known))
