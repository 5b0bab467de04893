"""Tasks of manifests that the C library refuses, although edgekit would never write them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from edgekit import resources
from edgekit.backends import runner_build
from edgekit.graph import tflite
from tests.e2e.command import edgekit
from tests.installed import needed
from tests.networks import hearing, tabular
from tests.tasks import task_networks, tokenizer_files
from tests.tasks.text_networks import averaging

OPEN = """
import json, sys
from edgekit_runtime import Error, Network
from pathlib import Path
bundle, made = Path(sys.argv[1]), []
for manifest in json.load(sys.stdin):
    (bundle / "manifest.json").write_text(json.dumps(manifest))
    try:
        Network(bundle)
        made.append("")
    except Error as error:
        made.append(str(error))
print(json.dumps(made))
"""
Manifest = dict[str, Any]


def column(number: int, **changes: Any) -> Callable[[Manifest], None]:
    return lambda manifest: manifest["task"]["row"]["columns"][number].update(changes)


def task(**changes: Any) -> Callable[[Manifest], None]:
    return lambda manifest: manifest["task"].update(changes)


def sound(**changes: Any) -> Callable[[Manifest], None]:
    return lambda manifest: manifest["task"]["sound"].update(changes)


def mask(**changes: Any) -> Callable[[Manifest], None]:
    return lambda manifest: manifest["task"]["mask"].update(changes)


def tensor(kind: str, number: int, **changes: Any) -> Callable[[Manifest], None]:
    return lambda manifest: manifest[kind][number].update(changes)


REFUSED: dict[str, list[Callable[[Manifest], object]]] = {
    "regression": [
        lambda manifest: manifest["task"]["row"]["columns"].pop(),
        column(1, values=["red", "green", "red"]), column(2, input=1), column(0, std=0), column(0, std=-1),
        task(std=0), task(unit="m" * 201), tensor("outputs", 0, dtype="int8", shape=[1, 4], quantization=None),
    ],
    "row-classification": [task(labels=["buys", "waits"]), task(labels=["a", "b", "c", "d"]), task(labels="buys")],
    "keyword": [sound(rate=0), sound(length=0), sound(features="loud"), task(labels=["low"])],
    "segmentation": [mask(classes=3), mask(height=0), mask(form="score"), mask(width=17), task(labels=["none", "red"])],
    "text": [
        task(text={"inputs": ["mask", "types"]}), task(text={"inputs": ["ids"]}), task(text={"inputs": ["ids", "ids"]}),
        tensor("inputs", 1, dtype="int64", shape=[1, 6]), tensor("inputs", 0, dtype="float32"),
    ],
}  # fmt: skip
"""By network, changes of the manifest. Its tensors keep their bytes."""


def written(folder: Path, kind: str) -> Path:
    """A model file with its task beside it."""
    if kind in ("regression", "row-classification"):
        return tabular.written(folder, kind.removeprefix("row-"))
    if kind == "keyword":
        return hearing.written(folder, kind)
    if kind == "segmentation":
        return task_networks.written(folder, kind)
    needed("tokenizers", "dev")
    document = tokenizer_files.bert()
    tflite.write(averaging(len(document["model"]["vocab"])), folder / "model.tflite")
    (folder / "tokenizer.json").write_text(json.dumps(document))
    (folder / "task.toml").write_text('schema = 1\ntask = "text-classification"\n[text]\n')
    return folder / "model.tflite"


def called(program: str, bundle: str, given: object = None) -> Any:
    """What a program in Python that uses the C library prints, as JSON."""
    python = resources.folder("firmware_stubs") / "linux" / "python"
    library = runner_build.library(platform.machine()).path
    done = subprocess.run(
        [sys.executable, "-c", program, bundle], input=json.dumps(given),
        env={**os.environ, "PYTHONPATH": str(python), "EDGEKIT_LIBRARY": str(library)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("kind", REFUSED)
def test_tasks_that_do_not_fit_are_refused(kind: str, tmp_path: Path) -> None:
    options = ("--target", "host", "--out", tmp_path / "build", "--json")
    (bundle,) = edgekit("compile", written(tmp_path, kind), *options).json["bundles"]
    text = (Path(bundle["path"]) / "manifest.json").read_text()
    changed = [json.loads(text) for _ in REFUSED[kind]]
    for manifest, change in zip(changed, REFUSED[kind], strict=True):
        change(manifest)
    sound_one, *refused = called(OPEN, bundle["path"], [json.loads(text), *changed])
    assert sound_one == ""
    assert [number for number, line in enumerate(refused) if "damaged" not in line] == [], refused


def test_values_beyond_the_room_are_left_out(tmp_path: Path) -> None:
    """Of a regression with three outputs, and as many places as are given."""
    (tmp_path / "task.toml").write_text(tabular.REGRESSION)
    tflite.write(tabular.one_input(3), tmp_path / "model.tflite")
    (bundle,) = edgekit(
        "compile", tmp_path / "model.tflite", "--target", "host", "--out", tmp_path / "build", "--json"
    ).json["bundles"]  # fmt: skip
    program = """
import ctypes, json, sys
import edgekit_runtime as runtime
network = runtime.Network(sys.argv[1])
whole, found = network.estimate([30.0, "red", "S"]), []
for most in (0, 1, 2, 3, 5):
    to, count = (ctypes.c_float * 8)(*[7.5] * 8), ctypes.c_uint32()
    assert not runtime._library.edgekit_values(network._open(), to, most, ctypes.byref(count), None)
    found.append([count.value, list(to)])
print(json.dumps([whole, found]))
"""
    whole, found = called(program, bundle["path"])
    assert len(whole) == 3
    for most, (count, values) in zip((0, 1, 2, 3, 5), found, strict=True):
        assert count == min(most, 3) and values == [*whole[:count], *[7.5] * (8 - count)]


def test_no_text_is_an_empty_text(tmp_path: Path) -> None:
    options = ("--target", "host", "--out", tmp_path / "build", "--json")
    (bundle,) = edgekit("compile", written(tmp_path, "text"), *options).json["bundles"]
    program = """
import json, sys
import edgekit_runtime as runtime
network, made = runtime.Network(sys.argv[1]), []
for text, size in ((b"", 0), (None, 0), (None, 1)):
    status = runtime._library.edgekit_set_text(network._open(), text, size)
    made.append([status, network._inputs[0].tolist()])
print(json.dumps(made))
"""
    empty, none, wrong = called(program, bundle["path"])
    assert empty[0] == 0 and none == empty and wrong[0] != 0
