"""Builds the programs that pages of the documentation show, and runs them on sound."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

from edgekit import resources

LINUX = resources.folder("firmware_stubs") / "linux"


def program(page: Path, language: str, compiler: str, library: Path, folder: Path) -> Path:
    """A page's program in a language, built."""
    (code,) = re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    (folder / f"a.{language}").write_text(code)
    if not (folder / "libedgekit.so").exists():
        shutil.copyfile(library, folder / "libedgekit.so.1")
        (folder / "libedgekit.so").symlink_to("libedgekit.so.1")
    flags = [
        "-Wall",
        "-Wextra",
        "-Werror",
        "-O1",
        f"-I{LINUX}",
        f"-L{folder}",
        "-std=c11" if language == "c" else "-std=c++17",
    ]
    to = folder / f"program-{language}"
    subprocess.run([compiler, *flags, folder / f"a.{language}", "-o", to, "-ledgekit"], check=True)
    return to


def said(command: list[Path | str], file: Path, folder: Path) -> str:
    """What a program prints that reads a file of samples; the library lies in ``folder``."""
    env = {**os.environ, "LD_LIBRARY_PATH": str(folder)}
    with file.open("rb") as samples:
        done = subprocess.run(command, stdin=samples, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
