"""Runs networks in a child and judges them by LiteRT and by finite differences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.graph import Graph, Tensor, tflite
from edgekit.reference.litert import reference_outputs

LIMITS = sandbox.Limits(seconds=240, memory_mb=8192)
NO_PLAIN_KERNEL = {"ELU", "CEIL", "ROUND", "LOCAL_RESPONSE_NORMALIZATION"}
"""Operators that LiteRT's plain resolver lacks; and one whose plain kernel leaves the last neighbour out. Its default
kernels judge them."""


def run(task: str, graphs: Sequence[Graph], inputs: Sequence[Sequence[NDArray[Any]]], **more: Any) -> Any:
    """Run a task of ``trainable_child`` on these networks; return its answer and its arrays."""
    arrays = {f"g{i}": np.frombuffer(tflite.dumps(g), np.uint8) for i, g in enumerate(graphs)}
    arrays |= {f"x{i}_{k}": x for i, given in enumerate(inputs) for k, x in enumerate(given)}
    args = {name: value for name, value in more.items() if not isinstance(value, np.ndarray)} | {"count": len(graphs)}
    arrays |= {name: value for name, value in more.items() if isinstance(value, np.ndarray)}
    return sandbox.call(f"tests.training.trainable_child:{task}", args, arrays, limits=LIMITS)


def samples(graph: Graph, count: int, below: int = 2) -> list[NDArray[Any]]:
    """Return random inputs ``[count, *shape]``; integers lie in 0 to ``below - 1``."""
    rng = np.random.default_rng(3)

    def one(tensor: Tensor) -> NDArray[Any]:
        shape = (count, *tensor.shape)
        if tensor.dtype == "float32":
            return rng.normal(size=shape).astype(np.float32)
        return rng.integers(0, below, size=shape).astype(tensor.dtype)

    return [one(tensor) for tensor in graph.inputs]


def assert_litert_agrees(
    graphs: Sequence[Graph],
    names: Sequence[str],
    inputs: Sequence[Sequence[NDArray[Any]]],
    found: Mapping[str, NDArray[Any]],
    folder: Path,
) -> None:
    """A batch gives what single runs of LiteRT's reference kernels give, within 1e-5 of the largest magnitude."""
    for i, (graph, name, given) in enumerate(zip(graphs, names, inputs, strict=True)):
        tflite.write(graph, folder / "m.tflite")
        plain = not NO_PLAIN_KERNEL.intersection(o.op for o in graph.operators)
        for k, expected in enumerate(reference_outputs(folder / "m.tflite", given, optimized=not plain)):
            y = found[f"y{i}_{k}"].reshape(expected.shape)
            error = np.abs(y - expected).max() / max(np.abs(expected).max(), 1e-9)
            assert error < 1e-5, f"{name}, output {k}: {error}"


def assert_gradients_are_true(graphs: Sequence[Graph], names: Sequence[str]) -> None:
    """Gradients of all parameters and float inputs are those of central differences in float64."""
    answer, _ = run("gradients", graphs, [samples(g, 2) for g in graphs])
    assert {i for i, *_ in answer["found"]} == set(range(len(graphs)))
    for i, index, analytic, numeric in answer["found"]:
        assert analytic == pytest.approx(numeric, rel=1e-5, abs=1e-6), (names[i], index)
