"""The ONNX file of a bundle of the backend ``tensorrt``, run on this machine. It times nothing.

ONNX Runtime executes the file as it is written, without fusing QuantizeLinear and DequantizeLinear into integer
kernels; where it is not installed, ONNX's own reference does, slowly. Integer inputs and outputs of the bundle's
network are real values in the file, so they are converted on the way in and out.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import sandbox
from edgekit.backends.tensorrt import MODEL, SHAPES
from edgekit.errors import DeviceError
from edgekit.runners import Run, RunOptions, Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.graph import Tensor

TASK = "edgekit.runners.onnx_child:run"
LIMITS = sandbox.Limits(seconds=600, memory_mb=8192)


class OnnxRunner:
    """Registered as ``onnx``."""

    name = "onnx"

    def run(self, bundle: Bundle, inputs: Sequence[NDArray[Any]], options: RunOptions) -> Run:
        """See :class:`edgekit.runners.Runner`; ``repeat``, ``threads`` and ``profile`` have no effect.

        :raises DeviceError: if the bundle is of another backend, or its file cannot be run.
        """
        path = bundle.artifact / MODEL
        if not path.is_file():
            raise DeviceError(f"the bundle has no artifact/{MODEL}", "--on onnx runs bundles of the backend tensorrt")
        about = _about(bundle.artifact / SHAPES)
        names = [str(row["name"]) for row in about["inputs"]]
        given = {f"input_{n}": _real(t, x) for n, (t, x) in enumerate(zip(bundle.graph.inputs, inputs, strict=True))}
        try:
            args = {"path": str(path.resolve()), "names": names}
            found, arrays = sandbox.call(TASK, args, given, limits=LIMITS, readable=[bundle.artifact])
        except sandbox.ChildDied as death:
            raise DeviceError(f"the run of {MODEL} {death.reason}", "use fewer samples") from death
        outputs = [_stored(t, arrays[f"output_{n}"]) for n, t in enumerate(bundle.graph.outputs)]
        return Run(outputs, Trace("host", str(found["runtime"])), {"threads": 1})


def _about(path: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads(path.read_text())
        return about | {"inputs": [dict(row) for row in about["inputs"]]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DeviceError(f"artifact/{SHAPES} is damaged: {error!r}", "compile the bundle again") from error


def _real(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    q = tensor.quantization if tensor.has_scale else None
    return q.dequantize(values) if q else values.astype(np.float32) if values.dtype == np.float16 else values


def _stored(tensor: Tensor, values: NDArray[Any]) -> NDArray[Any]:
    """An output as the bundle's network keeps it, ``[samples, *shape]``."""
    q = tensor.quantization if tensor.has_scale else None
    made = q.quantize(values, tensor.dtype) if q else values.astype(tensor.dtype)
    return made.reshape((len(values), *tensor.shape))
