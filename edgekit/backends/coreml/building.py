"""The sandbox child's side: a TFLite file in, a Core ML package and its description out."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any

from edgekit.backends.coreml import package
from edgekit.backends.coreml.emitter import Emitter, Value
from edgekit.backends.coreml.operators import minimum
from edgekit.backends.coreml.rules import RULES
from edgekit.backends.coreml.tools import ct, mb, types
from edgekit.graph import Graph, Tensor, tflite


def task(args: dict[str, Any], arrays: Any, work: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Build ``args["model"]`` into ``args["folder"]``; return what :func:`edgekit.backends.coreml.Core` tells."""
    tempfile.tempdir = str(work)
    graph = tflite.loads(Path(args["model"]).read_bytes())
    names = _names(graph)
    program, taken = _program(graph, names)
    ios = minimum(graph)
    model = ct.convert(
        program, convert_to="mlprogram", compute_precision=ct.precision.FLOAT32, skip_model_load=True,
        minimum_deployment_target=getattr(ct.target, f"iOS{ios}"),
    )  # fmt: skip
    weights = Path(model.weights_dir) if model.weights_dir else None
    target = Path(args["folder"]) / package.NAME
    package.write(target, model.get_spec(), weights)
    loaded = package.load(target)
    counts: dict[str, int] = {}
    for operation in loaded.block.operations:
        if operation.op_type != "const":
            counts[operation.op_type] = counts.get(operation.op_type, 0) + 1
    return {
        "version": ct.__version__, "specification": loaded.version, "ios": ios,
        "operations": dict(sorted(counts.items())),
        "inputs": [_described(graph.tensors[i], taken[i]) for i in graph.main.inputs],
        "outputs": [
            _described(graph.tensors[i], name)
            for i, name in zip(graph.main.outputs, _output_names(graph, names), strict=True)
        ],
    }, {}  # fmt: skip


def _names(graph: Graph) -> dict[int, str]:
    """A name for each tensor that Core ML and Swift take: letters, digits, underscores, no two alike."""
    found: dict[int, str] = {}
    used: set[str] = set()
    ends = (*graph.main.inputs, *graph.main.outputs)
    for index in [*ends, *(i for i in range(len(graph.tensors)) if i not in ends)]:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", graph.tensors[index].name.split(";")[0])[:80] or "tensor"
        plain = f"_{plain}" if plain[0].isdigit() else plain
        name, number = plain, 1
        while name in used and index not in found:
            number += 1
            name = f"{plain}_{number}"
        used.add(name)
        found.setdefault(index, name)
    return found


def _output_names(graph: Graph, names: dict[int, str]) -> list[str]:
    """An output that is an input, or another output again, needs a name of its own."""
    found: list[str] = []
    for index in graph.main.outputs:
        name = names[index]
        while name in found or name in {names[i] for i in graph.main.inputs}:
            name += "_out"
        found.append(name)
    return found


def _integral(tensor: Tensor) -> bool:
    """True for integers that stand for themselves: they enter and leave as int32, all others as float32."""
    return tensor.dtype != "float32" and not tensor.has_scale


def _described(tensor: Tensor, name: str) -> dict[str, Any]:
    q = tensor.quantization if tensor.has_scale else None
    return {
        "name": name, "dtype": "int32" if _integral(tensor) else "float32", "shape": list(tensor.shape),
        "tensor": tensor.name, "tensor_dtype": tensor.dtype, "scale": float(q.scale[0]) if q else None,
        "zero_point": int(q.zero_point[0]) if q else None,
    }  # fmt: skip


def _program(graph: Graph, names: dict[int, str]) -> tuple[Any, dict[int, str]]:
    from coremltools.converters.mil.mil import Function, Program

    holders = {
        names[i]: mb.placeholder(t.shape, dtype=types.int32 if _integral(t) else types.fp32)
        for i, t in zip(graph.main.inputs, graph.inputs, strict=True)
    }
    with Function(holders, opset_version=getattr(ct.target, f"iOS{minimum(graph)}")) as function:
        emitter = Emitter(graph, names)
        for index, tensor in zip(graph.main.inputs, graph.inputs, strict=True):
            emitter.values[index] = Value(plain=_entered(emitter, function.inputs[names[index]], tensor))
        emitter.run(RULES)
        function.set_outputs(
            [
                _left(emitter, index, name)
                for index, name in zip(graph.main.outputs, _output_names(graph, names), strict=True)
            ]
        )
    program = Program()
    program.add_function("main", function)
    return program, {i: names[i] for i in graph.main.inputs}


def _entered(emitter: Emitter, x: Any, tensor: Tensor) -> Any:
    if tensor.dtype == "bool":
        return mb.cast(x=x, dtype="bool")
    if _integral(tensor):
        return x
    x = mb.cast(x=x, dtype="fp16") if emitter.half else x
    return emitter.stepped(x, tensor) if tensor.has_scale else x


def _left(emitter: Emitter, index: int, name: str) -> Any:
    x = emitter.plain(index)
    integral = _integral(emitter.tensor(index))
    if integral or emitter.half:
        wanted = types.int32 if integral else types.fp32
        if x.dtype != wanted:
            return mb.cast(x=x, dtype="int32" if integral else "fp32", name=name)
    return mb.identity(x=x, name=name)
