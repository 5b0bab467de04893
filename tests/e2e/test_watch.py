"""`edgekit run --watch`: decides on what arrives with one session, and ends cleanly on Ctrl-C."""

from __future__ import annotations

import io
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.api import watch as watching
from tests.e2e.command import edgekit, refused
from tests.networks import hearing, speaking
from tests.tasks.task_networks import written

SECONDS = 60.0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("watch")
    model = written(folder, "classification")
    (made,) = edgekit("compile", model, "--target", "host", "--out", folder / "build", "--json").json["bundles"]
    return Path(made["path"])


def picture(color: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 30, (40, 30, 3))
    Image.fromarray((noise + np.array(color)).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def line(process: subprocess.Popen[bytes]) -> str:
    """The next line that a process prints."""
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], SECONDS)[0], "nothing was printed"
    return process.stdout.readline().decode()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_decides_on_what_arrives_until_ctrl_c(bundle: Path, tmp_path: Path, ending: signal.Signals) -> None:
    folder, told = tmp_path / "photos", tmp_path / "told.jsonl"
    folder.mkdir()
    (folder / "first.png").write_bytes(picture((200, 0, 0)))
    command = [sys.executable, "-m", "edgekit", "run", bundle, "--watch", folder, "--decisions", told]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    (tmp_path / "temporary").mkdir()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, start_new_session=True, bufsize=0
    ) as process:
        try:
            assert line(process).startswith("first.png: red 0.")
            data = picture((0, 0, 200))
            with (folder / "slow.png").open("wb", buffering=0) as file:
                for part in range(0, len(data), len(data) // 8):
                    file.write(data[part : part + len(data) // 8])
                    time.sleep(0.15)
            (folder / "bad.png").write_bytes(b"no picture")
            assert line(process).startswith("slow.png: blue 0.")
            (folder / "last.png").write_bytes(picture((0, 200, 0)))
            assert line(process).startswith("last.png: gr\u00fcn 0.")
            os.kill(process.pid, ending)
            rest, errors = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert process.returncode == 0 and rest.decode() == "3 files\n"
    warnings = [text for text in errors.decode().splitlines() if text.startswith("warning")]
    assert len(warnings) == 1 and "bad.png: not an image that can be read" in warnings[0]
    assert "Traceback" not in errors.decode()
    found = [json.loads(text) for text in told.read_text().splitlines()]
    assert [each["sample"] for each in found] == ["first.png", "slow.png", "last.png"]
    assert found[0]["classes"][0]["label"] == "red" and len(found[0]["classes"]) == 2
    assert list((tmp_path / "temporary").iterdir()) == []


def test_decisions_are_those_of_run(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(picture((90, 100, 95)))
    (once,) = edgekit("run", bundle, "--data", tmp_path / "photos", "--json").json["decisions"]
    command = [sys.executable, "-m", "edgekit", "run", bundle, "--watch", tmp_path / "photos", "-q"]
    command += ["--decisions", tmp_path / "told.jsonl"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        try:
            line(process)
            os.kill(process.pid, signal.SIGINT)
            process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert json.loads((tmp_path / "told.jsonl").read_text()) == once


@pytest.mark.parametrize("kind", [*hearing.NETWORKS, "speech-to-text"])
def test_decisions_on_recordings_are_those_of_run(kind: str, tmp_path: Path) -> None:
    known = kind in hearing.NETWORKS
    model = hearing.written(tmp_path, kind) if known else speaking.written(tmp_path, more="step = 4000\n")
    options = ["--target", "host", "--backend", "c99", "--out", tmp_path / "build", "--json"]
    (made,) = edgekit("compile", model, *options).json["bundles"]
    inbox, told = tmp_path / "inbox", tmp_path / "told.jsonl"
    inbox.mkdir()
    sound = hearing.tone(500, 2500) if known else speaking.speech("bed add a bee ebb")
    (inbox / "a.wav").write_bytes(hearing.wav(sound))
    once = edgekit("run", made["path"], "--data", inbox, "--json").json["decisions"]
    (inbox / "0.wav").write_bytes(b"RIFF")
    command = [sys.executable, "-m", "edgekit", "run", made["path"], "--watch", inbox, "--decisions", told]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            assert line(process).startswith("a.wav: ")
            os.kill(process.pid, signal.SIGINT)
            rest, errors = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert rest.decode() == "1 files\n" and "0.wav: not a WAV file" in errors.decode()
    assert [json.loads(text) for text in told.read_text().splitlines()] == once


def test_refusals(bundle: Path, tmp_path: Path) -> None:
    refused(edgekit("run", bundle, "--watch", tmp_path / "none"), 2, "cannot be read: No such file")
    refused(edgekit("run", bundle, "--watch", tmp_path, "--data", "random"), 2, "--watch excludes --data")
    refused(edgekit("run", bundle, "--watch", tmp_path, "--json"), 2, "--watch excludes --json")
    model = bundle.parents[1] / "model.tflite"
    plain = tmp_path / "plain.tflite"
    plain.write_bytes(model.read_bytes())
    (made,) = edgekit("compile", plain, "--target", "host", "--out", tmp_path / "build", "--json").json["bundles"]
    refused(edgekit("run", made["path"], "--watch", tmp_path), 2, "no task that takes pictures")


def test_a_recording_of_too_many_clips_is_skipped_before_it_is_heard(tmp_path: Path) -> None:
    """A file of a megabyte at a step of 40 samples would be thousands of inferences; others must not wait for it."""
    model = hearing.written(tmp_path, "anomaly")
    text = (tmp_path / "task.toml").read_text().replace("step = 400", "step = 40")
    (tmp_path / "task.toml").write_text(text)
    (made,) = edgekit("compile", model, "--target", "host", "--out", tmp_path / "build", "--json").json["bundles"]
    folder = tmp_path / "sounds"
    folder.mkdir()
    (folder / "a.wav").write_bytes(hearing.wav(hearing.tone(440, 40 * watching.MOST_CLIPS + 2000)))
    (folder / "b.wav").write_bytes(hearing.wav(hearing.tone(440)))
    command = [sys.executable, "-m", "edgekit", "run", made["path"], "--watch", folder]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True, bufsize=0
    ) as process:
        try:
            assert line(process).startswith("b.wav: ")
            os.kill(process.pid, signal.SIGINT)
            rest, errors = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert rest.decode() == "1 files\n"
    assert "a.wav: it has 10" in errors.decode() and "--watch takes up to 10000" in errors.decode()
