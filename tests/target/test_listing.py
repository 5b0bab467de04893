"""Lists of targets read the beginning of each file and say the same as the whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit import target
from edgekit.errors import UsageError
from edgekit.target import listing

HEAD = """schema = 1
name = "board"
kind = "linux"
description = "a board"
arch = "aarch64"
backends = ["litert"]
runners = ["ssh"]
"""


@pytest.mark.parametrize("board", target.listed(), ids=lambda board: board.name)
def test_a_list_says_what_the_file_says(board: target.Listed) -> None:
    whole = target.load(board.name)
    assert {key: getattr(whole, key) for key in vars(board)} == vars(board)


def test_all_targets_are_listed() -> None:
    assert [board.name for board in target.listed()] == target.names()


def read(folder: Path, text: str) -> target.Listed:
    path = folder / "board.toml"
    path.write_text(text)
    return listing.read(path)


def test_tables_are_not_looked_at(tmp_path: Path) -> None:
    assert read(tmp_path, HEAD + "\n  [cpu] # a table\ncores = 1\n[cpu\n").runners == ("ssh",)


@pytest.mark.parametrize(
    "description",
    [
        '"""a board\n[of.ours]\n"""',
        "'''a board\n[of.ours]\n'''",
        '"a board"\nlists = [\n[1],\n[2]\n]',
        '"a board"\nlists = [\n[\n1]]',
    ],
)
def test_what_looks_like_a_table_in_a_value(tmp_path: Path, description: str) -> None:
    board = read(tmp_path, HEAD.replace('"a board"', description) + "[cpu]\n")
    assert board.description.startswith("a board") and board.backends == ("litert",)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('arch = "aarch64"\n', "", "arch is missing"),
        ('"linux"', '"submarine"', "kind is 'submarine', not one of linux"),
        ('["ssh"]', '"ssh"', "runners is 'ssh', not a list"),
        ('name = "board"', 'name = "other"', "name must be 'board'"),
        ('"a board"', '"a board', "Illegal character"),
        ('"a board"', '"a \\ud800 board"', "Escaped character is not a Unicode scalar value"),
        ("schema = 1", "a" + ".a" * 60 + " = 1", "it has a key of over 50 parts"),
        ("schema = 1", "schema = " + "[" * 50000, "it is nested too deeply"),
        ("schema = 1", "#" * (300 << 10), "it is larger than 256 KiB"),
    ],
)  # fmt: skip
def test_a_damaged_head_is_refused_in_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, HEAD.replace(old, new))
    assert f"board.toml: not a target: {message}" in refused.value.message and "\n" not in refused.value.message


def test_text_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_bytes(HEAD.encode() + b"\xff")
    with pytest.raises(UsageError, match="not a target"):
        listing.read(path)
