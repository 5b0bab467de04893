"""The files that describe cores: complete, with a source for every number."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit.errors import EdgekitError, UsageError
from edgekit.files import documents
from edgekit.profiling.mcu import Kind, cores
from edgekit.profiling.mcu.cores import Bound

RULES = ("pairs", "neighbours", "predicts", "model", "forward", "refill", "units", "cpi")
"""Tables and keys of a core's file that need a source where they are there; those of its kinds need one, too."""


@pytest.mark.parametrize("path", cores.paths(), ids=lambda path: path.stem)
def test_every_core_can_be_read_at_every_bound(path: Path) -> None:
    data = documents.read_toml(path)
    low, value, high = (cores.read(data, bound) for bound in Bound)
    assert low.kinds.keys() == value.kinds.keys() == high.kinds.keys()
    assert low.model <= value.model <= high.model
    assert all(low.kinds[k].issue <= value.kinds[k].issue <= high.kinds[k].issue for k in value.kinds)


@pytest.mark.parametrize("path", cores.paths(), ids=lambda path: path.stem)
def test_every_rule_has_a_source_and_every_source_a_rule(path: Path) -> None:
    data = documents.read_toml(path)
    sources = data["sources"]
    for rule in (*(rule for rule in RULES if data.get(rule, "none") != "none"), "kinds"):
        covered = rule in sources or all(f"{rule}.{key}" in sources for key in data[rule])
        assert covered, rule
    for source in sources:
        place: Any = data
        for key in source.split("."):
            place = place[key]


def test_a_core_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="no cycle model of the core 'cortex-m99'") as error:
        cores.core("cortex-m99")
    assert "cortex-m4" in str(error.value.hint)


def test_wrong_files_are_refused_by_the_key() -> None:
    data = documents.read_toml(cores.paths()[0])
    for broken, named in (
        ({**data, "kinds": {**data["kinds"], "warp": {"issue": 1}}}, "warp"),
        ({**data, "kinds": {k: v for k, v in data["kinds"].items() if k != Kind.UNKNOWN}}, "unknown"),
        ({**data, "refill": {}}, "refill.branch"),
        ({**data, "kinds": {**data["kinds"], "alu": {"issue": "fast"}}}, "kinds.alu.issue"),
    ):
        with pytest.raises(EdgekitError, match=named):
            cores.read(broken, Bound.VALUE)
