"""A mixed-precision graph, put together operator by operator from several quantizations of a network.

A quantizer keeps a network's operators in their order, and adds QUANTIZE and DEQUANTIZE between them. So the
operators of a float Graph and of its quantized Graphs belong together by their place, and any of them can be taken
from any of these Graphs, with its own constants and its own scales. Where two neighbours do not agree on the form of
the value between them, a QUANTIZE (also from integers to integers) or a DEQUANTIZE is put there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from edgekit.errors import ModelError
from edgekit.graph.ir import Graph, Operator, Subgraph, Tensor

BORDERS = ("QUANTIZE", "DEQUANTIZE")
FLOAT = "float32"
_Form = tuple[str, bytes, bytes]


@dataclass(frozen=True)
class Mixture:
    """The network that was put together.

    :param values: for each of its activations, the tensor of the float Graph that it stands for.
    :param origin: for each of its operators, the operator of the float Graph; -1 for QUANTIZE and DEQUANTIZE.
    """

    graph: Graph
    values: dict[int, int]
    origin: tuple[int, ...]

    def outputs_of(self, operator: int) -> tuple[int, ...]:
        """The tensors that a float operator's counterpart makes."""
        return self.graph.operators[self.origin.index(operator)].outputs


def counterparts(graph: Graph, version: Graph) -> list[int]:
    """For each operator of the float Graph, its counterpart's index in a quantized Graph of it.

    :raises ModelError: if the two do not have the same operators.
    """
    found = [i for i, operator in enumerate(version.operators) if operator.op not in BORDERS]
    if [o.op for o in graph.operators] != [version.operators[i].op for i in found]:
        raise ModelError("the quantized network's operators differ from the float network's")
    return found


def is_float(graph: Graph, operator: int, version: Graph, counterpart: int) -> bool:
    """True if the counterpart computes as the float operator does: the same dtypes in and out, the same constants'."""
    a, b = graph.operators[operator], version.operators[counterpart]
    pairs = zip((*a.inputs, *a.outputs), (*b.inputs, *b.outputs), strict=True)
    return all(i < 0 or graph.tensors[i].dtype == version.tensors[j].dtype for i, j in pairs)


def mix(graph: Graph, versions: Mapping[str, Graph], choice: Sequence[str], *, io: str = "") -> Mixture:
    """Assemble a mixed-precision graph.

    :param graph: the float Graph.
    :param versions: quantized Graphs of it, by name (``int8``, ...); ``float32`` always names ``graph`` itself.
    :param choice: for each operator the version it is taken from.
    :param io: ``float32`` gives float inputs and outputs; otherwise they are what the operators there compute with.
    :raises ModelError: if a version has other operators than ``graph``.
    """
    return _Mixer(graph, versions, choice).mixed(io)


@dataclass
class _Part:
    """An operator and the Graph it is taken from."""

    operator: Operator
    graph: Graph
    version: str


@dataclass
class _Mixer:
    graph: Graph
    versions: Mapping[str, Graph]
    choice: Sequence[str]
    tensors: list[Tensor] = field(default_factory=list)
    operators: list[Operator] = field(default_factory=list)
    origin: list[int] = field(default_factory=list)
    values: dict[int, int] = field(default_factory=dict)
    forms: dict[int, dict[_Form, int]] = field(default_factory=dict)
    copies: dict[tuple[str, int], int] = field(default_factory=dict)

    def mixed(self, io: str) -> Mixture:
        main = self.graph.main
        parts = self._parts()
        inputs = [self._produce(t, self._wanted(t, parts) if io != FLOAT else main.tensors[t]) for t in main.inputs]
        for number, part in enumerate(parts):
            self._add(number, part)
        outputs = [self._value(t, main.tensors[t]) if io == FLOAT else self._first(t) for t in main.outputs]
        subgraph = Subgraph(main.name, self.tensors, self.operators, tuple(inputs), tuple(outputs))
        places = dict(zip((*main.inputs, *main.outputs), (*inputs, *outputs), strict=True))
        signatures = [
            s
            if s.subgraph
            else replace(
                s,
                inputs={n: places[t] for n, t in s.inputs.items() if t in places},
                outputs={n: places[t] for n, t in s.outputs.items() if t in places},
            )
            for s in self.graph.signatures
        ]
        made = replace(self.graph, subgraphs=[subgraph, *self.graph.subgraphs[1:]], signatures=signatures)
        return Mixture(made, self.values, tuple(self.origin))

    def _parts(self) -> list[_Part]:
        places = {name: counterparts(self.graph, g) for name, g in self.versions.items() if name in self.choice}
        parts = []
        for number, (operator, name) in enumerate(zip(self.graph.operators, self.choice, strict=True)):
            if name == FLOAT or is_float(self.graph, number, self.versions[name], places[name][number]):
                parts.append(_Part(operator, self.graph, FLOAT))
            else:
                version = self.versions[name]
                parts.append(_Part(version.operators[places[name][number]], version, name))
        return parts

    def _wanted(self, tensor: int, parts: list[_Part]) -> Tensor:
        """The form in which the first operator that reads a network's input wants it."""
        for part, operator in zip(parts, self.graph.operators, strict=True):
            if tensor in operator.inputs:
                return part.graph.tensors[part.operator.inputs[operator.inputs.index(tensor)]]
        return self.graph.tensors[tensor]

    def _add(self, number: int, part: _Part) -> None:
        original = self.graph.operators[number]
        inputs = []
        for own, given in zip(original.inputs, part.operator.inputs, strict=True):
            if own < 0:
                inputs.append(-1)
            elif own in self.forms:
                inputs.append(self._value(own, part.graph.tensors[given]))
            else:  # a constant, or state
                inputs.append(self._copy(part, given))
        intermediates = tuple(self._copy(part, i) if i >= 0 else -1 for i in part.operator.intermediates)
        outputs = tuple(
            self._produce(own, part.graph.tensors[made])
            for own, made in zip(original.outputs, part.operator.outputs, strict=True)
        )
        self._append(replace(part.operator, inputs=tuple(inputs), outputs=outputs, intermediates=intermediates), number)

    def _append(self, operator: Operator, origin: int) -> None:
        self.operators.append(operator)
        self.origin.append(origin)

    def _copy(self, part: _Part, index: int) -> int:
        key = (part.version, index)
        if key not in self.copies:
            self.tensors.append(part.graph.tensors[index])
            self.copies[key] = len(self.tensors) - 1
        return self.copies[key]

    def _produce(self, own: int, like: Tensor) -> int:
        """A new activation for the float Graph's tensor ``own``, in the form of ``like``."""
        original = self.graph.tensors[own]
        new = replace(original, dtype=like.dtype, quantization=like.quantization, data=None)
        converted = own in self.forms
        self.tensors.append(replace(new, name=f"{original.name}/{like.dtype}") if converted else new)
        index = len(self.tensors) - 1
        self.forms.setdefault(own, {})[_form(like)] = index
        self.values[index] = own
        return index

    def _first(self, own: int) -> int:
        """The form in which a value is made."""
        if own not in self.forms:  # an output that is a constant
            return self._copy(_Part(self.graph.operators[0], self.graph, FLOAT), own)
        return next(iter(self.forms[own].values()))

    def _value(self, own: int, like: Tensor) -> int:
        """The activation in the form of ``like``, converted if need be."""
        if own not in self.forms or _form(like) in self.forms[own]:
            return self._first(own) if own not in self.forms else self.forms[own][_form(like)]
        source = self._first(own)
        made = self._produce(own, like)
        self._append(Operator("DEQUANTIZE" if like.dtype == FLOAT else "QUANTIZE", (source,), (made,)), -1)
        return made


def _form(tensor: Tensor) -> _Form:
    q = tensor.quantization if tensor.has_scale and not tensor.dtype.startswith("float") else None
    return (tensor.dtype, q.scale.tobytes(), q.zero_point.tobytes()) if q is not None else (tensor.dtype, b"", b"")
