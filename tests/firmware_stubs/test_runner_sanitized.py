"""edgekit-run under AddressSanitizer and UndefinedBehaviorSanitizer, over the shared models and damaged copies of them.

Some damaged models make LiteRT's library crash, which is not instrumented: that says nothing about the runner.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from c_programs import ENVIRONMENT, HERE, LINUX, SANITIZE, compiled

from edgekit.backends.litert import library
from edgekit.graph import tflite
from edgekit.graph.repair import repair
from tests.conftest import MODELS, SHARED_TFLITE
from tests.e2e.mutations import mutate

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="gcc is not installed")
with_models = pytest.mark.skipif(not MODELS.is_dir(), reason="the shared models are not there")
MUTANTS = 3
"""Damaged copies of each shared model."""


@pytest.fixture(scope="module")
def runner(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # As edgekit builds it: clock_gettime is exported, everything else hidden.
    flags = (*SANITIZE, "-fvisibility=hidden", "-rdynamic", "-Wno-format-truncation")
    return compiled(tmp_path_factory.mktemp("sanitized") / "edgekit-run", sorted(LINUX.glob("*.c")), *flags)


def run(runner: Path, folder: Path, *options: object) -> subprocess.CompletedProcess[str]:
    command = [str(runner), "--inputs", "in.bin", "--outputs", "out.bin", "--trace", "t.json", *map(str, options)]
    environment = {**ENVIRONMENT, "RECORD": str(folder / "record"), "PATH": ""}
    environment["ASAN_OPTIONS"] += ":handle_segv=0:handle_abort=0:handle_sigfpe=0:handle_sigill=0:handle_sigbus=0"
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, errors="replace", check=False, timeout=60
    )


def reports(done: subprocess.CompletedProcess[str]) -> list[str]:
    """What a sanitizer found, without what LiteRT's code did; its library is not instrumented, but its memmove is."""
    found = re.findall(r"runtime error.*|ERROR: AddressSanitizer.*(?:\n.*)?(?:\n    #\d.*)*", done.stderr)
    return [report for report in found if not re.search(r"#0 .*interceptor.*\n    #1 .*libLiteRt\.so", report)]


def prepare(model: Path, folder: Path, count: int) -> bytes:
    """Write samples; return the model as it would be in a bundle."""
    graph = tflite.read(model)
    repair(graph)
    size = sum(int(np.prod(t.shape)) * np.dtype(t.dtype).itemsize for t in graph.inputs)
    drawn = np.random.default_rng(0).integers(0, 60, size * count, dtype=np.uint8)
    (folder / "in.bin").write_bytes(drawn.tobytes())
    return tflite.dumps(graph)


@with_models
@pytest.mark.parametrize("model", SHARED_TFLITE, ids=lambda path: path.stem)
def test_shared_models(runner: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(prepare(model, tmp_path, 2))
    given = ("--library", library.installed(), "--model", "m.tflite", "--samples", 2)
    done = run(runner, tmp_path, *given, "--repeat", 3, "--warmup", 1, "--profile")
    assert done.returncode == 0 and not reports(done), done.stderr[-3000:]
    assert (tmp_path / "out.bin").stat().st_size and (tmp_path / "t.json").stat().st_size
    done = run(runner, tmp_path, *given, "--markers", "--profile")
    assert done.returncode == 0 and not reports(done), done.stderr[-3000:]


@with_models
@pytest.mark.parametrize("model", SHARED_TFLITE, ids=lambda path: path.stem)
def test_damaged_models(runner: Path, model: Path, tmp_path: Path) -> None:
    whole, codes = prepare(model, tmp_path, 1), []
    for seed in range(MUTANTS):
        (tmp_path / "m.tflite").write_bytes(mutate(whole, seed) or b"\0")
        given = ("--library", library.installed(), "--model", "m.tflite", "--samples", 1)
        done = run(runner, tmp_path, *given, "--profile")
        assert not reports(done), done.stderr[-3000:]
        codes.append(done.returncode)
    assert set(codes) <= {0, 2, 3, 6, 1, -6, -8, -11}, codes  # the last four: LiteRT crashes


def test_a_compiled_network(runner: Path, tmp_path: Path) -> None:
    shared = ("-O1", "-fPIC", "-shared")
    network = compiled(tmp_path / "n.so", [HERE / "recorder.c", HERE / "fake_clock.c"], *shared, "-fno-builtin")
    (tmp_path / "in.bin").write_bytes(bytes(3 * 5252))
    given = ("--library", network, "--samples", 3, "--repeat", 4, "--warmup", 1)
    for options in ((), ("--profile",), ("--markers",), ("--markers", "--profile")):
        done = run(runner, tmp_path, *given, *options)
        assert done.returncode == 0 and not done.stderr, done.stderr[-3000:]


@pytest.mark.parametrize(
    "options", [["--help"], [], ["--library"], ["--library", "x"], ["--samples", "9" * 400], ["y" * 5000]]
)
def test_command_lines(runner: Path, tmp_path: Path, options: list[str]) -> None:
    done = run(runner, tmp_path, *options)
    assert done.returncode in (0, 2) and not reports(done), done.stderr[-3000:]


def test_the_sanitizers_are_there(tmp_path: Path) -> None:
    """A read of memory that was given back, and a sum that overflows, are reported."""
    (tmp_path / "a.c").write_text(
        "#include <stdlib.h>\nint main(int argc, char **argv) { (void)argv; volatile char *p = malloc(4);"
        " if (argc > 1) return argc + 2147483647;  free((void *)p); return p[0]; }\n"
    )
    program = compiled(tmp_path / "a", [tmp_path / "a.c"], *SANITIZE)
    for arguments, what in (([], "AddressSanitizer"), (["x"], "runtime error")):
        done = subprocess.run([program, *arguments], env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert done.returncode and what in done.stderr
