"""From a picture to a network's input: the reference against Pillow, and C against the reference, bit for bit."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from edgekit.data import dataset
from edgekit.graph import Quantization, Tensor
from edgekit.tasks import picture as steps
from edgekit.tasks.classifier import Classifier
from edgekit.tasks.picture import Colors, Fit, Picture, Place, place
from edgekit.tasks.task import Task
from tests.networks.small import Builder
from tests.tasks import c_driver

SIZES = [(1, 1), (7, 5), (16, 16), (17, 33), (100, 3), (61, 211), (320, 240)]
WANTED = [(1, 1), (8, 8), (16, 16), (24, 9), (64, 64)]


def pixels(size: tuple[int, int], seed: int = 0) -> NDArray[np.uint8]:
    """Noise with hard edges ``[h, w, 3]``."""
    made = np.random.default_rng([seed, *size]).integers(0, 256, (size[1], size[0], 3), np.uint8)
    made[::3, ::2] = 255
    made[1::4] = 0
    return made


@pytest.mark.parametrize("size", SIZES)
def test_resizing_is_pillows(size: tuple[int, int]) -> None:
    for wanted in WANTED:
        given = pixels(size)
        whole, found = Image.fromarray(given), steps.resized(given, *wanted)
        rows = whole.resize((wanted[0], size[1]), Image.Resampling.BILINEAR)
        assert np.array_equal(found, np.asarray(rows.resize(wanted, Image.Resampling.BILINEAR))), wanted
        # In one call, Pillow 13 and later may begin with the columns.
        once = np.asarray(whole.resize(wanted, Image.Resampling.BILINEAR)).astype(int)
        assert np.abs(found - once).max() <= 1


def test_grey_is_pillows() -> None:
    given = np.stack(np.meshgrid(*[np.arange(0, 256, 5, dtype=np.uint8)] * 3), axis=-1).reshape(52, -1, 3)
    expected = np.asarray(Image.fromarray(given).convert("L"))
    assert np.array_equal(steps.grey(given)[..., 0], expected)


def made(fit: Fit, colors: Colors = Colors.RGB, short: int = 0, fill: int = 114) -> Picture:
    return Picture(fit, colors, (1.0,) * 3, (0.0,) * 3, short, fill)


@pytest.mark.parametrize(
    ("fit", "short", "size", "wanted", "expected"),
    [
        (Fit.STRETCH, 0, (640, 480), (32, 32), Place(32, 32, 640, 480)),
        (Fit.CROP, 0, (640, 480), (240, 240), Place(320, 240, 640, 480, left=40)),
        (Fit.CROP, 0, (480, 641), (240, 240), Place(240, 321, 480, 641, top=40)),  # 80.5 halves to the even 40
        (Fit.CROP, 0, (100, 100), (50, 20), Place(50, 50, 100, 100, top=15)),
        (Fit.CROP, 256, (640, 480), (224, 224), Place(341, 256, 640, 480, left=58, top=16)),  # 58.5
        (Fit.CROP, 256, (375, 500), (224, 224), Place(256, 341, 375, 500, left=16, top=58)),
        (Fit.CROP, 8, (3, 5000), (8, 8), Place(8, 13333, 3, 5000, top=6662)),
        (Fit.LETTERBOX, 0, (640, 480), (320, 320), Place(320, 240, 640, 480, y=40)),
        (Fit.LETTERBOX, 0, (480, 640), (320, 320), Place(240, 320, 480, 640, x=40)),
        (Fit.LETTERBOX, 0, (1000, 1), (32, 32), Place(32, 1, 1000, 1, y=15)),
        (Fit.PAD, 0, (640, 480), (320, 320), Place(320, 320, 640, 640, pad_y=80)),
        (Fit.PAD, 0, (3, 5), (32, 16), Place(32, 16, 10, 5, pad_x=3)),
        (Fit.PAD, 0, (10, 10), (32, 31), Place(32, 31, 10, 10)),
        (Fit.LETTERBOX, 0, (10, 10), (32, 31), Place(31, 31, 10, 10)),
    ],
)
def test_places(fit: Fit, short: int, size: tuple[int, int], wanted: tuple[int, int], expected: Place) -> None:
    assert place(made(fit, short=short), size, wanted) == expected


def test_cropping_is_resizing_and_cutting() -> None:
    given = pixels((90, 61))
    whole = Image.fromarray(steps.resized(given, 47, 32))
    expected = np.asarray(whole.crop((12, 4, 12 + 24, 4 + 24)))
    assert np.array_equal(steps.fitted(made(Fit.CROP, short=32), given, 24, 24), expected)


def test_a_letterbox_is_filled() -> None:
    found = steps.fitted(made(Fit.LETTERBOX, fill=7), pixels((20, 10)), 16, 16)
    assert (found[:4] == 7).all() and (found[12:] == 7).all() and (found[4:12] != 7).any()


@pytest.mark.parametrize(
    ("size", "wanted"), [((90, 61), (24, 24)), ((61, 90), (24, 24)), ((9, 100), (64, 16)), ((5, 3), (40, 8))]
)
def test_padding_is_pasting_and_resizing(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    given, at = pixels(size), place(made(Fit.PAD), size, wanted)
    assert abs(at.whole_x * wanted[1] - at.whole_y * wanted[0]) <= max(wanted) / 2  # the input's proportions
    whole = Image.new("RGB", (at.whole_x, at.whole_y), (114,) * 3)
    whole.paste(Image.fromarray(given), (at.pad_x, at.pad_y))
    rows = whole.resize((wanted[0], at.whole_y), Image.Resampling.BILINEAR)
    expected = np.asarray(rows.resize(wanted, Image.Resampling.BILINEAR))
    np.testing.assert_array_equal(steps.fitted(made(Fit.PAD), given, *wanted), expected)


@pytest.mark.parametrize("colors", Colors)
@pytest.mark.parametrize("fit", Fit)
def test_pictures_of_a_folder_are_fitted_as_the_task_says(tmp_path: Path, fit: Fit, colors: Colors) -> None:
    """Through the child process that decodes them."""
    given, channels = pixels((40, 25)), 1 if colors is Colors.GREY else 3
    Image.fromarray(given).save(tmp_path / "a.png")
    b = Builder()
    x = b.tensor((1, 16, 16, channels), name="x")
    graph = b.graph((x,), (b.add("NONE", (x,), (1, 4)),))
    picture = replace(made(fit, colors, fill=7), scale=(1.0,) * channels, offset=(0.0,) * channels)
    found = dataset.load(str(tmp_path), graph, task=Task("classification", picture, Classifier())).inputs[0]
    assert np.array_equal(found[0, 0], steps.fitted(picture, given, 16, 16))


def test_values_are_those_of_the_formula() -> None:
    """As torchvision normalizes, within the rounding of float32; integers are quantized."""
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    scale, offset = (np.float32(1 / (255 * std)), np.float32(-mean / std))
    picture = Picture(Fit.STRETCH, Colors.RGB, tuple(map(float, scale)), tuple(map(float, offset)))
    given = np.arange(2 * 16 * 16 * 3, dtype=np.uint8).reshape(2, 16, 16, 3)
    found = steps.values(picture, given, Tensor("x", (1, 3, 16, 16), "float32"))
    assert found.shape == (2, 1, 3, 16, 16) and found.dtype == np.float32
    expected = ((given / 255 - mean) / std).transpose(0, 3, 1, 2)[:, None]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    same = steps.values(picture, given, Tensor("x", (1, 16, 16, 3), "uint8"))
    assert np.array_equal(same[:, 0], given)
    quantized = Tensor("x", (1, 16, 16, 3), "uint8", quantization=Quantization(np.float32([0.1]), np.array([3])))
    assert steps.values(picture, given, quantized).dtype == np.float32


# The same in C

PIXELS = {"rgb": 1, "bgr": 2, "grey": 3, "rgba": 4, "bgra": 5}


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return c_driver.compiled(tmp_path_factory.mktemp("picture"), "picture_driver.c", "picture.c")


def in_c(driver: Path, numbers: list[int], data: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([driver, *map(str, numbers)], input=data, capture_output=True, check=False)


@pytest.mark.parametrize("kind", PIXELS)
@pytest.mark.parametrize("fit", Fit)
def test_c_computes_the_same_bits(driver: Path, fit: Fit, kind: str) -> None:
    cases = [(size, wanted) for size in SIZES for wanted in WANTED]
    for number, (size, wanted) in enumerate(cases):
        colors, first = list(Colors)[number % 3], number % 2
        short = max(wanted) + 5 if fit is Fit.CROP and number % 4 == 1 else 0
        given = pixels(size, number)
        if kind == "grey":
            given = np.repeat(given[..., :1], 3, axis=2)
        expected = steps.fitted(made(fit, colors, short, fill=9), given, *wanted)
        channels = expected.shape[2]
        if first:
            expected = expected.transpose(2, 0, 1)
        shown = {"rgb": given, "bgr": given[..., ::-1], "grey": given[..., 0]}.get(kind)
        if shown is None:
            shown = np.dstack([given if kind == "rgba" else given[..., ::-1], given[..., 0]])
        options = [*wanted, channels, first, int(colors is Colors.BGR), list(Fit).index(fit), short, 9]
        done = in_c(driver, [*options, *size, PIXELS[kind]], np.ascontiguousarray(shown).tobytes())
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout == expected.tobytes(), (size, wanted, colors, first, short)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([4, 4, 1, 0, 0, 0, 0, 0, 0, 4, 1], "is empty"),
        ([4, 4, 1, 0, 0, 0, 0, 0, 4, 4, 0], "pixels of an unknown kind"),
        ([4, 4, 1, 0, 0, 0, 0, 0, 4, 4, 6], "pixels of an unknown kind"),
        ([4, 4, 1, 0, 0, 0, 0, 0, 4, 4, 1, 1], "longer than their distance"),
        ([4, 4, 1, 0, 0, 0, 0, 0, 40000, 1, 3], "too large"),
        ([4, 4, 1, 0, 0, 1, 32768, 0, 1, 32768, 3], "too narrow"),
        ([4, 4, 1, 0, 0, 1, 32768, 0, 32768, 1, 3], "too narrow"),
        ([64, 64, 1, 0, 0, 1, 0, 0, 1, 32768, 3], "too narrow"),
        ([1000, 4, 1, 0, 0, 3, 0, 0, 1, 32768, 3], "too narrow"),
    ],
)
def test_c_refuses(driver: Path, numbers: list[int], words: str) -> None:
    done = in_c(driver, numbers, bytes(200000))
    assert done.returncode == 1 and words in done.stderr.decode()


@pytest.mark.parametrize(
    ("fit", "short", "size", "wanted"),
    [
        (Fit.CROP, 32768, (1, 32), (4, 4)), (Fit.CROP, 0, (1, 16384), (64, 64)), (Fit.CROP, 0, (16384, 1), (64, 64)),
    ],
)  # fmt: skip
def test_what_is_just_wide_enough_is_the_same_in_both(
    driver: Path, fit: Fit, short: int, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    """Sides of up to 2^20 pixels, of which only what the network sees is computed."""
    picture = made(fit, short=short, fill=0)
    assert not steps.too_narrow(picture, size, wanted)
    longer = (size[0], 2 * size[1]) if size[0] == 1 else (2 * size[0], size[1])
    assert steps.too_narrow(picture, longer, wanted)
    given = pixels(size)
    done = in_c(driver, [*wanted, 3, 0, 0, list(Fit).index(fit), short, 0, *size, PIXELS["rgb"]], given.tobytes())
    assert done.returncode == 0, done.stderr
    assert done.stdout == steps.fitted(picture, given, *wanted).tobytes()
