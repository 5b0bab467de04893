"""From source material, such as a picture, to the inputs of a network with a task."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.data import dataset
from edgekit.tasks import picture as steps

if TYPE_CHECKING:
    from edgekit.graph import Graph
    from edgekit.tasks.picture import Picture


def network_inputs(source: Picture, picture: NDArray[np.uint8], graph: Graph) -> list[NDArray[Any]]:
    """What the network takes of a picture ``[h, w, 3]`` in RGB: ``[*tensor shape]`` for each input, in its dtype."""
    (tensor,) = graph.inputs
    height, width, _, _ = steps.layout(tensor)
    pixels = steps.fitted(source, picture, width, height)
    values = steps.values(source, pixels[np.newaxis], tensor)
    return [each[0] for each in dataset.as_network_inputs(dataset.Dataset([values]), graph)]


def synthesized(graph: Graph, count: int, most: int, seed: int) -> list[NDArray[np.uint8]]:
    """Pictures of several sizes with slopes, edges and noise, ``[h, w, 3]`` each, of at most ``most`` pixels."""
    height, width, _, _ = steps.layout(graph.inputs[0])
    sizes = [(width, height), (width * 3 // 2 + 1, height), (width // 2 + 1, 2 * height - 1), (97, 61)]
    made = []
    for number, (w, h) in enumerate(sizes[:count]):
        larger = max(1.0, (w * h / most) ** 0.5)
        w, h = max(1, int(w / larger)), max(1, int(h / larger))
        rng = np.random.default_rng([seed, number])
        y, x = np.mgrid[0:h, 0:w]
        picture = np.stack([x * 255 // w, y * 255 // h, (x + y) * 255 // (w + h)], axis=-1)
        for _ in range(3):
            left, top = rng.integers(0, w), rng.integers(0, h)
            picture[top : top + h // 3 + 1, left : left + w // 3 + 1] = rng.integers(0, 256, 3)
        picture[: h // 2] += rng.integers(-40, 41, (h // 2, w, 3))
        made.append(np.clip(picture, 0, 255).astype(np.uint8))
    return made
