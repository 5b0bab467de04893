"""Profiles of emulated firmware, from traces written by hand and from those of a firmware that runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgekit import runners, target
from edgekit.errors import ToolMissing
from edgekit.graph import Graph
from edgekit.profiling import Evidence, Profile, registry
from edgekit.profiling.mcu import cost, decode
from edgekit.profiling.mcu.cores import Bound, core
from edgekit.runners import BlockUse, OperatorTrace, RunOptions, Source, Trace
from edgekit.target import Target
from edgekit.tools import toolchain
from tests.runners import firmware_bundles

arm = pytest.mark.skipif(not toolchain.load("cortex-m-cc").found(), reason="gcc-arm-none-eabi is not installed")

NOP, ADD_WIDE, BNE, LDRD, UNKNOWN = "00bf", "01eb0200", "fcd1", "d2e90001", "f0f700a0"  # of Thumb, little-endian
MACS = firmware_bundles.INPUTS * firmware_bundles.OUTPUTS


def trace(*blocks: BlockUse, **more: int) -> Trace:
    instructions = sum(block.count * len(block.code) // 4 for block in blocks)
    counts = {"instructions": instructions, **more}
    return Trace(
        Source.EMULATOR, "c99", operators=[OperatorTrace(0, "a", counts=counts, blocks=list(blocks))], counts=counts
    )


def profiled(one: Trace, board: Target | None = None, graph: Graph | None = None) -> Profile:
    where = board or without_waits(target.load("nucleo-l4r5zi"))
    return registry.observed(graph or firmware_bundles.graph(), one, where, {})


def without_waits(board: Target) -> Target:
    mcu = board.microcontroller
    regions = {name: replace(region, wait_states=0) for name, region in mcu.regions.items()}
    return replace(board, mcu=replace(mcu, regions=regions))


@arm
def test_cycles_are_those_of_the_blocks_and_of_their_jumps() -> None:
    loop = BlockUse(NOP * 3 + BNE, 100, region="flash", address=0x100, taken=90, entered=90)
    found = profiled(trace(loop))
    assert found.cycles == 100 * 4 + 90 * 1  # three NOPs and a branch; a refill where it is taken
    assert found.latency_ms.value == pytest.approx(490 / 120e6 * 1e3)
    assert found.latency_ms.low < found.latency_ms.value < found.latency_ms.high
    assert found.energy_mj.value == pytest.approx(found.latency_ms.value * found.power_w.value)
    assert found.energy_mj.low == pytest.approx(found.latency_ms.low * found.power_w.low)
    assert found.macs == MACS and found.instructions == 400
    assert found.source is Evidence.EMULATOR and "Cortex-M4" in found.basis and "unknown" not in found.basis


@arm
def test_jumps_to_wide_instructions_that_no_word_begins_with_cost_a_cycle() -> None:
    block = BlockUse(ADD_WIDE, 10, region="flash", address=0x100, entered=10)
    aligned, straddling = (profiled(trace(replace(block, address=address))).cycles for address in (0x100, 0x102))
    assert (aligned, straddling) == (10, 20)


@arm
def test_unknown_instructions_are_counted_and_widen_the_interval() -> None:
    known, unknown = (profiled(trace(BlockUse(code, 100, region="flash"))) for code in (ADD_WIDE, UNKNOWN))
    assert unknown.basis.endswith("100 executed instructions are unknown to the model")
    assert known.cycles is not None and unknown.cycles is not None and unknown.cycles >= known.cycles
    spread = [found.latency_ms.high / found.latency_ms.low for found in (known, unknown)]
    assert spread[1] > 5 * spread[0]


@arm
def test_wait_states_add_to_cycles_but_not_to_those_without() -> None:
    one = trace(BlockUse(LDRD, 100, region="ram", loads={"flash": 200}))  # eight bytes of flash, which come at once
    slow, fast = (profiled(one, board) for board in (target.load("nucleo-l4r5zi"), None))
    assert slow.cycles is not None and fast.cycles is not None
    assert slow.zero_wait_cycles == fast.zero_wait_cycles and fast.zero_wait_cycles is not None
    assert fast.zero_wait_cycles.value == fast.cycles < slow.cycles
    assert (fast.cycles, slow.cycles) == (100 * 3, 100 * (3 + 5))
    assert slow.operators[0].bound == "memory" and fast.operators[0].bound == "compute"


@arm
def test_steps_of_one_operator_share_its_work() -> None:
    one = trace(BlockUse(NOP * 3, 100, region="flash"))
    other = OperatorTrace(0, "b", counts={"instructions": 100}, blocks=[BlockUse(NOP, 100, region="flash")])
    one.operators.append(other)
    found = profiled(one)
    assert [row.macs for row in found.operators] == [3600, 1200]
    assert sum(row.share for row in found.operators) == pytest.approx(1)


def test_without_a_disassembler_instructions_are_priced_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> None:
        raise ToolMissing("no objdump", "install it")

    monkeypatch.setattr(decode, "disassembled", missing)
    found = profiled(trace(BlockUse(NOP, 100), load=40, int_alu=60))
    low, value, high = (core("cortex-m4", bound) for bound in Bound)
    assert found.cycles == round(40 * value.cpi["load"] + 60 * value.cpi["int_alu"])
    assert found.zero_wait_cycles is not None
    assert found.zero_wait_cycles.low == 40 * low.cpi["load"] + 60 * low.cpi["int_alu"]
    assert found.zero_wait_cycles.high == 40 * high.cpi["load"] + 60 * high.cpi["int_alu"]
    assert "by class of instruction" in found.basis


def test_more_code_than_any_network_has_is_priced_by_class() -> None:
    blocks = [BlockUse(f"{number:08x}" * 2048, 1) for number in range(65)]
    found = profiled(trace(*blocks, int_alu=60))
    assert found.cycles == 60 and "by class of instruction" in found.basis


@pytest.mark.parametrize("name", firmware_bundles.boards())
def test_every_microcontroller_has_a_cycle_model_and_an_estimate(name: str) -> None:
    board = target.load(name)
    assert core(board.microcontroller.arch).cpi
    found = registry.estimate(firmware_bundles.graph(), board, {})
    assert found.latency_ms.low < found.latency_ms.value < found.latency_ms.high
    assert found.cycles and found.macs == MACS
    assert found.energy_mj.value > 0 and found.source is Evidence.ESTIMATE


@pytest.mark.emulator
@pytest.mark.parametrize("board", ["nucleo-l4r5zi", "esp32-c3"])
def test_a_firmware_that_runs_is_profiled_and_its_jumps_are_counted(board: str, tmp_path: Path) -> None:
    made = firmware_bundles.bundle(tmp_path / "bundle", board)
    with runners.opened(runners.get("emulator"), made) as session:
        run = session.run([firmware_bundles.samples(1)], RunOptions(profile=True))
    dense = run.trace.operators[0]
    for block in dense.blocks:
        assert 0 <= block.taken <= block.count and 0 <= block.entered <= block.count
    loop = max(dense.blocks, key=lambda block: block.taken)
    assert firmware_bundles.OUTPUTS * firmware_bundles.INPUTS * 0.2 < loop.taken <= MACS
    taken, entered = (
        sum(getattr(b, what) for row in run.trace.operators for b in row.blocks) for what in ("taken", "entered")
    )
    assert abs(taken - entered) <= len(run.trace.operators)  # a phase may begin or end with a jump
    found = registry.observed(made.graph, run.trace, made.target, run.conditions)
    assert found.cycles is not None and found.instructions is not None and found.zero_wait_cycles is not None
    assert found.instructions < found.zero_wait_cycles.value <= found.cycles
    assert "unknown" not in found.basis


def test_operations_of_no_blocks() -> None:
    assert cost.operations([], core("cortex-m4").isa) == {}
