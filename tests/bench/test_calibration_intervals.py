"""Intervals of calibrations hold on families that took no part, in every set; where they do not, the file says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from edgekit.profiling.calibrated.fit import Costs
from edgekit.profiling.calibrated.quantities import NAMES
from tests.installed import needed
from tools.calibration import energy, files
from tools.calibration.intervals import Calibrated, calibrated
from tools.calibration.judge import Judged, Judgement
from tools.calibration.rows import Row, Set

needed("crepes", "calibration")
COSTS = Costs(np.zeros(len(NAMES)), np.eye(len(NAMES)))
NETWORKS = 5
"""Of each family."""


def judged(rng: np.random.Generator, target: str, level: float, families: int, left_out: str = "families") -> Judgement:
    """A set whose networks come out ``level`` deviations wrong; those of one family by a common part."""
    rows = []
    for family in range(families):
        together = rng.normal()
        for number in range(NETWORKS):
            wrong = 0.1 * level * (0.8 * together + 0.6 * rng.normal())
            row = Row(f"n{family}-{number}", f"f{family}", float(10 * np.exp(wrong)), 1, float(rng.uniform(2, 3)))
            rows.append(Judged(row, 10.0, 0.1, f"f{family}"))
    own = Set(target, "runtime", "float32", "ruy", 4, 1000.0, "a simulation", rows=[one.row for one in rows])
    return Judgement(own, COSTS, tuple(rows), left_out)


def simulated(seed: int, levels: tuple[float, ...], families: int = 8) -> list[Calibrated]:
    rng = np.random.default_rng(seed)
    return calibrated([judged(rng, f"board{i}", level, families) for i, level in enumerate(levels)])


def test_intervals_hold_in_sets_that_are_unlike_and_are_narrow_where_they_may_be() -> None:
    levels = (0.5,) * 6 + (5.0,)
    found = [simulated(seed, levels) for seed in range(8)]
    good = np.mean([one.coverage for sets in found for one in sets[:-1]])
    bad = np.mean([sets[-1].coverage for sets in found])
    assert bad >= 0.82 and 0.85 <= good <= 0.97
    assert np.median([sets[-1].width / sets[0].width for sets in found]) > 4


def test_a_row_is_judged_without_its_family() -> None:
    rng = np.random.default_rng(1)
    first = judged(rng, "board", 1.0, 6)
    odd = [
        replace(one, row=replace(one.row, latency_ms=one.row.latency_ms * (9.0 if one.part == "f2" else 1.0)))
        for one in first.judged
    ]
    before, after = (calibrated([replace(first, judged=tuple(rows))])[0] for rows in (first.judged, odd))
    place = next(i for i, one in enumerate(odd) if one.part == "f2")
    assert after.limits[place] == pytest.approx(before.limits[place])
    assert after.limits[0] > before.limits[0] and after.width > before.width
    assert not any(held for held, one in zip(after.inside, odd, strict=True) if one.part == "f2")


def test_networks_of_one_family_do_not_narrow_their_interval() -> None:
    rng = np.random.default_rng(2)
    others = [judged(rng, f"board{i}", 1.0, 8) for i in range(3)]
    single = judged(rng, "single", 0.1, 8, left_out="networks")
    found = calibrated([*others, single])
    assert found[-1].width > max(one.width for one in found[:-1])


def test_a_file_says_which_networks_its_intervals_miss() -> None:
    one = simulated(3, (1.0, 1.0))[0]
    assert files._caution(replace(one, limits=(9.0,) * len(one.judged))) == ""
    bad = replace(one, limits=tuple(0.0 if row.part in ("f1", "f4") else 9.0 for row in one.judged))
    assert "f1 (5 of 5), f4 (5 of 5)" in files._caution(bad)


def test_energy_is_judged_with_the_power_of_other_families() -> None:
    one = simulated(4, (1.0, 1.0))[0]
    rows = [replace(row, predicted=row.row.latency_ms, row=replace(row.row, watts=2.0)) for row in one.judged]
    odd = [replace(row, row=replace(row.row, watts=4.0 if row.part == "f0" else 2.0)) for row in rows]
    for judged_rows, wrong in ((rows, 0.0), (odd, 0.5)):
        found = energy.energies(replace(one, judged=tuple(judged_rows), limits=(0.5,) * len(rows)))
        assert len(found.errors) == len(rows)
        assert np.abs(found.errors).max() == pytest.approx(wrong)
        assert found.inside.all() == (wrong == 0.0)
    none = replace(one, judged=tuple(replace(row, row=replace(row.row, watts=0.0)) for row in rows))
    assert energy.energies(none).summary == "- | -"
