"""The Core ML backend: a network as ``.mlpackage``, for iPhones and iPads.

The Graph is written in Core ML's language by rules of our own (:mod:`.rules`), saved and read back by coremltools. What
is proven here is what the package says, operation by operation (:mod:`edgekit.runners.mil`); Apple's compiler, and what
runs on which processor, exist on a Mac and on the phone only.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.backends import Artifact, Unsupported
from edgekit.backends.coreml import operators, project
from edgekit.errors import ModelError
from edgekit.files import plain_files
from edgekit.files.documents import dumps, write_text
from edgekit.progress import Progress, Silent
from edgekit.tools import toolchain

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target

PRELOAD = ("edgekit.backends.coreml.tools",)
MOST_BYTES = 4 << 30
LIMITS = sandbox.Limits(seconds=600, memory_mb=6144, modes=True)
DESCRIPTION = "network.json"
RUN = ("python3", f"artifact/{project.CHECK}")


class CoreML:
    """Compiles ML programs."""

    name = "coreml"
    bit_exact = False

    def half(self, graph: Graph) -> bool:
        """See :class:`edgekit.backends.HalfActivations`."""
        return operators.precision(graph) == "float16"

    def isolated(self) -> CoreML:
        """See :class:`edgekit.backends.HalfActivations`: a program's precision follows its constants."""
        return self

    def unsupported(self, graph: Graph, target: Target) -> list[Unsupported]:
        """Operators without a rule, and what Core ML's tensors cannot hold."""
        return operators.unsupported(graph)

    def compile(
        self, graph: Graph, model: Path, target: Target, folder: Path, progress: Progress = Silent()
    ) -> Artifact:
        """See :class:`edgekit.backends.Backend`.

        :raises ModelError: if coremltools refuses the network, or a constant is too large for float16.
        """
        toolchain.load("coremltools").find()
        about = build(model, folder)
        write_text(folder / DESCRIPTION, dumps({"schema": 1, **about}) + "\n")
        project.write(about, model.with_name("golden.npz"), folder)
        where = f"iOS {about['ios']} or later, {operators.precision(graph)}"
        return Artifact({"coremltools": about["version"]}, RUN, f"Core ML ({where})")


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
            raise ModelError(f"coremltools left more than a package: {what}", "do not trust this model") from what
    return about
