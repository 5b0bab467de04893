"""The CUDA backend: kernels for NVIDIA's GPUs, compiled for the target's architecture without one.

The artifact has the kernels in source (``kernels.cu``) and compiled (``kernels.cubin``), and a host program that needs
nothing of CUDA but the driver.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends.cuda import nvrtc
from edgekit.backends.gpu import GpuBackend, HalfGpuBackend
from edgekit.backends.gpu.dialect import CUDA as CUDA_CPP

if TYPE_CHECKING:
    from edgekit.target import Target

CUBIN = "kernels.cubin"


class CUDA(GpuBackend):
    """Kernels in CUDA C++ and as a cubin for ``gpu.arch`` of the target."""

    name, title, runtime, driver, dialect = "cuda", "CUDA", "cuda 1", "cuda", CUDA_CPP

    def built(self, target: Target, folder: Path) -> dict[str, str]:
        """Write ``kernels.cubin``.

        :raises ToolMissing: if NVRTC is not installed.
        """
        made = nvrtc.compiled((folder / self.dialect.source).read_text(), target.graphics.arch)
        (folder / CUBIN).write_bytes(made.image)
        (folder / CUBIN).chmod(0o644)
        return {"nvrtc": made.version}


class CUDAHalf(HalfGpuBackend, CUDA):
    """The same with float16 weights and activations, half the traffic; arithmetic and sums stay float32."""

    name = "cuda-f16"
