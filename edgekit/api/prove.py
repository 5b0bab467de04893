"""Run an artifact on its golden inputs and judge it against the reference."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import parity, plugins, sandbox
from edgekit.bundle import Bundle
from edgekit.graph import tflite
from edgekit.graph.explode import Exploded, explode
from edgekit.runners import Runner, RunOptions
from edgekit.runners.linux.program import holds_network
from edgekit.runners.reference import reference_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.backends import Backend

OPERATOR_SAMPLES = 2
"""Golden samples used to judge operators one by one."""


def prove(bundle: Bundle, runner: Runner, options: RunOptions = RunOptions()) -> parity.Parity:
    """Judge the network; where that is not enough, judge every operator by itself (see :mod:`edgekit.parity`)."""
    inputs, reference = bundle.golden()
    backend = plugins.get("backends", bundle.manifest["backend"])
    bit_exact, tolerance = bool(backend.bit_exact), float(getattr(backend, "tolerance", parity.FLOAT_TOLERANCE))
    outputs = runner.run(bundle, inputs, options).outputs
    result = parity.compare(bundle.graph, reference, outputs, bit_exact=bit_exact, tolerance=tolerance)
    result.on = runner.name
    if result.ok or bit_exact:
        return result
    parts = explode(bundle.graph)
    few = [x[:OPERATOR_SAMPLES] for x in inputs]
    rows = _operators(bundle, runner, options, parts, few, tolerance) if parts else []
    judged = {row.index for row in rows}
    if rows and _covers(bundle, judged):
        result.by, result.operators = "operators", rows
        result.ok = all(row.ok for row in rows)
    return result


def _covers(bundle: Bundle, judged: set[int]) -> bool:
    """True if every operator that does arithmetic on the way to the outputs was judged."""
    from edgekit.graph.stats import statistics

    return all(row.index in judged for row in statistics(bundle.graph).operators if row.macs)


def _operators(
    bundle: Bundle,
    runner: Runner,
    options: RunOptions,
    parts: Exploded,
    inputs: list[NDArray[Any]],
    tolerance: float,
) -> list[parity.OperatorParity]:
    values = reference_tensors(bundle.model, inputs)
    values |= dict(zip(bundle.graph.main.inputs, inputs, strict=True))
    if any(index not in values for index in (*parts.inputs, *parts.outputs)):
        return []
    with sandbox.scratch() as folder:
        apart = _apart(bundle, parts, folder)
        outputs = runner.run(apart, [values[i] for i in parts.inputs], options).outputs
    reference = [values[i] for i in parts.outputs]
    return parity.compare_operators(
        bundle.graph, parts.operators, parts.outputs, reference, outputs, tolerance=tolerance
    )


def _apart(bundle: Bundle, parts: Exploded, folder: Path) -> Bundle:
    """A bundle like ``bundle``, whose network is taken apart; an artifact that is the network is made anew."""
    tflite.write(parts.graph, folder / "model.tflite")
    if holds_network(bundle):
        backend: Backend = plugins.get("backends", bundle.manifest["backend"])
        (folder / "artifact").mkdir()
        backend.compile(parts.graph, folder / "model.tflite", bundle.target, folder / "artifact")
    elif bundle.artifact.is_dir():
        shutil.copytree(bundle.artifact, folder / "artifact")
    return Bundle(folder, bundle.manifest)
