"""A proof must notice what is wrong: faults are planted into otherwise sound bundles of every backend.

For each backend and fault the artifact is made of a faulty network while the bundle's own network and golden data are
sound, as if the backend, the compiler or a later hand had spoilt it. `compile` and `verify` must refuse every one. What
judges single operators compiles them soundly: nothing but the artifact itself can give the fault away.
"""

from __future__ import annotations

import functools
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgekit import bundle as bundles
from edgekit import plugins, target
from edgekit.api.compile import compile
from edgekit.api.verify import verify
from edgekit.backends import Artifact, Planned, Request
from edgekit.bundle import writing
from edgekit.errors import CheckFailed, ToolMissing
from edgekit.graph import Graph, tflite
from tests.contracts.kinds import INTEGERS_ONLY
from tests.networks.small import Builder

BOARDS = {
    "android": "android-arm64", "c99": "host", "coreml": "ios", "cuda": "jetson-orin-nano",
    "cuda-f16": "jetson-orin-nano", "da4ml": "da4ml",
    "edgetpu": "coral-edgetpu", "hls4ml": "zynq-hls4ml",
    "litert": "rpi5", "null": "host", "opencl": "mali-g610", "opencl-f16": "mali-g610",
    "overlay": "ecp5-85f",
    "tensorrt": "jetson-orin-nano", "tensorrt-f16": "jetson-orin-nano", "tvm": "host", "vela": "ethos-u55-128",
}  # fmt: skip
FIRMWARE = "nucleo-l4r5zi"
"""The board of int8 networks by the backend c99, whose firmware an emulator runs."""
CLASSES = 6


def _board(backend: str, kind: str) -> str:
    return FIRMWARE if (backend, kind) == ("c99", "int8") else BOARDS[backend]


def sound(size: int = 8, channels: int = 8) -> Graph:
    """Pictures ``[1, 8, 8, 3]`` -> CONV 8 3x3 relu -> [1, 288] -> FULLY_CONNECTED 6: no channel is like another."""
    flat = (size - 2) ** 2 * channels
    rng = np.random.default_rng(7)
    b = Builder()
    x = b.tensor((1, size, size, 3), name="image")
    y = b.add(
        "CONV_2D", (x, b.constant(_floats(rng, channels, 3, 3, 3)), b.constant(_floats(rng, channels))),
        (1, size - 2, size - 2, channels),
        options="Conv2D", strideH=1, strideW=1, padding=1, fusedActivationFunction=1,
    )  # fmt: skip
    y = b.add(
        "RESHAPE", (y, b.constant(np.array([1, flat], np.int32))), (1, flat), options="Reshape", newShape=[1, flat]
    )
    y = b.add(
        "FULLY_CONNECTED", (y, b.constant(_floats(rng, CLASSES, flat)), b.constant(_floats(rng, CLASSES))),
        (1, CLASSES), options="FullyConnected",
    )  # fmt: skip
    return b.graph((x,), (y,))


def _floats(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def _changed(graph: Graph, op: str, change: Callable[[int, np.ndarray], np.ndarray]) -> Graph:
    """The network with other weights (place 1) and biases (2) in the operators ``op``."""
    tensors = list(graph.tensors)
    for operator in graph.operators:
        for place, index in enumerate(operator.inputs):
            data = tensors[index].data
            if operator.op == op and place > 0 and data is not None:
                values = change(place, tensors[index].array().copy())
                tensors[index] = replace(tensors[index], data=np.ascontiguousarray(values).reshape(-1).view(np.uint8))
    return Graph([replace(graph.main, tensors=tensors)], signatures=graph.signatures)


def lost_channel(graph: Graph) -> Graph:
    """The output channel 4 is 0 (integers: the zero point)."""

    def change(place: int, values: np.ndarray) -> np.ndarray:
        values[4] = 0
        return values

    return _changed(graph, "FULLY_CONNECTED", change)


def constant_output(graph: Graph) -> Graph:
    """The outputs are the biases."""
    return _changed(graph, "FULLY_CONNECTED", lambda place, values: values * (place == 2))


def swapped_layout(graph: Graph) -> Graph:
    """The convolution reads its taps transposed: height for width."""
    return _changed(graph, "CONV_2D", lambda place, values: values.transpose(0, 2, 1, 3) if place == 1 else values)


def not_a_number(graph: Graph) -> Graph:
    """One output is NaN."""

    def change(place: int, values: np.ndarray) -> np.ndarray:
        values[2] = np.nan
        return values

    return _changed(graph, "FULLY_CONNECTED", lambda place, values: change(place, values) if place == 2 else values)


def overflow(graph: Graph, by: float) -> Graph:
    """The convolution's results leave the range of the arithmetic, and come back."""
    tensors, operators = list(graph.tensors), list(graph.operators)
    big = _constant(tensors, np.array([by], np.float32))
    small = _constant(tensors, np.array([1 / by], np.float32))
    made = operators[0].outputs[0]
    options = tflite.schema().MulOptionsT()
    steps = []
    for constant in (big, big, small, small):
        tensors.append(replace(tensors[made], name=f"overflow{len(tensors)}"))
        steps.append(
            replace(operators[0], op="MUL", inputs=(made, constant), outputs=(len(tensors) - 1,), options=options)
        )
        made = len(tensors) - 1
    operators[1] = replace(operators[1], inputs=(made, *operators[1].inputs[1:]))
    return Graph([replace(graph.main, tensors=tensors, operators=[operators[0], *steps, *operators[1:]])])


def _constant(tensors: list[Any], values: np.ndarray) -> int:
    b = Builder()
    b.constant(values, name=f"constant{len(tensors)}")
    tensors.append(b.tensors[0])
    return len(tensors) - 1


FAULTS: dict[str, Callable[[Graph], Graph]] = {
    "lost channel": lost_channel, "constant output": constant_output, "swapped layout": swapped_layout,
    "NaN": not_a_number, "overflow": functools.partial(overflow, by=1e25),
    "float16 overflow": functools.partial(overflow, by=1e5),
}  # fmt: skip


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The network as a file, in float and in int8; a smaller one in int8."""
    folder = tmp_path_factory.mktemp("sound")
    for name, graph in (("float", sound()), ("small float", sound(4, 2))):
        path = folder / f"{name}.tflite"
        tflite.write(graph, path)
        made = compile(path, targets=["host"], recipe="int8", data="random", out=folder, backend="null")
        shutil.copyfile(made[0].path / "model.tflite", folder / f"{name.replace('float', 'int8')}.tflite")
    return {name: folder / f"{name}.tflite" for name in ("float", "int8", "small int8")}


def cases() -> list[Any]:
    found = []
    for backend in sorted(plugins.names("backends")):
        kinds = ["float", "int8"] if backend in ("c99", "litert", "tvm") else ["float"]
        kinds = ["small int8" if backend == "da4ml" else "int8"] if backend in INTEGERS_ONLY else kinds
        made = plugins.get("backends", backend)
        half = made.exactness(sound()).half_activations
        for kind in kinds:
            for fault in FAULTS:
                if "int8" in kind and fault in ("NaN", "overflow", "float16 overflow"):
                    continue  # integers have neither
                if fault == "float16 overflow" and not half:
                    continue  # not beyond its arithmetic
                marks = [pytest.mark.emulator] if backend in ("litert", "android") else []
                found.append(pytest.param(backend, kind, fault, id=f"{backend}-{kind}-{fault}", marks=marks))
    return found


@pytest.fixture(scope="module")
def bundle_of(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, str], Path]:
    """Make a sound bundle of a backend, once, and see that it is found sound."""
    made: dict[tuple[str, str], Path] = {}

    def make(backend: str, kind: str) -> Path:
        if (backend, kind) not in made:
            out = tmp_path_factory.mktemp("bundles")
            try:
                path = compile(models[kind], targets=[_board(backend, kind)], backend=backend, out=out)[0].path
            except ToolMissing as error:
                pytest.skip(error.message)
            assert verify(path).ok is not False
            made[backend, kind] = path
        return made[backend, kind]

    return make


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "kind", "fault"), cases())
def test_is_refused(
    backend: str,
    kind: str,
    fault: str,
    models: dict[str, Path],
    bundle_of: Callable[[str, str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    good, board = bundle_of(backend, kind), _board(backend, kind)
    graph = tflite.read(good / "model.tflite")
    planted = _plant(plugins.get("backends", backend), graph, FAULTS[fault](graph), tmp_path / "faulty")

    # The bundle as somebody, or something, spoilt it later, with checksums that fit.
    spoilt = tmp_path / "spoilt"
    shutil.copytree(good, spoilt)
    shutil.rmtree(spoilt / "artifact")
    (spoilt / "artifact").mkdir()
    request = Request(spoilt / "model.tflite", spoilt / "artifact")
    planted.build(planted.plan(graph, target.load(board)), request)
    manifest = {k: v for k, v in bundles.load(spoilt).manifest.items() if k not in ("schema", "files")}
    (spoilt / "manifest.json").unlink()
    writing.finish(spoilt, manifest)
    judged = verify(spoilt)
    assert not judged.ok, judged.parity and judged.parity.words()

    # A backend that makes something else of the network than it should, time and again.
    original, chosen = plugins.get, ("backends", backend)
    monkeypatch.setattr(plugins, "get", lambda *which: planted if which == chosen else original(*which))
    with pytest.raises(CheckFailed, match="parity failed"):
        compile(models[kind], targets=[board], backend=backend, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _plant(real: Any, graph: Graph, faulty: Graph, kept: Path) -> Any:
    """The backend, but of this network it makes the artifact of another one (or the file that LiteRT runs)."""
    artifacts: list[Artifact] = []

    def build(self: Any, planned: Planned, request: Request) -> Artifact:
        given, model, folder = planned.graph, request.model, request.folder
        if len(given.operators) != len(graph.operators) or len(given.outputs) != len(graph.outputs):
            one: Artifact = real.build(planned, request)
            return one
        if not artifacts:
            kept.mkdir()
            (kept / "artifact").mkdir()
            shutil.copyfile(model.with_name("golden.npz"), kept / "golden.npz")
            tflite.write(faulty, kept / "model.tflite")
            own = replace(request, model=kept / "model.tflite", folder=kept / "artifact")
            artifacts.append(real.build(real.plan(faulty, planned.target), own))
        shutil.copytree(kept / "artifact", folder, dirs_exist_ok=True)
        if real.name in ("litert", "null"):
            shutil.copyfile(kept / "model.tflite", model)
        return artifacts[0]

    return type("Planted", (type(real),), {"build": build})()
