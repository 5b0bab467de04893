"""Networks described from their papers have the multiplications and weights that the papers give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from bench import measured_networks
from bench.measured.build import build
from bench.measured.names import UnknownNetwork, describe
from bench.measured.works import works
from edgekit.graph import tflite
from edgekit.profiling.calibrated.work import works as works_of


@pytest.mark.parametrize(
    ("name", "macs", "weights"),  # millions
    [
        ("mobilenet-v1-1.0-224-quantized", 569, 4.2),
        ("mobilenet-v2-1.0-224-non-quantized", 300, 3.5),
        ("mobilenet-v3-large_224_1.0_float", 217, 5.4),
        ("efficientnet_b0", 390, 5.3),
        ("ResNet50", 4090, 25.5),
        ("ResNet18", 1814, 11.7),
        ("shufflenet_v2", 146, 2.3),
        ("vgg16", 15470, 138.4),
        ("YOLOX-s", 13400, 9.0),
        ("MovileViT-s", 2000, 5.6),
    ],
)
def test_work_as_published(name: str, macs: float, weights: float) -> None:
    found = works(describe(name))
    assert sum(w.macs for w in found) / 1e6 == pytest.approx(macs, rel=0.03)
    assert sum(w.weights for w in found) / 1e6 == pytest.approx(weights, rel=0.04)


FAMILIES = ("mobilenet-v1-0.25-128", "mobilenet-v3-small-224", "efficientnet-lite0", "resnet18", "mixnet-s",
            "movilevit-xxs", "yolox-nano", "yolo8d33w25_160", "shufflenet_v2", "squeezenet")  # fmt: skip


@pytest.mark.parametrize("name", FAMILIES)
def test_built_networks_do_the_described_work_and_run(name: str) -> None:
    net = describe(name)
    graph = build(net)
    expected, found = works(net), works_of(graph)
    for quantity in ("macs", "weights"):
        counted = sum(getattr(w, quantity) for w in found)
        assert counted == pytest.approx(sum(getattr(w, quantity) for w in expected), rel=0.001), quantity
    interpreter = Interpreter(model_content=tflite.dumps(graph))
    interpreter.allocate_tensors()
    x = np.random.default_rng(0).random((1, *net.input.shape), np.float32)
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    outputs = [interpreter.get_tensor(one["index"]) for one in interpreter.get_output_details()]
    assert all(np.isfinite(y).all() for y in outputs) and float(np.std(outputs[0])) > 0


def test_the_program_writes_each_dtype(tmp_path: Path) -> None:
    sizes = {}
    for dtype in ("fp32", "fp16", "int8"):
        path = tmp_path / f"{dtype}.tflite"
        assert measured_networks.main([f"mobilenet-v1-0.25-128-{dtype}", str(path)]) == 0
        sizes[dtype] = path.stat().st_size
    assert sizes["int8"] < sizes["fp16"] < sizes["fp32"]
    graph = tflite.read(tmp_path / "int8.tflite")
    assert {t.dtype for t in graph.tensors if t.data is None} <= {"int8", "float32"}


def test_a_name_that_is_none() -> None:
    with pytest.raises(UnknownNetwork):
        describe("gnmt")
