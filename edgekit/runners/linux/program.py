"""How ``edgekit-run`` runs a bundle.

With LiteRT and the model, or with the network itself, compiled to a library or linked into the program.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from edgekit.backends.litert.library import FILE as LITERT_LIBRARY
from edgekit.bundle import relative_files
from edgekit.bundle.execution import MODEL, PROGRAM, Execution, Kind
from edgekit.runners import Refusal

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.bundle import Bundle

SCRIPT = "run.py"


@dataclass(frozen=True)
class Program:
    """What the C runner is given.

    :param library: name of the library in the bundle's ``artifact/``; empty: the network is in the program itself.
    :param compiled: that library is the network: it needs no model.
    :param divided: it can use more than one thread.
    """

    library: str = LITERT_LIBRARY
    compiled: bool = False
    divided: bool = True

    @property
    def runtime(self) -> str:
        """Who executes the network, in words for messages."""
        return "the compiled network" if self.compiled else "LiteRT"

    def files(self, bundle: Bundle) -> dict[str, Path]:
        """The files it takes, by the names under which they lie side by side."""
        if not self.library:
            return {PROGRAM: bundle.artifact / PROGRAM}
        found = {PROGRAM: bundle.artifact / PROGRAM, self.library: bundle.artifact / self.library}
        if not self.compiled:
            return {**found, MODEL: model(bundle)}
        beside = (PurePosixPath(name) for name in relative_files(bundle.artifact))
        names = [one.name for one in beside if len(one.parts) == 1]  # what the network's library reads for itself
        listed = bundle.manifest.get("files")
        return {**found, **{n: bundle.artifact / n for n in names if listed is None or f"artifact/{n}" in listed}}

    def arguments(self, library: str, model: str) -> list[str]:
        """The command line's beginning, with the paths of the library and of the model."""
        return [] if not self.library else ["--library", library, *([] if self.compiled else ["--model", model])]

    def threads(self, wanted: int) -> int:
        """How many threads it uses where so many are wanted."""
        return wanted if self.divided else 1


def model(bundle: Bundle) -> Path:
    """Return the TFLite file that runs.

    It is the bundle's network, or the backend's output where its artifact is a file for any LiteRT (Coral's).
    """
    network = bundle.execution.network
    return bundle.artifact / network if network else bundle.model


def refusal(execution: Execution) -> Refusal | None:
    """Why the C runner cannot run a bundle: a microcontroller or another vendor's tools do."""
    if execution.kind is Kind.FIRMWARE:
        return Refusal("the bundle is a microcontroller's firmware", "use --on emulator, or --on serial:/dev/ttyACM0")
    if execution.kind not in (Kind.HANDOVER, Kind.NPU):
        return None
    return Refusal(
        _HANDED_OVER.get(execution.prover, "the bundle is run by another vendor's tools"),
        "its README says how" + (f"; here: --on {execution.prover}" if execution.prover else ""),
    )


def of(execution: Execution) -> Program:
    """What runs a bundle that is not refused; one without a program has only its model, which any LiteRT runs."""
    if execution.kind is Kind.PROGRAM:
        return Program("", True, execution.threads)
    return Program(execution.library or LITERT_LIBRARY, execution.kind is Kind.LIBRARY, execution.threads)


_HANDED_OVER = {
    "vela": "the bundle's network is commands for an NPU",
    "onnx": "the bundle's engine is built and checked on the device",
    "mil": "the bundle's package runs in Core ML, on a Mac or an iPhone",
}
