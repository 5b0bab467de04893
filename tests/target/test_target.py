"""Reading targets: by name, by file, by dotted key; wrong ones are refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit import target
from edgekit.errors import UsageError

GOOD = """
schema = 1
name = "board"
kind = "linux"
description = "a board"
arch = "aarch64"
backends = ["litert"]
runners = ["emulator"]
[cpu]
cores = 2
clock_mhz = 1000
macs_per_cycle = {float32 = 4}
[memory]
bandwidth_gbps = 10
sustained_gbps = 5
latency_ns = 100
[power]
one_core_w = 2
all_cores_w = 3
[cycles]
exposure = 0.5
fork_join_us = 10
"""


@pytest.mark.parametrize("name", target.names())
def test_every_target_loads(name: str) -> None:
    board = target.load(name)
    assert board.name == name
    assert board.description
    assert board.backends
    assert board.runners


def test_the_targets_of_the_readme_are_there() -> None:
    assert {"host", "rpi4", "rpi5", "jetson-orin-nano-cpu"} <= set(target.names())


def test_dotted_keys(tmp_path: Path) -> None:
    (tmp_path / "board.toml").write_text(GOOD)
    board = target.read(tmp_path / "board.toml")
    assert board.get("cpu.clock_mhz") == 1000
    assert board.get("cpu.features") is None
    assert board.get("cpu.clock_mhz.nothing", 7) == 7
    assert board.get("nothing.at.all", "x") == "x"


@pytest.mark.parametrize(("name", "suggested"), [("rpi-4", "rpi4"), ("raspi5", "rpi5"), ("jetson", "jetson")])
def test_an_unknown_name_suggests_the_nearest(name: str, suggested: str) -> None:
    with pytest.raises(UsageError) as caught:
        target.load(name)
    assert name in caught.value.message
    assert suggested in caught.value.hint


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (GOOD.replace("schema = 1", "schema = 2"), "schema must be 1"),
        (GOOD.replace('"board"', '"other"'), "name must be 'board'"),
        (GOOD.replace('arch = "aarch64"\n', ""), "arch"),
        ("this is not toml", "not a target"),
        ("", "not a target"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, wrong: str, said: str) -> None:
    (tmp_path / "board.toml").write_text(wrong)
    with pytest.raises(UsageError) as caught:
        target.read(tmp_path / "board.toml")
    assert said in caught.value.message
    assert "board.toml" in caught.value.message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not a target"):
        target.read(tmp_path / "none.toml")
