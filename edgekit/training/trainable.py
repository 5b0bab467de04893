"""A float Graph as a differentiable function: its parameters are variables, its batch size is open.

:func:`check` needs no TensorFlow and says, before any work, what cannot be trained. :class:`Trainable` imports
TensorFlow, so make one in a child only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from edgekit.errors import ModelError
from edgekit.graph import Graph, Operator
from edgekit.graph.edit import with_values
from edgekit.graph.floats import restore
from edgekit.sandbox import environment
from edgekit.training.analysis import activations, check, parameters
from edgekit.training.operators import FUSED, OPERATORS, Call

__all__ = ["Hooks", "Trainable", "check", "parameters"]

_MISFITS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)
"""What TensorFlow, or a function of an operator, raises on inputs, shapes or options that make no sense."""


@dataclass(frozen=True)
class Hooks:
    """What is put around tensors, by their index in the main subgraph: fake quantization, masks, recording.

    :param weight: applied to a constant each time before an operator uses it.
    :param activation: applied to a network input, or to an operator's output after its fused activation; both are
        ``[n, *shape]``, a sample being a whole tensor of the Graph: ``[n, 1, ...]`` where its first dimension is 1.
    """

    weight: Mapping[int, Callable[[Any], Any]] = field(default_factory=dict)
    activation: Mapping[int, Callable[[Any], Any]] = field(default_factory=dict)


class Trainable:
    """The main subgraph as a function with gradients, of n samples at once.

    :param graph: a float Graph; float16 and hybrid int8 weights are brought back to float32 first, and ``graph`` of
        this object is the restored one: tensor indices are its.
    :param dtype: what is computed in; ``float64`` is for checking gradients.
    :raises ModelError: as :func:`check`.
    """

    def __init__(self, graph: Graph, dtype: str = "float32") -> None:
        check(graph)
        tf = environment.tensorflow()
        self.tf: Any = tf
        self.dtype = dtype
        self.graph, _ = restore(graph)
        tensors = self.graph.tensors
        self.variables: dict[int, Any] = {
            i: tf.Variable(tensors[i].array().astype(dtype), name=f"p{i}") for i in parameters(self.graph)
        }
        self._flowing = activations(self.graph)
        self._fixed = {
            i: t.array().astype(self._dtype(i))
            for i, t in enumerate(tensors)
            if t.data is not None and i not in self.variables
        }

    def __call__(
        self, inputs: Sequence[Any], *, hooks: Hooks = Hooks(), wanted: Sequence[int] | None = None
    ) -> list[Any]:
        """Return the network's outputs for n samples.

        :param inputs: one array an input, ``[n, *shape]`` without the shape's first dimension where that is 1; float
            or integer as the input is.
        :param wanted: indices of the activations to return instead of the outputs.
        :returns: one tensor an output, in the inputs' form.
        :raises ModelError: naming the input or the operator whose shapes do not fit.
        """
        values: dict[int, Any] = {}
        for index, x in zip(self.graph.main.inputs, inputs, strict=True):
            values[index] = _hooked(hooks.activation, index, self._samples(index, x))
        for number, operator in enumerate(self.graph.operators):
            given = [self._read(values, hooks, i) for i in operator.inputs]
            for index, y in zip(operator.outputs, self._run(number, operator, given), strict=True):
                values[index] = _hooked(hooks.activation, index, y)
        return [self._without_one(values, i) for i in (self.graph.main.outputs if wanted is None else wanted)]

    def _dtype(self, index: int) -> str:
        dtype = self.graph.tensors[index].dtype
        return self.dtype if dtype == "float32" else dtype

    def _samples(self, index: int, x: Any) -> Any:
        """Return an input ``[n, *shape]`` of the Graph's shape and dtype."""
        tensor = self.graph.tensors[index]
        given = self.tf.convert_to_tensor(x)
        if given.shape[1:].num_elements() not in (None, tensor.elements):
            raise ModelError(f"{tensor.name!r} is {list(tensor.shape)}, but a sample is {list(given.shape[1:])}")
        return self.tf.reshape(self.tf.cast(given, self._dtype(index)), (-1, *tensor.shape))

    def _without_one(self, values: Mapping[int, Any], index: int) -> Any:
        value, shape = values[index], self.graph.tensors[index].shape
        if index not in self._flowing:
            value = value[None]
        return self.tf.reshape(value, (-1, *shape[1:])) if shape[:1] == (1,) else value

    def _read(self, values: Mapping[int, Any], hooks: Hooks, index: int) -> Any:
        """Return an operator's input; None where absent, and for state, which is 0 before each sample."""
        if index in values:
            return values[index]
        if index < 0 or self.graph.tensors[index].is_variable:
            return None
        constant = self.variables[index] if index in self.variables else self._fixed[index]
        return _hooked(hooks.weight, index, constant)

    def _run(self, number: int, operator: Operator, given: list[Any]) -> list[Any]:
        """Return the operator's outputs, with their shapes and dtypes checked against the Graph's."""
        tensors = self.graph.tensors
        kind = OPERATORS[operator.op]
        flows = [i in self._flowing for i in operator.inputs]
        shapes = [tensors[i].shape if i >= 0 else () for i in operator.inputs]
        outputs = [tensors[i].shape for i in operator.outputs]
        call = Call(self.tf, given, flows, shapes, operator.options, outputs, self._dtype(operator.outputs[0]))
        try:
            found = kind.run(call)
        except (*_MISFITS, self.tf.errors.OpError) as error:
            reason = str(error).split("\n")[0][:200]
            raise ModelError(f"operator {number} ({operator.op}) cannot be computed: {reason}") from error
        fused = FUSED[getattr(operator.options, "fusedActivationFunction", 0) if kind.fused else 0]
        results = [fused(self.tf, y) for y in (found if isinstance(found, list) else [found])]
        for index, shape, y in zip(operator.outputs, outputs, results, strict=True):
            if not y.shape[1:].is_compatible_with(shape) or y.dtype != self._dtype(index):
                wanted = f"{self._dtype(index)} {list(shape)}"
                raise ModelError(f"operator {number} ({operator.op}) yields {y.dtype.name} {y.shape[1:]}, not {wanted}")
        return results if any(flows) else [y[0] for y in results]

    def to_graph(self) -> Graph:
        """Return a new Graph with the variables' present values; the first one stays as it was."""
        tensors = list(self.graph.tensors)
        for index, variable in self.variables.items():
            tensors[index] = with_values(tensors[index], np.asarray(variable.numpy(), np.float32))
        main = replace(self.graph.main, tensors=tensors)
        return replace(self.graph, subgraphs=[main, *self.graph.subgraphs[1:]])


def _hooked(hooks: Mapping[int, Callable[[Any], Any]], index: int, value: Any) -> Any:
    return hooks[index](value) if index in hooks else value
