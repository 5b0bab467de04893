"""Pictures are read upright, as a camera was held: sizes, pixels, true boxes and drawings go together."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from edgekit.data import drawing, images, shrunk
from edgekit.data.spec import PIXELS
from edgekit.errors import UsageError
from edgekit.tasks import task as tasks
from edgekit.tasks.picture import Picture
from tests.tasks.task_networks import SIDE, classifier, written

ORIENTATION = 0x0112


@pytest.fixture
def picture() -> Image.Image:
    """Noise of 24 x 16 pixels."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_read_upright(picture: Image.Image, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    file = tmp_path / "a.png"
    picture.save(file, exif=exif)
    with Image.open(file) as image:
        upright = np.asarray(ImageOps.exif_transpose(image))
    assert upright.shape == ((16, 24, 3) if orientation < 5 else (24, 16, 3))
    (kept,) = shrunk.read([file], 1 << 18)
    np.testing.assert_array_equal(kept, upright)
    Image.fromarray(upright).save(tmp_path / "b.png")
    task = tasks.read(written(tmp_path / "x", "classification").with_name("task.toml"), classifier())
    assert isinstance(task.source, Picture)
    made = images.load([file, tmp_path / "b.png"], tmp_path, classifier(), PIXELS, picture=task.source)
    np.testing.assert_array_equal(made.values[0], made.values[1])
    assert made.sizes.tolist() == [[upright.shape[1], upright.shape[0]]] * 2
    assert made.values.shape[2:] == (SIDE, SIDE, 3)
    with Image.open(io.BytesIO(drawing.drawn(file, []))) as drawn:
        np.testing.assert_array_equal(np.asarray(drawn), upright)


@pytest.mark.parametrize(
    "damaged", [b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff" + b"\x01" * 40]
)
def test_damaged_exif_data_does_not_matter(picture: Image.Image, damaged: bytes, tmp_path: Path) -> None:
    picture.save(tmp_path / "a.jpg", exif=damaged)
    (kept,) = shrunk.read([tmp_path / "a.jpg"], 1 << 18)
    assert kept.shape == (16, 24, 3)


def test_pictures_that_are_gone_are_named(tmp_path: Path) -> None:
    """Files in a folder that is watched may be moved away at any time."""
    with pytest.raises(UsageError, match=r"gone\.png: cannot be read: No such file"):
        images.load([tmp_path / "gone.png"], tmp_path, classifier(), PIXELS)
