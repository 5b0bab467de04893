"""An ONNX file with float16 arithmetic, rewritten so that float16 is what is computed.

ONNX Runtime's provider for processors has hardly any float16 kernels: it computes in float32 and drops the casts
between two operators, so that a value beyond float16 passes unnoticed. Here every float16 value becomes a float32 one
that is rounded to float16 where it is made, by a pair of casts that ONNX Runtime keeps because the model asks for it.
Sums inside an operator stay in float32, as tensor cores keep them.
"""

from __future__ import annotations

from typing import Any

from edgekit.errors import DeviceError

FLOAT, HALF = 1, 10
"""TensorProto's data types."""


def rounding(model: Any) -> Any:
    """Return the model with float16 as rounded float32; a model without float16 comes back as it is.

    :param model: ``onnx.ModelProto``; :returns: another one. Inputs and outputs keep their types.
    :raises DeviceError: if it has control flow.
    """
    import onnx

    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True).graph
    ports = {value.name: value.type.tensor_type.elem_type for value in (*inferred.input, *inferred.output)}
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.value_info} | ports
    types |= {tensor.name: tensor.data_type for tensor in inferred.initializer}
    if HALF not in types.values():
        return model
    made = onnx.ModelProto()
    made.CopyFrom(model)
    graph = made.graph
    del graph.value_info[:]
    for tensor in graph.initializer:
        _widen(tensor)
    nodes = list(graph.node)
    del graph.node[:]
    for name, kind in ports.items():
        if kind == HALF:
            raise DeviceError(f"model.onnx has the float16 input or output {name!r}", "compile the bundle again")
    for number, node in enumerate(nodes):
        for attribute in node.attribute:
            if attribute.type in (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS):
                raise DeviceError("model.onnx has control flow, which is not run in float16", "use --backend tensorrt")
            if attribute.type == onnx.AttributeProto.TENSOR:
                _widen(attribute.t)
            elif attribute.name in ("to", "dtype") and attribute.i == HALF:
                attribute.i = FLOAT
        halves = [name for name in node.output if name and types.get(name) == HALF]
        for name in halves:
            node.output[list(node.output).index(name)] = f"{name}/wide"
        graph.node.append(node)
        for place, name in enumerate(halves):
            half, label = f"{name}/half", f"rounded_{number}_{place}"
            graph.node.append(onnx.helper.make_node("Cast", [f"{name}/wide"], [half], f"{label}_down", to=HALF))
            graph.node.append(onnx.helper.make_node("Cast", [half], [name], f"{label}_up", to=FLOAT))
    return made


def _widen(tensor: Any) -> None:
    import numpy as np
    import onnx

    if tensor.data_type == HALF:
        name = tensor.name
        tensor.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor).astype(np.float32), name))
