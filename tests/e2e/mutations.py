"""Damaged copies of models, put through the command line; also a program for more of them than a test has time for.

    python -m tests.e2e.mutations --tflite 2000 --onnx 200 --first-seed 10000

Every copy goes through ``inspect`` and ``compile``. Prints how often each exit code came, and each call that misbehaved
with the model and the seed that bring it back; ends with 1 if there was one.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np

from edgekit.cli import invoke
from tests.conftest import MODELS, SHARED_TFLITE

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tflite", type=int, default=2000, help="damaged .tflite files")
    parser.add_argument("--onnx", type=int, default=200, help="damaged .onnx files")
    parser.add_argument("--first-seed", type=int, default=10_000)
    args = parser.parse_args()
    cases = MODELS.parent / "cases"
    models = {
        "tflite": [*SHARED_TFLITE, *sorted(cases.glob("*.tflite"))],
        "onnx": sorted(cases.glob("*.onnx")),
    }
    with tempfile.TemporaryDirectory() as folder:
        failures = [
            failure
            for kind, count in (("tflite", args.tflite), ("onnx", args.onnx))
            for failure in _attempts(models[kind], count, args.first_seed, Path(folder))
        ]
    sys.exit(1 if failures else 0)


def _attempts(models: list[Path], count: int, first: int, folder: Path) -> list[str]:
    """Mutate the models in turn, ``count`` times in all; return what misbehaved."""
    failures, codes = [], Counter[str]()
    for seed, path in zip(range(first, first + count), itertools.cycle(models), strict=False):
        damaged, out = folder / f"m{path.suffix}", folder / "build"
        damaged.write_bytes(mutate(path.read_bytes(), seed))
        compiled = ["compile", str(damaged), "-t", "host", "-o", str(out), "--json", "-q"]
        for args in (["inspect", str(damaged), "--json"], compiled):
            what = f"{args[0]} {path.name}, seed {seed}"
            try:
                codes[f"{path.suffix} {args[0]} {call(args, what)}"] += 1
            except AssertionError as error:
                failures.append(str(error))
                print(f"FAILED {error}", flush=True)
        left = {entry.name for entry in out.iterdir()} if out.exists() else set()
        if not left <= {"m.as-is.host"}:
            failures.append(f"{path.name}, seed {seed}: left {left}")
            print(f"FAILED {failures[-1]}", flush=True)
        shutil.rmtree(out, ignore_errors=True)
    print(dict(sorted(codes.items())), f"{len(failures)} misbehaved", flush=True)
    return failures


if __name__ == "__main__":
    main()
