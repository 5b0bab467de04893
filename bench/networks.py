"""The networks that are measured: compiled for this host, and written as ONNX beside it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx_export
from numpy.typing import NDArray

import edgekit
from edgekit.graph import Graph, tflite

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared" / "models" / "mlperf_tiny"
DEMO = ROOT / "build" / "mnist"
MOBILENET = """
import keras, numpy as np, sys
keras.utils.set_random_seed(0)
model = keras.applications.MobileNetV2(weights=None)
# Fresh weights let activations die out layer by layer; batch norms that saw data keep them alive, as in a real network.
for layer in model.layers:
    if isinstance(layer, keras.layers.BatchNormalization):
        layer.momentum = 0.0
model(np.random.default_rng(0).random((8, 224, 224, 3), dtype=np.float32), training=True)
model.save(sys.argv[1])
"""


@dataclass(frozen=True)
class Network:
    """A network in one dtype: its bundle for this host, and, where there is one, its ONNX form."""

    name: str
    dtype: str
    bundle: Path
    onnx: Path | None

    def graph(self) -> Graph:
        return tflite.read(self.bundle / "model.tflite")

    def sample(self) -> NDArray[Any]:
        """One input in the network's dtype; what is in it does not matter for the time."""
        tensor, rng = self.graph().inputs[0], np.random.default_rng(0)
        if tensor.dtype == "float32":
            return rng.random(tensor.shape, dtype=np.float32)
        return rng.integers(-128, 128, tensor.shape).astype(tensor.dtype)


def small_int8() -> Path | None:
    """An int8 network to time ``compile`` with."""
    choices = SHARED / "ic_resnet8_int8.tflite", DEMO / "mnist.int8.rpi4" / "model.tflite"
    return next((path for path in choices if path.is_file()), None)


def available(folder: Path, say: Callable[[str], None]) -> Iterator[Network]:
    """Compile what can be had here; say what cannot."""
    folder.mkdir(parents=True, exist_ok=True)
    sources = {
        "MNIST example": (DEMO / "mnist.keras", DEMO / "mnist.keras"),
        "ResNet-8 (MLPerf Tiny)": (SHARED / "ic_resnet8_fp32.tflite", SHARED / "ic_resnet8_int8.tflite"),
        "MobileNetV2 224 (random weights)": (mobilenet(folder),) * 2,
    }
    for name, (float_file, int8_file) in sources.items():
        if not float_file.is_file():
            say(
                f"  {name} is left out: {float_file} is not there"
                + (" (run make demo)" if DEMO in float_file.parents else "")
            )
            continue
        float_bundle = compiled(float_file, "float32", folder)
        int8_bundle = compiled(int8_file, "as-is" if int8_file.suffix == ".tflite" else "int8", folder)
        float_onnx = folder / f"{float_file.stem}.onnx"
        onnx_export.export(tflite.read(float_bundle / "model.tflite"), float_onnx)
        yield Network(name, "float32", float_bundle, float_onnx)
        yield Network(name, "int8", int8_bundle, quantized(float_onnx))


def mobilenet(folder: Path) -> Path:
    path = folder / "mobilenetv2.keras"
    if not path.is_file():
        subprocess.run([sys.executable, "-c", MOBILENET, str(path)], stderr=subprocess.DEVNULL, check=True)
    return path


def compiled(model: Path, recipe: str, folder: Path) -> Path:
    """The bundle for this host; noise calibrates as well as anything where only time matters."""
    data = "random" if recipe == "int8" else None
    return edgekit.compile(model, targets=["host"], recipe=recipe, data=data, out=folder)[0].path


def quantized(model: Path) -> Path:
    """ONNX Runtime's own int8 (QDQ, one scale a channel) of a float network, calibrated on noise."""
    import logging

    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Noise(CalibrationDataReader):  # type: ignore[misc]
        """Eight samples in 0..1."""

        def __init__(self) -> None:
            dims = onnx.load(model).graph.input[0].type.tensor_type.shape.dim
            rng, shape = np.random.default_rng(0), [d.dim_value for d in dims]
            self.samples = iter([{"input": rng.random(shape, dtype=np.float32)} for _ in range(8)])

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self.samples, None)

    path = model.with_suffix(".int8.onnx")
    logging.getLogger().setLevel(logging.ERROR)  # it recommends a step that would fuse batch norms; there are none
    quantize_static(
        str(model), str(path), Noise(), quant_format=QuantFormat.QDQ, per_channel=True,
        activation_type=QuantType.QInt8, weight_type=QuantType.QInt8,
    )  # fmt: skip
    return path
