"""A target's file is checked when it is read: what is missing or makes no sense is named, with its unit."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from edgekit import resources, target
from edgekit.errors import UsageError
from edgekit.target import checking, listing
from edgekit.target.kinds import BoardKind


def read(folder: Path, name: str, pattern: str, line: str) -> target.Target:
    """A copy of a target's file with one line replaced."""
    text = (resources.folder("targets") / f"{name}.toml").read_text()
    changed, count = re.subn(pattern, line, text, count=1, flags=re.M)
    assert count == 1
    path = folder / f"{name}.toml"
    path.write_text(changed)
    return target.read(path)


@pytest.mark.parametrize("kind", checking.REQUIRED)
def test_every_required_key_is_missed(kind: str, tmp_path: Path) -> None:
    name = next(n for n in target.names() if target.load(n).kind == kind)
    runners = target.load(name).runners
    emulated = "emulator" in runners and kind != BoardKind.MCU
    for key in checking.REQUIRED[kind] + (checking.EMULATED if emulated else ()):
        *_, leaf = key.split(".")
        section = key.removesuffix(f".{leaf}")
        pattern = rf"(^\[{re.escape(section)}\][^\[]*?)^{leaf} = [^\n]*\n"
        with pytest.raises(UsageError) as caught:
            read(tmp_path, name, pattern, r"\1")
        assert f"{name}.toml: {key} is missing: {checking.KEYS[key].meaning}" in caught.value.message


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('all_cores_w = "6.4"', "power.all_cores_w is '6.4', not a number: power with all cores busy, watts"),
        ("all_cores_w = -1", "power.all_cores_w is -1, which cannot be"),
        ("all_cores_w = 0", "power.all_cores_w is 0, which cannot be"),
        ("all_cores_w = nan", "power.all_cores_w is nan, which cannot be"),
        ("all_cores_w = true", "power.all_cores_w is True, not a number"),
    ],
)
def test_a_figure_that_cannot_be(line: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        read(tmp_path, "rpi4", r"^all_cores_w = .*$", line)
    assert words in caught.value.message and caught.value.hint == listing.HINT


@pytest.mark.parametrize(("line", "ok"), [("uncertainty = 0", True), ("uncertainty = 1.5", False)])
def test_shares_are_at_most_one(line: str, ok: bool, tmp_path: Path) -> None:
    if ok:
        assert read(tmp_path, "rpi4", r"^uncertainty = .*$", line).power.uncertainty == 0
        return
    with pytest.raises(UsageError, match=r"power\.uncertainty is 1\.5"):
        read(tmp_path, "rpi4", r"^uncertainty = .*$", line)


def test_a_whole_number(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cpu\.cores is 2\.5, not a whole number: number of cores"):
        read(tmp_path, "rpi4", r"^cores = .*$", "cores = 2.5")


def test_the_page_has_every_key() -> None:
    page = (Path(__file__).parents[2] / "docs" / "targets.md").read_text()
    missing: list[Any] = [key for key in checking.KEYS if not re.search(rf"`([a-z]+\.)?{key.split('.')[-1]}`", page)]
    assert missing == []
