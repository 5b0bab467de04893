"""The OpenCL backend: kernels for Mali, Adreno and other GPUs, built by the device's own driver."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.backends.gpu import GpuBackend
from edgekit.backends.gpu.dialect import OPENCL
from edgekit.backends.gpu.plan import HALVES, Form
from edgekit.parity import HALF_TOLERANCE

if TYPE_CHECKING:
    from edgekit.graph import Graph


class OpenCL(GpuBackend):
    """Kernels in OpenCL C 1.2, in source."""

    name, title, runtime, driver, dialect = "opencl", "OpenCL", "opencl 1", "opencl", OPENCL


class OpenCLHalf(OpenCL):
    """The same with float16 weights and activations, half the traffic; arithmetic and sums stay float32."""

    name = "opencl-f16"
    tolerance = HALF_TOLERANCE

    def form(self, graph: Graph) -> Form:
        return HALVES
