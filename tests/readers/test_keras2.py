"""Files of Keras 2, old SavedModels and models of mixed precision: what Keras 2 computes is what the Graph computes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.graph import Graph, tflite
from edgekit.readers import ReadOptions, keras_config
from edgekit.readers.keras import H5Reader, KerasReader, SavedModelReader
from edgekit.reference.litert import reference_outputs
from tests.installed import needed
from tests.networks.small import MODELS

CASES = MODELS.with_name("cases")


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    needed("tf_keras", "train")
    folder = tmp_path_factory.mktemp("keras2")
    script = Path(__file__).with_name("keras2_models.py")
    done = subprocess.run([sys.executable, str(script), str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def read(path: Path) -> Graph:
    reader = SavedModelReader() if path.is_dir() else H5Reader() if path.suffix == ".h5" else KerasReader()
    return reader.read(path, ReadOptions())


def assert_agrees(graph: Graph, golden: Path, folder: Path) -> None:
    """Outputs that come in another order are found by their values."""
    tflite.write(graph, folder / "read.tflite")
    with np.load(golden) as arrays:
        inputs = [arrays[f"x{k}"] for k in range(len(graph.inputs))]
        expected = [arrays[f"y{k}"] for k in range(len(graph.outputs))]
    outputs = reference_outputs(folder / "read.tflite", [x[None] for x in inputs])
    for number, (output, value) in enumerate(zip(outputs, expected, strict=True)):
        np.testing.assert_allclose(output[0], value, rtol=1e-4, atol=1e-5, err_msg=f"output {number}")


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize(
    "name",
    ["images.h5", "images.keras", "series.h5", "teachable.h5", "teachable.model",
     "mixed_float16.h5", "mixed_float16.model", "mixed_bfloat16.keras", "float64.h5",
     "references.model", "resources.model"],
)  # fmt: skip
def test_what_keras_2_wrote(models: Path, tmp_path: Path, name: str) -> None:
    graph = read(models / name)
    assert_agrees(graph, models / f"{name.rpartition('.')[0]}.npz", tmp_path)
    loops = sum(operator.op == "WHILE" for operator in graph.operators)
    assert loops == (name == "series.h5"), "few steps are unrolled, except in ConvLSTM, which Keras 2 cannot"
    said = any("is computed in float32" in note for note in graph.notes)
    assert said == ("float" in name), "what is widened is said, and nothing else"


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.parametrize("name", ["k2_Ldw.h5", "k2_Lsep.h5", "k2_Llstm.h5", "k2_Lct.h5", "k2_seq.h5", "mixed16.keras"])
def test_the_cases(name: str) -> None:
    if not CASES.is_dir():
        pytest.skip("the shared cases are not beside this checkout")
    assert read(CASES / name).operators


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_saved_model_whose_optimizer_is_unknown(tmp_path: Path) -> None:
    """Its graph, loaded as TensorFlow 1 did, is the oracle: the reader must compute the same."""
    if not CASES.is_dir():
        pytest.skip("the shared cases are not beside this checkout")
    shutil.unpack_archive(CASES / "legacy_optimizer_savedmodel.zip", tmp_path / "model")
    graph = read(tmp_path / "model")
    (tensor,) = graph.inputs
    image = np.random.default_rng(1).normal(size=(1, *tensor.shape)).astype(np.float32)
    tflite.write(graph, tmp_path / "read.tflite")
    (ours,) = reference_outputs(tmp_path / "read.tflite", [image])
    program = (
        "import sys, numpy as np, tensorflow as tf; v1 = tf.compat.v1\n"
        "with v1.Session(graph=tf.Graph()) as s:\n"
        "    d = v1.saved_model.load(s, ['serve'], sys.argv[1]).signature_def['serving_default']\n"
        "    (i,), (o,) = d.inputs.values(), d.outputs.values()\n"
        "    np.save(sys.argv[3], s.run(o.name, {i.name: np.load(sys.argv[2])[0]}))\n"
    )
    np.save(tmp_path / "image.npy", image)
    paths = [str(tmp_path / name) for name in ("model", "image.npy", "theirs.npy")]
    subprocess.run([sys.executable, "-c", program, *paths], check=True, capture_output=True)
    theirs = np.load(tmp_path / "theirs.npy")
    assert np.ptp(theirs) > 0.01
    np.testing.assert_allclose(ours[0], theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.tensorflow
def test_code_in_a_file_of_keras_2_is_refused(models: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'doubler' is a Lambda"):
        read(models / "lambda.h5")
    assert read(models / "called.h5").operators
    h5py = pytest.importorskip("h5py")
    shutil.copy(models / "called.h5", tmp_path / "called.h5")
    with h5py.File(tmp_path / "called.h5", "r+") as file:
        text = file.attrs["model_config"]
        file.attrs["model_config"] = text.replace('"math.add"', '"io.read_file"')
        assert file.attrs["model_config"] != text
    with pytest.raises(ModelError, match=r"calls tf.io.read_file, which may do more than compute"):
        read(tmp_path / "called.h5")


@pytest.mark.parametrize(
    ("name", "allowed"),
    [
        ("math.multiply", True), ("nn.relu6", True), ("reshape", True), ("__operators__.getitem", True),
        ("compat.v1.transpose", True), ("keras.backend.softmax", True), ("image.resize", True),
        ("io.read_file", False), ("py_function", False), ("numpy_function", False), ("load_op_library", False),
        ("raw_ops.ReadFile", False), ("keras.utils.get_file", False), ("compat.v1.py_func", False),
        ("data.TextLineDataset", False), ("compat.v1.io.read_file", False), ("io.gfile.remove", False),
    ],
)  # fmt: skip
def test_functions_that_layers_of_keras_2_may_call(name: str, allowed: bool) -> None:
    layer = {"class_name": "TFOpLambda", "config": {"name": "op", "function": name}}
    config = json.loads(json.dumps({"class_name": "Functional", "config": {"layers": [layer]}}))
    if allowed:
        keras_config.check(config, "model", trust=False)
        return
    with pytest.raises(ModelError, match="layer 'op' calls"):
        keras_config.check(config, "model", trust=False)
