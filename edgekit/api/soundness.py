"""Whether what a recipe made of a network is worth going on with: refusals and warnings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import sandbox
from edgekit.api import golden
from edgekit.errors import CheckFailed
from edgekit.graph import Graph, tflite
from edgekit.metrics import quality
from edgekit.passes import recipe
from edgekit.progress import Progress
from edgekit.reference.litert import reference_outputs, reference_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.api.job import Job, Source
    from edgekit.data.dataset import Dataset

UNTRAINED = 1.5
"""A network that is right less often than this many times guessing counts as untrained."""
NOTABLE_DROP = 0.5
"""Points of accuracy that `edgekit diagnose` accepts as healthy, too."""
SIMILAR = 0.95
"""Cosine similarity of the outputs below which the user is warned about a quantized network."""


def check_finite(
    source: Source, plan: recipe.Recipe, model: Path, reference: tuple[list[NDArray[Any]], list[NDArray[Any]]],
    seed: int, count: int, progress: Progress,
) -> None:  # fmt: skip
    """Refuse a transformed network that makes NaNs or infinities where the source network makes none.

    :param model: the transformed network's file; ``reference``: its golden inputs and outputs, of ``count`` samples and
        what was added.
    :raises CheckFailed: naming the operator whose result is not finite first.
    """
    inputs, outputs = reference
    bad = _not_finite(outputs)
    if not bad.any():
        return
    before = bad
    if plan.steps:
        with sandbox.scratch() as folder:
            tflite.write(source.graph, folder / "source.tflite")
            same, _ = golden.inputs(source.graph, source.tests, seed, count, source.task)
            before = _not_finite(reference_outputs(folder / "source.tflite", same))
    if (bad & ~before).any():
        graph, values = tflite.read(model), reference_tensors(model, [x[bad & ~before][:1] for x in inputs])
        first = next(
            (f": operator {number} {operator.op} ({graph.tensors[index].name})"
             for number, operator in enumerate(graph.operators) for index in operator.outputs
             if index in values and _not_finite([values[index]]).any()), "",
        )  # fmt: skip
        raise CheckFailed(
            f"the recipe {plan.name!r} yields NaN or infinity where the network itself does not{first}",
            "use another recipe for this network (float32 keeps its range), or pass --data that it was made for",
        )
    progress.warn(
        f"{np.sum(bad)} of {len(bad)} golden samples give NaN or infinity, as the network itself does on them; "
        "nothing is proven about these values: pass --data that the network was made for"
    )


def _not_finite(outputs: list[NDArray[Any]]) -> NDArray[np.bool_]:
    """Return for each sample whether a float output has a NaN or an infinity."""
    rows = [~np.isfinite(y).reshape(len(y), -1).all(axis=1) for y in outputs if y.dtype.kind == "f"]
    return np.any(rows, axis=0) if rows else np.zeros(len(outputs[0]) if outputs else 0, np.bool_)


def warn_if_larger(job: Job, progress: Progress) -> None:
    """Warn if a recipe that quantizes makes the network larger than it was."""
    assert job.source is not None
    before, after = len(tflite.dumps(job.source)), len(job.data)
    if job.quantizes and after > before:
        floats = sum(step.report.left_in_float for step in job.passes)
        why = f"; {floats} operators stay in float" if floats else ""
        progress.warn(
            f"the recipe {job.recipe.name} makes this network larger: {after / 1000:.1f} kB, {before / 1000:.1f} kB "
            f"before{why}; --recipe as-is keeps it"
        )


def warn_if_costly(job: Job, source: Source, why: str, progress: Progress) -> None:
    """Warn if labels show that the network is untrained, or that the recipe costs accuracy or a task's metric."""
    found = job.accuracy
    for one in job.metrics if found is None and why else []:
        drop = one.found.drop
        if drop.low > 0 and drop.value > NOTABLE_DROP * abs(one.found.before.value) / 100:
            progress.warn(
                f"the recipe costs {drop.value:.3g} of {one.metric} ({drop.low:.3g} to {drop.high:.3g}); for the cause "
                f"and a fix: {why} --metric {one.metric} --fix"
            )
    if found is None or source.tests is None or source.tests.labels is None or found["random"]:
        return
    guessed = 1 / max(2, int(source.tests.labels.max()) + 1)
    if found["float"] < UNTRAINED * guessed:
        progress.warn(
            f"the network is right on {found['float']:.1%} of the samples before any pass, no better than guessing: "
            "it is not trained, the labels belong to other data, or the samples have another range "
            "(--data FILE?range=LOW,HIGH)"
        )
    elif found["drop"]["value"] > NOTABLE_DROP and found["drop"]["low"] > 0 and why:
        progress.warn(
            f"the recipe costs {found['drop']['value']:.1f} points of accuracy; for the cause and a fix: {why} --fix"
        )


def quantization_error(
    source: Graph, graph: Graph, samples: Dataset | None, progress: Progress, why: str
) -> dict[str, Any] | None:
    """Compare the outputs before and after the recipe; warn where values are lost or the outputs are unlike."""
    progress.step("measure the quantization error")
    report: dict[str, Any] | None = quality.report(source, graph, samples)
    similar = [o["cosine_similarity"] for o in (report or {}).get("outputs", [])]
    similarity = min((value for value in similar if value is not None), default=1.0)
    for output in (report or {}).get("outputs", []):
        if output["lost"]:
            progress.warn(
                f"output {output['name']}: {output['lost']}: their values are lost; edgekit diagnose --fix repairs it, "
                "or put the pass split_scales before the quantizing pass (docs/recipes.md)"
            )
    if similarity < SIMILAR:
        progress.warn(
            f"the quantized network's outputs are unlike the float network's (cosine {similarity:.2f}); "
            "calibrate on real samples, or try int8-dynamic or int8-w/int16-a"
            + (f"; for the cause: {why}" if why else "")
        )
    return report
