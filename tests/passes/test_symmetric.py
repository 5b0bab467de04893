"""Symmetric activations: zero points are 0, ranges hold what they held, the network computes what it computed."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator, Tensor, tflite
from edgekit.graph.check import check
from edgekit.graph.ir import Quantization
from edgekit.passes import PassContext
from edgekit.passes.symmetric import Symmetric, asymmetric, symmetric
from edgekit.reference.litert import reference_outputs
from tests.networks.building import given, quantized
from tests.networks.chains import chains
from tests.networks.small import classifier, digits, unary
from tests.ops.cases import family


def applied(graph: Graph) -> Graph:
    before = tflite.dumps(graph)
    made = Symmetric().apply(graph, PassContext(data=None, params={}, seed=0)).graph
    assert tflite.dumps(graph) == before
    check(made)
    return made


@settings(deadline=None)
@hypothesis.given(st.floats(1e-6, 1e3), st.integers(-128, 127), st.lists(st.integers(-128, 127), min_size=1))
def test_a_symmetric_range_holds_the_old_one(scale: float, zero: int, steps: list[int]) -> None:
    old = Quantization(np.array([scale], np.float32), np.array([zero]))
    new = symmetric(Tensor("t", (1,), "int8", old))
    assert int(new.zero_point[0]) == 0 and float(new.scale[0]) <= 2.01 * float(old.scale[0])
    values = np.array(steps, np.int8)
    real = old.dequantize(values)
    again = new.dequantize(new.quantize(real, "int8"))
    assert np.all(np.abs(again - real) <= 0.502 * float(new.scale[0]))


@pytest.mark.parametrize("name", ["convolutions", "windows", "moves", "chains"])
def test_networks_compute_nearly_what_they_did(name: str, tmp_path: Path) -> None:
    graph = quantized(chains() if name == "chains" else family(name), tmp_path / "int8")
    made = applied(graph)
    assert asymmetric(graph) and not asymmetric(made)
    values = given(graph, samples=4)
    results = []
    for one in (graph, made):
        tflite.write(one, tmp_path / "net.tflite")
        fed = [stored(t, real(old, x)) for old, t, x in zip(graph.inputs, one.inputs, values, strict=True)]
        outputs = reference_outputs(tmp_path / "net.tflite", fed)
        results.append([real(t, y) for t, y in zip(one.outputs, outputs, strict=True)])
    for tensor, before, after in zip(graph.outputs, *results, strict=True):
        if tensor.has_scale:  # the old range ended sooner on one side
            after = np.clip(after, *real(tensor, np.array([-128, 127], np.int8)))
        assert np.sqrt(np.mean((before - after) ** 2)) < 0.05 * np.abs(before).max()


def real(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    return tensor.quantization.dequantize(values) if tensor.has_scale and tensor.quantization else values


def stored(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    return tensor.quantization.quantize(values, tensor.dtype) if tensor.has_scale and tensor.quantization else values


def test_digits_are_told_as_well_as_before(tmp_path: Path) -> None:
    import edgekit

    tflite.write(classifier(tmp_path), tmp_path / "digits.tflite")
    x, y = digits(400, seed=5)
    data = tmp_path / "digits.npz"
    np.savez(data, x=x.reshape(-1, 28, 28, 1), y=y)
    right = {}
    for recipe in ("int8", "int8-symmetric"):
        (made,) = edgekit.compile(
            tmp_path / "digits.tflite", targets=["host"], recipe=recipe, backend="null", data=str(data), out=tmp_path
        )
        right[recipe] = made.manifest["accuracy"]["compiled"]
    assert right["int8-symmetric"] >= right["int8"] - 0.02


def test_what_tflite_fixes_stays(tmp_path: Path) -> None:
    graph = quantized(family("elementwise"), tmp_path / "int8")
    made = applied(graph)
    fixed = [o.outputs[0] for o in graph.operators if o.op in ("LOGISTIC", "SOFTMAX")]
    assert fixed
    for index in fixed:
        assert int(made.tensors[index].quantization.zero_point[0]) == -128  # type: ignore[union-attr]


def test_float_networks_stay_and_state_is_refused() -> None:
    graph = unary("RELU", (1, 4))
    assert tflite.dumps(applied(graph)) == tflite.dumps(graph)
    held = copy.deepcopy(graph)
    held.tensors[0].quantization = Quantization(np.array([0.5], np.float32), np.array([3]))
    held.tensors[0].dtype = held.tensors[1].dtype = "int8"
    held.operators.append(Operator("SVDF", (0,), (1,)))
    with pytest.raises(ModelError, match=r"operator 1 \(SVDF\) keeps state"):
        Symmetric().apply(held, PassContext(data=None, params={}, seed=0))
