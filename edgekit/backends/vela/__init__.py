"""The Ethos-U backend: an integer network compiled by Arm's vela; what the NPU does not take becomes C for the core.

Nothing here executes Ethos-U commands, so an artifact's proof is one of its structure, and of the operators that run on
the core (:mod:`edgekit.runners.vela`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit import delegates
from edgekit.backends import Artifact, Defaults, Exactness, Planned, Request, Unsupported
from edgekit.backends.vela import compiler, core, handover, structure
from edgekit.backends.vela.compiler import Compiled
from edgekit.backends.vela.structure import Part
from edgekit.bundle.execution import Execution, Kind
from edgekit.delegates.node import VALUES, Node
from edgekit.delegates.rules import refusal
from edgekit.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.graph import Graph
    from edgekit.progress import Progress
    from edgekit.target import Target

NETWORK = "network_vela.tflite"
_CONTROL = ("WHILE", "IF", "CALL")
INTEGERS = ("int8", "uint8", "int16")
NARROW = ("int4", "uint4", "int2")
RECIPES = "compile it with --recipe int8, or qat"
LEFT = "quantization leaves it in float: take it out of the model, or use another target"
WIDER = "compile the float model with --recipe int8, which has weights of 8 bits"
LINUX = "compile it for a Linux board: --target rpi4"


class Vela(Defaults):
    """Compiles int8 and int16 networks for Ethos-U."""

    name = "vela"

    def exactness(self, graph: Graph) -> Exactness:
        """The operators that are executed, those on the core, are equal to the reference's, bit for bit."""
        return Exactness(bit_exact=True)

    def plan(self, graph: Graph, target: Target) -> Planned | list[Unsupported]:
        """Refuse what vela crashes on, what computes in float, and operators that neither NPU nor core can take.

        Which operators the NPU takes says the published list here; vela itself has the last word, in :meth:`build`.
        """
        found = [
            Unsupported(index, operator.op, *why)
            for index, operator in enumerate(graph.operators)
            if (why := refused(graph, index))
        ]
        if found:
            return found
        if len(graph.subgraphs) > 1:
            index = next((n for n, o in enumerate(graph.operators) if o.op in _CONTROL), 0)
            reason = "control flow is not compiled for an NPU"
            return [Unsupported(index, graph.operators[index].op, reason, LINUX)]
        verdicts = predicted(graph, target)
        if graph.operators and not any(v.taken for v in verdicts):
            reason = f"the NPU could take no operator; of the first: {verdicts[0].reason}"
            return [Unsupported(0, verdicts[0].operator, reason, elsewhere(graph, target))]
        left = tuple(v.index for v in verdicts if not v.taken)
        missing = core.unsupported(graph, structure.on_cpu(graph, left), target)
        reasons = {v.index: v.reason for v in verdicts}
        other = elsewhere(graph, target) if missing else ""
        return [
            replace(one, reason=f"the NPU does not take it ({reasons[one.index]}), and {one.reason}", remedy=other)
            for one in missing
        ] or Planned(graph, target)

    def build(self, planned: Planned, request: Request) -> Artifact:
        """See :class:`edgekit.backends.Backend`.

        :raises ModelError: if vela refuses the network or changes it, leaves an operator to the core that has no kernel
            there, or the target's memory is too small.
        """
        graph, target, folder, progress = planned.graph, planned.target, request.folder, request.progress
        compiler.ENVIRONMENT.ensure(progress)
        progress.step(f"compile for {target.name} (vela, in a sandbox)")
        compiled = compiler.compile(graph, target.neural)
        parts = checked(graph, compiled)
        _fits(compiled, target)
        _compare(graph, parts, target, progress)
        codes = [core.code(graph, part, target, number) for number, part in enumerate(p for p in parts if not p.npu)]
        (folder / NETWORK).write_bytes(compiled.data)
        core.write(codes, folder)
        handover.write(graph, target, compiled, parts, codes, folder)
        version = compiler.ENVIRONMENT.requirement().partition("==")[2]
        execution = Execution(Kind.NPU, network=NETWORK, prover="vela")
        ram = compiled.ram_bytes + max((code.memory.arena for code in codes), default=0)
        return Artifact({"vela": version}, execution, f"ethos-u with vela {version}", ram)


def elsewhere(graph: Graph, target: Target) -> str:
    """What to do with a network that the NPU and its core cannot compute together."""
    board = core.board(target)
    whole = structure.on_cpu(graph, tuple(range(len(graph.operators))))
    if core.unsupported(graph, whole, target):
        return LINUX
    return f"compile it for the microcontroller alone: --target {board.name}"


def predicted(graph: Graph, target: Target) -> Sequence[delegates.Verdict]:
    """Return of each operator whether the NPU should take it, by the list that vela publishes."""
    (advice,) = delegates.for_target(graph, target)
    return advice.verdicts


def checked(graph: Graph, compiled: Compiled) -> tuple[Part, ...]:
    """Return the parts of a compiled network.

    :raises ModelError: if it does not stand for the original.
    """
    try:
        parts = structure.parts(graph, compiled.data)
    except structure.Different as error:
        raise ModelError(f"vela's network is not the one it was given: {error.message}", LINUX) from error
    if missing := structure.unaccounted(graph, compiled, parts):
        op = graph.operators[missing[0]].op
        raise ModelError(f"vela's network has no operation for operator {missing[0]} {op}", LINUX)
    return parts


def refused(graph: Graph, index: int) -> tuple[str, str] | None:
    """Why the operator cannot be in a network for vela at all, and what to do."""
    operator = graph.operators[index]
    node = Node(graph, operator, INTEGERS)
    if reason := refusal(node, ("constant_shapes",)):
        return reason, "convert the model with fixed sizes"
    tensors = [t for t in (*node.inputs, *node.outputs) if t is not None]
    if narrow := next((t.dtype for t in tensors if t.dtype in NARROW), None):
        return f"its weights are {narrow}, on which vela crashes", WIDER
    if any(t.sparsity is not None for t in tensors):
        return "its weights are stored sparsely, which vela does not read", "compile the dense model"
    if operator.op == "SVDF":  # the NPU does not take it
        return "its state would be lost between the network's parts", "compile it for the core: --target mps3-an547"
    if operator.op in delegates.BOUNDARY and not graph.is_quantized:
        return None
    values = [t for t in (*node.runtime, *node.outputs) if t.dtype in VALUES and not t.is_variable]
    wide = next((t.dtype for t in values if t.dtype not in INTEGERS), None)
    if wide is None or (operator.op in delegates.BOUNDARY and _at_the_edge(graph, index)):
        return None
    return f"it computes in {wide}, and the NPU in integers only", LEFT if graph.is_quantized else RECIPES


def _at_the_edge(graph: Graph, index: int) -> bool:
    """True for what turns the network's float inputs into integers, or integers into its float outputs."""
    operator = graph.operators[index]
    return set(operator.inputs) <= set(graph.main.inputs) or set(operator.outputs) <= set(graph.main.outputs)


def _fits(compiled: Compiled, target: Target) -> None:
    """Refuse a network that is too large for the target's memories.

    :raises ModelError: saying by how much.
    """
    npu = target.neural
    for what, used, kib in (
        ("SRAM", compiled.memory["sram"], npu.sram_kib),
        ("memory for weights", compiled.flash_bytes, npu.flash_kib),
    ):
        if used > kib << 10:
            raise ModelError(
                f"{target.name} has {kib} KiB of {what}, the network takes {used / 1024:.0f} KiB: "
                f"{used / 1024 - kib:.0f} KiB too many",
                "make it smaller (--recipe prune), or use a larger target",
            )


def _compare(graph: Graph, parts: Sequence[Part], target: Target, progress: Progress) -> None:
    """Warn where vela decided otherwise than its list says."""
    taken = {n for part in parts if part.npu for n in part.operators}
    wrong = [v for v in predicted(graph, target) if v.taken != (v.index in taken)]
    if wrong:
        first = wrong[0]
        place = "the core" if first.taken else "the NPU"
        progress.warn(
            f"{target.name}: vela decides otherwise than its list of {len(wrong)} operators: "
            f"operator {first.index} {first.operator} runs on {place}"
        )
