"""Reading targets: by name, by file; wrong ones are refused in one line."""

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
TIMED = GOOD.replace('["emulator"]', '["ssh"]')


@pytest.mark.parametrize("name", target.names())
def test_every_target_loads(name: str) -> None:
    board = target.load(name)
    assert board.name == name
    assert board.description
    assert board.backends
    assert board.runners


def test_the_targets_of_the_readme_are_there() -> None:
    assert {"host", "rpi4", "rpi5", "jetson-orin-nano-cpu"} <= set(target.names())


def test_what_a_file_leaves_out(tmp_path: Path) -> None:
    (tmp_path / "board.toml").write_text(GOOD + "[of.others]\nkey = 1\n")
    board = target.read(tmp_path / "board.toml")
    assert board.processor.clock_mhz == 1000 and board.processor.hertz == 1e9
    assert board.processor.features == () and board.processor.id is None and board.delegates == ()
    assert board.processor.macs_per_cycle.integer == 4
    assert board.power.scope == "board_supply" and board.power.uncertainty == 0.5
    assert board.cache.data == () and board.cache.last_level_bytes == 0 and board.accelerator is None
    with pytest.raises(UsageError, match="the target board has no table gpu"):
        _ = board.graphics


def test_powers_lie_between_those_of_one_core_and_of_all() -> None:
    cores = target.load("rpi4").power
    assert [cores.watts(threads, 4) for threads in (0, 1, 4, 9)] == [4.0, 4.0, 6.4, 6.4]
    assert cores.watts(2, 4) == pytest.approx(4.8)
    assert cores.watts(3, 1) == 4.0
    assert target.load("jetson-orin-nano").power.watts(4, 1) == 12.0


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
        (GOOD.replace('arch = "aarch64"\n', ""), "arch is missing"),
        (GOOD.replace('"linux"', '"server"'), "kind is 'server', not one of linux, gpu, phone, accelerator"),
        (GOOD.replace('["litert"]', '"litert"'), "backends is 'litert', not a list"),
        (GOOD.replace('["litert"]', "[1]"), "backends is 1, not a text"),
        (GOOD.replace("[cpu]", "[cpu]\ncore = 72"), "cpu.core is 72, not a text"),
        (TIMED + "[cache]\nl2 = 5\n", "cache.l2 is 5, not a table"),
        (GOOD + "[cache.l1d]\nkib = 32\nways = 2\n", "cache.l1d.line_bytes is missing: length of a line, bytes"),
        (GOOD + "[cache.l2]\nkib = 1\nways = 2\nline_bytes = 64\n", "cache.l2.latency_cycles is missing"),
        (TIMED + "[cache.l2]\nshared = 1\n", "cache.l2.kib is missing: size, KiB"),
        (TIMED + "[cache.l2]\nkib = 1\nshared = 1\n", "cache.l2.shared is 1, not true or false"),
        (GOOD + "[cycles.cpi]\nload = '1'\n", "cycles.cpi.load is '1', not a number"),
        (GOOD.replace('["emulator"]', '"emulator"'), "runners is 'emulator', not a list"),
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


@pytest.mark.parametrize("name", ["", "../targets/rpi4", "rpi4.toml", "rpi4\0", "a" * 5000])
def test_what_names_no_target(name: str) -> None:
    with pytest.raises(UsageError) as caught:
        target.load(name)
    assert caught.value.message.startswith("there is no target named ") and len(caught.value.message) < 120
