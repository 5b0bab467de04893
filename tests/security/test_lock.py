"""What the lock refuses: every attempt of the probe, in a task and in a program, as root and as an ordinary user."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgekit import sandbox
from edgekit.errors import ToolMissing
from edgekit.sandbox import landlock, lockdown, probe, seccomp, tree

PROBE = str(Path(probe.__file__))
ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not all(lockdown.available().values()), reason="this kernel lacks a part of the lock")


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[tuple[str, int]]:
    """A file of the user's in a folder of its own, and a process that ends at any signal."""
    folder = tmp_path / "theirs"
    (folder / "empty").mkdir(parents=True)
    path = folder / "secret"
    path.write_text("kept")
    process = subprocess.Popen(["sleep", "600"])
    yield str(path), process.pid
    assert process.poll() is None
    assert path.read_text() == "kept"
    assert sorted(p.name for p in folder.iterdir()) == ["empty", "secret"]
    process.kill()
    process.wait()


def test_there_are_enough_attempts_and_the_page_lists_them() -> None:
    assert sum(map(len, probe.GROUPS.values())) >= 100
    assert probe.table() in (ROOT / "docs" / "security.md").read_text()


def test_a_task_can_do_none_of_it(victim: tuple[str, int]) -> None:
    path, pid = victim
    found, _ = sandbox.call("edgekit.sandbox.probe:task", {"path": path, "pid": pid})
    assert [name for name, succeeded in found.items() if succeeded] == []


def test_a_program_can_do_none_of_it(victim: tuple[str, int], tmp_path: Path) -> None:
    path, pid = victim
    (tmp_path / "in").mkdir()
    done = sandbox.run_program([sys.executable, "-I", PROBE, path, str(pid)], folder=tmp_path / "in")
    found = json.loads(done.stdout)
    assert [name for name, succeeded in found.items() if succeeded] == []


def test_without_the_lock_the_attempts_succeed(victim: tuple[str, int], tmp_path: Path) -> None:
    """Else they would prove nothing. Some need root, a terminal or another kernel."""
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / "empty").mkdir()
    (folder / "secret").write_text("")
    names = [name for name in (*probe.FILES, *probe.PROCESSES, *probe.KERNEL) if "kill" not in name]
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom edgekit.sandbox import probe\nimport json, os\n"
        f"def one(name, attempt):\n"
        f"    open('secret', 'a').close(); os.makedirs('empty', exist_ok=True)\n"
        f"    pid = os.fork()\n"
        f"    if pid == 0:\n"
        f"        try:\n            attempt({str(folder / 'secret')!r}, {victim[1]})\n            os._exit(0)\n"
        f"        except BaseException:\n            os._exit(1)\n"
        f"    return os.waitpid(pid, 0)[1] == 0\n"
        f"skip = ('read the terminal', 'restart', 'another user', 'mount a file system', 'shared memory (System V)',\n"
        f"    'semaphores (System V)', 'message queues', 'write to shared memory of the system')\n"
        f"print(json.dumps([n for g in probe.GROUPS.values() for n, a in g.items()\n"
        f"    if n in {names!r} and n not in skip and one(n, a)]))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    succeeded = json.loads(done.stdout)
    for name in (
        "read a file of the user's", "empty a file by opening it", "change its mode", "change its times", "make a FIFO",
        "ask whether a process is there", "read a process's environment", "change a process's limits",
        "open a connection (IPv4)", "outlive the parent", "memory without a name (memfd)", "talk to local services",
    ):  # fmt: skip
        assert name in succeeded
    assert len(succeeded) > 40


PYTHON = "/usr/bin/python3"
"""One that every user may run; the lock and the probe need nothing but its standard library."""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(not os.path.exists(PYTHON), reason="there is no Python of the system's")
@pytest.mark.parametrize("program", [True, False], ids=["program", "task"])
def test_an_ordinary_user_is_locked_too(program: bool) -> None:
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        shutil.copytree(Path(PROBE).parent, folder / "lock", ignore=shutil.ignore_patterns("__pycache__"))
        for part in ("in", "theirs/empty"):
            (folder / part).mkdir(parents=True)
        (folder / "theirs" / "secret").write_text("kept")
        for path in (folder, *folder.rglob("*")):
            os.chown(path, 65534, 65534)
        code = (
            "import json, os, sys, types\np = types.ModuleType('lock'); p.__path__ = [sys.argv[1]]\n"
            "sys.modules['lock'] = p\nfrom lock import lockdown, probe\n"
            "lockdown.lock([os.getcwd()], [sys.argv[1]], seconds=60, memory_mb=4096, file_mb=9)\n"
            "print(json.dumps(probe.report(sys.argv[2], os.getppid(), program=False)))"
        )
        script, secret = str(folder / "lock" / "launch.py"), str(folder / "theirs" / "secret")
        limits = {"seconds": 60, "memory_mb": 4096, "file_mb": 9, "network": False}
        settings = {
            "limits": limits, "parent": os.getpid(), "required": True, "plain": False, "writable": [str(folder / "in")],
            "readable": [str(folder / "lock")],
        }  # fmt: skip
        locked = [PYTHON, "-I", "-S", script, json.dumps(settings), PYTHON, "-I", f"{folder}/lock/probe.py", secret]
        done = subprocess.run(
            [*locked, str(os.getpid())] if program else [PYTHON, "-I", "-S", "-c", code, f"{folder}/lock", secret],
            cwd=folder / "in", user=65534, group=65534, extra_groups=[], capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr + done.stdout
    assert [name for name, succeeded in json.loads(done.stdout).items() if succeeded] == []


def test_nothing_outlives_a_program(tmp_path: Path) -> None:
    """A double fork in a session of its own, with all its output closed."""
    script = "(setsid sh -c 'exec >/dev/null 2>&1; sleep 317 & sleep 317' &) ; sleep 0.3; echo done"
    done = sandbox.run_program(["sh", "-c", script], folder=tmp_path)
    assert "done" in done.stdout
    assert not _running("sleep\x00317")


def test_the_processes_below_are_found_in_both_ways() -> None:
    """Those of a thread other than the first, and those of their own, are among them."""
    script = "sleep 319 & (sleep 319 & wait) & wait"
    started: list[subprocess.Popen[bytes]] = []
    thread = threading.Thread(target=lambda: started.append(subprocess.Popen(["sh", "-c", script])))
    thread.start()
    thread.join()
    (process,) = started
    end = time.monotonic() + 30
    while len(tree.below(process.pid)) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    found = tree.below(os.getpid())
    assert sorted(tree.below(process.pid)) == sorted(tree._below_by_parents(process.pid))
    assert len(tree.below(process.pid)) == 3
    assert process.pid in found
    for pid in (*tree.below(process.pid), process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()


def test_a_tree_of_processes_is_bounded_in_number_and_memory(tmp_path: Path) -> None:
    limits = sandbox.Limits(seconds=60, memory_mb=64)
    bomb = "i=0; while [ $i -lt 400 ]; do sleep 318 & i=$((i+1)); done; wait"
    with pytest.raises(sandbox.ChildDied, match="more memory or started more processes"):
        sandbox.run_program(["sh", "-c", bomb], folder=tmp_path, limits=limits)
    assert not _running("sleep\x00318")
    code = (
        "import mmap, time, os\nfor _ in range(4): os.fork()\n"
        "m = mmap.mmap(-1, 300 << 20, mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)\nm.write(b'x' * 1000)\n"
        "for i in range(0, 300 << 20, 4096): m[i] = 1\ntime.sleep(60)"
    )
    with pytest.raises(sandbox.ChildDied, match="more memory"):
        sandbox.run_program([sys.executable, "-I", "-S", "-c", code], folder=tmp_path, limits=limits)


def test_a_lock_that_cannot_be_set_is_refused() -> None:
    preload, lane = ["tests.security.lock_without_files"], 903
    with pytest.raises(
        ToolMissing, match="this machine cannot sandbox child processes: Landlock cannot be set"
    ) as caught:
        sandbox.call("edgekit.sandbox.probe:few", {}, preload=preload, lane=lane)
    assert sandbox.WITHOUT in caught.value.hint


def test_without_the_sandbox_a_child_runs_with_what_there_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(sandbox.WITHOUT, "1")
    (tmp_path / "file").write_text("")
    preload, lane = ["tests.security.lock_without_files"], 903
    args = {"path": str(tmp_path / "file"), "pid": os.getpid()}
    found, _ = sandbox.call("edgekit.sandbox.probe:few", args, preload=preload, lane=lane)
    sandbox.stop([lane])
    assert "Landlock for /" in found["missing"]
    assert found["tried"]["read a file of the user's"]
    assert not found["tried"]["change its mode"]


def test_a_lock_is_cheap() -> None:
    """In processor time, since machines may be busy: a warm child task has 15 ms."""
    code = (
        "import time\nfrom edgekit.sandbox import environment, lockdown\nread = environment.readable()\n"
        "start = time.process_time()\n"
        "lockdown.lock(['/tmp'], read, seconds=9, memory_mb=4096, file_mb=9)\nprint(time.process_time() - start)"
    )
    command = [sys.executable, "-c", code]
    times = [float(subprocess.run(command, capture_output=True, text=True, check=True).stdout) for _ in range(5)]
    assert min(times) < 0.015


@pytest.mark.parametrize("name", ["ptrace", "process_vm_writev", "io_uring_setup", "execveat", "chmod", "utimensat"])
def test_the_list_does_not_let_it_through(name: str) -> None:
    allowed = seccomp.rules(programs=False, signals=True, network=False, pid=1)
    assert name not in allowed
    assert landlock.version() > 0


def _running(command: str) -> bool:
    found = False
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found = found or path.read_bytes().startswith(command.encode())
        except OSError:
            continue
    return found
