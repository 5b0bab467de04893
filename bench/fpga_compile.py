"""Measures what it takes to compile the shared int8 networks for the accelerators; rewrites a table of docs/fpga.md.

    bench/fpga_compile.py [TARGET...]

Processor time, with that of all children: on a busy machine the clock says little. The simulators are built before.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from fpga import DOCS, MODELS, NETWORKS, TARGETS
from page import write

from edgekit import target
from edgekit.backends import Request, planned
from edgekit.backends.overlay import Overlay, machine_of
from edgekit.graph import tflite
from edgekit.progress import Silent
from edgekit.runners.verilator import simulator

EDGEKIT = Path(sys.executable).with_name("edgekit")
RUNS = 3
WARM = MODELS / "tflite_micro" / "hello_world_int8.tflite"
SUBREAPER = 36
"""``PR_SET_CHILD_SUBREAPER``: children of children that ended come to this process, with the time they took."""


@dataclass(frozen=True)
class Cost:
    """Seconds of processor time: of plan and build by themselves, and of the whole command, which proves the bundle."""

    network: str
    board: str
    build: float
    command: float

    def row(self) -> str:
        return f"| `{self.board}` | {self.network} | {self.build:.2f} | {self.command:.1f} |"


def spent() -> float:
    """Processor time of this process and of all that ended below it, seconds."""
    while True:
        try:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.05)
                continue
        except ChildProcessError:
            break
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in usage)


def built(model: Path, board: str) -> float:
    """Plan and build, in a process that has loaded everything: what the compiler itself costs."""
    chip, backend = target.load(board), Overlay(split=True)
    found = 0.0
    for one in (WARM, model):
        graph = tflite.read(one)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "artifact"
            folder.mkdir()
            began = time.process_time()
            backend.build(planned(backend, graph, chip), Request(one, folder))
            found = time.process_time() - began
    return found


def commanded(model: Path, board: str) -> float | None:
    """Processor time of ``edgekit compile``; None if it refuses the network."""
    found = []
    for _ in range(RUNS):
        with tempfile.TemporaryDirectory() as name:
            before = spent()
            command = [str(EDGEKIT), "compile", str(model), "--target", board, "--split", "-o", name]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
            if done.returncode == 3:
                return None
            done.check_returncode()
            found.append(spent() - before)
    return min(found)


def main() -> int:
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    head = "| Target | Network | Compiler, s | Whole command with the proof, s |"
    rows = [head, "|---" * 4 + "|"]
    for board in sys.argv[1:] or TARGETS:
        simulator.built(machine_of(target.load(board)), Silent())
        for network, name in NETWORKS.items():
            model = MODELS / f"{name}.tflite"
            if (found := commanded(model, board)) is None:
                print(f"{board}: {network} does not fit")
                continue
            rows.append(Cost(network, board, built(model, board), found).row())
            print(rows[-1], flush=True)
    write(DOCS / "fpga.md", {"compile": "\n".join(rows)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
