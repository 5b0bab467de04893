"""Tables of int8 functions of one element: all 256 results are LiteRT's, whatever the scales.

A network of many operators side by side shares the cost of a run.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from edgekit.codegen.base import Scale
from edgekit.codegen.tables import FUNCTIONS, STORED, stored_limits, table
from edgekit.graph import Graph, Quantization, tflite
from edgekit.reference.litert import reference_outputs
from tests.networks.building import Pictures

OPTIONS = {"LEAKY_RELU": "LeakyRelu", "GELU": "Gelu", "HARD_SWISH": "HardSwish", "ABS": "Abs", "NEG": "Neg"}
FIXED = {"LOGISTIC": Scale(1 / 256, -128)}
"""The only scale of results that LiteRT takes."""
SCALES = st.floats(2**-12, 2**3, width=32)
ZEROS = st.integers(-128, 127)


def quantization(scale: Scale) -> Quantization:
    return Quantization(np.array([scale.scale], np.float32), np.array([scale.zero_point], np.int64))


@st.composite
def pairs(draw: st.DrawFn, function: str) -> tuple[Scale, Scale]:
    """Scales of input and result, such as the reference accepts."""
    source, target = Scale(draw(SCALES), draw(ZEROS)), Scale(draw(SCALES), draw(ZEROS))
    if function in ("SQRT", "RSQRT"):
        source = Scale(source.scale, -128)  # negative values are refused as the network runs
    if function == "HARD_SWISH":  # the result's scale is at least 1/128 of the input's
        target = Scale(max(target.scale, source.scale / 64), target.zero_point)
    if function == "NEG":
        target = Scale(source.scale, target.zero_point)
    return source, FIXED.get(function, target)


def network(function: str, scales: list[tuple[Scale, Scale]], options: dict[str, object]) -> Graph:
    n = Pictures()
    inputs, outputs = [], []
    for source, target in scales:
        x = n.tensor((256,), "int8", quantization=quantization(source))
        named = {"options": OPTIONS[function]} if function in OPTIONS else {}
        y = n.add(function, (x,), (256,), "int8", **named, **options)
        n.tensors[y].quantization = quantization(target)
        inputs.append(x)
        outputs.append(y)
    return n.graph(tuple(inputs), tuple(outputs))


@settings(max_examples=3, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(data=st.data())
@pytest.mark.parametrize("function", sorted(FUNCTIONS))
def test_all_results_are_those_of_the_reference(function: str, data: st.DataObject) -> None:
    scales = [data.draw(pairs(function)) for _ in range(12)]
    options: dict[str, object] = {}
    if function == "LEAKY_RELU":
        options["alpha"] = data.draw(st.floats(-0.5, 2, width=32))
    if function == "GELU":
        options["approximate"] = data.draw(st.booleans())
    with tempfile.TemporaryDirectory() as name:
        tflite.write(network(function, scales, options), Path(name) / "n.tflite")
        found = reference_outputs(Path(name) / "n.tflite", [STORED[None].astype(np.int8)] * len(scales))
    for (source, target), expected in zip(scales, found, strict=True):
        result = table(function, source, target, options)
        wrong = np.flatnonzero(result != expected[0])
        assert not wrong.size, (source, target, wrong - 128, result[wrong], expected[0][wrong])


def test_halves_of_a_negative_slope_are_those_of_the_reference() -> None:
    """Factors that are negative powers of two, with one rounding and with two."""
    scales = [(Scale(2.0**-a, zero), Scale(2.0**-b, 5)) for a in (0, 2, 5) for b in (1, 2, 5, 6) for zero in (-18, 9)]
    for slope in (-0.5, -0.25, -2.0):
        with tempfile.TemporaryDirectory() as name:
            tflite.write(network("LEAKY_RELU", scales, {"alpha": slope}), Path(name) / "n.tflite")
            found = reference_outputs(Path(name) / "n.tflite", [STORED[None].astype(np.int8)] * len(scales))
        for (source, target), expected in zip(scales, found, strict=True):
            np.testing.assert_array_equal(table("LEAKY_RELU", source, target, {"alpha": slope}), expected[0])


@pytest.mark.parametrize(
    ("real", "scale", "expected"),
    [
        ((0.0, 6.0), Scale(0.05, -128), (-128, -8)),
        ((-1.0, 1.0), Scale(0.4, 3), (0, 6)),  # 2.5 rounds away from zero
        ((0.0, 6.0), Scale(1e-6, 0), (0, 127)),
        ((-3e38, 3e38), Scale(0.1, 7), (-128, 127)),
    ],
)
def test_limits_of_activations(real: tuple[float, float], scale: Scale, expected: tuple[int, int]) -> None:
    assert stored_limits(real, scale, "int8") == expected
