"""Rows of tables as a task's source: what becomes of cells, in Python and in C, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import platform
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import resources
from edgekit.backends import runner_build
from edgekit.data import dataset
from edgekit.errors import CheckFailed, UsageError
from edgekit.graph import Graph, tflite
from edgekit.tasks import task
from edgekit.tasks.regressor import Regressor
from edgekit.tasks.row import Code, Column, Row
from edgekit.tasks.task import Task
from tests.e2e.command import edgekit
from tests.networks.tabular import RANKING, one_input, two_inputs
from tests.networks.tabular import REGRESSION as GOOD

LINUX = resources.folder("firmware_stubs") / "linux"
TABLE = "size,age,color,y,g\nM,30,blue,95.5,a\nS,52.25,red,120,b\nXL,1e1,green,7,a\n"


def read(folder: Path, text: str, graph: Graph) -> Task:
    (folder / "task.toml").write_text(text)
    return task.read(folder / "task.toml", graph)


def test_cells_become_scaled_numbers_and_categories(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD, one_input())
    assert isinstance(found.source, Row) and isinstance(found.decider, Regressor)
    assert [one.code for one in found.source.columns] == [Code.NUMBER, Code.ONE_HOT, Code.INDEX]
    (tmp_path / "t.csv").write_text(TABLE)
    data = dataset.load(str(tmp_path / "t.csv"), one_input(), task=found)
    expected = [[-0.8, 0, 0, 1, 1], [0.98, 1, 0, 0, 0], [-2.4, 0, 1, 0, 2]]
    np.testing.assert_array_equal(data.inputs[0][:, 0], np.float32(expected))
    assert data.truth is not None and data.truth.tolist() == [95.5, 120, 7] and data.labels is None
    assert data.groups is not None and data.groups.tolist() == ["a", "b", "a"]
    assert task.of_manifest(json.loads(json.dumps({"task": found.json()}))) == found


def test_categories_of_many_values_take_no_more_memory_than_their_elements() -> None:
    column = Column("city", Code.ONE_HOT, values=tuple(map(str, range(5000))))
    tracemalloc.start()
    made = column.real(["7", "4999"])
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert made.argmax(axis=1).tolist() == [7, 4999] and made.sum() == 2
    assert most < 4 << 20


def test_rankings_are_told_the_right_candidate(tmp_path: Path) -> None:
    found = read(tmp_path, RANKING, two_inputs())
    (tmp_path / "t.csv").write_text("hour,user,label\n12,eve,beer\n6,ann,0\n")
    data = dataset.load(str(tmp_path / "t.csv"), two_inputs(), task=found)
    assert data.inputs[0].tolist() == [[[2]], [[0]]] and str(data.inputs[0].dtype) == "int32"
    assert data.inputs[1].tolist() == [[[0.5]], [[0.25]]]
    assert data.labels is not None and data.labels.tolist() == [2, 0]


@pytest.mark.parametrize(
    ("text", "old", "new", "words"),
    [
        (GOOD, "std = 12.5", "std = 0", "std is not above 0"),
        (GOOD, "std = 12.5", "median = 3", "median is not a key"),
        (GOOD, 'name = "color"', 'name = "age"', "two are called 'age'"),
        (GOOD, '"green"', '"red"', "the values of 'color' are missing, or one is there twice"),
        (GOOD, '["red", "green", "blue"]', "[]", "the values of 'color' are missing"),
        (GOOD, '["red", "green", "blue"]', '"../colors.txt"', "'../colors.txt' cannot be read"),
        (GOOD, '"blue"]', '"blue"], mean = 1', "which exclude mean and std"),
        (GOOD, '"index"', '"bits"', "one of number, one-hot, index"),
        (GOOD, '"index"', '"number"', 'its code is "one-hot" or "index"'),
        (GOOD, ', code = "index"', "", "are 7 numbers, but it takes [1, 5]"),
        (GOOD, 'unit = "EUR"', "unit = 3", "the label 3"),
        (GOOD, "std = 20", "std = -1", "std is not above 0"),
        (RANKING, 'input = "who"', 'input = "whom"', "has no input 'whom'"),
        (RANKING, 'input = "who"', "input = 2", "not a whole number up to 1"),
        (RANKING, 'values = ["ann", "bob", "eve"]', "std = 3", "takes whole numbers, so 'user' needs code"),
        (RANKING, '"wine"]', '"wine", "gin"]', "5 labels for 4 classes"),
    ],
)
def test_tasks_that_are_refused(tmp_path: Path, text: str, old: str, new: str, words: str) -> None:
    assert old in text
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text.replace(old, new, 1), one_input() if text is GOOD else two_inputs())
    assert words in refused.value.message and "\n" not in refused.value.message


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (TABLE.replace("52.25", "old"), "row 3, column 'age': 'old' is not a number"),
        (TABLE.replace("52.25", "nan"), "row 3, column 'age': 'nan' is not a number"),
        (TABLE.replace("green", "pink"), "row 4, column 'color': 'pink' is not among its values"),
        (TABLE.replace("color", "colour"), "it has no column 'color'"),
        (TABLE.replace("120", "dear"), "row 3, column 'y': 'dear' is not a number"),
        (TABLE.replace("120", "inf"), "row 3, column 'y': 'inf' is not a number that float32 holds"),
        (TABLE.replace("52.25", "1e300"), "row 3, column 'age': '1e300' is too large"),
        (TABLE.replace("\n", "\n\n").replace("52.25", "1e999"), "row 5, column 'age': '1e999' is not a number"),
        (TABLE.replace("\n", "\n\n").replace("120", "-"), "row 5, column 'y': '-' is not a number"),
    ],
)
def test_tables_that_are_refused(tmp_path: Path, table: str, words: str) -> None:
    found = read(tmp_path, GOOD, one_input())
    (tmp_path / "t.csv").write_text(table)
    with pytest.raises(UsageError) as refused:
        dataset.load(str(tmp_path / "t.csv"), one_input(), task=found)
    assert words in refused.value.message and "\n" not in refused.value.message


def test_damaged_manifests_are_refused(tmp_path: Path) -> None:
    made = read(tmp_path, GOOD, one_input()).json()
    for key, value in (("code", "hex"), ("std", 0), ("values", ["a", "a"]), ("input", -1), ("name", 7)):
        damaged = json.loads(json.dumps(made))
        damaged["row"]["columns"][1][key] = value
        with pytest.raises(CheckFailed, match="is damaged"):
            task.of_manifest({"task": damaged})


# The same in C


def decided(folder: Path, text: str, graph: Graph, columns: list[str], rows: list[list[Any]]) -> tuple[Any, Any]:
    """What ``edgekit run`` decides on rows, and what the library for Python does."""
    tflite.write(graph, folder / "model.tflite")
    (folder / "task.toml").write_text(text)
    with (folder / "x.csv").open("w", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    (folder / "board.py").write_text(
        """
import json, sys
from edgekit_runtime import Error, Network
network, call = Network(sys.argv[1]), sys.argv[2]
made = []
for row in json.load(sys.stdin):
    try:
        found = getattr(network, call)(row)
        made.append(found if call == "estimate" else [one._asdict() for one in found])
    except Error as error:
        made.append(str(error))
print(json.dumps(made))
"""
    )
    data = ["--data", folder / "x.csv"]
    (bundle,) = edgekit("compile", folder / "model.tflite", "-t", "host", "--out", folder, *data, "--json").json[
        "bundles"
    ]
    theirs = edgekit("run", bundle["path"], *data, "--json").json["decisions"]
    library = runner_build.library(platform.machine()).path
    env = {**os.environ, "PYTHONPATH": str(LINUX / "python"), "EDGEKIT_LIBRARY": str(library)}
    call = "estimate" if "regression" in text else "classify"
    unknown = ["?" if isinstance(cell, str) else cell for cell in rows[0]]
    texts, numbers = ["x"] * len(rows[0]), [3.0] * len(rows[0])
    wrong = [[1], [*rows[0], 1], texts, numbers, [float("inf"), *rows[0][1:]], unknown]
    wrong.append([1e300, *rows[0][1:]])
    command = [sys.executable, folder / "board.py", bundle["path"], call]
    done = subprocess.run(command, input=json.dumps(rows + wrong), env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    ours = json.loads(done.stdout)
    told = ours[len(rows) :]
    assert all(isinstance(one, str) and ("the cell of column" in one or "columns, the row" in one) for one in told)
    assert "regression" not in text or [one.rpartition("' ")[2] for one in told[-3:]] == [
        "is not a number", "is not among its values", "is too large",
    ]  # fmt: skip
    return theirs, ours[: len(rows)]


def test_c_estimates_the_same_bits(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    rows = [
        [float(rng.normal(40, 20)), ["red", "green", "blue"][n % 3], ["S", "M", "XL", "XXL"][n % 4]] for n in range(40)
    ]
    theirs, ours = decided(tmp_path, GOOD, one_input(), ["age", "color", "size"], rows)
    assert [one["values"] for one in theirs] == ours and theirs[0]["unit"] == "EUR"
    assert estimated_in_cpp(tmp_path, rows[0]) == f"{ours[0][0]:.9g} EUR\n"


def estimated_in_cpp(folder: Path, row: list[Any]) -> str:
    """What a program in C++ prints of a row, with the bundle in ``folder``."""
    age, *names = row
    (folder / "ask.cpp").write_text(
        '#include <edgekit.hpp>\n#include <cstdio>\nint main(int, char **argv)\n{\n'
        "    edgekit::Network network(argv[1]);\n    std::vector<edgekit_cell> row(3);\n    std::string unit;\n"
        f"    row[0].number = {age!r};\n    row[1].text = argv[2];\n    row[2].text = argv[3];\n"
        "    network.set_row(row);\n    network.run();\n"
        '    std::printf("%.9g %s\\n", static_cast<double>(network.values(&unit).at(0)), unit.c_str());\n}\n'
    )  # fmt: skip
    (folder / "libedgekit.so.1").write_bytes(runner_build.library(platform.machine()).path.read_bytes())
    (folder / "libedgekit.so").symlink_to("libedgekit.so.1")
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{LINUX}", f"-L{folder}", "-ledgekit"]
    subprocess.run(["g++", folder / "ask.cpp", "-o", folder / "ask", *flags], check=True)
    (bundle,) = folder.glob("*.host")
    return subprocess.check_output(
        [folder / "ask", bundle, *names], env={**os.environ, "LD_LIBRARY_PATH": str(folder)}, text=True
    )


def test_c_ranks_the_same(tmp_path: Path) -> None:
    rows = [[["ann", "bob", "eve"][n % 3], n / 7] for n in range(30)]
    theirs, ours = decided(tmp_path, RANKING, two_inputs(), ["user", "hour"], rows)
    assert [one["ranked"] for one in theirs] == ours and len(ours[0]) == 2
