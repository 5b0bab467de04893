"""How a bundle is run: what a backend says about its artifact, and what the manifest keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any

from edgekit.errors import CheckFailed

PROGRAM, MODEL = "edgekit-run", "model.tflite"
NETWORK = "network.tflite"
"""A TFLite file in ``artifact/``, for bundles without a program."""


class Kind(StrEnum):
    """Kinds of execution."""

    RUNTIME = "runtime"
    """The C runner with a runtime's library, which takes the bundle's model."""
    LIBRARY = "library"
    """The C runner with a library that is the network itself."""
    PROGRAM = "program"
    """One program with the network linked in."""
    HANDOVER = "handover"
    """Another vendor's tools; a script in the bundle builds or checks what they take."""
    NPU = "npu"
    """Commands for a processor that nothing here executes; the bundle's instructions say how they get there."""
    FIRMWARE = "firmware"
    """A microcontroller's firmware with the network linked in, fed over a serial line."""
    OVERLAY = "overlay"
    """Commands and weights for the accelerator of an FPGA, and C for the host beside it."""
    LOGIC = "logic"
    """Verilog that is the network itself, and C for the host beside it."""
    HLS = "hls"
    """C++ from which a vendor's tools synthesize the network, and C for the host beside it."""
    MODEL = "model"
    """Any LiteRT, with a network file of the bundle."""


@dataclass(frozen=True)
class FirmwareStep:
    """A step of a network in a firmware.

    :param node: the operator that it computes, -1: none. :param fused: further ones.
    """

    name: str
    node: int
    fused: tuple[int, ...] = ()

    @property
    def index(self) -> int | None:
        """Index of the operator that it computes; None if it computes none."""
        return self.node if self.node >= 0 else None


@dataclass(frozen=True)
class Execution:
    """How an artifact is run.

    :param command: the command line on the device, from the bundle's folder; empty where there is no program.
    :param library: name of the library in ``artifact/`` that the program loads.
    :param network: name of the network's file in ``artifact/``, where that is not the bundle's model.
    :param prover: the runner that runs it without a device, where only one can.
    :param divided: kernels compiled for it can be divided among threads.
    """

    kind: Kind = Kind.MODEL
    command: tuple[str, ...] = ()
    library: str = ""
    network: str = ""
    prover: str = ""
    divided: bool = False

    @property
    def holds_network(self) -> bool:
        """True if the artifact is the network, so that it serves no other one; else it runs the bundle's model."""
        return self.kind in (
            Kind.LIBRARY, Kind.PROGRAM, Kind.HANDOVER, Kind.NPU, Kind.FIRMWARE, Kind.OVERLAY,
            Kind.LOGIC, Kind.HLS,
        )  # fmt: skip

    @property
    def made_of_network(self) -> bool:
        """True if the artifact was made of the bundle's network, be it code or a network file."""
        return self.holds_network or bool(self.network)

    @property
    def threads(self) -> bool:
        """True if it can use more than one thread."""
        return self.divided or self.kind in (Kind.RUNTIME, Kind.MODEL)

    def json(self) -> dict[str, Any]:
        """The manifest's ``execution``."""
        return {
            "kind": str(self.kind), "command": list(self.command), "library": self.library, "network": self.network,
            "prover": self.prover, "threads": self.threads,
        }  # fmt: skip


@dataclass(frozen=True)
class Footprint:
    """Bytes that the network takes on the device.

    :param flash: the files that have to be there; of a microcontroller, what lies in its flash.
    :param ram: activations; None where nothing is known of them. Of a microcontroller, all of its RAM that is in use.
    :param text: code. :param constants: weights and tables. :param arena: activations and scratch memory.
    :param stack: the most that the stack can need, None where it is unknown; ``stack_unknown`` says why.
    :param stack_reserved: reserved for the stack, part of ``ram``. :param stack_used: the most that the proof saw in
        use. These from ``text`` on: of microcontrollers only.
    """

    flash: int = 0
    ram: int | None = None
    text: int | None = None
    constants: int | None = None
    arena: int | None = None
    stack: int | None = None
    stack_reserved: int | None = None
    stack_used: int | None = None
    stack_unknown: str = ""

    def json(self) -> dict[str, Any]:
        """The manifest's ``footprint``."""
        parts = {
            "text_bytes": self.text, "constant_bytes": self.constants, "arena_bytes": self.arena,
            "stack_bytes": self.stack, "stack_reserved_bytes": self.stack_reserved, "stack_used_bytes": self.stack_used,
            "stack_unknown": self.stack_unknown or None,
        }  # fmt: skip
        known = {name: value for name, value in parts.items() if value is not None}
        return {"flash_bytes": self.flash, "ram_bytes": self.ram, **known}


_PROVES = {"null": Kind.MODEL, "onnx": Kind.HANDOVER, "mil": Kind.HANDOVER, "vela": Kind.NPU}
"""What these provers are for; of another kind, they would prove a file that is not what the device executes."""


def runner_command(library: str, *, model: bool) -> tuple[str, ...]:
    """The C runner's command line on the device, from the bundle's folder.

    :param library: name of the file in ``artifact/`` that the runner loads; empty: the network is linked in.
    :param model: True for a runtime that takes the bundle's model.
    """
    loaded = ("--library", f"artifact/{library}") if library else ()
    given = ("--model", MODEL) if model else ()
    return (f"artifact/{PROGRAM}", *loaded, *given, "--inputs", "in.bin", "--outputs", "out.bin", "--samples", "1")


def of_manifest(manifest: Mapping[str, Any]) -> Execution:
    """Read the manifest's ``execution``, or, in a bundle of an older edgekit, what its command line means.

    :raises CheckFailed: if it is damaged.
    """
    value = manifest.get("execution")
    if value is None:
        return _of_command(manifest)
    try:
        command, names = value["command"], [value["library"], value["network"], value["prover"]]
        if not isinstance(command, list) or not all(isinstance(word, str) for word in [*command, *names]):
            raise ValueError("its fields are not text")
        if any(name and PurePosixPath(name).name != name for name in names):
            raise ValueError("it names files outside artifact/")
        kind, divided = Kind(value["kind"]), value.get("threads", False)
        if not isinstance(divided, bool):
            raise ValueError("'threads' is neither true nor false")
        made = Execution(kind, tuple(command), *names)
        if kind is not _PROVES.get(made.prover, kind) or (made.prover == "null" and made.network):
            raise ValueError(f"{made.prover!r} does not run what it describes")
        return replace(made, divided=divided and made.holds_network)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckFailed(f"'execution' in manifest.json is damaged: {error}", "compile the bundle again") from error


def _of_command(manifest: Mapping[str, Any]) -> Execution:
    """Return the meaning of ``run`` if the manifest has no ``execution``."""
    words = manifest.get("run") or []
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        words = [""]  # damaged
    run = tuple(words)
    if not run:
        files = manifest.get("files")
        own = isinstance(files, Mapping) and f"artifact/{NETWORK}" in files
        prover = "null" if manifest.get("backend") == "null" and not own else ""
        return Execution(network=NETWORK if own else "", prover=prover)
    if run[0] == "artifact/build.sh":
        return Execution(Kind.HANDOVER, run, prover="onnx")
    if run[-1] == "artifact/verify_on_mac.py":
        return Execution(Kind.HANDOVER, run, prover="mil")
    if "--library" in run[:-1]:
        library = PurePosixPath(run[run.index("--library") + 1]).name  # in artifact/, whatever it says
        return Execution(Kind.RUNTIME if "--model" in run else Kind.LIBRARY, run, library)
    if run[0] == f"artifact/{PROGRAM}" and "--library" not in run and "--model" not in run:
        return Execution(Kind.PROGRAM, run)
    raise CheckFailed(f"'run' in manifest.json is not a command of {PROGRAM}", "compile the bundle again")
