"""Runs Arm's compiler vela in an environment of its own, locked down, and reads what it leaves.

Vela writes the compiled network, a table of cycles per operation (``--enable-debug-db``, table ``perf``) in which each
operation names the operator of the original network that it came from, and a summary of cycles and memory.
"""

from __future__ import annotations

import csv
import hashlib
import os
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import sandbox
from edgekit.errors import EdgekitError, ModelError
from edgekit.files import left_behind
from edgekit.graph import tflite
from edgekit.sandbox.environment import clean
from edgekit.text.logs import lines
from edgekit.tools.environment import Environment

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target.mcu import Npu

ENVIRONMENT = Environment(
    "ethos-u-vela", "ethos-u-vela", "compiles networks for Ethos-U NPUs", "30 MB", "", "a network connection", "ethos-u"
)
LIMITS = sandbox.Limits(seconds=600, memory_mb=8192)
MOST_BYTES = 1 << 30
"""Of each file that vela leaves."""
CONFIG = "Arm/vela.ini"
"""The file of configurations that vela ships."""
_NETWORK = "network"
_TABLE = re.compile(r'<table name="(\w+)">\s*<!\[CDATA\[\n(.*?)\]\]>', re.DOTALL)
_REASON = re.compile(r"^Warning \(supported operators\) operator: \S+, ofm: '(.*)'\nReason: ((?:.+\n)+)", re.MULTILINE)
_MEMORIES = {"sram": "SRAM", "dram": "DRAM", "on_chip_flash": "flash on the chip", "off_chip_flash": "flash"}


@dataclass(frozen=True)
class Operation:
    """One operation of the compiled network.

    :param source: index of the original operator that it came from; None for what vela added.
    :param operator: vela's name of it. :param npu_cycles: of the NPU alone, without waiting for memory.
    """

    source: int | None
    operator: str
    cycles: int
    npu_cycles: int
    macs: int


@dataclass(frozen=True)
class Compiled:
    """What vela made of a network.

    :param data: the compiled network, a TFLite file. :param operations: in the order of execution.
    :param memory: bytes used, by kind: ``sram``, ``dram``, ``on_chip_flash``, ``off_chip_flash``.
    :param said: what it printed. :param reasons: why operators run on the CPU, in vela's words, by their index.
    """

    data: bytes
    operations: tuple[Operation, ...]
    memory: Mapping[str, int]
    clock_hz: float
    said: str
    reasons: Mapping[int, str] = field(default_factory=dict)

    @property
    def cycles(self) -> int:
        """Of one inference on the NPU, by vela's model."""
        return sum(operation.cycles for operation in self.operations)

    @property
    def ram_bytes(self) -> int:
        """SRAM of one inference."""
        return self.memory["sram"]

    @property
    def flash_bytes(self) -> int:
        """Of commands and weights, in flash or DRAM; of activations, too, where the SRAM is only a cache."""
        return sum(size for kind, size in self.memory.items() if kind != "sram")

    def memory_words(self) -> str:
        """Memory used, for people."""
        return ", ".join(f"{size / 1024:.1f} KiB {_MEMORIES[name]}" for name, size in self.memory.items() if size)


def named(graph: Graph) -> Graph:
    """The network as vela gets it: fixed sizes, and a name of its own for each tensor.

    Names are how operators are found again in the compiled network, and in vela's messages.
    """
    seen: set[str] = set()
    subgraphs = []
    for subgraph in graph.subgraphs:
        kept = {*subgraph.inputs, *subgraph.outputs}
        first = {subgraph.tensors[i].name: i for i in sorted(kept, reverse=True)}
        tensors = []
        for index, tensor in enumerate(subgraph.tensors):
            name = tensor.name
            if not name or name in seen or first.get(name, index) != index:
                name = f"{tensor.name or 'tensor'}#{index}"
            seen.add(name)
            tensors.append(replace(tensor, name=name, shape_signature=None))
        subgraphs.append(replace(subgraph, tensors=tensors))
    return replace(graph, subgraphs=subgraphs, signatures=[], metadata={}, notes=[])


def compile(graph: Graph, npu: Npu) -> Compiled:
    """Compile a network; the same network for the same NPU is compiled once per process.

    :raises ToolMissing: if vela is not there and cannot be installed.
    :raises ModelError: if vela refuses the network, or crashes on it.
    """
    given = named(graph)
    data = tflite.dumps(given)
    with _LOCK:
        found = _compiled(hashlib.sha256(data).digest(), _Bytes(data), npu)
    return replace(found, reasons=_by_operator(given, found.said))


def _by_operator(graph: Graph, said: str) -> dict[int, str]:
    makers = {graph.tensors[i].name: n for n, operator in enumerate(graph.operators) for i in operator.outputs}
    found = {}
    for name, reason in _REASON.findall(said):
        number = makers.get(name, makers.get(name.removesuffix("_act")))
        if number is not None:
            found[number] = " ".join(lines(reason))[:300].rstrip(".")
    return found


_LOCK = threading.Lock()


class _Bytes:
    """A file that is equal to all others: its digest stands for it."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bytes)

    def __hash__(self) -> int:
        return 0


@lru_cache(maxsize=16)
def _compiled(digest: bytes, file: _Bytes, npu: Npu) -> Compiled:
    python = ENVIRONMENT.ensure()
    with sandbox.scratch() as folder:
        (folder / f"{_NETWORK}.tflite").write_bytes(file.data)
        argv = [
            str(python), "-I", "-m", "ethosu.vela", f"{_NETWORK}.tflite", "--output-dir", ".",
            "--accelerator-config", npu.accelerator, "--config", CONFIG, "--system-config", npu.system_config,
            "--memory-mode", npu.memory_mode, "--arena-cache-size", str(npu.sram_kib << 10),
            "--enable-debug-db", "--verbose-performance",
        ]  # fmt: skip
        env = {
            "PATH": f"{python.parent}{os.pathsep}{clean()['PATH']}", "HOME": str(folder), "TMPDIR": str(folder),
            "LANG": "C.UTF-8", "PYTHONHASHSEED": "0",
        }  # fmt: skip
        try:
            done = sandbox.run_program(argv, folder=folder, limits=LIMITS, env=env)
        except sandbox.ChildDied as died:
            raise ModelError(f"vela {died.reason}", "try a smaller network") from died
        if done.returncode != 0:
            raise ModelError(f"vela cannot compile the network: {_why(done.returncode, done.stdout)}", _OTHER)
        return _read(folder, npu, done.stdout)


_OTHER = "change it, or use a target without an NPU"


def _why(code: int, text: str) -> str:
    if code < 0:
        return f"it crashed (signal {-code})"
    said = lines(text)
    telling = [line for line in said if re.search(r"error|invalid|fail|not ", line, re.IGNORECASE)]
    return (telling or said or ["it said nothing"])[-1][:300]


def _read(folder: Path, npu: Npu, text: str) -> Compiled:
    def file(name: str) -> bytes:
        return left_behind.read(folder, name, MOST_BYTES, EdgekitError)

    try:
        tables = dict(_TABLE.findall(file(f"{_NETWORK}_debug.xml").decode()))
        keys = {row["id"]: int(row["ext_key"]) for row in _rows(tables["source"])}
        operations = tuple(
            Operation(
                keys.get(row["source_id"]), row["operator"], int(row["op_cycles"]), int(row["npu_cycles"]),
                int(row["mac_count"]),
            )
            for row in _rows(tables.get("perf", ""))
        )  # fmt: skip
        (summary,) = _rows(file(f"{_NETWORK}_summary_{npu.system_config}.csv").decode())
        memory = {name: round(float(summary[f"{name}_memory_used"]) * 1024) for name in _MEMORIES}
        return Compiled(
            file(f"{_NETWORK}_vela.tflite"), operations, memory, float(summary["core_clock"]), text
        )  # fmt: skip
    except (ValueError, KeyError, TypeError) as error:
        raise EdgekitError(f"vela left damaged reports ({error!r})", "please report this") from error


def _rows(text: str) -> Sequence[dict[str, str]]:
    return list(csv.DictReader(text.splitlines()))
