"""Networks as layers that pass whole numbers on: the reference's bits, and numbers that fit their types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.backends.hls4ml import unsuitable
from edgekit.codegen.schedule.hls import Program, reuse, schedule
from edgekit.codegen.schedule.hls.layers import Combine, Dense, Requantize, Sum
from edgekit.graph import Graph, Quantization, tflite
from tests.backends.overlay_networks import OPERATORS, Integers, random_network
from tests.codegen import compared, streams
from tests.networks.hls import streamed
from tests.networks.logic import classifier
from tests.networks.small import MODELS


def program_of(graph: Graph) -> tuple[Graph, Program]:
    """A network without its operators that have no layer, as layers."""
    graph, network = compared.device_part(graph, unsuitable(graph).keys())
    return graph, schedule(network)


def different(graph: Graph, folder: Path) -> int:
    """Elements of the outputs that are not the reference's."""
    graph, program = program_of(graph)
    return compared.different(graph, lambda fed: streams.run(program, fed), folder, samples=4)


@pytest.mark.parametrize("name", OPERATORS)
def test_random_operators_have_the_references_bits_as_layers(name: str, tmp_path: Path) -> None:
    assert different(random_network(name, 40 + len(name), 12), tmp_path) == 0


def test_whole_networks_have_the_references_bits_as_layers(tmp_path: Path) -> None:
    assert different(classifier(), tmp_path) == 0
    assert different(streamed(), tmp_path) == 0
    assert list(unsuitable(streamed()).values()) == ["there is no layer for it"]  # SOFTMAX
    kinds = {type(layer) for layer in program_of(streamed())[1].layers}
    assert {Combine, Dense, Requantize, Sum} < kinds


def test_outputs_that_are_inputs_or_one_another_have_layers_of_their_own(tmp_path: Path) -> None:
    b = Integers(6)
    x = b.fed(1, 2, 3)
    shapes = [b.constant(np.array(shape, np.int32)) for shape in ((1, 6), (1, 3, 2))]
    scale = b.tensors[x].quantization
    y = b.made("RESHAPE", (x, shapes[0]), (1, 6), scale, options="Reshape", newShape=[1, 6])
    z = b.made("RESHAPE", (x, shapes[1]), (1, 3, 2), scale, options="Reshape", newShape=[1, 3, 2])
    graph = b.graph((x,), (y, z))
    assert different(graph, tmp_path) == 0
    program = program_of(graph)[1]
    assert len({value.number for value in (*program.inputs, *program.outputs)}) == 3


@pytest.mark.parametrize("readers", [7, 8])
def test_a_tensor_has_seven_readers_at_most(readers: int) -> None:
    b = Integers(1)
    x = b.fed(1, 4)
    made = [b.made("TANH", (x,), (1, 4), Quantization(np.array([1 / 128], np.float32), np.array([0])))
            for _ in range(readers)]  # fmt: skip
    found = unsuitable(b.graph((x,), tuple(made)))
    assert found == ({} if readers == 7 else {7: "it reads a tensor that has over 7 readers"})


def test_a_batch_is_refused_wherever_it_is() -> None:
    b = Integers(6)
    x = b.fed(2, 3)
    shape = b.constant(np.array([1, 6], np.int32))
    b.made("RESHAPE", (x, shape), (1, 6), b.tensors[x].quantization, options="Reshape", newShape=[1, 6])
    assert unsuitable(b.whole()) == {0: "its batch is not 1"}


@pytest.mark.parametrize("name", ["tflite_micro/hello_world_int8", "mlperf_tiny/kws_int8"])
def test_shared_networks_have_the_references_bits_as_layers(name: str, tmp_path: Path) -> None:
    if not MODELS.is_dir():
        pytest.skip("no ../shared/models")
    assert different(tflite.read(MODELS / f"{name}.tflite"), tmp_path) == 0


def test_reuse_factors_fit_the_multipliers_and_divide_the_work() -> None:
    _, program = program_of(streamed())
    many, few = (reuse.plan(program, count, 8) for count in (10_000, 20))
    assert set(many.factors.values()) == {1}
    assert few.multipliers <= 20 < many.multipliers and few.cycles > many.cycles
    for layer in program.layers:
        if isinstance(layer, Dense):
            n_in, n_out = layer.weights.shape
            assert all((f <= n_in and n_in % f == 0) or (n_in * n_out) % f == 0 for f in reuse.work(layer, 8).factors)
    least = reuse.plan(program, 1, 8)  # more than there are: the largest factors
    assert all(least.factors[v.output.number] == reuse.work(v, 8).factors[-1] for v in program.layers)
