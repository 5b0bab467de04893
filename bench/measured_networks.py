"""Show what a network of the published measurements has to do, from its paper alone (no TensorFlow).

    python bench/measured_networks.py efficientdet-lite0_fp32 [work.json]

Prints operators and multiplications; with a second argument, writes each operator's work as JSON.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

sys.path[0] = str(Path(__file__).resolve().parents[1])  # not its own folder: bench.py would hide the package

from bench.measured.names import UnknownNetwork, describe  # noqa: E402
from bench.measured.works import works  # noqa: E402


def main(arguments: list[str]) -> int:
    """Run as a program; returns the exit code."""
    if not 1 <= len(arguments) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        found = works(describe(arguments[0]))
    except UnknownNetwork as error:
        print(error, file=sys.stderr)
        return 3
    weights = sum(w.weights for w in found)
    print(f"{arguments[0]}: {len(found)} operators, {sum(w.macs for w in found):,} MACs, {weights:,} weights")
    if len(arguments) > 1:
        Path(arguments[1]).write_text(json.dumps([asdict(w) for w in found], indent=1))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
