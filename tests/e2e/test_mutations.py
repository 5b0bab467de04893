"""Thousands of damaged models: each is read or refused in one line; the parent never falls.

The calls go through the command line's own entry function, in this process, so that a traceback, a crash or a
hang would end the test. Mutations are seeded: a failure names the file and the seed that bring it back.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from edgekit.cli import invoke
from tests.conftest import MODELS, SHARED_TFLITE

INSPECTED, COMPILED, ONNX = 170, 50, 60
SECONDS = 60
"""No single call may take longer; the usual one takes milliseconds."""


def mutate(data: bytes, seed: int) -> bytes:
    """Damage a file: mostly few changed bytes, in half of the cases where the structure is; rarely cut or repeated."""
    rng = np.random.default_rng(seed)
    changed = bytearray(data)
    for _ in range(int(rng.geometric(0.5))):
        # Flatbuffers keep their tables at both ends, protobuf between the weights.
        reach = len(changed) if rng.random() < 0.5 else min(len(changed), 4096)
        position = int(rng.integers(reach))
        if rng.random() < 0.5:
            position = len(changed) - 1 - position
        kind = rng.choice(6, p=[0.4, 0.25, 0.25, 0.03, 0.03, 0.04])
        if kind == 0:
            changed[position] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            changed[position] = int(rng.integers(256))
        elif kind == 2:
            extremes = (0, -1, 2**31 - 1, -(2**31), 2**16, 1)
            start = position & ~3
            changed[start : start + 4] = int(extremes[rng.integers(6)]).to_bytes(4, "little", signed=True)
        elif kind == 3:
            del changed[position : position + int(rng.integers(1, 64))]
        elif kind == 4:
            changed[position:position] = changed[position : position + int(rng.integers(1, 64))]
        elif len(changed) > 64:
            del changed[int(rng.integers(64, len(changed))) :]
        if not changed:
            return b""
    return bytes(changed)


def call(args: list[str], what: str) -> int:
    """Call the command line; check its manners; return the exit code."""
    out, err = io.StringIO(), io.StringIO()
    start = time.monotonic()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = invoke(args)
    assert time.monotonic() - start < SECONDS, f"{what} took too long"
    assert code in (0, 3, 5), f"{what} ended with {code}: {err.getvalue()}"
    lines = [line for line in err.getvalue().splitlines() if not line.startswith(("warning:", "note:"))]
    assert len(lines) <= 2, f"{what}: {err.getvalue()}"
    assert (code == 0) == (not lines), f"{what}: {err.getvalue()}"
    return code


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
