"""Says where multipliers go: those of a column of the array side by side in a row of the device, those of a lane, too.

nextpnr's placer takes a device's rows of multipliers for places like others, and scatters a column of the array over
all of them; what is summed then crosses the device, up to 70 tiles in a cycle. All else is left to the placer.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edgekit.backends.overlay.route.registers import MULTIPLIER

_ARRAY = re.compile(r"array\.g_row\[(\d+)\]\.(?:g_plain\.g_column|g_packed\.g_pair)\[(\d+)\]\.")
_LANE = re.compile(r"(?:^|\.)g_lane\[(\d+)\]\.lane\.")
_SITES = ((0, 0), (1, 1), (4, 4), (5, 5))
"""Of the nine tiles of a group of multipliers: which tile has which multiplier."""


@dataclass(frozen=True)
class Rows:
    """Where a device has multipliers. :param left: of groups of four, by tile. :param rows: of tiles."""

    left: Sequence[int]
    rows: Sequence[int]

    def sites(self, row: int) -> list[str]:
        """Multipliers of a row as nextpnr names them, from left to right."""
        return [f"X{left + tile}/Y{row}/MULT18_{number}" for left in self.left for tile, number in _SITES]


LFE5U_85 = Rows((4, 13, 22, 31, 40, 49, 58, 69, 78, 87, 96, 105, 114), (10, 34, 58))
"""As nextpnr 0.11 names the sites, and places multipliers where a design has all 156 of them."""
DEVICES: Mapping[str, Rows] = dict.fromkeys(("85k", "um-85k", "um5g-85k"), LFE5U_85)


def planned(document: Mapping[str, Any], top: str, option: str) -> int:
    """Give multipliers of the array and of lanes sites, in a netlist as yosys writes it; return how many have one.

    :param option: the device, as nextpnr's option names it; for one that is not known nothing is planned, and neither
        is an array with too many columns, or with so few that most of the device is empty.
    """
    module, device = document["modules"][top], DEVICES.get(option)
    names = names_of(module)
    blocks = {name: cell for name, cell in module["cells"].items() if cell["type"] == MULTIPLIER}
    array = {name: place for name, cell in blocks.items() if (place := place_in_array(cell, names))}
    if device is None or not array:
        return 0
    rows, columns = (sorted({place[axis] for place in array.values()}) for axis in (0, 1))
    plan = _Plan(device, len(rows), len(columns))
    if not plan.fits:
        return 0
    sites = {name: plan.columns[columns.index(column)][rows.index(row)] for name, (row, column) in array.items()}
    lanes: dict[int, list[str]] = defaultdict(list)
    for name in sorted(blocks.keys() - array.keys()):
        if found := _LANE.search(name):
            lanes[int(found[1])].append(name)
    for lane in sorted(lanes):
        sites |= dict(zip(lanes[lane], plan.take(len(lanes[lane])), strict=False))
    for name, site in sites.items():
        blocks[name]["attributes"]["BEL"] = site
    return len(sites)


def names_of(module: Mapping[str, Any]) -> Mapping[object, Sequence[str]]:
    """The names of each net, by its number."""
    names: dict[object, list[str]] = defaultdict(list)
    for name, net in module["netnames"].items():
        for bit in net["bits"]:
            names[bit].append(name)
    return names


def place_in_array(cell: Mapping[str, Any], names: Mapping[object, Sequence[str]]) -> tuple[int, int] | None:
    """The row and the column of a multiplier of the array, None for another; by names of what it drives or reads.

    :param names: of nets, by bit. Some lead to several places, as what all columns read; others to one.
    """
    for side in "PBA":
        bits = [bit for port, bits in cell["connections"].items() if port.startswith(side) for bit in bits]
        found = {match.groups() for bit in bits for name in names.get(bit, ()) if (match := _ARRAY.search(name))}
        if len(found) == 1:
            row, column = found.pop()
            return int(row), int(column)
    return None


class _Plan:
    """Runs of a device's sites: for columns of the array as far apart as the rows allow, those in the middle last.

    :param length: of a column. :param count: of columns.
    """

    def __init__(self, device: Rows, length: int, count: int) -> None:
        each = len(device.sites(0)) // length
        middle = (len(device.rows) - 1) / 2, (each - 1) / 2
        places = [(number, of) for number in range(len(device.rows)) for of in range(each)]
        places.sort(key=lambda one: max(abs(one[0] - middle[0]), abs(one[1] - middle[1])), reverse=True)
        self.fits = len(places) / 2 <= count <= len(places)
        self.columns: list[list[str]] = []
        rows = [device.sites(row) for row in device.rows]
        gap = len(rows[0]) - each * length  # behind the first column of each row
        for number, of in places[:count]:
            start = of * length + (gap if of else 0)
            self.columns.append(rows[number][start : start + length])
        taken = {site for column in self.columns for site in column}
        self._left: list[list[str]] = []
        for row in rows:
            self._left.append([])
            for site in row:
                if site in taken:
                    self._left.append([])
                else:
                    self._left[-1].append(site)

    def take(self, count: int) -> list[str]:
        """Sites side by side that no column has; fewer if there are none."""
        run = next((run for run in self._left if len(run) >= count), [])
        sites, run[:count] = run[:count], []
        return sites
