"""Registers that move into multipliers and memories: netlists of real synthesis, before and after."""

from __future__ import annotations

import copy
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgekit.backends.overlay.route import registers
from edgekit.backends.overlay.route.registers import Moved
from edgekit.tools import toolchain

needs_yosys = pytest.mark.skipif(not toolchain.load("yosys").found(), reason="yosys is not installed")
PRODUCT = """
module top(input clk, input en, input rst, input signed [17:0] x, input signed [17:0] y, output logic [35:0] z,
           output logic [17:0] w);
  logic signed [17:0] a, b;
  logic signed [35:0] p, m;
  assign m = a * b;
  always_ff @(posedge clk) begin
    a <= x;
    b <= y;
    p <= m;
    z <= p + 1;
    w <= OTHER;
  end
endmodule
"""
MEMORY = """
module top(input clk, input en, input rst, input we, input [9:0] wa, input [9:0] ra, input [17:0] d,
           output logic [17:0] z);
  (* ram_style = "block", no_rw_check *) logic [17:0] mem[1024];
  logic [17:0] q, r;
  always_ff @(posedge clk) begin
    if (we) mem[wa] <= d;
    q <= mem[ra];
    r <= q;
    z <= r + 1;
  end
endmodule
"""
ALL = Moved(1, 1, 0)
CASES = {
    "plain": (PRODUCT, "", "", ALL, 1),
    "an operand is read elsewhere, too": (PRODUCT, "OTHER", "a", ALL, 1),
    "the product is read elsewhere, too": (PRODUCT, "OTHER", "m[17:0] ^ x", Moved(1, 0, 0), 1),
    "an operand waits for an enable": (PRODUCT, "a <= x;", "if (en) a <= x;", Moved(0, 1, 0), 1),
    "an operand is reset": (PRODUCT, "a <= x;", "a <= rst ? '0 : x;", Moved(0, 1, 0), 1),
    "the product is reset": (PRODUCT, "p <= m;", "p <= rst ? '0 : m;", Moved(1, 0, 0), 1),
    "an operand is an input": (PRODUCT, "m = a * b;", "m = x * b;", Moved(0, 1, 0), 1),
    "another clock edge": (PRODUCT, "p <= m;\n", "end always_ff @(negedge clk) p <= m;\n"
                           "always_ff @(posedge clk) begin\n", Moved(1, 0, 0), 1),
    "memory": (MEMORY, "", "", Moved(0, 0, 1), 0),
    "a memory without a register": (MEMORY, "r <= q;", "r <= q ^ d;", Moved(0, 0, 0), 0),
    "a memory's register waits": (MEMORY, "r <= q;", "if (en) r <= q;", Moved(0, 0, 0), 0),
}  # fmt: skip


def synthesized(text: str, folder: Path) -> dict[str, Any]:
    (folder / "top.sv").write_text(text)
    script = "read_verilog -sv top.sv; synth_ecp5 -noflatten -top top -json top.json"
    done = subprocess.run(["yosys", "-q", "-p", script], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads((folder / "top.json").read_text())
    return document


def cells(document: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [cell for cell in document["modules"]["top"]["cells"].values() if cell["type"] == kind]


def driven(document: dict[str, Any]) -> tuple[set[int], list[int]]:
    """Nets that inputs read, and those that outputs drive."""
    top = document["modules"]["top"]
    ends = [(port["direction"] == "output", port["bits"]) for port in top["ports"].values()]
    for cell in top["cells"].values():
        ends += [(cell["port_directions"][port] == "input", bits) for port, bits in cell["connections"].items()]
    read = {bit for reads, bits in ends if reads for bit in bits if isinstance(bit, int)}
    return read, [bit for reads, bits in ends if not reads for bit in bits if isinstance(bit, int)]


@needs_yosys
@pytest.mark.parametrize("name", CASES)
def test_registers_move_into_blocks_if_nothing_changes(name: str, tmp_path: Path) -> None:
    text, old, new, expected, multipliers = CASES[name]
    assert old in text
    text = (text.replace(old, new) if old else text).replace("OTHER", "'0")
    plain = synthesized(text, tmp_path)
    document = copy.deepcopy(plain)
    assert registers.moved(document, "top") == expected
    before, after = (len(cells(one, "TRELLIS_FF")) for one in (plain, document))
    kept = 18 if "elsewhere" in name and expected.products else 0
    gone = 36 * expected.operands - kept + 36 * expected.products + 18 * expected.memories
    assert before - after == gone
    if expected == Moved(0, 0, 0):
        assert document == plain
    read, made = driven(document)
    assert read <= set(made) and len(made) == len(set(made))
    assert len(cells(document, "MULT18X18D")) == multipliers
    for cell in cells(document, "MULT18X18D"):
        clocked = {key for key, value in cell["parameters"].items() if key.endswith("_CLK") and value == "CLK0"}
        wanted = {"REG_INPUTA_CLK", "REG_INPUTB_CLK"} if expected.operands else set()
        assert clocked == wanted | ({"REG_OUTPUT_CLK"} if expected.products else set())
    for cell in cells(document, "DP16KD"):
        modes = {cell["parameters"]["REGMODE_A"], cell["parameters"]["REGMODE_B"]}
        assert ("OUTREG" in modes) == bool(expected.memories)
