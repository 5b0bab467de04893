"""Networks of which a device in an FPGA computes a part, and a host beside it the rest, as C (``--split``)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from edgekit.backends import Unsupported
from edgekit.backends.divided import host, parts
from edgekit.backends.divided.parts import Parts
from edgekit.codegen.lower import lowered

if TYPE_CHECKING:
    from edgekit.codegen.kernels import Network
    from edgekit.graph import Graph

INT8 = "compile the float model with --recipe int8"
SPLIT = "add --split to leave it to the host"


def unsuitable(
    graph: Graph, missing: Callable[[Network], Sequence[tuple[int, str]]], backend: str
) -> dict[int, str]:  # fmt: skip
    """Operators that a device does not compute, with the reason.

    :param missing: these of a network of typed kernels. :param backend: its name, for reasons.
    """
    if len(graph.subgraphs) > 1:
        return dict.fromkeys(range(len(graph.operators)), f"control flow is not for {backend}")
    network = lowered(graph)
    if not isinstance(network, list):
        return dict(missing(network))
    reasons = {one.node: one.of(backend) for one in network}
    rest = parts.split(graph, reasons.keys()).device
    if rest is not None:  # what the others are like can be seen without these
        inner = unsuitable(parts.extracted(graph, rest), missing, backend)
        reasons |= {rest.operators[index]: why for index, why in inner.items()}
    return dict(sorted(reasons.items()))


def divided(
    graph: Graph, reasons: Mapping[int, str], *, split: bool, elsewhere: str
) -> tuple[Parts, Network] | list[Unsupported]:
    """The parts of a network, and the device's as typed kernels; or what keeps it from being compiled.

    :param reasons: why the device lacks operators. :param split: leave these to the host. :param elsewhere: what to do
        with a network that is not for the device.
    """
    found = parts.split(graph, reasons.keys())
    if reasons and not (split and found.device):
        remedy = SPLIT if found.device else INT8 if not graph.is_quantized else elsewhere
        return [Unsupported(index, graph.operators[index].op, why, remedy) for index, why in reasons.items()]
    if found.device is None:
        return [Unsupported(0, "network", "it has no operators", elsewhere)]
    for part in found.host:
        if left := host.unsupported(graph, part):
            return [replace(one, reason=f"it is left to the host, and {one.reason}") for one in left]
    network = lowered(parts.extracted(graph, found.device))
    assert not isinstance(network, list), network
    return found, network
