"""Bundles for tests of runners, made without the command line: a network, its artifact, nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgekit import target
from edgekit.backends import Planned, Request
from edgekit.backends.litert import LiteRT
from edgekit.bundle import Bundle
from edgekit.graph import Graph, tflite

MODELS = Path(__file__).parents[3] / "shared" / "models"


def graph_of(name: str) -> Graph:
    """A shared model by its path below ``shared/models``; skips where they are not there."""
    if not MODELS.is_dir():
        pytest.skip("the shared models are not there")
    return tflite.read(MODELS / name)


def bundle_of(graph: Graph, board: str, folder: Path) -> Bundle:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "artifact").mkdir()
    tflite.write(graph, folder / "model.tflite")
    request = Request(folder / "model.tflite", folder / "artifact")
    artifact = LiteRT().build(Planned(graph, target.load(board)), request)
    return Bundle(folder, {"target": board, "backend": "litert", "execution": artifact.execution.json()})


def samples_for(graph: Graph, count: int, seed: int = 0) -> list[NDArray]:
    """Random inputs over the whole range of the tensors' dtypes, ``[count, *tensor shape]``."""
    random = np.random.default_rng(seed)
    arrays = []
    for tensor in graph.inputs:
        shape, dtype = (count, *tensor.shape), np.dtype(tensor.dtype)
        if dtype.kind == "f":
            arrays.append(random.standard_normal(shape).astype(dtype))
        else:
            info = np.iinfo(dtype)
            arrays.append(random.integers(info.min, info.max, shape, dtype, endpoint=True))
    return arrays
