"""``edgekit compress`` as a user meets it: a front that is true, budgets that bind, interruptions that lose nothing."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.graph import tflite
from tests.e2e.command import EDGEKIT, edgekit, refused
from tests.networks.small import MODELS, classifier, digits

BUDGETS = ("--budget", "size=9kB", "--budget", "accuracy-drop=4")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compress")
    tflite.write(classifier(folder), folder / "digits.tflite")
    x, y = digits(3900, seed=5)
    np.savez(folder / "digits.npz", x=x[3000:], y=y[3000:], g=np.where(y[3000:] < 5, "low", "high"))
    np.savez(folder / "unlabelled.npz", x=x[:50])
    return folder


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A cache of its own, with what cannot be fetched again."""
    folder = tmp_path_factory.mktemp("cache")
    real = Path(os.environ.get("EDGEKIT_CACHE") or Path.home() / ".cache" / "edgekit")
    for name in ("runtimes", "tools", "emulator"):
        if (real / name).exists():
            (folder / name).symlink_to(real / name)
    return {"EDGEKIT_CACHE": str(folder)}


def compress(place: Path, cache: dict[str, str], *more: str, target: str = "host", model: str = "digits.tflite"):
    base = ["compress", model, "--data", "digits.npz", "--target", target, "--trials", "10"]
    return edgekit(*base, *more, cwd=place, env=cache)


@pytest.fixture(scope="module")
def found(place: Path, cache: dict[str, str]) -> dict[str, Any]:
    result = compress(place, cache, *BUDGETS, "--out", "out", "--plot", "front.svg", "--json")
    assert result.json == json.loads((place / "out" / "front.json").read_text())
    return result.json


@pytest.mark.slow
def test_the_front_is_what_was_measured(place: Path, found: dict[str, Any]) -> None:
    assert found["ok"] and found["search"]["recipes"] == 10
    assert sum(entry["samples"] for entry in found["data"].values()) == 900
    reference, *finalists = found["finalists"]
    assert reference["name"] == "as-is" and reference["accuracy"]["drop"]["value"] == 0
    assert not reference["budgets"]["size"]["holds"] and finalists
    best = next(f for f in finalists if f["name"] == found["best"])
    assert all(entry["holds"] for entry in best["budgets"].values()) and best["front"]
    for row in finalists:
        path = place / row["path"]
        assert row["size"] == (path / "model.tflite").stat().st_size and row["parity"]["ok"]
        assert row["accuracy"]["samples"] == 300 and len(row["accuracy"]["groups"]) == 2
        assert json.loads((path / "manifest.json").read_text())["accuracy"] == row["accuracy"]
    costs = [(f["accuracy"]["drop"]["value"], f["size"], f["latency_ms"]["value"]) for f in found["finalists"]]
    for row, one in zip(found["finalists"], costs, strict=True):
        beaten = any(o != one and all(a <= b for a, b in zip(o, one, strict=True)) for o in costs)
        assert row["front"] == (not beaten), (row["name"], costs)
    assert (place / "front.svg").read_text().startswith("<?xml")


def test_the_recipe_makes_the_same_bundle_again(place: Path, found: dict[str, Any], cache: dict[str, str]) -> None:
    text = (place / "out" / "best.toml").read_text()
    assert text == (place / "out" / "recipes" / f"{found['best']}.toml").read_text()
    assert "accuracy_drop = 4" in text
    command = next(line for line in text.splitlines() if line.startswith("# edgekit compile"))[2:]
    made = edgekit(*shlex.split(command)[1:], "--out", "again", cwd=place, env=cache)
    assert made.code == 0, made.err
    one, two = (place / folder / f"digits.{found['best']}.host" for folder in ("out", "again"))
    files = [p.relative_to(one) for p in sorted(one.rglob("*")) if p.is_file()]
    for name in files:
        same = [hashlib.sha256((folder / name).read_bytes()).hexdigest() for folder in (one, two)]
        assert same[0] == same[1], name


def test_no_sample_is_used_twice(place: Path, found: dict[str, Any]) -> None:
    from edgekit.data import dataset

    graph = tflite.read(place / "digits.tflite")
    specs = [entry["spec"].replace("digits.npz", str(place / "digits.npz")) for entry in found["data"].values()]
    parts = [dataset.load(spec, graph).inputs[0].reshape(300, -1) for spec in specs]
    together = np.concatenate(parts)
    with np.load(place / "digits.npz") as archive:
        whole = archive["x"].reshape(900, -1)
    order = lambda rows: rows[np.lexsort(rows.T)]  # noqa: E731
    assert np.array_equal(order(together), order(whole))


@pytest.mark.emulator
def test_for_people_on_a_board(place: Path, cache: dict[str, str]) -> None:
    result = compress(place, cache, *BUDGETS, "--finalists", "2", "--out", "board", target="rpi4")
    assert result.code == 0, result.err
    for words in ("300 for the passes", "10 recipes tried", "latency: emulator", "best: ", "next: edgekit compile "):
        assert words in result.out, words
    assert "over size" in result.out  # the network as it was


def test_a_budget_that_nothing_holds(place: Path, cache: dict[str, str]) -> None:
    result = compress(place, cache, "--budget", "size=1kB", "--out", "none", "--json")
    refused(result, 5, "no recipe meets size=1kB", "the closest is ", "size ")
    document = json.loads(result.out)
    assert not document["ok"] and document["best"] is None and document["finalists"]
    assert document["nearest"] in result.err and not (place / "none" / "best.toml").exists()


@pytest.mark.slow
def test_an_interrupted_search_is_shown_and_goes_on(place: Path, cache: dict[str, str]) -> None:
    args = ["compress", "digits.tflite", "--data", "digits.npz", "--target", "host", "--trials", "13", "--out", "cut",
            "--seed", "3", "--budget", "size=9kB", "--json"]  # fmt: skip
    command = [str(EDGEKIT), *args]
    process = subprocess.Popen(
        command, cwd=place, env={**os.environ, **cache}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    journal = Path(cache["EDGEKIT_CACHE"]) / "compress"
    before = set(journal.glob("*.journal")) if journal.is_dir() else set()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        new = [p for p in journal.glob("*.journal") if p not in before] if journal.is_dir() else []
        if new and new[0].read_text().count('"outcome"') >= 4:
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    if process.returncode == 0:
        pytest.skip("it was done before the signal came")
    assert process.returncode == 130 and "Traceback" not in err, err
    document = json.loads(out)
    known = document["search"]["recipes"]
    assert document["search"]["interrupted"] and 2 <= known < 13  # some recipes make the same network
    assert not list((place / "cut").glob("*.host"))
    recipes = [path.stem for path in (place / "cut" / "recipes").glob("*.toml")]
    assert sorted(recipes) == sorted(c["name"] for c in document["search"]["candidates"] if c["front"] and c["steps"])
    assert json.loads((place / "cut" / "front.json").read_text()) == document
    finished = edgekit(*args, cwd=place, env=cache).json
    # The last one may have been measured, but not yet told to the searcher.
    assert finished["search"]["continued"] >= known - 1 and not finished["search"]["interrupted"]
    fresh = edgekit(*args, "--fresh", cwd=place, env=cache).json
    assert fresh["search"]["continued"] == 0
    names = [[c["name"] for c in d["search"]["candidates"]] for d in (finished, fresh)]
    assert names[0] == names[1]
    assert [f["accuracy"] for f in finished["finalists"]] == [f["accuracy"] for f in fresh["finalists"]]


def test_time_bounds_the_search(place: Path, cache: dict[str, str]) -> None:
    result = compress(place, cache, "--time", "0.1s", "--out", "quick", "--json", "--seed", "8")
    assert result.code == 0 and result.json["search"]["recipes"] <= 1


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--budget", "speed=5ms"], "no budget 'speed'"),
        (["--budget", "latency=5"], "unit"),
        (["--time", "soon"], "not a duration"),
        (["--data", "unlabelled.npz"], "labelled"),
        (["--data", "random"], "labelled"),
        (["--data", "digits.npz?part=1/500"], "cannot be split"),
        (["--data", "digits.npz?part=1/20"], "too few"),
        (["--plot", "front.bmp"], ".svg"),
        (["--target", "rpi44"], "rpi4"),
        (["--budget", "group-drop=1", "--test", "plain.npz"], "needs groups"),
        (["--budget", "class-drop=1", "--test", "no3.npz"], "no sample of class 3"),
        (["--out", "digits.npz"], "cannot write"),
    ],
)
def test_wrong_usage_is_refused_at_once(more: list[str], words: str, place: Path, cache: dict[str, str]) -> None:
    x, y = digits(40, seed=2)
    np.savez(place / "plain.npz", x=x, y=y)
    x, y = digits(300, seed=2)
    np.savez(place / "no3.npz", x=x[y != 3], y=y[y != 3])
    refused(compress(place, cache, "--out", "wrong", *more), 2, words)


def test_folders_of_pictures_and_fair_budgets(place: Path, cache: dict[str, str]) -> None:
    """Bounds on classes and groups go into the recipe; pictures serve as samples."""
    from PIL import Image

    x, y = digits(240, seed=9)
    for number, (picture, label) in enumerate(zip(x, y, strict=True)):
        folder = place / "pictures" / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((255 * picture).astype(np.uint8)).save(folder / f"{number}.png")
    more = ["--trials", "4", "--finalists", "1", "--out", "fair", "--json"]
    budgets = ["--budget", "class-drop=40", "--budget", "group-drop=30", "--budget", "energy=1J"]
    made = compress(place, cache, "--data", "pictures", "--test", "digits.npz", *budgets[:2], *more).json
    assert [made["data"][kind]["samples"] for kind in ("calibration", "search", "test")] == [120, 120, 900]
    refused_now = compress(place, cache, "--data", "pictures", *budgets, *more)
    refused(refused_now, 2, "needs groups")
    found = compress(place, cache, *budgets, *more).json
    row = found["finalists"][1]
    assert row["budgets"].keys() == {"class-drop", "group-drop", "energy"}
    assert all(entry["holds"] for entry in row["budgets"].values())
    text = (place / row["recipe"]).read_text()
    assert "class_drop = 40" in text and "group_drop = 30" in text and "energy" not in text


def test_what_cannot_be_compressed(models: Path, place: Path, cache: dict[str, str]) -> None:
    quantized = str(MODELS / "tflite_micro" / "hello_world_int8.tflite")
    np.savez(place / "sine.npz", x=np.ones((90, 1), np.float32), y=np.zeros(90, int))
    refused(compress(place, cache, "--data", "sine.npz", model=quantized), 3, "compressed")
    floating = str(MODELS / "tflite_micro" / "hello_world_float.tflite")
    refused(compress(place, cache, "--data", "sine.npz", model=floating), 3, "not a classifier")


@pytest.mark.parametrize(("missing", "extra"), [("optuna", "search"), ("tensorflow", "train")])
def test_without_its_tools(missing: str, extra: str, place: Path) -> None:
    code = f"import sys; sys.modules['{missing}'] = None; from edgekit.cli import main; main(sys.argv[1:])"
    args = ["compress", "digits.tflite", "--data", "digits.npz", "-t", "host", "--train"]
    done = subprocess.run([sys.executable, "-c", code, *args], cwd=place, capture_output=True, text=True, check=False)
    assert done.returncode == 4 and f"pip install 'edgekit[{extra}]'" in done.stderr
