"""Every reader keeps the contract: it recognises its format, reads it, and refuses anything else in one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit import plugins
from edgekit.api.load import load, reader_for
from edgekit.errors import EdgekitError, ModelError, UsageError
from edgekit.graph import Graph, tflite
from edgekit.graph.check import check
from edgekit.readers import Reader, ReadOptions
from tests.networks.small import dense

READERS = sorted(plugins.names("readers"))


@pytest.fixture
def files(models: Path, tmp_path: Path) -> dict[str, Path]:
    """A file of each format, for the formats that need no TensorFlow to make one."""
    tflite.write(dense(np.ones((3, 4), np.float32), np.zeros(3, np.float32)), tmp_path / "m.tflite")
    return {
        "tflite": tmp_path / "m.tflite",
        "h5": models / "mlperf_tiny" / "ic_resnet8.h5",
        "onnx": models / "onnx" / "magika.onnx",
    }


@pytest.mark.parametrize("name", READERS)
def test_matches_never_raises(name: str, tmp_path: Path, files: dict[str, Path]) -> None:
    reader: Reader = plugins.get("readers", name)
    (tmp_path / "empty").touch()
    (tmp_path / "folder").mkdir()
    nothing = [tmp_path / "missing", tmp_path / "empty"]
    if name != "saved_model":  # it claims folders, to say what a SavedModel must hold
        nothing.append(tmp_path / "folder")
    for path in nothing:
        assert not reader.matches(path)
    for format_name, path in files.items():
        assert reader.matches(path) == (format_name == name), (name, path)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("content", [b"", b"noise" * 100, bytes(4096)])
def test_nonsense_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    endings = {"tflite": ".tflite", "onnx": ".onnx", "keras": ".keras", "h5": ".h5"}
    path = tmp_path / f"m{endings.get(name, '')}"
    if name == "saved_model":
        path.mkdir()
        (path / "saved_model.pb").write_bytes(content)
    else:
        path.write_bytes(content)
    reader: Reader = plugins.get("readers", name)
    with pytest.raises(EdgekitError) as caught:
        reader.read(path, ReadOptions())
    assert isinstance(caught.value, ModelError)
    assert "\n" not in caught.value.message


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tflite", "onnx", "h5"])
def test_reading_gives_a_sound_graph(name: str, files: dict[str, Path], request: pytest.FixtureRequest) -> None:
    if name == "onnx":
        request.getfixturevalue("onnx_converter")
    path = files[name]
    assert reader_for(path).name == name
    graph = load(path)
    assert isinstance(graph, Graph)
    check(graph)
    assert graph.inputs
    assert graph.outputs
    assert not graph.is_quantized
    check(tflite.loads(tflite.dumps(graph)))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tflite", "onnx", "h5"])
def test_shapes_that_do_not_fit_are_refused(name: str, files: dict[str, Path]) -> None:
    """What the model fixes may be said again, and not otherwise; names are the model's own."""
    fixed = {"tflite": (1, 4), "onnx": (1, 2048), "h5": (1, 32, 32, 3)}[name]
    wrong = {"nobody": fixed}, {"": (*fixed[:-1], fixed[-1] + 1)}, {"": (*fixed, 1)}
    for shapes, words in zip(wrong, ("no input 'nobody'", "not", "dimensions"), strict=True):
        with pytest.raises(UsageError, match=words) as caught:
            load(files[name], options=ReadOptions(shapes=shapes))
        assert "\n" not in caught.value.message and caught.value.hint


def test_unknown_formats_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.bin").write_bytes(b"what is this")
    with pytest.raises(ModelError, match="not a model"):
        load(tmp_path / "model.bin")
