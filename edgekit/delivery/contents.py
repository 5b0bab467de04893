"""What a delivery contains: the runtime library, and a bundle that it can open."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from edgekit import __version__, resources
from edgekit.audit import elf
from edgekit.backends import runner_build
from edgekit.backends.c99.handover import identifier
from edgekit.bundle import Bundle, relative_files
from edgekit.bundle.execution import Kind
from edgekit.errors import UsageError

HEADERS = ("edgekit.h", "edgekit.hpp")


@dataclass(frozen=True)
class Runtime:
    """The runtime library for an architecture, and what developers need of it. ``glibc``: the oldest that will do."""

    arch: str
    version: str
    library: bytes
    headers: Mapping[str, bytes]
    glibc: tuple[int, int]


@dataclass(frozen=True)
class Network:
    """A bundle to deliver.

    :param name: an identifier; :param version: of its content. :param files: by their names in the bundle.
    :param glibc: the oldest that all of its libraries can do with.
    """

    name: str
    title: str
    target: str
    version: str
    files: Mapping[str, bytes]
    programs: frozenset[str]
    glibc: tuple[int, int]


def runtime(arch: str) -> Runtime:
    """Build the runtime library.

    :raises ToolMissing: if there is no compiler for ``arch``.
    """
    sources = runner_build.sources()
    headers = {name: (sources / name).read_bytes() for name in HEADERS}
    (version,) = re.findall(rb'#define EDGEKIT_VERSION "([\d.]+)"', headers["edgekit.h"])
    library = runner_build.library(arch).path
    (found,) = elf.read([library], own=True)
    return Runtime(arch, version.decode(), library.read_bytes(), headers, found.glibc)


def network(bundle: Bundle) -> Network:
    """Read a bundle.

    :raises UsageError: if the runtime library does not run it.
    """
    if bundle.execution.kind not in (Kind.RUNTIME, Kind.LIBRARY):
        raise UsageError(
            f"the runtime library does not run this bundle: it is for {bundle.target.name} ({bundle.execution.kind})",
            "compile the model for a Linux board, or for this machine (--target host)",
        )
    files = {name: (bundle.path / name).read_bytes() for name in relative_files(bundle.path)}
    title = bundle.manifest["model"]["name"]
    digest = hashlib.sha256(files["manifest.json"]).hexdigest()
    libraries = elf.read([path for path in elf.find(bundle.artifact) if path.suffix == ".so"])
    return Network(
        identifier(Path(title).stem), title, bundle.target.name, f"{__version__}+{digest[:8]}", files,
        frozenset(name for name in files if (bundle.path / name).stat().st_mode & 0o100),
        max((library.glibc for library in libraries), default=elf.OLDEST_GLIBC),
    )  # fmt: skip


def template(name: str) -> str:
    """The text of a file in ``firmware_stubs/linux/handover``."""
    return (resources.folder("firmware_stubs") / "linux" / "handover" / name).read_text()
