"""``segmenter.c`` by itself, under sanitizers: classes and places by hand, and manifests that are damaged."""

from __future__ import annotations

import json
import subprocess
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.tasks import segmentation
from edgekit.tasks.segmentation import UNSEEN, Form, Raster
from tests.tasks import c_driver

TYPES = {"float32": 1, "int8": 4, "uint8": 5, "int16": 6, "int32": 8, "int64": 10}
ONE = (0, 1, 1, 0, 0, 1)
"""A direction with one pixel, which is where it was."""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = ("segmenter.c", "class_labels.c", "exact.c", "json.c")
    return c_driver.compiled(tmp_path_factory.mktemp("segment"), "segment_driver.c", *parts)


def same(pixels: int) -> tuple[int, ...]:
    """A direction whose pixels are the network's."""
    return 0, pixels, pixels, 0, 0, pixels


def manifest(raster: Raster, scores: str = "probabilities") -> dict[str, Any]:
    return {"task": {"labels": [], "scores": scores, "mask": asdict(raster)}}


def in_c(
    driver: Path, folder: Path, text: bytes, values: NDArray[Any], across: tuple[int, ...], down: tuple[int, ...] = ONE,
    size: tuple[int, int] | None = None,
) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
    """:param across, down: what the driver's head says of each direction. :param size: of the picture; it is whole."""
    (folder / "manifest.json").write_bytes(text)
    width, height = size or (across[1], down[1])
    given = [folder / "manifest.json", TYPES[str(values.dtype)], 0, 0, width, height, *across, *down, *values.shape]
    return subprocess.run([driver, *map(str, given)], input=values.tobytes(), capture_output=True, check=False)


@pytest.mark.parametrize(
    ("raster", "values", "expected"),
    [
        (Raster(Form.NUMBER, 1, 4, 3), np.array([[[[2], [3], [-1], [0]]]], np.int32), [2, UNSEEN, UNSEEN, 0]),
        (Raster(Form.NUMBER, 1, 2, 255), np.array([[[[254], [255]]]], np.uint8), [254, UNSEEN]),
        (Raster(Form.NUMBER, 1, 2, 3), np.array([[[[1 << 32], [1]]]], np.int64), [UNSEEN, 1]),
        (Raster(Form.SCORE, 1, 4, 2), np.array([[[[0.5], [0.4375], [np.nan], [1]]]], np.float32), [1, 0, 0, 1]),
        (Raster(Form.SCORE, 1, 2, 2, 0.25), np.array([[[[0.25], [0.125]]]], np.float32), [1, 0]),
        (Raster(Form.LAST, 1, 2, 3), np.array([[[[1, 2, 2], [np.nan, -5, -6]]]], np.float32), [1, 1]),
        (Raster(Form.FIRST, 1, 2, 3), np.array([[[[1, np.nan]], [[2, -5]], [[2, -6]]]], np.float32), [1, 1]),
        (Raster(Form.LAST, 1, 1, 2), np.full((1, 1, 1, 2), np.nan, np.float32), [0]),
    ],
)
def test_classes_of_pixels(
    driver: Path, tmp_path: Path, raster: Raster, values: NDArray[Any], expected: list[int]
) -> None:
    done = in_c(driver, tmp_path, json.dumps(manifest(raster)).encode(), values, same(len(expected)))
    assert done.returncode == 0 and list(done.stdout) == expected, done.stderr.decode()
    assert segmentation.classified(raster, values[0]).reshape(-1).tolist() == expected


def test_logits_are_scores(driver: Path, tmp_path: Path) -> None:
    values = np.array([[[[0.0], [-0.001], [np.inf], [-np.inf]]]], np.float32)
    text = json.dumps(manifest(Raster(Form.SCORE, 1, 4, 2), "logits")).encode()
    assert list(in_c(driver, tmp_path, text, values, same(4)).stdout) == [1, 0, 1, 0]


@pytest.mark.parametrize(
    ("across", "expected"),
    [
        # Twice as large, two pixels cut off at the left and one at the right: the last pixel's center is at the edge.
        ((0, 5, 10, 0, 2, 7), [UNSEEN, 1, 3, 5, UNSEEN]),
        # Centers at both edges: what lies on the first is seen.
        ((0, 4, 8, 0, 1, 6), [0, 2, 4, UNSEEN]),
        # Moved into the middle of the input, and with a pixel before it that the picture has not.
        ((0, 3, 3, 2, 0, 7), [2, 3, 4]),
        ((1, 5, 5, 0, 0, 5), [1, 2, 3, 4]),
    ],
)
def test_places_of_pixels(driver: Path, tmp_path: Path, across: tuple[int, ...], expected: list[int]) -> None:
    pad, whole, resized, x, left, network = across
    text = json.dumps(manifest(Raster(Form.NUMBER, 1, network, network))).encode()
    values = np.arange(network, dtype=np.int32).reshape(1, 1, network, 1)
    for turned in (False, True):
        sides = (ONE, across) if turned else (across, ONE)
        if turned:
            text = json.dumps(manifest(Raster(Form.NUMBER, network, 1, network))).encode()
            values = values.reshape(1, network, 1, 1)
        size = (1, len(expected)) if turned else (len(expected), 1)
        done = in_c(driver, tmp_path, text, values, *sides, size)
        assert done.returncode == 0 and list(done.stdout) == expected, done.stderr.decode()
    found = segmentation._below(len(expected), pad, whole, resized, x - left, network, network)
    assert np.where(found < 0, UNSEEN, found).tolist() == expected


@pytest.mark.parametrize(
    "change",
    [
        {"form": "odd"}, {"height": 0}, {"width": 5}, {"classes": 0}, {"classes": 256}, {"threshold": "x"},
        {"form": "score"}, {"form": "last"}, {"height": 1 << 20},
    ],
)  # fmt: skip
def test_damaged_masks_are_refused(driver: Path, tmp_path: Path, change: dict[str, Any]) -> None:
    good = manifest(Raster(Form.NUMBER, 1, 4, 3))
    values = np.zeros((1, 1, 4, 1), np.int32)
    assert in_c(driver, tmp_path, json.dumps(good).encode(), values, same(4)).returncode == 0
    good["task"]["mask"] |= change
    assert in_c(driver, tmp_path, json.dumps(good).encode(), values, same(4)).returncode == 2


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged_manifests_are_safe(
    driver: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Bytes changed at random: refused, or another mask, but no sanitizer complains."""
    text = bytearray(json.dumps(manifest(Raster(Form.LAST, 2, 3, 4))).encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 2))] = data.draw(
            st.sampled_from([b"9", b"-", b"0", b"", b"e", b"99", b"[", b"1", b"\x00", b"\xff"])
        )
    values = np.random.default_rng(0).normal(size=(1, 2, 3, 4)).astype(np.float32)
    done = in_c(driver, tmp_path_factory.getbasetemp(), bytes(text), values, (0, 9, 6, 0, 1, 3), (1, 9, 4, 1, 0, 5))
    assert done.returncode in (0, 2, 3), done.stderr.decode()
