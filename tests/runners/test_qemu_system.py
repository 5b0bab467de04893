"""The emulator of microcontrollers: every board's firmware runs, computes exactly, and is counted exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit import runners
from edgekit.runners import RunOptions, Source
from tests.runners.firmware_bundles import INPUTS, OUTPUTS, boards, bundle, expected, samples

pytestmark = pytest.mark.emulator


@pytest.mark.parametrize("board", boards())
def test_a_firmware_computes_exactly_and_is_counted(board: str, tmp_path: Path) -> None:
    made = bundle(tmp_path / "bundle", board)
    inputs = samples(3)
    with runners.opened(runners.get("emulator"), made) as session:
        run = session.run([inputs], RunOptions(profile=True))
        again = session.run([inputs[:1]], RunOptions())
    np.testing.assert_array_equal(run.outputs[0], expected(inputs))
    np.testing.assert_array_equal(again.outputs[0], expected(inputs[:1]))
    trace = run.trace
    assert trace.source is Source.EMULATOR and trace.latency_ms == []
    assert [(row.index, row.name) for row in trace.operators] == [(0, "dense"), (1, "minimum"), (None, "runtime")]
    dense, minimum, _ = trace.operators
    assert 5 * INPUTS * OUTPUTS <= dense.counts["instructions"] <= 80 * INPUTS * OUTPUTS
    assert minimum.counts["instructions"] < 500
    assert trace.counts["instructions"] == sum(row.counts["instructions"] for row in trace.operators)
    assert trace.counts["instructions"] == again.trace.counts["instructions"]  # with and without the step's details
    loads = sum(count for name, count in dense.counts.items() if name.startswith("loads_"))
    assert loads >= INPUTS * OUTPUTS  # each input, once per output
    for row in trace.operators:
        executed = sum(block.count * _instructions(block.code, board == "esp32-c3") for block in row.blocks)
        assert executed == row.counts["instructions"]
    assert 0 < run.conditions["stack_bytes"] < made.target.microcontroller.stack_bytes


def _instructions(code: str, riscv: bool) -> int:
    """Instructions of two or four bytes, as the first halfword of each says."""
    data, at, count = bytes.fromhex(code), 0, 0
    while at < len(data):
        half = data[at] | data[at + 1] << 8
        at += 4 if (half & 3 == 3 if riscv else half >> 11 >= 0b11101) else 2
        count += 1
    return count
