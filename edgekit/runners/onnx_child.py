"""The child's side of ``--on onnx``: runs an ONNX file sample by sample."""

from __future__ import annotations

import importlib.util
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.errors import DeviceError

REFERENCE_OPSET = 21
"""The reference knows QuantizeLinear only since 19."""


def run(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run the file at ``path``.

    :param arrays: ``input_0``, ...: ``[samples, *shape]`` of the inputs called ``names``.
    :returns: who ran it; ``output_0``, ...: ``[samples, *shape]``.
    """
    tempfile.tempdir = str(folder)
    infer, runtime = _loaded(args["path"], args.get("reference", False))
    given = [arrays[f"input_{n}"] for n in range(len(args["names"]))]
    samples = range(len(given[0]) if given else 1)
    rows = [infer({name: x[n] for name, x in zip(args["names"], given, strict=True)}) for n in samples]
    outputs = {f"output_{n}": np.stack([np.asarray(row[n]) for row in rows]) for n in range(len(rows[0]))}
    return {"runtime": runtime}, outputs


def _loaded(path: str, reference: bool) -> tuple[Any, str]:
    """A function from inputs by name to a list of outputs, and who computes it."""
    import onnx

    from edgekit.runners.onnx_half import rounding

    if importlib.util.find_spec("onnxruntime") and not reference:
        import onnxruntime as ort  # type: ignore[import-untyped]

        options = ort.SessionOptions()
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            model = rounding(onnx.load(path)).SerializeToString()
            ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])  # the file itself must load
            session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except DeviceError:
            raise
        except Exception as error:  # its errors have no common class
            raise DeviceError(f"ONNX Runtime refuses model.onnx: {error}"[:300], "compile the bundle again") from error
        return lambda given: session.run(None, given), f"ONNX Runtime {ort.__version__}"
    from onnx import version_converter
    from onnx.reference import ReferenceEvaluator

    model = rounding(version_converter.convert_version(onnx.load(path), REFERENCE_OPSET))
    evaluator = ReferenceEvaluator(model)
    return lambda given: evaluator.run(None, given), f"ONNX's reference {onnx.__version__}"
