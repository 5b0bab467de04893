"""Firmware in unicorn, where QEMU is missing: the same results and counts, and what it does not have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgekit import runners
from edgekit.errors import DeviceError, ToolMissing
from edgekit.runners import RunOptions
from edgekit.runners.qemu_system import QemuSystemSession, Unicorn
from edgekit.tools import toolchain
from tests.installed import needed
from tests.runners.firmware_bundles import bundle, expected, network, samples

needed("unicorn", "unicorn")
pytestmark = pytest.mark.emulator
BOARDS = ("nucleo-l4r5zi", "stm32h7a3", "nucleo-u575", "pico")


@pytest.fixture
def without_qemu(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """As on a machine where nobody could install QEMU; undone by the test where it compares both."""
    which = toolchain.shutil.which
    with monkeypatch.context() as patch:
        patch.setattr(toolchain.shutil, "which", lambda name: None if name.startswith("qemu-system-") else which(name))
        yield patch


@pytest.mark.parametrize("board", BOARDS)
def test_unicorn_computes_and_counts_what_qemu_does(
    board: str, tmp_path: Path, without_qemu: pytest.MonkeyPatch
) -> None:
    made = bundle(tmp_path, board)
    inputs = samples(3)
    with runners.opened(runners.get("emulator"), made) as session:
        assert isinstance(session, QemuSystemSession) and isinstance(session.emulated, Unicorn)
        run = session.run([inputs], RunOptions(profile=True))
        again = session.run([inputs[:1]])
    np.testing.assert_array_equal(run.outputs[0], expected(inputs))
    assert again.trace.counts["instructions"] == run.trace.counts["instructions"]
    assert [row.name for row in run.trace.operators] == ["dense", "minimum", "runtime"]
    without_qemu.undo()
    if not toolchain.load("qemu-system-arm").tools[0].found():
        pytest.skip("qemu-system-arm is not installed")
    with runners.opened(runners.get("emulator"), made) as session:
        other = session.run([inputs], RunOptions(profile=True))
    assert run.conditions == other.conditions
    for mine, theirs in zip(run.trace.operators, other.trace.operators, strict=True):
        assert mine.counts == theirs.counts, mine.name
        jumps = [sum(block.taken for block in row.blocks) for row in (mine, theirs)]
        assert jumps[0] == jumps[1], mine.name


@pytest.mark.usefixtures("without_qemu")
@pytest.mark.parametrize(("board", "core"), [("mps3-an547", "Cortex-M55"), ("ra8d1", "Cortex-M85")])
def test_a_core_that_unicorn_does_not_have_is_refused(board: str, core: str, tmp_path: Path) -> None:
    made = bundle(tmp_path, board)
    with pytest.raises(ToolMissing) as caught, runners.opened(runners.get("emulator"), made):
        pass
    assert caught.value.message == f"qemu-system-arm is missing, and unicorn, which is installed, does not have {core}"
    assert caught.value.hint.endswith("apt-get install -y --no-install-recommends qemu-system-arm")


@pytest.mark.usefixtures("without_qemu")
def test_without_both_the_package_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "_is_there", lambda module: module != "unicorn")
    made = bundle(tmp_path, "nucleo-l4r5zi")
    with pytest.raises(ToolMissing) as caught, runners.opened(runners.get("emulator"), made):
        pass
    assert "qemu-system-arm" in caught.value.hint and "pip install unicorn==" in caught.value.hint


@pytest.mark.usefixtures("without_qemu")
@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("*(volatile uint32_t *)0xa0000000 = 1;", "crashed at address 0x"),
        ('__asm volatile("udf #1");', "crashed at address 0x"),
        ('__asm volatile("bkpt 0xab");', "crashed at address 0x"),
        ('__asm volatile("vadd.f64 d0, d1, d2");', "an instruction of the FPU that unicorn does not have"),
    ],
    ids=["no memory", "undefined", "semihosting", "FPU"],
)
def test_a_crash_is_told_in_one_line(code: str, said: str, tmp_path: Path) -> None:
    made = bundle(tmp_path, "stm32h7a3", network(a=f"    int32_t *z =>    {code}\n    int32_t *z "))
    with pytest.raises(DeviceError) as caught, runners.opened(runners.get("emulator"), made) as session:
        session.run([samples(1)])
    assert said in caught.value.message and caught.value.message.count("\n") == 0
