"""Backends: Graph + Target -> Artifact."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from edgekit.progress import Progress, Silent

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target


@dataclass(frozen=True)
class Unsupported:
    """Why an operator cannot be compiled, and what the user can do."""

    index: int
    operator: str
    reason: str
    remedy: str = ""


@dataclass(frozen=True)
class Artifact:
    """What a backend made.

    :param tools: versions of the tools that made it, for the manifest.
    :param run: the command line on the device, relative to the bundle's folder.
    :param runtime: name and version of what executes it, e.g. ``"litert 2.3.0"``.
    """

    tools: dict[str, str] = field(default_factory=dict)
    run: tuple[str, ...] = ()
    runtime: str = ""


class Backend(Protocol):
    """Compiles Graphs for targets."""

    name: str
    bit_exact: bool
    """True if integer results must equal the reference's bit for bit.

    A backend that keeps activations in float16 is also a :class:`HalfActivations`. One whose artifact only one runner
    without a device can run has ``prover``, that runner's name."""

    def unsupported(self, graph: Graph, target: Target) -> list[Unsupported]:
        """List what cannot be compiled, before any work."""

    def compile(
        self, graph: Graph, model: Path, target: Target, folder: Path, progress: Progress = Silent()
    ) -> Artifact:
        """Fill ``folder`` (the bundle's empty ``artifact/``).

        :param model: the Graph as a TFLite file, the bundle's ``model.tflite``.
        :raises ToolMissing: if a tool is not installed.
        """


@runtime_checkable
class HalfActivations(Backend, Protocol):
    """A backend that keeps the values between operators in float16, always or for some networks."""

    def half(self, graph: Graph) -> bool:
        """True if it does so for this network."""

    def isolated(self) -> Backend:
        """The backend as it compiles a network taken apart (:mod:`edgekit.graph.explode`): the result of each operator
        is rounded to float16 as it would be inside a network, although here it is an output."""


@runtime_checkable
class Tunable(Backend, Protocol):
    """A backend whose kernels `edgekit tune` can make faster."""

    def tuned_by(self, tuning: str | None) -> Backend:
        """The backend with another tuning database (:mod:`edgekit.backends.tvm.database`); None: with none."""
