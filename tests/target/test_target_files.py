"""The targets' files: complete, consistent, and a source for every figure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from edgekit import target

BOARDS = ["rpi4", "rpi5", "jetson-orin-nano-cpu"]


def numbers(data: dict[str, Any], path: str = "") -> Iterator[str]:
    """Dotted keys of all numbers."""
    for key, value in data.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, dict):
            yield from numbers(value, name)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name


def sourced(key: str, sources: dict[str, str]) -> bool:
    parts = key.split(".")
    return any(sources.get(".".join(parts[:n])) for n in range(1, len(parts) + 1))


@pytest.mark.parametrize("name", target.names())
def test_every_number_has_a_source(name: str) -> None:
    board = target.load(name)
    keys = [key for key in numbers(board.data) if key != "schema"]
    assert keys
    missing = [key for key in keys if not sourced(key, board.get("sources"))]
    assert not missing


@pytest.mark.parametrize("name", target.names())
def test_every_source_is_of_something(name: str) -> None:
    board = target.load(name)
    assert [key for key in board.get("sources") if board.get(key) is None] == []
    assert all(len(text) > 6 for text in board.get("sources").values())


@pytest.mark.parametrize("name", BOARDS)
def test_figures_are_consistent(name: str) -> None:
    board = target.load(name)
    assert board.arch == "aarch64" and {"emulator", "ssh"} <= set(board.runners)
    power = board.get("power")
    assert 0 < power["idle_w"] < power["one_core_w"] < power["all_cores_w"]
    assert board.get("memory.sustained_gbps") < board.get("memory.bandwidth_gbps")
    levels = [board.get(f"cache.{key}") for key in ("l1d", "l2", "l3") if board.get(f"cache.{key}")]
    assert [c["kib"] for c in levels] == sorted(c["kib"] for c in levels)
    assert [c["latency_cycles"] for c in levels] == sorted(c["latency_cycles"] for c in levels)
    assert all(c["kib"] * 1024 % (c["ways"] * c["line_bytes"]) == 0 for c in levels)
    assert 0 <= board.get("cycles.exposure") <= 1
