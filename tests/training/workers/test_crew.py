"""Who trains together, what must be the same on all of them, and who is blamed when it fails."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Any

import pytest

from edgekit.errors import DeviceError, ModelError, ToolMissing, UsageError
from edgekit.sandbox import ChildDied
from edgekit.training import workers
from edgekit.training.workers import versions
from edgekit.transport.ssh import Address


def test_a_number_is_processes_of_this_machine() -> None:
    assert workers.parse("1") == [None]
    assert workers.parse(" 3 ") == [None, None, None]


def test_names_are_hosts() -> None:
    assert workers.parse("pi@one:2222, two,ssh://me@three") == [
        Address("pi", "one", 2222),
        Address("", "two", None),
        Address("me", "three", None),
    ]
    assert workers.parse("[::1]:22") == [Address("", "::1", 22)]


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        ("0", "must be 1 to 64"),
        ("-1", "must be 1 to 64"),
        ("65", "must be 1 to 64"),
        ("", "'' is not user@host"),
        ("a,,b", "'' is not user@host"),
        ("a,", "'' is not user@host"),
        ("2,host", "cannot be mixed"),
        ("host,2", "cannot be mixed"),
        ("a b", "'a b' is not user@host"),
        ("-oProxyCommand=x", "is not user@host"),
        ("host:0", "'host:0' is not user@host"),
        ("u@h/path", "is not user@host"),
        (",".join(["h"] * 65), "65 hosts; the limit is 64"),
    ],
)
def test_nonsense_is_refused(spec: str, what: str) -> None:
    with pytest.raises(UsageError, match="--workers") as caught:
        workers.parse(spec)
    assert what in caught.value.message and "\n" not in caught.value.message


MINE = {"edgekit": "0.1.0", "tensorflow": "2.21.0", "files": "abc"}


def test_the_same_versions_are_fine() -> None:
    versions.check("host", dict(MINE), MINE)
    found = versions.here()
    versions.check("host", found, versions.here())
    assert set(found) == set(MINE) and len(found["files"]) == 16


@pytest.mark.parametrize(
    ("other", "what"),
    [
        ({"tensorflow": ""}, "host has no TensorFlow"),
        ({"tensorflow": "2.20.0"}, "host has TensorFlow 2.20.0, and this machine 2.21.0"),
        ({"edgekit": "0.0.9", "files": "x"}, "host has edgekit 0.0.9, and this machine 0.1.0"),
        ({"files": "x"}, "edgekit 0.1.0 on host differs from the one on this machine"),
    ],
)
def test_other_versions_are_refused(other: dict[str, str], what: str) -> None:
    with pytest.raises(ToolMissing, match=what) as caught:
        versions.check("host", MINE | other, MINE)
    assert caught.value.hint


def ended(error: BaseException) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future


LOST = ModelError("UnavailableError: {{node CollectiveReduceV2}} recvmsg:Connection reset by peer")


@pytest.mark.parametrize(
    "cause",
    [
        ChildDied("crashed (SIGSEGV)", ""),
        DeviceError("the connection to b broke"),
        ModelError("training diverged in epoch 1: the loss is not a number"),
        ModelError("ResourceExhaustedError: OOM when allocating"),
    ],
)
def test_the_one_that_failed_by_itself_is_blamed(cause: BaseException) -> None:
    assert workers._cause([ended(LOST), ended(cause), ended(LOST)], 0) == (1, cause)


def test_it_is_waited_for_the_one_that_failed_by_itself() -> None:
    late: Future[Any] = Future()
    assert workers._cause([late, ended(LOST)], 0.05) == (1, LOST)
    late.set_exception(ChildDied("was killed", ""))
    assert workers._cause([late, ended(LOST)], 0.05)[0] == 0


def test_a_worker_that_keeps_the_others_waiting_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(workers.time, "monotonic", lambda: now)
    told: list[dict[str, Any]] = []
    start = workers._Start(2)
    first, second = start.listener(0, told.append), start.listener(1, told.append)
    now = 1e6
    assert start.late() is None  # their shards are still on the way
    for listener in (first, second):
        listener({"reached": "worker"})
    first({"reached": "tensorflow"})
    now += workers.PATIENCE - 1
    assert start.late() is None
    now += 2
    assert start.late() == 1
    for stage in ("tensorflow", "the others"):
        first({"reached": stage})
        second({"reached": stage})
    now += 1e6
    assert start.late() is None  # all train
    first({"done": 1})
    second({"done": 1})
    assert told == [{"done": 1}]
