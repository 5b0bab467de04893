"""Plant small faults in a package, one at a time, and count those that its own tests catch.

    python tools/mutants graph metrics             60 faults in each
    python tools/mutants -n 200 training           200 of them
    python tools/mutants --again training          only those that survived last time; the others count as then

The faults are a sample that depends on the code and ``--seed`` only. Each is written into a scratch copy of the
checkout with an environment of its own, so that child processes import the copy, too. The tests that run its line go
first to last, quickest first, until one fails; a fault that lets them hang is caught. Faults that change nothing are
listed in ``equivalent.toml`` with the reason, and are not planted. Results are kept in ``build/mutants``.

This is code of our own because neither known tool fits. cosmic-ray starts a new pytest for each fault, two seconds
before the first test runs, and selects neither tests nor a sample. mutmut replaces functions by dispatchers that read
an environment variable: no constants of modules, no decorated functions, nothing in a child that gets a clean
environment, and texts changed everywhere. Here, a fork of a process that has imported NumPy and LiteRT takes its place.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from planted import Mutant, module_lines, mutants

ROOT = Path(__file__).resolve().parents[2]
HERE = "tools/mutants"


@dataclass(frozen=True)
class Tests:
    """What has to catch a package's faults.

    :param slow: with the tests that are marked as slow; elsewhere they add too little for their time.
    :param converters: they run converters that edgekit's cache holds: many files.
    """

    paths: tuple[str, ...]
    slow: bool = False
    converters: bool = False


PACKAGES = {
    "bundle": Tests(("tests/bundle", "tests/security/test_bundle_folders.py")),
    "codegen": Tests(("tests/codegen",)),
    "diagnosis": Tests(("tests/diagnosis", "tests/passes/test_mixed_precision.py")),
    "graph": Tests(("tests/graph",)),
    "metrics": Tests(("tests/metrics",)),
    "profiling": Tests(("tests/profiling",)),
    "readers": Tests(
        (
            "tests/readers", "tests/security/test_saved_model_operators.py",
            "tests/security/test_variables_reader.py", "tests/security/test_external_data_places.py",
        ),
        converters=True,
    ),
    "sandbox": Tests((
        "tests/sandbox", "tests/security/test_answers.py", "tests/security/test_lock.py",
        "tests/security/test_worker_network.py",
        "tests/security/test_lock_rules.py", "tests/security/test_current_folder.py",
    )),
    "training": Tests(("tests/training",), slow=True),
}  # fmt: skip
BARE = ("edgekit/sandbox/launch.py",)
"""Programs that Python starts without site-packages: the probe has to be started by a line of their own."""
FUTURE = "from __future__ import annotations"
"""What that is added to: nothing but a docstring may come before it, and lines keep their numbers."""
SLACK, FACTOR = 20.0, 4.0
"""Seconds that tests get: so many times what they took when lines were recorded, and as many more."""
ENOUGH = 40.0
"""Of the tests that run a line, the quickest are asked, which together take about so many seconds."""


@dataclass
class Verdict:
    """What became of a mutant: ``killed``, ``hung``, ``survived``, ``not run`` or ``equivalent``."""

    mutant: Mutant
    status: str

    @property
    def caught(self) -> bool:
        return self.status in ("killed", "hung")


class Scratch:
    """A copy of the checkout with a virtual environment that imports it, and a server that runs tests there."""

    def __init__(self, folder: Path, converters: bool) -> None:
        self.tree, self.temporary = folder / "tree", folder / "tmp"
        files = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, files.split("\0")):
            if (ROOT / name).is_file():
                (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, self.tree / name)
        if (shared := ROOT.parent / "shared").is_dir():
            (folder / "shared").symlink_to(shared)
        environment = folder / "env"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
        self.python = environment / "bin" / "python"
        self.packages = next(environment.glob("lib/python*/site-packages"))
        original = [path for path in sys.path if path.endswith("site-packages")]
        (self.packages / "copy.pth").write_text("\n".join([str(self.tree), *original]) + "\n")
        cache = Path(os.environ.get("EDGEKIT_CACHE") or Path.home() / ".cache" / "edgekit")
        if cache.is_dir():
            ignored = None if converters else shutil.ignore_patterns("tools")
            shutil.copytree(cache, folder / "cache", symlinks=True, ignore=ignored, copy_function=_link)
        self.variables = {**os.environ, "EDGEKIT_CACHE": str(folder / "cache"), "TMPDIR": str(self.temporary)}
        self.server: subprocess.Popen[str] | None = None
        self.changes = 0

    def run(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        self.empty()
        return subprocess.Popen(
            [str(part) for part in (self.python, *arguments)], cwd=self.tree, env=self.variables, text=True, **options
        )

    def empty(self) -> None:
        shutil.rmtree(self.temporary, ignore_errors=True)
        self.temporary.mkdir()

    def judge(self, mutant: Mutant, tests: list[str], seconds: float) -> str:
        """Plant a mutant, run the tests, put the file back."""
        if self.server is None:
            self.server = self.run(f"{HERE}/server.py", "run", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self.server.stdin and self.server.stdout
        path = self.tree / mutant.file
        sound = path.read_bytes()
        self.write(path, mutant.apply(sound))
        self.empty()
        request = {"tests": tests, "seconds": seconds, "log": str(self.temporary.parent / "log")}
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        status: str = json.loads(self.server.stdout.readline())["status"]
        self.write(path, sound)
        return {"passed": "survived", "failed": "killed"}.get(status, status)

    def write(self, path: Path, data: bytes) -> None:
        """Write a file with a time of its own: Python tells compiled files by time in seconds, and size."""
        path.write_bytes(data)
        self.changes += 1
        os.utime(path, (self.changes, self.changes))

    def close(self) -> None:
        if self.server is not None and self.server.stdin:
            self.server.stdin.close()
            self.server.wait()


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


class Coverage:
    """Which tests run which lines of the files of a package."""

    def __init__(self, scratch: Scratch, files: list[str], tests: Tests) -> None:
        self.data = {file: (ROOT / file).read_bytes() for file in files}
        self.imported = {file: module_lines(data) for file, data in self.data.items()}
        self.bases, size = {}, 0
        for file, data in self.data.items():
            self.bases[file] = size
            size += data.count(b"\n") + 2
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
        scratch.run(
            f"{HERE}/server.py", "map", index, result, "--", *tests.paths, *marks, stdout=log, stderr=log
        ).wait()
        hook.unlink()
        for file in BARE:
            scratch.write(scratch.tree / file, (ROOT / file).read_bytes())
        if not result.exists():
            raise SystemExit(f"the tests could not be run:\n{(scratch.tree.parent / 'map.log').read_text()[-3000:]}")
        known = json.loads(result.read_text())
        self.failed = sorted(name for name, test in known.items() if not test["good"] or "lines" not in test)
        self.seconds = {name: test["seconds"] for name, test in known.items() if name not in self.failed}
        self.lines = {name: frozenset(known[name]["lines"]) for name in self.seconds}

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


Change = tuple[str, str, str, str, int]


def change(mutant: Mutant) -> Change:
    """How ``equivalent.toml`` names a mutant."""
    return mutant.file, mutant.source, mutant.before, mutant.after, mutant.place


def equivalents() -> set[Change]:
    """Return what ``equivalent.toml`` lists; ``place`` counts equal changes of equal lines in one function, from 0."""
    entries = tomllib.loads((ROOT / HERE / "equivalent.toml").read_text())["equivalent"]
    return {
        (entry["file"], entry["source"], one["before"], one["after"], one.get("place", 0))
        for entry in entries
        for one in entry["changes"]
    }


def test(package: str, number: int, seed: int, jobs: int, results: Path, again: bool) -> list[Verdict]:
    """Judge a sample of the mutants of a package, and keep the verdicts in the folder ``results``."""
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "edgekit" / package).rglob("*.py"))
    every = [mutant for file in files for mutant in mutants(ROOT, file)]
    sample = sorted(every, key=lambda mutant: mutant.rank(seed))[:number]
    listed = equivalents()
    for gone in sorted(entry for entry in listed - set(map(change, every)) if entry[0] in files):
        print(f"no longer a fault, strike it from equivalent.toml: {gone}", file=sys.stderr)
    before = {}
    kept = results / f"{package}.json"
    if again and kept.exists():
        before = {one["rank"]: one["status"] for one in json.loads(kept.read_text())}
    verdicts = []
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for mutant in sample:
        if change(mutant) in listed:
            verdicts.append(Verdict(mutant, "equivalent"))
        elif before.get(mutant.rank(0)) in ("killed", "hung"):
            verdicts.append(Verdict(mutant, before[mutant.rank(0)]))
        else:
            waiting.put(mutant)
    with tempfile.TemporaryDirectory(prefix="mutants-", ignore_cleanup_errors=True) as folder:
        scratches = [
            Scratch(Path(folder) / str(place), PACKAGES[package].converters)
            for place in range(min(jobs, waiting.qsize()))
        ]
        if scratches:
            coverage = Coverage(scratches[0], files, PACKAGES[package])
            for name in coverage.failed:
                print(f"left out, it fails or skips without a fault: {name}", file=sys.stderr)

        def work(scratch: Scratch) -> None:
            while True:
                try:
                    mutant = waiting.get_nowait()
                except queue.Empty:
                    scratch.close()
                    return
                tests = coverage.tests(mutant)
                seconds = SLACK + FACTOR * sum(coverage.seconds[name] for name in tests)
                status = scratch.judge(mutant, tests, seconds) if tests else "not run"
                verdicts.append(Verdict(mutant, status))
                print(f"{package} {len(verdicts)}/{len(sample)} {describe(verdicts[-1])}", file=sys.stderr, flush=True)

        threads = [threading.Thread(target=work, args=(scratch,)) for scratch in scratches]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    results.mkdir(parents=True, exist_ok=True)
    records = [{"rank": one.mutant.rank(0), "status": one.status, **asdict(one.mutant)} for one in verdicts]
    kept.write_text(json.dumps(records, indent=1))
    return sorted(verdicts, key=lambda one: (one.mutant.file, one.mutant.line))


def describe(verdict: Verdict) -> str:
    """Return one line: status, place and change."""
    mutant = verdict.mutant
    return f"{verdict.status}: {mutant.file}:{mutant.line}: {mutant.before} -> {mutant.after}    in: {mutant.source}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", nargs="*", choices=[*PACKAGES, []], metavar="PACKAGE", help=", ".join(PACKAGES))
    parser.add_argument("-n", type=int, default=60, help="faults per package (60)")
    parser.add_argument("--seed", type=int, default=0, help="another sample (0)")
    parser.add_argument("--jobs", type=int, default=2, help="faults judged at once (2)")
    parser.add_argument("--results", type=Path, default=ROOT / "build" / "mutants", help="where verdicts are kept")
    parser.add_argument("--again", action="store_true", help="judge only those that survived last time")
    args = parser.parse_args()
    rows = []
    for package in args.package or PACKAGES:
        verdicts = test(package, args.n, args.seed, args.jobs, args.results, args.again)
        counts = collections.Counter(one.status for one in verdicts)
        for verdict in verdicts:
            if not verdict.caught and verdict.status != "equivalent":
                print(describe(verdict))
        killed = sum(one.caught for one in verdicts)
        real = len(verdicts) - counts["equivalent"]
        rows.append((package, len(verdicts), counts["equivalent"], killed, real - killed, 100 * killed / max(1, real)))
    print("\n| package | faults | equivalent | caught | survived | caught, % |\n|---|---|---|---|---|---|")
    for row in rows:
        print("| `{}` | {} | {} | {} | {} | {:.0f} |".format(*row))


if __name__ == "__main__":
    main()
