"""Shared by runners that execute a bundle as a process: its files, its command line, its trace.

``firmware_stubs/linux/edgekit_run.c`` and ``run.py`` are at the other end; docs/formats.md describes the files.
"""

from __future__ import annotations

import json
import math
import signal
import statistics
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.bundle.execution import PROGRAM
from edgekit.errors import DeviceError, EdgekitError, ModelError
from edgekit.files import left_behind
from edgekit.graph import Graph, Tensor
from edgekit.runners import OperatorTrace, RunOptions, Source, Trace
from edgekit.runners.linux import kernels
from edgekit.runners.linux.attribution import attribute
from edgekit.runners.linux.program import SCRIPT, Program
from edgekit.text.logs import lines

if TYPE_CHECKING:
    from numpy.typing import NDArray

PROFILER_STEP_US = 1.01
"""LiteRT's profiler tells whole microseconds, so a mean time of its lies this near to the truth."""
SIGNALS = 128
"""Exit statuses above this are of a shell whose program was ended by a signal, the number of which is added to it."""
INPUTS, OUTPUTS, TRACE = "in.bin", "out.bin", "trace.json"


def results(folder: Path, graph: Graph, samples: int) -> list[NDArray[Any]]:
    """Read the output file that a run left in ``folder``, no more of it than the network's outputs need.

    :raises DeviceError, ModelError: as :func:`unpack`; also where it is not a plain file.
    """
    expected = samples * sum(tensor.nbytes for tensor in graph.outputs)
    size = left_behind.size(folder, OUTPUTS)
    if size > expected:
        raise too_long(size, expected)
    return unpack(left_behind.read(folder, OUTPUTS, expected), graph, samples)


def trace_text(folder: Path) -> str:
    """The trace that a run left in ``folder``.

    :raises DeviceError: if it is missing, not a plain file, or too large.
    """
    return left_behind.read(folder, TRACE, left_behind.MOST_JSON).decode(errors="replace")


def unpack(data: bytes, graph: Graph, samples: int) -> list[NDArray[Any]]:
    """Read the runner's output file: one array per network output, ``[samples, *tensor shape]``.

    :raises DeviceError: if it is shorter than the network's outputs need.
    :raises ModelError: if it is longer: the shapes in the file are not what the network computes.
    """
    wanted = samples * sum(tensor.nbytes for tensor in graph.outputs)
    if len(data) > wanted:
        raise too_long(len(data), wanted)
    return split(data, graph.outputs, samples)


def split(data: bytes, tensors: Sequence[Tensor], samples: int) -> list[NDArray[Any]]:
    """Read samples of tensors, back to back: one array per tensor, ``[samples, *tensor shape]``.

    :raises DeviceError: if there are not as many bytes as these need.
    """
    import numpy as np

    sizes = [tensor.nbytes for tensor in tensors]
    if len(data) != samples * sum(sizes):
        raise DeviceError(f"the run wrote {len(data)} bytes of tensors, {samples * sum(sizes)} were expected")
    table = np.frombuffer(data, np.uint8).reshape(samples, sum(sizes))
    found, at = [], 0
    for tensor, size in zip(tensors, sizes, strict=True):
        column = np.ascontiguousarray(table[:, at : at + size]).view(np.dtype(tensor.dtype).newbyteorder("<"))
        shape = (samples, *(abs(d) for d in tensor.shape))
        found.append(column.reshape(shape).astype(tensor.dtype, copy=False))
        at += size
    return found


def too_long(size: int, expected: int) -> ModelError:
    """The error where there are more bytes of outputs than the network's shapes say."""
    return ModelError(
        f"the outputs are larger than the model says: {size} bytes, not {expected}",
        "the shapes in the file are wrong: export the model again, or fix its inputs' sizes with --shape",
    )


def arguments(samples: int, options: RunOptions) -> list[str]:
    """What both runners understand, after ``--library`` and ``--model``; files lie in the working folder."""
    found = ["--inputs", INPUTS, "--outputs", OUTPUTS, "--trace", TRACE, "--samples", str(samples)]
    found += ["--repeat", str(options.repeat), "--warmup", str(options.warmup), "--threads", str(options.threads)]
    return [*found, "--profile"] if options.profile else found


def failure(status: int, output: str, where: str, program: Program = Program()) -> EdgekitError:
    """The error that the exit status and messages of a run of ``program`` mean; ``where`` says what it ran on."""
    said = lines(output)
    ours = next((line.split(": ", 1)[1] for line in said if line.startswith((f"{PROGRAM}: ", f"{SCRIPT}: "))), "")
    detail = [line.split("] ", 1)[-1] for line in said if line.startswith("ERROR:")]
    reason = ours or (said[-1] if said else f"it ended with status {status}")
    if detail:
        reason += f": {detail[-1].removeprefix('ERROR: ')}"
    if status == 3:
        return ModelError(f"{reason} ({where})", "compile another form of the model, or report it to LiteRT")
    if status < 0 or status > SIGNALS:
        number = -status if status < 0 else status - SIGNALS
        return DeviceError(f"{program.runtime} crashed (signal {number}) on {where}", crash_hint(program, number))
    return DeviceError(f"the run failed on {where}: {reason}"[:400])


def crash_hint(program: Program, number: int) -> str:
    """What to do where a signal ended the run."""
    if not program.compiled:
        return "the model may need another LiteRT version"
    if number == signal.SIGILL:
        return "it was compiled for a processor with other instructions: compile it for this one"
    return "compile the bundle with --backend litert, and report this"


def parse_trace(text: str, graph: Graph, source: Source) -> tuple[Trace, dict[str, Any]]:
    """Read a runner's trace.

    :returns: the trace, and the conditions it states: machine, clock.
    :raises DeviceError: if it is damaged.
    """
    try:
        data = json.loads(text)
        machine = data["machine"]
        power = _counting(data["power"] or {})
        trace = Trace(
            source=source,
            runtime=str(data["runtime"]),
            latency_ms=[float(value) for value in data["latency_ms"]],
            operators=_operators(data["events"], data.get("readings_ns", []), graph),
            power_w=[float(value) for value in power.get("samples_w", [])],
            power_scope=power.get("scope"),
            peak_ram_bytes=int(data["peak_ram_bytes"]) or None,
        )
        conditions = {
            "threads": int(data["threads"]),
            "machine": " ".join(str(machine[key]) for key in ("model", "cpu") if machine[key]),
            "clock_mhz": float(machine["clock_mhz"]) or None,
            "init_ms": float(data["init_ms"]),
        }
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError) as error:
        raise DeviceError(f"the run's trace is damaged: {error!r}", "compile the bundle again") from error
    if power:
        conditions["power_source"] = str(power.get("source", ""))
    if trace.latency_ms:
        conditions["median_ms"] = statistics.median(trace.latency_ms)
    return trace, conditions


def _counting(power: dict[str, Any]) -> dict[str, Any]:
    """The power meter's part of the trace; nothing of it where the meter stood still, which is not 0 W."""
    samples = [float(value) for value in power.get("samples_w", [])]
    return power if any(value > 0 for value in samples) and all(map(math.isfinite, samples)) else {}


def _operators(events: Sequence[dict[str, Any]], readings_ns: Sequence[float], graph: Graph) -> list[OperatorTrace]:
    """Mean time of each operator: between readings of the clock, or where they do not fit, as the profiler lists it."""
    rows = []
    for share in attribute(graph, _timed(events, readings_ns) or kernels.listed(events, len(graph.operators))):
        milliseconds = sum(kernel.observed for kernel in share.kernels) / 1e3
        rows.append(OperatorTrace(share.index, share.name, milliseconds, fused=tuple(share.fused)))
    return rows


def _timed(events: Sequence[dict[str, Any]], readings_ns: Sequence[float]) -> list[kernels.Kernel[float]] | None:
    """The kernels with their microseconds; None where the readings and the profiler do not agree on each of them."""
    found = kernels.match(events, [(end - begin) / 1e3 for begin, end in pairwise(readings_ns)])
    if found is None or any(abs(kernel.observed - kernel.us) > PROFILER_STEP_US for kernel in found):
        return None
    return found
