"""Install missing tools: system packages through apt, helper tools into edgekit's cache."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable

from edgekit import resources
from edgekit.backends.runner_build import litert_version
from edgekit.errors import ToolMissing, UsageError
from edgekit.plugins import nearest
from edgekit.progress import Progress, Silent
from edgekit.sandbox.environment import NEUTRAL
from edgekit.tools import toolchain


def install(name: str, progress: Progress = Silent()) -> str:
    """Install one of :data:`INSTALLERS` by its name; return one line on what was done.

    :raises UsageError: if nothing by that name can be installed.
    :raises ToolMissing: if it cannot be installed here; the hint is the command to run.
    """
    if name not in INSTALLERS:
        raise UsageError(f"edgekit cannot install {name!r}", nearest(name, INSTALLERS))
    return INSTALLERS[name](progress)


def install_all(names: list[str], progress: Progress = Silent()) -> tuple[list[str], list[ToolMissing]]:
    """Install several things, one after the other; a failure does not stop the next.

    Returns what was done, as text, and what failed.
    """
    done, failed = [], []
    for name in names:
        try:
            done.append(install(name, progress))
        except ToolMissing as error:
            failed.append(error)
    return done, failed


def _onnx(progress: Progress) -> str:
    from edgekit.readers import onnx2tf

    return f"{onnx2tf.requirement()} is ready: {onnx2tf.ensure_onnx2tf(progress)}"


def _ethos_u(progress: Progress) -> str:
    from edgekit.backends.vela import compiler

    return f"{compiler.ENVIRONMENT.requirement()} is ready: {compiler.ENVIRONMENT.ensure(progress)}"


def _fpga(progress: Progress) -> str:
    from edgekit.backends.overlay.route import tools

    return f"{tools.ENVIRONMENT.requirement()} is ready: {tools.prepare(progress)}"


def _da4ml(progress: Progress) -> str:
    from edgekit.backends import da4ml

    return f"{da4ml.ENVIRONMENT.requirement()} is ready: {da4ml.ENVIRONMENT.ensure(progress)}"


def _hls4ml(progress: Progress) -> str:
    from edgekit.backends import hls4ml

    return f"{hls4ml.ENVIRONMENT.requirement()} is ready: {hls4ml.ENVIRONMENT.ensure(progress)}"


def _aarch64_runtime(progress: Progress) -> str:
    from edgekit.backends.litert import library

    progress.step("fetching LiteRT for AArch64")
    return f"LiteRT {litert_version()} for AArch64 is ready: {library.get('aarch64')}"


def _system(progress: Progress) -> str:
    """Install, through apt, the packages that the toolchains lack."""
    known = map(toolchain.load, toolchain.names())
    # A Python module that stands in for a program is no reason to do without it.
    lacking = [one for one in known if not any(tool.found() for tool in one.tools if not tool.module)]
    lacking = [one for one in lacking if one.tools[0].debian]
    if not lacking:
        return "every system package is there"
    packages = sorted({package for one in lacking for package in one.tools[0].debian})
    command = f"apt-get install -y --no-install-recommends {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise ToolMissing(
            f"there is no apt-get to install {' '.join(packages)}",
            "install their equivalents with your system's package manager",
        )
    if os.geteuid() != 0:
        raise ToolMissing("system packages are missing, and only root can install them", f"run: sudo {command}")
    progress.step("installing " + " ".join(packages))
    # The lists of a fresh machine are empty or old: bring them up to date, but only where installing fails.
    if not _apt("install", *packages):
        _apt("update")
        if not _apt("install", *packages):  # one unknown name fails them all: take what there is
            for one in lacking:
                any(tool.found() or (tool.debian and _apt("install", *tool.debian)) for tool in one.tools)
    absent = [one.name for one in lacking if not one.found()]
    if absent:
        raise ToolMissing(f"apt-get could not install what these need: {', '.join(absent)}", f"to see why: {command}")
    return "installed " + " ".join(packages)


def _apt(verb: str, *packages: str) -> bool:
    """Run apt-get without prompts and output; return whether it succeeded."""
    options = ["-y", "--no-install-recommends"] if verb == "install" else []
    done = subprocess.run(
        ["apt-get", verb, "-q", *options, *packages], cwd=NEUTRAL,
        env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return done.returncode == 0


def _cuda(progress: Progress) -> str:
    """Install NVIDIA's compiler as a Python package."""
    wanted = toolchain.load("nvrtc")
    packages = wanted.tools[0].pip
    progress.step("installing " + " ".join(packages))
    command = [
        sys.executable,
        "-P",
        "-E",
        "-m",
        "uv",
        "--no-config",
        "pip",
        "install",
        "--quiet",
        "--only-binary",
        ":all:",
        "--no-deps",
        "--require-hashes",
        "--python",
        sys.executable,
        "-r",
        str(resources.folder("compile") / "toolchains" / "nvrtc.lock"),
    ]
    done = subprocess.run(
        command,
        cwd=NEUTRAL,
        env=toolchain.fetching_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    importlib.invalidate_caches()
    if done.returncode != 0 or not wanted.found():
        reason = next((line for line in done.stderr.splitlines() if line.strip()), "it is still not there")
        raise ToolMissing(f"{packages[0]} could not be installed: {reason.strip()}", f"to see why: {' '.join(command)}")
    return "installed " + " ".join(packages)


INSTALLERS: dict[str, Callable[[Progress], str]] = {
    "system": _system,
    "aarch64-runtime": _aarch64_runtime,
    "onnx": _onnx,
    "ethos-u": _ethos_u,
    "fpga": _fpga,
    "da4ml": _da4ml,
    "hls4ml": _hls4ml,
    "cuda": _cuda,
}
