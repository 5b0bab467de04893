"""Runs the shared int8 networks on the simulated accelerators; rewrites tables and drawings of ``docs/fpga.md``.

    bench/fpga.py [TARGET...]

Drawings are SVG without a library: blocks of the accelerator, the timing of a tile by the cost model, a roofline of
every network on every configuration.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from page import write

from edgekit import target
from edgekit.backends.divided import parts
from edgekit.backends.overlay import machine_of, unsuitable
from edgekit.codegen.lower import lowered
from edgekit.codegen.schedule.overlay import Machine, schedule
from edgekit.codegen.schedule.overlay.tiles import Shape, spans
from edgekit.files.documents import write_text
from edgekit.graph import tflite
from edgekit.progress import Silent
from edgekit.runners.overlay.counted import COUNTERS
from edgekit.runners.verilator import job, simulator
from edgekit.target import Target, routing

ROOT = Path(__file__).resolve().parents[1]
DOCS, MODELS = ROOT / "docs", ROOT.parent / "shared" / "models"
NETWORKS = {
    "ResNet-8": "mlperf_tiny/ic_resnet8_int8", "DS-CNN": "mlperf_tiny/kws_int8",
    "MobileNet (person_detect)": "tflite_micro/person_detect", "autoencoder": "mlperf_tiny/ad01_int8",
}  # fmt: skip
TARGETS = ("ecp5-85f", "ecp5-85f-packed", "ecp5-25f", "ulx3s")
COLOURS = ("#1b6ca8", "#c0392b", "#2e8b57", "#8e44ad")


@dataclass(frozen=True)
class Run:
    """What one network took on one configuration; ``counts`` by name of the counter."""

    network: str
    board: Target
    macs: int
    stream: int
    counts: dict[str, int]
    speed: float

    @property
    def machine(self) -> Machine:
        return machine_of(self.board)

    @property
    def per_cycle(self) -> float:
        return self.macs / self.counts["cycles"]

    def row(self) -> str:
        chip, cycles = self.board.programmable, self.counts["cycles"]
        shares = " | ".join(f"{self.counts[name] / cycles:.0%}" for name in ("active", "vector", "weights", "sums"))
        return (
            f"| `{self.board.name}` | {self.network} | {cycles:,} | {cycles / chip.hertz * 1e3:.3f} | "
            f"{self.per_cycle / chip.macs_per_cycle:.1%} | {self.per_cycle / chip.multipliers:.2f} | {shares} |"
        )


def measured(name: str, board: Target) -> Run | None:
    """Simulate a network; None if its activations do not fit."""
    graph, machine = tflite.read(MODELS / f"{NETWORKS[name]}.tflite"), machine_of(board)
    divided = parts.split(graph, unsuitable(graph, machine).keys())
    assert divided.device is not None
    network = lowered(parts.extracted(graph, divided.device))
    assert not isinstance(network, list)
    try:
        program = schedule(network, machine)
    except Exception as error:
        if type(error).__name__ != "TooLarge":
            raise
        return None
    rng = np.random.default_rng(0)
    fed = [rng.integers(-128, 128, (1, *port.shape), dtype=np.int8) for port in program.inputs]
    tool, began = simulator.built(machine, Silent()), time.monotonic()
    timing = job.MemoryTiming.of(board.programmable)
    run = job.run(tool, program.stream(), program.inputs, program.outputs, fed, 1, timing)
    counts = {key: int(value) for key, value in zip(COUNTERS, run.log[-1], strict=True)}
    macs = sum(step.macs for step in program.steps)
    return Run(name, board, macs, len(program.stream()), counts, run.cycles / (time.monotonic() - began))


def table(runs: list[Run]) -> str:
    head = (
        "| Target | Network | Cycles | ms | Array | MACs per multiplier block and cycle | Array busy | "
        "Vector unit busy | Waits for weights | Waits for results |"
    )
    return "\n".join([head, "|---" * 10 + "|", *(run.row() for run in runs)])


def routed(names: Sequence[str]) -> str:
    """What place and route reached, by the reports that edgekit ships."""
    head = "Target | Array | Device, speed grade | Asked for, MHz | Reached | LUTs | Flip-flops | Multipliers | EBR"
    rows = [f"| {head} |", "|---" * 9 + "|"]
    for name in names:
        chip = target.load(name).programmable
        if chip.clock.report:
            report = routing.read(routing.shipped(chip.clock.report))
            used = " | ".join("{:,} of {:,}".format(*report.used[kind]) for kind in routing.KINDS)
            array = f"{chip.input_lanes}x{chip.output_lanes}"
            what = f"`{name}` | {array} | {report.device}, {report.speed_grade} | {report.goal_mhz:g} | {report.mhz:g}"
            rows.append(f"| {what} | {used} |")
    return "\n".join(rows)


def svg(width: int, height: int, parts: list[str]) -> str:
    style = "<style>text{font:12px sans-serif}.s{font-size:10px;fill:#555}</style>"
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{style}\n<rect {size} fill="#fff"/>\n{body}\n</svg>\n'


def box(x: float, y: float, w: float, h: float, words: str, below: str = "", fill: str = "#eaf2fb") -> str:
    lines = f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="4" fill="{fill}" stroke="#345"/>'
    lines += f'<text x="{x + w / 2}" y="{y + h / 2 + (0 if below else 4)}" text-anchor="middle">{words}</text>'
    return lines + (
        f'<text class="s" x="{x + w / 2}" y="{y + h / 2 + 14}" text-anchor="middle">{below}</text>' if below else ""
    )


def arrow(*points: tuple[float, float]) -> str:
    path = " ".join(f"{x},{y}" for x, y in points)
    (ax, ay), (bx, by) = points[-2:]
    angle = math.atan2(by - ay, bx - ax)
    tips = " ".join(f"{bx - 7 * math.cos(angle + a)},{by - 7 * math.sin(angle + a)}" for a in (0.5, -0.5))
    return f'<polyline points="{path}" fill="none" stroke="#345"/><polygon points="{bx},{by} {tips}" fill="#345"/>'


def blocks() -> str:
    """The accelerator's parts and what passes between them."""
    return svg(860, 330, [
        box(20, 130, 90, 50, "memory", "stream"), box(150, 130, 110, 50, "ek_stream", "FIFO in EBR"),
        box(300, 130, 110, 50, "ek_loader", "headers, weights"), box(300, 30, 110, 50, "ek_issue", "six loops"),
        box(460, 30, 130, 50, "ek_activations", "banks of 4 channels", "#eafbef"),
        box(460, 130, 130, 50, "ek_array", "IC x OC, stationary", "#fdf0e6"),
        box(460, 230, 130, 50, "ek_vector", "tables, sums, largest", "#fdf0e6"),
        box(640, 130, 120, 50, "ek_accumulators", "two halves"),
        box(640, 230, 120, 50, "ek_requantize", "4 or 8 lanes"), box(640, 30, 120, 50, "host bus", "AXI4-Lite, UART"),
        arrow((110, 155), (150, 155)), arrow((260, 155), (300, 155)), arrow((355, 130), (355, 80)),
        arrow((410, 155), (460, 155)), arrow((410, 55), (460, 55)), arrow((525, 80), (525, 130)),
        arrow((590, 70), (610, 70), (610, 215), (525, 215), (525, 230)), arrow((590, 155), (640, 155)),
        arrow((700, 180), (700, 230)), arrow((590, 255), (640, 255)),
        arrow((760, 255), (800, 255), (800, 15), (525, 15), (525, 30)), arrow((640, 55), (590, 55)),
        '<text class="s" x="415" y="150">weights</text>', '<text class="s" x="415" y="50">address</text>',
        '<text class="s" x="530" y="110">IC bytes per cycle</text>',
        '<text class="s" x="20" y="315">ek_drain reads finished blocks of sums while the next block is computed; '
        "results go back to the activations, one or two words of four channels per cycle.</text>",
    ])  # fmt: skip


def timing() -> str:
    """The blocks of two tiles of a 3x3 convolution, 16 to 16 channels, 16x8 lanes."""
    machine, shape = Machine(), Shape(2, (1, 3, 3), (16, 16), 8, 2)
    found = list(spans(machine, shape, [128, 128]))
    scale, left = 760 / found[-1].drained, 90
    made = [f'<text x="8" y="{y}">{words}</text>' for y, words in ((45, "loads"), (85, "array"), (125, "requantizes"))]
    passes = shape.passes
    for number, one in enumerate(found):
        colour = COLOURS[number % 2]
        for n in range(passes):
            at = one.load if n == 0 else one.start + (n - 1) * (one.end - one.start) // passes
            length = 33 if n == 0 else machine.ic
            made.append(bar(left + at * scale, 30, length * scale, colour))
            x = one.start + n * (one.end - one.start) // passes
            made.append(bar(left + x * scale, 70, (one.end - one.start) / passes * scale - 1, colour))
        made.append(bar(left + one.drain * scale, 110, (one.drained - one.drain) * scale, colour))
        made.append(f'<text class="s" x="{left + one.start * scale + 3}" y="64">tile {one.tile}, block '
                    f"{number % shape.blocks}: {passes} passes of 128 slots</text>")  # fmt: skip
    marks = range(0, found[-1].drained, 500)
    made += [f'<text class="s" x="{left + cycles * scale}" y="150">{cycles}</text>' for cycles in marks]
    said = (
        "cycles, by the cost model: weights of the next pass and requantization of the last block hide behind the array"
    )
    made.append(f'<text class="s" x="{left}" y="168">{said}</text>')
    return svg(880, 180, made)


def bar(x: float, y: float, width: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y}" width="{max(width, 0.8):.1f}" height="22" fill="{colour}" opacity="0.8"/>'


def roofline(runs: list[Run]) -> str:
    """MACs per cycle over MACs per byte of the stream, both logarithmic."""

    def x(value: float) -> float:
        return 60 + 90 * math.log2(value / 0.5)

    def y(value: float) -> float:
        return 330 - 32 * math.log2(value / 0.5)

    made, peaks = list[str](), list[int]()
    for number, name in enumerate(dict.fromkeys(run.board.name for run in runs)):
        chip = target.load(name).programmable
        peak, port = chip.macs_per_cycle, float(chip.port.bytes_per_cycle)
        corner = peak / port
        line = f"{x(0.5)},{y(0.5 * port)} {x(corner)},{y(peak)} {x(250)},{y(peak)}"
        colour = COLOURS[number]
        made.append(f'<polyline points="{line}" fill="none" stroke="{colour}"/>')
        above = y(peak) - 5 - 14 * peaks.count(peak)
        peaks.append(peak)
        made.append(f'<text x="{x(250) - 210}" y="{above}" fill="{colour}">{name}: {peak} MACs per cycle</text>')
        for run in runs:
            if run.board.name == name:
                at = x(run.macs / run.stream), y(run.per_cycle)
                made.append(f'<circle cx="{at[0]:.1f}" cy="{at[1]:.1f}" r="4" fill="{colour}"/>')
                made.append(f'<text class="s" x="{at[0] + 6:.1f}" y="{at[1] + 12:.1f}">{run.network}</text>')
    for value in (0.5, 1, 2, 4, 8, 16, 32, 64, 128):
        made.append(f'<text class="s" x="{x(value):.0f}" y="348">{value:g}</text>')
        made.append(f'<text class="s" x="28" y="{y(value * 2):.0f}">{value * 2:g}</text>')
    made.append('<text x="300" y="366">MACs per byte of commands and weights</text>')
    made.append('<text x="10" y="20">MACs per cycle</text>')
    return svg(940, 380, made)


def main() -> int:
    runs: list[Run] = []
    for name in sys.argv[1:] or TARGETS:
        for network in NETWORKS:
            run = measured(network, target.load(name))
            if run is None:
                print(f"{name}: {network} does not fit")
                continue
            print(run.row(), f"{run.speed / 1e3:.0f} thousand cycles per second", flush=True)
            runs.append(run)
    for file, drawing in (("blocks", blocks()), ("timing", timing()), ("roofline", roofline(runs))):
        write_text(DOCS / f"fpga-{file}.svg", drawing)
    write(DOCS / "fpga.md", {"networks": table(runs), "routed": routed(TARGETS)})
    return 0


if __name__ == "__main__":
    sys.exit(main())
