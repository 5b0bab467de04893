"""Sequences of instructions, written as text, on the pipelines of cores."""

from __future__ import annotations

from edgekit.profiling.mcu import Instruction, Operation, decode, riscv, thumb
from edgekit.profiling.mcu.cores import Bound, Core, Isa, core
from edgekit.profiling.mcu.pipeline import cycles

FOUR = ("ldrd", "strd", "smlad", "smlal", "mla", "ubfx", "sdiv", "vl", "vm", "vs", "va", "vf", "le", "dls")


def instruction(text: str) -> Instruction:
    """``ldr.w r0, [r1]``: 32 bits where it says so, or where its mnemonic has no other encoding."""
    mnemonic, _, operands = text.strip().partition(" ")
    size = 4 if mnemonic.endswith(".w") or mnemonic.startswith(FOUR) else 2
    return Instruction(mnemonic.removesuffix(".w"), tuple(decode.split(operands)), size)


def operations(text: str, isa: Isa = Isa.THUMB_7) -> list[Operation]:
    """Instructions, separated by semicolons, as the pipeline sees them."""
    read = riscv.operation if isa is Isa.RISCV else thumb.operation
    return [read(instruction(one)) for one in text.split(";")]


def at(text: str, arch: str, bound: Bound = Bound.VALUE, address: int = 0) -> float:
    """Cycles of a block that repeats, without its jumps; a NOP keeps the end of one turn from the start of the next."""
    model = core(arch, bound)
    return model_at(text, model, address)


def model_at(text: str, model: Core, address: int = 0) -> float:
    return cycles(operations(text, model.isa), model, address)
