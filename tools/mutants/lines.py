"""Which tests run which lines."""

from __future__ import annotations

import collections
import hashlib
import itertools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planted import Mutant, module_lines
from scratch import HERE, ROOT, Scratch

BARE = ("edgekit/sandbox/launch.py",)
"""Programs that Python starts without site-packages: the probe has to be started by a line of their own."""
FUTURE = "from __future__ import annotations"
"""What that is added to: nothing but a docstring may come before it, and lines keep their numbers."""
ENOUGH = 40.0
"""Of the tests that run a line, the quickest are asked, which together take about so many seconds."""


@dataclass(frozen=True)
class Tests:
    """What has to catch a package's faults.

    :param slow: with the tests that are marked as slow; elsewhere they add too little for their time.
    :param converters: they run converters that edgekit's cache holds: many files.
    :param left_out: files that add too little for their time, too.
    """

    paths: tuple[str, ...]
    slow: bool = False
    converters: bool = False
    left_out: tuple[str, ...] = ()


def _digest(file: str) -> str:
    return hashlib.sha256((ROOT / file).read_bytes()).hexdigest()


class Coverage:
    """Which tests run which lines of the files of a package.

    :param kept: where this is kept, by test file. As long as the package stays the same, only test files that changed
        are run again.
    """

    def __init__(self, scratch: Scratch, files: list[str], tests: Tests, kept: Path) -> None:
        self.data = {file: (ROOT / file).read_bytes() for file in files}
        self.imported = {file: module_lines(data) for file, data in self.data.items()}
        self.bases, size = {}, 0
        for file, data in self.data.items():
            self.bases[file] = size
            size += data.count(b"\n") + 2
        changed, known = self.kept(kept, tests)
        if changed:
            known |= self.recorded(scratch, size, changed, tests)
        digests = {file: _digest(file) for file in {name.split("::")[0] for name in known}}
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps({"package": self.digest(), "files": digests, "tests": known}))
        self.failed = sorted(name for name, test in known.items() if not test["good"] or "lines" not in test)
        self.seconds = {name: test["seconds"] for name, test in known.items() if name not in self.failed}
        self.lines = {name: frozenset(known[name]["lines"]) for name in self.seconds}

    def digest(self) -> str:
        """What the package is made of."""
        return hashlib.sha256(b"".join(self.data[file] for file in sorted(self.data))).hexdigest()

    def kept(self, kept: Path, tests: Tests) -> tuple[list[str], dict[str, Any]]:
        """Return the test files whose lines are not known, and what is known of the others."""
        paths = [ROOT / path for path in tests.paths]
        found = {
            str(file.relative_to(ROOT))
            for path in paths
            for file in ([path] if path.suffix else path.rglob("test_*.py"))
        }
        wanted = sorted(found - set(tests.left_out))
        before = json.loads(kept.read_text()) if kept.exists() else {"package": ""}
        if before["package"] != self.digest():
            return wanted, {}
        same = {file for file in wanted if before["files"].get(file) == _digest(file)}
        known = {name: test for name, test in before["tests"].items() if name.split("::")[0] in same}
        return [file for file in wanted if file not in same], known

    def recorded(self, scratch: Scratch, size: int, paths: list[str], tests: Tests) -> dict[str, Any]:
        """Run test files once, and return which lines each of their tests runs."""
        index, result = scratch.tree.parent / "index.json", scratch.tree.parent / "map.json"
        index.write_text(json.dumps({str(scratch.tree / file): base for file, base in self.bases.items()}))
        index.with_suffix(".bits").write_bytes(bytes(size))
        start = f"import sys; sys.path.append({str(scratch.tree / HERE)!r}); import probe; probe.start({str(index)!r})"
        hook = scratch.packages / "probe.pth"
        hook.write_text(start + "\n")
        for file in BARE:
            text = (ROOT / file).read_text()
            assert FUTURE in text, f"{file} has no line that the probe's start can be added to"
            (scratch.tree / file).write_text(text.replace(FUTURE, f"{FUTURE}; {start}", 1))
        log = (scratch.tree.parent / "map.log").open("w")
        marks = () if tests.slow else ("-m", "not slow")
        scratch.run(f"{HERE}/server.py", "map", index, result, "--", *paths, *marks, stdout=log, stderr=log).wait()
        hook.unlink()
        for file in BARE:
            scratch.write(scratch.tree / file, (ROOT / file).read_bytes())
        if not result.exists():
            raise SystemExit(f"the tests could not be run:\n{(scratch.tree.parent / 'map.log').read_text()[-3000:]}")
        known: dict[str, Any] = json.loads(result.read_text())
        return known

    def tests(self, mutant: Mutant) -> list[str]:
        """Return the tests that can catch a mutant, the quickest files first."""
        base, size = self.bases[mutant.file], self.data[mutant.file].count(b"\n") + 2
        wanted = set(range(mutant.first, mutant.last + 1))
        imported = not wanted - self.imported[mutant.file] or not mutant.function
        if imported:
            wanted = set(range(size)) - self.imported[mutant.file]
        places = {base + line for line in wanted}
        found = [name for name, lines in self.lines.items() if not lines.isdisjoint(places)]
        if imported and not found:
            found = list(self.seconds)
        files: collections.Counter[str] = collections.Counter()
        for name in found:
            files[name.split("::")[0]] += self.seconds[name]
        found.sort(key=lambda name: (files[name.split("::")[0]], name.split("::")[0], self.seconds[name]))
        ends = itertools.accumulate(self.seconds[name] for name in found)
        return [name for place, (name, end) in enumerate(zip(found, ends, strict=True)) if end <= ENOUGH or place < 3]
