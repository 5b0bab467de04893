"""From recordings to decisions: by the command line, in C, C++ and Python, with one result."""

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
from edgekit.graph import tflite
from edgekit.runners import tracing
from edgekit.runners.emulator import sysroot
from tests.e2e.board_programs import program, said
from tests.e2e.command import edgekit, refused
from tests.networks import hearing
from tests.networks.small import Builder

PAGE = Path(__file__).parents[2] / "docs" / "sound.md"
LINUX = resources.folder("firmware_stubs") / "linux"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both networks, and recordings for them."""
    folder = tmp_path_factory.mktemp("sound")
    for kind in hearing.NETWORKS:
        hearing.written(folder / kind, kind)
        hearing.recordings(folder / kind / "sounds", kind)
    return folder


@pytest.fixture(scope="module", params=["float", "int8"])
def bundles(place: Path, request: pytest.FixtureRequest) -> dict[str, Path]:
    recipe = [] if request.param == "float" else ["--recipe", "int8"]
    made = {}
    for kind in hearing.NETWORKS:
        options = ["--target", "host", "--backend", "c99", "--data", place / kind / "sounds", "--out", place / "build"]
        (found,) = edgekit("compile", place / kind / "model.tflite", *options, "--json", *recipe).json["bundles"]
        made[kind] = place / f"{kind}.{request.param}"
        shutil.move(found["path"], made[kind])
    return made


def decided(bundle: Path, data: Path) -> dict[str, Any]:
    """What ``edgekit run`` decides, by recording."""
    return {one.pop("sample"): one for one in edgekit("run", bundle, "--data", data, "--json").json["decisions"]}


def test_run_hears_keywords(bundles: dict[str, Path], place: Path) -> None:
    done = edgekit("run", bundles["keyword"], "--data", place / "keyword" / "sounds")
    lines = re.findall(r"^(\w+)/(\d)\.wav: (\w+) [\d.e-]+, \w+ [\d.e-]+$", done.out, re.MULTILINE)
    assert len(lines) == 6 and all(folder == heard for folder, _, heard in lines), done.out
    assert "accuracy: 100.00%" in done.out


def test_run_tells_anomalies(bundles: dict[str, Path], place: Path, tmp_path: Path) -> None:
    data = place / "anomaly" / "sounds"
    done = edgekit("run", bundles["anomaly"], "--data", data, "--decisions", tmp_path / "found.jsonl")
    lines = re.findall(r"^(\w+)/(\d)\.wav: (normal|anomalous), score [\d.e-]+$", done.out, re.MULTILINE)
    assert [line[2] for line in lines] == ["anomalous"] * 2 + ["normal"] * 2, done.out
    assert "accuracy" not in done.out
    rows = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert [row["anomalous"] for row in rows] == [True, True, False, False]
    assert rows[0].keys() == {"sample", "score", "anomalous"}


def test_the_score_is_the_mean_squared_error(bundles: dict[str, Path], place: Path, tmp_path: Path) -> None:
    """By the outputs that ``run`` saves."""
    from edgekit import bundle as opened
    from edgekit.data import dataset

    data, bundle = place / "anomaly" / "sounds", bundles["anomaly"]
    edgekit("run", bundle, "--data", data, "--save", tmp_path / "out.npz")
    saved = np.load(tmp_path / "out.npz")
    outputs = saved["output0"].reshape(12, -1).astype(float)
    if "output0_scale" in saved:
        outputs = (outputs - saved["output0_zero_point"]) * saved["output0_scale"]
    with opened.opened(bundle) as found:
        (inputs,) = dataset.as_network_inputs(dataset.load(str(data), found.graph, task=found.task), found.graph)
        tensor = found.graph.inputs[0]
        real = inputs if tensor.quantization is None else tensor.quantization.dequantize(inputs)
    errors = ((outputs - real.reshape(12, -1)) ** 2).mean(axis=1).reshape(4, 3).mean(axis=1)
    scores = [one["score"] for one in decided(bundle, data).values()]
    np.testing.assert_allclose(scores, errors, rtol=1e-5)


def test_auc_judges_recordings(place: Path, tmp_path: Path) -> None:
    data = place / "anomaly" / "sounds"
    options = ["--target", "host", "--backend", "c99", "--recipe", "int8", "--data", data, "--metric", "auc"]
    (made,) = edgekit("compile", place / "anomaly" / "model.tflite", *options, "--out", tmp_path / "b", "--json").json[
        "bundles"
    ]
    (row,) = made["metrics"]
    assert (row["name"], row["samples"], row["before"]["value"], row["after"]["value"]) == ("auc", 4, 1.0, 1.0)


PYTHON = """
import json, sys
from pathlib import Path
import numpy as np
from edgekit_runtime import Error, Network
keyword, anomaly, made = Network(sys.argv[1]), Network(sys.argv[2]), {}
for path in sorted(Path(sys.argv[3]).rglob("*.raw")):
    samples, name = np.fromfile(path, np.int16), str(path.relative_to(sys.argv[3]).with_suffix(".wav"))
    made[name] = [[one.number, one.label, one.score] for one in keyword.hear(samples, 8000)]
    made[name] += [keyword.input(0).tobytes().hex(), *anomaly.anomaly(samples, 8000)]
for wrong in (lambda: keyword.hear(samples, 767999), lambda: keyword.hear(samples.astype(float), 8000),
              lambda: anomaly.hear(samples, 8000), lambda: keyword.anomaly(samples, 8000),
              lambda: keyword.classify(np.zeros((4, 4, 3), np.uint8))):
    try:
        wrong()
    except Error as error:
        made.setdefault("errors", []).append(str(error))
print(json.dumps(made))
"""


@pytest.fixture
def raw(place: Path, tmp_path: Path) -> Path:
    """The recordings without their headers."""
    for kind in hearing.NETWORKS:
        for path in sorted((place / kind / "sounds").rglob("*.wav")):
            to = tmp_path / "raw" / kind / path.relative_to(place / kind / "sounds").with_suffix(".raw")
            to.parent.mkdir(parents=True, exist_ok=True)
            to.write_bytes(wav.read(path).samples.tobytes())
    return tmp_path / "raw"


def test_python_on_the_board_hears_the_same(bundles: dict[str, Path], place: Path, raw: Path, tmp_path: Path) -> None:
    (tmp_path / "board.py").write_text(PYTHON)
    library = runner_build.library(platform.machine()).path
    env = {**os.environ, "PYTHONPATH": str(LINUX / "python"), "EDGEKIT_LIBRARY": str(library)}
    found: dict[str, Any] = {}
    for kind in hearing.NETWORKS:
        command = [sys.executable, tmp_path / "board.py", bundles["keyword"], bundles["anomaly"], raw / kind]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found[kind] = json.loads(done.stdout)
    for name, one in decided(bundles["keyword"], place / "keyword" / "sounds").items():
        assert found["keyword"][name][:2] == [[c["number"], c["label"], c["score"]] for c in one["classes"]]
    for name, one in decided(bundles["anomaly"], place / "anomaly" / "sounds").items():
        assert found["anomaly"][name][3:] == [one["score"], one["anomalous"]]
    words = ("767999 samples a second", "sound is int16 or float32", "call edgekit_anomaly", "call edgekit_classes",
             "takes a sound: call edgekit_set_sound")  # fmt: skip
    for text, word in zip(found["keyword"]["errors"], words, strict=True):
        assert word in text


def test_c_and_cpp_on_the_board_hear_the_same(bundles: dict[str, Path], place: Path, raw: Path, tmp_path: Path) -> None:
    for compiler in ("gcc", "g++"):
        if shutil.which(compiler) is None:
            pytest.skip(f"{compiler} is not installed")
    library = runner_build.library(platform.machine()).path
    hear, watch = program(PAGE, "c", "gcc", library, tmp_path), program(PAGE, "cpp", "g++", library, tmp_path)
    for name, one in decided(bundles["keyword"], place / "keyword" / "sounds").items():
        found = said([hear, bundles["keyword"], "8000"], (raw / "keyword" / name).with_suffix(".raw"), tmp_path)
        rows = [line.split() for line in found.splitlines()]
        assert [(label, np.float32(score)) for label, score in rows] == [
            (c["label"], np.float32(c["score"])) for c in one["classes"]
        ]
    for name, one in decided(bundles["anomaly"], place / "anomaly" / "sounds").items():
        found = said([watch, bundles["anomaly"], "8000"], (raw / "anomaly" / name).with_suffix(".raw"), tmp_path)
        assert found.split() == ["anomalous" if one["anomalous"] else "normal", f"{one['score']:.17g}"]


@pytest.mark.emulator
def test_an_emulated_pi_hears_the_same(place: Path, raw: Path, tmp_path: Path) -> None:
    data = place / "keyword" / "sounds"
    options = ["--target", "rpi4", "--recipe", "int8", "--data", data, "--out", tmp_path / "b", "--json"]
    try:
        emulator, root = tracing.emulator("qemu-aarch64"), sysroot.get(target.load("rpi4"))
        made = program(PAGE, "c", "aarch64-linux-gnu-gcc", runner_build.library("aarch64").path, tmp_path)
    except (ToolMissing, FileNotFoundError) as error:
        pytest.skip(str(error))
    (bundle,) = edgekit("compile", place / "keyword" / "model.tflite", *options).json["bundles"]
    expected = decided(Path(bundle["path"]), data)
    run = [
        emulator,
        "-cpu",
        "cortex-a72",
        "-L",
        root,
        "-E",
        f"LD_LIBRARY_PATH={tmp_path}",
        made,
        bundle["path"],
        "8000",
    ]
    for name in list(expected)[:3]:
        rows = [line.split() for line in said(run, (raw / "keyword" / name).with_suffix(".raw"), tmp_path).splitlines()]
        assert [(label, np.float32(score)) for label, score in rows] == [
            (c["label"], np.float32(c["score"])) for c in expected[name]["classes"]
        ]


def test_what_does_not_fit_is_refused(place: Path, bundles: dict[str, Path], tmp_path: Path) -> None:
    model, data = place / "keyword" / "model.tflite", place / "keyword" / "sounds"
    command = ["compile", model, "--target", "host", "--out", tmp_path / "b", "--task", tmp_path / "task.toml"]
    for old, new, words in (
        (
            "window = 200",
            "window = 200\nlength = 9000",
            "9000 samples of sound are 88 frames, but the network takes 12",
        ),
        ("bands = 16", "bands = 20", "takes sound (log-mel), but the network's inputs are [1, 12, 16, 1]"),
        ('"silence"]', '"silence", "noise"]', "there are 4 labels for 3 classes"),
        ("[sound]", "[picture]", "picture is not a key"),
        ('task = "keyword"', 'task = "anomaly"\nthreshold = 1', "labels is not a key"),
    ):
        assert old in hearing.KEYWORD_TASK
        (tmp_path / "task.toml").write_text(hearing.KEYWORD_TASK.replace(old, new))
        refused(edgekit(*command), 2, words)
    (tmp_path / "task.toml").write_text(hearing.ANOMALY_TASK.replace("step = 400\n", ""))
    refused(edgekit(*command), 2, 'score = "error" needs an output of 192 numbers')
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "a.wav").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    refused(edgekit("run", bundles["keyword"], "--data", tmp_path / "pictures"), 2, "a.wav: not a WAV file")
    refused(edgekit("run", bundles["keyword"], "--data", data, "--draw", tmp_path / "d"), 2, "--draw")


def test_a_score_that_is_no_number_is_not_normal(tmp_path: Path) -> None:
    """Of a network that overflows on what is far too loud: in Python and in C."""
    b = Builder()
    x = b.tensor((1, 4), name="x")
    large = b.add("MUL", (x, b.constant(np.full((1, 4), 1e30, np.float32))), (1, 4), options="Mul")
    difference = b.add("SUB", (large, large), (1, 4), options="Sub")
    axes = b.constant(np.array([1], np.int32))
    y = b.add("SUM", (difference, axes), (1, 1), options="Reducer", keepDims=True)
    tflite.write(b.graph((x,), (y,)), tmp_path / "model.tflite")
    task = 'schema = 1\ntask = "anomaly"\nscore = "output"\nthreshold = 0.5\n[sound]\nrate = 8000\n'
    (tmp_path / "task.toml").write_text(task)
    options = ["--target", "host", "--out", tmp_path / "build", "--json"]
    (made,) = edgekit("compile", tmp_path / "model.tflite", *options).json["bundles"]
    (tmp_path / "sounds").mkdir()
    loud = np.full(4, 3e38, np.float32)
    (tmp_path / "sounds" / "loud.wav").write_bytes(hearing.wav(loud, kind=3))
    (tmp_path / "sounds" / "still.wav").write_bytes(hearing.wav(np.zeros(4, np.float32), kind=3))
    found = decided(made["path"], tmp_path / "sounds")
    assert found == {"loud.wav": {"score": None, "anomalous": True}, "still.wav": {"score": 0, "anomalous": False}}
    code = (
        "import sys, numpy as np; from edgekit_runtime import Network; network = Network(sys.argv[1]);"
        "print([network.anomaly(np.full(4, value, np.float32), rate=8000).anomalous for value in (3e38, 0)])"
    )
    library = runner_build.library(platform.machine()).path
    env = {**os.environ, "PYTHONPATH": str(LINUX / "python"), "EDGEKIT_LIBRARY": str(library)}
    done = subprocess.run(
        [sys.executable, "-c", code, made["path"]], env=env, capture_output=True, text=True, check=False
    )
    assert done.stdout == "[True, False]\n", done.stderr
