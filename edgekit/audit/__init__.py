"""Will it run there? What an artifact needs of a board, against what its target offers.

An emulator lends its own C library and its own kernel, and runs only the code that the samples reach. So each program
and library of an artifact is looked at as a file: its processor, the versions of system libraries that it asks for, the
alignment of its pages, and the instructions in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgekit.audit import elf, instructions
from edgekit.audit.elf import Elf
from edgekit.bundle import Bundle
from edgekit.bundle.execution import Kind
from edgekit.errors import ToolMissing
from edgekit.target import Target
from edgekit.target.cores import System

_PARTS = ("processor", "instructions", "system libraries", "pages")


@dataclass(frozen=True)
class Audit:
    """What was found.

    :param problems: why it will not run there, one line each. :param unknown: what could not be judged here.
    :param unsaid: what neither the target's file nor the artifact says. :param files: what was looked at.
    """

    problems: tuple[str, ...]
    unknown: tuple[str, ...]
    unsaid: tuple[str, ...]
    files: tuple[str, ...]

    @property
    def ok(self) -> bool | None:
        """False if it will not run there, None if that could be judged only in part."""
        return False if self.problems else None if self.unknown else True

    def words(self) -> str:
        """One line."""
        if self.problems:
            return "; ".join(self.problems)
        open_ = (*self.unknown, *self.unsaid)
        judged = [part for part in _PARTS if not any(part in line.partition(", because")[0] for line in open_)]
        found = f"{', '.join(self.files)}: {', '.join(judged)} fit"
        return f"{found}; not judged: {'; '.join(open_)}" if open_ else found


def audit(bundle: Bundle, *, own: bool = False) -> Audit | None:
    """Judge the programs and libraries of a bundle; None where there are none, or the target is this machine.

    :param own: edgekit has just made it, so instructions, which take a second per megabyte, need no look.
    """
    target = bundle.target
    if target.arch == "native" or target.arch not in elf.MACHINES:
        return None
    files = elf.find(bundle.artifact)
    if not files:
        return None
    system, problems, unknown, unsaid = target.system, list[str](), list[str](), set[str]()
    for path, found in zip(files, elf.read(files, own=own), strict=True):
        name = str(path.relative_to(bundle.artifact))
        if found.machine in elf.ACCELERATORS:
            continue
        problems += [f"{name} {words}" for words in _system(found, target, system)]
        if found.machine != target.arch:
            continue
        if found.versions is None:
            unknown.append(f"system libraries of {name}, because it has no table of sections")
        if bundle.execution.kind is Kind.RUNTIME and name == bundle.execution.library:
            continue  # it looks at the processor when it is loaded, and has kernels for many
        if own:
            continue
        if found.chooses:
            unsaid.add(f"instructions of {name}, because it chooses among functions when it starts")
            continue
        if not (target.cpu and target.cpu.features):
            unsaid.add(f"instructions, because {target.name} does not say what its processor has")
            continue
        try:
            problems += [f"{name} {words}" for words in _instructions(path, target)]
        except ToolMissing as error:
            unknown.append(f"instructions, because {error.message}")
    if system is None:
        unsaid.add(f"system libraries and pages, because {target.name} does not say what its system has")
    names = tuple(str(path.relative_to(bundle.artifact)) for path in files)
    return Audit(tuple(problems), tuple(dict.fromkeys(unknown)), tuple(sorted(unsaid)), names)


def _system(found: Elf, target: Target, system: System | None) -> list[str]:
    """What the file needs and the system lacks."""
    if found.machine != target.arch:
        return [f"is for {found.machine}, not {target.arch}"]
    if system is None:
        return []
    lacks = []
    for needed, has, library in (
        (found.version("GLIBC"), system.glibc, "glibc"), (found.version("GLIBCXX"), system.glibcxx, "libstdc++"),
    ):  # fmt: skip
        if needed and has and elf.ordered(needed) > elf.ordered(has):
            symbol = "GLIBCXX_" if library == "libstdc++" else ""
            lacks.append(f"needs {library} {symbol}{needed}, {system.name} has {symbol}{has}")
    if system.page_kib and found.alignment and found.alignment < system.page_kib << 10:
        lacks.append(f"is aligned to {found.alignment >> 10} KiB, {system.name} has pages of {system.page_kib} KiB")
    return lacks


def _instructions(path: Path, target: Target) -> list[str]:
    """Instructions that the processor lacks: the first of each kind, and where it is."""
    cpu = target.processor
    return [
        f"has `{one.text.strip()}` in {one.function} ({one.count} such): {cpu.core} lacks {one.feature}"
        for one in instructions.beyond(path, target.arch, frozenset(cpu.features))
    ]
