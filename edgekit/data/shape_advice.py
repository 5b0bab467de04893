"""Advice on how to bring an array of samples into the shape that a network takes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

Shape = tuple[int, ...]

_CHANNELS = (1, 3, 4)
"""Of images: grey, colour, colour with transparency."""
_MOST_DIMENSIONS = 5


def advise(name: str, found: Shape, accepted: Sequence[Shape]) -> str:
    """Return one line on what to do with the array ``name``, of shape ``found``, to have samples of a shape accepted.

    Reshaping keeps the values in their order, so it is advised only where that is right: where dimensions of 1 differ,
    and where a sample was flattened. Else the dimensions are to be reordered, the images resized, and so on.

    :param accepted: shapes of one sample, without the dimension of the samples; the first is the network's own.
    """
    own, sample = accepted[0], found[1:]
    if found in accepted:
        return f"that is one sample: give {name}[np.newaxis]"
    if found[:-1] in accepted:
        return f"its samples are in the last dimension: give np.moveaxis({name}, -1, 0)"
    if _long(sample) == _long(own):
        return f"give {_reshaped(name, own)}"
    for wanted in accepted:
        if order := _order(sample, wanted):
            return f"its dimensions are in another order: give {_transposed(name, order)}"
    if len(own) == 4 and own[0] == 1 and len(sample) in (2, 3) and (advice := _picture(name, sample, own[1:])):
        return advice
    if math.prod(sample) == math.prod(own) and 1 in (len(sample), len(_long(own))):
        return f"its samples are flattened otherwise: give {_reshaped(name, own)}"
    return f"one sample must be [{', '.join(map(str, own))}]: prepare it as for training"


def _picture(name: str, sample: Shape, wanted: Shape) -> str:
    """Advice where samples are images of another size, other channels, or channels first."""
    first = wanted[0] in _CHANNELS and wanted[2] not in _CHANNELS
    channels, size = (wanted[0], wanted[1:]) if first else (wanted[2], wanted[:2])
    if channels not in _CHANNELS:
        return ""
    flat = len(sample) == 2
    ahead = not flat and sample[0] in _CHANNELS and sample[2] not in _CHANNELS
    has = 1 if flat else sample[0] if ahead else sample[2]
    seen = sample if flat else sample[1:] if ahead else sample[:2]
    if has not in _CHANNELS:
        return ""
    steps = []
    if seen != size:
        steps.append(f"resize the images from {seen[0]} x {seen[1]} to {size[0]} x {size[1]}")
    if flat and (channels != 1 or steps):
        steps.append(f"add a dimension of channels: {name}[{':, ' if first else '..., '}np.newaxis]")
    elif ahead != first and not flat:
        steps.append(
            f"put the channels {'first' if first else 'last'}: {_transposed(name, (2, 0, 1) if first else (1, 2, 0))}"
        )
    if has != channels:
        steps.append(f"convert the channels: {_converted(name, has, channels, first)}")
    hint = "; ".join(steps)
    return f"{hint} (with a folder of images, edgekit does all of this)" if seen != size else hint


def _converted(name: str, has: int, wanted: int, first: bool) -> str:
    axis = 1 if first else -1
    if has == 1:
        return f"{name}.repeat({wanted}, axis={axis})"
    if wanted == 1:
        return f"{name}.mean(axis={axis}, keepdims=True).astype({name}.dtype)"
    return f"{name}[{':, :3' if first else '..., :3'}]" if wanted == 3 else f"{has} to {wanted}"


def _order(sample: Shape, wanted: Shape) -> Shape:
    """The permutation that turns one shape into the other and moves a single dimension, if there is one, else any."""
    if not 2 <= len(sample) == len(wanted) <= _MOST_DIMENSIONS or sorted(sample) != sorted(wanted):
        return ()
    fits = [
        order for order in itertools.permutations(range(len(sample)))
        if tuple(sample[axis] for axis in order) == wanted
    ]  # fmt: skip
    return min(fits, key=_disorder)


def _disorder(order: Shape) -> tuple[bool, int]:
    """Prefer moving one dimension past the others, which stay in order (channels first and last), to anything else."""
    single = any([axis for axis in order if axis != moved] == sorted(set(order) - {moved}) for moved in order)
    return not single, sum(axis != place for place, axis in enumerate(order))


def _transposed(name: str, order: Shape) -> str:
    return f"{name}.transpose({', '.join(map(str, (0, *(axis + 1 for axis in order))))})"


def _reshaped(name: str, shape: Shape) -> str:
    return f"{name}.reshape({', '.join(map(str, (-1, *shape)))})"


def _long(shape: Shape) -> Shape:
    return tuple(size for size in shape if size != 1)
