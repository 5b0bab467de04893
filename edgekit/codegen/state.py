"""Resource variables: VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE and CALL_ONCE become tensors that outlive a run.

An operator that reads a variable's value reads its tensor, and one that computes the next value by moving elements
writes it, where no one can tell; elsewhere the value is copied (:data:`COPY`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.graph import Graph, Operator, Subgraph, Tensor

COPY = "edgekit.copy"
"""An operator of edgekit's own: its output's values are its input's."""
RESOURCES = ("VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE")
MOVED = ("SLICE", "STRIDED_SLICE", "CONCATENATION")
"""Operators that may write the next value into a variable."""
Key = tuple[str, str]
"""A variable's container and name."""


class Unresolved(Exception):
    """Why an operator on a variable cannot be lowered: ``operator`` is the one, the message the reason."""

    def __init__(self, operator: Operator, reason: str) -> None:
        super().__init__(reason)
        self.operator, self.reason = operator, reason


@dataclass(frozen=True)
class Resolved:
    """A graph without resources.

    :param nodes: for each operator its index in the graph before. :param initial: values of variables by tensor.
    """

    graph: Graph
    nodes: list[int]
    initial: dict[int, NDArray[Any]]


def resolved(graph: Graph) -> Resolved:
    """Put tensors in the place of resource variables.

    :raises Unresolved: if one has no known initial value, or is used in ways that this does not know.
    """
    main = graph.main
    if not any(o.op in RESOURCES for o in main.operators):
        return Resolved(graph, list(range(len(main.operators))), {})
    work = _Variables(graph)
    operators, nodes = [], []
    for node, operator in enumerate(main.operators):
        for kept in work.rewritten(node, operator):
            operators.append(kept)
            nodes.append(node)
    made = replace(main, tensors=work.tensors, operators=operators)
    return Resolved(replace(graph, subgraphs=[made, *graph.subgraphs[1:]]), nodes, work.initial)


def unsupported(graph: Graph, operator: Operator) -> str:
    """Why an operator on variables has no kernel; empty if it has one."""
    try:
        resolved(graph)
    except Unresolved as error:
        return error.reason if error.operator is operator else "a variable of the network cannot be compiled"
    return ""


class _Variables:
    def __init__(self, graph: Graph) -> None:
        self.main, self.tensors = graph.main, list(graph.main.tensors)
        self.initial: dict[int, NDArray[Any]] = {}
        self.uses: dict[int, list[int]] = {}
        self.makers: dict[int, int] = {}
        for node, operator in enumerate(self.main.operators):
            for index in operator.inputs:
                self.uses.setdefault(index, []).append(node)
            self.makers |= dict.fromkeys(operator.outputs, node)
        self.handles = dict(_handles(self.main))
        values = self._initial_values(graph)
        self.variables = {key: self._variable(key, values) for key in dict.fromkeys(self.handles.values())}
        self.renamed: dict[int, int] = {}
        """What operators read in place of a READ_VARIABLE's result."""
        self.reads: dict[Key, list[int]] = {}
        """When the value of a variable is read: places of operators."""
        self._read()
        self.written = dict(self._written())
        """Results that are written into a variable by the operators that make them."""

    def rewritten(self, node: int, operator: Operator) -> Iterator[Operator]:
        """What stands for an operator."""
        if operator.op in ("VAR_HANDLE", "CALL_ONCE"):
            return
        if operator.op == "READ_VARIABLE":
            if operator.outputs[0] not in self.renamed:
                yield Operator(COPY, (self._of(operator),), operator.outputs)
            return
        inputs = tuple(self.renamed.get(index, index) for index in operator.inputs)
        if operator.op == "ASSIGN_VARIABLE":
            target = self._of(operator)
            if operator.inputs[1] not in self.written and inputs[1] != target:
                yield Operator(COPY, (inputs[1],), (target,))
            return
        if any(index in self.handles for index in (*operator.inputs, *operator.outputs)):
            raise Unresolved(operator, "it uses a variable in another way than to read and assign it")
        outputs = tuple(self.written.get(index, index) for index in operator.outputs)
        yield replace(operator, inputs=inputs, outputs=outputs)

    def _of(self, operator: Operator) -> int:
        """The tensor of the variable that an operator reads or assigns."""
        key = self.handles.get(operator.inputs[0])
        if key is None:
            raise Unresolved(operator, "its variable is not known")
        return self.variables[key]

    def _initial_values(self, graph: Graph) -> dict[Key, NDArray[Any]]:
        """What CALL_ONCE assigns, which must be constants."""
        values: dict[Key, NDArray[Any]] = {}
        for call in self.main.operators:
            if call.op != "CALL_ONCE":
                continue
            number = int(getattr(call.options, "initSubgraphIndex", 0))
            if not 0 < number < len(graph.subgraphs):
                raise Unresolved(call, "it calls a subgraph that is not there")
            body = graph.subgraphs[number]
            handles = dict(_handles(body))
            for operator in body.operators:
                if operator.op == "VAR_HANDLE":
                    continue
                if operator.op != "ASSIGN_VARIABLE" or len(operator.inputs) != 2 or operator.inputs[0] not in handles:
                    raise Unresolved(call, "it computes initial values instead of assigning constants")
                constant = body.tensors[operator.inputs[1]]
                if not constant.is_dense:
                    raise Unresolved(call, "it computes initial values instead of assigning constants")
                values[handles[operator.inputs[0]]] = constant.array()
        return values

    def _variable(self, key: Key, values: dict[Key, NDArray[Any]]) -> int:
        """Add the tensor of a variable."""
        used = list(self._values(key))
        operator = used[0][0] if used else next(o for o in self.main.operators if o.op == "VAR_HANDLE")
        if key not in values:
            raise Unresolved(operator, "its variable has no initial value")
        initial = values[key]
        forms = {
            (t.shape, t.dtype, *([float(t.quantization.scale[0]), int(t.quantization.zero_point[0])]
                                 if t.quantization and t.has_scale else []))
            for _, t in used
        }  # fmt: skip
        if len(forms) > 1 or any((t.shape, t.dtype) != (initial.shape, str(initial.dtype)) for _, t in used):
            raise Unresolved(operator, "its variable has values of different shapes, types or scales")
        quantization = used[0][1].quantization if used else None
        self.tensors.append(Tensor(key[1], initial.shape, str(initial.dtype), quantization, is_variable=True))
        self.initial[len(self.tensors) - 1] = initial
        return len(self.tensors) - 1

    def _values(self, key: Key) -> Iterator[tuple[Operator, Tensor]]:
        """The operators that read and assign a variable, with the tensor that is its value there."""
        for operator in self.main.operators:
            if operator.op not in ("READ_VARIABLE", "ASSIGN_VARIABLE"):
                continue
            reads = operator.op == "READ_VARIABLE"
            if len(operator.inputs) != (1 if reads else 2) or len(operator.outputs) != int(reads):
                raise Unresolved(operator, "its operands or options are incomplete")
            if self.handles.get(operator.inputs[0]) == key:
                yield operator, self.main.tensors[operator.outputs[0] if reads else operator.inputs[1]]

    def _read(self) -> None:
        """Find results of READ_VARIABLE that the variable itself can stand for: all are read before it is assigned."""
        for node, operator in enumerate(self.main.operators):
            if operator.op != "READ_VARIABLE" or operator.inputs[0] not in self.handles:
                continue
            key, result = self.handles[operator.inputs[0]], operator.outputs[0]
            uses = self.uses.get(result, [])
            later = [a for a in self._assigned(key) if a > node]
            times = self.reads.setdefault(key, [])
            if result in self.main.outputs or (later and uses and uses[-1] > later[0]):
                times.append(node)
            else:
                self.renamed[result] = self.variables[key]
                times += uses

    def _assigned(self, key: Key) -> list[int]:
        return [
            node for node, o in enumerate(self.main.operators)
            if o.op == "ASSIGN_VARIABLE" and self.handles.get(o.inputs[0]) == key
        ]  # fmt: skip

    def _written(self) -> Iterator[tuple[int, int]]:
        """Results that are moved together for one assignment only, with nothing reading the old value after that."""
        for key, variable in self.variables.items():
            for node in self._assigned(key):
                value = self.main.operators[node].inputs[1]
                maker = self.makers.get(value, -1)
                alone = self.uses[value] == [node] and value not in self.main.outputs and maker >= 0
                if not alone or self.main.operators[maker].op not in MOVED:
                    continue
                others = [a for a in self._assigned(key) if maker < a < node]
                if not others and not any(maker <= time <= node for time in self.reads.get(key, [])):
                    yield value, variable


def _handles(subgraph: Subgraph) -> Iterator[tuple[int, Key]]:
    """Resource tensors and the variables that they stand for."""
    for operator in subgraph.operators:
        if operator.op == "VAR_HANDLE" and operator.outputs:
            container, name = (getattr(operator.options, field, None) or b"" for field in ("container", "sharedName"))
            yield operator.outputs[0], (_text(container), _text(name))


def _text(name: bytes | str) -> str:
    return name if isinstance(name, str) else name.decode(errors="replace")


def start(tensor: Tensor) -> NDArray[Any]:
    """The values of a variable tensor before the first run; ``ResetVariableTensor``: 0, and what means 0 in int8."""
    zero = int(tensor.quantization.zero_point[0]) if tensor.dtype == "int8" and tensor.quantization else 0
    return np.full(tensor.shape, zero, np.dtype(tensor.dtype))
