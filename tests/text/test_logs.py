"""One line of what other programs print."""

from __future__ import annotations

import pytest

from edgekit.text.logs import first_error, last_line, lines


def test_blank_lines_are_left_out() -> None:
    assert lines("\n  a\n\t\n b \r\n") == ["a", "b"]
    assert lines(" \n") == []


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [("a\n bc \n\n", 200, "bc"), ("abcd", 3, "abc"), ("abc", 3, "abc"), ("\n \n", 3, "none"), ("", 200, "none")],
)
def test_the_last_line(text: str, most: int, expected: str) -> None:
    assert last_line(text, "none", most=most) == expected


def test_the_last_line_is_short_and_empty_where_nothing_is_said() -> None:
    assert last_line("x" * 201) == "x" * 200
    assert last_line("\n") == ""


def test_a_compilers_first_error() -> None:
    assert first_error("n.c: warning: w\nn.c:1: error: a\nn.c:2: error: b\n") == "n.c:1: error: a"
    assert first_error("\n killed\n") == "killed"
    assert first_error("x" * 201) == "x" * 200
