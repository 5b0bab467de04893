"""The shipped calibrations are what tools/calibrate.py makes of the published measurements."""

from __future__ import annotations

import tomllib

import pytest

from edgekit.profiling.calibrated import calibration
from tests.installed import needed
from tools import calibrate
from tools.calibration import files, intervals, rows
from tools.calibration.judge import judge

needed("crepes", "calibration")
pytestmark = pytest.mark.skipif(not rows.there(), reason="the published measurements are not in ../shared")
GROUPS = ("tflite-1", "xnnpack")
"""Small ones: a second each."""


POOLED = ("width", "coverage", "caution")
"""What depends on the scores of all sets of a class of machines."""


@pytest.mark.parametrize("group", GROUPS)
def test_shipped_costs_are_those_of_the_fit(group: str) -> None:
    made = intervals.calibrated([one for part in calibrate.groups(group) for one in judge(part)])
    assert made
    for one in made:
        _same(one, leave=POOLED)


@pytest.mark.slow
def test_everything_shipped_is_what_the_measurements_make() -> None:
    made = calibrate.calibrate()
    assert len(made) > 100
    for one in made:
        _same(one)


def _same(one: intervals.Calibrated, leave: tuple[str, ...] = ()) -> None:
    fresh, shipped = (
        {key: value for key, value in tomllib.loads(text).items() if key not in leave}
        for text in (files.text(one), files.path(calibration.folder(), one).read_text())
    )
    assert fresh.keys() == shipped.keys()
    assert fresh["costs"] == pytest.approx(shipped["costs"], rel=0.01)
    assert {k: v for k, v in fresh.items() if isinstance(v, str) and k != "covariance"} == {
        k: v for k, v in shipped.items() if isinstance(v, str) and k != "covariance"
    }
    assert [float(v) for v in fresh["covariance"].split(",")] == pytest.approx(
        [float(v) for v in shipped["covariance"].split(",")], rel=0.02, abs=0.002
    )
    figures = [key for key, value in shipped.items() if isinstance(value, (int, float))]
    assert [fresh[key] for key in figures] == pytest.approx([shipped[key] for key in figures], rel=0.02, abs=0.01)


def test_every_set_has_its_file() -> None:
    for one in rows.sets():
        path = calibration.folder() / one.target / f"{one.runtime}-{one.dtype}.toml"
        assert path.is_file() or len(one.measured) < 2, path
