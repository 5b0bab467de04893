"""From a network's outputs to decisions: the reference of ``firmware_stubs/linux/task.c``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.tasks.detection import Detection, detections
from edgekit.tasks.task import Kind, Scores, Task, layout

if TYPE_CHECKING:
    from edgekit.graph import Graph, Tensor


@dataclass(frozen=True)
class Class:
    """A class that a network chose, and how sure it is."""

    number: int
    label: str
    score: float


@dataclass(frozen=True)
class Decision:
    """What a network with a task decides about a sample.

    :param sample: the picture's name in its folder, or the sample's number.
    :param made: the classes of a classifier, or what a detector found.
    """

    sample: str
    made: Sequence[Class | Detection]
    kind: Kind

    def json(self) -> dict[str, Any]:
        """Its entry in the JSON of ``run``."""
        key = "detections" if self.kind is Kind.DETECTION else "classes"
        return {"sample": self.sample, key: [asdict(one) for one in self.made]}


def decide(
    task: Task, sample: str, outputs: Sequence[NDArray[Any]], graph: Graph, size: tuple[int, int] | None
) -> Decision:
    """What ``task`` makes of the outputs of a sample, which are in the tensors' dtypes.

    :param size: width and height of the picture; default: those of the network's input.
    """
    if task.kind is Kind.CLASSIFICATION:
        return Decision(sample, classes(task, outputs[0], graph.outputs[0]), task.kind)
    height, width, _, _ = layout(graph.inputs[0])
    found = detections(task, outputs, graph.outputs, graph.inputs[0], size or (width, height))
    return Decision(sample, found, task.kind)


def classes(task: Task, output: NDArray[Any], tensor: Tensor) -> list[Class]:
    """The classes with the highest scores, the best first; of equal ones, that with the lower number.

    :param output: of one sample, in the tensor's dtype.
    """
    real = output.reshape(-1).astype(np.float64)
    if tensor.quantization is not None and tensor.has_scale:
        real = (real - int(tensor.quantization.zero_point[0])) * float(tensor.quantization.scale[0])
    order = np.argsort(-real, kind="stable")[: task.top]
    if task.scores is Scores.LOGITS:
        powers = np.exp(real - real.max())
        real = powers / powers.sum()
    return [Class(int(i), task.label(int(i)), float(np.float32(real[i]))) for i in order]
