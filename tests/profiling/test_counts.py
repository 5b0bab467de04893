"""What cost models read and write beside figures: blocks of code, caches of answers, documents, memories that fill."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from edgekit import target
from edgekit.graph import Graph, Operator, Quantization, Subgraph, Tensor
from edgekit.graph.stats import statistics
from edgekit.profiling import (
    Evidence,
    Figure,
    OperatorProfile,
    Profile,
    accelerator,
    cycles,
    energy,
    mca,
    plot,
    registry,
)
from edgekit.profiling.dtypes import Dtype
from edgekit.runners import BlockUse, OperatorTrace, Source, Trace

NOP, ADD = "1f2003d5", "2000018b"
COVERAGE = 0.98
"""The share of instructions that have to be judged (targets/costs/cycles.toml)."""


def profile(rows: list[OperatorProfile]) -> Profile:
    return Profile(
        "rpi4", "estimate", "litert", {}, Figure(4.0, 1.0, 9.0), Figure(2.0, 1.0, 3.0), Figure(3.0, 2.0, 4.0), "wall",
        {}, rows,
    )  # fmt: skip


def test_a_profile_as_a_document() -> None:
    """The scope belongs to the energy; rows that say nothing of it have no share, bound, kernels or counts."""
    found = profile([OperatorProfile(0, "n", "ADD", 1, 2, 3.0, 4.0)]).json()
    assert found["schema"] == 1 and "scope" not in found
    assert found["energy_mj"] == {"value": 2.0, "low": 1.0, "high": 3.0, "scope": "wall"}
    assert found["operators"] == [{
        "index": 0, "name": "n", "op": "ADD", "macs": 1, "bytes": 2, "latency_ms": 3.0, "energy_mj": 4.0,
        "instructions": None, "cycles": None, "share": 0.0, "bound": "", "kernels": "", "counts": {},
    }]  # fmt: skip


@pytest.mark.parametrize("count", [59, 60, 61])
def test_a_long_network_shows_its_slowest_operators(
    tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr("edgekit.data.picture.save", lambda figure, path: drawn.append(figure))
    rows = [OperatorProfile(n, "", "ADD" if n % 2 else "MUL", 0, 0, float(n), 0.0, share=n / 100) for n in range(count)]
    plot.draw(profile(rows), tmp_path / "x.svg")
    (axes,) = drawn[0].axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    first = max(0, count - 60)
    assert labels == [f"{n} {'ADD' if n % 2 else 'MUL'}" for n in range(first, count)]
    assert [patch.get_width() for patch in axes.patches] == [float(n) for n in range(first, count)]
    assert axes.get_title() == "rpi4 (estimate): 4 ms (1 to 9)" and axes.get_xlabel() == "ms"
    assert axes.yaxis_inverted() and axes.patches[0].get_facecolor() != axes.patches[1].get_facecolor()
    assert drawn[0].get_size_inches()[1] == pytest.approx(1.4 + 0.24 * len(labels))
    assert f" {(count - 1)}.0%" in [text.get_text() for text in axes.texts]


def test_blocks_that_hold_nearly_all_instructions() -> None:
    """Of 1000 instructions the blocks that hold 980, in order: 50 of two instructions are 100."""
    sizes = [(NOP, 800), (NOP + ADD, 50), (ADD, 80), (ADD + NOP, 10)]
    op = OperatorTrace(0, "", counts={"instructions": 1000}, blocks=[BlockUse(code, n) for code, n in sizes])
    assert [(block.code, block.count) for block in cycles._hot(op, COVERAGE)] == sizes[:3]
    assert list(cycles._hot(OperatorTrace(0, ""), COVERAGE)) == []


def test_operators_whose_blocks_llvm_cannot_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    """600 of 1000 instructions are judged at 900 cycles: the whole at 1500. Of the other nothing is: the table."""
    monkeypatch.setattr(mca, "block_cycles", lambda codes, core: {NOP: 1.0, ADD + ADD: 2.0} if list(codes) else {})
    judged = OperatorTrace(0, "a", counts={"instructions": 1000, "load": 1000}, blocks=[
        BlockUse(NOP, 300), BlockUse(ADD + ADD, 300), BlockUse(ADD, 100)])  # fmt: skip
    other = OperatorTrace(1, "b", counts={"instructions": 100, "load": 100}, blocks=[BlockUse(ADD, 100)])
    found = cycles._core_by_llvm(
        Trace(Source.EMULATOR, "litert", operators=[judged, other]), target.load("rpi4"), COVERAGE
    )
    assert found == pytest.approx([(300 + 600) * 1000 / 900, 100 * 0.96])
    monkeypatch.setattr(mca, "block_cycles", lambda codes, core: {})
    assert (
        cycles._core_by_llvm(Trace(Source.EMULATOR, "litert", operators=[judged]), target.load("rpi4"), COVERAGE)
        is None
    )


def test_answers_of_llvm_are_kept_with_what_others_added(tmp_path: Path) -> None:
    path = tmp_path / "mca" / "deep" / "x.json"
    assert mca._load(path) == {}
    mca._save(path, {"a": 1.0})
    mca._save(path, {"b": 2.0})
    assert json.loads(path.read_text()) == mca._load(path) == {"a": 1.0, "b": 2.0}
    path.write_text("[1]")
    assert mca._load(path) == {}
    path.parent.chmod(0o500)
    mca._save(tmp_path / "mca" / "deep" / "x.json" / "below", {"a": 1.0})  # no folder: nothing is kept, nothing said


def test_a_tool_that_is_not_there_or_hangs_answers_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert mca._run(["/nonexistent/llvm-mca"], "").stdout == ""
    assert mca._run(["/nonexistent/llvm-mca"], "").returncode == 1
    assert mca._run(["/bin/cat"], "text").stdout == "text"

    def hang(*args: object, **options: object) -> None:
        raise subprocess.TimeoutExpired("llvm-mca", 1)

    monkeypatch.setattr(subprocess, "run", hang)
    assert mca._run(["/bin/cat"], "text").stdout == ""
    assert mca._analyze([NOP], mca.Core("cortex-a72", ""), "/nonexistent/llvm-mca") == {}


def layers(*sizes: tuple[int, int]) -> Graph:
    """A chain of FULLY_CONNECTED in int8."""
    scale = Quantization(np.array([1.0], np.float32), np.array([0]))
    tensors = [Tensor("x", (1, sizes[0][0]), "int8", scale)]
    operators = []
    for inputs, outputs in sizes:
        tensors.append(Tensor("w", (outputs, inputs), "int8", scale, np.zeros(inputs * outputs, np.uint8)))
        tensors.append(Tensor("y", (1, outputs), "int8", scale))
        source = 0 if not operators else operators[-1].outputs[0]
        operators.append(Operator("FULLY_CONNECTED", (source, len(tensors) - 2), (len(tensors) - 1,)))
    return Graph([Subgraph("main", tensors, operators, (0,), (len(tensors) - 1,))])


@pytest.mark.parametrize(
    ("room", "sent"), [(6144, (0, 0)), (6143, (0, 2048)), (4096, (0, 2048)), (4095, (4096, 0)), (2047, (4096, 2048))]
)
def test_parameters_fill_the_chip_to_the_byte(room: int, sent: tuple[int, int]) -> None:
    """Layers of 4096 and 2048 bytes, each kept as a whole or sent as a whole, in the order of execution."""
    found = accelerator._streamed(statistics(layers((64, 64), (64, 32))), room)
    assert (found[0], found[1]) == sent


def test_the_call_is_a_row_of_its_own() -> None:
    call = registry.estimate(layers((64, 64)), target.load("coral-edgetpu"), {}).operators[-1]
    assert (call.index, call.name, call.op, call.macs, call.bytes, call.bound) == (None, "call", "", 0, 128, "overhead")


def test_a_board_of_one_core() -> None:
    """One core takes its whole power and nothing is shared, however many threads are asked for."""
    board = target.load("coral-edgetpu")
    assert energy.power(board, 1).value == energy.power(board, 8).value == 2.0


def test_the_interval_of_cycles_that_llvm_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    """One thread: 0.75 to 1.35 of the estimate (docs/emulator.md)."""
    monkeypatch.setattr(mca, "block_cycles", lambda codes, core: dict.fromkeys(codes, 4.0))
    op = OperatorTrace(0, "x (NC)", counts={"instructions": 1000}, blocks=[BlockUse(ADD, 1000)], threads=8)
    trace = Trace(Source.EMULATOR, "litert", operators=[op])
    found = registry.observed(layers((64, 64)), trace, target.load("rpi4"), {})
    assert found.latency_ms.value == pytest.approx(1.55 * 4000 / 1.8e9 * 1e3)
    assert (found.latency_ms.low, found.latency_ms.high) == pytest.approx(
        (0.75 * found.latency_ms.value, 1.35 * found.latency_ms.value)
    )


@pytest.mark.parametrize(("asked", "used"), [(-1, 1), (0, 1), (1, 1), (3, 3), (4, 4), (5, 4)])
def test_threads_that_a_board_of_four_cores_has(asked: int, used: int) -> None:
    board, graph = target.load("rpi4"), layers((64, 64))
    roofline = registry.lookup(board, "any", Dtype.FLOAT32, Evidence.ESTIMATE)
    found, same = (roofline.profile(graph, None, board, {"threads": n}) for n in (asked, used))
    assert found.latency_ms == same.latency_ms and found.power_w == same.power_w
    computing = 64 * 64 / (8 * 0.5 * 1.8e9 * (1 + 0.8 * (used - 1)))
    assert found.latency_ms.value == pytest.approx((computing + 3000 / 1.8e9) * 1e3)
