"""The shipped calibrations are what tools/calibrate.py makes of the published measurements."""

from __future__ import annotations

import tomllib

import pytest

from edgekit.profiling.calibrated import calibration
from tests.installed import needed
from tools import calibrate
from tools.calibration import files, rows
from tools.calibration.judge import judge

needed("crepes", "calibration")
pytestmark = pytest.mark.skipif(not rows.there(), reason="the published measurements are not in ../shared")
GROUPS = ("tflite-1", "xnnpack")
"""Small ones: a second each."""


@pytest.mark.parametrize("group", GROUPS)
def test_shipped_costs_are_those_of_the_fit(group: str) -> None:
    made = [one for part in calibrate.groups(group) for one in judge(part) if len(one.judged)]
    assert made
    for one in made:
        fresh = tomllib.loads(files.text(one))
        shipped = tomllib.loads(files.path(calibration.folder(), one).read_text())
        assert fresh.keys() == shipped.keys()
        assert fresh["costs"] == pytest.approx(shipped["costs"], rel=0.01)
        assert {k: v for k, v in fresh.items() if isinstance(v, str)} == {
            k: v for k, v in shipped.items() if isinstance(v, str)
        }
        figures = [key for key, value in shipped.items() if isinstance(value, (int, float))]
        assert [fresh[key] for key in figures] == pytest.approx([shipped[key] for key in figures], rel=0.02, abs=0.01)


def test_every_set_has_its_file() -> None:
    for one in rows.sets():
        path = calibration.folder() / one.target / f"{one.runtime}-{one.dtype}.toml"
        assert path.is_file() or len(one.measured) < 2, path
