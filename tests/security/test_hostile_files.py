"""The corpus of hostile files: none of them hangs, fills memory, shows a bug, or reaches the terminal or a file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.errors import ModelError
from edgekit.graph import tflite
from edgekit.readers import files, onnx_wire
from tests.security import corpus

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_few_of_every_format() -> None:
    """All of them: ``python -m tests.security.corpus``."""
    command = [sys.executable, "-m", "tests.security.corpus", "--few"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    wrong = [line for line in done.stdout.splitlines() if not line.endswith("MiB ")]
    assert done.returncode == 0, "\n".join(wrong) + done.stderr[-2000:]
    assert len(done.stdout.splitlines()) > 40


def test_there_are_over_150() -> None:
    import random

    rng = random.Random(1)
    light = [
        corpus.tflite_files,
        corpus.onnx_files,
        corpus.data_files,
        corpus.pictures,
        corpus.recipes,
        corpus.databases,
    ]
    names = [f"{make.__name__} {name}" for make in light for name, _ in make(rng)] + list(corpus.BUNDLES)
    assert len(names) == len(set(names)) > 150


SHARED = (
    {"tensors": 350_000},
    {"tensors": 30_000, "name": 1 << 20},
    {"tensors": 20_000, "buffer": 1 << 20},
    {"metadata": 10_000, "buffer": 1 << 20},
    {"rank": 1 << 20},
)


@pytest.mark.parametrize("what", SHARED)
def test_tables_that_share_their_contents(what: dict[str, int]) -> None:
    with pytest.raises(ModelError, match=r"share|dimensions"):
        tflite.loads(corpus._tables(**what))


def test_functions_are_counted_where_they_are_called(tmp_path: Path) -> None:
    import random

    made = dict(corpus.onnx_files(random.Random(1)))
    for name, says in {
        "functions that double": "more than 200000 nodes", "function of itself": "call themselves",
        "sparse initializer": "too large", "input without end": "3000 dimensions",
    }.items():  # fmt: skip
        (tmp_path / "m.onnx").write_bytes(made[name])
        with pytest.raises(ModelError, match=says):
            onnx_wire.check(tmp_path / "m.onnx")
    (tmp_path / "m.onnx").write_bytes(made["functions that double a little"])
    onnx_wire.check(tmp_path / "m.onnx")


def test_external_data_is_found_wherever_it_may_stand(tmp_path: Path) -> None:
    from onnx import TensorProto, helper

    def outside() -> TensorProto:
        value = helper.make_tensor("w", TensorProto.FLOAT, [4], [0.0] * 4)
        value.ClearField("float_data")
        value.data_location = TensorProto.EXTERNAL
        value.external_data.add(key="location", value="../../etc/passwd")
        return value

    def sparse(target: object) -> None:
        target.values.CopyFrom(outside())  # type: ignore[attr-defined]
        target.dims.append(4)  # type: ignore[attr-defined]

    relu = helper.make_node("Relu", ["x"], ["y"])
    models = {
        kind: corpus._onnx([relu]) for kind in ("initializer", "sparse", "attribute", "list", "training", "function")
    }
    sparse(models["sparse"].graph.sparse_initializer.add())
    models["initializer"].graph.initializer.append(outside())
    one = models["attribute"].graph.node[0].attribute.add(name="s", type=11)
    sparse(one.sparse_tensor)
    models["list"].graph.node[0].attribute.add(name="t", type=9).tensors.append(outside())
    models["training"].training_info.add().algorithm.initializer.append(outside())
    body = helper.make_node("Constant", [], ["b"], value=outside())
    models["function"].functions.append(
        helper.make_function("own", "f", [], ["b"], [body], [helper.make_opsetid("", 17)])
    )
    for kind, model in models.items():
        (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match="outside its own folder"):
            onnx_wire.check(tmp_path / "m.onnx")
            pytest.fail(kind)


def test_archives_are_counted_before_they_are_read(tmp_path: Path) -> None:
    import random

    for name, data in corpus.keras_files(random.Random(1)):
        if name in ("60,000 members", "two configurations", "zip bomb", "link", "above its folder"):
            (tmp_path / "m.keras").write_bytes(data)
            with pytest.raises(ModelError):
                files.check_zip(tmp_path / "m.keras")
