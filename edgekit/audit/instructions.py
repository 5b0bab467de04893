"""Instructions that not every processor of an architecture has, found by a disassembler.

Names of features are those of ``/proc/cpuinfo``. Which instructions belong to one is from the Arm Architecture
Reference Manual (DDI 0487), chapter A2 and C6 to C8, and for x86 from the Intel 64 and IA-32 manual, volume 2.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.tools import toolchain

_LIMITS = sandbox.Limits(seconds=300, file_mb=2048)
_LONGEST = 400
"""Characters of a line of disassembly that are looked at."""
_GUARD = re.compile(r"cbz w16, ")
"""What stands before an instruction in GCC's helpers for atomics (libgcc's ``lse.S``): they ask the processor first."""

# Tried in this order; the first that fits is the feature. Every processor converts half precision, but not every one
# computes with it.
_AARCH64: tuple[tuple[str, str], ...] = (
    ("sve", r"\S+ .*\b(z\d+\.[bhsdq]|p\d+/[mz]|p\d+\.[bhsd]|\{z\d+)"),
    ("asimddp", r"[su]dot .*v\d"),
    ("i8mm", r"(smmla|ummla|usmmla|usdot|sudot) "),
    ("bf16", r"(bfdot|bfmmla|bfmlal[bt]|bfcvtn?2?) "),
    ("asimdfhm", r"(fmlal2?|fmlsl2?) "),
    ("asimdrdm", r"(sqrdmlah|sqrdmlsh) "),
    ("fcma", r"(fcmla|fcadd) "),
    ("jscvt", r"fjcvtzs "),
    ("asimdhp", r"(f(?!cvtl|cvtn|cvtxn)\w+|[su]cvtf) .*v\d+\.[48]h"),
    ("fphp", r"(f(?!cvt )\w+|[su]cvtf) .*\bh\d+"),
    ("atomics", r"(casp?|swp|ld(add|clr|eor|set|smax|smin|umax|umin)|st(add|clr|eor|set|smax|smin|umax|umin))"
                r"(a|l|al)?[bh]? .*\["),
    ("crc32", r"crc32"),
    ("aes", r"aes(e|d|mc|imc) "),
    ("pmull", r"pmull2? .*\.1q"),
    ("sha512", r"sha512"),
    ("sha2", r"sha256"),
    ("sha1", r"sha1"),
    ("sha3", r"(eor3|bcax|rax1|xar) "),
    ("lrcpc", r"ldapr"),
)  # fmt: skip
_X86: tuple[tuple[str, str], ...] = (
    ("amx_tile", r"(tile|tdp)"),
    ("avx512f", r".*(%zmm|\{%k|%k[1-7]\b|%[xy]mm(1[6-9]|2\d|3[01])\b)"),
    ("avx_vnni", r"(\{vex\} )?vpdp"),
    ("fma", r"vfn?m(add|sub)"),
    ("f16c", r"vcvt(ph2ps|ps2ph) "),
    ("avx2", r"v(p\w+|broadcasti128|inserti128|extracti128|perm2i128|gather\w+) .*%ymm"),
    ("avx", r"v\w+ .*%[xy]mm"),
)
_IMPLIED = {"avx2": ("avx", "f16c"), "avx512f": ("avx", "avx2", "f16c", "fma")}
TABLES = {
    name: tuple((feature, re.compile(pattern)) for feature, pattern in table)
    for name, table in (("aarch64", _AARCH64), ("x86_64", _X86))
}


@dataclass(frozen=True)
class Beyond:
    """Instructions of one feature that a processor lacks: the first of them, its function, and how many there are."""

    feature: str
    text: str
    function: str
    count: int


def feature_of(text: str, arch: str) -> str:
    """Return the feature that an instruction needs; empty if every processor of the architecture has it."""
    return next((feature for feature, pattern in TABLES[arch] if pattern.match(text)), "")


def beyond(path: Path, arch: str, features: frozenset[str]) -> list[Beyond]:
    """Return the instructions of a file that a processor with these features lacks, one entry per feature.

    :raises ToolMissing: if there is no disassembler.
    :raises ModelError: if the file cannot be disassembled.
    """
    known = features.union(*(_IMPLIED.get(feature, ()) for feature in features))
    path, found = path.resolve(), dict[str, Beyond]()
    with sandbox.scratch() as folder:
        tool = toolchain.load(f"disassembler-{arch.replace('_', '-')}").find()
        script = 'exec "$@" > text'
        command = ["sh", "-c", script, "sh", *tool.argv, str(path)]
        try:
            done = sandbox.run_program(command, folder=folder, limits=_LIMITS, readable=[path])
        except sandbox.ChildDied as died:
            raise ModelError(f"{path.name} cannot be disassembled: {tool.argv[0]} {died.reason}") from died
        if done.returncode != 0:
            raise ModelError(f"{path.name} cannot be disassembled: {done.stdout.strip()[-200:]}")
        before = ""
        for function, text in _lines(folder / "text"):
            feature = feature_of(text, arch)
            guarded, before = bool(_GUARD.match(before)), text
            if not feature or feature in known or (feature == "atomics" and guarded):
                continue
            first = found.get(feature)
            found[feature] = (
                Beyond(feature, first.text, first.function, first.count + 1)
                if first
                else Beyond(feature, text, function, 1)
            )
    return list(found.values())


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Each instruction with its function: ``mnemonic operands``, one space between them."""
    function = "?"
    with path.open(errors="replace") as file:
        while line := file.readline(_LONGEST):
            if match := re.match(r"[0-9a-f]+ <([^>]*)>:", line):
                function = "".join(c for c in match[1] if c.isprintable()) or "?"
            elif match := re.match(r"\s*[0-9a-f]+:\s+(\S.*)", line):
                text = match[1].partition("//")[0].partition("#")[0]
                yield function, " ".join(text.split()) + " "
