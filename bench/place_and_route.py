"""Places and routes the accelerators of targets; writes the reports that edgekit ships (``targets/fpga``).

    bench/place_and_route.py [--seeds 1,2,3] TARGET...

Of several seeds the fastest is kept. What was done before is found again in edgekit's cache.
"""

from __future__ import annotations

import argparse
import sys
import time

from edgekit import target
from edgekit.backends.overlay import refuse_to_route, route
from edgekit.files.documents import write_text
from edgekit.target import routing


class Said:
    """Prints each step with the time."""

    def step(self, name: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {name}", flush=True)

    def advance(self, done: int, total: int) -> None: ...

    def warn(self, message: str) -> None:
        print(message, flush=True)

    note = warn


def main() -> int:
    parser = argparse.ArgumentParser(description="Place and route the accelerators of targets.")
    parser.add_argument("--seeds", default="1")
    parser.add_argument("targets", nargs="+")
    given = parser.parse_args()
    for name in given.targets:
        board = target.load(name)
        refuse_to_route(board)
        reports = []
        for seed in map(int, given.seeds.split(",")):
            report = route.routed(route.Design.of(board.programmable), seed, Said()).report
            print(f"{name}, seed {seed}: {report.mhz} MHz, {report.words()}; longest {report.critical.words()}")
            reports.append(report)
        best = max(reports, key=lambda one: one.mhz)
        write_text(routing.shipped(name), best.text())
        print(f"{name}: {best.mhz} MHz with seed {best.seed}, written to {routing.shipped(name)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
