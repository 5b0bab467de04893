"""Checks what vela left: does the compiled network still stand for the whole original, and where is what computed.

Nothing here executes Ethos-U commands. What can be seen without: inputs and outputs are the same; the operators left to
the CPU are the original's, with the same options, constants and quantization; and each custom operator stands for the
operators between its inputs and its outputs, so that every operator of the original is somewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edgekit.backends.vela.compiler import Compiled, named
from edgekit.errors import EdgekitError, ModelError
from edgekit.graph import Graph, Operator, Quantization, Tensor, flatbuffer
from edgekit.graph.edit import compact
from edgekit.graph.tflite_reader import Reader

CUSTOM = "ethos-u"
COMMANDS = b"COP"
"""How a command stream begins: the driver's container, version 1 or 2."""
_COMMANDS, _CONSTANTS, _SCRATCH = 0, 1, (2, 3)
"""Inputs of the custom operator: its commands, the constants, the arena (twice where there is no fast one)."""
ON_CPU = "Passthrough"
"""What vela's tables call an operator that it leaves to the CPU."""
COPY = "_copy"
"""What vela appends to a tensor's name for a copy that the NPU makes of it for the core."""
MOVES = frozenset({
    "CONCATENATION", "EXPAND_DIMS", "PACK", "PAD", "PADV2", "RESHAPE", "SLICE", "SPLIT", "SPLIT_V", "SQUEEZE",
    "STRIDED_SLICE", "TRANSPOSE", "UNPACK",
})  # fmt: skip
"""Operators that need no operation of their own: the next one reads, or the one before writes, at other addresses."""


class Different(EdgekitError):
    """The compiled network does not stand for the original."""


@dataclass(frozen=True)
class Part:
    """Operators that run together, on the NPU or on the CPU: indices of the original network.

    :param inputs, outputs: the tensors that cross its border, indices of the original network.
    """

    npu: bool
    operators: tuple[int, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read(data: bytes) -> Graph:
    """Read a compiled network: its scratch tensors are inputs that nothing computes, so it is not checked as usual.

    :raises ModelError: if it is damaged.
    """
    flatbuffer.verify(data)
    try:
        return Reader(data).graph()
    except (IndexError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"the compiled network is damaged: {error!r}") from error


def parts(original: Graph, data: bytes) -> tuple[Part, ...]:
    """Return the parts of a compiled network, in the order of execution.

    :raises Different: if it does not stand for the original, naming the first difference.
    """
    return _Comparison(named(original), read(data)).parts()


def unaccounted(original: Graph, compiled: Compiled, found: Iterable[Part]) -> list[int]:
    """Operators of the NPU's parts that compute, and of which vela lists no operation."""
    sources = {operation.source for operation in compiled.operations if operation.operator != ON_CPU}
    missing = [n for part in found if part.npu for n in part.operators if n not in sources]
    return sorted({n for n in missing if original.operators[n].op not in MOVES})


def on_cpu(graph: Graph, operators: Sequence[int]) -> Part:
    """Return operators as a part of their own on the CPU."""
    chosen = [graph.operators[n] for n in operators]
    made = {i for operator in chosen for i in operator.outputs}
    read = dict.fromkeys(i for operator in chosen for i in operator.inputs if i >= 0)
    tensors = graph.tensors
    fed = tuple(i for i in read if i not in made and tensors[i].data is None and not tensors[i].is_variable)
    others = [o for n, o in enumerate(graph.operators) if n not in set(operators)]
    wanted = {*graph.main.outputs, *(i for o in others for i in o.inputs)}
    return Part(False, tuple(operators), fed, tuple(sorted(made & wanted)))


def extracted(graph: Graph, part: Part) -> Graph:
    """Return a part as a network of its own. Its tensors keep their names."""
    main = named(graph).main
    operators = [main.operators[n] for n in part.operators]
    return compact(Graph([replace(main, operators=operators, inputs=part.inputs, outputs=part.outputs)]))


class _Comparison:
    """The original network beside the compiled one, whose tensors are known by name."""

    def __init__(self, original: Graph, compiled: Graph) -> None:
        self.original, self.compiled = original, compiled
        self.index = {tensor.name: n for n, tensor in enumerate(original.tensors)}
        self.npu = {i for o in compiled.operators if o.custom and o.op == CUSTOM for i in o.outputs}
        self.makers = {index: n for n, operator in enumerate(original.operators) for index in operator.outputs}

    def parts(self) -> tuple[Part, ...]:
        if len(self.compiled.subgraphs) != len(self.original.subgraphs):
            raise Different("it has another number of subgraphs")
        self._ends("input", self.original.inputs, self.compiled.inputs)
        self._ends("output", self.original.outputs, self.compiled.outputs)
        found: list[Part] = []
        run: list[int] = []
        for operator in self.compiled.operators:
            if operator.custom and operator.op == CUSTOM:
                found += [*self._on_cpu(run), self._on_npu(operator)]
                run = []
            else:
                run.append(self._same_operator(operator))
        found += self._on_cpu(run)
        self._complete(found)
        return tuple(found)

    def _ends(self, kind: str, originals: Sequence[Tensor], compiled: Sequence[Tensor]) -> None:
        if [t.name for t in originals] != [t.name for t in compiled]:
            raise Different(f"its {kind}s are others")
        for a, b in zip(originals, compiled, strict=True):
            self._same_tensor(a, b)

    def _same_tensor(self, a: Tensor, b: Tensor) -> None:
        if a.dtype != b.dtype or a.shape != b.shape:
            raise Different(f"{a.name!r} is {b.dtype} {list(b.shape)}, not {a.dtype} {list(a.shape)}")
        if not _same_scales(a.quantization, b.quantization):
            raise Different(f"the quantization of {a.name!r} is another")
        if (a.data is None) != (b.data is None) or (a.data is not None and not np.array_equal(a.data, b.data)):  # type: ignore[arg-type]
            raise Different(f"the constant {a.name!r} is another")

    def _number(self, index: int) -> int:
        """The original's index of a tensor of the compiled network; -1 for an absent one."""
        if index < 0:
            return -1
        name = self.compiled.tensors[index].name
        if name not in self.index and index in self.npu:
            name = name.removesuffix(COPY)
        if name not in self.index:
            raise Different(f"it has a tensor {name!r} that the network has not")
        number = self.index[name]
        self._same_tensor(self.original.tensors[number], self.compiled.tensors[index])
        return number

    def _same_operator(self, operator: Operator) -> int:
        """Return the index of the original operator that this one on the CPU is."""
        outputs = tuple(map(self._number, operator.outputs))
        number = self.makers.get(outputs[0], -1) if outputs else -1
        if number < 0:
            raise Different(f"it has an operator {operator.op} on the CPU that the network has not")
        known = self.original.operators[number]
        inputs = tuple(map(self._number, operator.inputs))
        for before, after in zip(known.inputs, inputs, strict=False):
            if before != after and min(before, after) >= 0:
                a, b = (self.original.tensors[i] for i in (before, after))
                raise Different(
                    f"operator {number} {known.op}, on the CPU, reads {b.name!r} {list(b.shape)} instead of "
                    f"{a.name!r} {list(a.shape)}"
                )
        same = known.op == operator.op and known.custom == operator.custom and known.outputs == outputs
        same = same and known.inputs == inputs and known.custom_options == operator.custom_options
        if not same or _options(known) != _options(operator):
            raise Different(f"operator {number} {known.op}, on the CPU, is another than before")
        return number

    def _on_npu(self, operator: Operator) -> Part:
        tensors = self.compiled.tensors
        commands = tensors[operator.inputs[_COMMANDS]].data
        if commands is None or bytes(commands[:3]) != COMMANDS:
            raise Different("a custom operator has no commands")
        inputs = tuple(map(self._number, operator.inputs[_SCRATCH[-1] + 1 :]))
        outputs = tuple(map(self._number, operator.outputs))
        return Part(True, self._between(inputs, outputs), inputs, outputs)

    def _between(self, inputs: Sequence[int], outputs: Sequence[int]) -> tuple[int, ...]:
        """Return the operators that make ``outputs`` of ``inputs``."""
        found: set[int] = set()
        waiting, seen = list(outputs), set(inputs)
        while waiting:
            index = waiting.pop()
            if index < 0 or index in seen or self.original.tensors[index].data is not None:
                continue
            seen.add(index)
            maker = self.makers.get(index)
            if maker is None:
                raise Different(f"a custom operator computes without {self.original.tensors[index].name!r}")
            found.add(maker)
            waiting += self.original.operators[maker].inputs
        return tuple(sorted(found))

    def _on_cpu(self, operators: Sequence[int]) -> list[Part]:
        return [on_cpu(self.original, operators)] if operators else []

    def _complete(self, found: Sequence[Part]) -> None:
        """Every operator on which the outputs depend is in a part, and what a part reads was computed before."""
        ready = set(self.original.main.inputs)
        for part in found:
            if missing := next((i for i in part.inputs if i not in ready), None):
                raise Different(f"{self.original.tensors[missing].name!r} is read before it is computed")
            ready.update(part.outputs)
        alive = self._between(self.original.main.inputs, self.original.main.outputs)
        there = {n for part in found for n in part.operators}
        if lost := [n for n in alive if n not in there]:
            raise Different(f"operator {lost[0]} {self.original.operators[lost[0]].op} is nowhere in it")
        if late := [i for i in self.original.main.outputs if i not in ready and self.original.tensors[i].data is None]:
            raise Different(f"the output {self.original.tensors[late[0]].name!r} is not computed")


def _options(operator: Operator) -> dict[str, object]:
    found = vars(operator.options) if operator.options is not None else {}
    return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in found.items()}


def _same_scales(a: Quantization | None, b: Quantization | None) -> bool:
    """True if both mean the same; neither may have scales at all."""
    mine, other = (q if q is not None and q.scale.size else None for q in (a, b))
    if mine is None or other is None:
        return mine is other
    same = np.array_equal(mine.scale, other.scale) and np.array_equal(mine.zero_point, other.zero_point)
    return same and (not mine.per_channel or mine.axis == other.axis)
