"""What a child's end is called, what its answers may look like, what it knows of the world."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pytest

from edgekit import errors, sandbox
from edgekit.errors import ModelError, ToolMissing, UsageError
from edgekit.sandbox import Limits, answers, environment, tree


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"timeout": True}, "ran past 2.5 s"), ({"timeout": True, "signal": 9}, "ran past 2.5 s"),
        ({"signal": int(signal.SIGKILL)}, "was killed: it ran past its limits of time or memory"),
        ({"signal": int(signal.SIGXCPU)}, "was killed: it ran past its limits of time or memory"),
        ({"signal": int(signal.SIGSEGV)}, "crashed (SIGSEGV)"), ({"signal": 250}, "crashed (signal 250)"),
        ({"exit": 3}, "ended with status 3"), ({}, "ended with status None"),
    ],
)  # fmt: skip
def test_how_a_child_ended(status: dict[str, Any], words: str) -> None:
    assert sandbox._reason(status, Limits(seconds=2.5)) == words
    died = sandbox.ChildDied(words, "log")
    assert died.message == f"the child process {words}" and (died.reason, died.log) == (words, "log")
    assert died.exit_code == ModelError.exit_code


@pytest.mark.parametrize("kind", sorted(errors.BY_NAME))
def test_errors_cross_with_their_class(kind: str) -> None:
    found = sandbox.rebuilt({"kind": kind, "message": "m", "hint": "h"})
    assert type(found).__name__ == kind and (found.message, found.hint) == ("m", "h")


def test_unknown_errors_are_the_models() -> None:
    found = sandbox.rebuilt({"kind": "SystemExit"})
    assert type(found) is ModelError and (found.message, found.hint) == ("", "")


def test_the_end_of_a_log(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"0123456789\n")
    assert sandbox._tail(tmp_path, "log") == "0123456789"
    assert sandbox._tail(tmp_path, "log", 4) == "789"
    assert sandbox._tail(tmp_path, "log", 11) == "0123456789"
    assert sandbox._tail(tmp_path, "none") == ""
    (tmp_path / "link").symlink_to(tmp_path / "log")
    assert sandbox._tail(tmp_path, "link") == ""


def test_messages_are_handed_on_once_and_whole(tmp_path: Path) -> None:
    heard: list[dict[str, Any]] = []
    messages = sandbox._Messages(tmp_path, heard.append)
    messages()
    sandbox.tell(tmp_path, {"n": 1})
    messages()
    messages()
    assert heard == [{"n": 1}]
    with (tmp_path / "messages").open("a") as file:
        file.write('{"n": 2}\n[3]\nnonsense\n{"n"')
    messages()
    assert heard == [{"n": 1}, {"n": 2}]
    with (tmp_path / "messages").open("a") as file:
        file.write(": 4}\n")
    messages()
    assert heard[-1] == {"n": 4}


def test_a_message_without_an_end_is_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[dict[str, Any]] = []
    monkeypatch.setattr(sandbox, "_MESSAGE_BYTES", 8)
    messages = sandbox._Messages(tmp_path, heard.append)
    for text, expected in (('{"a": 1', 0), ("}\n", 1), ('{"b": 123', 1), ("}\n", 1), ('{"c": 1}\n', 2)):
        with (tmp_path / "messages").open("a") as file:
            file.write(text)
        messages()
        assert len(heard) == expected


def test_only_the_user_can_do_without_the_lock(monkeypatch: pytest.MonkeyPatch) -> None:
    for value, required in ((None, True), ("", True), ("0", True), ("yes", True), ("1", False)):
        monkeypatch.delenv(sandbox.WITHOUT, raising=False)
        if value is not None:
            monkeypatch.setenv(sandbox.WITHOUT, value)
        assert sandbox.required() is required
    error = sandbox.unlocked("Landlock")
    assert isinstance(error, ToolMissing) and "Landlock cannot be set" in error.message and "--no-sandbox" in error.hint


# Answers


class Inner(TypedDict):
    size: int


class Form(TypedDict):
    name: str
    inner: NotRequired[Inner]


@pytest.mark.parametrize(
    ("value", "form", "good"),
    [
        (1, int, True), (True, int, False), (1.0, int, False), (1, float, True), (1.5, float, True),
        (True, float, False), ("1", float, False), (True, bool, True), (1, bool, False), ("a", str, True),
        (None, None, True), (0, None, False), (None, type(None), True), ({}, Any, True), (b"", str, False),
        ([1, 2], list[int], True), ([1, "2"], list[int], False), ((1, 2), list[int], False), ([], list[int], True),
        ({"a": 1}, dict[str, int], True), ({"a": "1"}, dict[str, int], False), ([], dict[str, int], False),
        ([1, "a"], tuple[int, str], True), ([1], tuple[int, str], False), ([1, "a", 2], tuple[int, str], False),
        (["a", 1], tuple[int, str], False), (1, int | str, True), ("a", int | str, True), (1.5, int | str, False),
        (None, int | None, True), ([[1], None], list[list[int] | None], True), ([["a"]], list[list[int] | None], False),
        ({"name": "a"}, Form, True), ({"name": "a", "more": 1}, Form, True), ({}, Form, False), ([], Form, False),
        ({"name": 1}, Form, False), ({"name": "a", "inner": {"size": 1}}, Form, True),
        ({"name": "a", "inner": {}}, Form, False), ({"name": "a", "inner": {"size": "1"}}, Form, False),
    ],
)  # fmt: skip
def test_forms_of_answers(value: Any, form: Any, good: bool) -> None:
    if good:
        assert answers.checked(value, form) is value
        return
    with pytest.raises(ModelError, match=answers.DAMAGED):
        answers.checked(value, form)


@pytest.mark.parametrize(
    ("value", "form", "place"),
    [
        ({"name": 1}, Form, ": name"), ({}, Form, ": it lacks name"),
        ([{"name": "a"}, {}], list[Form], ": [] lacks name"),
        ({"name": "a", "inner": {"size": "1"}}, Form, ": inner.size"),
        ({"x": {"y": "1"}}, dict[str, dict[str, int]], ": .*.*"),
        (1, str, ""),
    ],
)  # fmt: skip
def test_the_place_that_has_another_form_is_named(value: Any, form: Any, place: str) -> None:
    with pytest.raises(ModelError) as caught:
        answers.checked(value, form)
    assert caught.value.message == answers.DAMAGED + place


def test_arrays_that_are_not_there() -> None:
    arrays = answers.Arrays(a=1)
    assert arrays["a"] == 1 and "b" not in arrays
    with pytest.raises(ModelError, match="no array b"):
        arrays["b"]


@pytest.mark.parametrize("error", [AssertionError, ZeroDivisionError, AttributeError, KeyError, TypeError, ValueError])
def test_answers_that_contradict_themselves(error: type[Exception]) -> None:
    with pytest.raises(ModelError, match=f"{error.__name__}: .*x"), answers.consistent():
        raise error("x")
    with pytest.raises(RuntimeError), answers.consistent():
        raise RuntimeError
    with pytest.raises(UsageError), answers.consistent():
        raise UsageError("m")


# The environment


def test_what_a_child_may_know() -> None:
    source = {
        "HOME": "/h", "LC_ALL": "C", "AWS_SECRET": "s", "PYTHONPATH": ".", "PYTHONHASHSEED": "0", "http_proxy": "p",
        "PATH": "bin:/usr/bin::./x:/bin", "LD_LIBRARY_PATH": ".:lib", "EDGEKIT_CACHE": "/c",
    }  # fmt: skip
    assert environment.clean(source, EXTRA="1", HOME="/other") == {
        "HOME": "/other", "LC_ALL": "C", "PYTHONHASHSEED": "0", "PATH": "/usr/bin:/bin", "EDGEKIT_CACHE": "/c",
        "EXTRA": "1",
    }  # fmt: skip
    assert environment.clean({}) == {"PATH": os.defpath}


def test_folders_that_python_imports_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = str(Path(sandbox.__file__).resolve().parents[2])
    (tmp_path / "link").symlink_to(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", ".", "lib", str(tmp_path), str(tmp_path / "link"), "/somewhere"])
    assert environment.imports() == ["/somewhere", own]
    monkeypatch.setattr(sys, "path", [own, "/somewhere"])
    assert environment.imports() == [own, "/somewhere"]
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert environment.imports() == [own, "/somewhere"]
    command = environment.python("edgekit.x", "a", "b")
    assert (
        command[0] == sys.executable
        and command[1] == "-I"
        and command[3:] == [f"{own}:/somewhere", "edgekit.x", "a", "b"]
    )


def test_what_a_program_may_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder around it and what it is a link to, but never one that holds the user's home."""
    monkeypatch.setenv("HOME", str(tmp_path / "home" / "user"))
    for name in ("tool/bin", "real/bin", "home/user/bin"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("real/bin/cc", "tool/alone", "home/user/bin/own"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "tool/bin/cc").symlink_to(tmp_path / "real/bin/cc")
    assert environment.program(str(tmp_path / "tool/bin/cc")) == [str(tmp_path / "real"), str(tmp_path / "tool")]
    assert environment.program(str(tmp_path / "tool/alone")) == [str(tmp_path / "tool/alone")]
    assert environment.program(str(tmp_path / "home/user/bin/own")) == []
    assert environment.program("no-such-program") == []
    monkeypatch.setenv("PATH", str(tmp_path / "tool/bin"))
    assert environment.program("cc") == [str(tmp_path / "real"), str(tmp_path / "tool")]
    readable = environment.readable()
    assert os.path.realpath(sys.prefix) in readable and readable == sorted(set(readable))
    assert str(Path(sandbox.__file__).resolve().parents[1]) in readable and "/" not in readable


# Processes


SLEEPER = "import subprocess, sys, time; {more} time.sleep(60)"


def test_everything_below_a_process_is_found_and_killed() -> None:
    one = f"subprocess.Popen([sys.executable, '-c', {SLEEPER.format(more='')!r}])"
    inner = f"[{one} for _ in range(2)]; print(1, flush=True);"
    outer = subprocess.Popen([sys.executable, "-c", SLEEPER.format(more=inner)], stdout=subprocess.PIPE)
    try:
        assert outer.stdout and outer.stdout.readline()
        found = tree.below(os.getpid())
        assert outer.pid in found and len(tree.below(outer.pid)) == 2
        assert set(tree.below(outer.pid)) <= set(found) and os.getpid() not in found
        assert sorted(tree._below_by_parents(outer.pid)) == sorted(tree.below(outer.pid))
        inside = tree.below(outer.pid)
        size = sum(tree.resident(pid) for pid in inside)
        assert size > 2 << 20 and size % os.sysconf("SC_PAGESIZE") == 0
        assert tree.too_much(outer.pid, 1 << 20) and not tree.too_much(outer.pid, size)
        assert 0 < tree._share(inside[0]) <= tree.resident(inside[0])
        tree.kill(outer.pid, 5.0)
        end = time.monotonic() + 5
        while any(_runs(pid) for pid in inside) and time.monotonic() < end:
            time.sleep(0.01)
        assert not any(_runs(pid) for pid in inside) and outer.poll() is None
    finally:
        outer.kill()
        outer.wait()
        outer.stdout.close()  # type: ignore[union-attr]


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_process_that_is_gone_takes_nothing() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    assert tree.resident(process.pid) == 0 and tree.below(process.pid) == [] and tree._share(process.pid) == 0
    tree.kill(process.pid)


def test_too_many_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert tree.MOST == 256 and tree.SLACK == 1 << 30
    monkeypatch.setattr(tree, "resident", lambda pid: 100)
    monkeypatch.setattr(tree, "_share", lambda pid: 10)
    for count, memory, much in ((256, 10**9, False), (257, 10**9, True), (10, 1000, False), (10, 99, True),
                                (10, 100, False), (10, 999, False)):  # fmt: skip
        monkeypatch.setattr(tree, "below", lambda root, count=count: list(range(count)))
        assert tree.too_much(1, memory) == much


def test_limits_that_hold_unless_others_are_given() -> None:
    assert json.loads(json.dumps(vars(Limits()))) == {
        "seconds": 120.0, "memory_mb": 4096, "file_mb": 2048, "network": False, "modes": False,
    }  # fmt: skip
