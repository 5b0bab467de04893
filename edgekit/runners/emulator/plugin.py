"""Builds the trace plugin for the installed emulator."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from pathlib import Path

from edgekit import resources
from edgekit.errors import DeviceError, ToolMissing
from edgekit.files import temporary
from edgekit.sandbox.environment import NEUTRAL, clean
from edgekit.tools import toolchain

_SOURCES = ("trace_plugin.c", "cache_model.h", "classify.h", "qemu_plugin.h")
FLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-fPIC", "-shared", "-fvisibility=hidden")


def emulator() -> str:
    """Return the emulator's command, checked for plugin support.

    :raises ToolMissing: if there is no qemu-aarch64, or it cannot load plugins.
    """
    tool = toolchain.load("qemu-aarch64").find()
    help_text = subprocess.run(
        [*tool.argv, "-h"], cwd=NEUTRAL, env=clean(), capture_output=True, text=True, check=False
    ).stdout
    if "-plugin" not in help_text:
        raise ToolMissing(
            f"{tool.argv[0]} was built without plugin support",
            f"install Debian's dynamic build (not qemu-user-static): {tool.install_command()}",
        )
    return tool.argv[0]


def get() -> Path:
    """Return the plugin as a shared library, built on first use and again when its sources change.

    :raises ToolMissing: if there is no C compiler; :raises DeviceError: if it does not compile.
    """
    folder = Path(__file__).parent
    content = b"\0".join((folder / name).read_bytes() for name in _SOURCES)
    key = hashlib.sha256(content + platform.machine().encode()).hexdigest()[:16]
    library = resources.cache("plugins") / f"trace-{key}.so"
    if library.is_file():
        return library
    compiler = toolchain.load("plugin-cc").find()
    with temporary.folder(resources.created(library.parent)) as scratch:
        built = scratch / library.name
        command = [*compiler.argv, *FLAGS, "-o", str(built), str(folder / _SOURCES[0])]
        done = subprocess.run(command, cwd=scratch, env=clean(), capture_output=True, text=True, check=False)
        if done.returncode != 0:
            first = (done.stderr.strip() or "no message").splitlines()[0]
            raise DeviceError(f"the trace plugin does not compile: {first}", "install gcc, or report this as a bug")
        os.replace(built, library)
    return library
