"""Fit edgekit's calibrations to the published measurements, write them, and print how far off they are.

    python tools/calibrate.py [--only GROUP] [--into FOLDER] [--index]

Needs the measurements beside the checkout (``../shared/measurements``) and the ``calibration`` extra. All groups fitted
into the usual folder: the table in docs/calibration.md is rewritten, too. ``--index`` fits nothing and writes the index
of the files that are there.
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

from edgekit.profiling.calibrated import index
from tools.calibration import energy, files, plots, rows
from tools.calibration.intervals import Calibrated, calibrated
from tools.calibration.judge import judge, machine

ROOT = Path(__file__).resolve().parents[1]
FOLDER, PAGE = ROOT / "targets" / "calibration", ROOT / "docs" / "calibration.md"
PLOTS = ROOT / "docs" / "calibration"
BEGIN, END = "<!-- table: written by make calibration -->\n", "<!-- end of table -->\n"
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
        return calibrated([one for part in pool.map(judge, groups(only)) for one in part])


def line(one: Calibrated) -> str:
    """One row of the table: rows, errors of what was left out, coverage, reach of the interval."""
    errors = np.abs(one.errors)
    return (
        f"| {one.set.target} | {one.set.runtime} | {one.set.dtype} | {len(one.set.measured)} | {one.left_out} | "
        f"{errors.mean():.1%} | {(errors <= 0.1).mean():.0%} | {(errors <= 0.2).mean():.0%} | {one.coverage:.0%} | "
        f"{one.reach:.2f} | {energy.energies(one).summary} |"
    )


HEAD = (
    "| target | runtime | dtype | rows | left out | MAPE | within 10 % | within 20 % | coverage | interval x/÷ | "
    "energy MAPE | coverage |\n|---|---|---|---:|---|---:|---:|---:|---:|---:|---:|---:|\n"
)


def table(found: list[Calibrated]) -> str:
    """All rows in Markdown."""
    return HEAD + "".join(line(one) + "\n" for one in sorted(found, key=lambda one: one.set.key))


def summary(found: list[Calibrated]) -> str:
    """Means over all rows that were left out, by kind of machine and dtype, in Markdown."""
    lines = ["| machines | dtype | sets | rows | MAPE | median error | within 10 % | within 20 % | coverage | "
             "interval x/÷ | energy MAPE | coverage |",
             "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"]  # fmt: skip
    kinds: dict[tuple[str, str], list[Calibrated]] = defaultdict(list)
    for one in found:
        kinds[_machines(one.set), one.set.dtype].append(one)
    for (name, dtype), own in sorted(kinds.items()):
        errors = np.concatenate([np.abs(one.errors) for one in own])
        inside = sum(one.coverage * len(one.judged) for one in own) / len(errors)
        lines.append(
            f"| {name} | {dtype} | {len(own)} | {len(errors)} | {errors.mean():.1%} | {np.median(errors):.1%} | "
            f"{(errors <= 0.1).mean():.0%} | {(errors <= 0.2).mean():.0%} | {inside:.0%} | "
            f"{np.median([one.reach for one in own]):.2f} | {energy.together(own).summary} |"
        )
    return "\n".join(lines) + "\n"


def _machines(one: rows.Set) -> str:
    if machine(one) == "cpu":
        if one.group.endswith("big-little"):
            return "CPU, Rockchip with two kinds of cores"
        return "CPU, ncnn" if one.group == "ncnn" else "CPU, " + ("TFLite" if "tflite" in one.runtime else "ArmNN")
    return {"gpu": f"GPU, {one.runtime.split('-')[0]}", "mcu": "microcontrollers"}[machine(one)]


def draw(found: list[Calibrated]) -> None:
    """Write a scatter plot for each board."""
    PLOTS.mkdir(exist_ok=True)
    for board in sorted({one.set.target for one in found}):
        own = [one for one in found if one.set.target == board]
        (PLOTS / f"{board}.svg").write_text(plots.scatter(board, own))


def main() -> int:
    """Run as a program."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", metavar="GROUP", help="one group of boards: ruy, xnnpack, tensorrt, ...")
    parser.add_argument("--into", type=Path, default=FOLDER, metavar="FOLDER", help="where the files go")
    parser.add_argument("--index", action="store_true", help="only write the index of the files that are there")
    options = parser.parse_args()
    if options.index:
        (options.into / index.FILE).write_text(index.content(options.into))
        return 0
    if not rows.there():
        print(f"the measurements are not here: {rows.FOLDER}", file=sys.stderr)
        return 2
    found = calibrate(options.only)
    print(table(found) + "\n" + summary(found))
    if not options.only and options.into == FOLDER:
        head, _, rest = PAGE.read_text().partition(BEGIN)
        PAGE.write_text(f"{head}{BEGIN}{summary(found)}\n{table(found)}{END}{rest.partition(END)[2]}")
        draw(found)
    for one in found:
        places = [
            one.set.target,
            *(to for (board, kind), to in ALSO.items() if board == one.set.target and kind in one.set.runtime),
        ]
        content = files.text(one)
        for place in places:
            path = options.into / place / f"{one.set.runtime}-{one.set.dtype}.toml"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content.replace(f'target = "{one.set.target}"', f'target = "{place}"'))
    (options.into / index.FILE).write_text(index.content(options.into))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
