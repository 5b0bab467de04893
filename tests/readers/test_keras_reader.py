"""Keras, H5 and SavedModel: what TensorFlow computes is what the Graph computes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit.errors import ModelError, UsageError
from edgekit.graph import Graph, tflite
from edgekit.readers import ReadOptions
from edgekit.readers.keras import H5Reader, KerasReader, SavedModelReader
from edgekit.reference.litert import reference_outputs
from tests.networks.small import MODELS

pytestmark = [pytest.mark.tensorflow, pytest.mark.slow]


def make(folder: Path, *flags: str) -> Path:
    script = Path(__file__).with_name("keras_models.py")
    done = subprocess.run([sys.executable, str(script), str(folder), *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


@pytest.fixture(scope="session")
def keras_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("h5py", reason="TensorFlow is not installed")
    return make(tmp_path_factory.mktemp("keras"), "--large")


def run(graph: Graph, inputs: list[NDArray[Any]], folder: Path) -> list[NDArray[Any]]:
    tflite.write(graph, folder / "read.tflite")
    return once(folder / "read.tflite", inputs)


def once(model: Path, inputs: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Run one sample; the reference takes and gives arrays with a leading axis for samples."""
    return [output[0] for output in reference_outputs(model, [x[None] for x in inputs])]


def assert_agrees(graph: Graph, golden: Path, folder: Path) -> None:
    with np.load(golden) as arrays:
        inputs = [arrays[f"x{i}"] for i in range(len(graph.inputs))]
        expected = [arrays[f"y{i}"] for i in range(len(graph.outputs))]
    outputs = run(graph, inputs, folder)
    for output, wanted in zip(outputs, expected, strict=True):
        np.testing.assert_allclose(output, wanted, rtol=1e-4, atol=1e-5)


def test_inputs_outputs_batch_norms_dropout_nesting_and_recurrence(keras_models: Path, tmp_path: Path) -> None:
    graph = KerasReader().read(keras_models / "everything.keras", ReadOptions())
    assert [(t.name, t.shape) for t in graph.inputs] == [("image", (1, 16, 16, 3)), ("series", (1, 6, 4))]
    assert [(t.name, t.shape) for t in graph.outputs] == [("label", (1, 4)), ("score", (1, 1))]
    (signature,) = graph.signatures
    assert (signature.key, list(signature.inputs), list(signature.outputs)) == (
        "serving_default", ["image", "series"], ["label", "score"],
    )  # fmt: skip
    names = {operator.op for operator in graph.operators}
    assert {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"} <= names
    assert "RSQRT" not in names, "batch norm must be folded"
    assert "WHILE" not in names, "short recurrences must be unrolled"
    assert_agrees(graph, keras_models / "everything.keras.npz", tmp_path)


@pytest.mark.parametrize("name", ["mobilenetv2.keras", "efficientnet.keras"])
def test_networks_of_keras_applications(keras_models: Path, tmp_path: Path, name: str) -> None:
    assert_agrees(KerasReader().read(keras_models / name, ReadOptions()), keras_models / f"{name}.npz", tmp_path)


def test_legacy_h5(keras_models: Path, tmp_path: Path) -> None:
    assert_agrees(H5Reader().read(keras_models / "plain.h5", ReadOptions()), keras_models / "plain.h5.npz", tmp_path)


def test_h5_made_by_others_equals_its_tflite(tmp_path: Path) -> None:
    folder = MODELS / "mlperf_tiny"
    if not folder.is_dir():
        pytest.skip("the shared models are not beside this checkout")
    graph = H5Reader().read(folder / "ic_resnet8.h5", ReadOptions())
    image = np.random.default_rng(3).uniform(0, 255, (1, 32, 32, 3)).astype(np.float32)
    (ours,), (theirs,) = run(graph, [image], tmp_path), once(folder / "ic_resnet8_fp32.tflite", [image])
    assert theirs.max() - theirs.min() > 0.01
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(("reader", "name"), [(KerasReader(), "lambda.keras"), (H5Reader(), "lambda.h5")])
def test_a_lambda_is_refused_unless_trusted(keras_models: Path, reader: KerasReader | H5Reader, name: str) -> None:
    with pytest.raises(ModelError, match="'doubler' is a Lambda") as caught:
        reader.read(keras_models / name, ReadOptions())
    assert "--trust-model" in caught.value.hint


def test_a_trusted_lambda_runs(keras_models: Path, tmp_path: Path) -> None:
    graph = KerasReader().read(keras_models / "lambda.keras", ReadOptions(trust=True))
    assert_agrees(graph, keras_models / "lambda.keras.npz", tmp_path)


def test_a_dimension_that_is_not_fixed_is_named(keras_models: Path) -> None:
    with pytest.raises(ModelError, match=r"dimension 1 of input .* is not fixed"):
        KerasReader().read(keras_models / "dynamic.keras", ReadOptions())


@pytest.mark.parametrize(
    ("name", "shape"), [("steps.keras", (1, 7, 4)), ("picture", (1, 12, 12, 3))], ids=["keras", "saved_model"]
)
def test_open_sizes_are_fixed_by_what_is_given(
    keras_models: Path, tmp_path: Path, name: str, shape: tuple[int, ...]
) -> None:
    reader = KerasReader() if name.endswith(".keras") else SavedModelReader()
    graph = reader.read(keras_models / name, ReadOptions(shapes={"": shape}))
    assert graph.inputs[0].shape == shape
    assert not {"WHILE", "SHAPE"} & {o.op for o in graph.operators}, (
        "few steps are unrolled, as if the model fixed them"
    )
    assert_agrees(graph, keras_models / f"{name}.npz", tmp_path)
    with pytest.raises(UsageError, match=r"is \d, not 9"):
        reader.read(keras_models / name, ReadOptions(shapes={"": (*shape[:-1], 9)}))
    with pytest.raises(ModelError, match=r"dimension 1 of input .* is not fixed") as caught:
        reader.read(keras_models / name, ReadOptions())
    assert "--shape 1x?x" in caught.value.hint


def test_operators_without_a_tflite_form_are_named(keras_models: Path) -> None:
    with pytest.raises(ModelError, match="TFLite does not have: DenseBincount"):
        KerasReader().read(keras_models / "flex.keras", ReadOptions(trust=True))


def test_saved_model_with_one_signature(keras_models: Path, tmp_path: Path) -> None:
    graph = SavedModelReader().read(keras_models / "scale", ReadOptions())
    assert [(t.name, t.shape) for t in graph.inputs] == [("value", (1, 3))]
    assert [t.name for t in graph.outputs] == ["halved", "scaled"]
    halved, scaled = run(graph, [np.ones((1, 3), np.float32)], tmp_path)
    np.testing.assert_allclose(halved, [[0.5, 0.5, 0.5]])
    np.testing.assert_allclose(scaled, [[1, 2, 3]])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("two", "no signature 'serving_default' but several others: first, second"),
        ("python", "calls back into Python with EagerPyFunc"),
        ("secret", "ReadFile .*is not among those"),
    ],
)
def test_saved_models_that_are_refused(keras_models: Path, name: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        SavedModelReader().read(keras_models / name, ReadOptions())


@pytest.mark.usefixtures("fresh_workers")
def test_a_child_out_of_memory_or_time_is_one_clear_error(keras_models: Path) -> None:
    with pytest.raises(ModelError, match=r"plain.h5 cannot be read: TensorFlow ran past 0.05 s"):
        H5Reader().read(keras_models / "plain.h5", ReadOptions(seconds=0.05))
    with pytest.raises(ModelError, match=r"more memory than allowed|TensorFlow (crashed|was killed)"):  # not: ran past
        H5Reader().read(keras_models / "plain.h5", ReadOptions(memory_mb=300))


def test_a_damaged_h5_ends_in_one_line(keras_models: Path, tmp_path: Path) -> None:
    data = bytearray((keras_models / "plain.h5").read_bytes())
    for at in range(96, 1600, 7):
        data[at] ^= 0xFF
    (tmp_path / "damaged.h5").write_bytes(data)
    with pytest.raises(ModelError) as caught:
        H5Reader().read(tmp_path / "damaged.h5", ReadOptions())
    assert "\n" not in caught.value.message
