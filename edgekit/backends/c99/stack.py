"""The most stack that a firmware can need: the frames of functions, along the calls in its machine code.

A frame's size is what the compiler says (``-fstack-usage``), or, for functions that it did not compile, what the
function's instructions subtract from the stack pointer. Calls are read from the linked firmware's disassembly. A call
through a pointer may reach every function whose address an object file holds outside the vectors, but that only the
server calls what the network's interface (``struct ek_model``) holds. Where a function can call itself, or moves the
stack pointer by what is not a constant, the worst case is unknown.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgekit import sandbox
from edgekit.files import elf

SERVER, STARTUP, HANDLER, FAULT = "ek_server.o", "startup.o", "ek_systick", "ek_fault"
"""The object whose calls through pointers reach the network's interface; the object whose handler of interrupts is a
placeholder; that handler; and what begins with an empty stack after a fault."""
LIMITS = sandbox.Limits(seconds=60)
_VECTORS, _IMAGE = ".vectors", "linked.elf"
_FUNCTION = re.compile(r"^([0-9a-f]+) <([^>]+)>:$")
_LINE = re.compile(r"^ *[0-9a-f]+:\t([^\t]+)(?:\t(.*))?$")
_COMMENT = re.compile(r"\s*(?:[@;]| #(?= [0-9a-f]+ <))")
_RELOCATIONS = re.compile(r"^RELOCATION RECORDS FOR \[(.+)\]:$")
_RELOCATION = re.compile(r"^[0-9a-f]+ +(R_\S+) +([^\s+]+)")
_USAGE = re.compile(r"^.*:(\S+)\t(\d+)\t(\S+)$")
_CLONE = re.compile(r"\.\d+$")
_BRANCHES = re.compile(r"R_(ARM_THM_(CALL|XPC22|JUMP\d+|PC22)|RISCV_(CALL(_PLT)?|JAL|BRANCH|RVC_JUMP|RVC_BRANCH))$")
"""Relocations of calls and jumps; all others that name a function take its address."""
_TARGET = re.compile(r"\b([0-9a-f]+) <[^>]+>")
_JUMPS = re.compile(r"b(?!f|ic|kpt)|cbn?z$|j|le$|wls|dls")
_LINKING = ("bl", "jal", "jalr")
_LEAVES = re.compile(
    r"(b|bx|j|jr|ret|mret|pop .*pc\}|ldmia.*pc\}|ldr(\.w)? pc|mov pc|udf|\.word|tb[bh]|ebreak)\b|pop|ldmia"
)
"""What ends a function: control does not get past it."""
_PADDING = ("nop", "nop.w", "movs r0, r0", "unimp", "...")
_LOWERED = re.compile(
    r"sub[sw]? sp, (?:sp, )?#(\d+)$|add[iw]? sp, ?sp, ?-(\d+)$|(?:str|strd|strh|strb) .*\[sp, #-(\d+)\]!$"
)
_RAISES = re.compile(r"pop|ldmia(\.w)? sp!|vpop|vldmia(\.w)? sp!|add[iw]?(\.w)? sp, ?(#|sp, ?#?\d)")
_MOVES = re.compile(r"(?:sub|add|mov|mv|bic|and|ldr)[sw]? sp,(?!\s*(?:#|sp, ?#|sp, ?-?\d))")
"""What sets the stack pointer by a register."""


class Unknown(ValueError):
    """The worst case cannot be told; the message says why."""


@dataclass(frozen=True)
class Worst:
    """The worst case, bytes; None where it is unknown, and why.

    :param chain: the functions on the way to it, the outermost first.
    """

    bytes: int | None
    chain: tuple[str, ...] = ()
    unknown: str = ""

    def larger(self, other: Worst) -> Worst:
        """Return the larger of two; unknown if one of them is."""
        if self.bytes is None or other.bytes is None:
            return self if self.bytes is None else other
        return max(self, other, key=lambda one: one.bytes or 0)


@dataclass
class Function:
    """A function of a linked firmware.

    :param frame: bytes that it takes from the stack.
    :param calls: addresses of the functions that it calls or jumps to.
    :param indirect: it calls through a pointer. :param dynamic: it moves the stack pointer by what is not a constant.
    """

    name: str
    frame: int = 0
    calls: set[int] = field(default_factory=set)
    indirect: bool = False
    dynamic: bool = False


def usage(texts: Iterable[str]) -> dict[str, int]:
    """Return the frames in bytes by function, of the files that ``-fstack-usage`` writes.

    Functions of the same name in several files have the largest one's. Those with a frame that no constant bounds are
    not in it.
    """
    frames: dict[str, int] = {}
    for text in texts:
        for line in text.splitlines():
            if (match := _USAGE.match(line)) and match[3] in ("static", "dynamic,bounded"):
                frames[match[1]] = max(frames.get(match[1], 0), int(match[2]))
    return frames


def taken(relocations: str) -> Iterator[tuple[str, str]]:
    """Yield the section that holds an address, and the name of what lies there (``objdump -r``).

    The assembler names functions; places inside of them, as in the tables of a switch, have their section's name or
    that of a local label.
    """
    section = ""
    for line in relocations.splitlines():
        if match := _RELOCATIONS.match(line):
            section = match[1]
        elif (match := _RELOCATION.match(line)) and not _BRANCHES.match(match[1]):
            yield section, match[2]


def functions(disassembly: str, frames: Mapping[str, int]) -> dict[int, Function]:
    """Return the functions of a firmware by address (``objdump -d --no-show-raw-insn``).

    :param frames: what :func:`usage` returns.
    """
    bodies: dict[int, tuple[str, list[tuple[str, str, str]]]] = {}
    body: list[tuple[str, str, str]] = []
    for line in disassembly.splitlines():
        if match := _FUNCTION.match(line):
            body = []
            bodies[int(match[1], 16)] = match[2], body
        elif match := _LINE.match(line):
            operands, _, comment = _COMMENT.sub("\0", match[2] or "", count=1).partition("\0")
            body.append((match[1].strip(), operands, comment))
    starts = sorted(bodies)
    found = {}
    for number, address in enumerate(starts):
        name, body = bodies[address]
        function = found[address] = Function(name)
        for step, (mnemonic, operands, comment) in enumerate(body):
            tail = function.frame == 0 or any(_RAISES.match(" ".join(one[:2])) for one in body[max(0, step - 6) : step])
            _step(function, mnemonic, operands, comment, address, starts, tail=tail)
        words = [f"{mnemonic} {operands}".strip() for mnemonic, operands, _ in body]
        last = next((one for one in reversed(words) if one not in _PADDING), "b")
        if not _LEAVES.match(last) and number + 1 < len(starts):
            function.calls.add(starts[number + 1])  # it falls through
        known = frames.get(_CLONE.sub("", name))
        if known is not None:
            function.frame, function.dynamic = known, False
    return found


def _step(
    function: Function, mnemonic: str, operands: str, comment: str, own: int, starts: Sequence[int], *, tail: bool
) -> None:
    """Add what one instruction does to a function.

    :param tail: a jump to an address in a register may leave the function: its frame is given back. Else the jump is
        to a place in the function.
    """
    plain = mnemonic.removesuffix(".w").removesuffix(".n")
    if (pushed := _pushed(plain, operands)) is not None:
        function.frame += pushed
    elif _MOVES.match(f"{plain} {operands}"):
        function.dynamic = True
    if (target := _TARGET.search(comment if plain == "jalr" and comment else operands)) and _JUMPS.match(plain):
        to = starts[bisect_right(starts, int(target[1], 16)) - 1]
        if to != own or (plain in _LINKING and int(target[1], 16) == own):
            function.calls.add(to)
    elif plain in ("blx", "jalr") or (tail and (plain == "jr" or (plain == "bx" and operands != "lr"))):
        function.indirect = True


def _pushed(mnemonic: str, operands: str) -> int | None:
    """Bytes by which an instruction lowers the stack pointer; None if it does something else, or by a register."""
    if mnemonic in ("push", "vpush") or (mnemonic in ("stmdb", "vstmdb") and operands.startswith("sp!")):
        return sum(map(_registers, operands[operands.index("{") + 1 : operands.index("}")].split(",")))
    if match := _LOWERED.match(f"{mnemonic} {operands}"):
        return int(next(group for group in match.groups() if group), 0)
    return None


def _registers(text: str) -> int:
    """Bytes of a register or a range of registers."""
    first, _, last = text.strip().partition("-")
    count = int(last[1:]) - int(first[1:]) + 1 if last else 1
    return count * (8 if first.startswith("d") and first != "dp" else 4)


@dataclass(frozen=True)
class Pointers:
    """What calls through pointers may reach: names of functions.

    :param interface: those in the network's ``struct ek_model``, which only the functions ``server`` call.
    """

    anywhere: frozenset[str]
    interface: frozenset[str]
    server: frozenset[str]


def pointers(relocations: str, model: str, server: Iterable[str]) -> Pointers:
    """Read from ``objdump -r`` of all objects what calls through pointers may reach.

    :param model: name of the network's ``struct ek_model``. :param server: names of the server's functions.
    """
    anywhere, interface = set[str](), set[str]()
    for section, name in taken(relocations):
        if not section.startswith(_VECTORS):
            (interface if section.endswith(f".{model}") else anywhere).add(name)
    return Pointers(frozenset(anywhere), frozenset(interface), frozenset(server))


def worst(found: Mapping[int, Function], roots: Iterable[int], reached: Pointers) -> Worst:
    """Return the worst case of functions that begin with an empty stack.

    :param roots: their addresses.
    """
    named: dict[str, list[int]] = {}
    for address, function in found.items():
        named.setdefault(function.name, []).append(address)
    known: dict[int, tuple[int, tuple[str, ...]]] = {}

    def deepest(address: int, above: tuple[int, ...]) -> tuple[int, tuple[str, ...]]:
        if address in above:
            raise Unknown(f"{found[address].name} may call itself")
        if address in known:
            return known[address]
        function = found[address]
        if function.dynamic and above:  # a root sets the stack pointer
            raise Unknown(f"the frame of {function.name} has no bound")
        calls = set(function.calls)
        if function.indirect:
            names = reached.anywhere | (reached.interface if function.name in reached.server else frozenset())
            calls.update(place for name in names for place in named.get(name, ()))
        below = max((deepest(one, (*above, address)) for one in sorted(calls)), default=(0, ()))
        known[address] = function.frame + below[0], (function.name, *below[1])
        return known[address]

    try:
        most, chain = max(deepest(root, ()) for root in roots)
    except Unknown as error:
        return Worst(None, (), str(error))
    return Worst(most, chain)


@dataclass(frozen=True)
class Linked:
    """A firmware, and what it was linked from.

    :param objects: contents by name. :param usage: what ``-fstack-usage`` wrote. :param model: name of its
        ``struct ek_model``. :param exception: bytes that the processor stores when it takes an interrupt.
    """

    image: bytes
    objects: Mapping[str, bytes]
    usage: Sequence[str]
    model: str
    exception: int


def worst_case(linked: Linked, objdump: Sequence[str]) -> Worst:
    """Return the worst case of a firmware.

    :param objdump: the command, with what tells it the processor.
    """
    names = sorted(name for name in linked.objects)
    with sandbox.scratch() as folder:
        for name, content in {**linked.objects, _IMAGE: linked.image}.items():
            (folder / name).write_bytes(content)
        try:
            code = sandbox.run_program([*objdump, "-d", "--no-show-raw-insn", _IMAGE], folder=folder, limits=LIMITS)
            relocations = sandbox.run_program([*objdump, "-r", *names], folder=folder, limits=LIMITS)
        except sandbox.ChildDied as died:
            return Worst(None, (), f"{objdump[0]} {died.reason}")
    if code.returncode or relocations.returncode:
        return Worst(None, (), f"{objdump[0]} does not work")
    found = functions(code.stdout, usage(linked.usage))
    image = elf.read(linked.image)
    symbols = {name: elf.read(content).symbols.keys() for name, content in linked.objects.items()}
    reached = pointers(relocations.stdout, linked.model, symbols[SERVER])
    roots = [address for address, one in found.items() if one.name == FAULT or address == image.entry & ~1]
    most = worst(found, roots, reached)
    if most.bytes is None or not any(HANDLER in names for name, names in symbols.items() if name != STARTUP):
        return most
    handler = worst(found, [address for address, one in found.items() if one.name == HANDLER], reached)
    if handler.bytes is None:
        return handler
    return replace(most, bytes=most.bytes + linked.exception + handler.bytes)
