"""A network that a board's memory cannot hold is refused, with its largest tensors."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edgekit import target
from edgekit.errors import ModelError
from edgekit.graph import Graph, Subgraph
from edgekit.profiling import capacity
from tests.profiling.image_networks import NETWORKS


def test_weights_and_activations_in_ram() -> None:
    graph, board = NETWORKS["MobileNet v1"](), target.load("rpi4")
    capacity.check(graph, board)
    small = replace(board, memory=replace(board.memory, ram_gib=0.001))
    with pytest.raises(ModelError, match=r"1,048 KiB of RAM, the network's weights and activations take") as refused:
        capacity.check(graph, small)
    shown = str(refused.value).partition("largest tensors: ")[2].split(", ")
    sizes = sorted((t.nbytes for t in graph.main.tensors), reverse=True)[:3]
    assert [f"({size:,} bytes)" in text for size, text in zip(sizes, shown, strict=True)] == [True] * 3


def test_a_microcontroller_holds_weights_in_flash_and_the_ends_in_ram() -> None:
    board, graph = target.load("nucleo-l4r5zi"), NETWORKS["MobileNet v1"]()
    with pytest.raises(ModelError, match="flash, the network's weights"):
        capacity.check(graph, board)
    main = graph.main
    wide = replace(next(t for t in main.tensors if t.data is None), shape=(1, 4096, 4096, 3))
    with pytest.raises(ModelError, match="RAM, the network's inputs and outputs"):
        capacity.check(Graph([Subgraph("main", [wide], [], (0,), (0,))]), board)


def test_boards_whose_memory_nobody_states_take_everything() -> None:
    capacity.check(NETWORKS["MobileNet v1"](), target.load("host"))
