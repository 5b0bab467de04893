"""WAV files: what is read, and what is refused in one line."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit.data import dataset, wav
from edgekit.errors import UsageError
from edgekit.graph import Graph
from edgekit.tasks import task
from edgekit.tasks.task import Task
from tests.networks import hearing

SAMPLES = np.array([[0, 1], [-32768, 32767], [5, -5]], np.int16)


def test_what_python_writes_is_read() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(2)
        writer.setsampwidth(2)
        writer.setframerate(44_100)
        writer.writeframes(SAMPLES.tobytes())
    found = wav.parsed(file.getvalue())
    assert found.rate == 44_100 and np.array_equal(found.samples, SAMPLES) and found.samples.dtype == np.int16


def test_floats_other_chunks_and_the_extensible_form() -> None:
    floats = np.float32([0.5, -1.5])
    found = wav.parsed(hearing.wav(floats, kind=3))
    assert np.array_equal(found.samples[:, 0], floats)
    plain = hearing.wav(SAMPLES)
    with_list = plain[:12] + b"LIST" + (5).to_bytes(4, "little") + b"abcde\0" + plain[12:] + b"id3 1234"
    assert np.array_equal(wav.parsed(with_list).samples, SAMPLES)
    form = b"\xfe\xff" + plain[22:36] + (22).to_bytes(2, "little") + bytes(6) + b"\x01\x00" + bytes(14)
    extensible = plain[:12] + b"fmt " + len(form).to_bytes(4, "little") + form + plain[36:]
    assert np.array_equal(wav.parsed(extensible).samples, SAMPLES)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_integers_of_all_widths_are_read(width: int) -> None:
    """As the package ``soundfile`` writes and reads them."""
    soundfile = pytest.importorskip("soundfile")
    wanted = np.random.default_rng(width).uniform(-1, 1, (500, 3))
    wanted[:3] = [[-1, 0, 0.9999], [0.5, -0.5, 1 / 128], [0, 0, 0]]
    file = io.BytesIO()
    kind = {1: "PCM_U8", 2: "PCM_16", 3: "PCM_24", 4: "PCM_32"}[width]
    soundfile.write(file, wanted, 22_050, subtype=kind, format="WAV")
    found = wav.parsed(file.getvalue())
    file.seek(0)
    expected, rate = soundfile.read(file)
    assert found.rate == rate == 22_050
    assert found.samples.dtype == (np.int16 if width < 3 else np.float32)
    real = found.samples / 32768 if width < 3 else found.samples
    np.testing.assert_allclose(real, expected, rtol=2**-24 if width == 4 else 0, atol=0)


def test_floats_of_64_bits_are_read() -> None:
    found = wav.parsed(hearing.wav(np.float64([0.1, -2, 1e300, np.nan]), kind=3)).samples[:, 0]
    np.testing.assert_array_equal(found, np.float32([0.1, -2, np.inf, np.nan]))


BAD = {
    "a picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), "not a WAV file"),
    "empty": (b"", "not a WAV file"),
    "cut off": (hearing.wav(SAMPLES)[:-3], "cut off: it should have 12 bytes of b'data' and has 9"),
    "12 bits": (hearing.wav(SAMPLES, bits=12), "12-bit integers; integers of 8, 16, 24 and 32 bits and floats are"),
    "16-bit floats": (hearing.wav(SAMPLES, kind=3), "16-bit floats"),
    "24 bits in 16": (hearing.wav(SAMPLES, bits=24), "a damaged WAV file: 2 channels, 4 bytes for all"),
    "compressed": (hearing.wav(SAMPLES, kind=85), "of a compressed form (85)"),
    "no samples": (hearing.wav(SAMPLES[:0]), "it has no samples"),
    "no format": (b"RIFF\0\0\0\0WAVEdata\4\0\0\0abcd", "does not say what its samples are"),
    "chunks": (b"RIFF\0\0\0\0WAVE" + b"LIST\0\0\0\0" * 1001, "over 1000 chunks before its samples"),
    "no rate": (hearing.wav(SAMPLES, rate=0), "a damaged WAV file"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    data, words = BAD[name]
    (tmp_path / "a.wav").write_bytes(data)
    with pytest.raises(UsageError) as refused:
        wav.read(tmp_path / "a.wav")
    assert words in refused.value.message and "a.wav" in refused.value.message and "\n" not in refused.value.message


@settings(max_examples=300)
@given(st.data())
def test_damaged_files_raise_nothing_else(data: st.DataObject) -> None:
    content = bytearray(hearing.wav(SAMPLES))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    try:
        found = wav.parsed(bytes(content[: data.draw(st.integers(0, len(content)))]))
    except ValueError:
        return
    assert found.samples.ndim == 2 and found.samples.size and found.rate


def heard(folder: Path, kind: str) -> tuple[Task, Graph]:
    hearing.written(folder, kind)
    graph = hearing.NETWORKS[kind][0]()
    return task.read(folder / "task.toml", graph), graph


def test_a_folder_of_recordings(tmp_path: Path) -> None:
    """Folders are classes by the task's labels, in whatever order they are."""
    purpose, graph = heard(tmp_path, "keyword")
    data = hearing.recordings(tmp_path / "sounds", "keyword")
    found = dataset.load(str(data), graph, task=purpose)
    assert found.names is not None and found.labels is not None
    assert dict(zip(found.names.tolist(), found.labels.tolist(), strict=True)) == {
        "high/0.wav": 1, "high/1.wav": 1, "low/0.wav": 0, "low/1.wav": 0, "silence/0.wav": 2, "silence/1.wav": 2,
    }  # fmt: skip
    assert found.inputs[0].shape == (6, 1, hearing.FRAMES, hearing.BANDS, 1)
    half = dataset.load(f"{data}?part=1/2", graph, task=purpose)
    assert len(half) == 3 and half.index is not None
    assert np.array_equal(half.inputs[0], found.inputs[0][half.index])
    one = dataset.load(str(data / "low" / "0.wav"), graph, task=purpose)
    assert np.array_equal(one.inputs[0][0], found.inputs[0][2]) and one.labels is None
    (data / "low").rename(data / "lower")
    with pytest.raises(UsageError, match="the folder 'lower' is not among the task's labels"):
        dataset.load(str(data), graph, task=purpose)


def test_recordings_of_another_rate_are_resampled(tmp_path: Path) -> None:
    purpose, graph = heard(tmp_path, "keyword")
    (tmp_path / "a.wav").write_bytes(hearing.wav(np.repeat(hearing.tone(500, 1300), 2), rate=16_000))
    (tmp_path / "b.wav").write_bytes(hearing.wav(hearing.tone(500, 1300)))
    wide, narrow = (dataset.load(str(tmp_path / name), graph, task=purpose).inputs[0] for name in ("a.wav", "b.wav"))
    assert wide.shape == narrow.shape and 0 < np.abs(wide - narrow)[..., :8, 0].max() < 0.3


def test_clips_of_recordings(tmp_path: Path) -> None:
    """With a step, a recording is several samples, and all that is not normal is anomalous."""
    purpose, graph = heard(tmp_path, "anomaly")
    data = hearing.recordings(tmp_path / "sounds", "anomaly")
    found = dataset.load(str(data), graph, task=purpose)
    assert found.recordings is not None and found.truth is not None and found.names is not None
    assert found.recordings.tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [3] * 3
    assert found.truth.tolist() == [1] * 6 + [0] * 6 and found.labels is None
    assert found.names[:2].tolist() == ["broken/0.wav", "broken/0.wav at 0.05 s"]
    assert len(dataset.load(f"{data}?part=1/2", graph, task=purpose)) == 6
    (data / "normal").rename(data / "usual")
    with pytest.raises(UsageError, match="none of its folders is called 'normal'"):
        dataset.load(str(data), graph, task=purpose)


@pytest.mark.parametrize("name", ["12 bits", "cut off", "a picture"])
def test_bad_files_in_a_folder(tmp_path: Path, name: str) -> None:
    purpose, graph = heard(tmp_path, "keyword")
    data = hearing.recordings(tmp_path / "sounds", "keyword")
    (data / "low" / "2.wav").write_bytes(BAD[name][0])
    with pytest.raises(UsageError, match=r"low/2\.wav: "):
        dataset.load(str(data), graph, task=purpose)
    (data / "low" / "2.wav").write_bytes(hearing.wav(hearing.tone(500), rate=766_999))
    with pytest.raises(UsageError, match=r"2\.wav: it has 766999 samples a second, which cannot be resampled to 8000"):
        dataset.load(str(data), graph, task=purpose)
