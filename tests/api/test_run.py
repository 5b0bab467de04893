"""What `run` saves can be put beside the data it came from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.api.compile import compile
from edgekit.api.run import run
from edgekit.graph import tflite
from edgekit.progress import Silent
from tests.networks.small import dense


class Heard(Silent):
    """Collects the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, message: str) -> None:
        self.notes.append(message)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """An int8 bundle of a network whose first output is its first input, and data that counts."""
    folder = tmp_path_factory.mktemp("run")
    tflite.write(dense(np.eye(3, 4, dtype=np.float32), np.zeros(3, np.float32)), folder / "net.tflite")
    x = np.zeros((40, 4), np.float32)
    x[:, 0] = np.arange(40) / 10
    np.savez(folder / "data.npz", x=x)
    (bundle,) = compile(
        folder / "net.tflite", targets=["host"], recipe="int8", data=str(folder / "data.npz"), out=folder
    )
    return bundle.path, folder / "data.npz"


@pytest.mark.parametrize(("spec", "limit"), [("", 7), ("?part=2/3", 5), ("?part=1/2", None), ("", None)])
def test_saved_outputs_name_their_samples_and_scales(
    made: tuple[Path, Path], tmp_path: Path, spec: str, limit: int | None
) -> None:
    bundle, data = made
    heard = Heard()
    result = run(bundle, on="host", data=f"{data}{spec}", limit=limit, save=tmp_path / "o.npz", seed=3, progress=heard)
    with np.load(tmp_path / "o.npz") as saved:
        index, raw = saved["index"], saved["output0"][:, 0, 0].astype(np.float64)
        real = (raw - saved["output0_zero_point"]) * saved["output0_scale"]
    assert result.index == index.tolist() == sorted(index)
    assert len(index) == (limit or len(index))
    np.testing.assert_allclose(real, index / 10, atol=0.02)
    assert bool(heard.notes) == (limit is not None)


def test_golden_samples_have_no_place_in_data(made: tuple[Path, Path], tmp_path: Path) -> None:
    assert run(made[0], on="host", save=tmp_path / "o.npz").index is None
    with np.load(tmp_path / "o.npz") as saved:
        assert "index" not in saved.files
