"""Plugins are found by name, and a wrong name meets a helpful line."""

import pytest

from edgekit import plugins
from edgekit.errors import UsageError


@pytest.mark.parametrize("group", ["readers", "passes", "backends", "runners"])
def test_every_entry_point_loads(group: str) -> None:
    assert plugins.names(group)
    for name in plugins.names(group):
        assert plugins.get(group, name).name == name


def test_the_nearest_name_is_suggested() -> None:
    with pytest.raises(UsageError, match="no backend named 'litrt'") as caught:
        plugins.get("backends", "litrt")
    assert "'litert'" in caught.value.hint
