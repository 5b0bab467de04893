"""edgekit-app hears what `edgekit run` hears: from a process in arecord's place, and from standard input."""

from __future__ import annotations

import json
import os
import platform
import re
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import resources
from edgekit.api.compile import compile
from edgekit.api.run import run
from edgekit.backends import runner_build
from tests.networks import hearing, speaking

PACKAGES = resources.folder("firmware_stubs") / "linux" / "python"
SECONDS = 60.0
LONG = "bed add a dad ebb a bee"
SPEED = re.compile(r"\d+ clips, [\d.]+ per second; latency in ms: [\d.]+ \(50 %\), [\d.]+ \(95 %\), [\d.]+ \(99 %\)")
ARECORD = """#!{python}
import os, sys, time
expected = "-q -t raw -f S16_LE -c 1 -r {rate} -D plughw:1".split()
if sys.argv[1:] != expected:
    sys.exit(f"arecord: {{sys.argv[1:]}}")
open({marks!r}, "w").write(str(os.getpid()))
samples = open({samples!r}, "rb").read()
while samples:
    sys.stdout.buffer.write(samples[:1001])
    sys.stdout.buffer.flush()
    samples = samples[1001:] {again}
    time.sleep(0.001)
"""
"""Sends a recording in odd pieces, as the program of ALSA would."""


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Networks whose clips overlap, and one of single clips; and a recording for each."""
    folder = tmp_path_factory.mktemp("heard")
    models = {kind: hearing.written(folder / kind, kind) for kind in hearing.NETWORKS}
    (folder / "keyword" / "task.toml").write_text(f"{hearing.KEYWORD_TASK}step = 650\n")
    models["speech"] = speaking.written(folder / "speech", more="step = 4000\n")
    models["sentence"] = speaking.written(folder / "sentence")
    found = {}
    for kind, model in models.items():
        (made,) = compile(model, targets=["host"], backend="c99", out=folder / "build" / kind)
        found[kind] = made.path
        spoken = kind in ("speech", "sentence")
        sound = speaking.speech(LONG) if spoken else np.concatenate([hearing.tone(500), hearing.tone(3000, 1777)])
        (folder / f"{kind}.wav").write_bytes(hearing.wav(sound))
        (folder / f"{kind}.raw").write_bytes(sound.tobytes())
    return {**found, "folder": folder}


def arecord(folder: Path, samples: Path, *, rate: int = 8000, again: bool = False) -> Path:
    """A folder with a program of that name; with ``again`` it never ends."""
    folder.mkdir(exist_ok=True)
    text = ARECORD.format(
        python=sys.executable, rate=rate, marks=str(folder / "pid"), samples=str(samples),
        again="or open(sys.argv[0], 'rb').read()" if again else "",
    )  # fmt: skip
    (folder / "arecord").write_text(text)
    (folder / "arecord").chmod(stat.S_IRWXU)
    return folder


def environment(path: Path | None) -> dict[str, str]:
    library = runner_build.library(platform.machine()).path
    return {
        **os.environ, "PYTHONPATH": str(PACKAGES), "EDGEKIT_LIBRARY": str(library),
        "PATH": os.pathsep.join([*([str(path)] if path else []), "/nowhere"]),
    }  # fmt: skip


def app(*words: str | Path, path: Path | None = None, fed: bytes = b"") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "edgekit_runtime.app", *map(str, words)]
    done = subprocess.run(command, env=environment(path), input=fed, capture_output=True, check=False, timeout=SECONDS)
    return subprocess.CompletedProcess(command, done.returncode, done.stdout.decode(), done.stderr.decode())


def decided(bundle: Path, recording: Path) -> list[dict[str, Any]]:
    found = run(bundle, data=str(recording)).decisions
    assert found is not None
    return [{key: value for key, value in one.json().items() if key != "sample"} for one in found]


def told(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_microphone_is_heard_clip_by_clip(bundles: dict[str, Path], tmp_path: Path) -> None:
    folder = bundles["folder"]
    source = arecord(tmp_path / "bin", folder / "keyword.raw")
    words = [bundles["keyword"], "--microphone", "plughw:1", "--decisions", tmp_path / "told"]
    done = app(*words, path=source)
    assert done.returncode == 0, done.stderr
    found = told(tmp_path / "told")
    assert [one.pop("sample") for one in found] == ["0 s", "0.08125 s", "0.1625 s"]
    assert found == decided(bundles["keyword"], folder / "keyword.wav")
    assert done.stdout.startswith("0 s: low ") and SPEED.fullmatch(done.stderr.splitlines()[-1])


def test_what_was_said_goes_on_from_clip_to_clip(bundles: dict[str, Path], tmp_path: Path) -> None:
    folder = bundles["folder"]
    source = arecord(tmp_path / "bin", folder / "speech.raw")
    done = app(bundles["speech"], "--microphone", "plughw:1", "--decisions", tmp_path / "told", path=source)
    assert done.returncode == 0, done.stderr
    found = told(tmp_path / "told")
    (expected,) = decided(bundles["speech"], folder / "speech.wav")
    assert "".join(one["text"] for one in found) == expected["text"] == LONG and len(found) > 2
    assert [label for one in found for label in one["labels"]] == expected["labels"]


@pytest.mark.parametrize("rate", [8000, 48_000])
def test_samples_from_standard_input(bundles: dict[str, Path], rate: int) -> None:
    """Of another rate, and of a program that says nothing about ALSA."""
    sound = speaking.speech(LONG, rate=rate).tobytes()
    done = app(bundles["speech"], "--microphone", "-", "--rate", str(rate), fed=sound)
    assert done.returncode == 0, done.stderr
    assert "".join(line.split(" s: ")[1] for line in done.stdout.splitlines()) == LONG


def test_single_clips_follow_each_other(bundles: dict[str, Path]) -> None:
    """Each is a text of its own; what the last one leaves is heard, too."""
    first = np.zeros(95 * 100 + 256, np.int16)
    first[: len(speaking.speech("a bee"))] = speaking.speech("a bee")
    done = app(bundles["sentence"], "--microphone", "-", fed=first.tobytes() + speaking.speech("dad").tobytes())
    assert done.returncode == 0 and done.stdout == "0 s: a bee\n1.2195 s: dad\n", done.stderr
    assert app(bundles["sentence"], "--microphone", "-").stdout == ""


def test_anomalies_and_steps(bundles: dict[str, Path], tmp_path: Path) -> None:
    sound = (bundles["folder"] / "anomaly.raw").read_bytes()
    done = app(bundles["anomaly"], "--microphone", "-", "--step", "0.1", "--decisions", tmp_path / "told", fed=sound)
    assert done.returncode == 0, done.stderr
    assert [line.split(",")[0] for line in done.stdout.splitlines()] == [
        "0 s: normal",
        "0.1 s: anomalous",
        "0.2 s: anomalous",
    ], done.stdout
    assert told(tmp_path / "told")[0].keys() == {"sample", "score", "anomalous"}
    apart = app(bundles["keyword"], "--microphone", "-", "--step", "0.3", fed=sound)
    assert [line.split(" s")[0] for line in apart.stdout.splitlines()] == ["0"]
    late = app(bundles["keyword"], "--microphone", "-", "--step", "0.0002", "--frames", "50", fed=sound)
    assert late.returncode == 0 and late.stderr.count("sound gets lost") <= 1 and late.stdout.count("\n") == 50


def test_it_ends_when_it_is_stopped_and_arecord_with_it(bundles: dict[str, Path], tmp_path: Path) -> None:
    source = arecord(tmp_path / "bin", bundles["folder"] / "keyword.raw", again=True)
    command = [sys.executable, "-m", "edgekit_runtime.app", str(bundles["keyword"]), "--microphone", "plughw:1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment(source), stdout=pipe, stderr=pipe) as process:
        assert process.stdout is not None and process.stdout.readline().startswith(b"0 s: ")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 0 and SPEED.fullmatch(errors.decode().splitlines()[-1])
    few = app(bundles["keyword"], "--microphone", "plughw:1", "--frames", "3", path=source)
    assert few.returncode == 0 and len(few.stdout.splitlines()) == 3
    for _ in range(100):
        if not Path(f"/proc/{(source / 'pid').read_text()}").exists():
            return
        time.sleep(0.05)
    pytest.fail("arecord is still there")


def test_a_unit_for_systemd(bundles: dict[str, Path]) -> None:
    done = app(bundles["keyword"], "--microphone", "plughw:1", "--step", "0.5", "--unit")
    assert f"edgekit_runtime.app {bundles['keyword']} --microphone plughw:1 --step 0.5\n" in done.stdout


def test_refusals(bundles: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "arecord").write_text("#!/bin/sh\necho 'audio open error: No such file or directory' >&2\nexit 1\n")
    (tmp_path / "arecord").chmod(stat.S_IRWXU)
    keyword, here = bundles["keyword"], ["--microphone", "default"]
    for words, path, why in (
        ([keyword, *here], None, "a microphone needs arecord: sudo apt-get install alsa-utils"),
        ([keyword, *here], tmp_path, "arecord failed with status 1"),
        ([keyword, "--folder", tmp_path], None, "the bundle's task is keyword: name a microphone"),
        ([keyword, "--folder", tmp_path, "--step", "1"], None, "--rate and --step are for --microphone"),
        ([keyword, *here, "--rate", "0"], None, "--rate is 1 to 768000"),
        ([keyword, *here, "--step", "nan"], None, "--step more than 0, up to 3600"),
        ([bundles["speech"], *here, "--step", "1"], None, "clips are 0.5 s apart: omit --step"),
        ([keyword, "--microphone", "-", "--rate", "767999"], None, "cannot be resampled to 8000"),
    ):
        done = app(*words, path=path, fed=bytes(1 << 20))
        assert done.returncode == 2 and why in done.stderr and "Traceback" not in done.stderr, done.stderr
