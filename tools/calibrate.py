"""Fit edgekit's calibrations to the published measurements, write them, and print how far off they are.

    python tools/calibrate.py [--only GROUP] [--into FOLDER]

Needs the measurements beside the checkout (``../shared/measurements``) and crepes (the ``calibration`` extra).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from tools.calibration import files, rows
from tools.calibration.judge import Calibrated, judge

FOLDER = Path(__file__).resolve().parents[1] / "targets" / "calibration"
ALSO = {("rk3399", "opencl"): "mali-t860", ("rk3588", "opencl"): "mali-g610"}
"""Boards whose GPU is a target of its own."""


def groups(only: str = "") -> list[list[rows.Set]]:
    """The sets that are fitted together: of one group, float or integer."""
    found: dict[tuple[str, bool], list[rows.Set]] = defaultdict(list)
    for one in rows.sets():
        if not only or one.group == only:
            found[one.group, one.dtype == "int8"].append(one)
    return [found[key] for key in sorted(found)]


def calibrate(only: str = "") -> list[Calibrated]:
    """Fit and judge all sets."""
    with ProcessPoolExecutor(max_workers=min(2, os.cpu_count() or 1)) as pool:
        return [one for part in pool.map(judge, groups(only)) for one in part if len(one.judged)]


def line(one: Calibrated) -> str:
    """One row of the table: rows, errors of what was left out, coverage, reach of the interval."""
    errors = np.abs(one.errors)
    reach = np.exp(one.width * np.median([row.deviation for row in one.judged]))
    return (
        f"| {one.set.target} | {one.set.runtime} | {one.set.dtype} | {len(one.set.measured)} | {one.left_out} | "
        f"{errors.mean():.1%} | {(errors <= 0.1).mean():.0%} | {(errors <= 0.2).mean():.0%} | {one.coverage:.0%} | "
        f"{reach:.2f} |"
    )


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="GROUP", help="one group of boards: ruy, xnnpack, tensorrt, ...")
    parser.add_argument("--into", type=Path, default=FOLDER, metavar="FOLDER", help="where the files go")
    options = parser.parse_args()
    if not rows.there():
        print(f"the measurements are not here: {rows.FOLDER}", file=sys.stderr)
        return 2
    found = calibrate(options.only)
    print("| target | runtime | dtype | rows | left out | MAPE | within 10 % | within 20 % | coverage | interval x/÷ |")
    print("|---|---|---|---:|---|---:|---:|---:|---:|---:|")
    for one in sorted(found, key=lambda one: one.set.key):
        print(line(one))
        places = [
            one.set.target,
            *(to for (board, kind), to in ALSO.items() if board == one.set.target and kind in one.set.runtime),
        ]
        content = files.text(one)
        for place in places:
            path = options.into / place / f"{one.set.runtime}-{one.set.dtype}.toml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.replace(f'target = "{one.set.target}"', f'target = "{place}"'))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
