"""Whether a network fits into a board's memory at all, before anything is said of its speed."""

from __future__ import annotations

from edgekit.errors import ModelError
from edgekit.graph import Graph
from edgekit.graph.stats import largest, statistics
from edgekit.target import Target
from edgekit.target.mcu import RegionKind

SMALLER = "choose a board with more memory, quantize with --recipe int8, or make the network's input smaller"


def check(graph: Graph, board: Target) -> None:
    """Refuse a network that cannot be held.

    Boards with an operating system hold weights and activations in RAM, by the plan of
    :mod:`edgekit.graph.memory`. Microcontrollers hold weights in flash; of their activations only the network's inputs
    and outputs are compared, because compiled networks stream the others (`edgekit compile` compares the whole plan).

    :raises ModelError: with the three largest tensors.
    """
    if board.mcu is not None:
        stored = sum(t.data.size for t in graph.constants() if t.data is not None)
        _compare(graph, board, stored, _kib(board, RegionKind.FLASH), "flash", "weights")
        ends = sum(graph.main.tensors[i].nbytes for i in (*graph.main.inputs, *graph.main.outputs))
        _compare(graph, board, ends, _kib(board, RegionKind.RAM), "RAM", "inputs and outputs")
    elif board.memory.ram_gib is not None:
        found = statistics(graph)
        need = found.weights_bytes + found.peak_activation_bytes
        _compare(graph, board, need, int(board.memory.ram_gib * (1 << 30)), "RAM", "weights and activations")


def _kib(board: Target, kind: RegionKind) -> int:
    assert board.mcu is not None
    return sum(region.kib << 10 for _, region in board.mcu.of_kind(kind))


def _compare(graph: Graph, board: Target, need: int, have: int, memory: str, what: str) -> None:
    if need > have:
        raise ModelError(
            f"{board.name} has {have >> 10:,} KiB of {memory}, the network's {what} take {-(-need >> 10):,} KiB; "
            f"the largest tensors: {', '.join(largest(graph.main.tensors))}",
            SMALLER,
        )
