"""Texts as a task's source: what task.toml may say, what is refused, and what data become inputs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from edgekit.data import dataset, texts
from edgekit.errors import CheckFailed, UsageError
from edgekit.graph import Graph
from edgekit.tasks import task
from edgekit.tasks.task import Task
from edgekit.tasks.text import Role, Text
from tests.installed import needed
from tests.networks.small import convolutional
from tests.tasks import tokenizer_files
from tests.tasks.text_networks import LENGTH, averaging

needed("tokenizers", "dev")

GOOD = """schema = 1
task = "text-classification"
labels = ["go", "stop", "wait"]
[text]
tokenizer = "tokenizer.json"
"""


@pytest.fixture(scope="module")
def words() -> str:
    return json.dumps(tokenizer_files.bert())


@pytest.fixture(scope="module")
def rows(words: str) -> int:
    return len(json.loads(words)["model"]["vocab"])


def read(folder: Path, words: str, graph: Graph, text: str = GOOD) -> Task:
    (folder / "task.toml").write_text(text)
    (folder / "tokenizer.json").write_text(words)
    return task.read(folder / "task.toml", graph)


def test_a_task_and_its_tokenizer_are_read_and_kept(tmp_path: Path, words: str, rows: int) -> None:
    found = read(tmp_path, words, averaging(rows))
    assert found.kind == "text-classification" and isinstance(found.source, Text)
    assert found.source.inputs == (Role.IDS, Role.MASK)
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    for name, content in found.source.files().items():
        (bundle / name).write_bytes(content)
    manifest = json.loads(json.dumps({"task": found.json()}))
    assert task.of_manifest(manifest, bundle) == found
    (bundle / "tokens.json").write_text("{}")
    with pytest.raises(CheckFailed, match="is damaged"):
        task.of_manifest(manifest, bundle)
    (bundle / "tokens.json").unlink()
    with pytest.raises(CheckFailed, match="is damaged"):
        task.of_manifest(manifest, bundle)


@pytest.mark.parametrize("mask", ["int64", "float32", None])
@pytest.mark.parametrize("ids", ["int32", "int64"])
def test_inputs_are_tokens_and_their_mask(tmp_path: Path, words: str, rows: int, mask: str | None, ids: str) -> None:
    graph = averaging(rows, mask=mask, ids=ids)
    found = read(tmp_path, words, graph)
    (tmp_path / "x.csv").write_text('text,label,g\n"Turn, the lights",stop,a\nplaying,2,b\n')
    data = dataset.load(str(tmp_path / "x.csv"), graph, task=found)
    assert [str(values.dtype) for values in data.inputs] == [ids, *([mask] if mask else [])]
    assert [values.shape for values in data.inputs] == [(2, 1, LENGTH)] * len(graph.inputs)
    vocabulary = json.loads(words)["model"]["vocab"]
    expected = ["[CLS]", "turn", ",", "the", "lights", "[SEP]"]
    assert data.inputs[0][0, 0, :7].tolist() == [vocabulary[word] for word in expected] + [0]
    if mask:
        assert data.inputs[1][:, 0].sum(axis=1).tolist() == [6, 4]
    assert data.labels is not None and data.labels.tolist() == [1, 2]
    assert data.groups is not None and data.groups.tolist() == ["a", "b"]
    assert data.names is not None and data.names.tolist() == ["Turn, the lights", "playing"]


def test_a_folder_of_texts_has_its_classes_by_name(tmp_path: Path, words: str, rows: int) -> None:
    graph = averaging(rows)
    found = read(tmp_path, words, graph)
    data = tmp_path / "texts"
    for name, text in (("stop/a.txt", "turn"), ("go/b.txt", "the"), ("stop/c.txt", "\ufefflight")):
        (data / name).parent.mkdir(parents=True, exist_ok=True)
        (data / name).write_text(text)
    loaded = dataset.load(str(data), graph, task=found)
    assert loaded.labels is not None and loaded.labels.tolist() == [0, 1, 1]
    assert loaded.names is not None and loaded.names.tolist() == ["go/b.txt", "stop/a.txt", "stop/c.txt"]
    for change, words_of_it in (
        (lambda: (data / "go" / "d.txt").write_bytes(b"\xff"), "d.txt: not text in UTF-8"),
        (lambda: (data / "go" / "d.txt").write_bytes(b"x" * (1 << 21)), "is too long"),
        (lambda: (data / "go" / "d.txt").unlink(), ""),
        (lambda: (data / "e.txt").write_text("x"), "both next to and inside class folders"),
        (lambda: (data / "e.txt").unlink(), ""),
        (lambda: os.rename(data / "go", data / "run"), "'run' is not among the task's labels"),
    ):
        change()
        if words_of_it:
            with pytest.raises(UsageError) as refused:
                dataset.load(str(data), graph, task=found)
            assert words_of_it in refused.value.message


def test_folders_of_too_many_texts_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "MOST_ALL", 5)
    for name in "ab":
        (tmp_path / f"{name}.txt").write_text("four")
    with pytest.raises(UsageError, match="its texts have over 0 million characters"):
        texts.load(tmp_path, ())


@pytest.mark.parametrize(
    ("table", "words_of_it"),
    [
        ("words,label\na,go\n", "it has no column 'text', but words, label"),
        ("text,label\na,run\n", "row 2, column 'label': 'run' is not among the task's labels"),
        ("text,label\na,3\n", "'3' is not among the task's labels"),
        ("text,label\n", "no samples"),
        ("text\n" + "x" * 100_001 + "\n", "a cell of over 100000 characters"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, words: str, rows: int, table: str, words_of_it: str) -> None:
    graph = averaging(rows)
    found = read(tmp_path, words, graph)
    (tmp_path / "x.csv").write_text(table)
    with pytest.raises(UsageError) as refused:
        dataset.load(str(tmp_path / "x.csv"), graph, task=found)
    assert words_of_it in refused.value.message and "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("old", "new", "words_of_it"),
    [
        ('"tokenizer.json"', '"../tokenizer.json"', "leads out of its folder"),
        ('"tokenizer.json"', '"none.json"', "'none.json' cannot be read"),
        ('"tokenizer.json"', "7", "text.tokenizer is not the name of a file"),
        ('"tokenizer.json"', '"tokenizer.json"\nlength = 3', "text.length is not a key"),
        ('"tokenizer.json"', '"tokenizer.json"\ninputs = ["ids"]', "must say what each of the network's 2 inputs is"),
        ('"tokenizer.json"', '"tokenizer.json"\ninputs = ["mask", "mask"]', "one of them ids"),
        ('"tokenizer.json"', '"tokenizer.json"\ninputs = ["ids", "masks"]', "'masks': it is one of ids, mask, types"),
        ("[text]", "[picture]", "picture is not a key"),
    ],
)
def test_tasks_that_are_refused(tmp_path: Path, words: str, rows: int, old: str, new: str, words_of_it: str) -> None:
    assert old in GOOD
    with pytest.raises(UsageError) as refused:
        read(tmp_path, words, averaging(rows), GOOD.replace(old, new, 1))
    assert words_of_it in refused.value.message and "\n" not in refused.value.message


def test_networks_that_do_not_fit_are_refused(tmp_path: Path, words: str, rows: int) -> None:
    for graph, words_of_it in (
        (averaging(rows - 1), f"the tokenizer has {rows} tokens, but the network knows {rows - 1}"),
        (averaging(rows, length=2), "no room for the same number of tokens, more than 2"),
        (averaging(rows, classes=4), "there are 3 labels for 4 classes"),
    ):
        with pytest.raises(UsageError) as refused:
            read(tmp_path, words, graph)
        assert words_of_it in refused.value.message


def test_a_text_task_for_pictures_says_what_it_needs(tmp_path: Path, words: str) -> None:
    with pytest.raises(UsageError, match="takes a text, but the network's inputs are float32") as refused:
        read(tmp_path, words, convolutional(np.zeros((10, 577), np.float32)))
    assert "int32 or int64" in refused.value.hint
