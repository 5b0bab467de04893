"""The threads that compiled networks share their work with: every task runs once, whoever is late or asleep."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from c_programs import ENVIRONMENT, HERE, LINUX, SANITIZE, compiled

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
THREAD_SANITIZER = ("-O1", "-g", "-fsanitize=thread")


@pytest.mark.parametrize("flags", [SANITIZE, THREAD_SANITIZER], ids=["addresses", "threads"])
def test_every_task_runs_once(flags: tuple[str, ...], tmp_path: Path) -> None:
    program = compiled(tmp_path / "driver", [HERE / "pool_driver.c", LINUX / "thread_pool.c"], *flags)
    for threads, works in ((1, 1000), (2, 2000), (5, 1000)):
        command = [str(program), str(threads), str(works)]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120, check=False)
        assert done.stdout == f"threads {threads}, wrong 0, too many refused 1\n", done.stderr[-2000:]
        assert done.returncode == 0 and not done.stderr


def test_impossible_numbers_of_threads(tmp_path: Path) -> None:
    program = compiled(tmp_path / "driver", [HERE / "pool_driver.c", LINUX / "thread_pool.c"], "-O1")
    for threads in (0, 257):
        assert subprocess.run([program, str(threads), "1"], capture_output=True, text=True).stdout == "no pool\n"
