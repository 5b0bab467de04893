"""--shape through the verbs: a network of open sizes is compiled, proven and measured at the size that was given."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgekit.graph import tflite
from tests.e2e.command import edgekit, refused
from tests.installed import needed
from tests.networks.small import Builder


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Pictures ``[?, ?, ?, 3]`` -> CONV 8 3x3/2 relu, MEAN over the picture, FULLY_CONNECTED 4."""
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.tensor((1, 1, 1, 3), name="image", shape_signature=(-1, -1, -1, 3))
    kernel, bias = b.constant(rng.normal(size=(8, 3, 3, 3)).astype("f")), b.constant(rng.normal(size=8).astype("f"))
    y = b.add(
        "CONV_2D", (x, kernel, bias), (1, 1, 1, 8), options="Conv2D", strideH=2, strideW=2, fusedActivationFunction=1
    )
    y = b.add("MEAN", (y, b.constant(np.array([1, 2], np.int32))), (1, 8), options="Reducer")
    head = b.constant(rng.normal(size=(4, 8)).astype("f"))
    y = b.add("FULLY_CONNECTED", (y, head, b.constant(np.zeros(4, "f"))), (1, 4), options="FullyConnected")
    tflite.write(b.graph((x,), (y,)), tmp_path / "net.tflite")
    return tmp_path / "net.tflite"


@pytest.fixture
def samples(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "x.npz", x=rng.random((80, 12, 16, 3), np.float32), y=rng.integers(0, 4, 80))
    return tmp_path / "x.npz"


def test_inspect_profile_and_compile(network: Path, samples: Path, tmp_path: Path) -> None:
    found = edgekit("inspect", network, "--shape", "1x12x16x3", "--json").json
    assert found["inputs"][0]["shape"] == [1, 12, 16, 3]
    assert found["macs"] == 6 * 8 * 8 * 27 + 4 * 8
    large = edgekit("profile", network, "-t", "rpi4", "--shape", "image=1x120x160x3", "--json").json
    assert sum(row["macs"] for row in large["operators"]) == 60 * 80 * 8 * 27 + 4 * 8
    made = edgekit(
        "compile", network, "-t", "host", "-r", "int8", "-d", samples, "--shape", "1x12x16x3", "-o", tmp_path / "b",
        "--json",
    ).json["bundles"][0]  # fmt: skip
    assert made["parity"]["ok"]
    manifest = json.loads((Path(made["path"]) / "manifest.json").read_text())
    assert manifest["model"]["shapes"] == {"image": [1, 12, 16, 3]}
    assert manifest["inputs"][0]["shape"] == [1, 12, 16, 3]
    assert edgekit("verify", made["path"], "--json").json["ok"]
    refused(edgekit("inspect", made["path"], "--shape", "1x12x16x3"), 2, "a bundle's shapes are fixed")


def test_tune_reads_models_like_the_others(network: Path, tmp_path: Path) -> None:
    needed("tvm", "tvm")
    args = "tune", network, "-t", "host", "--trials", "1", "--database", tmp_path / "base.jsonl"
    refused(edgekit(*args), 3, "dimension 1 of input 'image' is not fixed")
    assert edgekit(*args, "--shape", "1x12x16x3", "--json").json["trials"]["new"] == 1


@pytest.mark.slow
def test_diagnose_and_compress(network: Path, samples: Path, tmp_path: Path) -> None:
    args = network, "-d", samples, "--shape", "1x12x16x3"
    found = edgekit("diagnose", *args, "--max-drop", "100", "--json")
    assert found.json["samples"] == 80
    compressed = edgekit(
        "compress", *args, "-t", "host", "--trials", "2", "--finalists", "1", "-o", tmp_path / "c", "--json"
    )
    assert compressed.json["search"]["recipes"] >= 1


@pytest.mark.parametrize(
    ("given", "code", "words"),
    [
        ([], 3, ("dimension 1 of input 'image' is not fixed", "--shape 1x?x?x3")),
        (["1x12x16"], 2, ("has 3 dimensions", "has 4")),
        (["1x12x16x4"], 2, ("dimension 3", "is 3, not 4")),
        (["picture=1x12x16x3"], 2, ("no input 'picture'", "image")),
        (["1x12x16x3", "image=1x12x16x3"], 2, ("twice",)),
        (["1x12xx3"], 2, ("is not a shape", "1x3x224x224")),
        (["1x0x16x3"], 2, ("size of 0",)),
        (["1x-4x16x3"], 2, ("is not a shape",)),
        (["1x999999x999999x3"], 2, ("too large",)),
        (["1x40000x17000x3"], 3, ()),
    ],
)
def test_refusals(network: Path, tmp_path: Path, given: list[str], code: int, words: tuple[str, ...]) -> None:
    shapes = [word for text in given for word in ("--shape", text)]
    refused(edgekit("compile", network, "-t", "host", *shapes, "-o", tmp_path / "b"), code, *words)
    assert not (tmp_path / "b").exists()
