"""The targets' files: complete, consistent, and a source for every figure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest

from edgekit import resources, target
from edgekit.target.power import CorePower

BOARDS = ["rpi4", "rpi5", "jetson-orin-nano-cpu"]


def document(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.folder("targets") / f"{name}.toml").read_text())


def value(data: Any, key: str) -> Any:
    for part in key.split("."):
        data = data.get(part) if isinstance(data, dict) else None
    return data


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
    data = document(name)
    keys = [key for key in numbers(data) if key != "schema"]
    assert keys
    missing = [key for key in keys if not sourced(key, data["sources"])]
    assert not missing


@pytest.mark.parametrize("name", target.names())
def test_every_source_is_of_something(name: str) -> None:
    data = document(name)
    assert [key for key in data["sources"] if value(data, key) is None] == []
    assert all(len(text) > 6 for text in data["sources"].values())


@pytest.mark.parametrize("name", BOARDS)
def test_figures_are_consistent(name: str) -> None:
    board = target.load(name)
    assert board.arch == "aarch64" and {"emulator", "ssh"} <= set(board.runners)
    power, levels, cycles = board.power, board.cache.data, board.cycles
    assert isinstance(power, CorePower) and power.idle_w is not None and cycles is not None
    assert 0 < power.idle_w < power.one_core_w < power.all_cores_w
    assert board.memory.sustained_gbps < board.memory.bandwidth_gbps
    assert len(levels) >= 2 and [c.kib for c in levels] == sorted(c.kib for c in levels)
    assert [c.latency_cycles for c in levels] == sorted(c.latency_cycles or 0 for c in levels)
    assert all(c.kib * 1024 % (c.ways * c.line_bytes) == 0 for c in levels)  # type: ignore[operator]
    assert 0 <= cycles.exposure <= 1
