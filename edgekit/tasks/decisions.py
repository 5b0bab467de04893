"""From a network's output to decisions: the reference of ``firmware_stubs/linux/task.c``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.tasks.task import Scores, Task

if TYPE_CHECKING:
    from edgekit.graph import Tensor


@dataclass(frozen=True)
class Class:
    """A class that a network chose, and how sure it is."""

    number: int
    label: str
    score: float


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
