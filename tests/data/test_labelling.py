from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.data import dataset, labelling
from edgekit.errors import UsageError
from tests.networks.small import dense

FILE = Path("d.npz")


@pytest.mark.parametrize(
    "g",
    [
        np.array([1, 2, 1]),
        np.array([1.0, 2.0, 1.0]),
        np.array([[1], [2], [1]], np.uint8),
        np.array([True, False, True]),
    ],
)
def test_groups_are_integers(g):
    found = labelling.groups(g, 3, FILE)
    assert found.dtype == np.int64 and found.shape == (3,) and found[0] == found[2] != found[1]


def test_or_texts():
    assert labelling.groups(np.array(["a", "ß", "a"]), 3, FILE).tolist() == ["a", "ß", "a"]
    assert labelling.groups(np.array([b"x", b"y", b"x"]), 3, FILE).tolist() == ["x", "y", "x"]


@pytest.mark.parametrize(
    ("g", "words"),
    [
        (np.array([1, 2]), "g has 2 groups, x has 3"),
        (np.zeros((3, 2), int), r"the shape \[3, 2\]"),
        (np.array(3), r"the shape \[\]"),
        (np.array([1, np.nan, 2]), "NaN"),
        (np.array([1, np.inf, 2]), "infinity"),
        (np.array([0.5, 1, 2]), "fractions"),
        (np.array(["a", "", "b"]), "empty"),
        (np.array(["a", "\x1b[2J", "b"]), "cannot be printed"),
        (np.array(["a", "\ud800", "b"]), "cannot be printed"),
        (np.array([b"\x1b", b"a", b"b"]), "cannot be printed"),
    ],
)
def test_wrong_groups_are_one_clear_line(g, words):
    with pytest.raises(UsageError, match=words):
        labelling.groups(g, 3, FILE)


def test_a_group_a_sample_is_none():
    with pytest.raises(UsageError, match="limit is 1000"):
        labelling.groups(np.arange(1001), 1001, FILE)


def save(folder: Path, **arrays: np.ndarray) -> str:
    np.savez(folder / "d.npz", **arrays)
    return str(folder / "d.npz")


def test_groups_come_from_the_file_and_follow_their_samples(tmp_path):
    graph = dense(np.eye(4, dtype=np.float32), np.zeros(4, np.float32))
    n = np.arange(40)
    spec = save(tmp_path, x=np.tile(n[:, None], 4).astype(np.float32), y=n % 4, g=(n % 3).astype(str))
    data = dataset.load(spec, graph)
    parts = [dataset.load(f"{spec}?part={k}/3", graph, seed=1) for k in (1, 2, 3)]
    for part in (data, data.subset(10, seed=3), *parts):
        number = part.inputs[0][:, 0, 0].astype(int)
        assert part.labels is not None and part.groups is not None
        assert (part.labels == number % 4).all() and part.groups.tolist() == [str(k % 3) for k in number]


def test_letters_that_do_not_exist_are_refused(tmp_path):
    graph = dense(np.eye(4, dtype=np.float32), np.zeros(4, np.float32))
    wrong = np.array([0x110000, 0x41], np.uint32).view("U1")
    with pytest.raises(UsageError, match="letters"):
        dataset.load(save(tmp_path, x=np.ones((2, 4), np.float32), g=wrong), graph)
    with pytest.raises(UsageError, match="short texts"):
        dataset.load(save(tmp_path, x=np.ones((2, 4), np.float32), g=np.array(["a" * 65, "b"])), graph)
    with pytest.raises(UsageError, match="expected numbers"):
        dataset.load(save(tmp_path, x=np.ones((2, 4), np.float32), y=np.array(["a", "b"])), graph)
