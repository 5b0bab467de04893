"""From sound to a network's input: the reference against librosa, and C against the reference, bit for bit."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.data import mfcc
from edgekit.errors import CheckFailed, UsageError
from edgekit.graph import Graph, Quantization
from edgekit.tasks import exact, features, task
from edgekit.tasks.features import Bands, Log, Mel
from edgekit.tasks.sound import Features, Sound
from tests.networks.small import Builder
from tests.tasks import c_driver

LIBROSA = "window = 400\nhop = 160\nbands = 40"
TENSORFLOW = 'like = "tensorflow"\nwindow = 480\nhop = 320\nbands = 40\nlow = 20\nhigh = 4000'


def network(shape: tuple[int, ...], dtype: str = "float32", quantization: Quantization | None = None) -> Graph:
    b = Builder()
    x = b.tensor(shape, name="x")
    graph = b.graph((x,), (b.add("NONE", (x,), (1, 3)),))
    graph.inputs[0].dtype, graph.inputs[0].quantization = dtype, quantization
    return graph


def read(folder: Path, sound: str, graph: Graph, rate: int = 16_000) -> Sound:
    text = f'schema = 1\ntask = "keyword"\n[sound]\nrate = {rate}\n{sound}\n'
    (folder / "task.toml").write_text(text)
    found = task.read(folder / "task.toml", graph).source
    assert isinstance(found, Sound)
    return found


def speech(count: int, seed: int = 0) -> NDArray[np.int16]:
    """Tones in noise, loud and quiet."""
    random = np.random.default_rng(seed)
    t = np.arange(count) / 16_000
    made = random.normal(0, 0.02, count) + 0.4 * np.sin(2 * np.pi * t * (300 + 2000 * t)) * (np.sin(9 * t) > 0)
    return np.clip(np.rint(made * 32768), -32768, 32767).astype(np.int16)


@given(st.lists(st.floats(1e-300, 1e300), min_size=1, max_size=50))
def test_the_logarithm_is_accurate(numbers: list[float]) -> None:
    x = np.array(numbers)
    np.testing.assert_allclose(exact.logarithm(x), np.log(x), rtol=2e-15, atol=4e-16)


@given(st.integers(0, 1 << 40), st.integers(1, 1 << 20))
def test_turns_are_accurate(part: int, whole: int) -> None:
    cosine, sine = exact.turned(np.array([part]), whole)
    angle = 2 * np.pi * (part % whole) / whole
    np.testing.assert_allclose([cosine[0], sine[0]], [np.cos(angle), np.sin(angle)], atol=2e-15)


@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize(
    ("window", "fft", "hop"), [(400, 512, 160), (512, 512, 128), (1024, 1024, 512), (501, 2048, 300)]
)
def test_features_are_librosas(tmp_path: Path, center: bool, window: int, fft: int, hop: int) -> None:
    librosa = pytest.importorskip("librosa")
    samples = speech(16_000)
    options = {"sr": 16_000, "n_fft": fft, "win_length": window, "hop_length": hop, "n_mels": 40, "center": center}
    for mel, also in ((Mel.SLANEY, {}), (Mel.HTK, {"htk": True, "norm": None})):
        energy = librosa.feature.melspectrogram(y=samples / 32768, fmin=50, fmax=7000, **options, **also)
        frames = energy.shape[1]
        for kind, count, expected in (
            ("log-mel", 40, librosa.power_to_db(energy, top_db=None).T),
            ("mfcc", 13, librosa.feature.mfcc(S=librosa.power_to_db(energy, top_db=None), n_mfcc=13).T),
        ):
            keys = (
                f'features = "{kind}"\nwindow = {window}\nfft = {fft}\nhop = {hop}\nbands = 40\nlow = 50\nhigh = 7000'
            )
            keys += f'\nlength = 16000\nmel = "{mel}"\ncenter = {str(center).lower()}'
            graph = network((1, frames, count))
            sound = read(tmp_path, keys + ("\ncoefficients = 13" if count == 13 else ""), graph)
            found = sound.values(features.clip(samples[:, None]), graph.inputs[0])
            np.testing.assert_allclose(found[0, 0], expected, atol=1e-5 if kind == "log-mel" else 5e-5)


def test_features_are_those_of_tensorflow(tmp_path: Path) -> None:
    """As tests/data/test_mfcc.py compares them with ``tf.signal``; and the integers of microcontrollers are near."""
    graph, samples = network((1, 49, 10, 1)), speech(16_000)
    sound = read(tmp_path, f'features = "mfcc"\n{TENSORFLOW}\ncoefficients = 10', graph)
    found = sound.values(features.clip(samples[:, None]), graph.inputs[0])[0, 0, :, :, 0]
    np.testing.assert_allclose(found, mfcc.real(samples), atol=2e-5)
    assert np.abs(found - mfcc.mfcc(samples) / 65536).max() < 0.01
    assert sound.length == 48 * 320 + 480


def test_a_recording_has_clips(tmp_path: Path) -> None:
    graph = network((1, 5, 16))
    sound = read(tmp_path, 'features = "log-mel"\nwindow = 64\nhop = 32\nbands = 16\ncenter = false\nstep = 32', graph)
    recording = features.clip(speech(64 + 9 * 32 + 31)[:, None])
    found = sound.values(recording, graph.inputs[0])
    assert sound.length == 64 + 4 * 32 and len(found) == sound.clips(len(recording)) == 6
    np.testing.assert_array_equal(found[2, 0], sound.values(recording[64:], graph.inputs[0])[0, 0])
    assert sound.clips(0) == sound.clips(sound.length) == 1
    every = replace(sound, rest=True)
    assert every.clips(len(recording)) == len(every.values(recording, graph.inputs[0])) == 7
    assert [every.clips(sound.length + more) for more in (0, 1, 32, 33)] == [1, 2, 2, 3]
    once = replace(sound, step=0)
    assert len(once.values(recording, graph.inputs[0])) == 1


def test_long_clips_are_computed_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = Bands(30, 20, 32, -5, 8, 0.0, 4000.0, Mel.HTK, 2, Log.LN, 1e-9, 0.0, 3, True, False)
    clips = np.stack([features.clip(speech(900, seed)[:, None]) for seed in range(7)])
    whole = features.features(clips, 41, spec, 8000)
    for at_once in (1, 10, 41, 100):
        monkeypatch.setattr(features, "_AT_ONCE", at_once)
        np.testing.assert_array_equal(features.features(clips, 41, spec, 8000), whole)
    assert features.features(clips[:0], 41, spec, 8000).shape == (0, 41, 3)


def test_shapes(tmp_path: Path) -> None:
    """Frames first, features first, flat, with more dimensions of 1; the same numbers."""
    keys, found = f'features = "log-mel"\ncenter = false\n{LIBROSA}', {}
    recording = features.clip(speech(8000)[:, None])
    for shape in ((1, 20, 40), (1, 40, 20), (1, 20, 40, 1), (1, 1, 20, 40), (1, 1, 40, 20), (1, 800)):
        graph = network(shape)
        made = read(tmp_path, keys, graph).values(recording, graph.inputs[0])
        assert made.shape == (1, *shape)
        found[shape] = made.reshape(40, 20).T if shape[-1] == 20 else made.reshape(20, 40)
    assert all(np.array_equal(one, found[1, 800]) for one in found.values())


def test_a_waveform_is_the_samples(tmp_path: Path) -> None:
    graph = network((1, 100))
    sound = read(tmp_path, "range = [-1, 1]", graph)
    stereo = np.stack([np.arange(90), np.arange(90) + 2], axis=1).astype(np.int16)
    found = sound.values(features.clip(stereo), graph.inputs[0])[0, 0]
    np.testing.assert_allclose(found[:90], (np.arange(90) + 1) / 65536 + 0.5, atol=1e-7)
    assert (found[90:] == 0.5).all()


PAGE = Path(__file__).parents[2] / "docs" / "sound.md"


def test_the_tasks_of_the_documentation_are_read(tmp_path: Path) -> None:
    keyword, anomaly = re.findall(r"^```toml\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    b = Builder()
    x = b.tensor((1, 49, 10), name="x")
    words = b.graph((x,), (b.add("NONE", (x,), (1, 4)),))
    b = Builder()
    x = b.tensor((1, 640), name="x")
    machine = b.graph((x,), (b.add("NONE", (x,), (1, 640)),))
    for text, graph in ((keyword, words), (anomaly, machine)):
        (tmp_path / "task.toml").write_text(text)
        found = task.read(tmp_path / "task.toml", graph)
        assert task.of_manifest({"task": json.loads(json.dumps(found.json()))}) == found


GOOD = f'features = "mfcc"\n{LIBROSA}\ncoefficients = 13\nlength = 16000'


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("hop = 160", "hops = 160", "sound.hops is not a key"),
        ("hop = 160\n", "", "sound.hop is 0; it must be at least 1"),
        ("window = 400", "window = 40000", "sound.window = 40000 is not a whole number up to 16384"),
        ("window = 400", "window = 400\nfft = 500", "sound.fft = 500 is not a power of two from 400 to 16384"),
        ("window = 400", "window = 400\nfft = 256", "sound.fft = 256 is not"),
        ("bands = 40", "bands = 40\nlow = 9000", "not between 0 and half the rate, 8000"),
        ("bands = 40", "bands = 4", "coefficients = 13 is not a whole number up to 4"),
        ("bands = 40", 'bands = 40\nmel = "bark"', "sound.mel = 'bark': it is one of slaney, htk, tensorflow"),
        ("bands = 40", "bands = 40\nfloor = 0", "sound.floor is above 0"),
        ("bands = 40", "bands = 40\nstd = 0", "sound.std is above 0"),
        ("bands = 40", "bands = 40\nmean = [1, 2]", "mean has 2 numbers: one, or one for each of the 13 features"),
        ("bands = 40", "bands = 40\nrange = [1, 2]\nmean = 1", "range excludes mean and std"),
        ('"mfcc"', '"log-mel"', "sound.coefficients is not a key"),
        ('"mfcc"', '"chroma"', "it is one of waveform, log-mel, mfcc"),
        ("length = 16000", "length = 16777217", "sound.length = 16777217 is not a whole number up to 16777216"),
        ("length = 16000", "length = 8000", "8000 samples of sound are 51 frames, but the network takes 101"),
        ("coefficients = 13", "coefficients = 12", "takes sound (mfcc), but the network's inputs are [1, 101, 13]"),
    ],
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    read(tmp_path, GOOD, network((1, 101, 13)))
    with pytest.raises(UsageError) as refused:
        read(tmp_path, GOOD.replace(old, new), network((1, 101, 13)))
    assert words in refused.value.message and "\n" not in refused.value.message, refused.value.message


@pytest.mark.parametrize(
    ("shape", "dtype"), [((1, 101, 14), "float32"), ((2, 101, 13), "float32"), ((1, 101, 13), "int32")]
)
def test_networks_that_hear_nothing(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    with pytest.raises(UsageError, match="takes sound"):
        read(tmp_path, GOOD, network(shape, dtype))


def test_the_manifest_keeps_it(tmp_path: Path) -> None:
    for keys in (GOOD, "mean = 0.5", f'features = "mfcc"\n{TENSORFLOW}\ncoefficients = 5\nmean = [1, 2, 3, 4, 5]'):
        shape = (1, 101, 13) if keys is GOOD else (1, 49, 5) if "mfcc" in keys else (1, 50)
        read(tmp_path, keys, network(shape))
        whole = task.read(tmp_path / "task.toml", network(shape))
        assert task.of_manifest({"task": json.loads(json.dumps(whole.json()))}) == whole


@pytest.mark.parametrize(
    "key", ["rate", "length", "features", "bands", "scale", "bands.fft", "bands.low", "bands.mel", "bands.begin"]
)
@pytest.mark.parametrize("value", [None, -1, "x", [1, "y"], {}])
def test_damaged_manifests(tmp_path: Path, key: str, value: Any) -> None:
    read(tmp_path, GOOD, network((1, 101, 13)))
    data = json.loads(json.dumps(task.read(tmp_path / "task.toml", network((1, 101, 13))).json()))
    place = data["sound"]["bands"] if "." in key else data["sound"]
    if key == "bands.begin" and value == -1:
        pytest.skip("that is a place")
    place[key.rpartition(".")[2]] = value
    with pytest.raises(CheckFailed, match=r"'task' in manifest\.json is damaged"):
        task.of_manifest({"task": data})


# The same in C

TYPES = {"float32": 1, "int8": 4, "uint8": 5, "int16": 6}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = ("exact.c", "sound_features.c", "json.c", "resample.c", "sound.c")
    return c_driver.compiled(tmp_path_factory.mktemp("sound"), "sound_driver.c", *parts)


def in_c(
    driver: Path, folder: Path, sound: Sound, graph: Graph, samples: NDArray[Any], *, rate: int = 0, clip: int = 0,
    manifest: bytes | None = None,
) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
    text = manifest if manifest is not None else json.dumps({"task": {"sound": sound.json()}}).encode()
    (folder / "manifest.json").write_bytes(text)
    tensor = graph.inputs[0]
    q = tensor.quantization
    scale, zero = (float(q.scale[0]), int(q.zero_point[0])) if q is not None else (0, 0)
    kind = 1 if samples.dtype == np.int16 else 2
    given: list[Any] = [folder / "manifest.json", TYPES[tensor.dtype], repr(scale), zero, kind, samples.shape[1]]
    given += [rate or sound.rate, len(samples), clip, *tensor.shape]
    return subprocess.run([driver, *map(str, given)], input=samples.tobytes(), capture_output=True, check=False)


def as_input(values: NDArray[np.float32], graph: Graph) -> NDArray[Any]:
    tensor = graph.inputs[0]
    return values if tensor.quantization is None else tensor.quantization.quantize(values, tensor.dtype)


def test_c_computes_the_same_bits(driver: Path, tmp_path: Path) -> None:
    """Random front ends, types, shapes, channels and lengths."""
    random = np.random.default_rng(3)
    seen = set()
    for number in range(60):
        fft = int(2 ** random.integers(3, 12))
        window, bands = int(random.integers(2, fft + 1)), int(random.integers(1, 90))
        dtype, rate = list(TYPES)[number % 4], int(random.choice([8000, 16_000, 44_100]))
        low = float(random.uniform(0, rate / 8))
        coefficients = int(random.integers(1, bands + 1)) if number % 3 == 2 else 0
        spec = Bands(
            window, int(random.integers(1, 300)), fft, int(random.integers(-fft, fft)), bands, low,
            float(random.uniform(low + 1, rate / 2)), list(Mel)[number // 3 % 3], 1 + number % 2, list(Log)[number % 3],
            float(10.0 ** random.uniform(-12, -1)), float(random.choice([0, 1e-6])), coefficients,
            bool(random.integers(2)), bool(random.integers(2)),
        )  # fmt: skip
        kind = Features.MFCC if coefficients else Features.LOG_MEL
        each = spec.features
        quantization = None if dtype == "float32" else Quantization(np.float32([0.3]), np.array([5]))
        frames = int(random.integers(1, 12))
        shape = [(1, frames, each), (1, each, frames), (1, frames * each), (1, frames, each, 1)][number % 4]
        scale, offset = random.normal(1, 0.3, each), random.normal(0, 1, each)
        sound = Sound(
            rate, int(random.integers(1, 4000)), int(random.integers(0, 500)), kind, spec,
            tuple(map(float, np.float32(scale))), tuple(map(float, np.float32(offset))), bool(number % 2),
        )  # fmt: skip
        if number % 10 == 9:
            shape = (1, sound.length)
            sound = replace(sound, features=Features.WAVEFORM, bands=None, scale=(0.7,), offset=(0.1,))
        graph = network(shape, dtype, quantization)
        samples: NDArray[Any] = speech(int(random.integers(0, 6000)) * 2, number).reshape(-1, 1 + number % 2)
        if number % 5 == 0:
            samples = (samples / 32768).astype(np.float32)
            samples[3::50] = random.choice([np.nan, np.inf, 1e10, 3.0])
        expected = as_input(sound.values(features.clip(samples), graph.inputs[0]), graph)
        for clip in {0, len(expected) - 1}:
            done = in_c(driver, tmp_path, sound, graph, samples, clip=clip)
            assert done.returncode == 0, done.stderr.decode()
            assert done.stdout == expected[clip].tobytes(), (number, sound, shape, dtype)
        seen.add(expected.std() > 0)
    assert True in seen


def test_c_refuses_sounds(driver: Path, tmp_path: Path) -> None:
    graph = network((1, 100))
    sound = read(tmp_path, "", graph)
    samples = speech(50)[:, None]
    for options, words in (
        ({"rate": 768_001}, "the sound has 768001 samples a second, which cannot be resampled to 16000"),
        ({"rate": 767_999}, "which cannot be resampled to 16000"),
        ({"rate": (1 << 32) - 1}, "which cannot be resampled to 16000"),
        ({"clip": 1}, "has no such clip"),
    ):
        done = in_c(driver, tmp_path, sound, graph, samples, **options)
        assert done.returncode == 1 and words in done.stderr.decode()
    done = in_c(driver, tmp_path, sound, graph, np.zeros((4, 0), np.int16))
    assert done.returncode == 1 and "has no channels" in done.stderr.decode()


def test_c_refuses_tasks_that_do_not_fit(driver: Path, tmp_path: Path) -> None:
    """Bands up to half the rate, and waveforms as long as the clip, but no further."""
    graph, samples = network((1, 101, 13)), speech(300)[:, None]
    sound = read(tmp_path, GOOD, graph)
    assert sound.bands is not None
    waveform, hundred = read(tmp_path, "", network((1, 100))), network((1, 100))
    for one, takes, status in (
        (replace(sound, bands=replace(sound.bands, high=8000.0)), graph, 0),
        (replace(sound, bands=replace(sound.bands, high=8001.0)), graph, 2),
        (waveform, hundred, 0),
        (replace(waveform, length=99), hundred, 2),
        (replace(waveform, length=101), hundred, 2),
    ):
        assert in_c(driver, tmp_path, one, takes, samples).returncode == status


@pytest.mark.parametrize("rate", [1, 8000, 11_025, 44_100, 48_000, 48_001, 768_000])
@pytest.mark.parametrize("step", [0, 330])
def test_c_resamples_the_same_bits(driver: Path, tmp_path: Path, rate: int, step: int) -> None:
    """More samples than the library holds at once, short recordings, floats, two channels, and every clip."""
    graph = network((1, 900))
    sound = replace(read(tmp_path, "", graph), step=step)
    for count, kind in ((20_000, np.int16), (20_001, np.float32), (3, np.int16), (0, np.int16)):
        samples: NDArray[Any] = speech(2 * min(count, 4 if rate == 1 else count), count).reshape(-1, 2)
        samples = samples if kind is np.int16 else (samples / 32768).astype(np.float32)
        expected = sound.values(features.clip(samples), graph.inputs[0], rate)
        for clip in {0, 1, len(expected) // 2, len(expected) - 1} & set(range(len(expected))):
            done = in_c(driver, tmp_path, sound, graph, samples, rate=rate, clip=clip)
            assert done.returncode == 0, done.stderr.decode()
            assert done.stdout == expected[clip].tobytes(), (count, clip)


def test_c_resamples_more_than_it_holds(driver: Path, tmp_path: Path) -> None:
    """Some 4,000 samples are held, 6,000 are needed for one clip; the next samples begin where those end."""
    graph = network((1, 12_000))
    sound = read(tmp_path, "", graph)
    samples = speech(7000)[:, None]
    done = in_c(driver, tmp_path, sound, graph, samples, rate=8000)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == sound.values(features.clip(samples), graph.inputs[0], 8000)[0].tobytes()


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_c_refuses_damaged_manifests(
    driver: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bytes changed at random: refused, or something else is computed, but no sanitizer complains."""
    folder = tmp_path_factory.getbasetemp()
    graph = network((1, 20, 13))
    sound = read(folder, f'features = "mfcc"\n{LIBROSA}\ncoefficients = 13\nlength = 3200\ncenter = false\nfft = 512'
                 .replace("hop = 160", "hop = 140"), graph)  # fmt: skip
    text = bytearray(json.dumps({"task": {"sound": sound.json()}}).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"9", b"-", b"0", b"", b"e", b"99", b"[", b"1"])
        )
    done = in_c(driver, folder, sound, graph, speech(3000)[:, None], manifest=bytes(text))
    assert done.returncode in (0, 1, 2, 3), done.stderr.decode()
