"""Graph -> MIL program (Core ML's language), operator by operator; runs in a sandbox child.

Core ML's convolutions and pools take pictures ``[n, c, h, w]``, TFLite's networks have ``[n, h, w, c]``. A value is
kept in the layout in which it was made, and brought into the other one (once) where somebody needs that: operators
that do not care work in the layout their inputs have, so that most networks have one transpose at each end.

Values are float16 or float32 throughout. An 8-bit activation is a pair of ``quantize`` and ``dequantize`` (iOS 17), the
form in which Core ML runs 8-bit networks; the network's own inputs and outputs are then real numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.coreml import weights
from edgekit.backends.coreml.operators import SAME_VALUES, precision
from edgekit.backends.coreml.tools import mb
from edgekit.errors import EdgekitError, ModelError
from edgekit.graph import Graph, Operator, Tensor
from edgekit.sandbox.blame import is_bug

TO_CHANNELS_FIRST, TO_CHANNELS_LAST = (0, 3, 1, 2), (0, 2, 3, 1)
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH")
HALF_MOST = float(np.finfo(np.float16).max)


@dataclass
class Value:
    """A value of the network: as the Graph has it (``plain``), or with its channels first; at least one is there."""

    plain: Any = None
    first: Any = None


@dataclass
class Made:
    """What a rule makes of an operator: one MIL variable for each output, all in the same layout."""

    variables: Sequence[Any]
    channels_first: bool = False


Rule = Callable[["Emitter", Operator], Made]


@dataclass
class Emitter:
    """The program so far, and what rules need to add to it.

    :param names: for each tensor index what its MIL variables are called.
    """

    graph: Graph
    names: dict[int, str]
    values: dict[int, Value] = field(default_factory=dict)
    constants: dict[int, Tensor] = field(default_factory=dict)
    place: str = ""
    """The operator that is being emitted, in words."""

    def __post_init__(self) -> None:
        self.half = precision(self.graph) == "float16"
        self.float = np.float16 if self.half else np.float32
        self.kind = "fp16" if self.half else "fp32"
        self.constants = {i: t for i, t in enumerate(self.graph.tensors) if t.data is not None}

    # Tensors

    def tensor(self, index: int) -> Tensor:
        """Return the Graph's tensor ``index``."""
        return self.graph.tensors[index]

    def shape(self, index: int) -> tuple[int, ...]:
        """Return the shape of the Graph's tensor ``index``."""
        return self.graph.tensors[index].shape

    def real(self, index: int) -> NDArray[Any]:
        """A constant's real values: float64, or as it is for integers without a scale."""
        tensor = self.constants[index]
        values = tensor.array()
        if tensor.has_scale and tensor.quantization is not None and values.dtype.kind in "iu":
            return tensor.quantization.dequantize(values)
        return values

    def rounded(self, values: NDArray[Any], what: str) -> NDArray[Any]:
        """``values`` in the program's precision.

        :raises ModelError: if float16 cannot hold them.
        """
        if values.dtype.kind != "f":
            return values.astype(np.int32) if values.dtype.kind in "iu" else values
        largest = np.abs(values[np.isfinite(values)]).max(initial=0.0)
        if self.half and largest > HALF_MOST:
            raise ModelError(
                f"{what} of {self.place} is too large for float16: its values reach {largest:.2g}, the largest float16 "
                f"is {HALF_MOST:g}",
                "compile it with --recipe float32",
            )
        return values.astype(self.float)

    def constant(self, index: int, order: tuple[int, ...] | None = None, shape: tuple[int, ...] | None = None) -> Any:
        """A constant as weights are stored (:mod:`.weights`), its axes reordered and then reshaped."""
        tensor = self.constants[index]
        return weights.emit(self, tensor, self.names[index], order, shape)

    def plain(self, index: int) -> Any:
        """A value in the Graph's own layout; constants too."""
        if index in self.constants:
            return self.constant(index)
        value = self.values[index]
        if value.plain is None:
            value.plain = mb.transpose(x=value.first, perm=TO_CHANNELS_LAST)
        return value.plain

    def picture(self, index: int) -> Any:
        """A value of four dimensions with its channels first; constants too."""
        if index in self.constants:
            return self.constant(index, order=TO_CHANNELS_FIRST)
        value = self.values[index]
        if value.first is None:
            value.first = mb.transpose(x=value.plain, perm=TO_CHANNELS_FIRST)
        return value.first

    def channels_first(self, indices: Sequence[int]) -> bool:
        """True if the operator should work on channels first: a computed input is there in that layout only."""
        computed = [i for i in indices if i >= 0 and i not in self.constants]
        ready = [self.values[i].first is not None for i in computed if len(self.shape(i)) == 4]
        others = [i for i in computed if len(self.shape(i)) not in (0, 4)]
        return bool(ready) and any(ready) and not others

    # Operators

    def run(self, rules: dict[str, Rule]) -> None:
        """Emit every operator in order, each by the rule of its name."""
        for number, operator in enumerate(self.graph.operators):
            if operator.op == "DEQUANTIZE" and operator.inputs[0] in self.constants:
                self.constants[operator.outputs[0]] = self.constants[operator.inputs[0]]
                continue
            result = self.tensor(operator.outputs[0]).name if operator.outputs else ""
            self.place = f"operator {number} {operator.op} ({result})"
            try:
                made = rules[operator.op](self, operator)
                for index, variable in zip(operator.outputs, made.variables, strict=False):
                    self.put(operator, index, variable, made.channels_first)
            except EdgekitError:
                raise
            except Exception as error:  # coremltools raises errors of many kinds
                if is_bug(error):
                    raise
                first = str(error).splitlines()[0] if str(error) else type(error).__name__
                raise ModelError(
                    f"operator {number} ({operator.op}) cannot be compiled for Core ML: {first}", "change the model"
                ) from error

    def put(self, operator: Operator, index: int, variable: Any, channels_first: bool) -> None:
        """Take an operator's result: its activation, its rounding to integers, its name."""
        variable = activated(variable, int(getattr(operator.options, "fusedActivationFunction", 0) or 0))
        tensor = self.tensor(index)
        if tensor.dtype in ("int8", "uint8") and not self._on_grid(operator, tensor):
            variable = self.stepped(variable, tensor)
        self.values[index] = Value(first=variable) if channels_first else Value(plain=variable)

    def _on_grid(self, operator: Operator, tensor: Tensor) -> bool:
        """True if the result's values are the input's, which have been rounded to the same steps."""
        source = self.tensor(operator.inputs[1 if operator.op == "SPLIT" else 0])
        if operator.op not in SAME_VALUES or source.dtype != tensor.dtype:
            return False
        a, b = source.quantization, tensor.quantization
        return bool(a is not None and b is not None and a.scale[0] == b.scale[0] and a.zero_point[0] == b.zero_point[0])

    def stepped(self, variable: Any, tensor: Tensor) -> Any:
        """Round to the tensor's integers and back."""
        q = tensor.quantization
        assert q is not None
        scale, zero = self.float(q.scale[0]), np.dtype(tensor.dtype).type(q.zero_point[0])
        if self.half and float(scale) < weights.SMALLEST_HALF:
            raise ModelError(
                f"the quantization step of {tensor.name!r} is too small for float16", "compile it with --recipe float16"
            )
        integers = mb.quantize(input=variable, scale=scale, zero_point=zero, output_dtype=tensor.dtype)
        return mb.dequantize(input=integers, scale=scale, zero_point=zero)


def activated(variable: Any, number: int) -> Any:
    """A fused activation, by its number in TFLite's schema."""
    kind = ACTIVATIONS[number]
    if kind == "NONE":
        return variable
    if kind == "RELU_N1_TO_1":
        half = _half(variable)
        return mb.clip(x=variable, alpha=half(-1), beta=half(1))
    return {"RELU": mb.relu, "RELU6": mb.relu6, "TANH": mb.tanh}[kind](x=variable)


def _half(variable: Any) -> Callable[[float], Any]:
    from edgekit.backends.coreml.tools import types

    return np.float16 if variable.dtype == types.fp16 else np.float32
