"""Finds LiteRT's shared library for an architecture: the installed one, or the same version's for another machine."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from typing import Any

from edgekit import resources
from edgekit.backends.runner_build import PACKAGE, litert_version
from edgekit.bundle import digest
from edgekit.errors import ToolMissing
from edgekit.files import temporary
from edgekit.tools.toolchain import fetching_environment

FILE = "libLiteRt.so"

_lock = threading.Lock()


def facts(arch: str) -> dict[str, Any]:
    """What ``compile/runtimes/litert.toml`` says of the installed version on ``arch``; empty where it says nothing."""
    data = tomllib.loads((resources.folder("compile") / "runtimes" / "litert.toml").read_text())
    found: dict[str, Any] = data.get(litert_version(), {}).get(arch, {})
    return found


def get(arch: str) -> Path:
    """Return ``libLiteRt.so`` for ``arch`` (``aarch64``, ``x86_64``), fetched once and checked by its sha256.

    :raises ToolMissing: if it cannot be had; the hint is the command to try.
    """
    if arch == platform.machine():
        return installed()
    known = facts(arch)
    if not known:
        raise ToolMissing(
            f"LiteRT {litert_version()} for {arch} is not known to edgekit",
            "add it to compile/runtimes/litert.toml, or install the LiteRT version listed there",
        )
    library = fetched(arch)
    with _lock:  # two targets that compile side by side fetch it once
        if not (library.is_file() and digest(library) == known["sha256"]):
            _fetch(arch, known, library)
    return library


def fetched(arch: str) -> Path:
    """Where the library for another ``arch`` lies once it is fetched."""
    return resources.cache("runtimes") / f"litert-{litert_version()}-{arch}" / FILE


def installed() -> Path:
    """Return this machine's own ``libLiteRt.so``."""
    spec = importlib.util.find_spec("ai_edge_litert")
    folder = Path(next(iter(spec.submodule_search_locations))) if spec and spec.submodule_search_locations else None
    if folder is None or not (folder / FILE).is_file():
        raise ToolMissing(f"the installed {PACKAGE} has no {FILE}", "install edgekit again, with its dependencies")
    return folder / FILE


def _fetch(arch: str, known: dict[str, Any], library: Path) -> None:
    """Unpack the other architecture's wheel with uv and keep the library."""
    with temporary.folder(resources.created(library.parent)) as scratch:
        command, wanted = _fetch_command(known["platform"], str(scratch.resolve())), _wanted(known)
        try:
            done = subprocess.run(
                command, cwd=scratch, env=fetching_environment(), input=wanted, capture_output=True, text=True,
                check=False,
            )  # fmt: skip
        except OSError as error:
            raise ToolMissing(
                "uv is missing; it fetches LiteRT for other machines", f"install it: {sys.executable} -m pip install uv"
            ) from error
        fetched = scratch / "ai_edge_litert" / FILE
        if done.returncode != 0 or not fetched.is_file():
            reason = (done.stderr.strip() or "no message").splitlines()[-1].strip()
            raise ToolMissing(
                f"cannot fetch LiteRT {litert_version()} for {arch}: {reason}",
                f"with a network, run: echo '{wanted}' | {' '.join(_fetch_command(known['platform'], 'DIR'))} "
                f"and copy DIR/ai_edge_litert/{FILE} to {library}",
            )
        if digest(fetched) != known["sha256"]:
            raise ToolMissing(
                f"LiteRT {litert_version()} for {arch} is not the file edgekit knows (its sha256 differs)",
                "do not use it; please report this",
            )
        os.replace(fetched, library)


def _fetch_command(wheel_platform: str, folder: str) -> list[str]:
    return [
        _uv(), "--no-config", "pip", "install", "--quiet", "--only-binary", ":all:", "--target", folder,
        "--python-version", "3.11", "--python-platform", wheel_platform, "--no-deps", "--require-hashes", "-r", "-",
    ]  # fmt: skip


def _wanted(known: dict[str, Any]) -> str:
    """What uv is to fetch, and the only file that will do."""
    return f"{PACKAGE}=={litert_version()} --hash=sha256:{known['wheel']}"


def _uv() -> str:
    """The uv beside this Python, else on the PATH. Not uv.find_uv_bin(): its sysconfig calls are not thread-safe."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.is_file() else shutil.which("uv") or "uv"
