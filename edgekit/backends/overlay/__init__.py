"""The overlay backend: an int8 network as commands and weights for edgekit's accelerator in an FPGA (docs/fpga.md)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgekit.backends import Artifact, Defaults, Exactness, Planned, Request, Unsupported
from edgekit.backends.divided import divided, host
from edgekit.backends.divided import unsuitable as lacking
from edgekit.backends.divided.parts import Parts
from edgekit.backends.overlay import document
from edgekit.backends.overlay.document import PROGRAM, STREAM
from edgekit.bundle.execution import Execution, Footprint, Kind
from edgekit.codegen.schedule.overlay import Machine, OverlayProgram, TooLarge, missing, schedule
from edgekit.errors import UsageError
from edgekit.files.documents import write_text
from edgekit.target.fpga import Family

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.graph import Graph
    from edgekit.target import Target

ELSEWHERE = "compile it for a processor: --target rpi4"
LARGER_KIB, LARGER = 128, "use an accelerator with more memory: --target ecp5-85f"
"""Activations that the largest target has."""


@dataclass(frozen=True)
class Plan(Planned):
    """A network for the overlay, and what is left to the host."""

    program: OverlayProgram
    parts: Parts


@dataclass(frozen=True)
class Overlay(Defaults):
    """Compiles int8 networks for the overlay.

    :param split: leave what the overlay lacks to the host. :param pnr: place and route the accelerator. :param seed: of
        the placement, 1 to 999.
    """

    split: bool = False
    pnr: bool = False
    seed: int = 1
    name = "overlay"
    splits = True

    def configured(self, options: Mapping[str, Any]) -> Overlay:
        """Set ``split`` and ``pnr``, true or false, and ``seed``, 1 to 999."""
        for option, value in options.items():
            if option not in ("split", "pnr", "seed"):
                raise UsageError(f"--set overlay.{option}: no such option", "use overlay.split, pnr or seed")
            if option == "seed" and (isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 999):
                raise UsageError(f"overlay.seed is {value!r}, not a number from 1 to 999", "use --set overlay.seed=2")
            if option != "seed" and not isinstance(value, bool):
                raise UsageError(f"overlay.{option} is {value!r}, not true or false", f"use --{option}")
        return replace(self, **options)

    def exactness(self, graph: Graph) -> Exactness:
        """Integers are equal to the reference's, bit for bit."""
        return Exactness(bit_exact=True)

    def plan(self, graph: Graph, target: Target) -> Plan | list[Unsupported]:
        """Refuse operators that the overlay lacks, unless they are left to the host, and what does not fit."""
        machine = machine_of(target)
        if self.pnr:
            refuse_to_route(target)
        found = divided(graph, unsuitable(graph, machine), split=self.split, elsewhere=ELSEWHERE)
        if isinstance(found, list):
            return found
        shared, network = found
        try:
            program = schedule(network, machine)
        except TooLarge as error:
            return [_too_large(error, graph, shared)]
        return Plan(graph, target, program, shared)

    def build(self, planned: Planned, request: Request) -> Artifact:
        """See :class:`edgekit.backends.Backend`."""
        assert isinstance(planned, Plan), planned
        program, shared, folder = planned.program, planned.parts, request.folder
        request.progress.step(f"commands and weights for {planned.target.name}")
        stream = program.stream()
        (folder / STREAM).write_bytes(stream)
        write_text(folder / PROGRAM, document.document(program, *shared.groups).text())
        host.write(host.codes(planned.graph, shared), folder)
        execution = Execution(Kind.OVERLAY, network=STREAM, prover="verilator")
        options: dict[str, Any] = {"split": True} if self.split else {}
        if self.pnr:
            self._route(planned.target, folder, request)
            options |= {"pnr": True, "seed": self.seed}
        footprint = Footprint(len(stream), 4 * program.words)
        return Artifact({}, execution, "overlay", 4 * program.words, options=options, footprint=footprint)

    def _route(self, target: Target, folder: Path, request: Request) -> None:
        """Write what place and route of the target's accelerator makes.

        :raises CheckFailed: if it is slower than the target's clock.
        """
        from edgekit.backends.overlay import route

        made = route.routed(route.Design.of(target.programmable), self.seed, request.progress)
        route.check(made.report, target)
        route.write(made, folder)
        request.progress.note(f"{target.name}: {made.report.mhz:g} MHz as routed; {made.report.words()}")


def _too_large(error: TooLarge, graph: Graph, shared: Parts) -> Unsupported:
    """Name the operator that has most of the activations, and where they fit."""
    words, there, node = error.args
    assert shared.device is not None
    index = shared.device.operators[node]
    kib = 4 * words / 1024
    most = there * 4 // 1024
    reason = f"the network's activations, most of them this operator's, take {kib:.0f} KiB, the accelerator has {most}"
    remedy = LARGER if most < LARGER_KIB and kib <= LARGER_KIB else ELSEWHERE
    return Unsupported(index, graph.operators[index].op, reason, remedy)


def refuse_to_route(target: Target) -> None:
    """Refuse devices that no open tools place and route, and accelerators that are too large for theirs.

    :raises UsageError: with the reason.
    """
    chip = target.fpga
    if chip is None or chip.family is not Family.ECP5:
        raise UsageError(f"--pnr: edgekit places and routes ECP5, not {target.name}", "compile it without --pnr")
    if reason := chip.misfit():
        raise UsageError(f"--pnr: {reason}", "take fewer lanes or less memory in the target's file")


def machine_of(target: Target) -> Machine:
    """The configuration that a target's file names; of other targets the usual one, which says what it lacks."""
    chip = target.fpga
    if chip is None:
        return Machine()
    return Machine(
        chip.input_lanes, chip.output_lanes, chip.packed, chip.activation_kib, chip.stream_kib, chip.accumulator_depth,
        chip.memory_bits, chip.requantization_lanes, chip.beat_cycles,
    )  # fmt: skip


def unsuitable(graph: Graph, machine: Machine) -> dict[int, str]:
    """Operators that the overlay does not compute, with the reason."""
    return lacking(graph, lambda network: missing(network, machine), "overlay")
