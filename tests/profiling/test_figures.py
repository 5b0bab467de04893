"""Figures worked out by hand from the formulas of the cost models and the numbers in the targets' files.

Nothing here asks the code for a factor: clocks, rates and powers are those of ``targets/*.toml``, efficiencies and
intervals those that docs/targets.md and the models' own descriptions give.
"""

from __future__ import annotations

import numpy as np
import pytest

from edgekit import resources, target
from edgekit.files import documents, tables
from edgekit.graph import Graph, Operator, Quantization, Subgraph, Tensor
from edgekit.profiling import Figure, OperatorProfile, energy, registry, rows
from edgekit.profiling.calibrated import calibration
from edgekit.profiling.cycles import Coefficients, EmulatedCost, memory_cycles
from edgekit.profiling.measured import Measured
from edgekit.runners import OperatorTrace, Source, Trace
from tests.networks.small import Builder

RPI4, RPI5 = target.load("rpi4"), target.load("rpi5")
CORAL, MALI = target.load("coral-edgetpu"), target.load("mali-g610")
CLOCK = 1.8e9
COEFFICIENTS = tables.build(
    Coefficients, documents.read_toml(resources.folder("targets") / "costs" / "cycles.toml")["coefficients"]
)


def dense(inputs: int, outputs: int, weights: str = "float32", activations: str = "float32") -> Graph:
    """FULLY_CONNECTED without a bias: ``inputs * outputs`` MACs."""
    scale = Quantization(np.array([1.0], np.float32), np.array([0]))
    data = np.zeros(inputs * outputs * np.dtype(weights).itemsize, np.uint8)
    tensors = [
        Tensor("x", (1, inputs), activations, scale),
        Tensor("w", (outputs, inputs), weights, scale, data),
        Tensor("y", (1, outputs), activations, scale),
    ]
    return Graph([Subgraph("main", tensors, [Operator("FULLY_CONNECTED", (0, 1), (2,))], (0,), (2,))])


def convolution(op: str, weights: tuple[int, ...], kind: str = "int8") -> Graph:
    """``[1, 8, 8, 64] -> [1, 8, 8, 64]``."""
    scale = Quantization(np.array([1.0], np.float32), np.array([0]))
    size = int(np.prod(weights)) * np.dtype(kind).itemsize
    tensors = [
        Tensor("x", (1, 8, 8, 64), kind, scale),
        Tensor("w", weights, kind, scale, np.zeros(size, np.uint8)),
        Tensor("y", (1, 8, 8, 64), kind, scale),
    ]
    return Graph([Subgraph("main", tensors, [Operator(op, (0, 1), (2,))], (0,), (2,))])


# The roofline of processors


def test_a_small_layer_is_bound_by_the_caches() -> None:
    """128 -> 64 in float32 moves 33,536 bytes at 8 bytes a cycle; its 8192 MACs take less."""
    found = registry.estimate(dense(128, 64), RPI4, {"threads": 1})
    moved = (128 * 64 + 128 + 64) * 4 / (8 * CLOCK)
    assert found.latency_ms.value == pytest.approx((moved + 3000 / CLOCK) * 1e3)
    assert found.latency_ms.low == pytest.approx(8192 / (4 * CLOCK) * 1e3)
    assert found.latency_ms.high == pytest.approx(3 * found.latency_ms.value)
    assert found.operators[0].bound == "memory"
    assert found.operators[0].macs == 8192 and found.operators[0].bytes == 33536
    assert found.conditions["threads"] == 1 and found.conditions["clock_mhz"] == 1800


def test_threads_share_caches_and_arithmetic() -> None:
    """Each thread after the first adds 0.8 of one; the hardware's bound counts them in full."""
    found = registry.estimate(dense(128, 64), RPI4, {"threads": 4})
    moved = (128 * 64 + 128 + 64) * 4 / (8 * CLOCK * 3.4)
    assert found.latency_ms.value == pytest.approx((moved + 3000 / CLOCK) * 1e3)
    assert found.latency_ms.low == pytest.approx(8192 / (4 * CLOCK * 4) * 1e3)
    assert found.power_w.value == pytest.approx(6.4)


def test_a_large_layer_is_bound_by_the_memory() -> None:
    """8 MiB of weights do not fit in 1 MiB of cache; threads do not help, and only the data sheet's rate is a bound."""
    weights, moved = 2048 * 1024 * 4, (2048 * 1024 + 2048 + 1024) * 4
    for threads in (1, 4):
        found = registry.estimate(dense(2048, 1024), RPI4, {"threads": threads})
        assert found.latency_ms.value == pytest.approx((moved / 5.5e9 + 3000 / CLOCK) * 1e3)
        assert found.latency_ms.low == pytest.approx(weights / 12.8e9 * 1e3)
        assert found.operators[0].bound == "memory"


@pytest.mark.parametrize(("inputs", "rate"), [(87376, 8 * CLOCK), (87377, 5.5e9)])
def test_weights_and_activations_have_to_fit_together(inputs: int, rate: float) -> None:
    """87376 inputs, their weights for two outputs, and these (64 bytes at least) are 1 MiB, as the last cache."""
    assert (87376 * 2 + 87376) * 4 + 64 == 1 << 20
    found = registry.estimate(dense(inputs, 2), RPI4, {"threads": 1})
    assert found.latency_ms.value == pytest.approx(((3 * inputs + 2) * 4 / rate + 3000 / CLOCK) * 1e3)


@pytest.mark.parametrize(
    ("op", "weights", "macs", "rate"),
    [
        ("CONV_2D", (64, 3, 3, 64), 64 * 64 * 9 * 64, 8 * 0.5),
        ("DEPTHWISE_CONV_2D", (1, 3, 3, 64), 64 * 64 * 9, 8 * 0.25),
    ],
)
def test_convolutions_are_bound_by_arithmetic(op: str, weights: tuple[int, ...], macs: int, rate: float) -> None:
    """8 int8 MACs a cycle on Cortex-A72, of which convolutions reach a half and depthwise ones a quarter."""
    found = registry.estimate(convolution(op, weights), RPI4, {"threads": 1})
    assert found.latency_ms.value == pytest.approx((macs / (rate * CLOCK) + 3000 / CLOCK) * 1e3)
    assert found.latency_ms.low == pytest.approx(macs / (8 * CLOCK) * 1e3)
    assert found.operators[0].bound == "compute" and found.operators[0].macs == macs


@pytest.mark.parametrize(("op", "weights", "efficiency"), [
    ("FULLY_CONNECTED", (512, 512), 0.75), ("CONV_2D", (64, 3, 3, 64), 0.33),
])  # fmt: skip
def test_int16_runs_in_plain_loops(op: str, weights: tuple[int, ...], efficiency: float) -> None:
    graph = dense(512, 512, "int8", "int16") if op == "FULLY_CONNECTED" else convolution(op, weights, "int16")
    macs = 512 * 512 if op == "FULLY_CONNECTED" else 64 * 64 * 9 * 64
    found = registry.estimate(graph, RPI4, {"threads": 1})
    assert found.latency_ms.value == pytest.approx((macs / (efficiency * CLOCK) + 3000 / CLOCK) * 1e3)


def test_integer_weights_with_float_activations_count_as_float() -> None:
    hybrid = registry.estimate(dense(128, 64, "int8"), RPI4, {"threads": 1})
    assert hybrid.latency_ms.low == pytest.approx(8192 / (4 * CLOCK) * 1e3)
    whole = registry.estimate(dense(128, 64, "int8", "int8"), RPI4, {"threads": 1})
    assert whole.latency_ms.low == pytest.approx(8192 / (8 * CLOCK) * 1e3)


def test_an_operator_that_does_little_is_overhead() -> None:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    found = registry.estimate(b.graph((x,), (b.add("RELU", (x,), (1, 4)),)), RPI4, {"threads": 1})
    assert found.latency_ms.value == pytest.approx((32 / (8 * CLOCK) + 3000 / CLOCK) * 1e3)
    assert found.operators[0].bound == "overhead"
    assert found.memory["weights_bytes"] == found.memory["flash_bytes"] == 0


def test_memory_is_activations_and_weights() -> None:
    memory = registry.estimate(dense(128, 64), RPI4, {}).memory
    assert memory["weights_bytes"] == memory["flash_bytes"] == 128 * 64 * 4
    assert memory["peak_ram_bytes"] == 128 * 64 * 4 + (128 + 64) * 4


# Power and energy


@pytest.mark.parametrize(("threads", "watt"), [(0, 4.0), (1, 4.0), (2, 4.8), (3, 5.6), (4, 6.4), (9, 6.4)])
def test_power_of_so_many_threads(threads: int, watt: float) -> None:
    """4.0 W with one busy core of a Raspberry Pi 4, 6.4 W with all four, a quarter more or less."""
    found = energy.power(RPI4, threads)
    assert found.value == pytest.approx(watt)
    assert (found.low, found.high) == pytest.approx((0.75 * watt, 1.25 * watt))
    assert energy.scope(RPI4) == "board_supply" and energy.scope(CORAL) == "accelerator"


def test_power_of_a_gpu_is_its_busy_power() -> None:
    found = energy.power(MALI, 1)
    assert (found.value, found.low, found.high) == pytest.approx((6.5, 0.6 * 6.5, 1.4 * 6.5))


def test_a_figure_is_scaled_with_its_interval() -> None:
    assert Figure(2.0, 1.0, 8.0).scaled(0.5) == Figure(1.0, 0.5, 4.0)


def test_rows_get_their_share_of_time_and_energy() -> None:
    profiles = [OperatorProfile(n, "", "", 0, 0, ms, 0.0) for n, ms in enumerate((1.0, 3.0))]
    assert rows.fill(profiles, Figure(2.0, 1.0, 3.0)) == 4.0
    assert [(row.share, row.energy_mj) for row in profiles] == [(0.25, 2.0), (0.75, 6.0)]
    idle = [OperatorProfile(0, "", "", 0, 0, 0.0, 0.0)]
    assert rows.fill(idle, Figure(2.0, 1.0, 3.0)) == 0.0 and idle[0].share == 0.0


# Measurements


def test_percentiles_of_measured_latencies() -> None:
    """Of 1..100 ms: the median 50.5, the 6th smallest and the 96th."""
    trace = Trace(Source.DEVICE, "litert", latency_ms=[float(n) for n in range(100, 0, -1)], peak_ram_bytes=77)
    found = Measured().profile(dense(8, 4), trace, RPI4, {"threads": 2})
    assert found.latency_ms == Figure(50.5, 6.0, 96.0)
    assert found.energy_mj.value == pytest.approx(50.5 * 4.8) and found.energy_mj.low == pytest.approx(6 * 3.6)
    assert found.memory["peak_ram_bytes"] == 77 and found.memory["weights_bytes"] == 128
    assert found.scope == "board_supply"


def test_observed_operators_are_scaled_to_the_whole() -> None:
    """Observation took 6 ms for what takes 3 alone; a fused operator's work counts with the one it is fused into."""
    b = Builder()
    x = b.tensor((1, 8), name="x")
    y = b.add("FULLY_CONNECTED", (x, b.constant(np.zeros((4, 8), np.float32))), (1, 4), options="FullyConnected")
    z = b.add("RELU", (y,), (1, 4))
    operators = [OperatorTrace(0, "FC", 4.0, {"instructions": 5}, fused=(1,)), OperatorTrace(None, "copy", 2.0)]
    trace = Trace(Source.DEVICE, "litert", latency_ms=[3.0], operators=operators)
    first, second = Measured().profile(b.graph((x,), (z,)), trace, RPI4, {}).operators
    assert (first.latency_ms, second.latency_ms) == pytest.approx((2.0, 1.0))
    assert (first.share, second.share) == pytest.approx((2 / 3, 1 / 3))
    assert first.energy_mj == pytest.approx(2.0 * 4.0)
    assert first.macs == 32 and first.bytes == (8 + 32 + 4) * 4 + (4 + 4) * 4 and first.instructions == 5
    assert (first.index, first.op) == (0, "FULLY_CONNECTED")
    assert (second.index, second.op, second.macs, second.bytes) == (None, "copy", 0, 0)


def test_operators_without_times_have_no_share() -> None:
    trace = Trace(Source.DEVICE, "litert", latency_ms=[3.0], operators=[OperatorTrace(0, "FC")])
    assert Measured().profile(dense(8, 4), trace, RPI4, {}).operators[0].latency_ms == 0.0


# The emulator


@pytest.mark.parametrize(
    ("counts", "private", "shared"),
    [
        ({"l1_misses": 100, "l1_streamed": 60}, 0.0, 40 * 18 + 60 * 4),
        ({"l1_misses": 100, "l1_streamed": 60, "l2_misses": 30, "l2_streamed": 20}, 0.0,
         (70 - 40) * 18 + 40 * 4 + 10 * 120 * 1.8 + 20 * 64 / 5.5 * 1.8),
        ({}, 0.0, 0.0),
    ],
)  # fmt: skip
def test_cycles_that_misses_cost_on_a_pi_4(counts: dict[str, int], private: float, shared: float) -> None:
    """L2: 18 cycles of latency or 4 a streamed line. Memory: 120 ns, or 64 bytes at 5.5 GB/s; 1.8 cycles a ns."""
    assert memory_cycles(counts, RPI4) == pytest.approx((private, shared))


def test_latency_of_counted_instructions() -> None:
    """Without llvm-mca a load takes 0.96 cycles and a vector FMA 0.71, times 1.55; 0.36 of the wait for L2 shows."""
    counts = {"instructions": 3000, "load": 1000, "fp_fma_vec": 2000, "l1_misses": 100}
    row = OperatorTrace(0, "Fully Connected (NC)", counts=counts, threads=2)
    trace = Trace(Source.EMULATOR, "litert", operators=[row], counts=dict(counts))
    core, waiting = 1.55 * (1000 * 0.96 + 2000 * 0.71), 100 * 18
    found = EmulatedCost(COEFFICIENTS, llvm=False).profile(dense(8, 4), trace, RPI4, {"threads": 1})
    assert found.latency_ms.value == pytest.approx((core + 0.36 * waiting) / 1.8e9 * 1e3)
    assert found.latency_ms.low == pytest.approx(0.5 * found.latency_ms.value)
    assert found.latency_ms.high == pytest.approx(2.0 * found.latency_ms.value)
    assert found.instructions == 3000 and found.operators[0].instructions == 3000
    assert found.operators[0].bound == "compute" and found.conditions == {"clock_mhz": 1800, "threads": 1}

    two = EmulatedCost(COEFFICIENTS, llvm=False).profile(dense(8, 4), trace, RPI4, {"threads": 2})
    exposed = 0.36 + (0.78 - 0.36) * 1 / 3
    cycles = core / 2 + exposed * waiting + 31e-6 * 1.8e9
    assert two.latency_ms.value == pytest.approx(cycles / 1.8e9 * 1e3)
    assert two.operators[0].bound == "overhead" and two.conditions["threads"] == 2
    assert (two.latency_ms.low, two.latency_ms.high) == pytest.approx(
        (0.5 * two.latency_ms.value, 2.0 * two.latency_ms.value)
    )


def test_kernels_of_litert_itself_run_on_one_thread() -> None:
    counts = {"instructions": 10**6, "load": 10**6}
    trace = Trace(Source.EMULATOR, "litert", operators=[OperatorTrace(0, "FULLY_CONNECTED", counts=counts)])
    one, four = (
        EmulatedCost(COEFFICIENTS, llvm=False).profile(dense(8, 4), trace, RPI4, {"threads": n}) for n in (1, 4)
    )
    assert one.latency_ms.value == four.latency_ms.value == pytest.approx(1.55 * 0.96e6 / 1.8e9 * 1e3)


# GPUs


def test_kernels_that_ran_are_bound_by_flops_or_bytes() -> None:
    """512 flops a cycle at 1 GHz, of which 0.14 are reached; 27 GB/s; 60 us a launch."""
    full = {"launches": 2, "flops": 10**9, "read_bytes": 1000, "written_bytes": 500, "work_items": 2 * 256}
    sparse = {**full, "work_items": 2 * 64}
    moving = {"launches": 1, "flops": 10, "read_bytes": 27 * 10**6, "written_bytes": 27 * 10**6, "work_items": 10**6}
    idle = {"launches": 3, "flops": 0, "read_bytes": 0, "written_bytes": 0, "work_items": 0}
    operators = [OperatorTrace(0, name, counts=c) for name, c in
                 (("a", full), ("b", sparse), ("c", moving), ("d", idle))]  # fmt: skip
    trace = Trace(Source.EMULATOR, "opencl", operators=operators)
    found = registry.observed(dense(8, 4), trace, MALI, {"machine": "PoCL on x"})
    peak = 512e9 * 0.14
    times = [1e9 / peak + 120e-6, 4 * 1e9 / peak + 120e-6, 54e6 / 27e9 + 60e-6, 180e-6]
    assert [row.latency_ms for row in found.operators] == pytest.approx([1e3 * t for t in times])
    assert [row.bound for row in found.operators] == ["compute", "compute", "memory", "overhead"]
    assert [row.bytes for row in found.operators] == [1500, 1500, 54 * 10**6, 0]
    assert found.operators[2].counts == moving and found.operators[2].kernels == "c"
    total = sum(times) * 1e3
    assert found.latency_ms == Figure(*(pytest.approx(f * total) for f in (1, 0.4, 2.5)))
    assert found.energy_mj.value == pytest.approx(6.5 * total)
    assert (found.source, found.runtime) == ("emulator", "opencl") and "ran on PoCL;" in found.basis


def test_a_gpu_is_estimated_with_one_kernel_an_operator() -> None:
    b = Builder()
    x = b.tensor((1, 4, 4, 64), name="x")
    y = b.add("RESHAPE", (x,), (1, 1024))
    z = b.add("FULLY_CONNECTED", (y, b.constant(np.zeros((1000, 1024), np.float32))), (1, 1000))
    found = registry.estimate(b.graph((x,), (z,)), MALI, {"runtime": "opencl"})
    free, layer = found.operators
    moved = (1024 * 1000 + 1024 + 1000) * 4 / 27e9
    assert free.latency_ms == 0.0
    assert moved > 2 * 1024 * 1000 / (512e9 * 0.14)
    assert layer.latency_ms == pytest.approx((moved + 60e-6) * 1e3) and layer.bound == "memory"
    assert (found.source, found.runtime) == ("estimate", "opencl") and found.conditions["clock_mhz"] == 1000


# The Edge TPU


def test_an_edge_tpu_computes_and_is_called() -> None:
    """4096 MACs a cycle at 480 MHz, 0.65 of them reached, 0.02 by depthwise; 20 us an operator, 300 us a call."""
    for op, weights, macs, efficiency in (
        ("CONV_2D", (64, 3, 3, 64), 64 * 64 * 9 * 64, 0.65), ("DEPTHWISE_CONV_2D", (1, 3, 3, 64), 64 * 64 * 9, 0.02),
    ):  # fmt: skip
        found = registry.estimate(convolution(op, weights), CORAL, {})
        row, call = found.operators
        computing, moving = macs / (4096 * 480e6 * efficiency), 2 * 4096 / (48 * 480e6)
        assert row.latency_ms == pytest.approx((max(computing, moving) + 20e-6) * 1e3) and row.bound == "overhead"
        assert call.latency_ms == pytest.approx((300e-6 + 2 * 4096 / 0.49e9) * 1e3)
        assert (call.index, call.bytes, call.bound) == (None, 2 * 4096, "overhead")
        assert found.latency_ms.value == pytest.approx(row.latency_ms + call.latency_ms)
        assert found.latency_ms.high == pytest.approx(2 * found.latency_ms.value)
        assert found.latency_ms.low == pytest.approx(0.6 * found.latency_ms.value)


def test_parameters_beyond_the_chip_s_memory_are_sent() -> None:
    """16 MiB of weights, 8 MiB of memory: all of the layer crosses the link, and 8 MiB do at its best rate."""
    found = registry.estimate(dense(4096, 4096, "int8", "int8"), CORAL, {})
    row = found.operators[0]
    assert row.latency_ms == pytest.approx((2**24 / 0.49e9 + 20e-6) * 1e3) and row.bound == "memory"
    assert found.latency_ms.low == pytest.approx(max(0.6 * found.latency_ms.value, (2**23 + 8192) / 0.5e9 * 1e3))
    assert "0.00 MB of parameters kept" in found.basis and "16.78 MB sent" in found.basis


def test_float_operators_run_on_the_host() -> None:
    found = registry.estimate(dense(1000, 1000), CORAL, {})
    assert found.operators[0].latency_ms == pytest.approx((1e6 / (4 * 480e6) + 20e-6) * 1e3)
    assert found.operators[0].bound == "compute"


@pytest.fixture(autouse=True)
def uncalibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """The figures here are the roofline's, which boards get that nobody measured."""
    monkeypatch.setattr(calibration, "choose", lambda *_: None)
