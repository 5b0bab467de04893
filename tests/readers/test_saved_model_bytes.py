"""What is read of a SavedModel before TensorFlow sees it: its signatures, its functions, its folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgekit.errors import ModelError
from edgekit.readers import saved_model
from tests.readers.wire import field, number

RELU = field(1, b"y") + field(2, b"Relu")
"""A node's content."""


def signatures(*names: str) -> bytes:
    return b"".join(field(5, field(1, name.encode()) + field(2, b"")) for name in names)


def function(*names: str, node: bytes = RELU) -> bytes:
    """A function of the library, with a signature for each name."""
    return field(1, b"".join(field(1, field(1, name.encode())) for name in names) + field(3, node))


def written(folder: Path, *, functions: bytes = b"", names: tuple[str, ...] = ("serving_default",)) -> Path:
    folder.mkdir(exist_ok=True)
    meta = field(2, field(1, RELU) + field(2, functions)) + signatures(*names)
    (folder / "saved_model.pb").write_bytes(number(1, 1) + field(2, meta))
    return folder


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("serving_default",), "serving_default"), (("a", "serving_default", "b"), "serving_default"),
        (("only",), "only"), (("only", "__saved_model_init_op"), "only"), (("__saved_model_init_op", "z"), "z"),
    ],
)  # fmt: skip
def test_the_signature_that_is_called(tmp_path: Path, names: tuple[str, ...], expected: str) -> None:
    assert saved_model.check(written(tmp_path / "m", names=names)) == expected


@pytest.mark.parametrize(
    ("names", "words"),
    [((), "has no signature to call"), (("__saved_model_init_op",), "has no signature to call"),
     (("b", "a"), "but several others: a, b")],
)  # fmt: skip
def test_without_one_signature_nothing_is_called(tmp_path: Path, names: tuple[str, ...], words: str) -> None:
    with pytest.raises(ModelError, match=words):
        saved_model.check(written(tmp_path / "m", names=names))


def test_functions_have_one_name_each(tmp_path: Path) -> None:
    assert saved_model.check(written(tmp_path / "m", functions=function("f") + function("g"))) == "serving_default"
    for functions in (function(), function("f") + function("f"), function("")):
        with pytest.raises(ModelError, match="is damaged"):
            saved_model.check(written(tmp_path / "m", functions=functions))


def test_every_function_is_looked_at(tmp_path: Path) -> None:
    hostile = field(1, b"y") + field(2, b"WriteFile")
    for functions in (function("f", node=hostile) + function("g"), function("f") + function("g", node=hostile)):
        with pytest.raises(ModelError, match="WriteFile"):
            saved_model.check(written(tmp_path / "m", functions=functions))
        assert saved_model.check(tmp_path / "m", trust=True) == "serving_default"


def test_a_folder_has_so_many_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "m")
    (folder / "variables").mkdir()
    (folder / "variables" / "a").write_bytes(b"")
    monkeypatch.setattr(saved_model, "MAX_FILES", 3)
    assert saved_model.check(folder) == "serving_default"
    (folder / "b").write_bytes(b"")
    with pytest.raises(ModelError, match="more than 3 files"):
        saved_model.check(folder)


def test_a_folder_has_files_and_links_inside(tmp_path: Path) -> None:
    folder = written(tmp_path / "m")
    (folder / "inside").symlink_to("saved_model.pb")
    assert saved_model.check(folder) == "serving_default"
    (tmp_path / "m2").mkdir()  # its name begins as the folder's does
    (folder / "outside").symlink_to(tmp_path / "m2")
    with pytest.raises(ModelError, match="a link that leads out of it: outside"):
        saved_model.check(folder)
    (folder / "outside").unlink()
    os.mkfifo(folder / "pipe")
    with pytest.raises(ModelError, match="something that is not a file: pipe"):
        saved_model.check(folder)
