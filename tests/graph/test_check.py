"""Graphs that mean nothing are refused, with the tensor or operator named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from edgekit.errors import ModelError
from edgekit.graph import Graph, Quantization, Signature, tflite
from edgekit.graph.check import check
from tests.networks.small import dense


def network() -> Graph:
    return dense(np.ones((3, 4), np.float32), np.zeros(3, np.float32))


def _input_index(g: Graph) -> None:
    g.operators[0] = replace(g.operators[0], inputs=(0, 99, 2))


def _output_index(g: Graph) -> None:
    g.main.outputs = (-5,)


def _negative(g: Graph) -> None:
    g.tensors[0].shape = (1, -7)


def _huge(g: Graph) -> None:
    g.tensors[0].shape = (1 << 20, 1 << 20)


def _cycle(g: Graph) -> None:
    g.operators.append(replace(g.operators[0], inputs=(4, 1, 2), outputs=(4,)))
    g.tensors.append(replace(g.tensors[3], name="loop"))


def _twice(g: Graph) -> None:
    g.operators.append(g.operators[0])


def _short_data(g: Graph) -> None:
    data = g.tensors[1].data
    assert data is not None
    g.tensors[1].data = data[:-4]


def _no_outputs(g: Graph) -> None:
    g.main.outputs = ()


def _never(g: Graph) -> None:
    g.tensors.append(replace(g.tensors[3], name="orphan"))
    g.main.outputs = (len(g.tensors) - 1,)


def _scales(g: Graph) -> None:
    g.tensors[1].quantization = Quantization(np.ones(5, np.float32), np.zeros(5, np.int64))


def _nan_scale(g: Graph) -> None:
    g.tensors[1].quantization = Quantization(np.array([np.nan], np.float32), np.zeros(1, np.int64))


def _signature(g: Graph) -> None:
    g.signatures = [Signature("s", {"x": 77}, {})]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_input_index, "names tensor 99"), (_output_index, "an output of the network names tensor -5"),
        (_negative, "negative dimension"), (_huge, "larger than 4 GiB"), (_cycle, "before it is computed"),
        (_twice, "already has a value"), (_short_data, "bytes of data"), (_no_outputs, "no outputs"),
        (_never, "never computed"), (_scales, "do not fit"), (_nan_scale, "not a number"), (_signature, "signature"),
    ],
)  # fmt: skip
def test_refused(spoil: Callable[[Graph], None], words: str) -> None:
    graph = network()
    spoil(graph)
    with pytest.raises(ModelError, match=words):
        check(graph)


@pytest.mark.parametrize("spoil", [_input_index, _huge, _cycle, _twice, _scales, _signature])
def test_refused_from_a_file(spoil: Callable[[Graph], None]) -> None:
    """The same, through the flatbuffer: what edgekit would write, it does not read back."""
    graph = network()
    spoil(graph)
    with pytest.raises(ModelError):
        tflite.loads(tflite.dumps(graph))


def test_sound_passes() -> None:
    check(network())
