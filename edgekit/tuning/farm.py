"""A farm of boards behind TVM's RPC tracker: kernels are timed by TVM's own servers, several boards at once.

The client that talks to the servers is TVM's and runs in a child (:mod:`edgekit.tuning.farm_child`), which may use the
network. Here the tracker is only asked who is there, by its protocol (``tvm/rpc/tracker.py``), so that a wrong address
is told within seconds. Boards are registered under the target's name.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.backends.tvm import LIBRARY, compiled, link
from edgekit.errors import DeviceError, UsageError
from edgekit.tuning import batch as batches
from edgekit.tuning.batch import Form
from edgekit.tuning.measure import Times

if TYPE_CHECKING:
    from edgekit.backends.tvm.processors import Processor
    from edgekit.target import Target

TASK = "edgekit.tuning.farm_child:measure"
SECONDS = 5.0
"""In which a tracker answers."""
TRACKER_PORT = 9190
"""Where TVM's tracker listens unless it is told otherwise."""
LIMITS = sandbox.Limits(seconds=180, memory_mb=8192, network=True)
MAGIC, SUMMARY, MOST_BYTES = 0x2F271, 6, 1 << 20
"""``RPC_TRACKER_MAGIC``, ``TrackerCode.SUMMARY`` and the largest message (tvm/rpc/base.py, tracker.py)."""


class Farm:
    """Times variants of a kernel on the boards of ``tracker://host:port``."""

    name, exact = "tracker", False

    def __init__(self, on: str, target: Target, processor: Processor) -> None:
        self._host, self._port = address(on)
        self._target, self._processor = target, processor
        self.boards = boards(self._host, self._port, target.name)

    def times(self, forms: Sequence[Form], rounds: int) -> Times:
        """See :class:`edgekit.tuning.measure.Measure`.

        The forms are shared among the boards; each board also times the first form, and all ratios are to its own.
        """
        made = batches.batch(forms)
        pieces = compiled(made.program, self._processor, batches.PRELOAD)
        with sandbox.scratch() as folder:
            link(pieces, self._target, folder / LIBRARY, alone=True)
            library = (folder / LIBRARY).read_bytes()
        arrays: dict[str, NDArray[Any]] = {"library": np.frombuffer(library, np.uint8)}
        given = dict(zip(made.program.inputs, batches.inputs(made.graph), strict=True))
        calls = []
        for function, call in zip(pieces.functions, made.program.calls, strict=True):
            names = []
            for argument in call.args[:-1]:
                kept = made.program.buffers[argument.buffer].data
                values = given[argument.buffer][0] if kept is None else kept
                names.append(f"a{argument.buffer}")
                arrays[names[-1]] = values.reshape(argument.shape)
            out = call.args[-1]
            calls.append({"function": function, "args": names, "shape": list(out.shape), "dtype": out.dtype})
        request = {
            "host": self._host, "port": self._port, "key": self._target.name, "boards": self.boards,
            "rounds": rounds, "calls": calls,
        }  # fmt: skip
        try:
            found, outputs = sandbox.call(TASK, request, arrays, limits=LIMITS, preload=batches.PRELOAD)
        except sandbox.ChildDied as death:
            boards(self._host, self._port, self._target.name)
            raise DeviceError(
                f"the boards at {self._host}:{self._port} {death.reason}", "check their servers"
            ) from death
        relative = np.array(found["relative"])  # [rounds, forms]
        same = [batches.same(outputs["out0"], outputs[f"out{n}"]) for n in range(len(forms))]
        return Times(relative * float(found["first_us"]), same)


def address(on: str) -> tuple[str, int]:
    """Host and port of ``tracker://host:port``.

    :raises UsageError: if that is not what ``on`` says.
    """
    try:
        parts = urlsplit(on)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise UsageError(
            f"{on!r} is not a tracker's address", "write tracker://host:port, for example tracker://127.0.0.1:9190"
        )
    return host, port


def boards(host: str, port: int, key: str) -> int:
    """How many servers are registered under ``key``.

    :raises DeviceError: if the tracker does not answer within seconds, or there are none.
    """
    try:
        with socket.create_connection((host, port), timeout=SECONDS) as link_:
            link_.sendall(struct.pack("<i", MAGIC))
            if struct.unpack("<i", _exactly(link_, 4))[0] != MAGIC:
                raise ValueError("it is not a TVM tracker")
            message = json.dumps([SUMMARY]).encode()
            link_.sendall(struct.pack("<i", len(message)) + message)
            size = struct.unpack("<i", _exactly(link_, 4))[0]
            if not 0 < size <= MOST_BYTES:
                raise ValueError("it is not a TVM tracker")
            servers = json.loads(_exactly(link_, size))[1]["server_info"]
            found = [str(one["key"]).partition(":")[2] for one in servers]
    except (OSError, ValueError, LookupError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error) or type(error).__name__
        unknown = isinstance(error, socket.gaierror)
        hint = "check the name, or use its address" if unknown else "start it there: python -m tvm.exec.rpc_tracker"
        hint += "" if unknown or port == TRACKER_PORT else f" --port {port} --port-end {port + 1}"
        raise DeviceError(f"the tracker {host}:{port} does not answer: {reason}", hint) from error
    if key not in found:
        there = ", ".join(sorted(set(found))) or "none"
        raise DeviceError(
            f"the tracker {host}:{port} has no board named {key} (it has: {there})",
            f"start its server: python -m tvm.exec.rpc_server --tracker HOST:{port} --key {key}",
        )
    return found.count(key)


def _exactly(link_: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = link_.recv(count - len(data))
        if not part:
            raise ValueError("it closed the connection")
        data += part
    return data
