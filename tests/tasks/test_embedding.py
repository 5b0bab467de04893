"""Embeddings: the arithmetic, galleries, and what is refused of them."""

from __future__ import annotations

import math
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.errors import CheckFailed, UsageError
from edgekit.tasks import gallery, task
from edgekit.tasks.embedder import Embedder, label_of
from edgekit.tasks.gallery import Gallery, cosines, normalized
from edgekit.tasks.parts import Sample
from tests.tasks import embedding_networks

GRAPH = embedding_networks.embedder()
AXES = Gallery.of(np.eye(8)[[0, 1, 1]] * 3, ["x", "y", "z"])


def decided(embedder: Embedder, vector: list[float]) -> list[tuple[str, float, bool]]:
    output = np.float32([vector + [0.0] * (8 - len(vector))])
    found = embedder.decide(Sample("0"), [output], GRAPH, None)  # type: ignore[arg-type]
    return [(one.label, one.cosine, one.known) for one in found.neighbours]


def test_the_nearest_labels_come_first() -> None:
    found = decided(Embedder(2, 0.75, AXES), [0.6, 0.8])
    assert found == [("y", pytest.approx(0.8), True), ("z", pytest.approx(0.8), True)]
    assert [one[0] for one in decided(Embedder(3, 0.9, AXES), [4, 3])] == ["x", "y", "z"]
    assert [one[2] for one in decided(Embedder(3, 0.75, AXES), [4, 3])] == [True, False, False]


def test_a_label_is_as_near_as_its_nearest_vector() -> None:
    several = Gallery.of(np.eye(8)[[0, 1, 2]], ["b", "a", "b"])
    assert decided(Embedder(5, 0, several), [0, 0, 2]) == [("b", 1.0, True), ("a", 0.0, True)]


@pytest.mark.parametrize("threshold", [-1, 0.5])
@pytest.mark.parametrize("vector", [[0.0], [math.nan], [math.inf, 1], [1e-200]])
def test_what_has_no_direction_is_unknown(vector: list[float], threshold: float) -> None:
    found = Embedder(1, threshold, AXES).decide(
        Sample("0"), [np.float32([vector + [0.0] * (8 - len(vector))])], GRAPH, None,  # type: ignore[arg-type]
    )  # fmt: skip
    assert found.nearest is None and found.words().startswith("unknown") and found.vector == (0.0,) * 8


def test_without_a_gallery_all_is_unknown() -> None:
    found = Embedder().decide(Sample("0"), [np.ones((1, 8), np.float32)], GRAPH, None)  # type: ignore[arg-type]
    assert found.nearest is None and found.words() == "unknown" and len(found.lines()) == 8


def test_tables_are_bounded_before_there_is_room_for_them(tmp_path: Path) -> None:
    (tmp_path / "wide.csv").write_text("a" + ",1" * 300_000 + "\n" + "b\n" * 60_000)
    with pytest.raises(ValueError, match="60001 vectors of 300000 numbers are not"):
        gallery.of_table(tmp_path, "wide.csv")


def test_the_threshold_belongs_to_what_is_known() -> None:
    assert decided(Embedder(1, 1.0, AXES), [5])[0] == ("x", 1.0, True)
    assert not decided(Embedder(1, 1.0, AXES), [5, 0.1])[0][2]


@given(
    st.lists(st.floats(-(2.0**100), 2.0**100, width=32), min_size=3, max_size=3).filter(
        lambda v: max(map(abs, v)) > 1e-15
    ),
    st.lists(st.floats(-10, 10, width=32), min_size=3, max_size=3).filter(lambda v: max(map(abs, v)) > 1e-3),
)
def test_cosines_are_those_of_the_formula(first: list[float], second: list[float]) -> None:
    units, directed = normalized(np.array([first]))
    assert directed.all() and np.linalg.norm(units[0]) == pytest.approx(1, abs=1e-12)
    (found,) = cosines(units[0], Gallery.of(np.array([second]), ["a"]))
    a, b = np.array(first), np.array(second)
    assert -1 <= found <= 1
    assert found == pytest.approx(float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)), abs=1e-6)


LABELS = st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=20), min_size=1, max_size=6)


@given(LABELS, st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_galleries_are_written_and_read(labels: list[str], size: int, seed: int) -> None:
    made = Gallery.of(np.random.default_rng(seed).normal(0, 9, (len(labels), size)), labels)
    assert Gallery._parsed(made.packed()) == made and [made.labels[n] for n in made.numbers] == labels
    both = made.joined(Gallery.of(np.ones((1, size)), ["\u00e9"]))
    assert len(both.numbers) == len(labels) + 1 and both.without(["\u00e9"]).labels == tuple(
        sorted(set(labels) - {"\u00e9"})
    )


def damaged(content: bytes) -> Gallery:
    return Gallery._parsed(content)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: b"x" + c[1:], "no gallery"),
        (lambda c: c[:8] + struct.pack("<I", 2) + c[12:], "newer edgekit"),
        (lambda c: c[:12] + struct.pack("<I", 0) + c[16:], "0 vectors of 8 numbers"),
        (lambda c: c[:12] + struct.pack("<II", 65536, 4096) + c[20:], "65536 vectors of 4096 numbers"),
        (lambda c: c[:12] + struct.pack("<I", 2**32 - 1) + c[16:], "4294967295 vectors"),
        (lambda c: c[:20] + struct.pack("<I", 2) + c[24:], "labels are not those"),
        (lambda c: c[:24] + struct.pack("<f", math.nan) + c[28:], "not of unit length"),
        (lambda c: c[:24] + struct.pack("<f", 1.01) + c[28:], "not of unit length"),
        (lambda c: c[:24] + bytes(32) + c[56:], "not of unit length"),
        (lambda c: c[:120] + struct.pack("<I", 3) + c[124:], "labels are not those"),
        (lambda c: c[:-1], "labels are not those"),
        (lambda c: c + b"w\0", "labels are not those"),
        (lambda c: c[:-2] + b"\xff\0", "cut short"),
        (lambda c: c[:-2] + b"\n\0", "label"),
        (lambda c: c[:100], "cut short"),
        (lambda c: c[:10], "cut short"),
    ],
)
def test_damaged_galleries_are_refused_in_one_line(change: object, words: str, tmp_path: Path) -> None:
    (tmp_path / gallery.FILE).write_bytes(change(AXES.packed()))  # type: ignore[operator]
    with pytest.raises(ValueError, match=words) as refused:
        Gallery.read(tmp_path)
    assert "\n" not in str(refused.value)


def table(folder: Path, text: str, keys: str = "") -> task.Task:
    (folder / "g.csv").write_text(text)
    (folder / "task.toml").write_text(f'schema = 1\ntask = "embedding"\ngallery = "g.csv"\n{keys}')
    return task.read(folder / "task.toml", GRAPH)


def test_tables_of_vectors_are_galleries(tmp_path: Path) -> None:
    found = table(tmp_path, '"a, b",' + ",".join("10000000") + "\nc," + ",".join("02000000") + "\n\n", "top = 2")
    assert isinstance(found.decider, Embedder) and found.decider.gallery.labels == ("a, b", "c")
    assert found.decider.gallery.vectors.tolist() == np.eye(8)[:2].tolist()
    for name, content in found.files().items():
        (tmp_path / name).write_bytes(content)
    assert task.of_manifest({"task": found.json()}, tmp_path) == found
    with pytest.raises(CheckFailed, match="has 2 vectors, not 1"):
        task.of_manifest({"task": {**found.json(), "vectors": 1}}, tmp_path)
    with pytest.raises(CheckFailed, match="is damaged"):
        task.of_manifest({"task": found.json()})
    (tmp_path / gallery.FILE).unlink()
    with pytest.raises(CheckFailed, match="is damaged"):
        task.of_manifest({"task": found.json()}, tmp_path)


@pytest.mark.parametrize(
    ("text", "keys", "words"),
    [
        ("a,1,2\n", "", "vectors of 2 numbers, the network's output has 8"),
        ("a,1,2\nb,1\n", "", "line 2 of 'g.csv' has 1 numbers"),
        ("a,1,x\n", "", "line 1 of 'g.csv': could not convert"),
        ("a,1,nan\n", "", "vector 1, of 'a', has no direction"),
        ("a,1,1\nb,0,0\n", "", "vector 2, of 'b', has no direction"),
        ("a,1e999,0\n", "", "has no direction"),
        ("", "", "has 0 lines"),
        ("a\n", "", "vectors of 0 numbers"),
        ("a" + ",1" * 5000 + "\n", "", "1 vectors of 5000 numbers"),
        ("a\x01,1,2\n", "", "the label"),
        (",1,2\n", "", "the label"),
        ("a,1\n", "threshold = 2", "is no cosine"),
        ("a,1\n", "threshold = nan", "is not a number"),
        ("a,1\n", "top = 0", "at least 1"),
        ("a,1\n", "labels = []", "labels is not a key"),
    ],
)
def test_tables_that_are_refused(text: str, keys: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        table(tmp_path, text, keys)
    assert "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ('"../things"', "leads out of the task's folder"),
        ('"/etc"', "leads out of the task's folder"),
        ('"missing"', "no folder 'missing'"),
        ('"linked"', "no folder 'linked'"),
        ('"things"', "is a link"),
        ('"g.csv"', "cannot be read"),
        ("3", "name of a folder"),
        ('""', "name of a folder"),
    ],
)
def test_folders_elsewhere_are_no_galleries(given: str, words: str, tmp_path: Path) -> None:
    """A stranger's task does not carry one's own photos away."""
    inner = tmp_path / "inner"
    inner.mkdir()
    embedding_networks.photos(inner / "things", 0, 1)
    (inner / "linked").symlink_to(inner / "things")
    (inner / "things" / "anna" / "x.png").symlink_to("/etc/passwd")
    (inner / "task.toml").write_text(f'schema = 1\ntask = "embedding"\ngallery = {given}\n')
    with pytest.raises(UsageError, match=words):
        task.read(inner / "task.toml", GRAPH)


@pytest.mark.parametrize(
    ("name", "label"),
    [("anna/1.jpg", "anna"), ("anna.jpg", "anna"), ("a.b.jpg", "a.b"), ("anna/a.wav at 1.5 s", "anna")],
)
def test_labels_are_told_by_names(name: str, label: str) -> None:
    assert label_of(name) == label


def test_outputs_that_are_no_vectors_are_refused() -> None:
    graph = embedding_networks.task_networks.segmenter("number")
    with pytest.raises(UsageError, match="needs an output of 2 to 4096 real numbers"):
        Embedder().check(graph, "embedding", "task.toml")
    with pytest.raises(UsageError, match="vectors of 4 numbers, the network"):
        Embedder(gallery=replace(AXES, size=4, data=AXES.data[:48])).check(GRAPH, "embedding", "task.toml")


def test_no_cosine_is_negative_zero() -> None:
    found = cosines(np.array([-0.0, -1.0]), Gallery.of(np.array([[1.0, 0.0]]), ["a"]))
    assert found.tolist() == [0.0] and not np.signbit(found).any()


def test_the_largest_gallery_is_read(tmp_path: Path) -> None:
    """65,536 vectors of 128 elements, each with a label of 200 bytes; not one byte more."""
    vectors = np.zeros((65_536, 128), np.float32)
    vectors[:, 0] = 1
    largest = Gallery(
        128, tuple(f"{number:0200d}" for number in range(65_536)), tuple(range(65_536)), vectors.tobytes()
    )
    content = largest.packed()
    assert len(content) == 24 + 4 * 8_388_608 + 65_536 * 205
    (tmp_path / gallery.FILE).write_bytes(content)
    assert Gallery.read(tmp_path) == largest
    (tmp_path / gallery.FILE).write_bytes(content + b"\0")
    with pytest.raises(ValueError, match="is no gallery"):
        Gallery.read(tmp_path)
