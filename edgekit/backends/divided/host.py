"""What is left to the host, as C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.backends import Planned, Unsupported
from edgekit.backends.c99 import C99, Plan, emit, library
from edgekit.backends.divided.parts import Part, Parts, extracted
from edgekit.files.documents import write_text
from edgekit.target import load

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.graph import Graph

FOLDER = "host"
"""In ``artifact/``: the C of the host's parts, and the kernels."""
BOARD = "host"
"""The target that stands for the host."""


def unsupported(graph: Graph, part: Part) -> list[Unsupported]:
    """The operators of a part for which there is no C kernel either, by the graph's own indices."""
    plan = C99().plan(extracted(graph, part), load(BOARD))
    return [replace(one, index=part.operators[one.index]) for one in plan] if isinstance(plan, list) else []


def planned(graph: Graph, part: Part) -> Plan:
    """The plan of a part that has kernels for all operators."""
    plan: Planned | list[Unsupported] = C99().plan(extracted(graph, part), load(BOARD))
    assert isinstance(plan, Plan), plan
    return plan


def name(parts: Parts, part: Part) -> str:
    """Prefix of the names that a part's C exports."""
    return "before" if part is parts.before else "after"


def codes(graph: Graph, parts: Parts) -> list[emit.Source]:
    """The host's parts as C."""
    backend = C99()
    return [
        emit.source(backend.arranged(planned(graph, part)), name(parts, part), emit.Optimize.SPEED)
        for part in parts.host
    ]


def write(sources: Sequence[emit.Source], folder: Path) -> None:
    """Write C below an artifact's folder, with the kernels that it includes."""
    if not sources:
        return
    place = folder / FOLDER
    place.mkdir()
    for one in sources:
        write_text(place / f"{one.name}.c", one.code)
        write_text(place / f"{one.name}.h", one.header)
    library.put_kernels(place / "kernels")
