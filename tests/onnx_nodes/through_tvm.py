"""Many small networks of ONNX operators through the backend tvm at once: side by side in one, run on the host."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from edgekit import target
from edgekit.backends import Request, planned, unsupported
from edgekit.backends.tvm import TVM
from edgekit.bundle import Bundle
from edgekit.errors import EdgekitError, ModelError
from edgekit.graph import Graph, Operator, Subgraph, tflite
from edgekit.runners import RunOptions, once
from edgekit.runners.host import HostRunner

BATCH = 200
Arrays = list[NDArray[Any]]


def run(graphs: Sequence[Graph], inputs: Sequence[Arrays], batch: int = BATCH) -> list[Arrays | EdgekitError]:
    """Run each network once; return its outputs, or why it is refused. Arrays have no dimension of samples."""
    return [
        result
        for start in range(0, len(graphs), batch)
        for result in _batch(graphs[start : start + batch], inputs[start : start + batch])
    ]


def _batch(graphs: Sequence[Graph], inputs: Sequence[Arrays]) -> list[Arrays | EdgekitError]:
    host, whole = target.load("host"), side_by_side(graphs)
    owner = [number for number, graph in enumerate(graphs) for _ in graph.operators]
    answers: list[Arrays | EdgekitError | None] = [None] * len(graphs)
    for found in unsupported(TVM(), whole, host):
        if answers[owner[found.index]] is None:
            answers[owner[found.index]] = ModelError(f"operator {found.operator}: {found.reason}", found.remedy)
    good = [number for number, answer in enumerate(answers) if answer is None]
    try:
        made = _outputs([graphs[n] for n in good], [inputs[n] for n in good]) if good else []
    except EdgekitError as error:
        if len(good) == 1:
            made = [error]
        else:  # one of them spoils it: which?
            half = len(good) // 2
            parts = good[:half], good[half:]
            made = [answer for p in parts for answer in _batch([graphs[n] for n in p], [inputs[n] for n in p])]
    for number, outputs in zip(good, made, strict=True):
        answers[number] = outputs
    return [answer for answer in answers if answer is not None]


def _outputs(graphs: Sequence[Graph], inputs: Sequence[Arrays]) -> list[Arrays | EdgekitError]:
    host, whole = target.load("host"), side_by_side(graphs)
    with tempfile.TemporaryDirectory(prefix="onnx-nodes-") as name:
        folder = Path(name)
        tflite.write(whole, folder / "model.tflite")
        (folder / "artifact").mkdir()
        artifact = TVM().build(planned(TVM(), whole, host), Request(folder / "model.tflite", folder / "artifact"))
        bundle = Bundle(folder, {"target": "host", "backend": "tvm", "execution": artifact.execution.json()})
        found = once(HostRunner(), bundle, [x[None] for each in inputs for x in each], RunOptions()).outputs
    values = iter(found)
    return [[next(values)[0] for _ in graph.main.outputs] for graph in graphs]


def side_by_side(graphs: Sequence[Graph]) -> Graph:
    """One network of several, with all their inputs and outputs."""
    whole = Subgraph("main", [], [], (), ())

    for graph in graphs:
        first, main = len(whole.tensors), graph.main

        def moved(indices: Sequence[int], by: int = first) -> tuple[int, ...]:
            return tuple(i + by if i >= 0 else i for i in indices)

        operators: list[Operator] = main.operators
        whole.tensors += main.tensors
        whole.operators += [replace(o, inputs=moved(o.inputs), outputs=moved(o.outputs)) for o in operators]
        whole.inputs += moved(main.inputs)
        whole.outputs += moved(main.outputs)
    return Graph([whole])
