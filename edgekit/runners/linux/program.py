"""How ``edgekit-run`` runs a bundle: with LiteRT and the model, or with the network itself, compiled to a library or
linked into the program."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from edgekit.backends.litert.library import FILE as LITERT_LIBRARY
from edgekit.bundle import NETWORK, relative_files
from edgekit.errors import DeviceError

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.bundle import Bundle

PROGRAM = "edgekit-run"
SCRIPT = "run.py"
MODEL = "model.tflite"


@dataclass(frozen=True)
class Program:
    """What the C runner is given.

    :param library: name of the library in the bundle's ``artifact/``; empty: the network is in the program itself.
    :param compiled: that library is the network: it needs no model and runs on one thread.
    """

    library: str = LITERT_LIBRARY
    compiled: bool = False

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
        return 1 if self.compiled else wanted


def model(bundle: Bundle) -> Path:
    """The TFLite file that runs: the bundle's network, or what the backend made of it where its artifact is a file for
    any LiteRT (Coral's)."""
    own = bundle.artifact / NETWORK
    return own if not bundle.manifest.get("run") and own.is_file() else bundle.model


def made_of_network(bundle: Bundle) -> bool:
    """Whether the artifact was made of this network, so that it serves no other one."""
    return holds_network(bundle) or model(bundle) != bundle.model


def holds_network(bundle: Bundle) -> bool:
    """Whether the artifact is the network itself, so that it serves no other one; else it runs the bundle's model."""
    run = bundle.manifest.get("run") or []
    return bool(run) and "--model" not in run


def of(bundle: Bundle) -> Program:
    """Read it from the manifest's ``run``; a bundle without one has only its model, which any LiteRT runs.

    :raises DeviceError: if it is no command of ``edgekit-run``.
    """
    run = bundle.manifest.get("run") or []
    if not run:
        return Program()
    if list(run)[:1] == ["artifact/build.sh"]:
        raise DeviceError(
            "the bundle's engine is built and checked on the device", "its README says how; here: --on onnx"
        )
    if list(run)[-1:] == ["artifact/verify_on_mac.py"]:
        raise DeviceError(
            "the bundle's package runs in Core ML, on a Mac or an iPhone", "its README says how; here: --on mil"
        )
    if list(run)[:1] == [f"artifact/{PROGRAM}"] and "--library" not in run and "--model" not in run:
        return Program("", True)
    try:
        library = PurePosixPath(list(run)[list(run).index("--library") + 1]).name  # in artifact/, whatever it says
    except (ValueError, IndexError, TypeError) as error:
        raise DeviceError(
            f"{bundle.path}: 'run' in manifest.json is no command of {PROGRAM}", "compile the bundle again"
        ) from error
    return Program(library, holds_network(bundle))
