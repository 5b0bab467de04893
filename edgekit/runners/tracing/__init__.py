"""Trace plugins for QEMU: building them, and what they have in common."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from pathlib import Path

from edgekit import resources
from edgekit.errors import DeviceError, ToolMissing
from edgekit.files import temporary
from edgekit.sandbox.environment import NEUTRAL, clean
from edgekit.tools import toolchain

FOLDER = Path(__file__).parent
HEADERS = ("blocks.h", "qemu_plugin.h")
"""What all plugins include."""
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden")


def emulator(name: str) -> str:
    """Return an emulator's command, checked for plugin support.

    :param name: its toolchain.
    :raises ToolMissing: if it is not installed, or cannot load plugins.
    """
    tool = toolchain.load(name).find()
    help_text = subprocess.run(
        [*tool.argv, "-h"], cwd=NEUTRAL, env=clean(), capture_output=True, text=True, check=False
    ).stdout
    if "-plugin" not in help_text:
        raise ToolMissing(
            f"{tool.argv[0]} was built without plugin support",
            f"install Debian's own build (of qemu-user, not qemu-user-static): {tool.install_command()}",
        )
    return tool.argv[0]


def built(sources: Sequence[Path], name: str, flags: Sequence[str] = ()) -> Path:
    """Return a plugin as a shared library, built on first use and again when its sources change.

    :param sources: the C file, and then what it includes beside :data:`HEADERS`.
    :raises ToolMissing: if there is no C compiler; :raises DeviceError: if it does not compile.
    """
    paths = [*sources, *(FOLDER / header for header in HEADERS)]
    content = b"\0".join([*(path.read_bytes() for path in paths), *(flag.encode() for flag in flags)])
    key = hashlib.sha256(content + platform.machine().encode()).hexdigest()[:16]
    library = resources.cache("plugins") / f"{name}-{key}.so"
    if library.is_file():
        return library
    compiler = toolchain.load("plugin-cc").find()
    with temporary.folder(resources.created(library.parent)) as scratch:
        output = scratch / library.name
        command = [*compiler.argv, *FLAGS, f"-I{FOLDER}", *flags, "-o", str(output), str(sources[0])]
        done = subprocess.run(command, cwd=scratch, env=clean(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            first = (done.stderr.strip() or "no message").splitlines()[0]
            raise DeviceError(f"the trace plugin does not compile: {first}", "install gcc, or report this as a bug")
        os.replace(output, library)
    return library
