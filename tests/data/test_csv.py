"""Tables as samples: what they give, and what is refused with its row and column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.data import dataset, tables
from edgekit.errors import UsageError
from edgekit.graph import Graph, Subgraph, Tensor
from tests.networks.small import dense


def table(tmp_path: Path, text: str, name: str = "t.csv") -> str:
    path = tmp_path / name
    path.write_text(text)
    return str(path)


@pytest.fixture
def network() -> Graph:
    """Three features, two classes."""
    return dense(np.ones((2, 3), np.float32), np.zeros(2, np.float32))


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_features_labels_and_groups(network: Graph, tmp_path: Path, separator: str) -> None:
    rows = ["a,y,b,c,g", "1,0,2.5,-3e2,east", "", '"4",1, 5 ,6,west']
    found = dataset.load(table(tmp_path, "\n".join(rows).replace(",", separator)), network)
    np.testing.assert_array_equal(found.inputs[0], np.array([[[1, 2.5, -300]], [[4, 5, 6]]], np.float32))
    assert found.labels is not None and found.labels.tolist() == [0, 1]
    assert found.groups is not None and found.groups.tolist() == ["east", "west"]


def test_names_of_classes_are_counted_in_sorted_order(network: Graph, tmp_path: Path) -> None:
    found = dataset.load(table(tmp_path, "a,b,c,y\n1,2,3,yes\n1,2,3,no\n1,2,3,yes\n"), network)
    assert found.labels is not None and found.labels.tolist() == [1, 0, 1]


def test_numbers_to_predict_are_kept_as_they_are(network: Graph, tmp_path: Path) -> None:
    found = dataset.load(table(tmp_path, "a,b,c,y\n1,2,3,7.0\n1,2,3,9.0\n"), network)
    assert found.labels is None
    assert found.truth is not None and found.truth.tolist() == [7.0, 9.0]


def two_inputs() -> Graph:
    tensors = [Tensor("age", (1, 1), "float32"), Tensor("item", (1, 2), "int32"), Tensor("out", (1, 2), "float32")]
    return Graph([Subgraph("main", tensors, [], (0, 1), (2,))])


def test_several_inputs_have_their_columns_by_name(tmp_path: Path) -> None:
    found = dataset.load(table(tmp_path, "item[0],age,item[1]\n3,41.5,4\n5,20,6\n"), two_inputs())
    assert found.inputs[0].tolist() == [[[41.5]], [[20.0]]]
    assert found.inputs[1].tolist() == [[[3, 4]], [[5, 6]]]
    assert str(found.inputs[1].dtype) == "int32"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b,c\n1,2,red\n", "row 2, column 'c': 'red' is not a number"),
        ("a,b,c\n1,2,3\n1,,3\n", "row 3, column 'b' is empty"),
        ("a,b,c\n1,2\n", "row 2 has 2 cells, the row of names 3"),
        ("a,b,c\n", "no samples"),
        ("", "no samples"),
        ("1,2,3\n4,5,6\n", "the first row holds numbers"),
        ("a,b,a\n1,2,3\n", "two columns are called 'a'"),
        ("a,,c\n1,2,3\n", "a column has no name"),
        ("a,b\n1,2\n", "has shape [1, 2], expected"),
        ("a,b,c,y\n1,2,3,no\n1,2,3,\n", "row 3, column 'y' is empty"),
        ("a,b,c,y\n1,2,3,5\n", "labels must be 0..1, found 5..5"),
        ("a,b,c\n1,2,nan\n", "row 2, column 'c': 'nan' is not a number that float32 holds"),
        ("a,b,c\n1,2,1_0\n", "'1_0' is not a number"),
        ("\n\na,b,c\n1,2,3\n\n\n1,2,red\n", "row 7, column 'c': 'red' is not a number"),
        ("\na,b,c\n\n1,2,1e300\n", "row 4, column 'c': '1e300' is not a number that float32 holds"),
        ("\n\na,b,c,y\n1,2,3,inf\n", "row 4, column 'y': 'inf' is not a number that float32 holds"),
        ('a,b,c\n1,2,"3\n', "not a table"),
        ("a,b,c\n1,2," + "3" * 300 + "\n", "over 256 characters"),
    ],
)
def test_what_is_wrong_is_named(text: str, words: str, network: Graph, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as error:
        dataset.load(table(tmp_path, text), network)
    assert words in error.value.message


def test_a_file_that_is_no_text(network: Graph, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00a,b,c\n")
    with pytest.raises(UsageError, match="UTF-8"):
        dataset.load(str(tmp_path / "t.csv"), network)


def test_an_input_without_columns_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no column for input 'item'"):
        dataset.load(table(tmp_path, "age\n1\n"), two_inputs())


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet='ay,;\n"1.2e-\t ', max_size=60))
def test_any_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_text(text)
    try:
        found = tables.read(path, [("x", Tensor("x", (1, 1), "float32"))])
    except UsageError as error:
        assert "\n" not in error.message
    else:
        assert len(found["x"]) >= 1
