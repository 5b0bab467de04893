"""What the C library makes of single values, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgekit.graph import tflite
from edgekit.tasks.row import Code, Column
from tests.e2e.command import edgekit
from tests.networks import tabular
from tests.tasks import text_networks
from tests.tasks.c_library import called


def test_values_beyond_the_room_are_left_out(tmp_path: Path) -> None:
    """Of a regression with three outputs, and as many places as are given."""
    (tmp_path / "task.toml").write_text(tabular.REGRESSION)
    tflite.write(tabular.one_input(3), tmp_path / "model.tflite")
    (bundle,) = edgekit(
        "compile", tmp_path / "model.tflite", "--target", "host", "--out", tmp_path / "build", "--json"
    ).json["bundles"]  # fmt: skip
    program = """
import ctypes, json, sys
import edgekit_runtime as runtime
network = runtime.Network(sys.argv[1])
whole, found = network.estimate([30.0, "red", "S"]), []
for most in (0, 1, 2, 3, 5):
    to, count = (ctypes.c_float * 8)(*[7.5] * 8), ctypes.c_uint32()
    assert not runtime._library.edgekit_values(network._open(), to, most, ctypes.byref(count), None)
    found.append([count.value, list(to)])
print(json.dumps([whole, found]))
"""
    whole, found = called(program, bundle["path"])
    assert len(whole) == 3
    for most, (count, values) in zip((0, 1, 2, 3, 5), found, strict=True):
        assert count == min(most, 3) and values == [*whole[:count], *[7.5] * (8 - count)]


def test_numbers_of_a_row_are_divided_by_their_deviation(tmp_path: Path) -> None:
    """The quotients lie between two floats, and become the even one; times 1 / 49 they would become the other."""
    text = tabular.REGRESSION.replace("mean = 40, std = 12.5", "mean = 0, std = 49")
    tflite.write(tabular.one_input(), tmp_path / "model.tflite")
    (tmp_path / "task.toml").write_text(text)
    options = ("--target", "host", "--out", tmp_path / "build", "--json")
    (bundle,) = edgekit("compile", tmp_path / "model.tflite", *options).json["bundles"]
    program = """
import json, sys
import edgekit_runtime as runtime
network, made = runtime.Network(sys.argv[1]), []
for number in json.load(sys.stdin):
    network.estimate([number, "red", "S"])
    made.append(network._inputs[0].ravel().tolist()[0])
print(json.dumps(made))
"""
    numbers = [87.25395673513412, 78.25233715772629, 92.2720155119896]
    expected = [float.fromhex("0x1.c7db80p+0"), float.fromhex("0x1.98d41cp+0"), float.fromhex("0x1.e21300p+0")]
    assert called(program, bundle["path"], numbers) == expected
    column = Column("age", Code.NUMBER, std=49)
    assert column.real(list(map(repr, numbers))).astype(np.float32).ravel().tolist() == expected


def test_no_text_is_an_empty_text(tmp_path: Path) -> None:
    options = ("--target", "host", "--out", tmp_path / "build", "--json")
    (bundle,) = edgekit("compile", text_networks.written(tmp_path), *options).json["bundles"]
    program = """
import json, sys
import edgekit_runtime as runtime
network, made = runtime.Network(sys.argv[1]), []
for text, size in ((b"", 0), (None, 0), (None, 1)):
    status = runtime._library.edgekit_set_text(network._open(), text, size)
    made.append([status, network._inputs[0].tolist()])
print(json.dumps(made))
"""
    empty, none, wrong = called(program, bundle["path"])
    assert empty[0] == 0 and none == empty and wrong[0] != 0
