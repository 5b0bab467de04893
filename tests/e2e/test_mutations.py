"""Thousands of damaged models: each is read or refused in one line; the parent never falls.

The calls go through the command line's own entry function, in this process, so that a traceback, a crash or a
hang would end the test. Mutations are seeded: a failure names the file and the seed that bring it back.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.conftest import MODELS, SHARED_TFLITE
from tests.e2e.mutations import call, mutate

INSPECTED, COMPILED, ONNX = 170, 50, 60


@pytest.mark.slow
@pytest.mark.parametrize("path", SHARED_TFLITE, ids=lambda p: p.stem)
def test_inspect(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    codes = []
    for seed in range(INSPECTED):
        (tmp_path / "m.tflite").write_bytes(mutate(data, seed))
        codes.append(call(["inspect", str(tmp_path / "m.tflite"), "--json"], f"inspect {path.name}, seed {seed}"))
    print(path.name, {code: codes.count(code) for code in set(codes)})
    assert 3 in codes
    assert 0 in codes


@pytest.mark.slow
@pytest.mark.parametrize("path", SHARED_TFLITE, ids=lambda p: p.stem)
def test_compile(path: Path, tmp_path: Path) -> None:
    """Through the interpreter too: what survives reading meets LiteRT, in a child that may die of it."""
    data = path.read_bytes()
    out = tmp_path / "build"
    codes = []
    for seed in range(1000, 1000 + COMPILED):
        (tmp_path / "m.tflite").write_bytes(mutate(data, seed))
        arguments = ["compile", str(tmp_path / "m.tflite"), "-t", "host", "-o", str(out), "--json", "-q"]
        codes.append(call(arguments, f"compile {path.name}, seed {seed}"))
        left = {p.name for p in out.iterdir()} if out.exists() else set()
        assert left == ({"m.as-is.host"} if codes[-1] == 0 else set()), f"seed {seed} left {left}"
        shutil.rmtree(out, ignore_errors=True)
    print(path.name, {code: codes.count(code) for code in set(codes)})
    assert 0 in codes


@pytest.mark.slow
@pytest.mark.usefixtures("onnx_converter")
def test_onnx(tmp_path: Path) -> None:
    path = MODELS / "onnx" / "magika.onnx"
    if not path.is_file():
        pytest.skip("the shared models are not there")
    data = path.read_bytes()
    for seed in range(ONNX):
        (tmp_path / "m.onnx").write_bytes(mutate(data, seed))
        call(["inspect", str(tmp_path / "m.onnx"), "--json"], f"inspect magika.onnx, seed {seed}")
