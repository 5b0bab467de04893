"""Talking to a sandboxed program: all bytes arrive, and its end is told with what it said."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from edgekit import sandbox
from edgekit.sandbox import conversation
from edgekit.sandbox.conversation import Conversation, Ended


@contextmanager
def shell(folder: Path, script: str, seconds: float = 30.0) -> Iterator[Conversation]:
    limits = sandbox.Limits(seconds=seconds, memory_mb=256, file_mb=16)
    with conversation.conversing(
        ["sh", "-c", script], folder=folder, limits=limits, env={"PATH": os.environ["PATH"]}
    ) as program:
        yield program


def answer(program: Conversation) -> bytes:
    """The first line that a program prints."""
    data = b""
    while not data.endswith(b"\n"):
        data += program.read(10)
    return data


def test_a_program_is_told_all_and_answers(tmp_path: Path) -> None:
    """More than a pipe holds, so that it is written in parts."""
    with shell(tmp_path, "head -c 300000 | cksum; read line; echo $line") as program:
        content = bytes(range(250)) * 1200
        program.write(content)
        expected = subprocess.run(["cksum"], input=content, capture_output=True, check=True).stdout
        assert answer(program) == expected
        assert program.read(0.05) == b""
        program.write(b"again\n")
        assert answer(program) == b"again\n"


def test_the_end_is_told_with_the_status_and_the_last_words(tmp_path: Path) -> None:
    script = "yes filling | head -c 5000 >&2; echo last words >&2; exit 3"
    with shell(tmp_path, script) as program, pytest.raises(Ended) as ended:
        program.read(20)
    assert ended.value.reason == "ended with status 3"
    assert ended.value.log.endswith("last words") and 3900 < len(ended.value.log) <= 4000


def test_nothing_is_written_to_what_has_ended(tmp_path: Path) -> None:
    with shell(tmp_path, "exit 0") as program, pytest.raises(Ended, match="ended with status 0"):
        for _ in range(100):
            program.write(b"x" * 100_000)
            time.sleep(0.01)


@pytest.mark.parametrize("way", ["read", "write"])
def test_a_conversation_has_an_end(tmp_path: Path, way: str) -> None:
    began = time.monotonic()
    with shell(tmp_path, "sleep 300", seconds=0.5) as program, pytest.raises(Ended, match=r"ran past 0.5 s"):
        for _ in range(10):
            _ = program.read(20) if way == "read" else program.write(b"x" * 100_000)  # type: ignore[func-returns-value]
    assert time.monotonic() - began < 15


def test_the_program_ends_with_the_conversation(tmp_path: Path) -> None:
    with shell(tmp_path, "echo started; sleep 300") as program:
        assert answer(program) == b"started\n"
        process = program._process
        assert process.poll() is None and process in sandbox._programs
    assert process.returncode is not None and process not in sandbox._programs
    assert process.stdin and process.stdin.closed and process.stdout and process.stdout.closed


def test_what_has_ended_is_not_ended_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = sandbox.Limits(seconds=30, memory_mb=256)
    process = sandbox.started([sys.executable, "-c", ""], folder=tmp_path, limits=limits, env=dict(os.environ))
    process.wait()
    monkeypatch.setattr(sandbox, "_end", None)
    sandbox.finished(process)
    assert process not in sandbox._programs
