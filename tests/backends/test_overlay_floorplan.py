"""Sites of the array's multipliers: netlists of real synthesis, and sites that nextpnr knows."""

from __future__ import annotations

import json
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from edgekit.backends.overlay.route import floorplan, tools
from edgekit.backends.overlay.route.design import rtl
from edgekit.backends.overlay.route.floorplan import DEVICES, LFE5U_85
from edgekit.tools import toolchain

needs_yosys = pytest.mark.skipif(not toolchain.load("yosys").found(), reason="yosys is not installed")
needs_tools = pytest.mark.skipif(not tools.prepared(), reason="no nextpnr: edgekit doctor --install fpga")
ARRAY = """
module top #(parameter int IC = 16, parameter int OC = 8, parameter int PACKED = 0) (
    input clk, input [IC-1:0] rows, input diagonal, input swap, input [8*OC-1:0] w, input [8*IC-1:0] a,
    input signed [17:0] b, output logic [20*OC-1:0] s, output logic signed [35:0] other);
  ek_array #(.IC(IC), .OC(OC), .PACKED(PACKED)) array(clk, rows, diagonal, w, swap, a, s);
  always_ff @(posedge clk) other <= b * b;
endmodule
"""
ALL_SITES = """
module top(input clk, input signed [17:0] a, output logic signed [35:0] s);
  logic signed [35:0] p[157];
  assign p[0] = '0;
  for (genvar i = 0; i < 156; i++) assign p[i + 1] = p[i] ^ a * (a ^ i);
  always_ff @(posedge clk) s <= p[156];
endmodule
"""


def synthesized(text: str, folder: Path, parameters: str = "") -> dict[str, Any]:
    (folder / "top.sv").write_text(text)
    (folder / "ek_array.sv").write_bytes(rtl()["ek_array.sv"])
    script = f"read_verilog -sv top.sv ek_array.sv; hierarchy -top top {parameters}; synth_ecp5 -top top -json top.json"
    done = subprocess.run(["yosys", "-q", "-p", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads((folder / "top.json").read_text())
    return document


def multipliers(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {name: cell for name, cell in document["modules"]["top"]["cells"].items() if cell["type"] == "MULT18X18D"}


def place(site: str) -> tuple[int, int]:
    x, y, _ = site.split("/")
    return int(y[1:]), int(x[1:])


@pytest.mark.slow
@needs_yosys
@pytest.mark.parametrize(("parameters", "count"), [("", 128), ("-chparam OC 10 -chparam PACKED 1", 80)])
def test_a_column_of_the_array_is_side_by_side(parameters: str, count: int, tmp_path: Path) -> None:
    document = synthesized(ARRAY, tmp_path, parameters)
    assert floorplan.planned(document, "top", "um5g-85k") == count
    sites = {
        name: cell["attributes"]["BEL"] for name, cell in multipliers(document).items() if "BEL" in cell["attributes"]
    }
    assert len(multipliers(document)) > len(sites) == len(set(sites.values())) == count
    names = floorplan.names_of(document["modules"]["top"])
    array = {name: floorplan.place_in_array(cell, names) for name, cell in multipliers(document).items()}
    for column in {where[1] for where in array.values() if where}:
        rows = sorted((where[0], name) for name, where in array.items() if where and where[1] == column)
        places = [place(sites[name]) for _, name in rows]
        assert len(places) == 16 and len({y for y, _ in places}) == 1
        assert all(0 < right - left <= 7 for (_, left), (_, right) in pairwise(places))


@needs_yosys
def test_other_arrays_and_devices_are_left_to_the_placer(tmp_path: Path) -> None:
    document = synthesized(ARRAY, tmp_path, "-chparam IC 4 -chparam OC 4")
    before = json.dumps(document)
    assert floorplan.planned(document, "top", "85k") == floorplan.planned(document, "top", "25k") == 0
    assert json.dumps(document) == before


@pytest.mark.slow
@needs_yosys
@needs_tools
def test_nextpnr_knows_the_sites(tmp_path: Path) -> None:
    document = synthesized(ALL_SITES, tmp_path)
    sites = [site for row in LFE5U_85.rows for site in LFE5U_85.sites(row)]
    cells = multipliers(document)
    assert len(cells) == len(sites) == len(set(sites)) == 156
    for cell, site in zip(cells.values(), sites, strict=True):
        cell["attributes"]["BEL"] = site
    (tmp_path / "top.json").write_text(json.dumps(document))
    python = tools.ENVIRONMENT.interpreter()
    assert python is not None
    for option in DEVICES:
        argv = [f"--{option}", "--json", "top.json", "--no-route", "--placer", "heap", "--ignore-loops"]
        lines = tools.run("nextpnr-ecp5", argv, tmp_path, Quiet(), lambda _: None)
        assert any("finished normally" in line for line in lines)


class Quiet:
    def step(self, name: str) -> None: ...

    def advance(self, done: int, total: int) -> None: ...

    def warn(self, message: str) -> None: ...

    def note(self, message: str) -> None: ...
