"""Measure what each way of compressing costs; write the tables of docs/compression.md.

Results are kept in bench/results/compression.json as they come, so that a run that was stopped goes on, and only what
changed is measured again (``--fresh`` forgets them). ``--quick`` measures a little of everything in two minutes and
writes nothing.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from compression_methods import METHODS, Bench, Method, Scope
from compression_networks import NETWORKS, ROOT

KEPT = ROOT / "bench" / "results" / "compression.json"
FOLDER = ROOT / "build" / "bench" / "compression"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--network", action="append", choices=NETWORKS)
    parser.add_argument("--method", action="append", choices=[method.name for method in METHODS])
    parser.add_argument(
        "--validate", action="store_true", help="train on 7,000 digits, measure on 1,000 others of them"
    )
    args = parser.parse_args()
    scope = Scope(digits=7000, validate=True) if args.validate else Scope()
    for bench, method in cells(args, scope):
        row = kept(bench, method)
        print(bench.network, bench.seed, method.name, row, flush=True)
    return 0


def cells(args: argparse.Namespace, scope: Scope) -> Iterator[tuple[Bench, Method]]:
    for seed in range(args.seeds):
        for network in args.network or NETWORKS:
            bench = Bench(network, seed, scope, FOLDER)
            for method in METHODS:
                if not args.method or method.name in args.method:
                    yield bench, method


def kept(bench: Bench, method: Method) -> dict[str, Any]:
    """Return a result, measured now unless it is known."""
    known = json.loads(KEPT.read_text()) if KEPT.is_file() else {}
    key = bench.key(method)
    if key not in known:
        known[key] = {"network": bench.network, "seed": bench.seed, "method": method.name} | bench.measure(method)
        KEPT.parent.mkdir(exist_ok=True)
        new = KEPT.with_suffix(".new")
        new.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
        new.replace(KEPT)
    return known[key]


if __name__ == "__main__":
    sys.exit(main())
