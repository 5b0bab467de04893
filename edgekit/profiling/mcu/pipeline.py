"""An in-order pipeline: cycles of a block of straight-line code that is executed again and again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from edgekit.profiling.mcu import JUMPS, LOADS, MEMORY, MULTIPLICATIONS, STORES, VECTOR, Kind, Operation
from edgekit.profiling.mcu.cores import Core, Neighbours, Pairs, Timing

_WARM, _TURNS = 2, 2


def cycles(operations: Sequence[Operation], core: Core, address: int = 0) -> float:
    """Return cycles per execution, without what jumps add where they are taken (:func:`refill`).

    :param address: of the block.

    Registers and units are as the same block leaves them: exact for a loop of one block, near for others.
    """
    state = _State(core)
    before = 0.0
    for turn in range(_WARM + _TURNS):
        if turn == _WARM:
            before = state.next
        state.block(operations, address)
    return (state.next - before) / _TURNS


def refill(last: Operation, core: Core, count: int, taken: int) -> float:
    """Return the cycles that the jump at a block's end adds in ``count`` executions, of which ``taken`` jumped."""
    rules, straight = core.refill, count - taken
    if "pc" in last.writes or last.kind is Kind.INDIRECT:
        return taken * rules.indirect
    if last.kind is Kind.LOOP_END:
        return taken * rules.loop_end + straight * rules.loop_exit
    if last.kind not in JUMPS:
        return 0.0
    if core.predicts and last.conditional:
        return taken * rules.branch + min(taken, straight) * rules.mispredicted
    each = {
        Kind.BRANCH: rules.branch, Kind.CALL: rules.call, Kind.TABLE_BRANCH: rules.table_branch,
        Kind.LOOP_START: rules.loop_start,
    }  # fmt: skip
    return taken * each[last.kind]


def misaligned(first: Operation, address: int, core: Core, entered: int) -> float:
    """Return the cycles that ``entered`` jumps to a block lose if it begins with misaligned 32 bits."""
    return entered * core.refill.misaligned if first.size == 4 and address % 4 else 0.0


@dataclass
class _State:
    """``next``: the first cycle in which an instruction can be issued; ``group``: those issued in ``cycle``."""

    core: Core
    next: float = 0.0
    cycle: float = -1.0
    group: list[tuple[Operation, Timing]] = field(default_factory=list)
    ready: dict[str, tuple[float, float, Kind]] = field(default_factory=dict)
    free: dict[str, float] = field(default_factory=dict)
    last: Operation | None = None

    def block(self, operations: Sequence[Operation], address: int) -> None:
        """Execute the block once."""
        for operation in operations:
            self._issue(operation, address)
            address += operation.size
        self.group = []

    def _issue(self, operation: Operation, address: int) -> None:
        timing = self.core.timing(operation.kind)
        start = self._operands(operation)
        for unit in timing.uses:
            start = max(start, self.free.get(unit, 0.0))
        if self.group and start <= self.cycle and self._pairs(operation, timing):
            start = self.cycle
            self.group.append((operation, timing))
        else:
            start = max(start, self.next)
            self.cycle, self.group = start, [(operation, timing)]
        taken = timing.issue + timing.per_register * operation.registers
        if self._neighbour(operation, address):
            taken = max(1.0, taken - 1.0)
        if operation.kind in LOADS and self.last is not None and self.last.kind in STORES:
            taken += self.core.forward.load_after_store
        self.next = max(self.next, start + taken)
        if timing.busy:
            self.free.update(dict.fromkeys(timing.uses, start + timing.busy))
        result = start + max(timing.latency, taken if taken > 1 else 0.0)
        added = result if timing.sum_latency is None else start + timing.sum_latency
        for register in operation.writes:
            self.ready[register] = (result, added, operation.kind)
        for register in operation.writes & operation.address:  # a pointer that moves on is there with the next cycle
            self.ready[register] = (start + 1, start + 1, operation.kind)
        self.last = operation

    def _operands(self, operation: Operation) -> float:
        """The cycle in which all that the operation reads is there."""
        start, rules = 0.0, self.core.forward
        for register in operation.reads:
            result, added, kind = self.ready.get(register, (0.0, 0.0, Kind.ALU))
            if register in operation.sums:
                result = added if kind is operation.kind else result - rules.sum
            elif register in operation.address:
                result += rules.load_address if kind in LOADS else 0 if kind in MEMORY else rules.address
            elif register in operation.stored:
                result -= rules.store
            elif register in operation.shifted:
                result += rules.shift
            elif kind in LOADS and operation.kind in MULTIPLICATIONS:
                result += rules.load_factor
            start = max(start, result)
        return start

    def _neighbour(self, operation: Operation, address: int) -> bool:
        """True if it begins while the load before it ends (:class:`Neighbours`)."""
        before, rule = self.last, self.core.neighbours
        if rule is Neighbours.NONE or before is None:
            return False
        if rule is Neighbours.ALIGNED and operation.size == 4 and address % 4:
            return False
        single = before.kind in LOADS and operation.kind in LOADS | STORES
        return single and not before.writes & operation.address

    def _pairs(self, operation: Operation, timing: Timing) -> bool:
        """True if it is issued together with the instruction before it, whose results it does not need."""
        if len(self.group) != 1 or timing.first or timing.issue > 1:
            return False
        first, other = self.group[0]
        if timing.alone or other.alone or other.issue > 1 or first.kind in JUMPS:
            return False
        rule = self.core.pairs
        if rule is Pairs.UNITS:
            if operation.kind in VECTOR and first.kind in VECTOR:
                return False
            return all(n + other.uses.get(unit, 0) <= self.core.units.get(unit, 1) for unit, n in timing.uses.items())
        narrow = first.size == operation.size == 2
        if rule is Pairs.NARROW:
            return narrow and not (first.kind in MEMORY and operation.kind in MEMORY) and not timing.per_register
        return rule is Pairs.BRANCHES and narrow and operation.kind is Kind.BRANCH and first.kind not in MEMORY
