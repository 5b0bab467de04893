"""The result of a search as a document and as a picture, also when nothing was found."""

from __future__ import annotations

import json

import numpy as np
import pytest

import edgekit
from edgekit import target
from edgekit.compression import budget, finalists, plot, search
from edgekit.compression.result import Compression
from edgekit.errors import CheckFailed
from edgekit.graph import tflite
from tests.networks.small import digits


def nothing(tmp_path, interrupted=False):
    goal = search.Goal(("size", "latency"), budget.parse(["size=9kB"]), {"size": 1.0, "latency": 1.0})
    found = search.Found(interrupted=interrupted)
    specs = {"calibration": "a", "search": "b", "test": "c"}
    return Compression(tmp_path / "m.tflite", target.load("host"), 0, goal, found, specs, dict.fromkeys(specs, 1), [1],
                       tmp_path)  # fmt: skip


def test_a_search_that_was_stopped_at_once(tmp_path):
    made = nothing(tmp_path, interrupted=True)
    document = json.loads(json.dumps(made.json(), allow_nan=False))
    assert document["best"] is None and document["finalists"] == [] and not document["ok"]
    made.check()
    plot.draw(made, tmp_path / "empty.png")
    assert (tmp_path / "empty.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(CheckFailed, match="no recipe could be compiled"):
        nothing(tmp_path).check()


@pytest.fixture(scope="module")
def made(tmp_path_factory, network):
    folder = tmp_path_factory.mktemp("made")
    tflite.write(network, folder / "digits.tflite")
    x, y = digits(1000, seed=11)
    np.savez(folder / "digits.npz", x=x, y=y)
    return edgekit.compress(
        folder / "digits.tflite", data=f"{folder}/digits.npz", target="host", budgets=["size=9kB", "accuracy-drop=5"],
        trials=7, finalists=3, out=folder / "out",
    )  # fmt: skip


def test_best_is_the_cheapest_that_cannot_be_told_from_the_most_accurate(made):
    holding = [f for f in made.compiled if budget.distance(made.goal.budgets, f.figures) <= 0]
    assert made.best in holding
    alike = finalists.within_noise(holding)
    top = max(holding, key=lambda f: f.verdict.goodness)
    assert top in alike and made.best in alike
    price = lambda f: f.figures["size"] * f.figures["latency"]  # noqa: E731
    assert price(made.best) == min(map(price, alike))
    cheapest = finalists.best(made.compiled, budget.parse(["accuracy-drop=5"]))
    bounded = [f for f in made.compiled if f.figures["accuracy-drop"] <= 5]
    assert price(cheapest) == min(map(price, bounded))
    assert finalists.best(made.compiled, budget.parse(["size=1B"])) is None
    assert finalists.nearest(made.compiled, budget.parse(["size=1B"])).figures["size"] == min(
        f.figures["size"] for f in made.compiled
    )


def test_the_same_search_draws_the_same_picture(made, tmp_path):
    for name in ("a.svg", "b.svg"):
        plot.draw(made, tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()
    assert made.best.name in (tmp_path / "a.svg").read_text()


def test_what_fails_on_the_target_is_set_aside(made, tmp_path, monkeypatch):
    """A candidate whose bundle fails parity leaves no bundle, and its reason; the others are made."""
    from edgekit.api import compile as compiling
    from edgekit.metrics.verdict import Parity

    real = compiling._prove

    def failing(bundle, *rest):
        result: Parity = real(bundle, *rest)
        result.ok = not any(step["name"] == "quantize" for step in bundle.manifest["recipe"]["steps"])
        return result

    monkeypatch.setattr(compiling, "_prove", failing)
    again = edgekit.compress(made.model, data=f"{made.model.parent}/digits.npz", target="host", budgets=["size=9kB"],
                             trials=7, finalists=3, out=tmp_path)  # fmt: skip
    assert again.rejected and all("parity failed" in reason for reason in again.rejected.values())
    assert [f.name for f in again.compiled] == ["as-is"] and [p.name for p in tmp_path.glob("*.host")] == [
        "digits.as-is.host"
    ]
    with pytest.raises(CheckFailed, match="the closest is as-is"):
        again.check()
