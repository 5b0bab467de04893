"""The emulator's cost model: llvm-mca, the table, memory, threads, intervals; and boards that others measured."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from edgekit import resources, target
from edgekit.errors import ToolMissing, UsageError
from edgekit.files import documents, tables
from edgekit.graph import Graph, Operator, Subgraph, Tensor
from edgekit.profiling import cycles, mca
from edgekit.profiling.cycles import EmulatedCost
from edgekit.runners import BlockUse, OperatorTrace, Source, Trace
from edgekit.runners.linux.kernels import ALL
from edgekit.target import Target

sys.path.insert(0, str(Path(__file__).parents[1] / "runners"))

COEFFICIENTS = tables.build(
    cycles.Coefficients, documents.read_toml(resources.folder("targets") / "costs" / "cycles.toml")["coefficients"]
)
A72 = mca.Core("cortex-a72", "+v8a,+neon,+crc")
N1 = mca.Core("neoverse-n1", "+v8.2a,+neon,+crc,+dotprod,+fullfp16")
needs_llvm = pytest.mark.skipif(shutil.which("llvm-mca-19") is None, reason="llvm-mca-19 is not installed")

FMLA = "20cc224e"  # fmla v0.4s, v1.4s, v2.4s: each waits for the one before
INDEPENDENT = "".join(bytes([n, 0xCC, 0x3F, 0x4E]).hex() for n in range(24))  # fmla v<n>.4s, v0.4s, v31.4s
UNKNOWN = "ffffffff"


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDGEKIT_CACHE", str(tmp_path))
    return tmp_path


@needs_llvm
def test_llvm_knows_latency_and_throughput(fresh_cache: Path) -> None:
    old, new = (mca.block_cycles([FMLA, INDEPENDENT], core) for core in (A72, N1))
    assert 3 <= old[FMLA] <= 7.5  # accumulator forwarding: Cortex-A72 Software Optimization Guide, 3.14
    assert 2 <= new[FMLA] <= 4.5
    assert 24 <= old[INDEPENDENT] <= 30  # one 128-bit FMLA a cycle
    assert 12 <= new[INDEPENDENT] <= 16  # two


@needs_llvm
def test_answers_are_kept(fresh_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = mca.block_cycles([FMLA, UNKNOWN], N1)
    monkeypatch.setattr(mca, "_analyze", lambda *_: pytest.fail("asked again"))
    assert mca.block_cycles([UNKNOWN, FMLA], N1) == first
    (store,) = (fresh_cache / "mca").iterdir()
    store.write_text("{ damaged")
    monkeypatch.undo()
    monkeypatch.setenv("EDGEKIT_CACHE", str(fresh_cache))
    assert mca.block_cycles([FMLA], N1)[FMLA] == first[FMLA]


def test_without_llvm_the_tool_is_named(monkeypatch: pytest.MonkeyPatch, fresh_cache: Path) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(ToolMissing) as caught:
        mca.block_cycles([FMLA], N1)
    assert "llvm-19" in caught.value.hint


def dense_graph() -> Graph:
    tensors = [Tensor("x", (1, 64), "float32"), Tensor("w", (32, 64), "float32"), Tensor("y", (1, 32), "float32")]
    return Graph([Subgraph("main", tensors, [Operator("FULLY_CONNECTED", (0, 1), (2,))], (0,), (2,))])


def trace_of(fmlas: int, misses: tuple[int, ...] = (0,) * 6) -> Trace:
    names = ("l1_misses", "l2_misses", "l3_misses", "l1_streamed", "l2_streamed", "l3_streamed")
    counts = {"instructions": fmlas, "fp_fma_vec": fmlas, **dict(zip(names, misses, strict=True))}
    row = OperatorTrace(0, "Fully Connected (NC, F32) GEMM", counts=counts, threads=ALL)
    row.blocks = [BlockUse(INDEPENDENT, fmlas // 24, misses)]
    return Trace(Source.EMULATOR, "litert", operators=[row], counts=dict(counts))


@needs_llvm
def test_a_profile_s_parts_add_up(fresh_cache: Path) -> None:
    board = target.load("rpi4")
    found = EmulatedCost(COEFFICIENTS).profile(dense_graph(), trace_of(24_000_000), board, {"threads": 1})
    assert board.cycles is not None
    factor = board.cycles.core_factor
    assert 24e6 / 1.8e9 * 1e3 <= found.latency_ms.value / factor <= 30e6 / 1.8e9 * 1e3
    assert found.latency_ms.low < found.latency_ms.value < found.latency_ms.high
    assert sum(row.latency_ms for row in found.operators) == pytest.approx(found.latency_ms.value)
    assert sum(row.share for row in found.operators) == pytest.approx(1)
    assert found.energy_mj.value == pytest.approx(found.latency_ms.value * found.power_w.value)
    assert sum(row.energy_mj for row in found.operators) == pytest.approx(found.energy_mj.value)
    assert found.source == "emulator" and found.scope == "board_supply" and found.instructions == 24_000_000
    assert found.operators[0].macs == 2048 and found.operators[0].bound == "compute"
    assert found.cycles == pytest.approx(found.latency_ms.value * 1.8e6, abs=1)
    assert "llvm-mca" in found.basis and "judged by published measurements" in found.basis


def test_without_llvm_the_table_answers_with_a_wider_interval(
    monkeypatch: pytest.MonkeyPatch, fresh_cache: Path
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    board = target.load("rpi4")
    assert board.cycles is not None
    factor = board.cycles.core_factor
    found = EmulatedCost(COEFFICIENTS).profile(dense_graph(), trace_of(24_000_000), board, {})
    assert found.latency_ms.value == pytest.approx(factor * 24e6 * 0.71 / 1.8e9 * 1e3)
    assert found.latency_ms.high / found.latency_ms.low > COEFFICIENTS.one_thread.high / COEFFICIENTS.one_thread.low
    assert "table" in found.basis
    assert found.cycles == found.operators[0].cycles == round(factor * 0.71 * 24_000_000)
    assert found.json()["operators"][0]["cycles"] == found.cycles


def test_without_llvm_and_without_a_table_the_target_is_named() -> None:
    board = target.load("rpi4")
    assert board.cycles is not None
    for cycles_table in (replace(board.cycles, cpi={}), None):
        with pytest.raises(UsageError, match="the target rpi4 has no table cycles"):
            EmulatedCost(COEFFICIENTS, llvm=False).profile(
                dense_graph(), trace_of(24), replace(board, cycles=cycles_table), {}
            )


def test_misses_cost_latency_or_bandwidth() -> None:
    board = target.load("rpi5")
    assert board.cache.l2 is not None and board.cache.l2.latency_cycles and board.cache.l2.transfer_cycles
    l2 = (board.cache.l2.latency_cycles, board.cache.l2.transfer_cycles)
    counts = {"l1_misses": 100, "l1_streamed": 60}
    assert cycles.memory_cycles(counts, board) == (40 * l2[0] + 60 * l2[1], 0)  # its own L2 serves them all
    private, shared = cycles.memory_cycles({"l1_misses": 10, "l2_misses": 10, "l3_misses": 10}, board)
    assert private == 0 and shared == pytest.approx(10 * board.memory.latency_ns * 2.4)
    assert cycles.memory_cycles(counts, target.load("rpi4"))[0] == 0  # the Pi 4's L2 is shared


def model_of(board: Target, **changed: float) -> Target:
    assert board.cycles is not None
    return replace(board, cycles=replace(board.cycles, **changed))


def test_threads_help_arithmetic_but_not_memory() -> None:
    board = target.load("rpi4")
    cost = EmulatedCost(COEFFICIENTS, llvm=False)
    small = cost.profile(dense_graph(), trace_of(24_000_000), board, {"threads": 1})
    quick = cost.profile(dense_graph(), trace_of(24_000_000), board, {"threads": 4})
    assert 3 < small.latency_ms.value / quick.latency_ms.value <= 4
    assert quick.cycles == pytest.approx(quick.latency_ms.value * 1.8e6, abs=1)  # from start to end, not core by core
    assert quick.power_w.value > small.power_w.value
    waiting = trace_of(24_000, (10_000_000, 10_000_000, 0, 0, 0, 0))
    one, four = (cost.profile(dense_graph(), waiting, board, {"threads": n}) for n in (1, 4))
    assert four.latency_ms.value >= one.latency_ms.value and four.operators[0].bound == "memory"


def test_what_an_operator_takes_is_the_formula_s() -> None:
    board = model_of(
        target.load("rpi5"), core_factor=1.5, exposure=0.2, exposure_all_cores=0.8, fork_join_us=10.0
    )  # fmt: skip
    found = {n: cycles.taken(cycles.Cycles(core=6000, private=900, shared=300), board, n) for n in (1, 2, 4)}
    assert found[1] == cycles.Taken(9000, pytest.approx(0.2 * 1200), 0)
    assert found[2] == cycles.Taken(4500, pytest.approx(0.4 * (450 + 300)), pytest.approx(24_000))
    assert found[4] == cycles.Taken(2250, pytest.approx(0.8 * (225 + 300)), pytest.approx(24_000))
    assert found[4].whole == pytest.approx(2250 + 420 + 24_000)


@pytest.mark.parametrize(("judged", "threads", "interval"), [
    (0, 1, "unjudged"), (1, 1, "without_mca"), (1, 2, "unjudged"), (4, 4, "without_mca"),
])  # fmt: skip
def test_the_interval_is_wide_where_no_measurement_judged(judged: int, threads: int, interval: str) -> None:
    board = model_of(target.load("rpi4"), judged_threads=judged)
    cost = EmulatedCost(COEFFICIENTS, llvm=False)
    found = cost.profile(dense_graph(), trace_of(24_000_000), board, {"threads": threads})
    expected: cycles.Interval = getattr(COEFFICIENTS, interval)
    assert found.latency_ms.low == pytest.approx(found.latency_ms.value * expected.low)
    assert found.latency_ms.high == pytest.approx(found.latency_ms.value * expected.high)
    assert ("no measurement" in found.basis) == (interval == "unjudged")


@pytest.mark.parametrize("trace", [None, Trace(Source.EMULATOR, "litert")])
def test_a_trace_without_operators_is_a_programming_error(trace: Trace | None) -> None:
    with pytest.raises(ValueError, match="operators"):
        EmulatedCost(COEFFICIENTS).profile(dense_graph(), trace, target.load("rpi4"), {})


def at_clock(board: Target, mhz: float) -> Target:
    return replace(board, cpu=replace(board.processor, clock_mhz=mhz))


CONVERT = """
import sys, keras, tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
model = keras.applications.MobileNet((SIZE, SIZE, 3), alpha=ALPHA, weights=None)
run = tf.function(lambda x: model(x, training=False))
frozen = convert_variables_to_constants_v2(run.get_concrete_function(tf.TensorSpec((1, SIZE, SIZE, 3))))
open(sys.argv[1], "wb").write(tf.lite.TFLiteConverter.from_concrete_functions([frozen]).convert())
"""


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.emulator
def test_published_latencies_of_cortex_a78ae_lie_inside(tmp_path: Path) -> None:
    """MobileNet v1 0.5 128 on Jetson AGX Orin, one thread: 3.75 ms (MLPerf Inference v3.0, nvidia_orin-tflite_cpp-cpu).

    Its Cortex-A78AE runs at 2.2 GHz; caches are those of the Orin Nano.
    """
    import os
    import subprocess

    from bundles import bundle_of, samples_for

    from edgekit.graph import tflite
    from edgekit.runners import RunOptions, once
    from edgekit.runners.emulator import EmulatorRunner

    script = CONVERT.replace("SIZE", "128").replace("ALPHA", "0.5")
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    subprocess.run([sys.executable, "-c", script, tmp_path / "m.tflite"], check=True, env=env, capture_output=True)
    bundle = bundle_of(tflite.read(tmp_path / "m.tflite"), "jetson-orin-nano-cpu", tmp_path / "b")
    run = once(EmulatorRunner(), bundle, samples_for(bundle.graph, 1), RunOptions(profile=True))
    board = at_clock(bundle.target, 2201.6)
    for llvm in (True, False):
        found = EmulatedCost(COEFFICIENTS, llvm=llvm).profile(bundle.graph, run.trace, board, {"threads": 1})
        assert found.latency_ms.low <= 3.75 <= found.latency_ms.high
        assert found.latency_ms.value == pytest.approx(3.75, rel=0.15)
