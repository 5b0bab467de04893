"""The inputs and outputs of a converted network: names, order, layout and types of the ONNX model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import ModelError

if TYPE_CHECKING:
    from edgekit.graph import Graph

_NARROWED = {("int64", "int32"), ("float16", "float32")}
"""(the ONNX model's type, the converter's): what one cast at the network's end mends."""


def restore(
    graph: Graph, order: Sequence[int], permutations: Sequence[tuple[int, ...] | None], about: Mapping[str, Any],
    shown: str,
) -> None:  # fmt: skip
    """Give outputs the ONNX model's layout, order, names and types, and inputs its names, order and types.

    :param order: which of the Graph's outputs each of the model's is; ``permutations`` what brings it back.
    :param about: what ``onnx_child`` says of the model.
    :raises ModelError: if one has another shape, or a type that a cast cannot mend.
    """
    _inputs(graph, about["inputs"], shown)
    outputs = [graph.main.outputs[index] for index in order]
    for position, (permutation, output) in enumerate(zip(permutations, about["outputs"], strict=True)):
        if permutation:
            outputs[position] = _transposed(graph, outputs[position], permutation)
            graph.notes.append(f"output {output['name']!r} is transposed back to the ONNX model's layout")
        outputs[position] = _output(graph, outputs[position], output, shown)
    graph.main.outputs = tuple(outputs)
    if any(len(value["shape"]) == 4 for value in about["inputs"]):
        graph.notes.append("images keep the ONNX model's own layout (usually NCHW): pass --data in that layout")
    _sign(graph, about)


def name_ends(graph: Graph, about: Mapping[str, Any]) -> None:
    """Give a network of ONNX operators the file's names for its inputs and outputs."""
    for indices, values in ((graph.main.inputs, about["inputs"]), (graph.main.outputs, about["outputs"])):
        for index, value in zip(indices, values, strict=True):
            graph.tensors[index].name = value["name"]
    _sign(graph, about)


def _sign(graph: Graph, about: Mapping[str, Any]) -> None:
    from edgekit.graph import Signature

    inputs, outputs = (
        dict(zip([value["name"] for value in about[side]], indices, strict=True))
        for side, indices in (("inputs", graph.main.inputs), ("outputs", graph.main.outputs))
    )
    graph.signatures = [Signature("serving_default", inputs, outputs)]


def _inputs(graph: Graph, wanted: Sequence[Mapping[str, Any]], shown: str) -> None:
    names = {graph.tensors[index].name: index for index in graph.main.inputs}
    if {value["key"] for value in wanted} <= set(names):
        inputs = [names[value["key"]] for value in wanted]
    elif len(names) == len(wanted):
        inputs = list(graph.main.inputs)
    else:
        raise ModelError(f"{shown}: the converter dropped inputs that have no effect: keep {sorted(names)} only")
    for position, value in enumerate(wanted):
        tensor = graph.tensors[inputs[position]]
        tensor.name = value["name"]
        if tensor.shape != tuple(value["shape"]):
            raise ModelError(
                f"{shown} was converted wrongly: input {value['name']!r} of {value['operator']} changed its shape"
            )
        if tensor.dtype != value["dtype"]:
            _check_cast(graph, "input", value, tensor.dtype, shown)
            inputs[position] = _cast(graph, inputs[position], value["dtype"], at_input=True)
    graph.main.inputs = tuple(inputs)


def _output(graph: Graph, index: int, wanted: Mapping[str, Any], shown: str) -> int:
    """Name output ``index`` and mend its type; return what it is then."""
    tensor = graph.tensors[index]
    tensor.name = wanted["name"]
    if 0 not in wanted["shape"] and tensor.shape != tuple(wanted["shape"]):
        raise ModelError(
            f"{shown} was converted wrongly: output {wanted['name']!r} of {wanted['operator']} has the shape "
            f"{list(tensor.shape)}, not {wanted['shape']}"
        )
    if 0 in tensor.shape:
        raise ModelError(f"{shown}: output {wanted['name']!r} of {wanted['operator']} holds nothing: a size is 0")
    if tensor.dtype == wanted["dtype"]:
        return index
    _check_cast(graph, "output", wanted, tensor.dtype, shown)
    return _cast(graph, index, wanted["dtype"], at_input=False)


def _check_cast(graph: Graph, end: str, value: Mapping[str, Any], dtype: str, shown: str) -> None:
    who = f"{end} {value['name']!r} of {value['operator']}"
    if (value["dtype"], dtype) not in _NARROWED:
        raise ModelError(f"{shown}: the converter would make {who} {dtype} instead of {value['dtype']}")
    graph.notes.append(f"{who} is {value['dtype']} and computed in {dtype}")


def _cast(graph: Graph, index: int, dtype: str, *, at_input: bool) -> int:
    """Put a CAST to or from ``dtype`` at tensor ``index``; return the tensor that now is the network's end."""
    from edgekit.graph import Operator, Tensor
    from edgekit.graph.tflite import schema

    inner = graph.tensors[index]
    end = Tensor(inner.name, inner.shape, dtype)
    inner.name += f"_{inner.dtype}"
    graph.tensors.append(end)
    place = len(graph.tensors) - 1
    codes = vars(schema().TensorType)
    options = schema().CastOptionsT()
    options.inDataType, options.outDataType = (
        codes[d.upper()] for d in ((dtype, inner.dtype) if at_input else (inner.dtype, dtype))
    )
    if at_input:
        graph.operators.insert(0, Operator("CAST", (place,), (index,), options))
    else:
        graph.operators.append(Operator("CAST", (index,), (place,), options))
    return place


def _transposed(graph: Graph, index: int, permutation: Sequence[int]) -> int:
    """Append a TRANSPOSE of tensor ``index``; return the index of its result."""
    from edgekit.graph import Operator, Tensor
    from edgekit.graph.tflite import schema

    source = graph.tensors[index]
    order = np.array(permutation, "<i4")
    shape = tuple(source.shape[axis] for axis in permutation)
    result = Tensor(source.name, shape, source.dtype, source.quantization)
    source.name += "_channels_last"
    constant = Tensor(f"{source.name}_permutation", (len(order),), "int32", data=order.view(np.uint8).copy())
    graph.tensors.extend([constant, result])
    position = len(graph.tensors) - 1
    graph.operators.append(Operator("TRANSPOSE", (index, position - 1), (position,), schema().TransposeOptionsT()))
    return position
