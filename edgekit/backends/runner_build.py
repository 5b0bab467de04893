"""Builds the C runner, which all backends for Linux share; a second build of the same sources costs nothing."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from edgekit import resources, sandbox
from edgekit.bundle.execution import PROGRAM
from edgekit.errors import EdgekitError, ToolMissing
from edgekit.files import temporary
from edgekit.sandbox.environment import NEUTRAL, clean
from edgekit.text.logs import first_error
from edgekit.tools import toolchain

STANDARD = "-std=gnu11"
"""The standard of every C program that edgekit builds from its own sources; CONTRIBUTING.md has the table."""
NAME = PROGRAM
LIBRARY, VERSIONS = "libedgekit.so.1", "edgekit.map"
"""The runtime library, and the versions of its symbols."""
BUNDLE_PARTS = ("archive.c", "bundle.c", "sha256.c")
"""C files of the runtime library that the C runner does without."""
RUNNER_PARTS = (
    "arguments.c", "clock.c", "decide.c", "edgekit_run.c", "machine.c", "power.c", "profile.c", "start.c", "trace.c",
)  # fmt: skip
"""C files of the runner alone."""
PACKAGE = "ai-edge-litert"
"""LiteRT's package, which the runner is built for."""

_lock = threading.Lock()


@dataclass(frozen=True)
class Runner:
    """A built runner and the compiler that made it, for the manifest."""

    path: Path
    compiler: str


@cache
def litert_version() -> str:
    """Version of the installed LiteRT.

    :raises ToolMissing: if it is not installed.
    """
    try:
        return version(PACKAGE)
    except PackageNotFoundError as error:
        raise ToolMissing(f"{PACKAGE} is not installed", "install edgekit again, with its dependencies") from error


def put(source: Path, folder: Path, name: str, mode: int = 0o644) -> None:
    """Copy a file into an artifact's folder with fixed permissions, so that bundles are the same everywhere."""
    shutil.copyfile(source, folder / name)
    (folder / name).chmod(mode)


def native_arch(arch: str) -> str:
    """``native`` as the architecture it means on this machine."""
    return platform.machine() if arch == "native" else arch


def sources() -> Path:
    """Return the folder with the C files of the runner and of the runtime library."""
    return resources.folder("firmware_stubs") / "linux"


def get(arch: str) -> Runner:
    """Return the runner for ``arch`` (``aarch64``, ``x86_64``), compiled on first use.

    :raises ToolMissing: if there is no compiler for ``arch``.
    """
    flags = [
        STANDARD, "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", f'-DLITERT_VERSION="{litert_version()}"',
        "-fno-ident", "-s", "-Wl,--build-id=none",
        "-ffp-contract=off",  # decisions are the reference's in every bit
        "-fvisibility=hidden", "-rdynamic",  # clock.c exports its clock_gettime, and nothing else is
    ]  # fmt: skip
    return built(arch, sources(), flags, NAME, without=BUNDLE_PARTS)


def library(arch: str) -> Runner:
    """Return edgekit's runtime library for ``arch``, compiled on first use.

    :raises ToolMissing: if there is no compiler for ``arch``.
    """
    flags = [
        STANDARD, "-O2", "-Wall", "-Wextra", "-D_GNU_SOURCE", f'-DLITERT_VERSION="{litert_version()}"', "-fno-ident",
        "-s", "-Wl,--build-id=none", "-fPIC", "-shared", "-ffp-contract=off", f"-Wl,-soname,{LIBRARY}",
        f"-Wl,--version-script={VERSIONS}", "-Wl,-Bsymbolic", "-Wl,-z,defs",
    ]  # fmt: skip
    return built(arch, sources(), flags, LIBRARY, (sources() / VERSIONS,), without=RUNNER_PARTS)


def built(
    arch: str, sources: Path, flags: Sequence[str], name: str, also: Sequence[Path] = (), without: Sequence[str] = ()
) -> Runner:
    """Compile all C files of a folder into ``name``, once for each ``arch``.

    The bytes depend on the sources, ``flags`` and the compiler only: no paths, no time, no build id.

    :param also: further files that it depends on. :param without: names of C files to leave out.
    :raises ToolMissing: if there is no compiler for ``arch``.
    """
    tool = compiler(arch)
    described = describe(tool)
    older, header = _older_glibc(arch, tool, sources)
    flags, also = [*flags, *older], [*also, *header]
    names = sorted(path.name for path in sources.iterdir() if path.suffix in (".c", ".h") and path.name not in without)
    key = hashlib.sha256(json.dumps([described, list(flags)]).encode())
    for path in (*(sources / file for file in names), *also):
        key.update(path.name.encode() + b"\0" + path.read_bytes())
    made = resources.cache("runners") / f"{arch}-{key.hexdigest()[:16]}" / name
    with _lock:  # two targets that compile side by side build it once
        if not made.is_file():
            # Compiled in the sources' own folder, by relative names: no path of this machine gets into the result.
            c_files = [file for file in names if file.endswith(".c")]
            _compile([*tool.argv, *flags, *c_files], sources, made)
    return Runner(made, described)


def _older_glibc(arch: str, tool: toolchain.Tool, folder: Path) -> tuple[list[str], list[Path]]:
    """Flags, and the file that they name, with which older systems can load what a new one's GCC makes."""
    if arch != "aarch64" or tool.module:  # another compiler is told which glibc to compile for
        return [], []
    header = sources() / "older_glibc.h"
    libraries = "-Wl,--push-state,--no-as-needed,-l:libdl.so.2,-l:libpthread.so.0,--pop-state"
    return ["-include", os.path.relpath(header, folder), "-Wl,--wrap=__libc_start_main", libraries], [header]


def compiler(arch: str) -> toolchain.Tool:
    """Return the C compiler for an architecture."""
    if arch == platform.machine():
        return toolchain.load("host-cc").find()
    name = f"{arch}-cc"
    if name not in toolchain.names():
        raise ToolMissing(f"there is no toolchain for {arch}", f"describe one in compile/toolchains/{name}.toml")
    return toolchain.load(name).find()


def describe(tool: toolchain.Tool) -> str:
    """The compiler's own name and version: a package's, or the first line a program prints."""
    if tool.module:
        return f"{tool.module} {version(tool.module)}"
    done = subprocess.run(
        [*tool.argv, "--version"], cwd=NEUTRAL, env=clean(), capture_output=True, text=True, check=False
    )
    if done.returncode != 0 or not done.stdout:
        raise ToolMissing(f"{' '.join(tool.argv)} does not work: {done.stderr.strip()[:200]}", "install it again")
    return done.stdout.splitlines()[0].strip()


def _compile(command: list[str], sources: Path, runner: Path) -> None:
    with temporary.folder(resources.created(runner.parent)) as scratch:
        made = scratch / runner.name
        command = [*command, "-o", str(made), "-ldl", "-lpthread", "-lm"]
        done = subprocess.run(command, cwd=sources, env=clean(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            first = first_error(done.stderr)
            raise EdgekitError(
                f"{runner.name} does not compile: {first}", "please report this, with your compiler's version"
            )
        os.replace(made, runner)


def run_compiler(
    command: Sequence[str], folder: Path, failure: str, *, scratch: Path | None = None,
    limits: sandbox.Limits = sandbox.Limits(), hint: str = "please report this",
) -> str:  # fmt: skip
    """Run a compiler on what was generated from a network, in the sandbox; return what it said.

    :param folder: where it runs. :param scratch: where it may write; default: ``folder``.
    :param failure: what does not compile, in words.
    :raises EdgekitError: with the compiler's first error.
    """
    place = scratch or folder
    environment = {"PATH": clean()["PATH"], "TMPDIR": str(place), "HOME": str(place)}
    done = sandbox.run_program(command, folder=folder, limits=limits, writable=[place], env=environment)
    if done.returncode != 0:
        raise EdgekitError(f"{failure}: {first_error(done.stdout)}", hint)
    return done.stdout
