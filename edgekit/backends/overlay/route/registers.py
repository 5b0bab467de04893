"""Moves registers into the blocks that have them: behind a memory's output, around a multiplier.

yosys leaves them in logic, where wires to and from the blocks, and the blocks' own delays, share a cycle. A register is
moved only if it has no enable and no reset, and if its whole word is moved.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

MULTIPLIER, MEMORY, REGISTER = "MULT18X18D", "DP16KD", "TRELLIS_FF"
_Cell = dict[str, Any]
_Bit = int | str


@dataclass(frozen=True)
class Moved:
    """How many blocks got registers.

    :param operands: multipliers, at their inputs. :param products: multipliers, at their outputs.
    """

    operands: int
    products: int
    memories: int


class _Netlist:
    """What drives each net of a module and what it leads to."""

    def __init__(self, module: Mapping[str, Any]) -> None:
        self.cells: dict[str, _Cell] = module["cells"]
        self.drivers: dict[int, str] = {}
        self.loads: dict[int, list[tuple[str, str]]] = defaultdict(list)
        for name, cell in self.cells.items():
            for port, bits in cell["connections"].items():
                for bit in bits:
                    self._note(name, port, bit, out=cell["port_directions"][port] == "output")
        for port in module["ports"].values():
            for bit in port["bits"]:
                self._note("", "", bit, out=port["direction"] == "input")

    def _note(self, name: str, port: str, bit: _Bit, *, out: bool) -> None:
        if isinstance(bit, int) and out:
            self.drivers[bit] = name
        elif isinstance(bit, int):
            self.loads[bit].append((name, port))

    def plain(self, name: str, clock: _Bit | None) -> bool:
        """True for a register that does nothing but wait for the clock; for any clock if None."""
        cell = self.cells.get(name)
        if cell is None or cell["type"] != REGISTER:
            return False
        parameters, connections = cell["parameters"], cell["connections"]
        return (
            parameters["CEMUX"].strip() == "1" and parameters["CLKMUX"] == "CLK"
            and connections.get("LSR", ["0"]) == ["0"] and clock in (None, connections["CLK"][0])
        )  # fmt: skip

    def clock(self, name: str) -> _Bit:
        return self.cells[name]["connections"]["CLK"][0]  # type: ignore[no-any-return]

    def before(self, cell: _Cell, ports: Iterable[str], clock: _Bit | None) -> dict[str, str]:
        """The registers in front of inputs that are no constants; empty if one lacks a register."""
        found: dict[str, str] = {}
        for port in ports:
            (bit,) = cell["connections"][port]
            if isinstance(bit, int):
                name = self.drivers.get(bit, "")
                if not self.plain(name, clock) or self.clock(name) != self.clock(next(iter(found.values()), name)):
                    return {}
                found[port] = name
        return found

    def after(self, cell: _Cell, ports: Iterable[str], clock: _Bit | None) -> dict[str, str]:
        """The registers behind outputs that are in use; empty if something else is behind one."""
        found: dict[str, str] = {}
        for port in ports:
            for bit in cell["connections"].get(port, []):
                for name, of in self.loads.get(bit, []):
                    if of != "DI" or port in found or not self.plain(name, clock):
                        return {}
                    if self.clock(name) != self.clock(next(iter(found.values()), name)):
                        return {}
                    found[port] = name
        return found

    def skip_before(self, cell: _Cell, found: Mapping[str, str], own: str) -> None:
        """Connect inputs to what the registers in front of them take; drop registers that nothing else reads."""
        for port, name in found.items():
            (taken,) = self.cells[name]["connections"]["DI"] if name in self.cells else cell["connections"][port]
            (old,) = cell["connections"][port]
            cell["connections"][port] = [taken]
            self.loads[old].remove((own, port))
            if isinstance(taken, int):
                self.loads[taken].append((own, port))
        for name in set(found.values()):
            if not self.loads[self.cells[name]["connections"]["Q"][0]]:
                (taken,) = self.cells[name]["connections"]["DI"]
                if isinstance(taken, int):
                    self.loads[taken].remove((name, "DI"))
                del self.cells[name]

    def skip_after(self, cell: _Cell, found: Mapping[str, str], own: str) -> None:
        """Connect outputs to what the registers behind them drive."""
        for port, name in found.items():
            (shown,) = self.cells[name]["connections"]["Q"]
            cell["connections"][port] = [shown]
            self.drivers[shown] = own
            del self.cells[name]


def moved(document: Mapping[str, Any], top: str) -> Moved:
    """Move the registers of a netlist as yosys writes it."""
    netlist = _Netlist(document["modules"][top])
    blocks = list(netlist.cells.items())
    multipliers = [(name, cell) for name, cell in blocks if cell["type"] == MULTIPLIER]
    memories = [(name, cell) for name, cell in blocks if cell["type"] == MEMORY]
    products = sum(_product(netlist, name, cell) for name, cell in multipliers)
    operands = sum(_operands(netlist, name, cell) for name, cell in multipliers)
    return Moved(operands, products, sum(_memory(netlist, name, cell) for name, cell in memories))


def _product(netlist: _Netlist, name: str, cell: _Cell) -> bool:
    found = netlist.after(cell, [f"P{n}" for n in range(36)], None)
    if found:
        _clocked(cell, netlist.clock(next(iter(found.values()))), "OUTPUT")
        netlist.skip_after(cell, found, name)
    return bool(found)


def _operands(netlist: _Netlist, name: str, cell: _Cell) -> bool:
    clock = cell["connections"].get("CLK0", [None])[0]
    a, b = (netlist.before(cell, [f"{side}{n}" for n in range(18)], clock) for side in "AB")
    if not a or not b or netlist.clock(next(iter(a.values()))) != netlist.clock(next(iter(b.values()))):
        return False
    _clocked(cell, netlist.clock(next(iter(a.values()))), "INPUTA", "INPUTB")
    netlist.skip_before(cell, {**a, **b}, name)
    return True


def _clocked(cell: _Cell, clock: _Bit, *registers: str) -> None:
    for port, bit in (("CLK0", clock), ("CE0", "1"), ("RST0", "0")):
        cell["connections"][port] = [bit]
        cell["port_directions"][port] = "input"
    for register in registers:
        cell["parameters"] |= {f"REG_{register}_{pin}": f"{pin}0" for pin in ("CLK", "CE", "RST")}


def _memory(netlist: _Netlist, name: str, cell: _Cell) -> bool:
    connections = cell["connections"]
    (clock,) = connections["CLKB"]
    ports = [port for port in connections if port.startswith(("DOA", "DOB"))]
    found = netlist.after(cell, ports, clock)
    if not found or connections["CLKA"] != [clock] or any(connections[f"RST{side}"] != ["0"] for side in "AB"):
        return False
    for side in {port[2] for port in found}:
        if connections[f"CE{side}"] != ["1"]:
            return False
        cell["parameters"][f"REGMODE_{side}"] = "OUTREG"
        connections[f"OCE{side}"] = ["1"]
    netlist.skip_after(cell, found, name)
    return True
