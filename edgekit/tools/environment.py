"""Environments of their own for programs whose dependencies do not fit ours: made by uv, once, below edgekit's cache.

What is in one says its lock file ``compile/toolchains/NAME.lock``, with the sha256 of every file that will do; ``make
lock`` writes it from ``NAME.in``.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from edgekit import resources
from edgekit.errors import ToolMissing
from edgekit.progress import Progress, Silent
from edgekit.sandbox.environment import NEUTRAL
from edgekit.text.logs import lines
from edgekit.tools import toolchain

_INSTALL_SECONDS = 1800


@dataclass(frozen=True)
class Environment:
    """A Python environment for one package.

    :param name: of the toolchain and the lock file. :param package: the one that it is made for.
    :param purpose: what that does, in words. :param size: of the download, in words.
    :param python: the interpreter's version; empty: edgekit's own. :param needs: what it takes to install it.
    :param installer: its name in ``edgekit doctor --install``.
    """

    name: str
    package: str
    purpose: str
    size: str
    python: str
    needs: str
    installer: str

    def requirement(self) -> str:
        """Return what is installed, e.g. ``"onnx2tf==2.6.9"``."""
        pinned = re.search(rf"^{re.escape(self.package)}==\S+", self.lock_file().read_text(), re.MULTILINE)
        assert pinned, self.name
        return pinned[0]

    def lock_file(self) -> Path:
        """The packages of the environment, with the sha256 of every file that will do."""
        return resources.folder("compile") / "toolchains" / f"{self.name}.lock"

    def _home(self) -> Path:
        """A folder for each state of the lock file."""
        state = hashlib.sha256(self.lock_file().read_bytes()).hexdigest()[:8]
        own = "" if self.python else f"-{sys.version_info[0]}.{sys.version_info[1]}"
        return resources.cache("tools", f"{self.requirement().replace('==', '-')}-{state}{own}")

    def interpreter(self) -> Path | None:
        """Return the environment's Python, None where it is not installed."""
        home = self._home()
        found = home / self.name / "bin" / "python"
        return found if (home / "ready").is_file() and found.is_file() else None

    def ensure(self, progress: Progress = Silent()) -> Path:
        """Return the environment's Python, installing it if it is not there, which needs the network.

        :raises ToolMissing: if it cannot be installed, with the reason.
        """
        if found := self.interpreter():
            return found
        progress.step(f"installing {self.requirement()} in its own environment (once, {self.size})")
        home = resources.created(self._home())
        if why := install(home / self.name, self.lock_file(), self.python):
            raise ToolMissing(
                f"{self.requirement()}, which {self.purpose}, could not be installed: {why}",
                f"it needs {self.needs}; then run: edgekit doctor --install {self.installer}",
            )
        (home / "ready").touch()
        if not (found := self.interpreter()):
            raise ToolMissing(
                f"{self.requirement()} was installed but is not in {home}", f"delete {home} and try again"
            )
        return found


def install(place: Path, lock: Path, python: str, *options: str) -> str:
    """Make an environment of what a lock file lists, of wheels with its hashes only; say what went wrong."""
    uv = toolchain.load("onnx2tf").find().argv
    env = toolchain.fetching_environment() | {"UV_NO_PROGRESS": "1"}
    env.pop("VIRTUAL_ENV", None)
    shutil.rmtree(place, ignore_errors=True)
    fetch = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--compile-bytecode", "-r", str(lock), *options]
    commands = [
        [*uv, "venv", "--python", _interpreter(python), str(place)],
        [*uv, "pip", "install", "--python", str(place / "bin" / "python"), *fetch],
    ]
    try:
        for command in commands:
            done = subprocess.run(
                command, cwd=NEUTRAL, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                errors="replace", timeout=_INSTALL_SECONDS, check=False,
            )  # fmt: skip
            if done.returncode != 0:
                return _why(done.stderr)
    except subprocess.TimeoutExpired:
        return f"it took more than {_INSTALL_SECONDS} s"
    except OSError as error:
        return str(error)
    return ""


def _interpreter(version: str) -> str:
    """Return what uv should look for: pyenv's own interpreter where there is one, else the version.

    pyenv's shims answer only for versions that are switched on, and uv gives up at the first that does not.
    """
    if not version:
        return sys.executable
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    try:
        found = sorted(root.glob(f"{version}.*/bin/python{version}"))
    except OSError:  # another user's
        found = []
    return str(found[-1]) if found else version


def _why(log: str) -> str:
    said = lines(log)
    telling = [line for line in said if line.startswith(("error:", "cause:", "Caused by"))]
    return (telling or said or ["uv said nothing"])[-1][:300]
