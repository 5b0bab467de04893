"""Hints after a failed compile: what else the target offers, and the command that finds the cause."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from edgekit import plugins
from edgekit.backends import unsupported
from edgekit.errors import DeviceError, ModelError
from edgekit.passes.recipe import Recipe

if TYPE_CHECKING:
    from edgekit.api.job import Job
    from edgekit.backends import Backend
    from edgekit.graph import Graph
    from edgekit.target import Target

STATIC = "quantize"
QUANTIZING = (STATIC, "mixed_precision", "qat")
_NAMED = re.compile(r"--backend (\S+?)(?=[\s,;.]|$)")


def why(plan: Recipe, given: Sequence[str], name: str | None = None) -> str:
    """Return the command that finds what a quantization does to the network; nothing where it cannot be asked.

    :param given: :func:`edgekit.text.commands.arguments` of the model. :param name: of the recipe, as the user gave it.
    """
    if "--data" not in given or not any(step.name in QUANTIZING and _integer(step.params) for step in plan.steps):
        return ""
    own = [step.name for step in plan.steps if step.name != "trim"][-1] == STATIC
    recipe = ["--recipe", name or plan.name] if own and (name or plan.name) != "int8" else []
    return shlex.join(["edgekit", "diagnose", *given, *recipe])


def without(hint: str, unusable: Sequence[str]) -> str:
    """Return a hint without the alternatives that name an unusable backend."""
    parts = re.split(r", (?:or )?", hint)
    kept = [part for part in parts if not ((named := _NAMED.search(part)) and named[1] in unusable)]
    return hint if len(kept) == len(parts) else ", ".join(kept)


def other_backends(graph: Graph, board: Target, failed: str) -> list[str]:
    """Return the names of the target's other backends that support the network."""
    names = [name for name in board.backends if name not in ("null", failed)]
    found: dict[str, Backend] = {name: plugins.get("backends", name) for name in names}
    return [name for name, backend in found.items() if not unsupported(backend, graph, board)]


@contextmanager
def ways_out(job: Job, board: Target, backend: Backend, *, keep: bool = False) -> Iterator[None]:
    """Add to errors of backends and runners what this command can do about them.

    :param keep: keep their own hints, without backends that the target lacks and the one that failed.
    """
    try:
        yield
    except (ModelError, DeviceError) as error:
        lacking = [name for name in plugins.names("backends") if name not in board.backends]
        own = without(error.hint, [*lacking, backend.name]) if keep else ""
        raise type(error)(error.message, own or way_out(job, board, backend)) from error


def way_out(job: Job, board: Target, backend: Backend) -> str:
    """Return what to do if no bundle is written: find the cause, or use another backend or recipe."""
    nothing, others = "no bundle was written", other_backends(job.graph, board, backend.name)
    if backend.exactness(job.graph).half_activations:
        for name in sorted(others, key=lambda name: not backend.name.startswith(name)):  # of its own kind first
            other: Backend = plugins.get("backends", name)
            if not other.exactness(job.graph).half_activations:
                return f"{nothing}; --backend {name} computes in float32"
    if job.why:
        return f"{nothing}; for the cause: {job.why}" + (f"; or try --backend {others[0]}" if others else "")
    if others:
        return f"{nothing}; try --backend {others[0]}"
    return f"{nothing}; try --recipe as-is" if job.recipe.steps else nothing


def _integer(params: dict[str, Any]) -> bool:
    """True if the pass turns activations into integers (:class:`edgekit.passes.quantize.Settings`)."""
    return str(params.get("activations", "int8")).startswith("int")
