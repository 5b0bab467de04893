"""The Core ML backend: a network as ``.mlpackage``, for iPhones and iPads.

The Graph is written in Core ML's language by rules of our own (:mod:`.rules`), saved and read back by coremltools. What
is proven here is what the package says, operation by operation (:mod:`edgekit.runners.mil`); Apple's compiler, and what
runs on which processor, exist on a Mac and on the phone only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.backends import Artifact, Defaults, Exactness, Planned, Request, Unsupported
from edgekit.backends.coreml import operators, project
from edgekit.bundle.execution import Execution, Kind
from edgekit.errors import ModelError
from edgekit.files import plain_files
from edgekit.files.documents import dumps, write_text
from edgekit.tools import toolchain

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target

PRELOAD = ("edgekit.backends.coreml.tools",)
MOST_BYTES = 4 << 30
LIMITS = sandbox.Limits(seconds=600, memory_mb=6144, modes=True)
DESCRIPTION = "network.json"
RUN = ("python3", f"artifact/{project.CHECK}")


class CoreML(Defaults):
    """Compiles ML programs."""

    name = "coreml"

    def exactness(self, graph: Graph) -> Exactness:
        """See :class:`edgekit.backends.Backend`: a program's precision follows its constants."""
        return Exactness(half_activations=operators.precision(graph) == "float16")

    def plan(self, graph: Graph, target: Target) -> Planned | list[Unsupported]:
        """Refuse operators without a rule, and what Core ML's tensors cannot hold."""
        return operators.unsupported(graph) or Planned(graph, target)

    def build(self, planned: Planned, request: Request) -> Artifact:
        """See :class:`edgekit.backends.Backend`.

        :raises ModelError: if coremltools refuses the network, or a constant is too large for float16.
        """
        toolchain.load("coremltools").find()
        model, folder = request.model, request.folder
        about = build(model, folder)
        write_text(folder / DESCRIPTION, dumps({"schema": 1, **about}) + "\n")
        project.write(about, model.with_name("golden.npz"), folder)
        where = f"iOS {about['ios']} or later, {operators.precision(planned.graph)}"
        execution = Execution(Kind.HANDOVER, RUN, prover="mil")
        return Artifact({"coremltools": about["version"]}, execution, f"Core ML ({where})")


def build(model: Path, folder: Path) -> dict[str, Any]:
    """Make the package in ``folder``; return what :mod:`.building` tells of it.

    The child writes into a folder of its own; only plain files come over from there.
    """
    with sandbox.scratch() as scratch:
        place = scratch.resolve()
        try:
            about, _ = sandbox.call(
                "edgekit.backends.coreml.building:task", {"model": str(model.resolve()), "folder": str(place)},
                limits=LIMITS, preload=PRELOAD, writable=[place], readable=[model],
            )  # fmt: skip
        except sandbox.ChildDied as death:
            raise ModelError(f"coremltools {death.reason} on this model", "try a smaller network") from death
        try:
            plain_files.copied_all(place, folder, MOST_BYTES)
        except plain_files.NotPlain as what:
            raise ModelError(f"coremltools wrote more than a package: {what}", "do not trust this model") from what
    return about
