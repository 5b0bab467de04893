"""The C99 backend: an int8 network as plain C, in one arena, without a runtime.

The kernels are edgekit's own C library (``firmware_stubs/kernels``); their results equal LiteRT's reference kernels bit
for bit. For Linux, the same source becomes ``network.so`` beside the C runner.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from edgekit.backends import Artifact, Defaults, Exactness, Planned, Request, Unsupported, runner_build
from edgekit.backends.c99 import emit, firmware, handover, library
from edgekit.backends.c99.emit import Optimize
from edgekit.bundle.execution import Execution, FirmwareStep, Footprint, Kind, runner_command
from edgekit.bundle.handover import Format
from edgekit.codegen.kernels import MICROCONTROLLER
from edgekit.codegen.lower import lowered
from edgekit.codegen.schedule.mcu import memory, parts
from edgekit.codegen.schedule.mcu.packing import Packing
from edgekit.codegen.schedule.mcu.scheduler import schedule
from edgekit.codegen.schedule.mcu.steps import Program
from edgekit.codegen.schedule.mcu.streams import streamed
from edgekit.errors import UsageError
from edgekit.files.documents import write_text
from edgekit.graph.stats import largest
from edgekit.target.mcu import Fpu, RegionKind

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target

KERNELS = "kernels"
"""Folder in the artifact: the headers that ``model.c`` includes."""
NAME = "model"
"""Prefix of the names that a model's C source exports."""
SCOPE = MICROCONTROLLER
"""What the kernel library has beyond what every backend has."""
_COMPILERS = {"cortex-m": ("arm-none-eabi-gcc", "arm"), "riscv32": ("riscv32-esp-elf-gcc", "riscv32")}
"""For a toolchain file of CMake, by a target's ``arch``: a compiler with a C library, and the processor."""
WITHOUT_REFERENCE = frozenset(("CEIL", "ELU", "ROUND"))
"""LiteRT has no reference kernels for these; its other kernels, which then compute the whole network, round otherwise
(:mod:`edgekit.reference.litert`)."""


def _packing(target: Target) -> Packing:
    """How the kernels that are fastest on a core take weights."""
    if target.mcu is None:
        return "rows"
    return "blocks" if target.mcu.mve else "pairs" if target.mcu.dsp else "rows"


def _fits(program: Program, target: Target) -> bool:
    """True if the arena fits into one of the memories that it may lie in."""
    if target.mcu is None:
        return True
    most = max((region.kib << 10 for _, region in target.mcu.of_kind(RegionKind.RAM)), default=0)
    return memory.plan(program).arena <= most


@dataclass(frozen=True)
class Plan(Planned):
    """A network as calls of C kernels."""

    program: Program


@dataclass(frozen=True)
class C99(Defaults):
    """Compiles int8 networks to C."""

    optimize: Optimize | None = None
    """None: ``ram`` for microcontrollers, else ``speed``."""
    formats: tuple[Format, ...] = ()
    name = "c99"

    def configured(self, options: Mapping[str, Any]) -> C99:
        """Set ``optimize``: ``speed``, ``size`` or ``ram``; ``format``: build systems to hand the network over to."""
        made = self
        for option, value in options.items():
            try:
                if option == "optimize":
                    made = replace(made, optimize=Optimize(value))
                    continue
                if option == "format":
                    made = replace(made, formats=handover.parsed(str(value)))
                    continue
            except ValueError:
                choices = ", ".join(Optimize if option == "optimize" else Format)
                raise UsageError(f"c99 has no {option} {value!r}", f"use one of {choices}") from None
            raise UsageError(f"--set c99.{option}: no such option", "use c99.optimize or c99.format")
        return made

    def isolated(self) -> C99:
        """Nobody is handed a network taken apart."""
        return replace(self, formats=())

    def exactness(self, graph: Graph) -> Exactness:
        """Integers are equal to the reference's, bit for bit, where it has reference kernels for all operators."""
        return Exactness(bit_exact=not any(operator.op in WITHOUT_REFERENCE for operator in graph.operators))

    def plan(self, graph: Graph, target: Target) -> Plan | list[Unsupported]:
        """Refuse operators, types and shapes without a kernel."""
        remedy = "use --backend litert" if target.mcu is None else ""
        if target.mcu is not None and target.mcu.fpu is Fpu.NONE and (refused := _float(graph, target)):
            return refused
        network = lowered(graph, SCOPE)
        program = network if isinstance(network, list) else schedule(network, graph, _packing(target))
        if isinstance(program, list):
            return [Unsupported(one.node, one.op, one.of("C99"), remedy) for one in program]
        return Plan(graph, target, program)

    def arranged(self, planned: Plan) -> Program:
        """Return the program with parts of tensors in place; with streams, if RAM is scarce or the arena too large."""
        program, target = planned.program, planned.target
        if self._optimize(target) is not Optimize.RAM:
            placed = parts.in_place(program, always=target.mcu is None)
            if _fits(placed, target):
                return placed
        saved, placed = streamed(program), parts.in_place(program)
        if placed is program:
            return saved
        placed = streamed(placed)
        return placed if memory.plan(placed).arena <= parts.WORTH * memory.plan(saved).arena else saved

    def _optimize(self, target: Target) -> Optimize:
        return self.optimize or (Optimize.SPEED if target.mcu is None else Optimize.RAM)

    def build(self, planned: Planned, request: Request) -> Artifact:
        """See :class:`edgekit.backends.Backend`."""
        assert isinstance(planned, Plan), planned
        planned = replace(planned, program=self.arranged(planned))
        target, folder = planned.target, request.folder
        source = emit.source(planned.program, NAME, self._optimize(target))
        self._hand_over(planned, request, source.memory)
        if target.mcu is not None:
            return self._firmware(planned, source, request)
        arch = runner_build.native_arch(target.arch)
        runner = runner_build.get(arch)
        request.progress.step(f"compile C for {target.name}")
        library.link(source, arch, folder / library.LIBRARY)
        runner_build.put(runner.path, folder, runner_build.NAME, 0o755)
        execution = Execution(Kind.LIBRARY, runner_command(library.LIBRARY, model=False), library.LIBRARY)
        return Artifact({"compiler": runner.compiler}, execution, "c99", source.memory.arena, options=self._options())

    def _firmware(self, planned: Plan, source: emit.Source, request: Request) -> Artifact:
        """The sources, and a firmware for a microcontroller."""
        target = planned.target
        request.progress.step(f"compile firmware for {target.name}")
        files = {f"{source.name}.c": source.code, f"{source.name}.h": source.header}
        steps = [FirmwareStep(step.title, step.node, step.fused) for step in planned.program.steps]
        network = firmware.Network(
            source.name, files, source.memory.arena, steps, hashlib.sha256(request.model.read_bytes()).digest(),
            largest(firmware.computed(planned.graph)),
        )  # fmt: skip
        flags = ["-Os"] if self.optimize is Optimize.SIZE else ["-O2"]
        built = firmware.build(network, target, request.folder, flags)
        for name, text in files.items():
            write_text(request.folder / name, text)
        library.put_kernels(request.folder / KERNELS)
        sizes = built.sizes
        footprint = Footprint(
            sizes.flash, sizes.ram, sizes.text, sizes.constants, sizes.arena, built.stack.bytes, sizes.stack,
            stack_unknown=built.stack.unknown,
        )  # fmt: skip
        return Artifact(
            {"compiler": built.compiler}, Execution(Kind.FIRMWARE), "c99", source.memory.arena,
            options=self._options(), footprint=footprint,
        )  # fmt: skip

    def _options(self) -> dict[str, str]:
        """Those that differ from the defaults."""
        options = {"optimize": str(self.optimize)} if self.optimize else {}
        return options | ({"format": ",".join(self.formats)} if self.formats else {})

    def _hand_over(self, planned: Plan, request: Request, placed: memory.Plan) -> None:
        """Write a library for each build system."""
        if not self.formats:
            return
        graph, target = planned.graph, planned.target
        source = emit.source(planned.program, handover.identifier(request.name), self._optimize(target), placed)
        what = f"{len(graph.operators)} operators, {source.constants} bytes of weights and tables"
        cross = None
        if target.mcu is not None:
            compiler, processor = _COMPILERS[target.arch]
            cross = handover.Cross(compiler, firmware.machine_flags(target.mcu), processor, target.name)
        network = handover.Network(source, graph.inputs, graph.outputs, what, target.name, cross)
        for form in self.formats:
            handover.write(network, form, request.folder)


def _float(graph: Graph, target: Target) -> list[Unsupported]:
    """The operators that compute in floating point, which this target does not."""
    tensors = graph.tensors
    found = [
        (index, operator.op)
        for index, operator in enumerate(graph.operators)
        if any(tensors[i].dtype.startswith("float") for i in (*operator.inputs, *operator.outputs) if i >= 0)
        and operator.op not in ("QUANTIZE", "DEQUANTIZE")
    ]
    reason, remedy = f"{target.name} has no FPU for floating point", "add --recipe int8 --data SAMPLES"
    return [Unsupported(index, op, reason, remedy) for index, op in found]
