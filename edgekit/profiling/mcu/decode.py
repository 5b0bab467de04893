"""Disassembles blocks of machine code with the toolchain's objdump, as a sandboxed child."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from edgekit import sandbox
from edgekit.errors import DeviceError, ToolMissing
from edgekit.profiling.mcu import Instruction
from edgekit.tools import toolchain

_LIMITS = sandbox.Limits(seconds=60)
_LINE = re.compile(r"^ *([0-9a-f]+):\t([0-9a-f ]+)\t?([^\t]*)\t?([^\t]*)")
_FILE = "blocks.bin"


@dataclass(frozen=True)
class Dialect:
    """How an instruction set is disassembled.

    :param toolchain: in ``compile/toolchains``, whose compiler has the disassembler beside it.
    :param options: of objdump. :param gap: code between two blocks, so that none of them is seen as part of another.
    """

    toolchain: str
    options: tuple[str, ...]
    gap: bytes


THUMB_7 = Dialect("cortex-m-cc", ("-m", "armv7e-m", "-M", "force-thumb"), b"\x00\xbf" * 6)
THUMB_8 = Dialect("cortex-m-cc", ("-m", "armv8.1-m.main", "-M", "force-thumb"), b"\x00\xbf" * 6)
RISCV = Dialect("riscv32-cc", ("-m", "riscv:rv32", "-M", "no-aliases,numeric"), b"\x01\x00" * 2)


def disassembled(codes: Iterable[str], dialect: Dialect) -> dict[str, list[Instruction]]:
    """Return the instructions of each block of code (hex).

    :raises ToolMissing: if the toolchain is not installed, or has no disassembler (zig).
    :raises DeviceError: if its disassembler fails.
    """
    blocks = list(dict.fromkeys(code for code in codes if code))
    places, data = [], bytearray()
    for code in blocks:
        places.append(len(data))
        data += bytes.fromhex(code) + dialect.gap
    found: dict[str, list[Instruction]] = {code: [] for code in blocks}
    if not blocks:
        return found
    by_place = dict(zip(places, blocks, strict=True))
    current, end = "", 0
    for place, instruction in _lines(_run(bytes(data), dialect)):
        if place in by_place:
            current = by_place[place]
            end = place + len(current) // 2
        if place < end:
            found[current].append(instruction)
    return found


def _run(data: bytes, dialect: Dialect) -> str:
    found = toolchain.load(dialect.toolchain).find()
    if found.module:
        raise ToolMissing(f"{found.module} has no disassembler", "install GCC for the board's processor")
    tool = re.sub(r"gcc$", "objdump", found.argv[0])
    with sandbox.scratch() as folder:
        (folder / _FILE).write_bytes(data)
        command = [tool, "-D", "-z", "-b", "binary", *dialect.options, _FILE]
        try:
            done = sandbox.run_program(command, folder=folder, limits=_LIMITS)
        except sandbox.ChildDied as died:
            raise DeviceError(f"{tool} {died.reason}, on the firmware's code", "run again with --debug") from died
    if done.returncode:
        raise DeviceError(f"{tool} cannot disassemble the firmware: {done.stdout[-200:]}", "run again with --debug")
    return done.stdout


def _lines(text: str) -> Iterator[tuple[int, Instruction]]:
    for line in text.splitlines():
        if match := _LINE.match(line):
            place, code, mnemonic, operands = match.groups()
            size = len(code.replace(" ", "")) // 2
            yield int(place, 16), _instruction(mnemonic.strip(), operands, size)


def _instruction(mnemonic: str, operands: str, size: int) -> Instruction:
    if not mnemonic or mnemonic.startswith((".", "<", "@")) or "UNDEFINED" in operands:
        return Instruction("", (), size)
    words = re.split(r"\s+[;@]|\s+#\s|\s+<", operands)[0]
    return Instruction(re.sub(r"\.[wn]$", "", mnemonic), tuple(split(words)), size)


def split(text: str) -> Iterator[str]:
    """Operands of an instruction, separated by commas outside of brackets and braces."""
    depth, word = 0, ""
    for character in text.strip():
        depth += (character in "[{") - (character in "]}")
        if character == "," and depth == 0:
            yield word.strip()
            word = ""
        else:
            word += character
    if word.strip():
        yield word.strip()
