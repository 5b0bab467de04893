"""The CUDA GPU of this machine: a bundle's kernels run on it for real, timed.

The bundle's GPU is another one, so its ``kernels.cu`` is compiled for the one that is here: a cubin for an architecture
that NVRTC 11.8 knows, else PTX, which the driver compiles. Plan, weights and the host program's source are those of the
board. Times are this GPU's and say nothing about the board's.
"""

from __future__ import annotations

import platform
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.backends import runner_build
from edgekit.backends.cuda import CUBIN, nvrtc
from edgekit.backends.gpu import host_build
from edgekit.backends.gpu.dialect import CUDA
from edgekit.runners import Run, RunOptions, host
from edgekit.runners.counted import needed
from edgekit.runners.linux import program as programs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle

DEVICE = "edgekit.backends.cuda.child:device"
LIMITS = replace(host.LIMITS, memory_mb=1 << 20, network=True)
"""CUDA's driver reserves far more memory than it uses, and opens a socket of its own (``@cuda-uvmfd-...``)."""


class HostGpu:
    """Runs bundles of the backend ``cuda``. Registered as ``host-gpu``."""

    name = "host-gpu"

    def run(self, bundle: Bundle, inputs: Sequence[NDArray[Any]], options: RunOptions) -> Run:
        """See :class:`edgekit.runners.Runner`.

        :raises ToolMissing: if there is no CUDA driver here, or no NVRTC.
        :raises DeviceError: if there is no device, the bundle is of another backend, or it fails.
        """
        program = programs.of(bundle)
        files = needed(bundle, CUDA, "host-gpu runs bundles of the backend cuda only")
        device = found()
        here, arch = platform.machine(), int(device["arch"])
        kind = f"sm_{arch}" if arch <= nvrtc.NEWEST else f"compute_{nvrtc.NEWEST}"
        made = nvrtc.compiled((bundle.artifact / CUDA.source).read_text(), kind)
        with sandbox.scratch() as folder:
            shutil.copyfile(host_build.get(here, "cuda"), folder / host_build.LIBRARY)
            for path in files:
                shutil.copyfile(path, folder / path.name)
            (folder / CUBIN).write_bytes(made.image)
            command = [str(runner_build.get(here).path), *program.arguments(str(folder / host_build.LIBRARY), "")]
            environment = {**host.environment(), "HOME": str(folder), "CUDA_CACHE_PATH": str(folder)}
            run = host.execute(
                command, bundle, program, inputs, options, folder, environment, str(device["name"]), LIMITS, nodes()
            )
        run.conditions["machine"] = f"{device['name']} ({kind}), {run.conditions['machine'] or here}"
        return run


def found() -> dict[str, Any]:
    """``name`` and ``arch`` (90 for sm_90) of this machine's first CUDA device.

    :raises ToolMissing: if there is no driver. :raises DeviceError: if it has no device.
    """
    device, _ = sandbox.call(DEVICE, {}, limits=LIMITS, writable=nodes())
    return device


def nodes() -> list[Path]:
    """The device files of NVIDIA's drivers, on PCs and on Jetsons."""
    patterns = ("nvidia*", "nvidia-caps/*", "nvhost*", "nvmap", "nvsciipc")
    return sorted(path for pattern in patterns for path in Path("/dev").glob(pattern) if not path.is_dir())
