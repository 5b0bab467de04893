"""Hints of a failed compile name a way out that this target, this recipe and these samples have."""

from __future__ import annotations

import shlex
from pathlib import Path

import numpy as np
import pytest

from edgekit import target
from edgekit.api import advice
from edgekit.api.compile import backend_for, compile
from edgekit.api.job import Job
from edgekit.backends.litert import LiteRT
from edgekit.cli import invoke
from edgekit.errors import DeviceError, ModelError
from edgekit.graph import Graph, tflite
from edgekit.passes.recipe import load
from edgekit.progress import Silent
from edgekit.text.commands import arguments
from tests.networks.small import Builder, dense


class Heard(Silent):
    """Collects the warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def _coarse(folder: Path, far: float = 4000.0) -> tuple[Path, Path]:
    """A classifier of two classes that looks at small values beside one large value: int8 loses them."""
    weights = np.array([[0, 1, -1], [0, -1, 1]], np.float32)
    tflite.write(dense(weights, np.zeros(2, np.float32)), folder / "net.tflite")
    x = np.random.default_rng(0).random((200, 3)).astype(np.float32)
    x[:, 0] *= far
    np.savez(folder / "data.npz", x=x, y=(x[:, 2] > x[:, 1]).astype(np.int64))
    return folder / "net.tflite", folder / "data.npz"


def test_a_recipe_that_costs_accuracy_names_the_command_that_finds_why(tmp_path: Path) -> None:
    folder = tmp_path / "a folder"
    folder.mkdir()
    model, data = _coarse(folder)
    heard = Heard()
    compile(model, targets=["host"], recipe="int8", data=str(data), out=tmp_path / "out", seed=3, progress=heard)
    (said,) = (line for line in heard.warnings if "points of accuracy" in line)
    command = shlex.split(said.partition("edgekit ")[2])
    assert command == ["diagnose", str(model), "--data", str(data), "--seed", "3", "--fix"]
    assert invoke([*command, "--out", str(tmp_path / "fixed")]) == 0


def test_a_sound_recipe_names_nothing(tmp_path: Path) -> None:
    model, data = _coarse(tmp_path, far=1.0)
    heard = Heard()
    compile(model, targets=["host"], recipe="int8", data=str(data), out=tmp_path / "out", progress=heard)
    assert not [line for line in heard.warnings if "diagnose" in line or "guessing" in line]


def test_an_untrained_network_is_told(tmp_path: Path) -> None:
    model, data = _coarse(tmp_path, far=1.0)
    with np.load(data) as found:
        np.savez(data, x=found["x"], y=1 - found["y"])
    heard = Heard()
    compile(model, targets=["host"], recipe="int8", data=str(data), out=tmp_path / "out", progress=heard)
    assert [line for line in heard.warnings if "not trained" in line]


@pytest.mark.parametrize(
    ("recipe", "data", "expected"),
    [
        ("int8", "d.npz", "edgekit diagnose m.tflite --data d.npz"),
        ("int8-w/int16-a", "d.npz", "edgekit diagnose m.tflite --data d.npz --recipe int8-w/int16-a"),
        ("qat", "d.npz", "edgekit diagnose m.tflite --data d.npz"),
        ("int8-dynamic", "d.npz", ""),
        ("float16", "d.npz", ""),
        ("as-is", "d.npz", ""),
        ("int8", None, ""),
    ],
)
def test_diagnose_is_named_where_it_can_be_asked(recipe: str, data: str | None, expected: str) -> None:
    assert advice.why(load(recipe), arguments(Path("m.tflite"), data, None), recipe) == expected


def test_arguments_can_be_pasted() -> None:
    words = arguments(Path("-m.tflite"), "a b.npz", "t.npz?range=-1,1", ["x=1x4"], 7, True)
    assert words == [
        "./-m.tflite", "--data", "a b.npz", "--test", "t.npz?range=-1,1", "--shape", "x=1x4", "--seed", "7",
        "--trust-model",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("hint", "left"),
    [
        ("use --recipe float32, or --backend litert", "use --recipe float32"),
        ("use --backend litert", ""),
        ("use --backend cuda", "use --backend cuda"),
        ("pad with 0, or change it", "pad with 0, or change it"),
    ],
)
def test_alternatives_that_failed_are_dropped(hint: str, left: str) -> None:
    assert advice.without(hint, ["litert"]) == left


def _unknown() -> Graph:
    b = Builder()
    x = b.tensor((1, 4), name="x")
    return b.graph((x,), (b.add("CONCAT_EMBEDDINGS", (x,), (1, 4)),))


@pytest.mark.parametrize(("board", "backend"), [("rpi4", "first"), ("rpi4", "tvm"), ("android-arm64", "first")])
def test_no_backend_is_named_that_the_target_lacks_or_that_refused(board: str, backend: str) -> None:
    with pytest.raises(ModelError) as caught:
        backend_for(backend, _unknown(), target.load(board))
    assert caught.value.hint
    assert "--backend litert" not in caught.value.hint


@pytest.mark.parametrize("kind", [ModelError, DeviceError])
def test_compile_does_not_send_to_the_host_or_back_to_itself(kind: type[ModelError]) -> None:
    graph = dense(np.ones((3, 4), np.float32), np.zeros(3, np.float32))
    job = Job("m", {}, load("as-is"), graph, b"", ([], []), 0)
    with pytest.raises(kind) as caught, advice.ways_out(job, target.load("rpi4"), LiteRT()):
        raise kind("LiteRT refuses the model", "verify it with --on host")
    assert caught.value.message == "LiteRT refuses the model"
    assert caught.value.hint == "no bundle was written; try --backend tvm"


def test_outputs_unlike_the_float_networks_name_the_command(tmp_path: Path) -> None:
    model, data = _coarse(tmp_path)
    with np.load(data) as found:
        np.savez(data, x=found["x"])
    heard = Heard()
    compile(model, targets=["host"], recipe="int8", data=str(data), out=tmp_path / "out", progress=heard)
    assert [line for line in heard.warnings if f"the cause: edgekit diagnose {model} --data {data}" in line]


def test_a_quantized_network_that_fails_on_the_target_is_to_be_diagnosed() -> None:
    graph = dense(np.ones((3, 4), np.float32), np.zeros(3, np.float32))
    job = Job("m", {}, load("int8"), graph, b"", ([], []), 0, why="edgekit diagnose m.tflite --data d.npz")
    with pytest.raises(DeviceError) as caught, advice.ways_out(job, target.load("android-arm64"), LiteRT()):
        raise DeviceError("the compiled network crashed", "compile the bundle with --backend litert")
    assert "the cause: edgekit diagnose m.tflite --data d.npz" in caught.value.hint
    assert "litert" not in caught.value.hint
