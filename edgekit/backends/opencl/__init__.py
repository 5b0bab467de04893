"""The OpenCL backend: kernels for Mali, Adreno and other GPUs, built by the device's own driver."""

from __future__ import annotations

from edgekit.backends.gpu import GpuBackend, HalfGpuBackend
from edgekit.backends.gpu.dialect import OPENCL


class OpenCL(GpuBackend):
    """Kernels in OpenCL C 1.2, in source."""

    name, title, runtime, driver, dialect = "opencl", "OpenCL", "opencl 1", "opencl", OPENCL


class OpenCLHalf(HalfGpuBackend, OpenCL):
    """The same with float16 weights and activations, half the traffic; arithmetic and sums stay float32."""

    name = "opencl-f16"
