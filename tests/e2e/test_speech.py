"""From recordings to texts: by the command line, in C, C++ and Python, with one result."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import resources, target
from edgekit.backends import runner_build
from edgekit.data import wav
from edgekit.errors import ToolMissing
from edgekit.runners import tracing
from edgekit.runners.emulator import sysroot
from tests.e2e.board_programs import program, said
from tests.e2e.command import edgekit, refused
from tests.networks import hearing, speaking

PAGE = Path(__file__).parents[2] / "docs" / "speech.md"
LINUX = resources.folder("firmware_stubs") / "linux"
LONG = "bed add a dad ebb a bee"
"""Of more than two clips."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network with the output ``[1, labels, frames]``, and one that goes on from clip to clip; recordings."""
    folder = tmp_path_factory.mktemp("speech")
    speaking.written(folder / "first", last=True)
    speaking.written(folder / "all", more="step = 4000\n")
    speaking.recordings(folder / "sounds")
    (folder / "long").mkdir()
    for rate in (8000, 48_000):
        sound = hearing.wav(speaking.speech(LONG, rate=rate), rate=rate)
        (folder / "long" / f"{rate}.wav").write_bytes(sound)
    (folder / "long" / "transcripts.txt").write_text(f"8000 {LONG}\n48000.wav {LONG}\n")
    return folder


@pytest.fixture(scope="module", params=["as-is", "int8"])
def bundles(place: Path, request: pytest.FixtureRequest) -> dict[str, Path]:
    made = {}
    for kind in ("first", "all"):
        options = ["--target", "host", "--backend", "c99", "--data", place / "sounds", "--recipe", request.param]
        done = edgekit("compile", place / kind / "model.tflite", *options, "--out", place / "build", "--json")
        made[kind] = place / f"{kind}.{request.param}"
        shutil.move(done.json["bundles"][0]["path"], made[kind])
    return made


def decided(bundle: Path, data: Path) -> dict[str, Any]:
    """What ``edgekit run`` decides, by recording."""
    return {one.pop("sample"): one for one in edgekit("run", bundle, "--data", data, "--json").json["decisions"]}


def test_run_prints_texts(bundles: dict[str, Path], place: Path, tmp_path: Path) -> None:
    done = edgekit("run", bundles["first"], "--data", place / "sounds", "--decisions", tmp_path / "said.jsonl")
    found = re.findall(r"^(\d)\.wav: (.+)$", done.out, re.MULTILINE)
    assert found == [(str(number), text) for number, text in enumerate(speaking.SENTENCES)], done.out
    assert "accuracy" not in done.out and "largest element" not in done.out
    rows = [json.loads(line) for line in (tmp_path / "said.jsonl").read_text().splitlines()]
    assert rows[0].keys() == {"sample", "text", "labels"} and rows[0]["text"] == speaking.SENTENCES[0]
    starts = [one["start"] for one in rows[0]["labels"]]
    period = speaking.SPOKEN + speaking.PAUSE
    np.testing.assert_allclose(starts, 0.03 + period * np.arange(len(starts)), atol=0.02)


def test_a_recording_has_one_text_whatever_its_rate(bundles: dict[str, Path], place: Path) -> None:
    found = decided(bundles["all"], place / "long")
    assert {name: one["text"] for name, one in found.items()} == {"8000.wav": LONG, "48000.wav": LONG}
    starts = [one["start"] for one in found["48000.wav"]["labels"]]
    np.testing.assert_allclose(starts, 0.03 + 0.1 * np.arange(len(LONG)), atol=0.03)
    first = decided(bundles["first"], place / "long")["8000.wav"]["text"]
    assert LONG.startswith(first) and len(first) == 12


def test_error_rates_judge_recordings(place: Path, tmp_path: Path) -> None:
    """As jiwer says, where a transcript has other words than the recording."""
    import jiwer

    shutil.copytree(place / "sounds", tmp_path / "sounds")
    table = (tmp_path / "sounds" / "transcripts.csv").read_text().replace("ebb", "bee bed")
    (tmp_path / "sounds" / "transcripts.csv").write_text(table)
    truth = [row.split(",")[1] for row in table.splitlines()[1:]]
    options = ["--target", "host", "--backend", "c99", "--recipe", "int8", "--data", tmp_path / "sounds"]
    options += ["--metric", "wer", "--metric", "cer", "--budget", "metric-drop=0.01", "--out", tmp_path / "b", "--json"]
    (made,) = edgekit("compile", place / "first" / "model.tflite", *options).json["bundles"]
    for row, measure in zip(made["metrics"], (jiwer.wer, jiwer.cer), strict=True):
        expected = measure(truth, list(speaking.SENTENCES))
        assert row["samples"] == 8 and row["higher_is_better"] is False and expected > 0
        assert row["before"]["value"] == row["after"]["value"] == pytest.approx(expected)
        assert row["before"]["low"] <= expected <= row["before"]["high"] and row["drop"]["value"] == 0


PYTHON = """
import json, sys
from pathlib import Path
import numpy as np
from edgekit_runtime import Error, Network
network, made = Network(sys.argv[1]), {}
for path in sorted(Path(sys.argv[2]).glob("*.raw")):
    found = network.transcribe(np.fromfile(path, np.int16), int(path.stem))
    made[path.stem] = {"text": found.text, "labels": [one._asdict() for one in found.labels]}
try:
    network.hear(np.zeros(9, np.int16), 8000)
except Error as error:
    made["error"] = str(error)
print(json.dumps(made))
"""


@pytest.fixture
def raw(place: Path, tmp_path: Path) -> Path:
    """The long recordings without their headers."""
    (tmp_path / "raw").mkdir()
    for path in (place / "long").glob("*.wav"):
        (tmp_path / "raw" / f"{path.stem}.raw").write_bytes(wav.read(path).samples.tobytes())
    return tmp_path / "raw"


def test_python_c_and_cpp_on_the_board_say_the_same(
    bundles: dict[str, Path], place: Path, raw: Path, tmp_path: Path
) -> None:
    expected = decided(bundles["all"], place / "long")
    library = runner_build.library(platform.machine()).path
    env = {**os.environ, "PYTHONPATH": str(LINUX / "python"), "EDGEKIT_LIBRARY": str(library)}
    command = [sys.executable, "-c", PYTHON, bundles["all"], raw]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "speech-to-text: call edgekit_transcript" in found.pop("error")
    assert found == {name.removesuffix(".wav"): one for name, one in expected.items()}
    for compiler in ("gcc", "g++"):
        if shutil.which(compiler) is None:
            pytest.skip(f"{compiler} is not installed")
    in_c, in_cpp = program(PAGE, "c", "gcc", library, tmp_path), program(PAGE, "cpp", "g++", library, tmp_path)
    for name, one in expected.items():
        rate, file = name.removesuffix(".wav"), (raw / name).with_suffix(".raw")
        assert said([in_c, bundles["all"], rate], file, tmp_path) == f"{one['text']}\n"
        rows = [line.split(" ", 1) for line in said([in_cpp, bundles["all"], rate], file, tmp_path).splitlines()]
        assert [(np.float32(start), label) for start, label in rows] == [
            (np.float32(label["start"]), label["label"]) for label in one["labels"]
        ]


@pytest.mark.emulator
def test_an_emulated_pi_says_the_same(place: Path, raw: Path, tmp_path: Path) -> None:
    options = ["--target", "rpi4", "--recipe", "int8", "--data", place / "sounds", "--out", tmp_path / "b", "--json"]
    try:
        emulator, root = tracing.emulator("qemu-aarch64"), sysroot.get(target.load("rpi4"))
        made = program(PAGE, "c", "aarch64-linux-gnu-gcc", runner_build.library("aarch64").path, tmp_path)
    except (ToolMissing, FileNotFoundError) as error:
        pytest.skip(str(error))
    (bundle,) = edgekit("compile", place / "all" / "model.tflite", *options).json["bundles"]
    expected = decided(Path(bundle["path"]), place / "long")
    run = [emulator, "-cpu", "cortex-a72", "-L", root, "-E", f"LD_LIBRARY_PATH={tmp_path}", made, bundle["path"]]
    for name, one in expected.items():
        found = said([*run, name.removesuffix(".wav")], (raw / name).with_suffix(".raw"), tmp_path)
        assert found == f"{one['text']}\n" == f"{LONG}\n"


def test_what_does_not_fit_is_refused(place: Path, bundles: dict[str, Path], tmp_path: Path) -> None:
    model = place / "first" / "model.tflite"
    command = ["compile", model, "--target", "host", "--out", tmp_path / "b", "--task", tmp_path / "task.toml"]
    for old, new, words in (
        ('blank = "_"', "blank = 7", "blank = 7 is none of the 7 labels, 0 to 6"),
        ('"e", ', "", "there are 6 labels, but the output [1, 7, 96] has"),
        ('task = "speech-to-text"', 'task = "keyword"', "is not a key"),
    ):
        assert old in speaking.TASK
        (tmp_path / "task.toml").write_text(speaking.TASK.replace(old, new))
        refused(edgekit(*command), 2, words)
    shutil.copytree(place / "sounds", tmp_path / "sounds")
    (tmp_path / "sounds" / "transcripts.csv").write_text("file,text\n99.wav,a\n")
    refused(edgekit("run", bundles["first"], "--data", tmp_path / "sounds"), 2, "'99.wav' is no recording")
    (tmp_path / "sounds" / "transcripts.csv").unlink()
    metric = ["compile", model, "--target", "host", "--out", tmp_path / "b", "--data", tmp_path / "sounds"]
    refused(edgekit(*metric, "--metric", "wer"), 2, "needs to know what is right")
    hearing.written(tmp_path / "keyword", "keyword")
    words = ["compile", tmp_path / "keyword" / "model.tflite", "--target", "host", "--out", tmp_path / "b"]
    words += ["--data", hearing.recordings(tmp_path / "words", "keyword"), "--metric", "wer"]
    refused(edgekit(*words), 2, 'compile the network with task = "speech-to-text"')
