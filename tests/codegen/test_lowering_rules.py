"""Every lowering rule: the kernels that it adds, interpreted in NumPy, compute what LiteRT's reference kernels do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.codegen.lower import lower, lowered
from edgekit.graph import tflite
from edgekit.reference.litert import reference_outputs
from tests.codegen.interpreter import run
from tests.networks.building import given
from tests.networks.chains import chains
from tests.ops import cases
from tests.ops.cases import BYTES, FAMILIES, OTHERS, Case


def lowerable(family: str) -> list[Case]:
    """The cases of a family that have kernels."""
    return [case for case in FAMILIES[family] if not isinstance(lowered(case.graph), list)]


REAL = [
    name for name, family in FAMILIES.items() if family is not OTHERS and all(case.dtypes != BYTES for case in family)
]


@pytest.mark.parametrize("name", [*REAL, "chains"])
def test_kernels_compute_the_operators(name: str, tmp_path: Path) -> None:
    graph = chains() if name == "chains" else cases.network(lowerable(name)).graph
    tflite.write(graph, tmp_path / "n.tflite")
    inputs = given(graph)
    expected = reference_outputs(tmp_path / "n.tflite", inputs)
    network = lower(graph)
    wrong = []
    for number in range(len(inputs[0])):
        with np.errstate(all="ignore"):
            outputs = run(network, [values[number] for values in inputs])
        for index, found, values in zip(graph.main.outputs, outputs, expected, strict=True):
            wanted = values[number].reshape(found.shape)
            assert found.dtype == wanted.dtype
            exact = found.dtype.kind != "f"
            bound = 0.0 if exact else 1e-5 * float(np.abs(wanted).max(initial=1.0))
            if not np.allclose(found.astype(np.float64), wanted.astype(np.float64), rtol=0, atol=bound, equal_nan=True):
                wrong.append(graph.tensors[index].name)
    makers = {index: operator.op for operator in graph.operators for index in operator.outputs}
    assert not wrong, [makers.get(i) for i in graph.main.outputs if graph.tensors[i].name in wrong]
