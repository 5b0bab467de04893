"""Cycle models of microcontroller cores: machine code, decoded, on an in-order pipeline with the core's timings.

docs/cycle-models.md explains the model; the cores' tables are in ``targets/costs/cores``.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What the cores' tables tell apart."""

    ALU = "alu"
    SHIFT = "shift"
    """Shifts, shifted operands, extensions, bit fields."""
    MUL = "mul"
    LONG_MUL = "long_mul"
    """Products of 64 bits."""
    MAC = "mac"
    LONG_MAC = "long_mac"
    DUAL_MAC = "dual_mac"
    """SMLAD and the like: two products of 16 bits; SMLALD, too."""
    DSP = "dsp"
    """Other operations on packed halfwords and bytes, saturation."""
    DIV = "div"
    LOAD = "load"
    LOAD_NARROW = "load_narrow"
    """Of a byte or a halfword."""
    LOAD_DOUBLE = "load_double"
    LOAD_MULTIPLE = "load_multiple"
    STORE = "store"
    STORE_INDEXED = "store_indexed"
    """The address has a register as offset."""
    STORE_DOUBLE = "store_double"
    STORE_MULTIPLE = "store_multiple"
    BRANCH = "branch"
    """To an address in the instruction, conditional or not."""
    CALL = "call"
    INDIRECT = "indirect"
    """To an address in a register; loads of the program counter count so, too."""
    TABLE_BRANCH = "table_branch"
    LOOP_START = "loop_start"
    LOOP_END = "loop_end"
    SYSTEM = "system"
    FP_MOVE = "fp_move"
    FP_ADD = "fp_add"
    """Additions, comparisons, conversions."""
    FP_MUL = "fp_mul"
    FP_MAC = "fp_mac"
    FP_DIV = "fp_div"
    """Divisions and square roots."""
    VEC_LOAD = "vec_load"
    VEC_GATHER = "vec_gather"
    VEC_STORE = "vec_store"
    VEC_SCATTER = "vec_scatter"
    VEC_ALU = "vec_alu"
    VEC_SHIFT = "vec_shift"
    VEC_MUL = "vec_mul"
    VEC_MAC = "vec_mac"
    VEC_DOT = "vec_dot"
    """Products summed up across the vector: VMLADAV and the like."""
    VEC_SUM = "vec_sum"
    """Other reductions across the vector."""
    VEC_MOVE = "vec_move"
    """Between vectors and core registers."""
    VEC_PREDICATE = "vec_predicate"
    UNKNOWN = "unknown"
    """What the model does not know: counted, and part of the interval."""


@dataclass(frozen=True)
class Instruction:
    """A disassembled instruction.

    :param mnemonic: without suffixes of width; empty where the disassembler knows none. :param size: bytes.
    """

    mnemonic: str
    operands: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Operation:
    """What the pipeline must know of an instruction.

    :param reads: all registers that it reads; ``address``: those that form an address; ``shifted``: those that pass
        the shifter first; ``sums``: those that it adds to.
    :param registers: that a multiple load or store moves. :param size: bytes of code.
    :param stored: those whose contents a store writes. :param conditional: a branch that may not be taken.
    """

    kind: Kind
    size: int
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    address: frozenset[str] = frozenset()
    shifted: frozenset[str] = frozenset()
    sums: frozenset[str] = frozenset()
    stored: frozenset[str] = frozenset()
    registers: int = 1
    conditional: bool = False


MEMORY = frozenset(
    {
        Kind.LOAD, Kind.LOAD_NARROW, Kind.LOAD_DOUBLE, Kind.LOAD_MULTIPLE, Kind.STORE, Kind.STORE_INDEXED,
        Kind.STORE_DOUBLE, Kind.STORE_MULTIPLE, Kind.VEC_LOAD, Kind.VEC_GATHER, Kind.VEC_STORE, Kind.VEC_SCATTER,
    }
)  # fmt: skip
JUMPS = frozenset({Kind.BRANCH, Kind.CALL, Kind.INDIRECT, Kind.TABLE_BRANCH, Kind.LOOP_START, Kind.LOOP_END})
"""What ends a block of straight-line code."""
LOADS = frozenset({Kind.LOAD, Kind.LOAD_NARROW})
STORES = frozenset({Kind.STORE, Kind.STORE_INDEXED})
MULTIPLICATIONS = frozenset({Kind.MUL, Kind.LONG_MUL, Kind.MAC, Kind.LONG_MAC, Kind.DUAL_MAC})
VECTOR = frozenset(kind for kind in Kind if kind.startswith("vec_"))


def words(text: str) -> frozenset[str]:
    """The words of a text, mnemonics in these modules."""
    return frozenset(text.split())
