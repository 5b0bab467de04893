"""Accuracy by class and by group through ``edgekit compile``, on digits that people drew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.graph import tflite
from tests.e2e.command import edgekit, refused
from tests.networks.small import classifier, digits

HARSH = 'schema = 1\ndescription = "three of four weights zero"\n[[pass]]\nname = "sparsify"\nsparsity = 0.75\n'


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A digit classifier, 800 digits of two groups (g: the first has its zeros only), and a harsh recipe."""
    folder = tmp_path_factory.mktemp("fairness")
    tflite.write(classifier(folder), folder / "digits.tflite")
    x, y = digits(800, seed=7)
    np.savez(folder / "digits.npz", x=x, y=y, g=np.where(y == 0, "zeros", "others"))
    np.savez(folder / "no3.npz", x=x[y != 3], y=y[y != 3])
    (folder / "harsh.toml").write_text(HARSH)
    return folder


def compiled(place: Path, recipe: str, *more: str, data: str = "digits.npz"):
    return edgekit("compile", "digits.tflite", "-t", "host", "-r", recipe, "--test", data, *more, cwd=place)


def test_each_class_and_group_is_told(place: Path) -> None:
    found = compiled(place, "harsh.toml", "--json").json["bundles"][0]["accuracy"]
    assert [row["name"] for row in found["classes"]] == [str(c) for c in range(10)]
    assert [row["name"] for row in found["groups"]] == ["others", "zeros"]
    assert found["groups"][1]["samples"] == found["classes"][0]["samples"]
    assert found["groups"][1]["compiled"] == found["classes"][0]["compiled"]
    assert (
        found["drop"]["value"] == pytest.approx(100 * (found["float"] - found["compiled"])) and found["drop"]["low"] > 1
    )
    assert found["worst"]["notable"] and found["worst"]["drop"]["value"] > found["drop"]["value"]
    text = compiled(place, "harsh.toml").out
    assert f"worst: {found['worst']['kind']} {found['worst']['name']} loses " in text


def test_what_is_not_notable_is_not_said(place: Path) -> None:
    result = compiled(place, "int8-dynamic")
    assert "accuracy (top1, 800 samples)" in result.out and "worst" not in result.out


def test_a_missing_class_is_said(place: Path) -> None:
    result = compiled(place, "as-is", data="no3.npz")
    assert result.code == 0 and "no sample of class 3" in result.err
    (place / "fair.toml").write_text(HARSH + "[bounds]\nclass_drop = 100\n")
    refused(compiled(place, "fair.toml", data="no3.npz"), 2, "class_drop cannot be checked", "class 3")


@pytest.mark.parametrize("bound", ["accuracy_drop", "class_drop", "group_drop"])
def test_a_bound_that_does_not_hold_leaves_no_bundle(bound: str, place: Path) -> None:
    (place / f"{bound}.toml").write_text(HARSH + f"[bounds]\n{bound} = 0.5\n")
    refused(compiled(place, f"{bound}.toml"), 5, "loses", f"{bound} allows 0.5")
    assert not list((place / "build").glob(f"*{bound}*"))
    (place / f"{bound}.toml").write_text(HARSH + f"[bounds]\n{bound} = 99\n")
    assert compiled(place, f"{bound}.toml").code == 0


def test_bounds_need_labels_and_groups(place: Path) -> None:
    (place / "group.toml").write_text(HARSH + "[bounds]\ngroup_drop = 1\n")
    refused(compiled(place, "group.toml", data="no3.npz"), 2, "needs groups")
    refused(compiled(place, "group.toml", data="random"), 2, "needs labels")


def test_wrong_groups_are_refused(place: Path) -> None:
    x, y = digits(20, seed=1)
    np.savez(place / "short.npz", x=x, y=y, g=np.zeros(19, int))
    refused(compiled(place, "as-is", data="short.npz"), 2, "g has 19 groups, x has 20 samples")
    np.savez(place / "nan.npz", x=x, y=y, g=np.full(20, np.nan))
    refused(compiled(place, "as-is", data="nan.npz"), 2, "NaN")
