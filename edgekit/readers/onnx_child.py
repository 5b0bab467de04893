"""What runs in the sandboxed child process: check an ONNX model, fix its shapes, make it one self-contained file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import ModelError
from edgekit.readers import onnx_values, shapes
from edgekit.readers.onnx_wire import MAX_ELEMENTS, resolve

Arrays = Mapping[str, NDArray[Any]]

_TENSORS = ("float", "float16", "double", "int8", "uint8", "int16", "uint16", "int32", "int64", "uint32",
            "uint64", "bool")  # fmt: skip

_RANDOM = ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")


def prepare(args: dict[str, Any], arrays: Arrays, folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Task: return the model with fixed shapes as bytes, and what its inputs and outputs are.

    A dynamic batch becomes 1, in every input; ``args["shapes"]`` gives what else is open. ``key`` is an input's or
    output's name in the model that is returned, ``name`` in the file.
    """
    import onnx

    path, shown = Path(args["path"]), args["shown"]
    try:
        model = onnx.load(str(path), load_external_data=False)
    except Exception as error:
        raise ModelError(f"{shown} is damaged: it is not a complete ONNX model", "copy or download it again") from error
    _check_versions(onnx, model, shown)
    _check_operators(onnx, model, shown)
    _load_external(onnx, model, path)
    onnx_values.open_sizes(model.graph)
    notes = _fix_inputs(model.graph, {name: tuple(shape) for name, shape in args["shapes"].items()}, shown)
    model = _infer(onnx, model, shown)
    answer: dict[str, Any] = {
        "inputs": [_describe(onnx, value, model.graph, shown) for value in _inputs(model.graph)],
        "outputs": [_describe(onnx, value, model.graph, shown) for value in model.graph.output],
        "operators": sorted({node.op_type for node in model.graph.node}),
        "by_reference": _resizes_by_fractions(onnx, model.graph),
        "notes": notes,
    }
    if not answer["inputs"] or not answer["outputs"]:
        raise ModelError(f"{shown} has no inputs or no outputs; its operators: {', '.join(answer['operators'][:5])}")
    names = onnx_values.plain_names(model.graph)
    for value in (*answer["inputs"], *answer["outputs"]):
        value["key"] = names.get(value["name"], value["name"])
    return answer, {"model": np.frombuffer(model.SerializeToString(deterministic=True), np.uint8)}


def _check_versions(onnx: Any, model: Any, shown: str) -> None:
    known = int(onnx.defs.onnx_opset_version())
    versions = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not versions:
        raise ModelError(f"{shown} names no ONNX operator set", "export it again: opset 13 to 18 converts best")
    if max(versions) > known or min(versions) < 1:
        raise ModelError(
            f"{shown} uses ONNX operator set {max(versions)}; this edgekit reads up to {known}",
            "export the model with a lower opset, e.g. opset_version=18",
        )


def _check_operators(onnx: Any, model: Any, shown: str) -> None:
    """Name the first operator that no standard has; shape inference would only give up on it."""
    local = {(function.domain, function.name) for function in model.functions}
    for node in [*model.graph.node, *(node for function in model.functions for node in function.node)]:
        domain = "" if node.domain == "ai.onnx" else node.domain
        if not onnx.defs.has(node.op_type, domain) and (node.domain, node.op_type) not in local:
            raise ModelError(f"{shown} uses {node.op_type!r}, which is not an ONNX operator")
        if domain == "" and node.op_type in _RANDOM:
            raise ModelError(
                f"{shown} uses {node.op_type}, which draws random numbers: results could not be checked",
                "export the network for inference, or draw the numbers outside and make them an input",
            )


def _load_external(onnx: Any, model: Any, path: Path) -> None:
    """Bring weights in other files into the model; the paths were checked and are checked again here."""
    from onnx.external_data_helper import _get_all_tensors, load_external_data_for_tensor, uses_external_data

    for tensor in _get_all_tensors(model):
        if uses_external_data(tensor):
            resolve(path, next((e.value for e in tensor.external_data if e.key == "location"), ""))
            load_external_data_for_tensor(tensor, str(path.parent))
            tensor.data_location = onnx.TensorProto.DEFAULT
            del tensor.external_data[:]


def _inputs(graph: Any) -> list[Any]:
    """The graph's inputs; old files list the weights among them."""
    constants = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in constants]


def _fix_inputs(graph: Any, wanted: shapes.Shapes, shown: str) -> list[str]:
    """Fix the shapes of all inputs; those further on are inferred anew. Returns what was decided, in words."""
    tensors = [(value.name, _tensor_type(value, graph, shown)) for value in _inputs(graph)]
    for name, tensor in tensors:
        zero = any(dim.HasField("dim_value") and dim.dim_value == 0 for dim in tensor.shape.dim)
        if zero and name not in wanted and not (len(tensors) == 1 and shapes.ONLY in wanted):
            raise ModelError(
                f"{shown}: input {name!r} of {operator_of(graph, name)} holds nothing: a size is 0",
                f"if the exporter meant an open size, set it: --shape {name}=...",
            )
    settled = shapes.settle([_declared(name, tensor) for name, tensor in tensors], wanted, shown)
    for (_, tensor), shape in zip(tensors, settled.shapes, strict=True):
        tensor.ClearField("shape")
        tensor.shape.SetInParent()  # a scalar has a shape, of no dimensions
        for size in shape:
            tensor.shape.dim.add().dim_value = size
    del graph.value_info[:]
    return settled.notes


def _declared(name: str, tensor: Any) -> shapes.Declared:
    """An input as it stands in the file; some exporters write 0 or -1 where a size is open."""
    if not tensor.HasField("shape"):
        return shapes.Declared(name, None)
    return shapes.Declared(
        name, [dim.dim_value if dim.dim_value > 0 else dim.dim_param or None for dim in tensor.shape.dim]
    )


def _tensor_type(value: Any, graph: Any, shown: str) -> Any:
    if value.type.WhichOneof("value") != "tensor_type":
        who = f"{value.name!r} of {operator_of(graph, value.name)}"
        raise ModelError(f"{shown}: {who} is not a tensor", "TFLite has only tensors as inputs and outputs")
    return value.type.tensor_type


def _infer(onnx: Any, model: Any, shown: str) -> Any:
    """Inline local functions, infer all shapes anew, check the model by the standard's rules.

    The outputs' own shapes may still hold the old batch: they stay only where inference finds none.
    """
    declared = {}
    for value in model.graph.output:
        tensor = _tensor_type(value, model.graph, shown)
        if tensor.HasField("shape"):
            declared[value.name] = tensor.shape.__class__()
            declared[value.name].CopyFrom(tensor.shape)
        tensor.ClearField("shape")
    try:
        if len(model.functions):
            from onnx.inliner import inline_local_functions

            model = inline_local_functions(model)
        model = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        for value in model.graph.output:
            if not value.type.tensor_type.HasField("shape") and value.name in declared:
                value.type.tensor_type.shape.CopyFrom(declared[value.name])
        onnx.checker.check_model(model)
    except Exception as error:
        raise ModelError(f"{shown} is not a valid ONNX model: {_line(error)}") from error
    for value in [*model.graph.value_info, *model.graph.output]:
        tensor = value.type.tensor_type
        if np.prod([dim.dim_value for dim in tensor.shape.dim if dim.dim_value], dtype=object) > MAX_ELEMENTS:
            raise ModelError(f"{shown}: tensor {value.name!r} has more than {MAX_ELEMENTS} elements")
    return model


def _describe(onnx: Any, value: Any, graph: Any, shown: str) -> dict[str, Any]:
    """Name, dtype (numpy's name), shape and operator of an input or output; an unknown dimension is 0."""
    kind = value.type.tensor_type.elem_type
    name = onnx.TensorProto.DataType.Name(kind).lower() if kind in onnx.TensorProto.DataType.values() else "?"
    operator = operator_of(graph, value.name)
    if name not in _TENSORS:
        raise ModelError(f"{shown}: {value.name!r} of {operator} holds {name} values, which edgekit does not take")
    dtype = np.dtype(onnx.helper.tensor_dtype_to_np_dtype(kind)).name
    shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
    return {
        "name": value.name, "dtype": dtype, "shape": shape, "operator": operator,
        "bounded": _is_bounded(graph, value.name),
    }  # fmt: skip


_BOUNDED = {"Sigmoid", "HardSigmoid", "Softmax"}
_MOVES = {"Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Cast", "Slice", "Gather", "Concat"}


def _is_bounded(graph: Any, name: str) -> bool:
    """True if a tensor's values lie between 0 and 1 by construction: a sigmoid's or a softmax's, only moved since."""
    makers = {output: node for node in graph.node for output in node.output}
    pending, seen = [name], set()
    while pending:
        node = makers.get(pending.pop())
        if node is None:
            return False
        if node.op_type in _BOUNDED or node.output[0] in seen:
            continue
        if node.op_type not in _MOVES:
            return False
        seen.add(node.output[0])
        pending += node.input if node.op_type == "Concat" else node.input[:1]
    return True


def operator_of(graph: Any, name: str) -> str:
    """The operator that makes tensor ``name``, or the first that reads it, with its name where it has one."""
    nodes = [n for n in graph.node if name in n.output] + [n for n in graph.node if name in n.input]
    if not nodes:
        return f"no operator (there are: {', '.join(sorted({n.op_type for n in graph.node})[:5])})"
    return str(nodes[0].op_type) + (f" (node {nodes[0].name!r})" if nodes[0].name else "")


def _resizes_by_fractions(onnx: Any, graph: Any) -> bool:
    """True if a Resize with aligned corners makes a size that is not whole.

    ONNX Runtime (1.26) takes the rounded size for the corners, the standard the exact one (Resize, ``align_corners``).
    """
    constants = {tensor.name: tensor for tensor in graph.initializer}
    shapes_ = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in [*graph.input, *graph.value_info]
    }
    for node in graph.node:
        mode = [a.s for a in node.attribute if a.name == "coordinate_transformation_mode"]
        if node.op_type != "Resize" or mode != [b"align_corners"] or len(node.input) < 3:
            continue
        if node.input[2] not in constants or node.input[0] not in shapes_:
            continue
        scales = onnx.numpy_helper.to_array(constants[node.input[2]]).astype(np.float64)
        axes = next((list(a.ints) for a in node.attribute if a.name == "axes"), range(len(shapes_[node.input[0]])))
        sizes = [shapes_[node.input[0]][axis] * scale for axis, scale in zip(axes, scales, strict=False)]
        if any(abs(size - round(size)) > 1e-4 for size in sizes):
            return True
    return False


def compute(args: dict[str, Any], arrays: Arrays, folder: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Task: compute the model's outputs with ONNX's reference implementation, for several sets of inputs.

    Set ``n`` has the arrays ``n_0``, ``n_1``, ...; ``args["sets"]`` says how many. ``counts`` in the answer says how
    many outputs each set gave: none where they cannot be computed.
    """
    import onnx

    from edgekit.onnx import whole

    model = onnx.ModelProto.FromString(arrays["model"].tobytes())
    names = [value.name for value in _inputs(model.graph)]
    answer: dict[str, NDArray[Any]] = {}
    counts = []
    for number, count in enumerate(args["sets"]):
        try:
            found = whole.outputs(model, {names[i]: arrays[f"{number}_{i}"] for i in range(count)})
            found = [np.asarray(value) for value in found]
        except Exception:  # whatever NumPy says of such inputs
            found = []
        if any(value.dtype == object for value in found):
            found = []
        counts.append(len(found))
        answer |= {f"{number}_{i}": value for i, value in enumerate(found)}
    return {"counts": counts}, answer


def _line(error: BaseException) -> str:
    """Return the first line of an onnx error that says something, without its C++ source positions."""
    lines = [re.sub(r"^\S+\.(?:cc|h):\d+:? *|^\[\w+\] *", "", line.strip()) for line in str(error).splitlines()]
    return next((line for line in lines if line), type(error).__name__)[:300]
