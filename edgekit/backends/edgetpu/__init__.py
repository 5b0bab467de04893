"""The Edge TPU backend: an 8-bit network, checked against the published list.

It is compiled by the vendor's compiler if that is installed. ``compile/delegates/edgetpu.toml`` is the list. What the
Edge TPU does not support runs on the host's CPU with LiteRT's kernels, so an operator outside the list is not an
error; a network that computes in float is one.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit import delegates, resources
from edgekit.backends import Artifact, Defaults, Planned, Request, Unsupported, runner_build
from edgekit.backends.edgetpu import vendor
from edgekit.backends.litert import operators
from edgekit.backends.runner_build import litert_version
from edgekit.bundle.execution import NETWORK, Execution
from edgekit.delegates.node import VALUES, Node
from edgekit.delegates.rules import refusal
from edgekit.errors import ToolMissing
from edgekit.files.documents import dumps, write_text
from edgekit.graph import tflite
from edgekit.tools import toolchain

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.target import Target

DELEGATE, INTEGERS = "edgetpu", ("int8", "uint8")
COMPILED, REPORT = "network_edgetpu.tflite", "compiler.json"
RECIPES = "compile it with --recipe int8, or qat"
LEFT = "quantization leaves it in float: take it out of the model, or use another target"
"""What to do about an operator that computes in float in a network of 8-bit integers."""


class EdgeTPU(Defaults):
    """Compiles networks that are 8-bit throughout."""

    name = "edgetpu"

    def plan(self, graph: Graph, target: Target) -> Planned | list[Unsupported]:
        """Refuse operators that compute in anything but 8-bit integers, have no fixed size, or are not in LiteRT.

        A network of which the Edge TPU supports nothing is refused, too.
        """
        found = operators.unsupported(graph)
        known = {item.index for item in found}
        for index, operator in enumerate(graph.operators):
            if index not in known and (refused := _refused(graph, index)):
                found.append(Unsupported(index, operator.op, *refused))
        if graph.is_quantized:  # the conversions are there because of the others
            inner = [item for item in found if item.operator not in delegates.BOUNDARY]
            found = [replace(item, remedy=LEFT) if item.remedy == RECIPES else item for item in inner or found]
        if not found and graph.operators:
            advice = delegates.advise(graph, delegates.load(DELEGATE))
            if not any(v.taken for v in advice.verdicts):
                first = advice.verdicts[0]
                reason = f"the Edge TPU could take no operator; of the first: {first.reason}"
                found.append(Unsupported(0, first.operator, reason, "use another target"))
        return found or Planned(graph, target)

    def build(self, planned: Planned, request: Request) -> Artifact:
        """See :class:`edgekit.backends.Backend`. Without the vendor's compiler the network is ready for it."""
        graph, target, folder, progress = planned.graph, planned.target, request.folder, request.progress
        tflite.write(fixed(graph), folder / NETWORK)
        runner_build.put(resources.folder("firmware_stubs") / "linux" / "run.py", folder, "run.py", 0o755)
        runtime = f"litert {litert_version()} with libedgetpu"
        try:
            tool = toolchain.load("edgetpu-compiler").find()
        except ToolMissing as missing:
            progress.warn(f"{target.name}: not compiled for the Edge TPU: {missing.message}; {missing.hint}")
            return Artifact({}, Execution(network=NETWORK), runtime)
        progress.step("compile for the Edge TPU")
        made = vendor.compile(tool, folder / NETWORK, folder / COMPILED)
        write_text(folder / REPORT, dumps({"schema": 1, **made.json()}) + "\n")
        advice = delegates.advise(graph, delegates.load(DELEGATE))
        expected = sum(v.taken for v in advice.verdicts)
        if made.mapped != expected:
            progress.warn(
                f"{target.name}: the vendor's compiler maps {made.mapped} operators, but the published list "
                f"predicts {expected}"
            )
        return Artifact({"edgetpu_compiler": made.version}, Execution(network=NETWORK), runtime)


def fixed(graph: Graph) -> Graph:
    """The network with the sizes it has now, none of them free: the compiler takes no other."""
    result = copy.deepcopy(graph)
    for subgraph in result.subgraphs:
        for tensor in subgraph.tensors:
            tensor.shape_signature = None
    return result


def _refused(graph: Graph, index: int) -> tuple[str, str] | None:
    """Why the operator cannot be in a network for the Edge TPU at all, and what to do."""
    operator = graph.operators[index]
    node = Node(graph, operator, INTEGERS)
    if reason := refusal(node, ("constant_shapes",)):
        return reason, "convert the model with fixed sizes"
    if operator.op in delegates.BOUNDARY and _at_the_edge(graph, index):
        return None
    values = [t for t in (*node.runtime, *node.outputs) if t.dtype in VALUES and not t.is_variable]
    wide = next((t.dtype for t in values if t.dtype not in INTEGERS), None)
    return (f"it computes in {wide}, and the Edge TPU in 8-bit integers only", RECIPES) if wide else None


def _at_the_edge(graph: Graph, index: int) -> bool:
    """True for what turns the network's float inputs into integers, or integers into its float outputs."""
    operator = graph.operators[index]
    return set(operator.inputs) <= set(graph.main.inputs) or set(operator.outputs) <= set(graph.main.outputs)
