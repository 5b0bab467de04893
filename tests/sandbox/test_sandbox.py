"""The sandbox: what a child may do, and what becomes of one that does something else."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from edgekit import sandbox
from edgekit.errors import ModelError, UsageError
from edgekit.sandbox import lockdown

TASKS = "tests.sandbox.tasks"
QUICK = sandbox.Limits(seconds=2, memory_mb=1024, file_mb=16)


def call(task: str, **args: object) -> object:
    return sandbox.call(f"{TASKS}:{task}", args, limits=QUICK)


def test_json_and_arrays_go_both_ways(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # a folder of our own: other tests run beside this one
    value, arrays = sandbox.call(f"{TASKS}:double", {"say": "hi"}, {"a": np.arange(3, dtype=np.int8)})
    assert value == {"said": "hi"}
    np.testing.assert_array_equal(arrays["a"], [0, 2, 4])
    assert list(tmp_path.iterdir()) == []


def test_what_a_task_prints_is_no_answer() -> None:
    assert [call("chatter")[0] for _ in range(2)] == [{"done": True}] * 2  # type: ignore[index]


def test_what_a_module_prints_is_no_answer() -> None:
    command = [sys.executable, "-m", "edgekit.sandbox.worker", "tests.sandbox.loud", "no.such.module"]
    done = subprocess.run(command, input="", capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", '{"exit": 7}\n')


def test_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, pytest.raises(ModelError, match="not permitted"):
        call("connect", port=server.getsockname()[1])


def test_network_where_it_is_granted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sandbox.call(
            f"{TASKS}:connect", {"port": server.getsockname()[1]}, limits=sandbox.Limits(seconds=5, network=True)
        )


def test_a_further_folder_can_be_writable(tmp_path: Path) -> None:
    sandbox.call(f"{TASKS}:write", {"path": str(tmp_path / "x")}, limits=QUICK, writable=[tmp_path])
    assert (tmp_path / "x").read_text() == "escaped"


def test_a_task_tells_how_far_it_is() -> None:
    heard: list[tuple[int, float]] = []

    def listen(message: dict[str, object]) -> None:
        heard.append((int(str(message["number"])), time.monotonic()))

    sandbox.call(f"{TASKS}:talk", {"count": 5, "pause": 0.3}, limits=sandbox.Limits(seconds=10), listen=listen)
    assert [number for number, _ in heard] == [0, 1, 2, 3, 4]
    assert heard[-1][1] - heard[0][1] > 0.5  # not all at the end


def test_lanes_run_at_the_same_time() -> None:
    began: dict[int, float] = {}
    ended: dict[int, float] = {}

    def run(lane: int) -> None:
        def listen(message: dict[str, object]) -> None:
            began.setdefault(lane, time.monotonic())

        sandbox.call(f"{TASKS}:talk", {"count": 2, "pause": 0.7}, limits=QUICK, lane=lane, listen=listen)
        ended[lane] = time.monotonic()

    threads = [threading.Thread(target=run, args=(lane,)) for lane in (1, 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(began.values()) < min(ended.values())


def test_no_writes_outside(tmp_path: Path) -> None:
    if not lockdown.available()["landlock"]:
        pytest.skip("this kernel has no Landlock")
    with pytest.raises(ModelError, match="Permission denied"):
        call("write", path=str(tmp_path / "x"))
    assert not (tmp_path / "x").exists()


def test_no_programs() -> None:
    with pytest.raises(ModelError, match="not permitted"):
        call("execute")


@pytest.mark.parametrize(
    ("task", "words"), [("crash", "SIGSEGV"), ("leave", "status 7"), ("hang", "past 2 s"), ("spin", "past")]
)
def test_deaths_are_told(task: str, words: str) -> None:
    with pytest.raises(sandbox.ChildDied, match=words):
        call(task)
    value, _ = sandbox.call(f"{TASKS}:double", {"say": "still here"})
    assert value == {"said": "still here"}


def test_memory_is_bounded() -> None:
    with pytest.raises(ModelError, match="memory"):
        call("allocate")


def test_files_are_bounded() -> None:
    with pytest.raises((ModelError, sandbox.ChildDied)):
        call("fill")


def test_errors_cross_the_border() -> None:
    with pytest.raises(UsageError, match="that is wrong") as caught:
        call("refuse")
    assert caught.value.hint == "do this"
    with pytest.raises(ModelError, match="ZeroDivisionError: oops"):
        call("fail")


def test_many_threads_share_a_worker() -> None:
    results: list[int] = []

    def work(number: int) -> None:
        _, arrays = sandbox.call(f"{TASKS}:double", {"say": ""}, {"a": np.array([number])})
        results.append(int(arrays["a"][0]))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [0, 2, 4, 6, 8, 10, 12, 14]


def test_programs_run_locked(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    inside.mkdir()
    outside.mkdir()
    script = f"echo hello; touch {inside}/yes; touch {outside}/no"
    result = sandbox.run_program(["sh", "-c", script], folder=inside, limits=QUICK)
    assert "hello" in result.stdout
    assert (inside / "yes").exists()
    assert not (outside / "no").exists() or not lockdown.available()["landlock"]


def test_programs_end_in_time(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(sandbox.ChildDied, match=r"past 0\.5 s"):
        sandbox.run_program(["sleep", "60"], folder=tmp_path, limits=sandbox.Limits(seconds=0.5))
    assert time.monotonic() - start < 30


def test_children_do_not_outlive_their_parent(tmp_path: Path) -> None:
    """Kill the parent without mercy: its worker and the worker's child go too."""
    code = (
        "from edgekit import sandbox, errors\nimport sys\n"
        f"sandbox.warm(())\nprint(sandbox._worker(())._process.pid, flush=True)\n"
        f"sandbox.call('{TASKS}:hang', {{}})"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    worker = int(parent.stdout.readline())
    time.sleep(1.0)
    parent.kill()
    parent.wait()
    for _ in range(100):
        if not os.path.exists(f"/proc/{worker}"):
            return
        state = Path(f"/proc/{worker}/stat").read_text().split()[2]
        if state == "Z":
            return
        time.sleep(0.1)
    pytest.fail("the worker is still running")
