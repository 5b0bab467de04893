"""What RV32IMC instructions are to the pipeline, from their text."""

from __future__ import annotations

import re

from edgekit.profiling.mcu import Instruction, Kind, Operation, words

_ALU = words("add addi sub and andi or ori xor xori lui auipc li mv slt slti sltu sltiu nop addi4spn addi16sp")
_SHIFT = words("sll slli srl srli sra srai")
_LOADS = words("lb lbu lh lhu lw lwsp flw flwsp")
_STORES = words("sb sh sw swsp fsw fswsp")
_BRANCHES = words("beq bne blt bge bltu bgeu beqz bnez")
_SYSTEM = words("ecall ebreak fence fence.i wfi mret csrrw csrrs csrrc csrrwi csrrsi csrrci unimp")
_REGISTER = re.compile(r"\bx\d+\b")
_IN_PLACE = words("c.add c.addi c.sub c.and c.andi c.or c.xor c.slli c.srli c.srai c.addi16sp c.addw c.subw")
"""Compressed instructions whose first operand is read, too."""


def operation(instruction: Instruction) -> Operation:
    """Return what the pipeline must know of an instruction."""
    name = instruction.mnemonic.removeprefix("c.")
    operands, size = instruction.operands, instruction.size
    registers = [frozenset(_REGISTER.findall(operand)) - {"x0"} for operand in operands]
    every: frozenset[str] = frozenset().union(*registers)
    first: frozenset[str] = registers[0] if registers else frozenset()
    rest: frozenset[str] = frozenset().union(*registers[1:])
    if name in _LOADS:
        return Operation(Kind.LOAD if "w" in name else Kind.LOAD_NARROW, size, rest, first, rest)
    if name in _STORES:
        return Operation(Kind.STORE, size, every, frozenset(), rest, stored=first)
    if name in _BRANCHES:
        return Operation(Kind.BRANCH, size, every, conditional=True)
    if name in ("j", "jal"):
        linked = name == "jal" and "x0" not in operands
        return Operation(
            Kind.CALL if linked else Kind.BRANCH, size, writes=frozenset({"x1"}) if linked else frozenset()
        )
    if name in ("jr", "jalr"):
        return Operation(Kind.INDIRECT, size, every)
    if name.startswith("mul"):
        return Operation(Kind.MUL, size, rest, first)
    if name.startswith(("div", "rem")):
        return Operation(Kind.DIV, size, rest, first)
    if name in _SYSTEM:
        return Operation(Kind.SYSTEM, size, rest, first)
    if name in _ALU or name in _SHIFT:
        kind = Kind.SHIFT if name in _SHIFT else Kind.ALU
        return Operation(kind, size, every if instruction.mnemonic in _IN_PLACE else rest, first)
    return Operation(Kind.UNKNOWN, size, every, first)
