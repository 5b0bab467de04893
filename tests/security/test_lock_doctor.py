"""``edgekit doctor`` locks a child, lets it try what is forbidden, and says what is missing and what that means."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator

import pytest

from edgekit import sandbox
from edgekit.api import doctor
from edgekit.api.doctor import Check
from edgekit.errors import ToolMissing
from edgekit.sandbox import lockdown, probe

pytestmark = pytest.mark.skipif(not all(lockdown.available().values()), reason="this kernel lacks a part of the lock")
LANE = 902


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Check]]:
    """The check, with children of a worker that has imported a module which breaks the lock."""

    def check(module: str) -> Check:
        monkeypatch.setattr(sandbox, "call", functools.partial(sandbox.call, preload=[module], lane=LANE))
        return doctor._lock()

    yield check
    sandbox.stop([LANE])


def test_the_lock_is_tried() -> None:
    check = doctor._lock()
    assert check.ok
    assert check.detail == f"in force: a child process tried {len(probe.FEW)} forbidden things, and all were refused"
    assert len(probe.FEW) >= 10


def test_without_landlock_files_are_open(checked: Callable[[str], Check]) -> None:
    check = checked("tests.security.lock_without_files")
    assert not check.ok and check.essential
    assert check.detail.startswith("missing: Landlock for /")
    assert "a child process could read a file of the user's, write to a file of the user's" in check.detail
    assert "connection" not in check.detail and "change its mode" not in check.detail
    assert "a hostile model can read and change your files" in check.without
    assert "--no-sandbox" in check.without


def test_without_the_filter_calls_are_open(checked: Callable[[str], Check]) -> None:
    check = checked("tests.security.lock_without_calls")
    assert not check.ok
    assert check.detail.startswith("missing: seccomp's filter")
    assert "change its mode" in check.detail and "talk to local services" in check.detail
    assert "read a file" not in check.detail
    assert "reach the network" in check.without


def test_a_child_that_does_not_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise ToolMissing("no room", "")

    monkeypatch.setattr(sandbox, "call", fails)
    check = doctor._lock()
    assert not check.ok
    assert check.detail == "no child process could be sandboxed: no room"


def test_who_does_without_the_lock_is_not_told_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, sandbox.WITHOUT, "1")
    assert not doctor._lock().essential


@pytest.mark.parametrize(
    ("missing", "meaning"),
    [("capabilities", "keeps the privileges"), ("no_new_privs", "gain privileges"), ("seccomp for ptrace", "network")],
)
def test_each_part_has_a_meaning(monkeypatch: pytest.MonkeyPatch, missing: str, meaning: str) -> None:
    answer = {"missing": [missing], "tried": {"start a program": False}}
    monkeypatch.setattr(doctor, "_tried", lambda: answer)
    check = doctor._lock()
    assert check.detail == f"missing: {missing}"
    assert meaning in check.without
