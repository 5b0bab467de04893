"""Rules for ONNX operators, on the host: each against ONNX's own reference implementation."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator

from edgekit.errors import EdgekitError
from edgekit.graph import Graph
from edgekit.onnx import convert
from tests.onnx.models import LIMITS, model, one
from tests.onnx_nodes.through_tvm import run
from tests.readers.onnx_models import node, value


def floats(*shape: int) -> NDArray[Any]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def cases() -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for axis in (0, -1):
        for exclusive in (0, 1):
            for reverse in (0, 1):
                found[f"cumsum {axis} {exclusive} {reverse}"] = one(
                    "CumSum", [3, 7], [[3, 7]], {"a": np.int64(axis)}, exclusive=exclusive, reverse=reverse
                )
    for axis, largest in ((0, 1), (1, 0)):
        found[f"topk {axis} {largest}"] = one(
            "TopK", [5, 6], [[3, 6] if axis == 0 else [5, 3]] * 2, {"k": np.array([3])}, axis=axis, largest=largest
        )
    for kind, gates in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
        for way in ("forward", "reverse", "bidirectional"):
            d = 2 if way == "bidirectional" else 1
            weights = {"w": floats(d, gates * 4, 3), "r": floats(d, gates * 4, 4), "b": floats(d, gates * 8)}
            found[f"{kind} {way}"] = one(
                kind, [5, 2, 3], [[5, d, 2, 4], [d, 2, 4]], weights, hidden_size=4, direction=way
            )  # fmt: skip
    for mode, factors in (("linear", [1, 1, 1.7, 0.6]), ("cubic", [1, 1, 2, 1.5]), ("nearest", [1, 1, 0.5, 3])):
        size = [int(n * f) for n, f in zip([1, 2, 6, 5], factors, strict=True)]
        scales = {"roi": None, "s": np.array(factors, np.float32)}
        found[f"resize {mode}"] = one("Resize", [1, 2, 6, 5], [size], scales, mode=mode)
    found["tile"] = one("Tile", [2, 3, 4], [[4, 3, 12]], {"n": np.array([2, 1, 3])})
    found["softplus"] = one("Softplus", [2, 50], [[2, 50]])
    found["mish"] = one("Mish", [2, 50], [[2, 50]])
    found["norm"] = one("LpNormalization", [3, 4], [[3, 4]], axis=0, p=2)
    found["largest"] = one("ReduceMax", [3, 4], [[3, 1]], {"a": np.array([1])})
    return found


@pytest.mark.slow
def test_rules_compute_what_the_standard_says() -> None:
    models = cases()
    graphs = convert.graphs(list(models.values()), list(models), LIMITS)
    assert not [g for g in graphs if not isinstance(g, Graph)]
    kept = [g for g in graphs if isinstance(g, Graph)]
    inputs = [[floats(*g.inputs[0].shape)] for g in kept]
    for name, data, (x,), outputs in zip(models, models.values(), inputs, run(kept, inputs), strict=True):
        assert not isinstance(outputs, EdgekitError), (name, outputs)
        wanted = ReferenceEvaluator(onnx.ModelProto.FromString(data)).run(None, {"x": x})
        for found, expected in zip(outputs, wanted, strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=2e-5, err_msg=name)


INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")


@pytest.mark.slow
def test_division_of_integers_is_defined_for_every_type_and_value() -> None:
    """By 0 and, at the least value, by -1 processors trap; the results are those of ONNX's reference."""
    models, values = {}, {}
    for kind in INTEGERS:
        number = getattr(TensorProto, kind)
        bounds = np.iinfo(kind.lower())
        edges = sorted({int(bounds.min), int(bounds.max), 0, 1, 7, *((-1, -7) if bounds.min else ())})
        pairs = np.array([(a, b) for a in edges for b in edges], kind.lower()).T
        ends = (
            [value("x", [pairs.shape[1]], number), value("z", [pairs.shape[1]], number)],
            [value("y", [pairs.shape[1]], number)],
        )
        for name, each in (("Div", {}), ("Mod", {"fmod": 0}), ("Mod", {"fmod": 1})):
            key = f"{kind} {name} {each}"
            models[key] = model([node(name, ["x", "z"], ["y"], **each)], *ends, [], opset=19)
            values[key] = pairs
    graphs = convert.graphs(list(models.values()), list(models), LIMITS)
    kept = [g for g in graphs if isinstance(g, Graph)]
    assert len(kept) == len(models)
    results = run(kept, [list(pairs) for pairs in values.values()])
    for (name, data), outputs in zip(models.items(), results, strict=True):
        assert not isinstance(outputs, EdgekitError), (name, outputs)
        x, z = values[name]
        with np.errstate(all="ignore"):
            (wanted,) = ReferenceEvaluator(onnx.ModelProto.FromString(data)).run(None, {"x": x, "z": z})
        np.testing.assert_array_equal(outputs[0], wanted, err_msg=name)
