"""A scratch copy of the checkout, in which faults are planted."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Protocol

ROOT = Path(__file__).resolve().parents[2]
HERE = "tools/mutants"


class Fault(Protocol):
    """A change of a file; ``file`` is relative to the checkout."""

    @property
    def file(self) -> str:
        """The file that is changed."""
        ...

    def apply(self, data: bytes) -> bytes:
        """Return the file's bytes with the fault."""
        ...


class Scratch:
    """A copy of the checkout with a virtual environment that imports it, and a server that runs tests there.

    :param converters: with the programs that edgekit's cache holds.
    :param preloaded: modules that no fault changes: the server imports them once.
    """

    def __init__(self, folder: Path, converters: bool, preloaded: tuple[str, ...] = ()) -> None:
        self.preloaded = preloaded
        self.tree, self.temporary = folder / "tree", folder / "tmp"
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, files.split("\0")):
            if (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.tree / name)
        if (shared := ROOT.parent / "shared").is_dir():
            (folder / "shared").symlink_to(shared)
        environment = folder / "env"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        self.python = environment / "bin" / "python"
        self.packages = next(environment.glob("lib/python*/site-packages"))
        original = [path for path in sys.path if path.endswith("site-packages")]
        (self.packages / "copy.pth").write_text("\n".join([str(self.tree), *original]) + "\n")
        cache = Path(os.environ.get("EDGEKIT_CACHE") or Path.home() / ".cache" / "edgekit")
        if cache.is_dir():
            ignored = None if converters else shutil.ignore_patterns("tools")
            shutil.copytree(cache, folder / "cache", symlinks=True, ignore=ignored, copy_function=_link)
        self.variables = {**os.environ, "EDGEKIT_CACHE": str(folder / "cache"), "TMPDIR": str(self.temporary)}
        self.server: subprocess.Popen[str] | None = None
        self.changes = 0

    def keep_objects(self) -> None:
        """From now on, gcc compiles only what changes (``cached_gcc.py``)."""
        gcc, programs, objects = shutil.which("gcc"), self.tree.parent / "bin", self.tree.parent / "objects"
        assert gcc, "gcc is not installed"
        programs.mkdir()
        objects.mkdir()
        script = ROOT / HERE / "cached_gcc.py"
        command = shlex.join([sys.executable, "-I", "-S", str(script), gcc, str(objects)])
        readable = f"(: <{shlex.quote(str(script))}) 2>/dev/null"  # not in the sandbox
        (programs / "gcc").write_text(
            f'#!/bin/sh\nif {readable}; then exec {command} "$@"; fi\nexec {shlex.quote(gcc)} "$@"\n'
        )
        (programs / "gcc").chmod(0o755)
        self.variables["PATH"] = f"{programs}{os.pathsep}{self.variables['PATH']}"

    def run(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        self.empty()
        return subprocess.Popen(
            [str(part) for part in (self.python, *arguments)], cwd=self.tree, env=self.variables, text=True, **options
        )

    def empty(self) -> None:
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()

    def judge(self, fault: Fault, tests: list[str], seconds: float) -> str:
        """Plant a fault, run the tests, put the file back."""
        if self.server is None:
            arguments = (f"{HERE}/server.py", "run", *self.preloaded)
            self.server = self.run(*arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.server.stdin and self.server.stdout
        path = self.tree / fault.file
        sound = path.read_bytes()
        self.write(path, fault.apply(sound))
        self.empty()
        request = {"tests": tests, "seconds": seconds, "log": str(self.temporary.parent / "log")}
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        status: str = json.loads(self.server.stdout.readline())["status"]
        self.write(path, sound)
        return {"passed": "survived", "failed": "killed"}.get(status, status)

    def write(self, path: Path, data: bytes) -> None:
        """Write a file with a time of its own: Python tells compiled files by time in seconds, and size."""
        path.write_bytes(data)
        self.changes += 1
        os.utime(path, (self.changes, self.changes))

    def close(self) -> None:
        if self.server is not None and self.server.stdin:
            self.server.stdin.close()
            self.server.wait()


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
