"""A network of a table's columns: compiled, proven and judged on a CSV file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgekit.graph import tflite
from tests.e2e.command import edgekit, refused
from tests.networks.small import dense


def test_a_table_calibrates_judges_and_is_run(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(120, 3)).astype(np.float32)
    weights = np.array([[2, -1, 0.5], [-2, 1, -0.5]], np.float32)
    names = np.array(["low", "high"])[(x @ weights.T).argmax(axis=1)]
    tflite.write(dense(weights, np.zeros(2, np.float32)), tmp_path / "net.tflite")
    lines = ["a,b,c,y", *(",".join([*map(str, row), name]) for row, name in zip(x.tolist(), names, strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(lines))
    options = ["--data", "t.csv", "-r", "int8", "-o", "build", "--metric", "f1", "--json"]
    made = edgekit("compile", "net.tflite", "-t", "host", *options, cwd=tmp_path).json["bundles"][0]
    assert made["accuracy"]["float"] == 0.0  # in sorted order, high is class 0: the network has it the other way round
    run = edgekit("run", made["path"], "--data", "t.csv", "--json", cwd=tmp_path).json
    assert run["samples"] == 120
    lines[5] = lines[5].replace(",", ",?", 1)
    (tmp_path / "t.csv").write_text("\n".join(lines))
    done = edgekit("compile", "net.tflite", "-t", "host", "-r", "int8", "--data", "t.csv", cwd=tmp_path)
    refused(done, 2, "row 6, column 'b': '?")
