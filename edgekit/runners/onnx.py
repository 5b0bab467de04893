"""The ONNX file of a bundle of the backend ``tensorrt``, run on this machine. It times nothing.

ONNX Runtime executes the file as it is written, without fusing QuantizeLinear and DequantizeLinear into integer
kernels; where it is not installed, ONNX's own reference does, slowly. Integer inputs and outputs of the bundle's
network are real values in the file, so they are converted on the way in and out.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import sandbox
from edgekit.backends.tensorrt import MODEL, SHAPES
from edgekit.errors import DeviceError
from edgekit.runners import Defaults, Device, OpenOptions, Refusal, Run, RunOptions, Session, Source, Trace

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.bundle import Bundle
    from edgekit.bundle.execution import Execution
    from edgekit.graph import Tensor
    from edgekit.target import Target

TASK = "edgekit.runners.onnx_child:run"
OTHERS = Refusal(f"the bundle has no artifact/{MODEL}", "--on onnx runs bundles of the backend tensorrt")
LIMITS = sandbox.Limits(seconds=600, memory_mb=8192)


class OnnxRunner(Defaults):
    """Registered as ``onnx``."""

    name = "onnx"

    def accepts(self, execution: Execution, target: Target) -> Refusal | None:
        """See :class:`edgekit.runners.Runner`."""
        return None if execution.prover == self.name else OTHERS

    @contextmanager
    def open(self, bundle: Bundle, options: OpenOptions = OpenOptions()) -> Iterator[Session]:
        """See :class:`edgekit.runners.Runner`.

        :raises DeviceError: if the bundle's file is missing.
        """
        path = bundle.artifact / MODEL
        if not path.is_file():
            raise DeviceError(OTHERS.reason, OTHERS.hint)
        yield OnnxSession(bundle, path.resolve(), tuple(_names(bundle.artifact / SHAPES)))


@dataclass(frozen=True)
class OnnxSession:
    """Runs an ONNX file; ``names`` are those of its inputs."""

    bundle: Bundle
    path: Path
    names: tuple[str, ...]

    def info(self) -> Device:
        """See :class:`edgekit.runners.Session`."""
        return Device("this machine", platform.machine())

    def run(self, inputs: Sequence[NDArray[Any]], options: RunOptions = RunOptions()) -> Run:
        """See :class:`edgekit.runners.Session`; the options have no effect.

        :raises DeviceError: if the file cannot be run.
        """
        graph = self.bundle.graph
        given = {f"input_{n}": _real(t, x) for n, (t, x) in enumerate(zip(graph.inputs, inputs, strict=True))}
        try:
            args = {"path": str(self.path), "names": list(self.names)}
            found, arrays = sandbox.call(TASK, args, given, limits=LIMITS, readable=[self.bundle.artifact])
        except sandbox.ChildDied as death:
            raise DeviceError(f"the run of {MODEL} {death.reason}", "use fewer samples") from death
        outputs = [_stored(t, arrays[f"output_{n}"]) for n, t in enumerate(graph.outputs)]
        return Run(outputs, Trace(Source.HOST, str(found["runtime"])), {"threads": 1})


def _names(path: Path) -> list[str]:
    """The names of the file's inputs."""
    try:
        return [str(row["name"]) for row in json.loads(path.read_text())["inputs"]]
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
