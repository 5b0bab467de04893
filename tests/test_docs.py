"""The documentation is true: its commands run, its code works, its links lead somewhere, its keys are complete."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit import plugins, resources, target
from edgekit.backends import Request
from edgekit.bundle import Bundle
from edgekit.graph import tflite
from edgekit.passes import PassContext, recipe
from edgekit.runners import Observes, opened
from edgekit.target import Target
from tests.api.proofs import plant, rebuilt
from tests.e2e.command import edgekit
from tests.networks import keras_mnist
from tests.networks import small as small_networks
from tests.tasks import task_networks

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
WITH_COMMANDS = [page for page in PAGES if "```console" in page.read_text()]


def blocks(page: Path, language: str) -> list[str]:
    """Fenced blocks of a language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def ids(page: Path) -> str:
    return page.name


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the commands of the documentation are about: an ordinary export from Keras, and digits."""
    folder = tmp_path_factory.mktemp("docs")
    keras_mnist.export(folder)
    x, y = small_networks.digits(300, seed=1)
    np.savez(folder / "digits.npz", x=x, y=y)
    return folder


@pytest.mark.slow
@pytest.mark.tensorflow
def test_the_commands_are_tried_on_an_ordinary_export(workplace: Path) -> None:
    """Its batch is open and it computes shapes as it runs, as what TensorFlow's converter writes by default."""
    graph = tflite.read(workplace / "model.tflite")
    assert graph.inputs[0].shape_signature == (-1, 28, 28, 1)
    assert {"SHAPE", "STRIDED_SLICE", "PACK"} <= {operator.op for operator in graph.operators}


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.tensorflow
@pytest.mark.parametrize("page", WITH_COMMANDS, ids=ids)
def test_commands_run(page: Path, workplace: Path) -> None:
    """Every ``$ edgekit ...`` line in a console block, one after the other in one folder."""
    lines = [line for block in blocks(page, "console") for line in block.splitlines() if line.startswith("$ ")]
    assert lines
    for line in lines:
        program, *args = shlex.split(line[2:])
        assert program == "edgekit", line
        done = edgekit(*args, cwd=workplace)
        assert done.code == 0, f"{line}\n{done.err}"
        assert done.out, line


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.tensorflow
def test_python_of_the_readme_runs(workplace: Path) -> None:
    (code,) = blocks(ROOT / "README.md", "python")
    done = subprocess.run([sys.executable, "-c", code], cwd=workplace, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert [row[:2] for row in rows] == [["rpi4", "True"], ["rpi5", "True"]]
    assert all(0 < float(row[2]) < 10 for row in rows)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_python_of_compress_runs(workplace: Path) -> None:
    (code,) = blocks(ROOT / "docs" / "compress.md", "python")
    done = subprocess.run([sys.executable, "-c", code], cwd=workplace, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines()]
    assert 0 < float(rows[0][1]) <= 60_000 and len(rows) > 2
    assert all(0 < float(row[1]) <= 1 and float(row[2]) > 0 for row in rows[1:])


def defined_by(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "docs/extending.md", "exec"), names)
    return names


def test_the_pass_of_the_documentation_works() -> None:
    code = next(block for block in blocks(ROOT / "docs" / "extending.md", "python") if "class RoundWeights" in block)
    graph = small_networks.dense(np.array([[0.126, -0.49]], np.float32), np.array([0.0], np.float32))
    context = PassContext(params={"step": 0.25})
    passed = defined_by(code)["RoundWeights"]().apply(graph, context)
    rounded = passed.graph
    assert rounded.tensors[1].array().tolist() == [[0.25, -0.5]]
    assert graph.tensors[1].array().tolist() == [[np.float32(0.126), np.float32(-0.49)]]
    assert passed.report.json() == {"rounded": 2}


def files_of(page: Path, heading: str) -> list[tuple[str, str]]:
    """The files that a section shows, with their names."""
    section = page.read_text().split(f"{heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^(?:.*\. )?`([\w.]+)` [^\n]*:\n```\w+\n(.*?)^```", section, re.MULTILINE | re.DOTALL)


@pytest.mark.slow
def test_the_plugin_of_the_documentation_can_be_built_from_an_empty_folder(tmp_path: Path) -> None:
    """Its files, as the page shows them, are installed, tested and used by the page's commands."""
    page = ROOT / "docs" / "extending.md"
    files = files_of(page, "## A plug-in from an empty folder")
    assert [name for name, _ in files] == ["round_weights.py", "pyproject.toml", "coarse.toml", "test_round_weights.py"]
    folder, site = tmp_path / "round-weights", tmp_path / "site"
    folder.mkdir()
    for name, text in files:
        (folder / name).write_text(text)
    weights = np.array([[0.126, -0.49]], np.float32)
    tflite.write(small_networks.dense(weights, np.array([0.0], np.float32)), folder / "model.tflite")
    pip, pytest_, compile_ = (shlex.split(line) for line in blocks(page, "sh")[0].splitlines())
    offline = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", site]
    subprocess.run([sys.executable, "-m", *pip, *offline], cwd=folder, check=True)
    env = {"PYTHONPATH": str(site)}
    subprocess.run([sys.executable, *pytest_[1:]], cwd=folder, env={**os.environ, **env}, check=True)
    assert compile_[0] == "edgekit"
    (bundle,) = edgekit(*compile_[1:], cwd=folder, env=env).json["bundles"]
    assert bundle["parity"]["ok"] and bundle["passes"][0]["rounded"] == 2
    compiled = tflite.read(folder / bundle["path"] / "model.tflite")
    assert next(t.array().tolist() for t in compiled.constants()) == [[np.float32(0.15), np.float32(-0.5)]]


@pytest.mark.slow
def test_the_kind_of_task_of_the_documentation_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled, verified and run as the page says; the C library makes its input, and does not know its decider."""
    page = ROOT / "docs" / "extending.md"
    files = files_of(page, "## A kind of task: material -> decision")
    names = ["picture_rating.py", "pyproject.toml", "task.toml", "nearest.py"]
    assert [name for name, _ in files] == names
    folder, site = tmp_path / "rating", tmp_path / "site"
    folder.mkdir()
    for name, text in files:
        (folder / name).write_text(text)
    tflite.write(task_networks.classifier(), folder / "model.tflite")
    for number in range(3):
        for shade in (150, 200, 250):
            (folder / "photos" / str(number + 1)).mkdir(parents=True, exist_ok=True)
            pixels = np.zeros((40, 30, 3), np.uint8)
            pixels[..., number] = shade
            Image.fromarray(pixels).save(folder / "photos" / str(number + 1) / f"{shade}.png")
    pip, *commands = (shlex.split(line) for line in blocks(page, "sh")[1].splitlines())
    offline = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation", "--target", site]
    subprocess.run([sys.executable, "-m", *pip, *offline], cwd=folder, check=True)
    (folder / "picture_rating.py").unlink()
    env = {"PYTHONPATH": str(site)}
    done = [edgekit(*command[1:], cwd=folder, env=env) for command in commands]
    assert [each.code for each in done] == [0, 0, 0], [each.err for each in done]
    compiled, verified, run = (each.json for each in done)
    assert compiled["bundles"][0]["parity"]["decision"]["ok"] is True
    (decision,) = [check for check in verified["checks"] if check["name"] == "decision"]
    assert verified["ok"] is True and decision["ok"] is True
    assert "2 pictures to the network's input, each bit as the reference" in decision["detail"]
    assert "picture-rating decides here: 2 of 2 as on the reference network's outputs" in decision["detail"]
    plant("picture.c", "from[in->bgr ? blue : red]", "from[in->bgr ? red : blue]", tmp_path / "sources", monkeypatch)
    spoilt = rebuilt(folder / commands[1][2], tmp_path / "spoilt")
    again = edgekit("verify", spoilt, "--json", env=env)
    (decision,) = [check for check in json.loads(again.out)["checks"] if check["name"] == "decision"]
    assert again.code == 5 and "the C library makes another input" in decision["detail"]
    assert len(run["decisions"]) == 9
    for each in run["decisions"]:
        assert each["stars"] == pytest.approx(int(each["sample"].split("/")[0]), abs=0.65)
    without = edgekit("run", commands[1][2], cwd=folder)
    assert without.code != 0 and without.err.count("'picture-rating', which is not installed") == 1
    assert "there are anomaly, classification, detection" in without.err


def test_the_backend_of_the_documentation_works(tmp_path: Path) -> None:
    code = next(block for block in blocks(ROOT / "docs" / "extending.md", "python") if "class Bare" in block)
    backend = defined_by(code)["Bare"]()
    graph = small_networks.unary("RELU", (1, 4))
    tflite.write(graph, tmp_path / "model.tflite")
    (tmp_path / "artifact").mkdir()
    board: Target = target.load("rpi4")
    planned = backend.plan(graph, board)
    graph.operators[0].custom = True
    assert [row.operator for row in backend.plan(graph, board)] == ["RELU"]
    artifact = backend.build(planned, Request(tmp_path / "model.tflite", tmp_path / "artifact"))
    assert (tmp_path / "artifact" / "network.tflite").read_bytes() == (tmp_path / "model.tflite").read_bytes()
    assert artifact.runtime


def test_the_runner_of_the_documentation_works(tmp_path: Path) -> None:
    code = next(
        block for block in blocks(ROOT / "docs" / "extending.md", "python") if "class InterpreterRunner" in block
    )
    graph = small_networks.unary("RELU", (1, 4))
    tflite.write(graph, tmp_path / "model.tflite")
    found = Bundle(tmp_path, {"target": "rpi4"})
    x = np.array([[[-1.0, 0.0, 2.0, -3.0]]], np.float32)
    runner = defined_by(code)["InterpreterRunner"]()
    with opened(runner, found) as session:
        assert session.info().name == "this machine"
        for _ in range(2):
            np.testing.assert_array_equal(session.run([x]).outputs[0], np.maximum(x, 0))
    assert runner.observes is Observes.NOTHING and not runner.proves


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_toml_parses(page: Path) -> None:
    for block in blocks(page, "toml"):
        tomllib.loads(block)


def test_recipes_can_be_loaded(tmp_path: Path) -> None:
    """Every recipe of the documentation, and its passes are there."""
    found = [block for page in PAGES for block in blocks(page, "toml") if "[[pass]]" in block]
    assert len(found) > 5
    for number, block in enumerate(found):
        path = tmp_path / f"recipe{number}.toml"
        path.write_text(block)
        passes = {step.name for step in recipe.load(str(path)).steps}
        assert passes and passes - {"round-weights"} <= set(plugins.names("passes")), block


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


def test_every_key_of_the_targets_is_explained() -> None:
    page = (ROOT / "docs" / "targets.md").read_text()
    # Tables with free keys: by dtype, by class of instruction, by key.
    free = ("cpu.macs_per_cycle", "cycles.cpi", "sources", "calibration", "cpu.id")
    for name in target.names():
        for path in keys(tomllib.loads((resources.folder("targets") / f"{name}.toml").read_text())):
            if not path.startswith(free):
                assert re.search(rf"`(\w+\.)*{path.split('.')[-1]}`", page), f"{name}: {path}"


def keys(data: dict[str, Any], above: str = "") -> list[str]:
    paths = []
    for key, value in data.items():
        path = f"{above}.{key}" if above else key
        paths += keys(value, path) if isinstance(value, dict) else [path]
    return paths


@pytest.mark.slow
@pytest.mark.emulator
@pytest.mark.tensorflow
def test_every_field_of_the_json_is_explained(workplace: Path) -> None:
    page = (ROOT / "docs" / "formats.md").read_text()
    options = ["--data", "digits.npz", "--out", "json", "--json"]
    compiled = edgekit("compile", "model.tflite", "-t", "rpi4", *options, cwd=workplace).json
    bundle = compiled["bundles"][0]["path"]
    searching = ["--data", "digits.npz", "-t", "host", "--trials", "7", "--budget", "packed=60kB", "--json"]
    diagnosed = edgekit("diagnose", "model.tflite", "--fix", *options, cwd=workplace).json
    documents = {
        "compile": compiled,
        "targets": edgekit("targets", "--json").json,
        "doctor": edgekit("doctor", "--json").json,
        "inspect": edgekit("inspect", "model.tflite", "--json", cwd=workplace).json,
        "inspect of a phone": edgekit("inspect", "model.tflite", "--target", "pixel", "--json", cwd=workplace).json,
        "verify": edgekit("verify", bundle, "--json", cwd=workplace).json,
        "run": edgekit("run", bundle, "--json", cwd=workplace).json,
        "profile": edgekit("profile", bundle, "--on", "emulator", "--json", cwd=workplace).json,
        "compare": edgekit("compare", bundle, "--json", cwd=workplace).json,
        "diagnose": {**diagnosed, "fix": {**diagnosed["fix"], "bundle": None}},  # compile's, with a recipe's reports
        "compress": edgekit("compress", "model.tflite", *searching, cwd=workplace).json,
    }
    for verb, document in documents.items():
        assert document["schema"] == 1
        unknown = {field for field in fields(document) if not re.search(rf"[`\"./]{re.escape(field)}[`\"]", page)}
        # The free parts: what a runner says of the conditions, and the parameters of passes (docs/recipes.md).
        assert unknown <= {"machine", "weights", "activations"}, (verb, unknown)


def fields(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*(fields(entry) for entry in value))
    if isinstance(value, dict):
        return set(value).union(*(fields(entry) for entry in value.values()))
    return set()
