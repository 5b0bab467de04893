"""What backends for GPUs share: kernels and the plan; each adds a language and a host program.

The artifact is the kernels, ``network.plan`` (launches, memory), ``weights.bin``, and two programs that are the same
for every network: the host program ``network.so`` (``firmware_stubs/gpu``) and the C runner that loads it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.backends import Artifact, Defaults, Exactness, Planned, Request, Unsupported
from edgekit.backends import runner_build as build
from edgekit.backends.gpu import host_build, kernels, onnx, plan
from edgekit.backends.gpu.dialect import Dialect
from edgekit.bundle.execution import Execution, Kind, runner_command
from edgekit.codegen.lower import lowered
from edgekit.codegen.program import Program
from edgekit.codegen.schedule import gpu
from edgekit.graph.onnx_operators import has_onnx
from edgekit.reference.hybrid import hybrid

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target

FLOATS = "for GPUs, compile the float model: --recipe float16 or float32"
LITERT = "compile it for a target with a processor, as rpi5"


@dataclass(frozen=True)
class Plan(Planned):
    """A network as calls of loop nests, scheduled for the target's GPU."""

    program: Program


class GpuBackend(Defaults):
    """Compiles float networks with float32 or float16 weights.

    A subclass names its ``title`` in messages, its ``runtime`` in plans, the folder of its ``driver``'s host program
    and the ``dialect`` of its kernels.
    """

    title: str
    runtime: str
    driver: str
    dialect: Dialect

    def form(self, graph: Graph) -> plan.Form:
        """How its numbers are kept: weights as in the model."""
        halves = any(t.dtype == "float16" for t in graph.constants())
        return plan.Form(weights="exact" if halves else "float32")

    def plan(self, graph: Graph, target: Target) -> Plan | list[Unsupported]:
        """Refuse operators, types and shapes without a kernel."""
        if has_onnx(graph):
            if self.form(graph).activations == "float16":
                reason, cure = "operators of ONNX keep their float32", "omit --backend"
                return [Unsupported(n, o.op, reason, cure) for n, o in enumerate(graph.operators)]
            program = onnx.program(graph, gpu.THREAD)
            return program if isinstance(program, list) else Plan(graph, target, program)
        if graph.is_quantized:
            index = next((n for n, o in enumerate(graph.operators) if _integers(graph, n)), 0)
            name = graph.operators[index].op if graph.operators else ""
            return [Unsupported(index, name, "GPU backends do not support integer networks", FLOATS)]
        mixed = [n for n in range(len(graph.operators)) if hybrid(graph, n)]
        if mixed:  # runtimes round its activations, each in its own way
            reason = "its weights are integers, its arithmetic would not be"
            return [Unsupported(n, graph.operators[n].op, reason, FLOATS) for n in mixed]
        network = lowered(graph)
        if isinstance(network, list):
            return [Unsupported(one.node, one.op, one.of(self.title), LITERT) for one in network]
        program = gpu.schedule(network, target.graphics.flops_per_cycle // 2)
        return self._without_kernel(program, graph) or Plan(graph, target, program)

    def build(self, planned: Planned, request: Request) -> Artifact:
        """See :class:`edgekit.backends.Backend`."""
        assert isinstance(planned, Plan), planned
        target, folder = planned.target, request.folder
        request.progress.step(f"write kernels for {target.name}")
        arch = build.native_arch(target.arch)
        runner, host = build.get(arch), host_build.get(arch, self.driver)
        arena = plan.write(planned.program, self.form(planned.graph), self.runtime, folder, self.dialect)
        tools = {"compiler": runner.compiler, **self.built(target, folder)}
        build.put(host, folder, host_build.LIBRARY)
        build.put(runner.path, folder, build.NAME, 0o755)
        execution = Execution(Kind.LIBRARY, runner_command(host_build.LIBRARY, model=False), host_build.LIBRARY)
        return Artifact(tools, execution, self.runtime, arena)

    def built(self, target: Target, folder: Path) -> dict[str, str]:
        """Compile the kernels in ``folder`` as far as it is done here; return the tools and their versions."""
        return {}

    def _without_kernel(self, program: Program, graph: Graph) -> list[Unsupported]:
        found = []
        for call in program.calls:
            if not kernels.supported(call.loops):
                op = graph.operators[call.node].op if call.node >= 0 else ""
                found.append(Unsupported(call.node, op, f"edgekit's {self.title} backend has no kernel for it", LITERT))
        return [one for one in found if one.index >= 0] or found


class HalfGpuBackend(GpuBackend):
    """Keeps weights and activations in float16; arithmetic and sums stay float32."""

    def __init__(self, form: plan.Form = plan.HALVES) -> None:
        self._form = form

    def form(self, graph: Graph) -> plan.Form:
        """Return the form in which every network is planned, whatever its weights."""
        return self._form

    def exactness(self, graph: Graph) -> Exactness:
        """See :class:`edgekit.backends.Backend`."""
        return Exactness(half_activations=True)

    def isolated(self) -> HalfGpuBackend:
        """See :class:`edgekit.backends.Backend`."""
        return type(self)(replace(self._form, isolated=True))


def _integers(graph: Graph, index: int) -> bool:
    made = graph.operators[index].outputs
    return bool(made) and graph.tensors[made[0]].dtype.startswith(("int", "uint"))
