"""The child's side of a farm: TVM's RPC client, which times kernels on the boards."""

from __future__ import annotations

import statistics
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from edgekit.errors import DeviceError
from edgekit.text.logs import last_line

SESSION_SECONDS, BURST_SECONDS, BURSTS = 60, 0.002, 3
"""Of a session with a board; of one burst of calls that is timed; bursts a round, of which the fastest counts."""


def measure(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Time ``calls`` of ``library``: ``function``, ``args`` (names of arrays), ``shape`` and ``dtype`` of the output.

    :param args: also ``host``, ``port`` and ``key`` of the tracker, how many ``boards``, and ``rounds``.
    :returns: ``relative``: ``[rounds, calls]``, times relative to the first call's on the same board; ``first_us``; and
        ``outN``, what call N made.
    :raises DeviceError: if a board fails.
    """
    tempfile.tempdir = str(folder)
    library = folder / "network.so"
    library.write_bytes(arrays["library"].tobytes())
    later = list(range(1, len(args["calls"])))
    count = max(1, min(args["boards"], len(later)))
    shares = [[0, *later[n::count]] for n in range(count)]
    with ThreadPoolExecutor(count) as pool:
        parts = list(pool.map(lambda mine: _on_board(args, arrays, library, mine), shares))
    first = [us for times, _ in parts for us in times[0]]
    relative: dict[int, list[float]] = {0: [1.0] * args["rounds"]}
    outputs: dict[str, Any] = {}
    for mine, (times, made) in zip(shares, parts, strict=True):
        for number in mine:
            outputs.setdefault(f"out{number}", made[number])
            if number:
                relative[number] = [us / own for us, own in zip(times[number], times[0], strict=True)]
    rows = [[relative[n][r] for n in range(len(args["calls"]))] for r in range(args["rounds"])]
    return {"relative": rows, "first_us": statistics.median(first)}, outputs


def _on_board(
    args: dict[str, Any], arrays: dict[str, Any], library: Path, mine: list[int]
) -> tuple[dict[int, list[float]], dict[int, Any]]:
    """Microseconds of each round and the output, by call, on the next free board."""
    import numpy as np
    import tvm
    from tvm import rpc

    try:
        tracker = rpc.connect_tracker(args["host"], args["port"])
        session = tracker.request(args["key"], session_timeout=SESSION_SECONDS)
        session.upload(str(library))
        module, device = session.load_module(library.name), session.cpu(0)
        forms = {}
        for number in mine:
            call = args["calls"][number]
            given = [tvm.runtime.tensor(np.ascontiguousarray(arrays[name]), device) for name in call["args"]]
            made = tvm.runtime.tensor(np.zeros(call["shape"], call["dtype"]), device)
            evaluator = module.time_evaluator(call["function"], device, number=1, repeat=1)
            once = evaluator(*given, made).mean
            often = max(1, min(10_000, int(BURST_SECONDS / max(once, 1e-7))))
            forms[number] = (module.time_evaluator(call["function"], device, number=often, repeat=BURSTS), given, made)
        times: dict[int, list[float]] = {number: [] for number in mine}
        for _ in range(args["rounds"]):
            for number, (evaluator, given, made) in forms.items():
                times[number].append(max(min(evaluator(*given, made).results) * 1e6, 1e-6))
        return times, {number: made.numpy() for number, (_, _, made) in forms.items()}
    except Exception as error:  # whatever TVM makes of a board that fails: RuntimeError, OSError, its own
        reason = last_line(str(error), type(error).__name__, most=160)
        raise DeviceError(f"a board of the tracker failed: {reason}", "check its server's messages") from error
