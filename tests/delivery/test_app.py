"""edgekit-app, installed from its wheel: the decisions of `edgekit run`, and how fast they were."""

from __future__ import annotations

import ast
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit import resources
from edgekit.api.compile import compile
from edgekit.api.package import package
from edgekit.api.run import run
from tests.tasks import embedding_networks
from tests.tasks.task_networks import NETWORKS, written

PACKAGE = resources.folder("firmware_stubs") / "linux" / "python" / "edgekit_runtime"
SPEED = re.compile(r"(\d+) frames, [\d.]+ per second; latency in ms: [\d.]+ \(50 %\), [\d.]+ \(95 %\), [\d.]+ \(99 %\)")
SECONDS = 60.0


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A bundle of each kind of task, and one without."""
    folder = tmp_path_factory.mktemp("app")
    found = {}
    for kind in NETWORKS:
        (made,) = compile(written(folder / kind, kind), targets=["host"], out=folder / kind / "build")
        found[kind] = made.path
    (made,) = compile(embedding_networks.written(folder / "embedding"), targets=["host"], out=folder / "e")
    found["embedding"] = made.path
    (folder / "none").mkdir()
    shutil.copyfile(folder / "detection" / "model.tflite", folder / "none" / "model.tflite")
    (made,) = compile(folder / "none" / "model.tflite", targets=["host"], out=folder / "none" / "build")
    return {**found, "none": made.path}


@pytest.fixture(scope="module")
def site(bundles: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pip has installed the wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    runtime, _ = package(bundles["detection"], format="wheel", out=folder).paths
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-index",
        "--no-deps",
        "--target",
        folder / "site",
    ]
    subprocess.run([*command, runtime], check=True)
    return folder / "site"


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(3)
    for number, (width, height) in enumerate([(50, 31), (32, 32), (9, 70), (90, 90)]):
        pixels = rng.integers(0, 256, (height, width, 3)) * rng.uniform(0.3, 1, 3)
        exif = Image.Exif()
        exif[0x0112] = 6 if number == 2 else 1
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.png", exif=exif)
    return folder


def command(site: Path, *words: str | Path) -> list[str]:
    return [sys.executable, str(site / "bin" / "edgekit-app"), *map(str, words)]


def app(site: Path, *words: str | Path, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    places = os.pathsep.join(str(place) for place in (site, path) if place)
    environment = {**os.environ, "PYTHONPATH": places}
    return subprocess.run(command(site, *words), env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("kind", [*NETWORKS, "embedding"])
def test_decisions_are_those_of_run(
    site: Path, bundles: dict[str, Path], photos: Path, kind: str, tmp_path: Path
) -> None:
    done = app(site, bundles[kind], "--folder", photos, "--decisions", tmp_path / "told")
    assert done.returncode == 0, done.stderr
    expected = run(bundles[kind], data=str(photos)).decisions
    assert expected is not None
    assert [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()] == [
        one.json() for one in expected
    ]
    assert done.stdout.splitlines() == [f"{one.sample}: {one.outcome.words()}" for one in expected]
    told = SPEED.search(done.stderr.splitlines()[-1])
    assert told and told[1] == "4"


def test_what_arrives_is_decided_until_it_is_stopped(
    site: Path, bundles: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    words = command(site, bundles["classification"], "--folder", inbox, "--watch", "--every", "0.5")
    with subprocess.Popen(
        words, env={**os.environ, "PYTHONPATH": str(site)}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    ) as process:
        assert process.stdout is not None
        try:
            for name in ("0.png", "1.png"):
                data = (photos / name).read_bytes()
                with (inbox / name).open("wb", buffering=0) as file:
                    file.write(data[:100])
                    time.sleep(0.2)
                    file.write(data[100:])
                assert select.select([process.stdout], [], [], SECONDS)[0]
                assert process.stdout.readline().decode().startswith(f"{name}: ")
            (inbox / "bad.png").write_bytes(b"x")
            time.sleep(1)
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=SECONDS)
        finally:
            process.kill()
    assert process.returncode == 0
    lines = errors.decode().splitlines()
    assert SPEED.fullmatch(lines[-1]) and lines[-1].startswith("2 frames")
    assert any("bad.png is no picture that can be read" in line for line in lines)


def test_a_picture_that_is_refused_stops_nothing(
    site: Path, bundles: dict[str, Path], photos: Path, tmp_path: Path
) -> None:
    shutil.copyfile(photos / "0.png", tmp_path / "b.png")
    Image.new("RGB", (40_000, 1)).save(tmp_path / "a.png")
    done = app(site, bundles["classification"], "--folder", tmp_path)
    assert done.returncode == 0 and [line[:6] for line in done.stdout.splitlines()] == ["b.png:"], done.stderr
    assert re.search(r"^warning: a\.png: .*too large", done.stderr, re.MULTILINE), done.stderr


def test_lines_are_json_whatever_a_network_computes(site: Path) -> None:
    code = "from edgekit_runtime import app; print(app.line('a', {'classes': [{'score': float('nan')}]}), end='')"
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(site)}, capture_output=True, check=True
    )
    assert json.loads(done.stdout, parse_constant=pytest.fail) == {"sample": "a", "classes": [{"score": None}]}


CAMERA = """
import sys
from pathlib import Path
import numpy as np
from PIL import Image
class VideoCapture:
    def __init__(self, name):
        self.files = sorted(Path(PHOTOS).glob("*.png")) if name == 0 else []
    def isOpened(self):
        return bool(self.files)
    def read(self):
        if not self.files:
            return False, None
        return True, np.asarray(Image.open(self.files.pop(0)))[:, :, ::-1]
    def release(self):
        print("released", file=sys.stderr)
"""
"""What there is of OpenCV in place of a camera, which this machine does not have: frames in BGR."""


def test_frames_of_a_camera(site: Path, bundles: dict[str, Path], photos: Path, tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text(f"PHOTOS = {str(photos)!r}\n{CAMERA}")
    done = app(site, bundles["detection"], "--camera", "0", "--decisions", tmp_path / "told", path=tmp_path)
    assert done.returncode == 0 and "released" in done.stderr, done.stderr
    expected = run(bundles["detection"], data=str(photos)).decisions
    assert expected is not None
    found = [json.loads(line) for line in (tmp_path / "told").read_text().splitlines()]
    assert [one["sample"] for one in found] == ["0", "1", "2", "3"]
    for number in (0, 1, 3):  # the camera's frames are not turned
        assert found[number]["detections"] == expected[number].json()["detections"]
    few = app(site, bundles["detection"], "--camera", "0", "--frames", "2", path=tmp_path)
    assert few.returncode == 0 and len(few.stdout.splitlines()) == 2 and "released" in few.stderr
    none = app(site, bundles["detection"], "--camera", "/dev/video9", path=tmp_path)
    assert none.returncode == 2 and "the camera /dev/video9 cannot be opened" in none.stderr


def test_a_unit_for_systemd(site: Path, bundles: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(bundles["detection"], tmp_path / "a bundle")
    environment = {**os.environ, "PYTHONPATH": str(site)}
    words = command(site, "a bundle", "--camera", "0", "--decisions", "50%.jsonl", "--unit")
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    (start,) = [line for line in done.stdout.splitlines() if line.startswith("ExecStart=")]
    assert f"-m edgekit_runtime.app '{tmp_path}/a bundle' --camera 0" in start
    assert start.endswith(f"--decisions {tmp_path}/50%%.jsonl") and "--unit" not in start
    assert f"WorkingDirectory={tmp_path}\n" in done.stdout and "Restart=on-failure\n" in done.stdout
    if shutil.which("systemd-analyze"):
        (tmp_path / "edgekit-app.service").write_text(done.stdout)
        checked = subprocess.run(
            ["systemd-analyze", "verify", tmp_path / "edgekit-app.service"], capture_output=True, text=True, check=False
        )
        assert checked.returncode == 0 and not checked.stderr, checked.stderr


def test_refusals(site: Path, bundles: dict[str, Path], photos: Path, tmp_path: Path) -> None:
    for words, why in (
        ([bundles["none"], "--folder", photos], "the bundle's task is none; edgekit-app knows classification"),
        ([tmp_path / "nothing", "--folder", photos], "there is no bundle"),
        ([bundles["detection"], "--folder", tmp_path / "nothing"], "cannot be read: No such file"),
        ([bundles["detection"], "--camera", "0", "--watch"], "--watch is for --folder"),
        ([bundles["detection"]], "one of the arguments --folder --camera --microphone is required"),
        ([bundles["detection"], "--camera", "picamera2"], "there is no picamera2"),
        ([bundles["detection"], "--folder", photos, "--decisions", tmp_path / "a" / "b"], "No such file"),
    ):
        done = app(site, *words)
        assert done.returncode == 2 and why in done.stderr and "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize("name", ["__init__.py", "app.py", "listening.py", "seeing.py", "structures.py"])
def test_it_is_written_for_old_pythons(name: str) -> None:
    ast.parse((PACKAGE / name).read_text(), feature_version=(3, 9))
