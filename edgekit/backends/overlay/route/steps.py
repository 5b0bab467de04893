"""Synthesis, place and route, bitstream: steps whose results are kept by the digest of what they are made from."""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from edgekit import resources
from edgekit.backends.overlay.route import design as designs
from edgekit.backends.overlay.route import floorplan, registers, tools
from edgekit.backends.overlay.route.design import Design
from edgekit.backends.overlay.route.tools import ECPPACK, NEXTPNR, YOSYS
from edgekit.errors import EdgekitError
from edgekit.files import temporary
from edgekit.progress import Progress
from edgekit.target.routing import Critical, Report

NETLIST, CONFIG, TIMING, LOG, BITSTREAM = "netlist.json", "design.config", "timing.json", "log.txt", "accelerator.bit"
STAGES: Mapping[str, Sequence[tuple[str, str]]] = {
    YOSYS: ((r"^\d+\.\d+\. Executing SYNTH_ECP5", "synthesize the accelerator"), (r"ABC9", "map it to LUTs")),
    NEXTPNR: (
        (r"^Info: Packing", "pack cells"), (r"^Info: Creating initial analytic placement", "place cells"),
        (r"^Info: Running simulated annealing", "refine the placement"), (r"^Info: Setting up routing", "route nets"),
    ),
    ECPPACK: (),
}  # fmt: skip
"""What a tool's lines tell of where it is."""
CELLS = "read_verilog -lib -specify +/ecp5/cells_sim.v +/ecp5/cells_bb.v"
"""The device's own cells, which boards' tops name."""
_lock = Lock()


@dataclass(frozen=True)
class Routed:
    """What place and route made. :param timing: nextpnr's own report. :param bitstream: for the device's flash."""

    report: Report
    timing: Path
    bitstream: Path


def routed(design: Design, seed: int, progress: Progress, sources: Mapping[str, bytes] | None = None) -> Routed:
    """Synthesize, place and route a design; what was done before is found again.

    :param sources: RTL by name; default: the accelerator's.
    :raises ToolMissing: if the tools cannot be had. :raises EdgekitError: if it does not fit into the device.
    """
    given = designs.rtl(design.top) if sources is None else sources
    with _lock:
        netlist = _for_blocks(_synthesized(design, given, progress), design)
        folder = _placed(design, netlist, seed, progress)
        bitstream = _packed(folder, progress)
    report = read_timing(json.loads((folder / TIMING).read_text()), design, seed, designs.digest(given))
    return Routed(report, folder / TIMING, bitstream)


def _synthesized(design: Design, sources: Mapping[str, bytes], progress: Progress) -> Path:
    parameters = " ".join(f"-chparam {name} {value}" for name, value in design.parameters.items())
    cells = f"{CELLS}; " if design.named_cells else ""
    script = (
        f"{cells}read_verilog -sv {' '.join(sources)}; hierarchy -check -top {design.top} {parameters}; "
        f"synth_ecp5 -abc9 -top {design.top} -json {NETLIST}; check -assert"
    )
    key = [YOSYS, tools.version(YOSYS), script, designs.digest(sources)]
    return _step(YOSYS, ["-p", script], key, sources, NETLIST, progress) / NETLIST


def _for_blocks(netlist: Path, design: Design) -> Path:
    """The netlist with registers in the blocks that have them, and the array's multipliers where they belong."""
    key = json.dumps([netlist.parent.name, design.option, *map(inspect.getsource, (registers, floorplan))])
    home = resources.cache("fpga", f"blocks-{hashlib.sha256(key.encode()).hexdigest()[:16]}")
    if not (home / NETLIST).is_file():
        document = json.loads(netlist.read_bytes())
        registers.moved(document, design.top)
        floorplan.planned(document, design.top, design.option)
        with temporary.folder(resources.created(home)) as scratch:
            (scratch / NETLIST).write_text(json.dumps(document))
            os.replace(scratch / NETLIST, home / NETLIST)
    return home / NETLIST


def _placed(design: Design, netlist: Path, seed: int, progress: Progress) -> Path:
    pins = {"pins.lpf": design.pins.read_bytes()} if design.pins else {}
    arguments = [
        f"--{design.option}", "--package", design.package, "--speed", design.speed_grade, "--json", beside(netlist),
        "--textcfg", CONFIG, "--freq", f"{design.goal_mhz:g}", "--seed", str(seed), "--timing-allow-fail",
        "--router", "router2", "--tmg-ripup", "--report", TIMING,
        *(["--lpf", "pins.lpf"] if pins else ["--lpf-allow-unconstrained"]),
    ]  # fmt: skip
    key = [NEXTPNR, tools.version(NEXTPNR), *arguments, designs.digest(pins)]
    return _step(NEXTPNR, arguments, key, pins, TIMING, progress)


def _packed(folder: Path, progress: Progress) -> Path:
    arguments = ["--compress", beside(folder / CONFIG), BITSTREAM]
    key = [ECPPACK, tools.version(ECPPACK), *arguments]
    return _step(ECPPACK, arguments, key, {}, BITSTREAM, progress) / BITSTREAM


def beside(file: Path) -> str:
    """A file of another step's folder as a step sees it; the tools see no other ``/tmp`` than their own."""
    return f"../{file.parent.name}/{file.name}"


def _step(
    tool: str, arguments: Sequence[str], key: Sequence[str], files: Mapping[str, bytes], result: str, progress: Progress
) -> Path:  # fmt: skip
    """The folder of a step's results, made unless it is there."""
    digest = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:16]
    home = resources.cache("fpga", f"{tool}-{digest}")
    if (home / result).is_file():
        return home
    progress.step(f"{tool}, some minutes; the result is kept")
    resources.created(home.parent)
    with temporary.folder(home.parent) as scratch:
        for name, data in files.items():
            (scratch / name).write_bytes(data)
        lines = tools.run(tool, arguments, scratch, progress, _watched(tool, progress))
        if not (scratch / result).is_file():
            raise EdgekitError(f"{tool} left no {result}", "please report this")
        (scratch / LOG).write_text("\n".join(lines) + "\n")
        for name in files:
            (scratch / name).unlink()
        resources.created(home)
        kept = [path for path in scratch.iterdir() if path.is_file()]
        for path in sorted(kept, key=lambda one: one.name == result):  # the result last: it says that all are there
            os.replace(path, home / path.name)
    return home


def _watched(tool: str, progress: Progress) -> Callable[[str], None]:
    ahead = list(STAGES[tool])

    def said(line: str) -> None:
        for number, (pattern, words) in enumerate(ahead):
            if re.search(pattern, line):
                progress.step(f"{tool}: {words}")
                del ahead[: number + 1]
                return

    return said


def read_timing(timing: Mapping[str, Any], design: Design, seed: int, rtl: str) -> Report:
    """What nextpnr's report says.

    :raises EdgekitError: if the design has no clock.
    """
    if not timing["fmax"]:
        raise EdgekitError(f"{design.name} has no path from one register to another", "please report this")
    clock, reached = min(timing["fmax"].items(), key=lambda one: float(one[1]["achieved"]))
    longest = [
        path["path"] for path in timing["critical_paths"]
        if clock in path["from"] and clock in path["to"] and path["path"]
    ]  # fmt: skip
    used = {kind: (int(n["used"]), int(n["available"])) for kind, n in timing["utilization"].items() if n["used"]}
    return Report(
        design.device, design.package, design.speed_grade, design.top, dict(design.parameters), rtl,
        {tool: tools.version(tool) for tool in (YOSYS, NEXTPNR)}, seed, design.goal_mhz,
        round(float(reached["achieved"]), 2), _critical(longest[0] if longest else []), used,
    )  # fmt: skip


def _critical(path: Sequence[Mapping[str, Any]]) -> Critical:
    if not path:
        return Critical("", "", 0, 0)
    delays = [(float(part["delay"]), part["type"] == "routing") for part in path]
    total, wires = sum(d for d, _ in delays), sum(d for d, wire in delays if wire)
    return Critical(_cell(path[0]["from"]), _cell(path[-1]["to"]), round(total, 2), round(wires, 2))


def _cell(end: Mapping[str, Any]) -> str:
    """A cell's name without what synthesis appended."""
    return re.split(r"_TRELLIS_|_DP16KD|_MULT18X18D|_LUT4|_CCU2C|_L6MUX|_PFUMX|_SLICE", str(end["cell"]))[0]
