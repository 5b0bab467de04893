"""Masks that a network made, each computed when it is looked at: all of them at once can be large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.tasks.parts import Sample
from edgekit.tasks.picture import Picture
from edgekit.tasks.segmenter import Segmenter

if TYPE_CHECKING:
    from edgekit.graph import Graph


@dataclass(frozen=True)
class Masks:
    """The masks of pictures, in their own pixels.

    :param outputs: ``[pictures, *tensor shape]``, in the tensors' dtypes. :param sizes: width and height of each.
    """

    segmenter: Segmenter
    source: Picture
    graph: Graph
    outputs: Sequence[NDArray[Any]]
    sizes: NDArray[np.int64]

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.segmenter.raster.classes

    def __len__(self) -> int:
        return len(self.sizes)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        for number, (width, height) in enumerate(self.sizes.tolist()):
            sample = Sample(str(number), size=(width, height))
            outputs = [each[number] for each in self.outputs]
            yield self.segmenter.decide(sample, outputs, self.graph, self.source).pixels
