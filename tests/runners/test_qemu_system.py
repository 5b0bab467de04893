"""The emulator of microcontrollers: every board's firmware runs, computes exactly, and is counted exactly."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit import runners, sandbox
from edgekit.bundle import Bundle
from edgekit.errors import DeviceError
from edgekit.runners import RunOptions, Source
from edgekit.runners.qemu_system import QemuSystemSession
from tests.runners.firmware_bundles import ARENA, INPUTS, OUTPUTS, boards, bundle, expected, network, samples

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
    worst = json.loads((made.artifact / "firmware.json").read_text())["stack"]["bytes"]
    assert 0 < run.conditions["stack_used_bytes"] <= worst < made.target.microcontroller.stack_bytes
    assert worst <= run.conditions["stack_used_bytes"] + 160


def _instructions(code: str, riscv: bool) -> int:
    """Instructions of two or four bytes, as the first halfword of each says."""
    data, at, count = bytes.fromhex(code), 0, 0
    while at < len(data):
        half = data[at] | data[at + 1] << 8
        at += 4 if (half & 3 == 3 if riscv else half >> 11 >= 0b11101) else 2
        count += 1
    return count


def hostile(folder: Path, code: str, limits: sandbox.Limits | None = None) -> tuple[str, float]:
    """The error of a firmware whose second step begins with ``code``, and how long it took, seconds."""
    made = bundle(folder / "bundle", "nucleo-l4r5zi", network(a=f"    int32_t *z =>    {code}\n    int32_t *z "))
    begun = time.monotonic()
    with pytest.raises(DeviceError) as caught, runners.opened(runners.get("emulator"), made) as session:
        assert isinstance(session, QemuSystemSession)
        limits = limits or sandbox.Limits(seconds=12, memory_mb=8192, file_mb=16)
        replace(session, limits=limits, patience=4.0).run([samples(1)])
    assert caught.value.message.count("\n") == 0 and caught.value.hint
    return caught.value.message, time.monotonic() - begun


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("for (;;) { }", "ran past 12 s"),
        ("for (;;) *(volatile uint32_t *)0x40004000 = 'x';", "sends what is not the firmware's protocol"),
        ("*(volatile uint32_t *)0xe000ed0c = 0x05fa0004; for (;;) { }", "ended with status 0"),  # a system reset
        ("*(volatile uint32_t *)0xa0000000 = 1;", "crashed at address 0x"),
        ('__asm volatile("udf #1");', "crashed at address 0x"),
        ("for (;;) instance->tick(instance->context);", "ran past 12 s"),
    ],
    ids=["silence", "endless output", "reset", "bus fault", "undefined", "endless steps"],
)
def test_hostile_firmware_ends_in_one_line_soon(code: str, said: str, tmp_path: Path) -> None:
    message, seconds = hostile(tmp_path, code)
    assert said in message and seconds < 30, message


def test_a_stack_overflow_is_told(tmp_path: Path) -> None:
    """The machine has something below its RAM, so that there is no fault."""
    code = "volatile uint32_t n = 60000; volatile uint8_t room[n]; for (int32_t i = 59999; i >= 0; i--) room[i] = 1;"
    message, _ = hostile(tmp_path, code)
    assert message == "the network needs more than the stack of 8192 bytes on emulated Cortex-M4"


def test_there_is_no_semihosting(tmp_path: Path) -> None:
    """SYS_OPEN of a file for writing, which QEMU would serve for any firmware if it were enabled."""
    victim = tmp_path / "victim"
    code = (
        f'static const char path[] = "{victim}"; const uint32_t block[3] = {{(uint32_t)path, 4, {len(str(victim))}}};'
        ' register uint32_t r0 __asm("r0") = 1; register const uint32_t *r1 __asm("r1") = block;'
        ' __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");'
    )
    message, _ = hostile(tmp_path, code)
    assert "crashed at address" in message and not victim.exists()


def test_nothing_is_left_of_a_session(tmp_path: Path) -> None:
    made = bundle(tmp_path / "bundle", "nucleo-l4r5zi")
    with runners.opened(runners.get("emulator"), made) as session:
        session.run([samples(1)])
    children = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in _children(os.getpid())]
    assert not any(b"qemu-system" in command for command in children)


def _children(pid: int) -> list[int]:
    found = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        found += [int(one) for one in (thread / "children").read_text().split()]
    return found


def test_a_bundle_without_its_firmware_or_with_a_damaged_description(tmp_path: Path) -> None:
    made = bundle(tmp_path / "bundle", "nucleo-l4r5zi")
    about = made.artifact / "firmware.json"
    text = about.read_text()
    about.write_text(text.replace('"node": 1', '"node": []'))
    with pytest.raises(DeviceError, match=r"firmware\.json is damaged"), runners.opened(runners.get("emulator"), made):
        pass
    about.write_text(text)
    (made.artifact / "emulator.elf").unlink()
    with pytest.raises(DeviceError, match=r"no artifact/emulator\.elf"), runners.opened(runners.get("emulator"), made):
        pass


def test_other_runners_refuse_firmware(tmp_path: Path) -> None:
    made = bundle(tmp_path / "bundle", "nucleo-l4r5zi")
    with pytest.raises(DeviceError) as caught, runners.opened(runners.get("host"), made):
        pass
    assert "microcontroller's firmware" in caught.value.message and "--on emulator" in caught.value.hint
    assert made_sizes(made)["arena"] == ARENA


def made_sizes(made: Bundle) -> dict[str, int]:
    return dict(json.loads((made.artifact / "firmware.json").read_text())["sizes"])


def test_ctrl_c_ends_the_machine(tmp_path: Path) -> None:
    made = bundle(tmp_path / "bundle", "nucleo-l4r5zi", network(a="    int32_t *z =>    for (;;) { }\n    int32_t *z "))
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt), runners.opened(runners.get("emulator"), made) as session:
        interrupt = threading.Timer(3, os.kill, (os.getpid(), signal.SIGINT))
        interrupt.start()
        try:
            session.run([samples(1)])
        finally:
            interrupt.cancel()
    assert time.monotonic() - begun < 20
    children = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in _children(os.getpid())]
    assert not any(b"qemu-system" in command for command in children)
