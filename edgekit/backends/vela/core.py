"""What the NPU does not take, as C for the core beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends import Planned, Unsupported
from edgekit.backends.c99 import C99, Plan, emit, library
from edgekit.backends.vela.structure import Part, extracted
from edgekit.errors import ModelError
from edgekit.files.documents import write_text
from edgekit.target import load

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target

FOLDER = "core"
"""In ``artifact/``: the C of the parts on the core, and the kernels."""
KERNELS = "kernels"


def name(number: int) -> str:
    """Prefix of the names that the C of the part on the core with this number exports."""
    return f"core{number}"


def board(target: Target) -> Target:
    """The microcontroller whose core is beside the NPU."""
    return load(target.neural.host)


def unsupported(graph: Graph, part: Part, target: Target) -> list[Unsupported]:
    """Return the operators of a part for which there is no C kernel, by the graph's own indices."""
    if not part.operators:
        return []
    plan = C99().plan(extracted(graph, part), board(target))
    return [replace(one, index=part.operators[one.index]) for one in plan] if isinstance(plan, list) else []


def planned(graph: Graph, part: Part, target: Target) -> Plan:
    """Return the plan of a part, for the board that it is to run on.

    :raises ModelError: if an operator has no kernel.
    """
    plan: Planned | list[Unsupported] = C99().plan(extracted(graph, part), target)
    if isinstance(plan, list):
        first = plan[0]
        index = part.operators[first.index]
        raise ModelError(f"vela leaves operator {index} {first.operator} to the core, and {first.reason}", first.remedy)
    assert isinstance(plan, Plan), plan
    return plan


def code(graph: Graph, part: Part, target: Target, number: int) -> emit.Source:
    """Return a part as C for the core beside the NPU; for errors see :func:`planned`."""
    return emit.source(C99().arranged(planned(graph, part, board(target))), name(number), emit.Optimize.RAM)


def write(codes: Sequence[emit.Source], folder: Path) -> None:
    """Write the parts on the core below an artifact's folder, with the kernels they include."""
    if not codes:
        return
    place = folder / FOLDER
    place.mkdir()
    for one in codes:
        write_text(place / f"{one.name}.c", one.code)
        write_text(place / f"{one.name}.h", one.header)
    library.put_kernels(place / KERNELS)
