"""A network with isolated operators: every operator has inputs of its own, every result is an output.

Run with the reference's intermediate values as inputs, one execution checks each operator in isolation, so that
rounding differences cannot add up along the network.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from edgekit.graph.edit import folded
from edgekit.graph.ir import Graph, Operator, Subgraph
from edgekit.graph.onnx_operators import from_onnx

MAX_OPERATORS = 20_000
_STATEFUL = {"SVDF", "LSTM", "RNN", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN",
             "BIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_RNN", "VAR_HANDLE", "READ_VARIABLE",
             "ASSIGN_VARIABLE", "CALL_ONCE", "WHILE", "IF", "CALL", "RANDOM_UNIFORM", "RANDOM_STANDARD_NORMAL",
             "MULTINOMIAL"}  # fmt: skip


@dataclass(frozen=True)
class Exploded:
    """The taken-apart Graph, and whose values its inputs and outputs are: tensor indices of the original."""

    graph: Graph
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    operators: tuple[int, ...]
    """For each output, the index of the operator that makes it."""


def explode(graph: Graph) -> Exploded | None:
    """Take the main subgraph apart; None if no operator can stand alone.

    Operators with state or control flow are left out, as are those whose shapes are not known. What DENSIFY and
    DEQUANTIZE make of constants is a constant in both: it is no value to be given, and no output, because XNNPACK
    unpacks such weights for its own use and writes nothing where an output would be.
    """
    main, constant = graph.main, folded(graph)
    # LiteRT aborts where two inputs, or two outputs, have one name.
    tensors = [replace(tensor, name=f"t{n}", shape_signature=None) for n, tensor in enumerate(main.tensors)]
    copies: dict[int, int] = {}
    operators: list[Operator] = []
    outputs: list[int] = []
    origin: list[int] = []
    for number, operator in enumerate(main.operators[:MAX_OPERATORS]):
        touched = [tensors[i] for i in (*operator.inputs, *operator.outputs) if i >= 0]
        custom = operator.custom and not from_onnx(operator)
        if operator.op in _STATEFUL or custom or any(t.is_variable or -1 in t.shape for t in touched):
            continue
        if any(t.dtype in ("string", "resource", "variant") for t in touched):
            continue
        fed = []
        for index in operator.inputs:
            if index < 0 or index in constant or tensors[index].data is not None or tensors[index].elements == 0:
                fed.append(index)
                continue
            if index not in copies:
                copies[index] = len(tensors)
                tensors.append(replace(tensors[index], name=f"{tensors[index].name}/given"))
            fed.append(copies[index])
        operators.append(replace(operator, inputs=tuple(fed)))
        if constant.issuperset(operator.outputs):
            continue
        outputs += operator.outputs
        origin += [number] * len(operator.outputs)
    if not operators or not copies:
        return None
    subgraph = Subgraph(main.name, tensors, operators, tuple(copies.values()), tuple(outputs))
    return Exploded(Graph([subgraph]), tuple(copies), tuple(outputs), tuple(origin))
