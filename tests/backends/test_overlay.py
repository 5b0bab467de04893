"""The overlay's RTL in simulation: bits of the reference, whatever shapes, memory and configuration; its cost model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit import target
from edgekit.backends import Unsupported
from edgekit.backends.divided import parts
from edgekit.backends.overlay import Overlay, unsuitable
from edgekit.codegen.lower import lowered
from edgekit.codegen.schedule.overlay import Machine, OverlayProgram, TooLarge, schedule
from edgekit.codegen.schedule.overlay.command import Loop, differences
from edgekit.graph import Graph, tflite
from edgekit.profiling import registry
from edgekit.progress import Silent
from edgekit.reference.litert import reference_outputs
from edgekit.runners.overlay.counted import COUNTERS, Computed
from edgekit.runners.verilator import job, simulator
from edgekit.runners.verilator.job import MemoryTiming
from edgekit.tools import toolchain
from tests.backends.overlay_networks import OPERATORS, Integers, random_network
from tests.networks.small import MODELS

needs_verilator = pytest.mark.skipif(not toolchain.load("verilator").found(), reason="Verilator is not installed")
USUAL, PACKED = Machine(), Machine(4, 4, True, 32, 8)
WIDE, EIGHT = Machine(16, 16, True, mem_bits=64, lanes=8), Machine(8, 8, lanes=8)
SLOW = pytest.mark.slow
SLOW_MEMORY = MemoryTiming(latency=3, jitter=19, stall=60, seed=7)
"""Answers after 3 to 22 cycles; a quarter of the cycles takes no request, as many give no answer."""


def simulated(
    graph: Graph, machine: Machine, timing: MemoryTiming = MemoryTiming(), samples: int = 2
) -> tuple[OverlayProgram, Computed, list[NDArray[np.int8]]]:
    """A network for a configuration, its run, and what went in."""
    program = schedule(lowered(graph), machine)  # type: ignore[arg-type]
    rng = np.random.default_rng(3)
    fed = [rng.integers(-128, 128, (samples, *port.shape), dtype=np.int8) for port in program.inputs]
    run = job.run(
        simulator.built(machine, Silent()), program.stream(), program.inputs, program.outputs, fed, samples, timing
    )
    return program, run, fed


def off(graph: Graph, run: Computed, fed: list[NDArray[np.int8]], folder: Path) -> list[str]:
    """The operators whose outputs are not the reference's, with how many elements."""
    tflite.write(graph, folder / "net.tflite")
    expected = reference_outputs(folder / "net.tflite", fed)
    makers = {i: o.op for o in graph.operators for i in o.outputs}
    return [
        f"{makers.get(index)} {made.shape}: {np.count_nonzero(made != right)}"
        for index, made, right in zip(graph.main.outputs, run.outputs, expected, strict=True)
        if not np.array_equal(made, right)
    ]


@needs_verilator
@pytest.mark.emulator
@pytest.mark.parametrize("timing", [MemoryTiming(), SLOW_MEMORY], ids=["memory", "slow memory"])
@pytest.mark.parametrize("name", OPERATORS)
def test_random_operators_have_the_references_bits(name: str, timing: MemoryTiming, tmp_path: Path) -> None:
    graph = random_network(name, 11 + len(name) + timing.seed, 12)
    _, run, fed = simulated(graph, USUAL, timing)
    assert not off(graph, run, fed, tmp_path)
    assert sum(np.unique(one).size > 3 for one in run.outputs) >= len(run.outputs) / 4


@pytest.mark.slow
@needs_verilator
@pytest.mark.emulator
@pytest.mark.parametrize("machine", [PACKED, WIDE, EIGHT], ids=["4x4", "16x16", "8x8"])
@pytest.mark.parametrize("name", OPERATORS)
def test_other_configurations_have_the_references_bits(name: str, machine: Machine, tmp_path: Path) -> None:
    graph = random_network(name, 5, 6)
    _, run, fed = simulated(graph, machine, SLOW_MEMORY)
    assert not off(graph, run, fed, tmp_path)


@needs_verilator
@pytest.mark.emulator
@pytest.mark.parametrize("machine", [USUAL, pytest.param(PACKED, marks=SLOW), pytest.param(WIDE, marks=SLOW)], ids=str)
def test_sums_of_a_few_slots_wait_for_the_pass_before(machine: Machine, tmp_path: Path) -> None:
    b = Integers(4)
    axes = b.constant(np.array([1, 2], np.int32))
    for count in range(1, 8):  # slots of a pass: groups of channels of a mean
        depth = count * machine.oc
        b.made("MEAN", (b.fed(1, 1, 7, depth), axes), (1, 1, 1, depth), b.scale(0.02), options="Reducer", keepDims=1)
    graph = b.whole()
    _, run, fed = simulated(graph, machine)
    assert not off(graph, run, fed, tmp_path)


NETWORKS = {
    "mlperf_tiny/ic_resnet8_int8": (0.8, 0.7), "mlperf_tiny/kws_int8": (0.58, 0.46),
    "tflite_micro/person_detect": (0.52, 0.4), "mlperf_tiny/ad01_int8": (0.0, 0.0),
}  # fmt: skip
"""Shared int8 networks, and the part of the multiplications that they use of 16x8, of 16x16 at least."""


@pytest.mark.slow
@needs_verilator
@pytest.mark.emulator
@pytest.mark.parametrize("machine", [Machine(lanes=8), WIDE], ids=["16x8", "16x16"])
@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks_have_the_references_bits(name: str, machine: Machine, tmp_path: Path) -> None:
    if not (MODELS / f"{name}.tflite").is_file():
        pytest.skip("no ../shared/models")
    whole = tflite.read(MODELS / f"{name}.tflite")
    divided = parts.split(whole, unsuitable(whole, machine).keys())
    assert divided.device is not None and len(divided.device.operators) >= len(whole.operators) - 1
    graph = parts.extracted(whole, divided.device)
    program, run, fed = simulated(graph, machine)
    assert not off(graph, run, fed, tmp_path)
    cycles = int(run.log[-1][0])
    least = NETWORKS[name][machine is WIDE]
    assert sum(step.macs for step in program.steps) / cycles / machine.macs_per_cycle >= least
    assert sum(step.cycles for step in program.steps) == pytest.approx(cycles, rel=0.04)
    _, again, _ = simulated(graph, machine, SLOW_MEMORY)
    assert all(np.array_equal(a, b) for a, b in zip(run.outputs, again.outputs, strict=True))


@needs_verilator
@pytest.mark.emulator
@pytest.mark.parametrize("beat", [1.0, 2.1, 5.0])
@pytest.mark.parametrize("machine", [USUAL, pytest.param(PACKED, marks=SLOW), pytest.param(WIDE, marks=SLOW)], ids=str)
def test_expected_cycles_have_the_memory_port_in_them(machine: Machine, beat: float) -> None:
    b = Integers(8)
    for depth, count in ((400, 96), (32, 16), (120, 64), (700, 30)):
        b.dense(depth, count)
        b.window(depthwise=False)  # meanwhile the FIFO fills
        b.window(depthwise=True)
    program, run, _ = simulated(b.whole(), replace(machine, beat_cycles=beat), MemoryTiming(beat=beat))
    expected, counted = np.cumsum([step.cycles for step in program.steps]), run.log[1:, 0]
    assert expected[-1] == pytest.approx(counted[-1], rel=0.04)
    assert np.abs(expected - counted).max() < 0.06 * counted[-1]


def test_expected_cycles_are_those_that_boards_were_simulated_with() -> None:
    """``[fpga.port]`` of each target; counted in the simulation of shared networks."""
    counted = {
        ("ulx3s", "mlperf_tiny/ad01_int8"): 145_246, ("ulx3s", "tflite_micro/person_detect"): 156_333,
        ("ecp5-25f", "mlperf_tiny/ad01_int8"): 119_711, ("ecp5-85f", "tflite_micro/person_detect"): 105_348,
        ("ecp5-85f-packed", "mlperf_tiny/ad01_int8"): 35_569,
    }  # fmt: skip
    for (name, network), cycles in counted.items():
        if not (MODELS / f"{network}.tflite").is_file():
            pytest.skip("no ../shared/models")
        board, whole = target.load(name), tflite.read(MODELS / f"{network}.tflite")
        plan = Overlay(split=True).plan(whole, board)
        assert not isinstance(plan, list)
        assert sum(step.cycles for step in plan.program.steps) == pytest.approx(cycles, rel=0.015), (name, network)
        told = registry.estimate(whole, board, {}).latency_ms
        assert told.low < cycles / board.programmable.hertz * 1e3 < told.high


@needs_verilator
@pytest.mark.emulator
def test_counters_tell_where_cycles_go() -> None:
    graph = random_network("conv", 3, 4)
    program, run, _ = simulated(graph, USUAL)
    names = COUNTERS
    log = {name: run.log[:, n] for n, name in enumerate(names)}
    assert len(run.log) == len(program.steps) + 1
    assert (np.diff(run.log, axis=0) >= 0).all()
    told = sum(int(log[name][-1]) for name in ("active", "vector", "weights", "sums"))
    assert told <= log["cycles"][-1] <= told + 8 * len(program.steps) + 60
    assert log["beats"][-1] <= len(program.stream()) * 8 // USUAL.mem_bits
    _, slow, _ = simulated(graph, USUAL, MemoryTiming(latency=200))
    assert slow.log[-1][0] > run.log[-1][0] and slow.log[-1][1] == run.log[-1][1]


def test_differences_walk_the_loops() -> None:
    loops = [Loop(3, 5, 1, 0), Loop(2, -7, 0, 2), Loop(1, 9, 9, 9), Loop(4, 100, -3, 1)]
    steps = differences(loops)
    place = (0, 0, 0)
    for index in np.ndindex(*(loop.count for loop in reversed(loops))):
        inner = index[::-1]
        terms = [(n * one.step, n * one.dx, n * one.dy) for n, one in zip(inner, loops, strict=True)]
        assert place == tuple(map(sum, zip(*terms, strict=True)))
        going = [n for n, one in enumerate(loops) if inner[n] != one.count - 1]
        if going:
            place = tuple(a + b for a, b in zip(place, steps[going[0]], strict=True))


def test_operators_that_are_lacking_are_named_before_any_work() -> None:
    graph = Integers(0)
    x = graph.fed(1, 4, 4, 8)
    graph.made("SOFTMAX", (x,), (1, 4, 4, 8), graph.scale(), options="Softmax", beta=1.0)
    graph.pair()
    plan = Overlay().plan(graph.whole(), target.load("ecp5-85f"))
    assert isinstance(plan, list)
    assert [(one.operator, one.remedy) for one in plan] == [("SOFTMAX", "add --split to leave it to the host")]
    assert not isinstance(Overlay(split=True).plan(graph.whole(), target.load("ecp5-85f")), list)


def test_activations_that_do_not_fit_are_refused() -> None:
    b = Integers(1)
    x, y = b.fed(1, 200, 200, 8), b.fed(1, 200, 200, 8)
    b.made("ADD", (x, y), (1, 200, 200, 8), b.scale(0.1), options="Add", fusedActivationFunction=0)
    with pytest.raises(TooLarge):
        schedule(lowered(b.whole()), USUAL)  # type: ignore[arg-type]
    (one,) = Overlay().plan(b.whole(), target.load("ecp5-85f"))  # type: ignore[misc]
    told = "the network's activations, most of them this operator's, take"
    assert isinstance(one, Unsupported) and one.reason == f"{told} 938 KiB, the accelerator has 128"
    assert "--target rpi4" in one.remedy


def test_the_operator_with_most_activations_is_named_and_where_they_fit() -> None:
    b = Integers(1)
    x, y = b.fed(1, 8, 8, 8), b.fed(1, 64, 64, 4)
    b.made("ADD", (x, x), (1, 8, 8, 8), b.scale(0.1), options="Add", fusedActivationFunction=0)
    b.made("ADD", (y, y), (1, 64, 64, 4), b.scale(0.1), options="Add", fusedActivationFunction=0)
    plan = Overlay().plan(b.whole(), target.load("ecp5-25f"))
    assert isinstance(plan, list)
    assert plan[0].index == 1 and "the accelerator has 32" in plan[0].reason and "ecp5-85f" in plan[0].remedy


@pytest.mark.parametrize(("size", "refused"), [(1 << 8, False), (1 << 18, True), (1 << 28, True)])
def test_sums_that_lose_bits_before_they_are_rounded_once_are_refused(size: int, refused: bool) -> None:
    """LiteRT keeps 64 bits of such sums, a lane of requantization 32."""
    b = Integers(3)
    x = b.fed(1, 512)
    weights, bias, spread = b.products(x, (8, 512), 8, 0)
    scale = b.scale(spread / size / 200)
    b.made("FULLY_CONNECTED", (x, weights, bias), (1, 8), scale, options="FullyConnected")
    plan = Overlay().plan(b.whole(), target.load("ecp5-85f"))
    assert isinstance(plan, list) == refused
    assert not isinstance(plan, list) or "a sum takes more than 32 bits" in plan[0].reason
