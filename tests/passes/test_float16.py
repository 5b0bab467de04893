"""float16 weights: wherever they stand, and only where float16 can hold them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit import plugins
from edgekit.errors import ModelError
from edgekit.graph import Graph, tflite
from edgekit.graph.check import check
from edgekit.graph.floats import restore
from edgekit.passes import PassContext, recipe
from edgekit.passes.float16 import halved
from edgekit.reference.litert import reference_outputs
from tests.e2e.command import edgekit
from tests.networks.small import MODELS, Builder, dense

rng = np.random.default_rng(11)
NESTED = MODELS.parent / "cases" / "nested_f16.tflite"


def two_layers(first: float, second: float) -> Graph:
    """``[1, 32] -> 32 -> 32``, with weights of these magnitudes."""
    b = Builder()
    x = b.tensor((1, 32), name="x")
    for gain in (first, second):
        weights = b.constant((rng.normal(size=(32, 32)) * gain).astype(np.float32), name=f"w{gain:g}")
        zeros = b.constant(np.zeros(32, np.float32))
        x = b.add("FULLY_CONNECTED", (x, weights, zeros), (1, 32), options="FullyConnected")
    return b.graph((0,), (x,))


def outputs(graph: Graph, folder: Path, x: np.ndarray) -> np.ndarray:
    tflite.write(graph, folder / "net.tflite")
    return reference_outputs(folder / "net.tflite", [x])[0]


def test_weights_are_halved_and_compute_the_same(tmp_path: Path) -> None:
    graph = two_layers(0.1, 0.1)
    made, kept = halved(graph)
    check(made)
    assert not kept and [o.op for o in made.operators] == ["DEQUANTIZE", "FULLY_CONNECTED"] * 2
    assert len(tflite.dumps(made)) < 0.6 * len(tflite.dumps(graph))
    x = rng.normal(size=(3, 1, 32)).astype(np.float32)
    np.testing.assert_allclose(outputs(made, tmp_path, x), outputs(graph, tmp_path, x), rtol=2e-3, atol=2e-3)
    again, count = restore(made)
    assert count == 2 and [o.op for o in again.operators] == ["FULLY_CONNECTED"] * 2


@pytest.mark.parametrize(
    ("value", "fits"), [(65504, True), (65519, True), (65520, False), (4e5, False), (np.nan, False), (1e-4, True)]
)
def test_what_leaves_float16_stays(value: float, fits: bool) -> None:
    weights = rng.normal(size=(32, 32)).astype(np.float32)
    weights[3, 4] = value
    made, kept = halved(dense(weights, np.zeros(32, np.float32)))
    assert ("float16" in {t.dtype for t in made.tensors}) is fits
    assert [(one.operator, one.op) for one in kept] == ([] if fits else [(0, "FULLY_CONNECTED")])


def test_what_float16_rounds_to_little_stays() -> None:
    assert not halved(two_layers(1e-3, 1))[1]
    (kept,) = halved(two_layers(1e-7, 1))[1]
    assert "too small for float16" in kept.reason


@pytest.mark.parametrize("op", ["MUL", "ADD", "MAXIMUM", "BATCH_MATMUL"])
def test_constants_of_other_operators(op: str, tmp_path: Path) -> None:
    """One constant, read twice; scalars beside it in a chain stay as they are."""
    b = Builder()
    x = b.tensor((32, 32), name="x")
    table, two = b.constant(rng.normal(size=(32, 32)).astype(np.float32)), b.constant(np.array(2, np.float32))
    y = b.add("MUL", (x, two), (32, 32), options="Mul")
    options = {"MUL": "Mul", "ADD": "Add", "MAXIMUM": "MaximumMinimum", "BATCH_MATMUL": "BatchMatMul"}[op]
    for _ in range(2):
        y = b.add(op, (y, table), (32, 32), options=options)
    graph = b.graph((x,), (y,))
    made, kept = halved(graph)
    check(made)
    assert not kept and sum(t.dtype == "float16" for t in made.tensors) == 1
    given = rng.normal(size=(2, 32, 32)).astype(np.float32)
    found, wanted = outputs(made, tmp_path, given), outputs(graph, tmp_path, given)
    assert np.abs(found - wanted).max() < 3e-3 * np.abs(wanted).max()


def test_nothing_to_halve_is_refused_by_name() -> None:
    for graph, words in (
        (two_layers(1e6, 1e6), "its values reach"),
        (dense(np.ones((2, 2), "f4"), np.ones(2, "f4")), ""),
    ):
        with pytest.raises(ModelError, match="no constant of this network can be kept in float16.*" + words):
            plugins.get("passes", "quantize").apply(graph, PassContext(params=recipe.load("float16").steps[0].params))


def test_through_the_command_line(tmp_path: Path) -> None:
    tflite.write(two_layers(1e5, 1e-5), tmp_path / "net.tflite")
    arguments = ["--recipe", "float16", "--target", "host", "--out", tmp_path, "--json"]
    result = edgekit("compile", tmp_path / "net.tflite", *arguments)
    (made,) = result.json["bundles"]
    assert made["parity"]["ok"] and any("keeps float32 weights" in note for note in made["notes"])
    assert "float32 weights stay in FULLY_CONNECTED (w100000)" in result.err


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["int8", "int8-dynamic", "float16", "float32", "prune", "mixed"])
def test_a_network_with_float16_weights_goes_through_every_recipe(recipe: str, tmp_path: Path) -> None:
    if not NESTED.is_file():
        pytest.skip("the shared cases are not there")
    arguments = ["--recipe", recipe, "--data", "random", "--target", "host", "--out", tmp_path, "--json"]
    (made,) = edgekit("compile", NESTED, *arguments).json["bundles"]
    assert made["parity"]["ok"]
    if recipe.startswith("int8"):
        assert len(made["quantization"]["tensors"]) >= 4
