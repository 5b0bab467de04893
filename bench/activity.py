"""Counts how often the accelerator's signals change in simulation, beside the events of the energy model.

    bench/activity.py

Small operators run on 4x4 lanes with random activations and with zeros, while every signal is traced; docs/fpga.md has
what came of it.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.codegen.lower import lowered
from edgekit.codegen.schedule.overlay import Machine, schedule
from edgekit.graph import Graph
from edgekit.runners.verilator import job, simulator

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from tests.backends.overlay_networks import OPERATORS, Integers  # noqa: E402

MACHINE = Machine(4, 4, True, 32, 8)
WINDOW = 64
"""Cycles."""
PARTS = {
    "array": "array", "accumulators": "accumulators", "activations": "activation memory", "reader": "stream",
    "g_lane": "requantization", "drain": "requantization", "unit": "vector unit",
}  # fmt: skip
"""What scopes of the RTL are called; the others are control."""
CONTROL = "control"
EVENTS = ("cycles", "active", "beats_read", "vector_active")
"""Counters of the accelerator."""


@dataclass
class Windows:
    """What happened in windows of :data:`WINDOW` cycles.

    :param toggles: changed bits by part. :param events: increments of the counters.
    """

    toggles: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    events: dict[str, NDArray[np.int64]] = field(default_factory=dict)

    @property
    def busy(self) -> NDArray[np.bool_]:
        """Windows in which the accelerator ran all the time."""
        return self.events["cycles"] == WINDOW

    def per_cycle(self, part: str, where: NDArray[np.bool_]) -> float:
        """Changed bits of a part per cycle."""
        return float(self.toggles[part][where].mean() / WINDOW) if where.any() else 0.0

    def follows(self, part: str, event: str) -> float:
        """The part of the variance between windows that a straight line of the event's count explains."""
        x, y = self.events[event], self.toggles[part]
        return float(np.corrcoef(x, y)[0, 1] ** 2) if x.std() and y.std() else 0.0


def built(folder: Path) -> Path:
    """Compile the simulator with a trace of all signals."""
    root = simulator.sources()
    flags = [f"-G{name}={value}" for name, value in {**MACHINE.parameters(), "LOG_DEPTH": 64}.items()]
    defines = f"-DEK_TRACE -DMEM_BITS={MACHINE.mem_bits} -DLOG_DEPTH=64 -O1"
    command = [
        "verilator", "--cc", "--exe", "--build", "--trace", "-Wno-fatal", "-O3", "--noassert", *flags, "-CFLAGS",
        defines, "--top-module", simulator.TOP, *(str(root / name) for name in (*simulator.SOURCES, simulator.MAIN)),
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr[-2000:])
    return folder / "obj_dir" / f"V{simulator.TOP}"


def operators() -> Graph:
    """Convolutions, which the array is busy with; fully connected ones, whose weights come by the port; additions."""
    network = Integers(4)
    for _ in range(8):
        network.window(depthwise=False)
    for _ in range(6):
        OPERATORS["dense"](network)
    for _ in range(4):
        network.pair()
    return network.whole()


def traced(program: Path, graph: Graph, *, zeros: bool = False) -> tuple[Windows, int]:
    """Run a network on random activations, or zeros; return its windows, and the products that the compiler counts."""
    made = schedule(lowered(graph), MACHINE)  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    fed = [rng.integers(-128, 128, (1, *port.shape), dtype=np.int8) * (not zeros) for port in made.inputs]
    with sandbox.scratch() as folder:
        (folder / "job").write_bytes(job.packed(made.stream(), made.inputs, made.outputs, fed, 1))
        subprocess.run([str(program), "job", "result"], cwd=folder, check=True)
        return windows(folder / "trace.vcd"), sum(step.macs for step in made.steps)


def windows(trace: Path) -> Windows:
    """Read a trace."""
    with trace.open() as file:
        signals, counters = _declared(file)
        rows: list[dict[str, int]] = []
        seen: list[dict[str, int]] = []
        values = dict.fromkeys((*signals, *counters.values()), 0)
        now, first = dict.fromkeys((*PARTS.values(), CONTROL), 0), True
        for line in file:
            kind = line[0]
            if kind == "#":
                if not first and int(line[1:]) % WINDOW == 0:
                    rows.append(now)
                    seen.append({name: values[code] for name, code in counters.items()})
                    now = dict.fromkeys(now, 0)
                first = False
                continue
            if kind == "b":
                text, _, code = line[1:].strip().partition(" ")
                value = int(text.replace("x", "0").replace("z", "0"), 2)
            else:
                code, value = line[1:].strip(), int(kind == "1")
            if code in values:
                if code in signals:
                    now[signals[code]] += (values[code] ^ value).bit_count()
                values[code] = value
    toggles = {part: np.array([row[part] for row in rows[1:]]) for part in now}
    events = {name: np.diff([row[name] for row in seen]) for name in counters}
    good = np.all([change >= 0 for change in events.values()], axis=0)
    return Windows({p: t[good] for p, t in toggles.items()}, {n: e[good] for n, e in events.items()})


def _declared(lines: Iterator[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The part of each signal's code, the first that has it, without the clock; and the counters' codes."""
    scopes: list[str] = []
    signals: dict[str, str] = {}
    counters: dict[str, str] = {}
    for line in lines:
        words = line.split()
        if words[:1] == ["$scope"]:
            scopes.append(words[2])
        elif words[:1] == ["$upscope"]:
            scopes.pop()
        elif words[:1] == ["$var"] and simulator.TOP in scopes:
            code, name = words[3], words[4]
            if name == "clk":
                continue
            inner = scopes[scopes.index(simulator.TOP) + 1 :]
            part = PARTS.get(inner[0].split("[")[0], CONTROL) if inner else CONTROL
            if not inner and name in EVENTS:
                counters[name] = code
            elif signals.get(code, CONTROL) == CONTROL:
                signals[code] = part
        elif words[:1] == ["$enddefinitions"]:
            break
    return signals, counters


def main() -> int:
    with sandbox.scratch() as folder:
        program, graph = built(folder), operators()
        dense, macs = traced(program, graph)
        empty, _ = traced(program, graph, zeros=True)
    idle = ~dense.busy & (dense.events["cycles"] == 0)
    print(f"{len(dense.busy)} windows of {WINDOW} cycles, {int(dense.busy.sum())} busy; {macs} products")
    print("| Part | Idle | Busy | Busy, zeros | " + " | ".join(EVENTS[1:]) + " |\n|---|---|---|---|---|---|---|")
    for part in dense.toggles:
        cells = [dense.per_cycle(part, idle), dense.per_cycle(part, dense.busy), empty.per_cycle(part, empty.busy)]
        follows = [dense.follows(part, event) for event in EVENTS[1:]]
        print(f"| {part} | " + " | ".join(f"{one:.1f}" for one in cells) + " | ", end="")
        print(" | ".join(f"{one:.2f}" for one in follows) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
