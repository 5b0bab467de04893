"""The proof covers the way from row to decision: faults planted there must be found, and named in one line."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import bundle as bundles
from edgekit.api.compile import compile
from edgekit.bundle.material import Material, read, save
from edgekit.errors import CheckFailed
from edgekit.graph import Graph, tflite
from edgekit.reference.litert import reference_outputs
from edgekit.runners import RunOptions, once
from edgekit.runners.host import HostRunner
from tests.api.proofs import changed, check, plant, rebuilt
from tests.networks import tabular

FAULTS = {
    "scale": ("regression", "row_source.c", "(number - c->mean) / c->std", "number / c->std"),
    "one of many": ("classification", "row_source.c", "k == number", "k == number + 1"),
    "no others": ("regression", "row_source.c", "return c->other ? c->values : UINT32_MAX;", "return 0;"),
    "order": ("ranking", "row_source.c", "c->value[c->values].number = c->values;", "c->value[c->values].number = 0;"),
    "unit": ("regression", "regressor.c", "scaled + r->mean", "scaled + r->std"),
}  # fmt: skip
"""Kind of task, file, and what is replaced in it."""
TABLE = "size,age,color,y\n" + "M,30,blue,95.5\nS,52.25,red,120\nXL,1e1,green,7\n" * 4


def made(folder: Path, kind: str, target: str = "host", **options: Any) -> Path:
    (bundle,) = compile(tabular.written(folder, kind), targets=[target], out=folder / "build", **options)
    return bundle.path


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle of each kind of task."""
    folder = tmp_path_factory.mktemp("good")
    return {kind: made(folder / kind, kind) for kind in tabular.KINDS}


@pytest.mark.parametrize("kind", tabular.KINDS)
def test_bundles_are_proven_from_row_to_decision(good: dict[str, Path], kind: str) -> None:
    found = check(good[kind])
    assert found.ok is True and "4 rows to decisions, each bit as the reference" in found.detail
    recorded = json.loads((good[kind] / "decisions.json").read_text())["decisions"]
    assert len({json.dumps({**each, "sample": ""}) for each in recorded}) > 1


@pytest.mark.emulator
def test_an_emulated_board_is_proven(tmp_path: Path) -> None:
    assert check(made(tmp_path, "regression", "rpi4")).ok is True


@pytest.mark.emulator
def test_microcontrollers_say_that_it_is_not_executed(tmp_path: Path) -> None:
    found = check(made(tmp_path, "regression", "nucleo-l4r5zi"))
    assert found.ok is None and "from row to decision: not executed" in found.detail


@pytest.mark.parametrize("kind", ["regression", "classification"])
def test_networks_in_integers_are_proven(tmp_path: Path, kind: str) -> None:
    (tmp_path / "x.csv").write_text(TABLE if kind == "regression" else TABLE.replace(",y\n", ",other\n"))
    assert check(made(tmp_path / "x", kind, recipe="int8", data=str(tmp_path / "x.csv"))).ok is True


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_in_the_c_library_is_found(
    good: dict[str, Path], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, *fault = FAULTS[name]
    plant(*fault, tmp_path / "sources", monkeypatch)
    with pytest.raises(CheckFailed, match=r"row [0-3]: the C library") as refused:
        made(tmp_path / "new", kind)
    assert "\n" not in refused.value.message
    found = check(rebuilt(good[kind], tmp_path / "spoilt"))
    assert found.ok is False and "the C library" in found.detail and "\n" not in found.detail


@pytest.mark.parametrize(
    ("kind", "change", "words"),
    [
        ("regression", lambda task: task["row"]["columns"][0].update(mean=41), "the task makes another input: "),
        ("regression", lambda task: task["row"]["columns"][1]["values"].reverse(), "golden.npz has"),
        ("regression", lambda task: task["row"]["columns"].reverse(), "row 0: the task refuses it: column"),
        ("regression", lambda task: task["row"]["columns"][1]["values"].__setitem__(0, "pink"), "'red' is not among"),
        ("regression", lambda task: task.update(mean=99), "decides otherwise"),
        ("regression", lambda task: task.update(unit="USD"), "decides otherwise"),
        ("ranking", lambda task: task.update(top=1), "decides otherwise"),
        ("classification", lambda task: task["labels"].reverse(), "decides otherwise"),
    ],
)
def test_a_wrong_task_in_the_manifest_is_found(
    good: dict[str, Path], kind: str, change: Callable[[dict[str, Any]], object], words: str, tmp_path: Path
) -> None:
    found = check(changed(good[kind], tmp_path / "wrong", lambda _, manifest: change(manifest["task"])))
    assert found.ok is False and words in found.detail and "\n" not in found.detail, found.detail


@pytest.mark.parametrize(
    ("kept", "words"),
    [
        ({"picture0": np.zeros((4, 4, 3), np.uint8)}, "it is a picture, the task takes a row"),
        ({"text0": np.zeros(4, np.uint8)}, "it is a text, the task takes a row"),
        ({"sound0": np.zeros((4, 1), np.int16), "rate0": np.uint32([8000])}, "it is a sound, the task takes a row"),
    ],
)
def test_material_for_another_task_is_told(
    good: dict[str, Path], kept: dict[str, Any], words: str, tmp_path: Path
) -> None:
    def spoil(at: Path, _: object) -> None:
        (at / "decisions.json").write_text('{"schema": 1, "decisions": [{}]}')
        np.savez(at / "material.npz", **kept)

    found = check(changed(good["regression"], tmp_path / "b", spoil))
    assert found.ok is False and words in found.detail and "\n" not in found.detail


def test_without_material_nothing_is_called_proven(good: dict[str, Path], tmp_path: Path) -> None:
    """A bundle of an older edgekit has none, and one that was tampered with may have lost it."""

    def lose(at: Path, _: object) -> None:
        (at / "material.npz").unlink()
        (at / "decisions.json").unlink()

    found = check(changed(good["regression"], tmp_path / "b", lose))
    assert found.ok is None and "not executed, the bundle keeps nothing" in found.detail


def test_rows_of_the_data_are_kept(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text(TABLE)
    bundle = bundles.load(made(tmp_path / "x", "regression", data=str(tmp_path / "x.csv")))
    inputs, _ = bundle.golden()
    kept = bundle.material(len(inputs[0]))
    assert kept is not None and len(inputs[0]) == 12 and kept.rows == (0, 1, 2)
    assert kept.things == ((30.0, "blue", "M"), (52.25, "red", "S"), (10.0, "green", "XL"))
    assert check(bundle.path).ok is True


def test_cells_of_all_kinds_are_written_and_read(tmp_path: Path) -> None:
    """Commas within cells are no further values, and numbers keep their bits."""
    rows: tuple[tuple[float | str, ...], ...] = (
        tuple(['a,[b],{c}\\"' * 10] * 4096),
        (0.1, -0.0, 1e22, 5e-324, 1.7976931348623157e308, "", "\u6771\u4eac \u20ac", "1"),
    )
    save(tmp_path, Material((0, 3), rows, ({}, {})))
    found = read(tmp_path, 4)
    assert found is not None and found.rows == (0, 3) and repr(found.things) == repr(rows)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"[1", "material.npz is damaged"),
        (b'{"a": 1}', "row0 is no row"),
        (b"[true]", "row0 is no row"),
        (b"[NaN]", "row0 is no row"),
        (b"[1e999]", "row0 is no row"),
        (b'["a\\u0000b"]', "row0 is no row"),
        (b'["\\ud800"]', "row0 is no row"),
        (b"[" + b"1," * 5000 + b"1]", "damaged"),
    ],
)
def test_damaged_rows_are_refused_in_one_line(
    good: dict[str, Path], content: bytes, words: str, tmp_path: Path
) -> None:
    def spoil(at: Path, _: object) -> None:
        count = len(json.loads((at / "decisions.json").read_text())["decisions"])
        np.savez(at / "material.npz", **{f"row{n}": np.frombuffer(content, np.uint8) for n in range(count)})

    with pytest.raises(CheckFailed, match=words) as refused:
        bundles.load(changed(good["regression"], tmp_path / "b", spoil)).material(16)
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("cells", "count"),
    [
        (b"", 1), (b"n\0\0", 1), (b"tred", 1), (b"x\0", 1), (b"tred\0", 2), (b"tred\0t", 1), (b"", 5000),
        ((b"n" + bytes(8)) * 4097, 4097),
    ],
)  # fmt: skip
def test_records_that_are_cut_short_are_refused_by_the_program(
    good: dict[str, Path], cells: bytes, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = struct.pack("<4I", 4, count, 0, len(cells)) + cells
    monkeypatch.setattr(Material, "packed", lambda material: record * len(material.things))
    found = check(good["regression"])
    assert found.ok is False and "rows: the C library fails: number 0: the material is damaged" in found.detail


def test_material_that_is_cut_short_is_refused_by_the_program(
    good: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for record in (struct.pack("<3I", 4, 1, 0), struct.pack("<4I", 4, 1, 0, 6) + b"tred\0"):
        monkeypatch.setattr(Material, "packed", lambda material, record=record: record)
        found = check(good["regression"])
        assert found.ok is False and "rows: the C library fails: number 0: the material is cut short" in found.detail


@pytest.mark.parametrize(
    ("network", "backend"),
    [(tabular.remembering, "litert"), (tabular.adding_up, "litert"), (tabular.adding_up, "c99")],
)
def test_rows_do_not_depend_on_the_rows_before(network: Callable[[], Graph], backend: str, tmp_path: Path) -> None:
    """Of a network that weighs rows before, too, each decision is that of a network which has just been started."""
    (tmp_path / "task.toml").write_text(tabular.REGRESSION)
    tflite.write(network(), tmp_path / "model.tflite")
    (bundle,) = compile(tmp_path / "model.tflite", targets=["host"], backend=backend, out=tmp_path / "build")
    found = check(bundle.path)
    assert found.ok is True and "4 rows to decisions, each bit as the reference" in found.detail
    ones = np.ones((3, 1, 5), np.float32)
    assert len(np.unique(reference_outputs(tmp_path / "model.tflite", [ones])[0])) == 1
    assert len(np.unique(once(HostRunner(), bundles.load(bundle.path), [ones], RunOptions()).outputs[0])) == 1


@pytest.mark.parametrize("content", [b"[]", b'[1.0, "red"]', b'["1", 2.0, 3.0]', b'[1.0, "pink", "S"]'])
def test_rows_that_the_task_has_not_are_told(good: dict[str, Path], content: bytes, tmp_path: Path) -> None:
    def spoil(at: Path, _: object) -> None:
        with np.load(at / "material.npz") as file:
            names = list(file)
        np.savez(at / "material.npz", **{name: np.frombuffer(content, np.uint8) for name in names})

    found = check(changed(good["regression"], tmp_path / "b", spoil))
    assert found.ok is False and "row 0: the task refuses it" in found.detail and "\n" not in found.detail
