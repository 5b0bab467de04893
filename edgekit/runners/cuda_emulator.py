"""The emulator for CUDA: kernels run on this machine's processor, below a stand-in for NVIDIA's driver.

A C++ compiler makes a library of the bundle's ``kernels.cu``, in which a kernel is one thread's work; the host program
is the board's own, built for this machine, and its driver ``libcuda.so.1`` is ``firmware_stubs/gpu/cuda_emulator``,
which runs the threads one after the other. So the kernels' arithmetic, the blocks and the arguments are proven; what
NVIDIA's compiler makes of the kernels is not run: that it accepts them, and for which GPU, is checked in the cubin.
"""

from __future__ import annotations

import platform
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import sandbox
from edgekit.backends.cuda import CUBIN, cubin
from edgekit.backends.gpu import host_build, plan
from edgekit.backends.gpu.dialect import CUDA
from edgekit.errors import DeviceError
from edgekit.runners.counted import CountedRunner, Prepared
from edgekit.sandbox.environment import clean
from edgekit.text.logs import first_error
from edgekit.tools import toolchain

if TYPE_CHECKING:
    from edgekit.bundle import Bundle

FLAGS = ["-std=gnu++14", "-x", "c++", "-O2", "-ffp-contract=off", "-fPIC", "-shared", "-fvisibility=hidden"]
LIMITS = sandbox.Limits(seconds=300, memory_mb=4096)


class CudaEmulator(CountedRunner):
    """Runs bundles of the backend ``cuda``. Registered as ``cuda-emulator``."""

    name, where, driver, dialect = "cuda-emulator", "the emulated CUDA driver", "cuda", CUDA

    def tools(self) -> None:
        """:raises ToolMissing: if there is no C++ compiler."""
        toolchain.load("host-cxx").find()

    def prepare(self, bundle: Bundle, folder: Path) -> Prepared:
        """The driver, the cubin, and the kernels as a library."""
        image = bundle.artifact / CUBIN
        if not image.is_file():
            raise DeviceError(f"the bundle has no artifact/{CUBIN}", "compile it again")
        functions = {step.function for step in plan.read(bundle.artifact / plan.PLAN)}
        cubin.check(image.read_bytes(), bundle.target.graphics.arch, functions)
        shutil.copyfile(image, folder / CUBIN)
        shutil.copyfile(host_build.cuda_emulator(platform.machine()), folder / "libcuda.so.1")
        native = ["-march=native"] if platform.machine() == "x86_64" else []
        tool = toolchain.load("host-cxx").find()
        command = [*tool.argv, *FLAGS, *native, CUDA.source, "-o", "kernels.so"]
        environment = {"PATH": clean()["PATH"], "TMPDIR": str(folder), "HOME": str(folder)}
        done = sandbox.run_program(command, folder=folder, limits=LIMITS, env=environment)
        if done.returncode != 0:
            first = first_error(done.stdout)
            raise DeviceError(f"kernels.cu does not compile: {first}", "compile the bundle again")
        return Prepared({"LD_LIBRARY_PATH": str(folder)})
