"""Parquet tables: the same samples as CSV gives, and files from anybody."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.data import dataset, table, texts
from edgekit.errors import UsageError
from edgekit.graph import Graph, tflite
from edgekit.tasks import task
from tests.installed import needed
from tests.networks import tabular
from tests.networks.small import dense

needed("pyarrow", "parquet")

import pyarrow as pa  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402

COLUMNS: dict[str, Any] = {
    "size": ["M", "S", "XL"], "age": [30, 52.25, 0.1], "color": ["blue", "red", "green"], "y": [95.5, 120, 1e-7],
    "g": ["a", "b", "a"],
}  # fmt: skip


def network() -> Graph:
    return dense(np.ones((2, 2), np.float32), np.zeros(2, np.float32))


def written(path: Path, columns: Any, **options: Any) -> Path:
    pq.write_table(pa.table(columns), path, **options)
    return path


def test_a_task_reads_the_same_of_both_forms(tmp_path: Path) -> None:
    model = tabular.written(tmp_path, "regression")
    graph = tflite.read(model)
    found = task.read(tmp_path / "task.toml", graph)
    lines = [",".join(COLUMNS), *(",".join(map(str, row)) for row in zip(*COLUMNS.values(), strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    written(tmp_path / "t.parquet", COLUMNS, row_group_size=2, compression="zstd")
    ours, theirs = (dataset.load(str(tmp_path / name), graph, task=found) for name in ("t.parquet", "t.csv"))
    np.testing.assert_array_equal(ours.inputs[0], theirs.inputs[0])
    assert ours.truth is not None and theirs.truth is not None and ours.groups is not None
    assert ours.truth.tolist() == theirs.truth.tolist() == [95.5, 120, 1e-7] and ours.groups.tolist() == ["a", "b", "a"]


def test_numbers_of_every_type_are_kept_exactly(tmp_path: Path) -> None:
    columns = {
        "a": pa.array([0.1, 3e38], pa.float32()), "b": pa.array([True, False]),
        "y": pa.array(["no", "yes"]).dictionary_encode(),
    }  # fmt: skip
    found = dataset.load(str(written(tmp_path / "t.parquet", columns)), network())
    np.testing.assert_array_equal(found.inputs[0][:, 0], np.array([[0.1, 1], [3e38, 0]], np.float32))
    assert found.labels is not None and found.labels.tolist() == [0, 1]
    big = table.read(written(tmp_path / "big.parquet", {"n": pa.array([2**63 - 1, -5], pa.int64())}))
    assert list(big.columns["n"].cells) == [str(2**63 - 1), "-5"]


def test_texts(tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", {"text": ["turn on\nthe light", "st\u00f6p"], "label": [1, 0]})
    found = texts.load(path, ("off", "on"))
    assert found.texts == ["turn on\nthe light", "st\u00f6p"]
    assert found.labels is not None and found.labels.tolist() == [1, 0]


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"a": [1.0, None], "b": [1, 2]}, "row 2, column 'a' is empty"),
        ({"a": [1.0, float("nan")], "b": [1, 2]}, "row 2, column 'a': 'nan' is not a number that float32 holds"),
        ({"a": [1.0, 1e300], "b": [1, 2]}, "row 2, column 'a': '1e+300' is not a number that float32 holds"),
        ({"a": [[1, 2], [3]], "b": [1, 2]}, "column 'a' holds list<"),
        ({"a": [b"x", b"y"], "b": [1, 2]}, "column 'a' holds binary"),
        ({"a": ["x" * 300, "y"], "b": [1, 2]}, "row 1 has a cell of over 256 characters"),
        ({"a": pa.array([], pa.float32())}, "no samples"),
        ({"a": [1.0], "a ": [1.0]}, "two columns are called 'a'"),
        ({f"c{n}": [1] for n in range(10_001)}, "10001 columns, the limit is 10000"),
        ({"a": pa.array(np.zeros(20_000_001, np.int8))}, "20000001 rows of 1 columns are too many"),
    ],
)
def test_what_is_wrong_is_named(columns: Any, words: str, tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", columns)
    with pytest.raises(UsageError) as refused:
        dataset.load(str(path), network())
    assert words in refused.value.message and "\n" not in refused.value.message


def test_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    good = written(tmp_path / "t.parquet", {"a": list(range(50)), "b": [n / 7 for n in range(50)]}).read_bytes()
    generator, bad = random.Random(5), tmp_path / "bad.parquet"
    for number in range(16):
        data = bytearray(good)
        for _ in range(3):
            data[generator.randrange(len(data))] = generator.randrange(256)
        bad.write_bytes(bytes(data[: generator.randrange(len(data))]) if number % 4 == 0 else data)
        try:
            table.read(bad)
        except UsageError as error:
            assert "\n" not in error.message and "bad.parquet" in error.message
