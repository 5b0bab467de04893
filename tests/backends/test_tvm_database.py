"""Tuning databases: what is kept, what is refused, what a kill leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit import target
from edgekit.backends.tvm import database
from edgekit.errors import UsageError

HOST, PI4, PI5 = (target.load(name) for name in ("host", "rpi4", "rpi5"))
TRIAL: dict[str, Any] = {"kernel": "conv {}", "choice": {"tile": [1, 8, 8]}, "us": 1.0, "rule_us": 2.0, "ratio": 0.5}


def test_keeps_trials_and_the_last_verdict(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    with database.opened(str(path), PI4) as base:
        base.add(TRIAL)
        base.add({"kernel": "conv {}", "verdict": {"tile": [1, 8, 8]}})
        base.add({"kernel": "pool {}", "verdict": {"trace": "[]"}})
        base.add({"kernel": "pool {}", "verdict": None})
    found = database.read(path, PI4)
    assert found.trials == [TRIAL]
    assert database.choices(str(path), PI4) == {"conv {}": {"tile": [1, 8, 8]}}


def test_the_rest_of_a_killed_write_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    with database.opened(str(path), PI4) as base:
        base.add(TRIAL)
    with path.open("a") as file:
        file.write('{"kernel": "conv {}", "choi')
    with database.opened(str(path), PI4) as base:
        assert base.trials == [TRIAL]
        base.add({**TRIAL, "us": 3.0})
    assert [trial["us"] for trial in database.read(path, PI4).trials] == [1.0, 3.0]


def test_another_processors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    with database.opened(str(path), PI4):
        pass
    for use in (lambda: database.choices(str(path), PI5), lambda: database.opened(str(path), PI5).__enter__()):
        with pytest.raises(UsageError, match="Cortex-A72, not for rpi5 \\(Cortex-A76\\)"):
            use()


def test_another_tvms_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({**database.identity(PI4).json(), "tvm": "0.1"}) + "\n")
    with pytest.raises(UsageError, match=r"made with TVM 0\.1"):
        database.read(path, PI4)


def test_same_core_with_other_features_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text(json.dumps({**database.identity(PI4).json(), "target": {"kind": "llvm"}}) + "\n")
    with pytest.raises(UsageError, match="with other features"):
        database.read(path, PI4)


def test_one_tuning_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "d.jsonl")
    with database.opened(path, PI4), pytest.raises(UsageError, match="another tuning"), database.opened(path, PI4):
        pass


def test_a_folder_holds_one_for_each_processor(tmp_path: Path) -> None:
    for board in (PI4, PI5, HOST):
        with database.opened(str(tmp_path), board) as base:
            base.add({"kernel": board.name, "verdict": {"tile": [1, 1, 1]}})
    assert len(list(tmp_path.iterdir())) == 3
    assert list(database.choices(str(tmp_path), PI5)) == ["rpi5"]


def test_what_is_named_must_be_there(tmp_path: Path) -> None:
    for where in (tmp_path, tmp_path / "none.jsonl"):
        with pytest.raises(UsageError, match="no tuning database for rpi4"):
            database.choices(str(where), PI4)
    (tmp_path / "a").write_bytes(b"\x00\xff\n\n")
    with pytest.raises(UsageError, match="is not a tuning database"):
        database.choices(str(tmp_path / "a"), PI4)
    assert database.choices(None, PI4) == {}


def test_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write to"), database.opened(str(tmp_path / "file" / "d"), PI4):
        pass


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*TRIAL, "verdict"]), inner),
    max_leaves=8,
)


@given(st.lists(JSON.map(json.dumps) | st.text(max_size=20), max_size=8))
@settings(max_examples=40)
def test_whatever_lines_there_are_only_ours_are_taken(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
) -> None:
    path = tmp_path_factory.mktemp("d") / "d.jsonl"
    head = json.dumps(database.identity(PI4).json())
    path.write_text("\n".join([head, *lines, ""]), encoding="utf-8", errors="replace")
    found = database.read(path, PI4)
    assert all(isinstance(t["kernel"], str) and isinstance(t["choice"], dict) for t in found.trials)
    assert all(isinstance(choice, dict) for choice in found.choices.values())
