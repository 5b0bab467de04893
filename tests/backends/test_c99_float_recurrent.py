"""SVDF and LSTM of float32 in C: frame by frame what LiteRT's reference kernels compute."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert

from edgekit import target
from edgekit.backends import unsupported
from edgekit.backends.c99 import C99
from edgekit.codegen.kernels import MICROCONTROLLER
from edgekit.codegen.lower import lowered
from edgekit.codegen.schedule.mcu import memory
from edgekit.graph import Graph, tflite
from tests.backends.c99_networks import STRICT, compiled, scheduled
from tests.codegen.frames import noise
from tests.networks.float_recurrent import NONE, RELU, RELU6, FloatForm, float_lstm, float_svdf


def followed_closely(graph: Graph, folder: Path) -> None:
    """8 frames through C and LiteRT, both with their own state."""
    program = scheduled(graph)
    network = compiled(program, folder, memory.plan(program), STRICT)
    plain = litert.Interpreter(
        model_content=tflite.dumps(graph), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF
    )
    plain.allocate_tensors()
    (source,), (result,) = plain.get_input_details(), plain.get_output_details()
    frames, seen = list(noise(graph, 8)), set[bytes]()
    for number, (frame, (found,)) in enumerate(zip(frames, network.frames(frames), strict=True)):
        plain.set_tensor(source["index"], frame[0])
        plain.invoke()
        expected = plain.get_tensor(result["index"])
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-6, err_msg=f"frame {number}", strict=True)
        seen.add(found.tobytes())
    assert len(seen) > 4


@pytest.mark.parametrize("form", [
    FloatForm(), FloatForm(batch=2, outputs=4, projection_clip=0.3, steps=2),
    FloatForm(cells=7, coupled=True, peephole=True),
    FloatForm(peephole=True, time_major=True, batch=2, cell_clip=0.6, activation=RELU6),
    FloatForm(normalized=True, outputs=9, seed=4, steps=1),
    FloatForm(coupled=True, normalized=True, cells=3, activation=RELU),
    FloatForm(cell_clip=2.0, depth=1),
], ids=str)  # fmt: skip
def test_float_lstm(form: FloatForm, tmp_path: Path) -> None:
    followed_closely(float_lstm(form), tmp_path)


@pytest.mark.parametrize(("batch", "depth", "units", "rank", "memory", "bias", "activation"), [
    (1, 9, 8, 1, 5, True, RELU), (2, 7, 4, 3, 1, False, NONE), (3, 1, 5, 2, 2, True, RELU6),
])  # fmt: skip
def test_float_filters_over_time(
    batch: int, depth: int, units: int, rank: int, memory: int, bias: bool, activation: int, tmp_path: Path
) -> None:
    graph = float_svdf(batch, depth, units, rank, memory, bias=bias, activation=activation)
    followed_closely(graph, tmp_path)


GRAPHS = {
    "projection": float_lstm(FloatForm(outputs=4, seed=1)),
    "normalized": float_lstm(FloatForm(peephole=True, normalized=True)),
    "svdf": float_svdf(1, 5, 3, 2, 4, bias=True, activation=RELU),
}


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("change", ["int8", "scalar", "longer", "nothing", "constant"])
def test_damaged_float_tensors_are_refused_or_compiled(name: str, change: str) -> None:
    """Every tensor in turn, whatever a file says of it: never an exception of another kind."""
    for index in range(len(GRAPHS[name].tensors)):
        graph = copy.deepcopy(GRAPHS[name])
        tensor = graph.tensors[index]
        match change:
            case "int8":
                tensor.dtype = "int8"
            case "scalar":
                tensor.shape = ()
            case "longer":
                tensor.shape = (*tensor.shape, 1)
            case "nothing":
                tensor.data = None
            case "constant":
                tensor.is_variable = False
        try:
            lowered(graph, MICROCONTROLLER)
        except ValueError as error:  # data that do not fill their shape are refused when a file is read
            assert "reshape" in str(error) or "buffer size" in str(error), error


def test_float_weights_of_other_types_are_refused() -> None:
    graph = float_lstm(FloatForm())
    graph.tensors[graph.operators[0].inputs[2]].dtype = "int8"
    (refused,) = unsupported(C99(), graph, target.load("host"))
    assert "float32 with int8" in refused.reason


def test_a_float_lstm_without_activation_is_refused() -> None:
    """LiteRT leaves its cell state out of the result."""
    (refused,) = unsupported(C99(), float_lstm(FloatForm(activation=NONE)), target.load("host"))
    assert "activation" in refused.reason
