"""NVIDIA's run-time compiler: CUDA C++ -> cubin, in a child, without a GPU."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from edgekit import sandbox
from edgekit.errors import EdgekitError, ToolMissing
from edgekit.tools import toolchain

TASK = "edgekit.backends.cuda.child:compile_kernels"
LIBRARY = "libnvrtc.so.11.2"
"""All of 11.2 to 11.8 are called so."""
LIMITS = sandbox.Limits(seconds=300, memory_mb=4096)
NEWEST = 90
"""The last architecture that this NVRTC knows: later GPUs compile its PTX themselves."""


@dataclass(frozen=True)
class Compiled:
    """:param image: what ``cuModuleLoadData`` takes. :param version: NVRTC's."""

    image: bytes
    version: str


def library() -> Path:
    """Where NVRTC is.

    :raises ToolMissing: if it is not installed, or only another version.
    """
    wanted = toolchain.load("nvrtc")
    spec = importlib.util.find_spec(wanted.find().module)
    for folder in spec.submodule_search_locations or [] if spec else []:
        if (found := Path(folder) / "lib" / LIBRARY).is_file():
            return found
    raise ToolMissing(
        f"NVRTC is installed, but not its version 11.8 ({LIBRARY})", f"install it: {wanted.tools[0].install_command()}"
    )


def compiled(source: str, arch: str) -> Compiled:
    """Compile kernels for ``arch``: ``sm_87`` gives a cubin, ``compute_87`` PTX, which the driver goes on to compile.

    :raises ToolMissing: if NVRTC is not installed. :raises EdgekitError: with the compiler's first error.
    """
    args = {"library": str(library()), "source": source, "arch": arch}
    try:
        found, arrays = sandbox.call(TASK, args, limits=LIMITS, readable=[library().parent])
    except sandbox.ChildDied as death:
        raise EdgekitError(f"NVRTC {death.reason}", "please report this, with the network") from death
    return Compiled(arrays["image"].tobytes(), str(found["version"]))
