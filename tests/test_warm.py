"""A command that begins where its imports are done behaves as one that starts afresh."""

from __future__ import annotations

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import sandbox
from edgekit.graph import tflite
from edgekit.readers import onnx2tf
from edgekit.sandbox import environment
from tests import warm
from tests.e2e.command import EDGEKIT
from tests.networks.small import unary
from tests.readers import onnx_models


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tflite.write(unary("RELU", (1, 4)), tmp_path / "net.tflite")
    (tmp_path / "damaged.tflite").write_bytes(b"TFL3" * 9)
    return tmp_path


@pytest.mark.parametrize(
    "line",
    [
        "--help", "--version", "targets --json", "no-such-command", "compile", "inspect net.tflite --json",
        "inspect nothing.tflite", "inspect damaged.tflite", "--debug inspect damaged.tflite",
        "compile net.tflite -t host -r int8 -d random -o out --json", "compile net.tflite -t nowhere -o out",
        "compile net.tflite -t host -o out --json --backend tvm",
    ],
)  # fmt: skip
def test_it_prints_and_ends_as_a_fresh_process(line: str, folder: Path) -> None:
    """The traceback of ``--debug`` names the same lines, and a bundle has the same bytes."""
    command = [str(EDGEKIT), *line.split()]
    environ = {**os.environ, "SOURCE_DATE_EPOCH": "1000000000"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=False)
    files = written(folder)
    code, out, err = warm.run(command, folder, environ, 60)
    assert (code, timeless(out), err) == (done.returncode, timeless(done.stdout), done.stderr)
    assert written(folder) == files
    if line.startswith("compile net.tflite -t host"):
        assert code == 0 and len(files) > 4


def timeless(text: str) -> str:
    """What a command printed, without how long it took."""
    return re.sub(r'"seconds": [\d.]+', "", text)


def written(folder: Path) -> dict[str, bytes]:
    """The files of the folder ``out``, which is removed."""
    files = {str(path.relative_to(folder)): path.read_bytes() for path in (folder / "out").rglob("*") if path.is_file()}
    shutil.rmtree(folder / "out", ignore_errors=True)
    return files


def test_a_command_has_its_own_folder_streams_and_process_group(folder: Path) -> None:
    """It reads relative names from its folder, and its parent's Ctrl-C reaches it: no session of its own."""
    code, out, _ = warm.run([str(EDGEKIT), "inspect", "net.tflite", "--json"], folder, dict(os.environ), 60)
    assert code == 0 and json.loads(out)["operators"]
    code, _, err = warm.run([str(EDGEKIT), "inspect", "net.tflite"], folder.parent, dict(os.environ), 60)
    assert code in (2, 3), err


def test_a_command_that_takes_too_long_is_killed(folder: Path) -> None:
    command = [str(EDGEKIT), "compile", "net.tflite", "-t", "host", "-o", "out"]
    with pytest.raises(subprocess.TimeoutExpired):
        warm.run(command, folder, dict(os.environ), 0.0)


def test_another_way_to_start_python_is_a_fresh_process(folder: Path) -> None:
    """Such as a path of imports: the forge could not follow it."""
    (folder / "sitecustomize.py").write_text("import os\nos._exit(77)\n")
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    assert warm.run([str(EDGEKIT), "--help"], folder, environment, 60)[0] == 77


def test_a_worker_can_be_killed_and_ends_with_its_caller() -> None:
    command = environment.python("edgekit.sandbox.worker")
    for end in ("kill", "close"):
        worker = warm.start_worker(command, environment.clean())
        assert worker.poll() is None and os.getpgid(worker.pid) == worker.pid != os.getpgid(0)
        assert Path(f"/proc/{worker.pid}/cwd").readlink() == Path("/")
        if end == "kill":
            os.killpg(worker.pid, signal.SIGKILL)
        else:
            worker.stdin.close()
        assert worker.wait(20) == (-signal.SIGKILL if end == "kill" else 0)
        assert not Path(f"/proc/{worker.pid}").exists()


def test_a_task_sees_the_same_in_either_worker() -> None:
    """Its streams, folder, limits, environment and modules' folders; only more may be imported already."""
    told = []
    for start in (warm.start_worker, warm.FRESH):
        sandbox.shutdown()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sandbox, "_started", start)
            told.append(sandbox.call("tests.test_warm:tell_surroundings", {}, preload=["onnx"])[0])
    sandbox.shutdown()
    assert told[0] == told[1]


PROGRAM = """
import json, os, resource, signal, sys
print("to stderr", file=sys.stderr, flush=True)
limits = {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")}
handlers = [str(signal.getsignal(n)) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
status = open("/proc/self/status").read().splitlines()
kept = [line for line in status if line.split(":")[0] in ("NoNewPrivs", "Seccomp", "CapEff", "SigIgn", "SigBlk")]
try:
    open("/etc/hostname-of-nobody", "w")
except OSError as error:
    print(type(error).__name__)
print(json.dumps([os.getcwd(), dict(os.environ), limits, handlers, kept, sys.argv, sys.stdin.read(), os.getpid()]))
print(os.getsid(0) == os.getpgid(0), sorted(os.listdir("/proc/self/fd"))[:3])
"""


def ended(argv: list[str], folder: Path, seconds: float = 60) -> tuple[int, str]:
    """The status of a sandboxed program and what it printed, or why it died."""
    env = {"PATH": os.environ["PATH"], "A": "b"}
    try:
        done = sandbox.run_program(argv, folder=folder, limits=sandbox.Limits(seconds=seconds), env=env)
    except sandbox.ChildDied as died:
        return -1, died.reason
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("argv", "seconds"),
    [
        ([sys.executable, "-I", "-c", PROGRAM, "word"], 60), (["sh", "-c", "echo a; exit 3"], 60),
        (["sh", "-c", "kill -9 $$"], 60), (["no-such-program"], 60), (["sleep", "50"], 0.3),
    ],
    ids=["surroundings", "status", "signal", "nothing", "time"],
)  # fmt: skip
def test_a_program_sees_the_same_and_ends_as_one_that_starts_afresh(
    argv: list[str], seconds: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its lock, streams, folder, limits, environment and signals."""
    found = []
    for start in (warm.start_program, warm.FRESH_PROGRAM):
        monkeypatch.setattr(sandbox, "_launched", start)
        found.append(ended(argv, tmp_path, seconds))
    assert found[0] == found[1]
    assert argv[-1] != "word" or ("PermissionError" in found[0][1] and str(tmp_path) in found[0][1])


@pytest.mark.usefixtures("onnx_converter")
def test_the_converter_converts_as_one_that_starts_afresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good model and a damaged one: the same files and samples, the same refusal."""
    model, end = onnx_models.relu(tmp_path / "x.onnx", [1, 4]).read_bytes(), {"dtype": "float32", "shape": [1, 4]}
    jobs = [
        onnx2tf.Job(data, [{"name": "x", **end}], [{"name": "y", **end}], "x.onnx") for data in (model, model[:-20])
    ]
    made = []
    for start in (warm.start_program, warm.FRESH_PROGRAM):
        monkeypatch.setattr(sandbox, "_launched", start)
        made.append(onnx2tf.convert(jobs, sandbox.Limits(seconds=60)))
    for forged, fresh in zip(*made, strict=True):
        assert type(forged) is type(fresh)
        if isinstance(forged, onnx2tf.Converted) and isinstance(fresh, onnx2tf.Converted):
            assert (forged.data, forged.order) == (fresh.data, fresh.order)
            np.testing.assert_equal([vars(one) for one in forged.samples], [vars(one) for one in fresh.samples])
        else:
            assert str(forged) == str(fresh)
    assert [isinstance(one, onnx2tf.Converted) for one in made[0]] == [True, False]


@pytest.mark.usefixtures("onnx_converter")
@pytest.mark.parametrize("start", [warm.start_program, warm.FRESH_PROGRAM], ids=["forged", "fresh"])
def test_the_converter_is_locked_in(start: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads and writes in its folder, and nowhere else: not where a link leads."""
    monkeypatch.setattr(sandbox, "_launched", start)
    folder, outside = tmp_path / "inside", tmp_path / "outside"
    for place in (folder / "0", outside):
        place.mkdir(parents=True)
        (place / "job.json").write_text('{"inputs": []}')
    (folder / "1").symlink_to(outside)
    for path in (onnx2tf._PROGRAM, onnx2tf._RUNS):
        shutil.copyfile(path, folder / path.name)
    (folder / onnx2tf._PROGRAM.name).rename(folder / warm.CONVERTER)
    command = [str(onnx2tf.ensure_onnx2tf()), "-I", str(folder / warm.CONVERTER), str(folder), "20"]
    sandbox.run_program(command, folder=folder, limits=sandbox.Limits(seconds=60))
    assert "error" in json.loads((folder / "0" / "report.json").read_text())
    assert [path.name for path in outside.iterdir()] == ["job.json"]


def tell_surroundings(
    args: dict[str, Any], arrays: dict[str, Any], work: Path
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A task: what it finds around it."""
    own = f"/proc/{os.getpid()}"
    limits = {str(name): resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name[:7] == "RLIMIT_"}
    descriptors = sorted(os.listdir(f"{own}/fd"))[:3] if os.access(f"{own}/fd", os.R_OK) else []
    return {
        "path": sys.path, "environment": dict(os.environ), "folder": os.getcwd(), "limits": limits,
        "descriptors": descriptors, "recursion": sys.getrecursionlimit(), "group": os.getpgid(0) == os.getpid(),
        "handlers": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGPIPE)],
        "flags": str(sys.flags), "encodings": [sys.stdout.encoding, sys.stderr.encoding, sys.getfilesystemencoding()],
    }, {}  # fmt: skip
