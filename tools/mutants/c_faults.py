"""Plant the faults of ``c_faults.toml`` in the C runtime library, one at a time, and count those that its tests catch.

    python tools/mutants/c_faults.py               all of them
    python tools/mutants/c_faults.py tokens.c      those of some files

As in ``__main__.py``, the tests run in a scratch copy of the checkout, and the first that fails ends them; but the
faults are chosen by hand. The exit code is 1 if one is not caught.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path

from scratch import HERE, ROOT, Scratch

FOLDER = "firmware_stubs/linux"
PRELOADED = ("edgekit.cli", "edgekit.api.compile")
SECONDS = 300.0
"""For the tests of one fault: one that hangs is caught."""


@dataclass(frozen=True)
class Fault:
    """One text of a file that becomes another; ``what`` says what goes wrong then."""

    file: str
    before: str
    after: str
    what: str
    tests: tuple[str, ...]

    def apply(self, data: bytes) -> bytes:
        """Return the file's bytes with this fault; a fault without texts changes nothing.

        :raises ValueError: if its text is not there exactly once.
        """
        if not self.before:
            return data
        if data.count(self.before.encode()) != 1:
            raise ValueError(f"{self.file}: the text of a fault is not there once: {self.before!r}")
        return data.replace(self.before.encode(), self.after.encode())


def faults() -> list[Fault]:
    """Return what ``c_faults.toml`` lists."""
    return [
        Fault(f"{FOLDER}/{source['file']}", one["before"], one["after"], one["what"], tuple(source["tests"]))
        for source in tomllib.loads((ROOT / HERE / "c_faults.toml").read_text())["source"]
        for one in source["faults"]
    ]


def log(folder: Path) -> str:
    """Return the end of what the last tests said."""
    return (folder / "log").read_text(errors="replace")[-3000:]


def main() -> int:
    """Judge the faults of the files that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="*", help="files, such as tokens.c; default: all that have faults")
    names = parser.parse_args().file
    chosen = [fault for fault in faults() if not names or Path(fault.file).name in names]
    verdicts: list[str] = []
    sound: dict[tuple[str, ...], bool] = {}
    with tempfile.TemporaryDirectory(prefix="c-faults-", ignore_cleanup_errors=True) as folder:
        scratch = Scratch(Path(folder), False, PRELOADED)
        scratch.keep_objects()
        for fault in chosen:
            if fault.tests not in sound:
                without = Fault(fault.file, "", "", "", fault.tests)
                sound[fault.tests] = scratch.judge(without, list(fault.tests), SECONDS) == "survived"
                if not sound[fault.tests]:
                    print(f"these tests fail without a fault: {' '.join(fault.tests)}\n{log(Path(folder))}")
            began = time.monotonic()
            status = scratch.judge(fault, list(fault.tests), SECONDS) if sound[fault.tests] else "not judged"
            verdicts.append(status)
            print(f"{status}, {time.monotonic() - began:.0f} s: {fault.file}: {fault.what}", flush=True)
        scratch.close()
    caught = sum(status in ("killed", "hung") for status in verdicts)
    print(f"{len(chosen)} faults, {caught} caught")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    sys.exit(main())
