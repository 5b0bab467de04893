"""Networks with state have LiteRT's bits frame by frame, in every tensor and every variable."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from edgekit.codegen.kernels import MICROCONTROLLER, Move
from edgekit.codegen.lower import lower, lowered
from edgekit.graph import tflite
from tests.codegen.frames import compared, noise
from tests.networks.building import Pictures
from tests.networks.streaming import (
    KEYWORD,
    SCALE,
    Streaming,
    kept,
    ramp,
    scaled,
    shown,
    svdf,
    twice,
    used_later,
    window,
)

WAKE_WORDS = {"alexa": 1000, "hey_jarvis": 100, "hey_mycroft": 100, "okay_nabu": 100}
"""Frames; the time goes into comparing every tensor."""


def test_filters_over_time_of_a_real_network() -> None:
    if not KEYWORD.is_file():
        pytest.skip("the shared models are not there")
    graph = tflite.read(KEYWORD)
    count, _ = compared(graph, noise(graph, 60))
    assert count == 60 * 15


@pytest.mark.slow
@pytest.mark.parametrize(("name", "frames"), WAKE_WORDS.items())
def test_streaming_wake_words(name: str, frames: int) -> None:
    found = importlib.util.find_spec("pymicro_wakeword")
    if found is None or found.origin is None:
        pytest.skip("pymicro-wakeword is not installed")
    graph = tflite.read(Path(found.origin).parent / "models" / f"{name}.tflite")
    count, _ = compared(graph, noise(graph, frames))
    assert count >= frames * 20


@pytest.mark.parametrize(("make", "copies"), [(window, 0), (shown, 2), (used_later, 1), (twice, 1), (kept, 1)])
def test_variables(make: Any, copies: int) -> None:
    n = Streaming()
    x = n.tensor((1, 2, 4), "int8", quantization=SCALE)
    graph = n.whole(x, *make(n, x))
    count, distinct = compared(graph, noise(graph, 12))
    assert count and distinct > 8
    network = lower(graph, MICROCONTROLLER)
    nodes = [o.op for o in graph.operators]
    found = [kernel for kernel in network.kernels if isinstance(kernel, Move)
             and nodes[kernel.node] in ("READ_VARIABLE", "ASSIGN_VARIABLE")]  # fmt: skip
    assert len(found) == copies  # where nothing could tell, the variable stands for its value


def refusal(n: Streaming, x: int, *outputs: int) -> str:
    found = lowered(n.whole(x, *outputs), MICROCONTROLLER)
    assert isinstance(found, list)
    return "; ".join(one.reason for one in found)


def test_state_that_cannot_be_compiled_says_why() -> None:
    n = Streaming()
    x = n.tensor((1, 2, 4), "int8", quantization=SCALE)
    assert "no initial value" in refusal(n, x, n.read(n.variable("v", None), (1, 2, 4)))
    n = Streaming()
    x = n.tensor((1, 2, 4), "int8", quantization=SCALE)
    assert "different shapes" in refusal(n, x, n.read(n.variable("v", ramp(1, 3, 4)), (1, 2, 4)))
    n = Streaming()
    x = n.tensor((1, 2, 4), "int8", quantization=SCALE)
    y = n.read(n.variable("v", ramp(1, 2, 4)), (1, 2, 4))
    first = n.first
    first.operators[-1].inputs = (first.operators[-1].inputs[0], first.add("NEG", (1,), (1, 2, 4), "int8"))
    assert "computes initial values" in refusal(n, x, y)


def test_backends_without_state_refuse_it() -> None:
    n = Streaming()
    x = n.tensor((1, 2, 4), "int8", quantization=SCALE)
    found = lowered(n.whole(x, *window(n, x)))
    assert isinstance(found, list)
    assert {(one.op, one.reason) for one in found} == {
        (op, "there is no kernel for it") for op in ("CALL_ONCE", "VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE")
    }


@settings(max_examples=12, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(
    st.integers(1, 3), st.integers(1, 4), st.integers(1, 9), st.integers(1, 6), st.integers(1, 20), st.booleans(),
    st.integers(-128, 127), st.integers(-128, 127), st.integers(0, 1000),
)  # fmt: skip
def test_filters_over_time(
    batch: int, rank: int, units: int, memory: int, depth: int, bias: bool, zero: int, out_zero: int, seed: int
) -> None:
    graph = svdf(batch, rank, units, memory, depth, bias, zero, out_zero, seed)
    compared(graph, noise(graph, 8, seed))


def test_filters_that_no_kernel_computes() -> None:
    n = Pictures()
    x = n.tensor((1, 4), "int8", quantization=SCALE)
    features = n.constant(np.ones((2, 4), np.int8), quantization=scaled(0.1))
    times = n.constant(np.ones((2, 3), np.int8), quantization=scaled(0.1))
    state = n.tensor((1, 6), "int8", quantization=scaled(0.1), is_variable=True)
    y = n.add("SVDF", (x, features, times, -1, state), (1, 2), "int8", options="SVDF", rank=1)
    n.tensors[y].quantization = SCALE
    found = lowered(n.graph((x,), (y,)), MICROCONTROLLER)
    assert isinstance(found, list) and found[0].reason == "its state has int8, for which LiteRT has no kernel"
