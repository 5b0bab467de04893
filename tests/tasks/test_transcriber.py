"""From scores of frames to texts: against a plain reference, and C against NumPy, bit for bit."""

from __future__ import annotations

import json
import subprocess
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.errors import CheckFailed, UsageError
from edgekit.graph import Graph, Quantization
from edgekit.tasks import task
from edgekit.tasks.labels import Scores
from edgekit.tasks.parts import Sample
from edgekit.tasks.sound import Features, Sound
from edgekit.tasks.transcriber import Frames, Transcriber, Transcript
from tests.networks.small import Builder
from tests.tasks import c_driver

LABELS = ("_", "a", "b", "\u2581c", "|")
GOOD = """schema = 1
task = "speech-to-text"
labels = ["_", "a", "b", "\u2581c", "|"]
blank = 0
separator = "|"
[sound]
rate = 8000
"""


def network(shape: tuple[int, ...] = (1, 7, 5), dtype: str = "float32", scale: float = 0.0, zero: int = 0) -> Graph:
    b = Builder()
    x = b.tensor((1, 700), name="x")
    graph = b.graph((x,), (b.add("NONE", (x,), shape),))
    graph.outputs[0].dtype = dtype
    graph.outputs[0].quantization = Quantization(np.float32([scale]), np.array([zero])) if scale else None
    return graph


def sound(length: int = 700, step: int = 0, rate: int = 8000) -> Sound:
    return Sound(rate, length, step, Features.WAVEFORM, None, (1.0,), (0.0,))


def heard(numbers: list[int], transcriber: Transcriber, source: Sound) -> Transcript:
    """What is made of a clip whose frames have these labels."""
    count = len(transcriber.labels)
    scores = np.eye(count, dtype=np.float32)[numbers][None]
    if transcriber.frames is Frames.LAST:
        scores = np.ascontiguousarray(scores.transpose(0, 2, 1))
    return transcriber.decide(Sample("a"), [scores], network(scores.shape), source)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([1, 1, 0, 1, 2, 2, 2], "aab"),
        ([0, 0, 0], ""),
        ([4, 4, 1, 4, 4, 2, 4], "a b"),
        ([1, 4, 0, 4, 2], "a  b"),
        ([3, 3, 1, 3], "\u2581ca\u2581c"),
        ([2], "b"),
    ],
)
def test_texts_by_hand(numbers: list[int], text: str) -> None:
    assert heard(numbers, Transcriber(LABELS, 0, separator="|"), sound()).text == text


def test_word_pieces_and_networks_that_repeat() -> None:
    assert heard([3, 0, 1, 3], Transcriber(LABELS, 0, separator="\u2581"), sound()).text == "ca c"
    assert heard([1, 1, 0, 1], Transcriber(LABELS, 0, merge=False), sound()).text == "aaa"
    assert heard([1, 0, 4, 0], Transcriber(LABELS, 4), sound()).text == "a__"


def test_labels_have_the_times_of_their_frames() -> None:
    found = heard([0, 1, 1, 0, 2, 0, 0], Transcriber(LABELS, 0), sound())
    assert [(one.label, one.start) for one in found.labels] == [("a", np.float32(0.0125)), ("b", np.float32(0.05))]
    assert found.json()["text"] == "ab" and [line.label for line in found.lines()] == ["ab", "a", "b"]


def test_scores_are_probabilities() -> None:
    scores = np.random.default_rng(0).normal(0, 3, (1, 30, 5)).astype(np.float32)
    made = Transcriber(LABELS, 0, scores=Scores.LOGITS).decide(Sample("a"), [scores], network((1, 30, 5)), sound())
    powers = np.exp(scores[0].astype(float))
    rows = (powers / powers.sum(axis=1, keepdims=True)).max(axis=1)
    frames = [round(one.start * 8000 * 30 / 700) for one in made.labels]
    np.testing.assert_allclose([one.score for one in made.labels], rows[frames], rtol=1e-6)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_a_plain_reference_says_the_same(data: st.DataObject) -> None:
    """Clips with a step, each frame taken from the clip whose middle is nearer; then groups without blanks."""
    frames, length = data.draw(st.integers(1, 9)), data.draw(st.integers(1, 50))
    count = data.draw(st.integers(1, 4))
    step = data.draw(st.integers(1, 60)) if count > 1 else 0
    blank, merge = data.draw(st.integers(0, 4)), data.draw(st.booleans())
    transcriber = Transcriber(LABELS, blank, merge, "|")
    paths = data.draw(
        st.lists(st.lists(st.integers(0, 4), min_size=frames, max_size=frames), min_size=count, max_size=count)
    )
    found = transcriber.joined([heard(path, transcriber, sound(length, step)) for path in paths])
    kept = []
    for number, path in enumerate(paths):
        for frame, label in enumerate(path):
            middle = Fraction(number * step) + Fraction(length * (2 * frame + 1), 2 * frames)
            begin = Fraction(number * step) + Fraction(length - step, 2)
            if (number == 0 or middle >= begin) and (number == count - 1 or middle < begin + step):
                kept.append(label)
    groups = [label for label, _ in groupby(kept)] if merge else kept
    text = "".join(LABELS[label] for label in groups if label != blank)
    assert found.text == text.replace("|", " ").strip(" ")


def read(folder: Path, text: str, graph: Graph) -> Transcriber:
    (folder / "task.toml").write_text(text)
    found = task.read(folder / "task.toml", graph)
    assert task.of_manifest({"task": json.loads(json.dumps(found.json()))}) == found
    assert isinstance(found.decider, Transcriber)
    return found.decider


def test_task_files(tmp_path: Path) -> None:
    assert read(tmp_path, GOOD, network()) == Transcriber(LABELS, 0, separator="|")
    assert read(tmp_path, GOOD.replace("blank = 0", 'blank = "b"'), network()).blank == 2
    for shape, frames in (
        ((1, 5, 7), Frames.LAST),
        ((7, 1, 5), Frames.FIRST),
        ((1, 1, 7, 5), Frames.FIRST),
        ((1, 5, 5), Frames.FIRST),
        ((1, 1, 5), Frames.FIRST),
        ((1, 5, 1), Frames.LAST),
    ):
        assert read(tmp_path, GOOD, network(shape)).frames is frames, shape
    last = GOOD.replace("blank", 'frames = "last"\nblank')
    assert read(tmp_path, last, network((1, 5, 5))).frames is Frames.LAST
    assert read(tmp_path, GOOD, network((1, 7, 5), "int8", 0.5)).blank == 0


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("blank = 0\n", "", "blank is missing"),
        ("blank = 0", "blank = 5", "blank = 5 is none of the 5 labels, 0 to 4"),
        ("blank = 0", "blank = -1", "blank = -1 is none of"),
        ("blank = 0", "blank = true", "blank = True is none of"),
        ("blank = 0", 'blank = "x"', "blank = 'x' is none of the labels"),
        ('"b"', '"_"', "labels"),
        (', "|"]', "]", "there are 4 labels, but the output [1, 7, 5] has 5"),
        ('labels = ["_", "a", "b", "\u2581c", "|"]\n', "", "labels are missing"),
        ('separator = "|"', "separator = 1", "the label 1 is no text"),
        ("blank = 0", "blank = 0\ntop = 2", "top is not a key"),
        ("blank = 0", 'blank = 0\nscores = "softmax"', 'scores = "softmax" is for detection'),
        ("blank = 0", 'blank = 0\nmerge = "no"', "merge = 'no' is neither true nor false"),
        ("blank = 0", 'blank = 0\nframes = "last"', "has 7"),
    ],
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    text = GOOD.replace(old, new)
    if new == '"_"':
        text = text.replace("blank = 0", 'blank = "_"')
        words = "blank = '_' is 2 of the labels"
    with pytest.raises(UsageError) as refused:
        read(tmp_path, text, network())
    assert words in refused.value.message and "\n" not in refused.value.message, refused.value.message


@pytest.mark.parametrize(
    ("shape", "dtype"),
    [((2, 7, 5), "float32"), ((1, 7, 5), "int32"), ((1, 7, 5), "int8"), ((1,), "float32"), ((1, 2, 7, 5), "float32")],
)
def test_outputs_that_are_no_scores_of_frames(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(UsageError, match=r"needs an output \[1, frames, labels\]|there are 5 labels"):
        read(tmp_path, GOOD, network(shape, dtype))


@pytest.mark.parametrize("key", ["labels", "blank", "merge", "separator", "scores", "frames"])
@pytest.mark.parametrize("value", [None, -1, "x", 99, [1], {}])
def test_damaged_manifests(tmp_path: Path, key: str, value: Any) -> None:
    if (key, value) == ("separator", "x"):
        pytest.skip("that is a separator")
    read(tmp_path, GOOD, network())
    data = json.loads(json.dumps(task.read(tmp_path / "task.toml", network()).json()))
    data[key] = value
    with pytest.raises(CheckFailed, match=r"'task' in manifest\.json is damaged"):
        task.of_manifest({"task": data})


# The same in C

TYPES = {"float32": 1, "int8": 4, "uint8": 5, "int16": 6}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = ("transcriber.c", "class_labels.c", "exact.c", "json.c")
    return c_driver.compiled(tmp_path_factory.mktemp("transcript"), "transcript_driver.c", *parts)


def in_c(
    driver: Path, folder: Path, manifest: dict[str, Any], source: Sound, graph: Graph, clips: NDArray[Any],
    damaged: bytes | None = None,
) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
    form = {"length": source.length, "step": source.step, "rate": source.rate}
    text = json.dumps({"task": manifest, "clips": form}, ensure_ascii=False).encode()
    (folder / "manifest.json").write_bytes(
        text if damaged is None else damaged[:-1] + b", " + json.dumps({"clips": form}).encode()[1:]
    )
    tensor = graph.outputs[0]
    q = tensor.quantization
    scale, zero = (float(q.scale[0]), int(q.zero_point[0])) if q is not None else (0, 0)
    given = [folder / "manifest.json", TYPES[tensor.dtype], repr(scale), zero, len(clips), *tensor.shape]
    return subprocess.run([driver, *map(str, given)], input=clips.tobytes(), capture_output=True, check=False)


def test_c_decodes_the_same_bits(driver: Path, tmp_path: Path) -> None:
    """Random labels, layouts, types, overlaps, and scores with ties and what is no number."""
    random = np.random.default_rng(5)
    words = 0
    for number in range(80):
        count, frames, clips = int(random.integers(2, 9)), int(random.integers(1, 40)), 1 + number % 4
        labels = tuple(str(random.choice(["a", "b", "|", "\u2581x", "c|", " ", "||d"])) for _ in range(count))
        dtype = list(TYPES)[number % 4]
        transcriber = Transcriber(
            labels, int(random.integers(count)), bool(random.integers(2)), str(random.choice(["", "|", "\u2581"])),
            Scores.LOGITS if number % 3 else Scores.PROBABILITIES, list(Frames)[number // 4 % 2],
        )  # fmt: skip
        shape = (1, frames, count) if transcriber.frames is Frames.FIRST else (1, count, frames)
        graph = network(shape, dtype, 0 if dtype == "float32" else 0.04, 3)
        source = sound(int(random.integers(1, 900)), int(random.integers(1, 900)), int(random.integers(1, 50_000)))
        values = random.normal(0, 60, (clips, *shape)).round()
        if dtype == "float32":
            values[random.random(values.shape) < 0.1] = random.choice([np.nan, -np.inf, np.inf, 0.0])
        limits = np.iinfo(dtype) if dtype != "float32" else np.finfo(np.float32)
        scores = (
            values.astype(np.float32) if dtype == "float32" else np.clip(values, limits.min, limits.max).astype(dtype)
        )
        with np.errstate(invalid="ignore"):
            each = [transcriber.decide(Sample("a"), [clip], graph, source) for clip in scores]
            expected = transcriber.joined(each)
        done = in_c(driver, tmp_path, transcriber.json(), source, graph, scores)
        assert done.returncode == 0, done.stderr.decode()
        lines = done.stdout.decode().split("\n")[:-1]
        text = "".join(line.removeprefix("text ") for line in lines if line.startswith("text "))
        assert text == expected.text
        found = [line.removeprefix("label ").split(" ", 3) for line in lines if line.startswith("label ")]
        assert [(int(n), float.fromhex(s), float.fromhex(t), label) for n, s, t, label in found] == [
            (one.number, pytest.approx(one.score, abs=0, rel=0, nan_ok=True), one.start, one.label)
            for one in expected.labels
        ]
        words += len(text.split())
    assert words > 300


def test_a_frame_in_the_middle_of_two_clips_is_the_laters(driver: Path, tmp_path: Path) -> None:
    """Of two clips of 100 samples, 50 apart, the first's second frame has its middle where the second's first has."""
    clips = np.eye(5, dtype=np.float32)[[[[1, 2]], [[3, 4]]]]
    source, graph, transcriber = sound(100, 50), network(clips[0].shape), Transcriber(tuple("_abcd"), 0)
    each = [transcriber.decide(Sample("a"), [clip], graph, source) for clip in clips]
    assert transcriber.joined(each).text == "acd"
    done = in_c(driver, tmp_path, transcriber.json(), source, graph, clips)
    assert [line for line in done.stdout.decode().splitlines() if line.startswith("text")] == ["text a", "text cd"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("blank", 5), ("blank", -1), ("labels", ["a"]), ("labels", []), ("merge", 1), ("separator", None),
        ("separator", "x" * 300), ("scores", "softmax"), ("frames", "middle"),
    ],
)  # fmt: skip
def test_c_refuses_damaged_tasks(driver: Path, tmp_path: Path, key: str, value: Any) -> None:
    manifest = Transcriber(LABELS, 0).json()
    one = np.zeros((1, 1, 7, 5), np.float32)
    assert in_c(driver, tmp_path, manifest, sound(), network(), one).returncode == 0
    assert in_c(driver, tmp_path, {**manifest, key: value}, sound(), network(), one).returncode == 2


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_c_is_safe_from_damaged_manifests(
    driver: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bytes changed at random: refused, or something else is decoded, but no sanitizer complains."""
    folder = tmp_path_factory.getbasetemp()
    text = bytearray(json.dumps({"task": Transcriber(LABELS, 1, separator="|").json()}).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"9", b"-", b"0", b"", b"e", b"99", b"[", b"1", b"\x00", b"\xff"])
        )
    clips = np.random.default_rng(0).normal(size=(2, 1, 7, 5)).astype(np.float32)
    done = in_c(driver, folder, {}, sound(step=300), network(), clips, bytes(text))
    assert done.returncode in (0, 2, 3), done.stderr.decode()


@pytest.mark.parametrize("shape", [(1, 7, 4), (1, 5, 7), (7, 5, 2), (1, 1 << 17, 5), (1, 1, 1)])
def test_c_refuses_other_outputs(driver: Path, tmp_path: Path, shape: tuple[int, ...]) -> None:
    clips = np.zeros((1, *shape), np.float32)
    assert in_c(driver, tmp_path, Transcriber(LABELS, 0).json(), sound(), network(shape), clips).returncode == 2
