"""Measure what each way of compressing costs; write the tables of docs/compression.md.

Results are kept in bench/results as they come, so that a run that was stopped goes on, and only what changed is
measured again (``--fresh`` forgets them). ``--quick`` measures a little of everything in two minutes, prints it and
keeps nothing. ``--validate`` measures on training digits that were held back, for whoever chooses parameters.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import compression_tables as tables
import page
import training_cost
from compression_methods import BY_NAME, METHODS, Bench, Method, Scope
from compression_networks import NETWORKS, ROOT

RESULTS = ROOT / "bench" / "results"
FOLDER = ROOT / "build" / "bench" / "compression"
PAGE = ROOT / "docs" / "compression.md"
QUICK = ("float", "int8", "qat-w4", "sparse-half", "prune", "prune-distil", "prune-distil-int8", "low-rank")
BATCH, STEPS = 32, 450
"""Of each training whose steps are timed."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5, help="of interleaved measurements of a training step; 0: none")
    parser.add_argument("--network", action="append", choices=NETWORKS)
    parser.add_argument("--method", action="append", choices=BY_NAME)
    parser.add_argument("--fresh", action="store_true", help="measure everything anew")
    parser.add_argument("--tables", action="store_true", help="measure nothing, write the tables of what is known")
    parser.add_argument("--quick", action="store_true", help="a smoke test")
    parser.add_argument("--validate", action="store_true", help="7,000 digits to train on, 1,000 of them to measure on")
    args = parser.parse_args()
    args.ways = list(tables.COSTS)
    if args.quick:
        with tempfile.TemporaryDirectory() as folder:
            quick = argparse.Namespace(seeds=1, rounds=1, network=["mnist"], method=QUICK, ways=["finetune", "keras"])
            show(*measured(quick, Scope(digits=800, epochs=1, test=500), Path(folder), Path(folder)))
        return 0
    scope = Scope(digits=7000, validate=True) if args.validate else Scope()
    results = RESULTS if not args.validate else FOLDER
    if args.tables:
        args.seeds, args.rounds = 0, 0
    if args.fresh:
        for path in results.glob("compression*.json"):
            path.unlink()
    rows, costs = measured(args, scope, FOLDER, results)
    show(rows, costs)
    if not args.validate:
        page.write(PAGE, tables.tables(rows, costs))
    return 0


def measured(args: argparse.Namespace, scope: Scope, folder: Path, results: Path) -> tuple[list[Any], list[Any]]:
    """Measure what is not known yet; return all results of methods, and of training steps."""
    known = Kept(results / "compression.json")
    for bench, method in cells(args, scope, folder):
        row = known(bench.key(method), lambda: bench.measure(method), bench, method)  # noqa: B023
        say(f"{bench.network} {bench.seed} {method.name}: {row['accuracy']:.2%}, {row['seconds']} s")
    costs = Kept(results / "compression-cost.json")
    for number in range(args.rounds):
        for network in args.network or NETWORKS:
            round_(costs, Bench(network, 0, scope, folder), number, args.ways)
    return list(known.rows.values()), list(costs.rows.values())


def cells(args: argparse.Namespace, scope: Scope, folder: Path) -> Iterator[tuple[Bench, Method]]:
    for seed in range(args.seeds):
        for network in args.network or NETWORKS:
            bench = Bench(network, seed, scope, folder)
            yield from ((bench, method) for method in METHODS if not args.method or method.name in args.method)


class Kept:
    """Results in a file of JSON, by a key; a new one is written at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.rows: dict[str, dict[str, Any]] = json.loads(path.read_text()) if path.is_file() else {}

    def __call__(self, key: str, measure: Any, bench: Bench, method: Method) -> dict[str, Any]:
        if key not in self.rows:
            self.add(key, {"network": bench.network, "seed": bench.seed, "method": method.name} | measure())
        return self.rows[key]

    def add(self, key: str, row: dict[str, Any]) -> None:
        self.rows[key] = row
        self._path.parent.mkdir(exist_ok=True, parents=True)
        new = self._path.with_suffix(".new")
        new.write_text(json.dumps(self.rows, indent=1, sort_keys=True) + "\n")
        new.replace(self._path)


def round_(costs: Kept, bench: Bench, number: int, chosen: Sequence[str]) -> None:
    """Measure a training step in the chosen ways, one after the other, unless this round was measured."""
    bench.own("teacher")
    model, data = bench.folder / "teacher.keras", bench.samples("whole")
    epochs = -(-STEPS * BATCH // len(data))
    params = {"epochs": epochs, "batch": BATCH}
    ways = {
        "finetune": lambda: training_cost.edgekit(model, data, "finetune", params),
        "qat": lambda: training_cost.edgekit(model, data, "qat", params),
        "finetune 2 workers": lambda: training_cost.edgekit(model, data, "finetune", params, workers="2"),
        "keras": lambda: training_cost.keras(model, len(data), epochs, BATCH),
    }
    if all(f"{bench.network} {number} {way}" in costs.rows for way in chosen):
        return
    for way in chosen:
        row = dataclasses.asdict(ways[way]()) | {"network": bench.network, "way": way}
        say(f"{bench.network} round {number}, {way}: {row}")
        costs.add(f"{bench.network} {number} {way}", row)


def show(rows: list[Any], costs: list[Any]) -> None:
    for name, table in tables.tables(rows, costs).items():
        print(f"\n{name}\n\n{table}")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
