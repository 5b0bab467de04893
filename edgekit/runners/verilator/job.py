"""One run of the simulator: the file that it takes, the file that it leaves (``firmware_stubs/fpga/sim``)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import sandbox
from edgekit.errors import DeviceError
from edgekit.files import left_behind
from edgekit.runners.overlay.counted import COUNTERS, Computed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.codegen.schedule.overlay import Port
    from edgekit.target.fpga import Fpga

CYCLES = 200_000_000
"""That one inference may take."""
_BEAT = 1 << 16
"""Parts of a cycle that the simulator counts."""
_LIMITS = sandbox.Limits(seconds=1800, memory_mb=2048, file_mb=1024)
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C"}
_ENDS = {2: "the job is damaged", 3: f"it has not ended within {CYCLES} cycles", 4: "its ID register is wrong"}


@dataclass(frozen=True)
class MemoryTiming:
    """The memory behind the accelerator's port, in cycles.

    :param latency: from a request to its answer. :param jitter: up to so many more, at random. :param stall: of 256
        cycles so many in which it takes no request, and as many in which it gives no answer, at random.
    :param beat: from an answer to the next, at least, on average.
    """

    latency: int = 8
    jitter: int = 0
    stall: int = 0
    seed: int = 1
    beat: float = 1.0

    @staticmethod
    def of(chip: Fpga) -> MemoryTiming:
        """The memory of a target."""
        return MemoryTiming(latency=max(1, chip.port.latency_cycles), beat=chip.beat_cycles)

    def arguments(self) -> list[str]:
        """For the simulator."""
        parts = {"latency": self.latency, "jitter": self.jitter, "stall": self.stall, "seed": self.seed}
        return [f"{name}={value}" for name, value in {**parts, "beat": round(self.beat * _BEAT)}.items()]


def run(
    simulator: Path, stream: bytes, inputs: Sequence[Port], outputs: Sequence[Port], values: Sequence[NDArray[Any]],
    samples: int, timing: MemoryTiming = MemoryTiming(), depth: int = 2048,
) -> Computed:  # fmt: skip
    """Simulate all samples, one after the other.

    :param values: of each input ``[samples, *shape]``, int8. :param depth: commands that the log holds.
    :raises ValueError: if values do not have their port's shape. :raises DeviceError: if the simulation fails.
    """
    given = packed(stream, inputs, outputs, values, samples)
    words = sum(port.words for port in outputs)
    with sandbox.scratch() as folder:
        (folder / "job").write_bytes(given)
        command = [str(simulator), "job", "result", *timing.arguments(), f"cycles={CYCLES}"]
        done = sandbox.run_program(command, folder=folder, limits=_LIMITS, env=_ENVIRONMENT, readable=[simulator])
        if done.returncode != 0:
            why = _ENDS.get(done.returncode, f"it ended with {done.returncode}")
            raise DeviceError(f"the simulated accelerator failed: {why}", "compile the bundle again")
        result = left_behind.read(folder, "result", 4 * (samples * words + 6 * depth + 2))
    return _result(result, outputs, samples)


def packed(
    stream: bytes, inputs: Sequence[Port], outputs: Sequence[Port], values: Sequence[NDArray[Any]], samples: int
) -> bytes:
    """The file that the simulator takes; parameters and errors as those of :func:`run`."""
    for port, array in zip(inputs, values, strict=True):
        if array.shape != (samples, *port.shape) or array.dtype != np.int8:
            raise ValueError(f"an input is {array.dtype} {array.shape}, not int8 {(samples, *port.shape)}")
    parts = [struct.pack("<I", len(stream)), stream]
    for group in (inputs, outputs):
        parts.append(struct.pack("<I", len(group)))
        parts += [struct.pack("<II", port.base, port.words) for port in group]
    parts.append(struct.pack("<I", samples))
    return b"".join(
        [*parts, *(port.packed(x[n]) for n in range(samples) for port, x in zip(inputs, values, strict=True))]
    )


def _result(result: bytes, outputs: Sequence[Port], samples: int) -> Computed:
    images: list[list[NDArray[np.int8]]] = [[] for _ in outputs]
    at = 0
    for _ in range(samples):
        for kept, port in zip(images, outputs, strict=True):
            kept.append(port.unpacked(result[at : at + 4 * port.words]))
            at += 4 * port.words
    rest = np.frombuffer(result[at:], "<u4").astype(np.int64)
    log = rest[1:-1].reshape(-1, len(COUNTERS))
    return Computed([np.stack(kept) for kept in images], log, int(rest[-1]))
