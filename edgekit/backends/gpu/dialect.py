"""The languages in which kernels for GPUs are written: OpenCL C, and CUDA C++ through a prelude.

Functions have one text for both. CUDA's prelude (``firmware_stubs/gpu/cuda/prelude.h``) gives it OpenCL's vectors,
loads and names; what differs beside that is said here.
"""

from __future__ import annotations

from dataclasses import dataclass

from edgekit import resources

PRELUDE = "cuda/prelude.h"


@dataclass(frozen=True)
class Dialect:
    """A language for kernels.

    :param source: name of the file in the artifact.
    :param prelude: file below ``firmware_stubs/gpu`` that goes before the functions; empty: none.
    :param guarded: more work-items may be started than there is work for, so a function returns where its own is none:
        CUDA starts whole blocks, OpenCL exactly what it is asked for.
    :param function: what goes before a function that a kernel calls.
    """

    source: str
    prelude: str = ""
    guarded: bool = False
    function: str = ""

    def head(self) -> str:
        """What comes before the functions."""
        return (resources.folder("firmware_stubs") / "gpu" / self.prelude).read_text() + "\n" if self.prelude else ""

    def guard(self, size: tuple[int, int, int]) -> str:
        """The first line of a function that is launched with ``size`` work-items."""
        if not self.guarded:
            return ""
        beyond = [f"get_global_id({axis}) >= {count}" for axis, count in enumerate(size)]
        return f"  if ({' || '.join(beyond)}) return;\n"


OPENCL = Dialect("kernels.cl")
CUDA = Dialect("kernels.cu", PRELUDE, guarded=True, function="DEVICE ")
