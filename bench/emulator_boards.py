"""The emulator's predictions beside figures that others measured on boards; prints the table of docs/emulator.md.

    python bench/emulator_boards.py

Builds MobileNet v1 and v3 with random weights (needs the ``train`` extra), runs each in the emulator and applies
the cost model at the clock of the measured board. Takes about three minutes.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edgekit import target
from edgekit.backends import Planned, Request
from edgekit.backends.litert import LiteRT
from edgekit.bundle import Bundle
from edgekit.graph import tflite
from edgekit.profiling import registry
from edgekit.runners import RunOptions, Trace, once
from edgekit.runners.emulator import EmulatorRunner
from edgekit.target import Target

ORIN = "MLPerf Inference v3.0, Jetson AGX Orin, TFLite with XNNPACK"
XNNPACK = "XNNPACK README (2022), Raspberry Pi 4, 64 bit"
RUY = "MLPerf Inference v2.1, Raspberry Pi 4, TFLite 2.7.1 with ruy"


@dataclass(frozen=True)
class Measured:
    """Published mean latencies in ms, by network. The networks' weights do not matter to them."""

    source: str
    target: str
    clock_mhz: float
    threads: int
    latency_ms: dict[str, float]


PUBLISHED = [
    Measured(ORIN, "jetson-orin-nano-cpu", 2201.6, 1, {
        "v1-1.0-224 float32": 37.07, "v1-1.0-128 float32": 12.61, "v1-0.5-128 float32": 3.75,
        "v1-0.25-224 float32": 3.51, "v3-large float32": 18.29, "v3-large-minimalistic float32": 15.80,
        "v3-small float32": 5.87,
    }),
    Measured(XNNPACK, "rpi4", 1500, 4, {
        "v1-1.0-224 float32": 77, "v3-large float32": 40, "v3-small float32": 15, "v1-1.0-224 int8": 24,
    }),
    Measured(RUY, "rpi4", 1800, 4, {
        "v1-1.0-224 float32": 67.57, "v1-1.0-128 float32": 30.38, "v1-0.5-128 float32": 9.39,
        "v1-0.25-224 float32": 14.00, "v3-large float32": 55.91, "v3-large-minimalistic float32": 47.05,
        "v3-small float32": 22.43, "v1-1.0-224 int8": 27.28, "v1-1.0-128 int8": 10.32, "v1-0.5-128 int8": 4.02,
        "v1-0.25-224 int8": 4.81, "v3-large int8": 24.69, "v3-large-minimalistic int8": 18.06, "v3-small int8": 9.73,
    }),
]  # fmt: skip

BUILD = """
import sys, numpy as np, keras, tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2
name, dtype, path = sys.argv[1:]
keras.utils.set_random_seed(1)
if name.startswith("v1-"):
    alpha, size = float(name.split("-")[1]), int(name.split("-")[2])
    model = keras.applications.MobileNet((size, size, 3), alpha=alpha, weights=None)
else:
    size, kind = 224, "MobileNetV3Small" if "small" in name else "MobileNetV3Large"
    model = getattr(keras.applications, kind)((size, size, 3), weights=None, include_preprocessing=False,
                                              minimalistic="minimalistic" in name)
run = tf.function(lambda x: model(x, training=False))
frozen = convert_variables_to_constants_v2(run.get_concrete_function(tf.TensorSpec((1, size, size, 3))))
converter = tf.lite.TFLiteConverter.from_concrete_functions([frozen])
if dtype == "int8":
    samples = np.random.default_rng(0).uniform(-1, 1, (3, 1, size, size, 3)).astype("float32")
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([x] for x in samples)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
open(path, "wb").write(converter.convert())
"""


def build(network: str, folder: Path) -> Path:
    """Build ``"v1-0.5-128 float32"`` and the like as a TFLite file."""
    path = folder / (network.replace(" ", "-") + ".tflite")
    if not path.exists():
        env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
        command = [sys.executable, "-c", BUILD, *network.split(), str(path)]
        subprocess.run(command, check=True, env=env, capture_output=True)
    return path


def emulate(model: Path, board: str, folder: Path) -> tuple[Bundle, Trace]:
    """Run one inference of a model in the emulator."""
    place = folder / f"{model.stem}.{board}"
    (place / "artifact").mkdir(parents=True)
    graph = tflite.read(model)
    tflite.write(graph, place / "model.tflite")
    made = LiteRT().build(Planned(graph, target.load(board)), Request(place / "model.tflite", place / "artifact"))
    assert made.execution is not None
    bundle = Bundle(place, {"target": board, "execution": made.execution.json()})
    random = np.random.default_rng(0)
    inputs = [random.integers(-100, 100, (1, *t.shape)).astype(t.dtype) for t in graph.inputs]
    return bundle, once(EmulatorRunner(), bundle, inputs, RunOptions(profile=True)).trace


def at_clock(board: Target, mhz: float) -> Target:
    """The same board at another clock."""
    return replace(board, cpu=replace(board.processor, clock_mhz=mhz))


def rows() -> Iterator[str]:
    """The table's lines, in Markdown."""
    traces: dict[tuple[str, str], tuple[Bundle, Trace]] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for published in PUBLISHED:
            yield ""
            threads = "one thread" if published.threads == 1 else "all cores"
            yield f"**{published.source}**, {threads}, {published.clock_mhz / 1000:.1f} GHz"
            yield ""
            yield "| MobileNet | measured ms | predicted ms | interval ms | measured / predicted |"
            yield "|---|---:|---:|---:|---:|"
            for network, measured in published.latency_ms.items():
                key = network, published.target
                if key not in traces:
                    traces[key] = emulate(build(network, Path(scratch)), published.target, Path(scratch))
                bundle, trace = traces[key]
                board = at_clock(bundle.target, published.clock_mhz)
                found = registry.observed(bundle.graph, trace, board, {"threads": published.threads}).latency_ms
                inside = "" if found.low <= measured <= found.high else ", outside"
                yield (
                    f"| {network} | {measured:.2f} | {found.value:.2f} | {found.low:.2f} to {found.high:.2f}{inside} "
                    f"| {measured / found.value:.2f} |"
                )


if __name__ == "__main__":
    for line in rows():
        print(line, flush=True)
