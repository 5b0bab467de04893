"""Networks with state in C: frame by frame what the NumPy backend has, which has LiteRT's bits (``tests/codegen``)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import target
from edgekit.api import compile as compiling
from edgekit.backends import unsupported
from edgekit.backends.litert import LiteRT
from edgekit.codegen.schedule.mcu import memory
from edgekit.codegen.schedule.mcu.streams import streamed
from tests.backends.c99_networks import STRICT, apart, compiled, followed, scheduled
from tests.codegen.frames import noise
from tests.networks.lstm import Form
from tests.networks.lstm import network as lstm
from tests.networks.streaming import SCALE, Streaming, kept, shown, svdf, twice, used_later, window


@pytest.mark.parametrize("make", [window, shown, used_later, twice, kept])
@pytest.mark.parametrize("place", [apart, memory.plan])
def test_variables(make: Callable[..., Any], place: Callable[..., memory.Plan], tmp_path: Path) -> None:
    n = Streaming()
    x = n.tensor((1, 2, 4), "int8", quantization=SCALE)
    graph = n.whole(x, *make(n, x))
    program = streamed(scheduled(graph))
    assert followed(compiled(program, tmp_path, place(program), STRICT), graph, noise(graph, 12)) > 8


FORMS = [
    Form(), Form(batch=2, outputs=4, projection_clip=0.5), Form(coupled=True, normalized=True, cells=7),
    Form(peephole=True, time_major=True, batch=2, cell_clip=1.0, cell_shift=-9), Form(cell_shift=-15, outputs=9),
    Form(normalized=True, outputs=3, seed=4, cell_shift=-10, steps=1),
]  # fmt: skip


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_lstm(form: Form, tmp_path: Path) -> None:
    graph = lstm(form)
    program = scheduled(graph)
    assert followed(compiled(program, tmp_path, memory.plan(program), STRICT), graph, noise(graph, 8)) > 1


@pytest.mark.parametrize(
    ("batch", "rank", "units", "length", "depth"), [(1, 1, 8, 5, 9), (2, 3, 4, 1, 7), (3, 2, 5, 2, 1)]
)
def test_filters_over_time(batch: int, rank: int, units: int, length: int, depth: int, tmp_path: Path) -> None:
    graph = svdf(batch, rank, units, length, depth, True, 5, -7, 1)
    program = scheduled(graph)
    followed(compiled(program, tmp_path, memory.plan(program), STRICT), graph, noise(graph, 8))


def test_a_restart_forgets(tmp_path: Path) -> None:
    n = Streaming()
    x = n.tensor((1, 2, 4), "int8", quantization=SCALE)
    graph = n.whole(x, *window(n, x))
    program = scheduled(graph)
    network = compiled(program, tmp_path, memory.plan(program))
    frames = list(noise(graph, 3))
    first, *_, last = network.frames([*frames, frames[0]])
    assert not np.array_equal(first[0], last[0])
    again = next(iter(network.frames(frames)))
    np.testing.assert_array_equal(again[0], first[0])


def test_the_default_backend_for_linux_is_the_one_that_can() -> None:
    """LiteRT's C library refuses an int8 LSTM, although its Python interpreter runs it."""
    graph = lstm(Form())
    (refused,) = unsupported(LiteRT(), graph, target.load("host"))
    assert "recurrent" in refused.reason
    for board in ("host", "rpi4", "rpi5"):
        backend, _ = compiling.backend_for(compiling.FIRST, graph, target.load(board))
        assert backend.name == "c99"
