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
import json
import queue
import sys
import tempfile
import threading
import tomllib
from dataclasses import asdict, dataclass
from pathlib import Path

from lines import Coverage, Tests
from planted import Mutant, mutants
from scratch import HERE, ROOT, Scratch

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
    "tasks": Tests(("tests/tasks", "tests/bundle/test_material.py")),
    "training": Tests(("tests/training",), slow=True, left_out=("tests/training/test_whole_networks.py",)),
}  # fmt: skip
SLACK, FACTOR = 20.0, 4.0
"""Seconds that tests get: so many times what they took when lines were recorded, and as many more."""


@dataclass
class Verdict:
    """What became of a mutant: ``killed``, ``hung``, ``survived``, ``not run`` or ``equivalent``."""

    mutant: Mutant
    status: str

    @property
    def caught(self) -> bool:
        return self.status in ("killed", "hung")


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
            coverage = Coverage(scratches[0], files, PACKAGES[package], results / f"{package}.lines.json")
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
