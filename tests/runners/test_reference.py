"""The reference kernels in a child process: right values, right shapes, and a crash that harms nobody."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.graph import tflite
from edgekit.reference.litert import reference_outputs, reference_tensors
from tests.networks.small import unary

MODELS = Path(__file__).parents[3] / "shared" / "models"
pytestmark = pytest.mark.skipif(not MODELS.is_dir(), reason="the shared models are not there")


def sine(values: list[float]) -> np.ndarray:
    return np.array(values, np.float32).reshape(-1, 1, 1)


def test_a_sine_regressor_gives_sines() -> None:
    x = sine([0.5, 1.0, 2.0, 4.0])
    (y,) = reference_outputs(MODELS / "tflite_micro/hello_world_float.tflite", [x])
    assert y.shape == (4, 1, 1) and y.dtype == np.float32
    assert np.abs(y - np.sin(x)).max() < 0.1


def test_every_sample_is_its_own_run() -> None:
    model = MODELS / "mlperf_tiny/kws_int8.tflite"
    x = np.random.default_rng(0).integers(-128, 128, (5, 1, 49, 10, 1), dtype=np.int8)
    (together,) = reference_outputs(model, [x])
    for i in range(5):
        (alone,) = reference_outputs(model, [x[i : i + 1]])
        np.testing.assert_array_equal(alone[0], together[i])


def test_all_tensors_are_the_networks_own() -> None:
    model = MODELS / "mlperf_tiny/ic_resnet8_int8.tflite"
    x = np.random.default_rng(0).integers(-128, 128, (2, 1, 32, 32, 3), dtype=np.int8)
    tensors = reference_tensors(model, [x])
    (y,) = reference_outputs(model, [x])
    assert len(tensors) == 16
    assert all(len(values) == 2 for values in tensors.values())
    assert any(np.array_equal(values, y) for values in tensors.values() if values.shape == y.shape)


@pytest.mark.parametrize(
    ("inputs", "what"),
    [
        ([sine([1.0]).astype(np.float64)], "is float32, not float64"),
        ([sine([1.0]), sine([1.0])], "has 1 inputs, 2 were given"),
        ([np.zeros((1, 1, 7), np.float32)], "refuses"),
    ],
)
def test_wrong_inputs_are_one_clear_line(inputs: list[np.ndarray], what: str) -> None:
    with pytest.raises(ModelError) as caught:
        reference_outputs(MODELS / "tflite_micro/hello_world_float.tflite", inputs)
    assert what in caught.value.message and "\n" not in caught.value.message


def test_a_model_litert_refuses_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "bad.tflite").write_bytes(b"\x1c\0\0\0TFL3" + b"\0" * 50)
    with pytest.raises(ModelError) as caught:
        reference_outputs(tmp_path / "bad.tflite", [sine([1.0])])
    assert "\n" not in caught.value.message


def test_a_model_that_kills_litert_leaves_this_process_alive() -> None:
    model = MODELS / "tflite_micro/keyword_scrambled_8bit.tflite"
    with pytest.raises(ModelError, match="LiteRT itself crashed"):
        reference_outputs(model, [np.zeros((50, 1, 96), np.int16)])


@pytest.mark.parametrize(("op", "formula"), [("ELU", lambda x: np.where(x > 0, x, np.expm1(x))), ("CEIL", np.ceil)])
def test_operators_without_a_reference_kernel_are_computed_too(op: str, formula: Any, tmp_path: Path) -> None:
    tflite.write(unary(op, (1, 8)), tmp_path / "m.tflite")
    x = np.linspace(-3, 3, 24, dtype=np.float32).reshape(3, 1, 8)
    (y,) = reference_outputs(tmp_path / "m.tflite", [x])
    np.testing.assert_allclose(y, formula(x), atol=1e-6)
