"""A Cortex-M machine in unicorn: runs a firmware, with its UART on stdin and stdout, and writes the plugin's report.

A program of its own, started in the sandbox::

    python unicorn_machine.py FIRMWARE SETTINGS

``SETTINGS`` is a JSON object; :class:`edgekit.runners.qemu_system.Unicorn` writes it. Blocks of code are counted only
while a run is observed; all other runs are as fast as unicorn. The machine has the memories and the UART of the one
that QEMU has under the same name, and no other peripherals: the processor's own registers are plain memory.
"""

from __future__ import annotations

import json
import os
import re
import select
import struct
import sys
from bisect import bisect_right
from pathlib import Path
from typing import Any

import unicorn as _unicorn
from unicorn import arm_const

from edgekit.files import elf

unicorn: Any = _unicorn
"""The package, which has no types."""
FOLDER = Path(__file__).parent
PAGE = 4096
SYSTEM = 0xE000_0000, 1 << 20
"""The private peripheral bus: address and bytes."""
DATA, STATE = 0, 4
"""Registers of the CMSDK's UART (Arm DDI 0479, 4.3): offsets."""
RX_FULL = 2
MOST_OUTPUT = 4096
_WRITE = unicorn.UC_MEM_WRITE


class Classes:
    """Sorts instructions as the trace plugin does, by the tables in its sources."""

    def __init__(self) -> None:
        text = (FOLDER / "classes.h").read_text()
        self.names = re.findall(r'"(\w+)"', text)
        order = {name: number for number, name in enumerate(re.findall(r"\b(CLASS_\w+),", text))}
        tables = (FOLDER / "classify_thumb.h").read_text().split("wide[]")
        self.narrow, self.wide = (
            [
                (int(mask, 16), int(value, 16), order[name])
                for mask, value, name in re.findall(r"\{(0x\w+), (0x\w+), (CLASS_\w+)\}", table)
            ]
            for table in tables
        )

    def counts(self, code: bytes) -> tuple[int, list[int]]:
        """Return the instructions of a block, and those of each class."""
        found, at, instructions = [0] * len(self.names), 0, 0
        while at < len(code):
            (word,) = struct.unpack_from("<H", code, at)
            table, size = self.narrow, 2
            if word >> 11 >= 0x1D and at + 4 <= len(code):
                word, table, size = word << 16 | struct.unpack_from("<H", code, at + 2)[0], self.wide, 4
            found[next(kind for mask, value, kind in table if word & mask == value)] += 1
            at, instructions = at + size, instructions + 1
        return instructions, found


class Block:
    """A block of straight-line code, and what the current phase executed of it."""

    def __init__(self, number: int, address: int, code: bytes, classes: Classes, memories: int) -> None:
        self.number, self.address, self.end, self.code = number, address, address + len(code), code
        self.instructions, self.classes = classes.counts(code)
        self.written = False
        self.memories = memories
        self.clear()

    def clear(self) -> None:
        """Begin a phase."""
        self.count = self.taken = self.entered = 0
        self.loads, self.stores = [0] * self.memories, [0] * self.memories


def _steps(spaces: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Return the addresses at which another memory begins, and the memories by how many of those an address is past.

    The first of the spaces that an address lies in is its memory; if there is none, their number.
    """
    bounds = sorted({bound for space in spaces for bound in space})
    found = [
        next((number for number, (low, high) in enumerate(spaces) if low <= at < high), len(spaces)) for at in bounds
    ]
    return bounds, [len(spaces), *found]


class Machine:
    """The machine, its line and its report."""

    def __init__(self, image: Path, settings: dict[str, Any]) -> None:
        self.settings = settings
        self.uc: Any = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
        self.uc.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{settings['cpu']}"))
        for address, size in (*settings["memories"], SYSTEM):
            self.uc.mem_map(address, size)
        firmware = elf.read(image.read_bytes())
        for address, content in firmware.loaded:
            self.uc.mem_write(address, content)
        if settings["samples"]:
            self.uc.mem_write(settings["samples"][0], Path(settings["samples"][1]).read_bytes())
        self.uc.mmio_map(settings["uart"], PAGE, self._read, None, self._write, None)
        self.received, self.sent, self.asked = bytearray(), bytearray(), 0
        self.classes = Classes()
        self.blocks: dict[tuple[int, int], Block | None] = {}
        self.last: Block | None = None
        self.recording, self.hooks = False, list[int]()
        self.mark = ""
        self.bounds, self.space = _steps(settings["spaces"])
        self.report = Path(settings["report"]).open("w")  # noqa: SIM115 (it is written until the process ends)
        self.report.write(f"edgekit-firmware-trace 1\nclasses {' '.join(self.classes.names)}\n")
        for name, address in settings["marks"].items():
            self.uc.hook_add(unicorn.UC_HOOK_CODE, self._marked, name, address, address)
        stack, self.begin = struct.unpack("<2I", self.uc.mem_read(firmware.sections[".vectors"].address, 8))
        self.uc.reg_write(arm_const.UC_ARM_REG_SP, stack)

    def run(self) -> None:
        """Run until the line ends; marks stop the processor, because only then hooks may change."""
        where = self.begin
        while True:
            try:
                self.uc.emu_start(where, 0xFFFF_FFFF)
            except unicorn.UcError as error:
                at = self.uc.reg_read(arm_const.UC_ARM_REG_PC)
                sys.exit(f"crashed at address {at:#x}: {self._of_the_fpu(at) or error}")
            where = self.uc.reg_read(arm_const.UC_ARM_REG_PC) | 1
            if not self.mark:
                sys.exit("the processor stopped")
            mark, self.mark = self.mark, ""
            self._observe(mark)
            self.passed = where & ~1

    def _of_the_fpu(self, at: int) -> str:
        """Say so if an instruction is the FPU's (coprocessors 10 and 11): not all are there."""
        try:
            first, second = struct.unpack("<2H", self.uc.mem_read(at & ~1, 4))
        except unicorn.UcError:
            return ""
        fpu = first >> 10 in (0x3B, 0x3F) and second >> 8 & 0xE == 0xA
        return "an instruction of the FPU that unicorn does not have; use qemu-system-arm" if fpu else ""

    passed = 0
    """The address of a mark that the processor has stopped at once."""

    def _marked(self, uc: Any, address: int, size: int, name: str) -> None:
        if self.passed == address:  # it goes on from there
            self.passed = 0
            return
        self.mark = name
        uc.emu_stop()

    def _observe(self, mark: str) -> None:
        if mark == "begin":
            self.recording = True
            self.last = None
            self.hooks = [self.uc.hook_add(unicorn.UC_HOOK_BLOCK, self._executed)]
            if self.settings["accesses"]:
                both = unicorn.UC_HOOK_MEM_READ | unicorn.UC_HOOK_MEM_WRITE
                self.hooks.append(self.uc.hook_add(both, self._accessed))
            self.uc.ctl_flush_tb()
        elif self.recording:
            self._close_phase()
            if mark == "end":
                self.recording = False
                for hook in self.hooks:
                    self.uc.hook_del(hook)
                self.uc.ctl_flush_tb()
                self.report.write("end\n")
                self.report.flush()

    def _executed(self, uc: Any, address: int, size: int, _: Any) -> None:
        try:
            block = self.blocks[address, size]
        except KeyError:
            block = self.blocks[address, size] = self._block(address, size)
        if block is None:
            return
        block.count += 1
        last = self.last
        if last is not None and last.end != address:
            last.taken += 1
            block.entered += 1
        self.last = block

    def _block(self, address: int, size: int) -> Block | None:
        """Return a block that is executed for the first time; None if it is not counted."""
        if any(low <= address < high for low, high in self.settings["skipped"]):
            return None
        code = bytes(self.uc.mem_read(address, size))
        return Block(len(self.blocks) + 1, address, code, self.classes, len(self.settings["spaces"]) + 1)

    def _accessed(self, uc: Any, kind: int, address: int, size: int, value: int, _: Any) -> None:
        block = self.last
        if block is not None:
            memory = self.space[bisect_right(self.bounds, address)]
            (block.stores if kind == _WRITE else block.loads)[memory] += 1

    def _close_phase(self) -> None:
        used = [block for block in self.blocks.values() if block is not None and block.count]
        classes = [sum(block.count * block.classes[kind] for block in used) for kind in range(len(self.classes.names))]
        self._line("phase", sum(block.count * block.instructions for block in used), *classes)
        for block in used:
            if not block.written:
                self._line("block", block.number, f"{block.address:x}", block.instructions, block.code.hex())
                block.written = True
            self._line("use", block.number, block.count, block.taken, block.entered, *block.loads, *block.stores)
            block.clear()

    def _line(self, *words: object) -> None:
        self.report.write(" ".join(map(str, words)) + "\n")

    def _read(self, _uc: Any, offset: int, _size: int, _data: Any) -> int:
        """Read the UART. A firmware that asks for input again and again waits for it, and so does the process."""
        if offset == DATA:
            self.asked = 0
            return self.received.pop(0) if self.received else 0
        if offset != STATE:
            return 0
        self.asked += 1
        if not self.received and (self.asked > 2 or select.select([0], [], [], 0)[0]):
            self._flush()
            data = os.read(0, 1 << 16)
            if not data:
                os._exit(0)  # nobody is there any more
            self.received += data
        return RX_FULL if self.received else 0

    def _write(self, _uc: Any, offset: int, _size: int, value: int, _data: Any) -> None:
        """Write to the UART."""
        if offset == DATA:
            self.asked = 0
            self.sent.append(value & 0xFF)
            if len(self.sent) >= MOST_OUTPUT:
                self._flush()

    def _flush(self) -> None:
        data = memoryview(bytes(self.sent))
        self.sent.clear()
        while data:
            data = data[os.write(1, data) :]


if __name__ == "__main__":
    Machine(Path(sys.argv[1]), json.loads(sys.argv[2])).run()
