"""Every target, runtime, dtype and source of evidence gives the figures that were recorded.

``python -m tests.profiling.test_recorded_figures`` records them anew, after a change that is meant to move figures.
"""

from __future__ import annotations

import functools
import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import target
from edgekit.errors import ToolMissing
from edgekit.graph import Graph, Subgraph, Tensor
from edgekit.graph.stats import statistics
from edgekit.profiling import Profile, mca, npu, registry
from edgekit.runners import OperatorTrace, Source, Trace
from edgekit.runners.linux.kernels import ALL
from edgekit.target import BoardKind
from tests.profiling.image_networks import NETWORKS

RECORD = Path(__file__).parent / "recorded_figures.json"
DTYPES = {  # of activations, weights, biases
    "float32": ("float32", "float32", "float32"),
    "float16": ("float32", "float16", "float16"),
    "hybrid": ("float32", "int8", "float32"),
    "int8": ("int8", "int8", "int32"),
    "uint8": ("uint8", "uint8", "int32"),
    "int16": ("int16", "int8", "int64"),
}
RUNTIMES = ("any", "litert 2.3.0", "cuda", "tensorrt")
THREADS = (1, 4)
COUNTS = {
    "instructions": 100_000, "load": 30_000, "store": 10_000, "fp_fma_vec": 20_000, "int8_dot": 20_000,
    "branch": 5_000, "int_alu": 15_000, "l1_misses": 700, "l2_misses": 300, "l3_misses": 90, "l1_streamed": 400,
    "l2_streamed": 150, "l3_streamed": 30,
}  # fmt: skip
LAUNCHES = {"launches": 1, "work_items": 4096, "flops": 3_000_000, "read_bytes": 200_000, "written_bytes": 50_000}


@functools.cache
def network(dtype: str) -> Graph:
    """MobileNet v1 with zero weights."""
    activations, weights, biases = DTYPES[dtype]

    def cast(tensor: Tensor) -> Tensor:
        kind = activations if tensor.data is None else biases if tensor.dtype == "int32" else weights
        data = None if tensor.data is None else np.zeros(tensor.elements * np.dtype(kind).itemsize, np.uint8)
        return replace(tensor, dtype=kind, data=data, quantization=None if "float" in kind else tensor.quantization)

    main = NETWORKS["MobileNet v1"]().subgraphs[0]
    tensors = [cast(tensor) for tensor in main.tensors]
    return Graph([Subgraph("main", tensors, main.operators, main.inputs, main.outputs)])


def trace(source: Source, runtime: str, dtype: str, counts: dict[str, int]) -> Trace:
    """What a runner could have observed of the network."""
    rows = []
    for row in statistics(network(dtype)).operators:
        scaled = {name: value * (1 + row.index % 7) for name, value in counts.items()}
        name = f"{row.op} (NHWC, F32)" if row.index % 3 else row.op
        threads = ALL if row.index % 3 else 1
        rows.append(OperatorTrace(row.index, name, 0.1 * (row.index + 1), scaled, threads=threads))
    whole = {name: sum(row.counts[name] for row in rows) for name in counts}
    return Trace(source, runtime, [3.0, 3.25, 2.75, 9.0], rows, whole, peak_ram_bytes=1 << 20)


def document(name: str, evidence: str, runtime: str, dtype: str, threads: int) -> dict[str, Any]:
    """The document that ``profile --json`` prints, less fields that were added since the record."""
    board = target.load(name)
    conditions = {"threads": threads, "runtime": runtime, "dtype": dtype, "machine": "PoCL on x86_64"}
    graph = network(dtype)
    if evidence == "estimate":
        return recorded(registry.estimate(graph, board, conditions))
    counts = LAUNCHES if board.kind is BoardKind.GPU else COUNTS
    return recorded(registry.observed(graph, trace(Source(evidence), runtime, dtype, counts), board, conditions))


def recorded(profile: Profile) -> dict[str, Any]:
    document = profile.json()
    for row in (document, *document["operators"]):
        del row["cycles"]
    del document["macs"], document["zero_wait_cycles"]
    return document


def evidence(name: str) -> list[str]:
    """The sources that a target's figures can have."""
    counted = {"emulator", "pocl", "cuda-emulator"} & set(target.load(name).runners)
    return ["estimate", "device", *(["emulator"] if counted else [])]


def figures(name: str, source: str) -> dict[str, Any]:
    """Latencies for people, and a digest of all documents."""
    made = {
        f"{runtime}, {dtype}, {threads}": document(name, source, runtime, dtype, threads)
        for runtime in RUNTIMES
        for dtype in DTYPES
        for threads in THREADS
    }
    latencies = {dtype: list(made[f"any, {dtype}, 1"]["latency_ms"].values()) for dtype in DTYPES}
    text = json.dumps(rounded(made), sort_keys=True)
    return {"latency_ms": rounded(latencies), "documents": hashlib.sha256(text.encode()).hexdigest()}


def rounded(value: Any) -> Any:
    """The figures to eight digits: the last bits of sums and logarithms differ from processor to processor."""
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.8g}") if isinstance(value, float) else value


def without_llvm(*_: Any) -> None:
    raise ToolMissing("llvm-mca is not installed")


def without_vela(*_: Any) -> tuple[str, None]:
    return "vela is not installed", None


RECORDED: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}


def test_every_target_is_recorded() -> None:
    assert {name: sorted(rows) for name, rows in RECORDED.items()} == {n: sorted(evidence(n)) for n in target.names()}


@pytest.mark.parametrize(("name", "source"), [(name, source) for name, rows in RECORDED.items() for source in rows])
def test_figures_are_those_recorded(name: str, source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mca, "block_cycles", without_llvm)  # its version decides a little
    monkeypatch.setattr(npu, "_compiled", without_vela)  # it may not be there
    assert figures(name, source) == RECORDED[name][source]


if __name__ == "__main__":
    mca.block_cycles = without_llvm  # type: ignore[assignment]
    npu._compiled = without_vela  # type: ignore[assignment]
    made = {name: {source: figures(name, source) for source in evidence(name)} for name in target.names()}
    lines = (f"{json.dumps(name)}: {json.dumps(made[name], sort_keys=True)}" for name in sorted(made))
    RECORD.write_text("{\n" + ",\n".join(lines) + "\n}\n")
