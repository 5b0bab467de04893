"""Masks: classes of pixels, brought to the picture; C computes the same ones, in every form and fit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit import bundle as bundles
from edgekit import resources
from edgekit.api.compile import compile
from edgekit.api.run import run
from edgekit.backends import runner_build
from edgekit.errors import CheckFailed, UsageError
from edgekit.graph import Graph, tflite
from edgekit.tasks import segmentation, task
from edgekit.tasks.picture import Colors, Fit, Picture, place
from edgekit.tasks.segmentation import UNSEEN, Form, Raster, classified, spread
from edgekit.tasks.segmenter import Mask, Segmenter
from tests.networks.small import Builder
from tests.tasks.task_networks import SEGMENTER_TASK, segmenter

RUNTIME = resources.folder("firmware_stubs") / "linux" / "python"


PAINT = r"""
#include <edgekit.hpp>
#include <cstdio>
int main(int, char **argv)
{
    edgekit::Network network(argv[1]);
    std::vector<std::uint8_t> pixels(9 * 7 * 3);
    for (std::size_t i = 0; i < pixels.size(); i++)
        pixels[i] = static_cast<std::uint8_t>(i * 89);
    const edgekit_picture picture = {sizeof picture, pixels.data(), 9, 7, 27, EDGEKIT_RGB};
    for (std::uint8_t one : network.mask(picture))
        std::printf("%d ", one);
    std::printf("%s %s\n", network.task(), network.mask_label(2));
    try {
        network.detections();
    } catch (const edgekit::Error &error) {
        std::puts(error.what());
    }
}
"""


def network(*shape: int, dtype: str = "float32", wanted: tuple[int, ...] = (1, 8, 8, 3)) -> Graph:
    b = Builder()
    x = b.tensor(wanted, name="x")
    return b.graph((x,), (b.add("NONE", (x,), shape, dtype),))


def read(folder: Path, graph: Graph, text: str = "", labels: str = "[]") -> Segmenter:
    (folder / "task.toml").write_text(f'schema = 1\ntask = "segmentation"\nlabels = {labels}\n{text}\n')
    found = task.read(folder / "task.toml", graph)
    assert isinstance(found.decider, Segmenter)
    assert task.of_manifest({"task": json.loads(json.dumps(found.json()))}) == found
    return found.decider


@pytest.mark.parametrize(
    ("shape", "dtype", "labels", "text", "expected"),
    [
        ((1, 4, 6, 3), "float32", "[]", "", Raster(Form.LAST, 4, 6, 3)),
        ((1, 4, 6, 3), "float32", '["a", "b", "c"]', "", Raster(Form.LAST, 4, 6, 3)),
        ((1, 4, 6, 3), "float32", '["a", "b", "c", "d"]', "", Raster(Form.FIRST, 6, 3, 4)),
        ((1, 4, 6, 3), "float32", "[]", '[mask]\nchannels = "first"', Raster(Form.FIRST, 6, 3, 4)),
        ((1, 4, 6), "float32", '["no", "yes"]', "[mask]\nthreshold = 0.7", Raster(Form.SCORE, 4, 6, 2, 0.7)),
        ((1, 4, 6, 1), "float32", "[]", "", Raster(Form.SCORE, 4, 6, 2)),
        ((1, 1, 4, 6), "float32", "[]", "", Raster(Form.SCORE, 4, 6, 2)),
        ((1, 4, 6), "int64", "[]", "", Raster(Form.NUMBER, 4, 6, 255)),
        ((1, 4, 6, 1), "int32", '["a", "b", "c"]', "", Raster(Form.NUMBER, 4, 6, 3)),
    ],
)
def test_outputs_are_recognized(
    shape: tuple[int, ...], dtype: str, labels: str, text: str, expected: Raster, tmp_path: Path
) -> None:
    assert read(tmp_path, network(*shape, dtype=dtype), text, labels).raster == expected


def test_channels_lie_where_those_of_the_input_do(tmp_path: Path) -> None:
    assert read(tmp_path, network(1, 4, 6, 5, wanted=(1, 3, 8, 8))).raster == Raster(Form.FIRST, 6, 5, 4)


@pytest.mark.parametrize(
    ("graph", "labels", "text", "words"),
    [
        (network(1, 10), "[]", "", "needs an output [1, height, width, classes]"),
        (network(1, 4, 4, 300), "[]", "", "needs an output"),
        (network(1, 4, 4, 3), '["a"]', "", "there are 1 labels for 3 classes"),
        (network(1, 4, 4), '["a", "b", "c"]', "", "there are 3 labels for 2 classes"),
        (network(1, 4, 4, 3), "[]", '[mask]\nchannels = "middle"', 'it is "first" or "last"'),
        (network(1, 4, 4, 3), "[]", "[mask]\nthreshold = 2", "not a number from 0 to 1"),
        (network(1, 4, 4, 3), "[]", "[mask]\nclasses = 2", "mask.classes is not a key"),
        (network(1, 4, 4, 3, wanted=(1, 8)), "[]", "", "segmentation takes a picture"),
    ],
)
def test_refusals(graph: Graph, labels: str, text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        read(tmp_path, graph, text, labels)
    assert words in refused.value.message and "\n" not in refused.value.message


@pytest.mark.parametrize("change", [{"height": 5}, {"classes": 4}, {"form": "first"}, {"form": "odd"}, {"width": 0}])
def test_another_mask_in_the_manifest_is_refused(change: dict[str, object], tmp_path: Path) -> None:
    found = read(tmp_path, network(1, 4, 6, 3))
    document = {
        "schema": 1,
        "task": "segmentation",
        "picture": Picture(Fit.CROP, Colors.RGB, (1.0,) * 3, (0.0,) * 3).json(),
    }
    document |= found.json()
    document["mask"] |= change
    with pytest.raises((CheckFailed, UsageError)):
        made = task.of_manifest({"task": document})
        assert made is not None
        task.check(made, network(1, 4, 6, 3), "manifest.json")


def test_classes_of_pixels() -> None:
    nan, inf = np.nan, np.inf
    rows = np.array([[[1, 2, 2], [nan, -5, -6]], [[nan, nan, nan], [-inf, 0, inf]]])
    expected = [[1, 1], [0, 2]]
    assert classified(Raster(Form.LAST, 2, 2, 3), rows).tolist() == expected
    assert classified(Raster(Form.FIRST, 2, 2, 3), rows.transpose(2, 0, 1)).tolist() == expected
    scores = np.array([[[0.5], [0.49]], [[nan], [1.0]]])
    assert classified(Raster(Form.SCORE, 2, 2, 2), scores).tolist() == [[1, 0], [0, 1]]
    numbers = np.array([[[0, 2], [3, -1]]])
    assert classified(Raster(Form.NUMBER, 2, 2, 3), numbers).tolist() == [[0, 2], [UNSEEN, UNSEEN]]


@pytest.mark.parametrize(("size", "cells"), [((7, 5), (3, 4)), ((64, 3), (16, 16)), ((5, 5), (64, 31))])
def test_stretched_masks_are_pillows_nearest(size: tuple[int, int], cells: tuple[int, int]) -> None:
    classes = np.random.default_rng(0).integers(0, 9, cells[::-1]).astype(np.uint8)
    picture = Picture(Fit.STRETCH, Colors.RGB, (1.0,) * 3, (0.0,) * 3)
    found = spread(classes, place(picture, size, (40, 30)), size, (40, 30))
    expected = Image.fromarray(classes).resize(size, Image.Resampling.NEAREST)
    np.testing.assert_array_equal(found, np.asarray(expected))


sides = st.tuples(st.integers(1, 40), st.integers(1, 40))


@settings(max_examples=60, deadline=None)
@given(fit=st.sampled_from(list(Fit)), size=sides, wanted=sides, cells=sides)
def test_each_pixel_takes_what_lies_below_its_center(
    fit: Fit, size: tuple[int, int], wanted: tuple[int, int], cells: tuple[int, int]
) -> None:
    """The way back, in fractions: from the picture's pixel to the padded, the resized one, the input, the mask."""
    classes = (np.arange(cells[0] * cells[1]) % 250).reshape(cells[1], cells[0]).astype(np.uint8)
    at = place(Picture(fit, Colors.RGB, (1.0,) * 3, (0.0,) * 3), size, wanted)
    found = spread(classes, at, size, wanted)
    for y in range(size[1]):
        for x in range(size[0]):
            u = (x + at.pad_x + Fraction(1, 2)) * Fraction(at.width, at.whole_x) - at.left + at.x
            v = (y + at.pad_y + Fraction(1, 2)) * Fraction(at.height, at.whole_y) - at.top + at.y
            inside = 0 <= u < wanted[0] and 0 <= v < wanted[1]
            assert inside or fit is Fit.CROP
            below = classes[int(v * cells[1] / wanted[1]), int(u * cells[0] / wanted[0])] if inside else UNSEEN
            assert found[y, x] == below


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_runs_are_the_mask(height: int, width: int, seed: int) -> None:
    pixels = np.random.default_rng(seed).choice([0, 1, UNSEEN], (height, width), p=[0.6, 0.3, 0.1]).astype(np.uint8)
    mask = Mask.of(pixels, ("a", "b"))
    np.testing.assert_array_equal(mask.pixels, pixels)
    assert dict(mask.counts()) == {int(n): int((pixels == n).sum()) for n in np.unique(pixels)}
    assert sum(count for _, count in mask.json()["mask"]["runs"]) == pixels.size
    assert (mask.runs[1:, 0] != mask.runs[:-1, 0]).all()


def test_digests_are_fnv() -> None:
    assert segmentation.digests(np.frombuffer(b"foobar", np.uint8)[None]) == [0xBF9CF968]


def test_masks_that_come_to_the_same() -> None:
    first, second = np.zeros((10, 10), np.uint8), np.zeros((10, 10), np.uint8)
    second[0, :5] = 1
    assert Mask.of(first, ()).agrees(Mask.of(second, ()))
    second[0, :6] = 1
    assert not Mask.of(first, ()).agrees(Mask.of(second, ()))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(1)
    for name, (width, height) in {"a": (50, 31), "b": (32, 32), "c": (9, 70)}.items():
        Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(folder / f"{name}.png")
    return folder


def test_cpp_makes_the_same_masks(tmp_path: Path) -> None:
    tflite.write(segmenter(), tmp_path / "model.tflite")
    (tmp_path / "task.toml").write_text(SEGMENTER_TASK)
    (made,) = compile(tmp_path / "model.tflite", targets=["host"], out=tmp_path / "build")
    (tmp_path / "paint.cpp").write_text(PAINT)
    shutil.copyfile(runner_build.library(runner_build.native_arch("native")).path, tmp_path / "libedgekit.so.1")
    (tmp_path / "libedgekit.so").symlink_to("libedgekit.so.1")
    flags = ["-std=c++17", "-Wall", "-Wextra", "-Werror", f"-I{RUNTIME.parent}", f"-L{tmp_path}"]
    subprocess.run(["g++", *flags, tmp_path / "paint.cpp", "-o", tmp_path / "paint", "-ledgekit"], check=True)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.check_output([tmp_path / "paint", made.path], env=environment, text=True)
    pixels = (np.arange(9 * 7 * 3) * 89 % 256).astype(np.uint8).reshape(7, 9, 3)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    (tmp_path / "photos").mkdir()
    (tmp_path / "photo.png").rename(tmp_path / "photos" / "photo.png")
    (decision,) = run(made.path, data=str(tmp_path / "photos")).decisions or []
    assert isinstance(decision.outcome, Mask)
    first, second = done.splitlines()
    assert first == " ".join(map(str, decision.outcome.pixels.reshape(-1).tolist())) + " segmentation gr\u00fcn"
    assert "call edgekit_mask" in second


SEE = """
import sys
import numpy as np
from edgekit_runtime import Network
from PIL import Image
network = Network(sys.argv[1])
masks = [network.segment(Image.open(file)) for file in sys.argv[3:]]
np.savez(sys.argv[2], *masks, label=network.mask_label(1), unseen=network.mask_label(255))
"""


@pytest.mark.parametrize(
    ("form", "fit", "recipe"),
    [
        ("last", "crop", "as-is"), ("last", "letterbox", "int8"), ("first", "pad", "as-is"),
        ("number", "stretch", "as-is"),
        ("score", "crop", "as-is"), ("logits", "pad", "int8"),
    ],
)  # fmt: skip
def test_c_and_python_make_the_same_masks(form: str, fit: str, recipe: str, photos: Path, tmp_path: Path) -> None:
    """The proof compares them on the bundle's pictures; here they are photos, through the Python package."""
    scores = form in ("score", "logits")
    tflite.write(segmenter(form, 1 if scores else 4), tmp_path / "model.tflite")
    text = SEGMENTER_TASK.replace('"crop"', f'"{fit}"')
    if scores:
        text = text.replace('["none", "red", "gr\u00fcn", "blue"]', '["dark", "bright"]')
        text = text.replace("[picture]", f'scores = "{"logits" if form == "logits" else "probabilities"}"\n[picture]')
        text += "[mask]\nthreshold = 0.45\n"
    (tmp_path / "task.toml").write_text(text)
    (made,) = compile(
        tmp_path / "model.tflite", targets=["host"], recipe=recipe, data=str(photos), out=tmp_path / "build"
    )
    assert made.parity.decision is not None and made.parity.decision.ok
    found = run(made.path, data=str(photos)).decisions
    assert found is not None
    environment = {
        **os.environ, "PYTHONPATH": str(RUNTIME),
        "EDGEKIT_LIBRARY": str(runner_build.library(runner_build.native_arch("native")).path),
    }  # fmt: skip
    files = sorted(photos.iterdir())
    done = subprocess.run(
        [sys.executable, "-c", SEE, made.path, tmp_path / "masks.npz", *files], env=environment, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    with np.load(tmp_path / "masks.npz") as masks:
        assert str(masks["label"]) == ("bright" if scores else "red") and str(masks["unseen"]) == "unseen"
        for number, decision in enumerate(found):
            assert isinstance(decision.outcome, Mask)
            np.testing.assert_array_equal(masks[f"arr_{number}"], decision.outcome.pixels)
    assert bundles.load(made.path).task is not None
