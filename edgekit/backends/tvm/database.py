"""What tuning found for one processor: a file of JSON lines that only grows, so that a kill loses one line at most.

The first line says whose it is. Each other line is a *trial* (``kernel``, ``choice``, ``us``, ``rule_us``, ``ratio`` of
both, ``on``, or an ``error``) or a *verdict* (``kernel``, ``verdict``: the choice to use, or null for the rule's); the
last verdict counts. ``kernel`` is a workload (:mod:`edgekit.codegen.schedule.tuned`); docs/formats.md has an example.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from edgekit import resources
from edgekit.backends.tvm import traces
from edgekit.errors import UsageError
from edgekit.files import documents

if TYPE_CHECKING:
    from edgekit.target import Target

AUTO = "auto"
SCHEMA = 1
SUFFIX = ".tuning.jsonl"
MOST_BYTES = 256 << 20
"""A larger file is none of ours."""


@dataclass(frozen=True)
class Identity:
    """Whose kernels a database is about.

    :param core: the processor's name: a target's ``cpu.core``, or what this machine's processor calls itself.
    :param target: TVM's target: features that kernels may use. :param tvm: its version.
    """

    core: str
    target: Mapping[str, Any]
    tvm: str

    def json(self) -> dict[str, Any]:
        """Return the first line of a database for these conditions."""
        return {"schema": SCHEMA, "core": self.core, "target": dict(self.target), "tvm": self.tvm}

    @property
    def file(self) -> str:
        """A name of its own in a folder of databases."""
        text = json.dumps(self.json(), sort_keys=True)
        plain = re.sub(r"[^a-z0-9]+", "-", self.core.lower()).strip("-")[:40]
        return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:12]}{SUFFIX}"


@dataclass
class Database:
    """Trials in the order in which they were made; verdicts by kernel."""

    path: Path
    trials: list[dict[str, Any]] = field(default_factory=list)
    verdicts: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    file: IO[str] | None = None

    def of(self, kernel: str) -> list[dict[str, Any]]:
        """Return a kernel's trials, oldest first."""
        return [trial for trial in self.trials if trial["kernel"] == kernel]

    def add(self, entry: dict[str, Any]) -> None:
        """Take in a trial or verdict, and write it where the database is open for writing."""
        if "verdict" in entry:
            self.verdicts[entry["kernel"]] = entry["verdict"]
        else:
            self.trials.append(entry)
        if self.file is not None:
            self.file.write(json.dumps(entry, sort_keys=True) + "\n")
            self.file.flush()

    @property
    def choices(self) -> dict[str, dict[str, Any]]:
        """Return the choice of each kernel for which one was decided."""
        return {kernel: choice for kernel, choice in self.verdicts.items() if choice}


def identity(target: Target) -> Identity:
    """The identity of a target's processor."""
    from edgekit.backends.tvm.processors import processor

    try:
        tvm = version("apache-tvm")
    except PackageNotFoundError:
        tvm = ""
    core = _this_processor() if target.arch == "native" else (target.cpu.core if target.cpu else "") or target.name
    return Identity(core, processor(target).target, tvm)


def _this_processor() -> str:
    names = {"model name": "", "CPU part": ""}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if not names.get(name.strip(), "-"):
            names[name.strip()] = value.strip()
    return names["model name"] or names["CPU part"] or "unknown processor"


def place(where: str | None, target: Target) -> Path:
    """The file that ``--database`` means: itself, the processor's in that folder, or by default in edgekit's cache."""
    if where in (None, AUTO):
        return resources.cache("tuning") / identity(target).file
    path = Path(str(where))
    return path / identity(target).file if path.is_dir() else path


def choices(where: str | None, target: Target) -> dict[str, dict[str, Any]]:
    """What to use for a target; nothing where ``where`` is None, or ``auto`` and nothing was tuned.

    :raises UsageError: if a file that was named is missing, damaged, or about another processor.
    """
    if where is None:
        return {}
    path = place(where, target)
    if not path.is_file():
        if where == AUTO:
            return {}
        raise UsageError(f"there is no tuning database for {target.name} at {where}", "make one with `edgekit tune`")
    return read(path, target).choices


def read(path: Path, target: Target) -> Database:
    """Read a database; a last line that was cut off is left out.

    :raises UsageError: if it is none, another processor's, or has a schedule with instructions or annotations that
        tuning does not write.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError("too large")
        lines = path.read_text(errors="replace").split("\n")[:-1]
        head = documents.loads(lines[0]) if lines else {}
        if head.get("schema") != SCHEMA:
            raise ValueError("its first line is not ours")
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(f"{path} is not a tuning database ({error})", "make one with `edgekit tune`") from error
    _check(path, head, target)
    found = Database(path)
    for line in lines[1:]:
        entry = _entry(line)
        if entry is None:
            continue
        try:
            _check_trace(entry)
        except traces.Refused as error:
            raise UsageError(
                f"the tuning database {path} has a schedule that no tuning writes: {error}",
                "do not use it; tune again with another --database",
            ) from error
        found.add(entry)
    return found


def _check(path: Path, head: dict[str, Any], target: Target) -> None:
    wanted = identity(target)
    if head.get("core") != wanted.core or head.get("target") != dict(wanted.target):
        whose = str(head.get("core", "another processor"))[:80]
        detail = "" if whose != wanted.core else ", with other features"
        raise UsageError(
            f"the tuning database {path} is for {whose}{detail}, not for {target.name} ({wanted.core})",
            f"tune for it: edgekit tune MODEL --target {target.name}",
        )
    if head.get("tvm") != wanted.tvm:
        raise UsageError(
            f"the tuning database {path} was made with TVM {str(head.get('tvm'))[:40]}, this is {wanted.tvm or 'none'}",
            "tune again, or install that version",
        )


def _entry(line: str) -> dict[str, Any] | None:
    """A line's trial or verdict; None where it is neither."""
    try:
        entry = documents.loads(line)
    except ValueError:
        return None
    if not isinstance(entry, dict) or not isinstance(entry.get("kernel"), str):
        return None
    if "verdict" in entry:
        return entry if isinstance(entry["verdict"], dict | None) else None
    if not isinstance(entry.get("choice"), dict):
        return None
    measured = all(isinstance(entry.get(key), int | float) for key in ("us", "rule_us", "ratio"))
    return entry if measured or isinstance(entry.get("error"), str) else None


def _check_trace(entry: dict[str, Any]) -> None:
    """:raises traces.Refused: if the entry's schedule may not be applied."""
    for choice in (entry.get("choice"), entry.get("verdict")):
        trace = choice.get("trace") if isinstance(choice, dict) else None
        with suppress(traces.NotATrace):  # damaged: nobody applies it, and the rule's kernel is used
            if isinstance(trace, str):
                traces.checked(trace)


@contextmanager
def opened(where: str | None, target: Target) -> Iterator[Database]:
    """Open (or begin) a database for one tuning at a time.

    :raises UsageError: if another process has it open, it cannot be written, or is another processor's.
    """
    path = place(where, target)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = path.open("a+")
    except OSError as error:
        raise UsageError(f"cannot write to {path}: {error.strerror}", "choose another --database") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"another tuning writes to {path}", "wait for it, or name another --database") from None
        if path.stat().st_size == 0:
            file.write(json.dumps(identity(target).json(), sort_keys=True) + "\n")
            file.flush()
        data = path.read_bytes()
        found = read(path, target)
        if not data.endswith(b"\n"):  # a line that a killed process did not finish
            file.truncate(data.rfind(b"\n") + 1)
        found.file = file
        yield found
