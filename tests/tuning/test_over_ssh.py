"""Kernels are timed on a board over ssh: a stand-in for one, with qemu-user behind an ssh server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import edgekit
from edgekit.graph import tflite
from tests.installed import needed
from tests.networks.building import Pictures
from tests.runners.ssh_board import StandIn, reached

needed("tvm", "tvm")


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    with reached(monkeypatch) as found:
        yield found


@pytest.mark.slow
@pytest.mark.emulator
def test_a_board_times_kernels(board: StandIn, tmp_path: Path) -> None:
    n = Pictures()
    x = n.tensor((1, 8, 8, 4))
    n.conv(x, 16, (3, 3))
    (tmp_path / "n.tflite").write_bytes(tflite.dumps(n.all_results(x)))
    made = edgekit.tune(
        tmp_path / "n.tflite", target="rpi4", trials=2, on=f"ssh:{board.address}", database=str(tmp_path / "d.jsonl")
    )
    assert made.new == 2 and not made.interrupted
    (row,) = made.kernels
    assert row["failed"] == 0 and row["rule_us"] > 0 and row["best"] is not None
