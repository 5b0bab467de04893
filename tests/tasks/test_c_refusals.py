"""Tasks of manifests that the C library refuses, although edgekit would never write them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import edgekit
from tests.networks import hearing, tabular
from tests.tasks import task_networks, text_networks
from tests.tasks.c_library import called

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


def more_columns(manifest: Manifest) -> None:
    """All elements are filled; the last column belongs to an input that the network has not."""
    columns = manifest["task"]["row"]["columns"]
    columns.append({**columns[0], "input": 1})


REFUSED: dict[str, list[Callable[[Manifest], object]]] = {
    "regression": [
        lambda manifest: manifest["task"]["row"]["columns"].pop(), more_columns,
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
    return text_networks.written(folder)


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
