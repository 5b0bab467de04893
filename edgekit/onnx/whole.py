"""A whole ONNX model in ONNX's reference implementation. Imports onnx: for children only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from edgekit.onnx.static import evaluate


def outputs(model: Any, inputs: Mapping[str, NDArray[Any]]) -> list[Any]:
    """Compute the model's outputs, in order.

    The reference takes whole models, but not operators that only their types define (Gelu and others): then each node
    is computed by itself.
    """
    try:
        return list(ReferenceEvaluator(model).run(None, dict(inputs)))
    except Exception:
        opset = max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=1)
        values = {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer} | dict(inputs)
        for node in model.graph.node:
            values |= evaluate(node, int(opset), {name: values[name] for name in node.input if name})
        return [values[value.name] for value in model.graph.output]
