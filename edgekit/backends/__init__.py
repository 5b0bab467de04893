"""Backends: compile a network for a target into an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from edgekit import plugins
from edgekit.bundle.execution import Execution, Footprint
from edgekit.errors import ModelError, UsageError
from edgekit.progress import Progress, Silent

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target


@dataclass(frozen=True)
class Unsupported:
    """Why an operator cannot be compiled, and what the user can do about it."""

    index: int
    operator: str
    reason: str
    remedy: str = ""

    def words(self) -> str:
        """Return the operator and the reason: ``operator 3 ADD: its batch is not 1``."""
        return f"operator {self.index} {self.operator}: {self.reason}"


@dataclass(frozen=True)
class Planned:
    """A network that a backend can compile for a target. Backends add the results of their analysis in a subclass."""

    graph: Graph
    target: Target


@dataclass(frozen=True)
class Request:
    """What an artifact is built from, beside the plan.

    :param model: the Graph as a TFLite file, the bundle's ``model.tflite``. :param folder: the bundle's empty
        ``artifact/``.
    :param tuning: a tuning database: a file, a folder of them, ``auto`` (edgekit's cache), or None for none.
    :param name: the model's, for what others will include in their projects.
    """

    model: Path
    folder: Path
    tuning: str | None = None
    progress: Progress = field(default_factory=Silent)
    name: str = "model"


@dataclass(frozen=True)
class Artifact:
    """What a backend built.

    :param tools: versions of the tools that made it, for the manifest.
    :param runtime: name and version of what executes it, e.g. ``"litert 2.3.0"``.
    :param ram_bytes: activations; None where the runtime plans its memory itself.
    :param options: of the backend, where they are not its defaults.
    :param footprint: where the backend knows better than from the sizes of the files.
    :param tuning_sha256: of the tuning database that kernels were taken from; empty for none.
    """

    tools: dict[str, str] = field(default_factory=dict)
    execution: Execution = Execution()
    runtime: str = ""
    ram_bytes: int | None = None
    tuning_sha256: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    footprint: Footprint | None = None


@dataclass(frozen=True)
class Exactness:
    """How close an artifact's results must be to the reference's (:mod:`edgekit.metrics.parity`).

    :param bit_exact: integers must be equal bit for bit. :param half_activations: values between operators are float16.
    """

    bit_exact: bool = False
    half_activations: bool = False


class Backend(Protocol):
    """Compiles networks for targets. :class:`Defaults` implements what most backends need of it."""

    name: str
    splits: bool
    """True if its option ``split`` leaves operators that it lacks to a host beside the device."""

    def exactness(self, graph: Graph) -> Exactness:
        """Return how close the artifact of this network must be to the reference."""

    def configured(self, options: Mapping[str, Any]) -> Backend:
        """Return the backend with options of its own set (``--set BACKEND.OPTION=VALUE``).

        :raises UsageError: if it has no such option, or not this value.
        """

    def isolated(self) -> Backend:
        """Return the backend as it compiles a network taken apart (:mod:`edgekit.graph.explode`).

        The result of each operator is rounded as it would be inside a network, although here it is an output.
        """

    def plan(self, graph: Graph, target: Target) -> Planned | list[Unsupported]:
        """Analyse a network without building anything; return the plan for :meth:`build`, or the unsupported operators.

        :raises ModelError: if a tool crashes on the network.
        """

    def build(self, planned: Planned, request: Request) -> Artifact:
        """Fill ``request.folder``, from a plan of this backend.

        :raises ToolMissing: if a tool is not installed.
        """


class Defaults:
    """The usual answers of a backend."""

    name: str
    splits = False

    def configured(self, options: Mapping[str, Any]) -> Any:
        """See :class:`Backend`: it has no options."""
        for option in options:
            raise UsageError(f"--set {self.name}.{option}: the backend {self.name} has no options", "omit it")
        return self

    def exactness(self, graph: Graph) -> Exactness:
        """See :class:`Backend`."""
        return Exactness()

    def isolated(self) -> Any:
        """See :class:`Backend`."""
        return self


Options = Mapping[str, Mapping[str, Any]]
"""Of backends, by the backend's name."""


def get(name: str, options: Options = MappingProxyType({})) -> Backend:
    """Return a backend by its name, configured.

    :raises UsageError: if there is none, or not with these options.
    """
    backend: Backend = plugins.get("backends", name)
    return backend.configured(options.get(name, {}))


def planned(backend: Backend, graph: Graph, target: Target) -> Planned:
    """Return the plan of a network that must be compiled.

    :raises ModelError: naming the first operator that cannot be.
    """
    plan = backend.plan(graph, target)
    if isinstance(plan, list):
        first = plan[0]
        raise ModelError(f"operator {first.index} ({first.operator}) cannot be compiled: {first.reason}", first.remedy)
    return plan


def unsupported(backend: Backend, graph: Graph, target: Target) -> list[Unsupported]:
    """Return the operators that a backend cannot compile; none if it can compile the network."""
    plan = backend.plan(graph, target)
    return plan if isinstance(plan, list) else []
