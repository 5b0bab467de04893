"""The CUDA GPU of this machine: a bundle's kernels run on it for real, timed.

The bundle's GPU is another one, so its ``kernels.cu`` is compiled for the one that is here: a cubin for an architecture
that NVRTC 11.8 knows, else PTX, which the driver compiles. Plan, weights and the host program's source are those of the
board. Times are this GPU's and say nothing about the board's.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.backends.cuda import CUBIN, nvrtc
from edgekit.backends.gpu.dialect import CUDA
from edgekit.runners import Defaults, Device, Observes, OpenOptions, Refusal, Run, RunOptions, Session, host
from edgekit.runners.counted import laid_out, needed
from edgekit.runners.linux import program as programs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.bundle.execution import Execution
    from edgekit.target import Target

DEVICE = "edgekit.backends.cuda.child:device"
LIMITS = replace(host.LIMITS, memory_mb=1 << 20, network=True)
"""CUDA's driver reserves far more memory than it uses, and opens a socket of its own (``@cuda-uvmfd-...``)."""


@dataclass(frozen=True)
class HostGpuSession:
    """Runs the host program on a GPU; ``kind`` says for what its kernels were compiled."""

    process: host.Process
    kind: str

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        return self.process.info()

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`."""
        run = self.process.run(inputs, options)
        machine = run.conditions["machine"] or platform.machine()
        run.conditions["machine"] = f"{self.process.where} ({self.kind}), {machine}"
        return run


class HostGpu(Defaults):
    """Runs bundles of the backend ``cuda``. Registered as ``host-gpu``."""

    name = "host-gpu"
    observes = Observes.TIMES

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`."""
        return programs.refusal(execution)

    @contextmanager
    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
        """See :class:`edgekit.runners.Runner`.

        :raises ToolMissing: if there is no CUDA driver here, or no NVRTC.
        :raises DeviceError: if there is no device, or the bundle is of another backend.
        """
        files = needed(bundle, CUDA, "host-gpu runs bundles of the backend cuda only")
        device = found()
        arch = int(device["arch"])
        kind = f"sm_{arch}" if arch <= nvrtc.NEWEST else f"compute_{nvrtc.NEWEST}"
        made = nvrtc.compiled((bundle.artifact / CUDA.source).read_text(), kind)
        with sandbox.scratch() as folder:
            command = laid_out(bundle, files, "cuda", folder)
            (folder / CUBIN).write_bytes(made.image)
            own = folder / "cuda"
            own.mkdir()
            env = {**host.environment(), "HOME": str(own), "CUDA_CACHE_PATH": str(own)}
            process = host.Process(
                command, bundle, programs.of(bundle.execution), str(device["name"]), env, LIMITS, [folder],
                [own, *nodes()],
            )  # fmt: skip
            yield HostGpuSession(process, kind)


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
