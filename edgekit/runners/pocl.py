"""The emulator for OpenCL: kernels run on PoCL, an OpenCL for processors, on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends.gpu.dialect import OPENCL
from edgekit.runners.counted import CountedRunner, Prepared
from edgekit.tools import toolchain

if TYPE_CHECKING:
    from edgekit.bundle import Bundle

DRIVER = "/etc/OpenCL/vendors/pocl.icd"


class PoclRunner(CountedRunner):
    """Runs bundles of the backend ``opencl``. Registered as ``pocl``."""

    name, where, driver, dialect = "pocl", "PoCL", "opencl", OPENCL

    def tools(self) -> None:
        """:raises ToolMissing: if PoCL is not installed."""
        toolchain.load("pocl").find()

    def prepare(self, bundle: Bundle, folder: Path) -> Prepared:
        """PoCL is the only driver, and keeps its compiled kernels for the session's next run."""
        own = folder / "pocl"
        own.mkdir()
        env = {"OCL_ICD_VENDORS": DRIVER, "POCL_CACHE_DIR": str(own), "TMPDIR": str(own), "HOME": str(own)}
        return Prepared(env, [own])
