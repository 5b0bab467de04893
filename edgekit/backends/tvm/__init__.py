"""The TVM backend: kernels made for one network and one processor, in a library that needs no runtime.

The Graph is lowered by edgekit's own rules (:mod:`edgekit.codegen`), not by TVM's importers; :mod:`.templates` write
the loops, and TVM's LLVM makes an object file of them. The artifact is that library (``network.so``, weights included)
and the C runner.
"""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from edgekit import resources, sandbox
from edgekit.backends import Artifact, Defaults, Planned, Request, Unsupported
from edgekit.backends import runner_build as build
from edgekit.backends.tvm import database, emit
from edgekit.backends.tvm.child import TASK
from edgekit.backends.tvm.onnx import lowering as onnx
from edgekit.backends.tvm.processors import processor
from edgekit.bundle import digest
from edgekit.bundle.execution import Execution, Kind, runner_command
from edgekit.codegen.kernels import Network
from edgekit.codegen.loops import Loops, encoded
from edgekit.codegen.lower import lowered
from edgekit.codegen.schedule import cpu
from edgekit.codegen.schedule.tuned import Choices, workload
from edgekit.errors import ModelError, ToolMissing
from edgekit.graph.onnx_operators import has_onnx
from edgekit.reference.hybrid import hybrid

if TYPE_CHECKING:
    from edgekit.backends.tvm.processors import Processor
    from edgekit.codegen.program import Program
    from edgekit.graph import Graph
    from edgekit.target import Target

LIBRARY = "network.so"
LIMITS = sandbox.Limits(seconds=900, memory_mb=8192)
PRELOAD = ("tvm", "edgekit.backends.tvm.templates")
"""What the child's parent keeps imported: TVM is imported once, not for each target."""


@dataclass(frozen=True)
class Plan(Planned):
    """A network as kernels: edgekit's own, or for networks of ONNX operators what TVM's frontend makes of each node."""

    network: Network | None = None
    nodes: tuple[onnx.Found, ...] = ()


class TVM(Defaults):
    """Compiles float32 and int8 networks for x86-64 and AArch64 Linux."""

    name = "tvm"

    def plan(self, graph: Graph, target: Target) -> Plan | list[Unsupported]:
        """Refuse operators, types and shapes without a kernel."""
        if has_onnx(graph):
            nodes = onnx.analysed(graph)
            return nodes if isinstance(nodes, list) else Plan(graph, target, nodes=nodes)
        remedy = "use --backend litert"
        mixed = [n for n in range(len(graph.operators)) if hybrid(graph, n)]
        if mixed:
            reason, cure = "it quantizes its float input as it runs", "use --recipe float32, or --backend litert"
            return [Unsupported(n, graph.operators[n].op, reason, cure) for n in mixed]
        network = lowered(graph)
        if isinstance(network, list):
            return [Unsupported(one.node, one.op, one.of("TVM"), remedy) for one in network]
        return Plan(graph, target, network)

    def build(self, planned: Planned, request: Request) -> Artifact:
        """See :class:`edgekit.backends.Backend`."""
        target, folder = planned.target, request.folder
        arch = build.native_arch(target.arch)
        runner = build.get(arch)
        request.progress.step(f"compile kernels for {target.name}")
        made = pieces(planned, database.choices(request.tuning, target))
        link(made, target, folder / LIBRARY)
        build.put(runner.path, folder, build.NAME, 0o755)
        tools, used = {"compiler": runner.compiler, "tvm": made.version}, ""
        if made.tuned:
            used = digest(database.place(request.tuning, target))
            tools["tuned"] = f"{made.tuned} kernel{'s' if made.tuned > 1 else ''}"
            request.progress.note(f"{target.name}: tuned: {tools['tuned']}")
        if made.unfit:
            several = f"{len(made.unfit)} schedules do not" if len(made.unfit) > 1 else "1 schedule does not"
            request.progress.warn(f"{target.name}: {several} fit and the rules' are used: edgekit tune finds others")
        execution = Execution(Kind.LIBRARY, runner_command(LIBRARY, model=False), LIBRARY, divided=made.divided)
        return Artifact(tools, execution, f"tvm {made.version}", made.ram_bytes, used)


@dataclass(frozen=True)
class Pieces:
    """What is linked: the C source, the file ``weights.bin`` that it takes in, the kernels' object file.

    :param functions: the name of each kernel's function in it.
    :param divided: some of them can be divided among threads.
    :param tuned: how many different kernels are not as the rules would have them. :param unfit: the functions whose
        trace does not fit, so that they are as the rules would have them. :param ram_bytes: of activations.
    """

    source: str
    weights: bytes
    kernels: bytes
    version: str
    functions: tuple[str, ...] = ()
    tuned: int = 0
    unfit: tuple[str, ...] = ()
    ram_bytes: int = 0
    divided: bool = False

    def files(self) -> dict[str, bytes]:
        """``network.c``, ``weights.bin``, ``kernels.o``."""
        source = self.source.encode(errors="backslashreplace")
        return {"network.c": source, "weights.bin": self.weights, "kernels.o": self.kernels}

    def write(self, folder: Path) -> None:
        """Write these files."""
        for name, content in self.files().items():
            (folder / name).write_bytes(content)


def pieces(planned: Planned, choices: Choices = MappingProxyType({})) -> Pieces:
    """Compile the kernels of a network that :class:`TVM` planned.

    :param choices: what tuning found for some of them.
    :raises ModelError: if TVM fails; :raises ToolMissing: if it is not installed.
    """
    assert isinstance(planned, Plan), planned
    here()
    made = processor(planned.target)
    if planned.network is None:
        return compiled(onnx.program(planned.graph, planned.nodes, made.machine), made, onnx.PRELOAD)
    program = cpu.schedule(planned.network, made.machine, choices)
    found = compiled(program, made)
    called = zip(program.calls, found.functions, strict=True)
    tuned = {workload(call.loops) for call, name in called if name not in found.unfit} & set(choices)
    return replace(found, tuned=len(tuned))


def here() -> None:
    """:raises ToolMissing: if TVM is not installed."""
    if importlib.util.find_spec("tvm") is None:
        raise ToolMissing("TVM is not installed", "install it: pip install 'edgekit[tvm]'")


def compiled(program: Program, processor: Processor, preload: Sequence[str] = PRELOAD) -> Pieces:
    """Compile the functions of a program, in a child.

    :param preload: modules that the child's parent keeps imported, for who compiles many programs.
    :raises ModelError: if TVM fails.
    """
    functions: dict[tuple[Loops, str], str] = {}
    for call in program.calls:
        functions.setdefault((call.loops, call.trace), f"k{len(functions)}_{call.loops.name}")
    wanted = [{"name": name, "loops": encoded(nest), "trace": trace} for (nest, trace), name in functions.items()]
    try:
        found, arrays = sandbox.call(
            TASK, {"functions": wanted, "target": processor.target}, limits=LIMITS, preload=preload
        )
    except sandbox.ChildDied as death:
        raise ModelError(f"TVM {death.reason} on this network", "use --backend litert") from death
    called = tuple(functions[call.loops, call.trace] for call in program.calls)
    source = emit.source(program, called, f"tvm {found['tvm']}", found["scratch"], found["part_scratch"])
    unfit, kernels = tuple(found["unfit"]), arrays["object"].tobytes()
    return Pieces(
        source.text, source.weights, kernels, str(found["tvm"]), called, unfit=unfit, ram_bytes=source.arena,
        divided=source.divided,
    )  # fmt: skip


def link(made: Pieces, target: Target, library: Path, *, alone: bool = False) -> None:
    """Write the network's shared library.

    :param alone: its functions are called one by one, outside of the network's plan of its memory.
    """
    tool = build.compiler(build.native_arch(target.arch))
    headers = resources.folder("firmware_stubs") / "linux"
    with sandbox.scratch() as folder:
        made.write(folder)
        command = [
            *tool.argv, build.STANDARD, "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-fno-ident", "-s",
            "-Wl,--build-id=none", "-Wl,-z,noexecstack", f"-I{headers}", "network.c", "kernels.o", "-o", "network.so",
            "-lm", *([f"-D{emit.ALONE}"] if alone else []),
        ]  # fmt: skip
        build.run_compiler(command, folder, "the network's library does not compile")
        shutil.copyfile(folder / "network.so", library)
