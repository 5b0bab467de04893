"""Open sizes of a model, and those that the user sets with ``--shape``.

A shape is written ``NAME=1x3x224x224``, or without a name for a network of one input. What is given must fit what the
model declares; what nobody fixes is refused, except the batch, the first dimension, which becomes 1.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edgekit.errors import ModelError, UsageError
from edgekit.plugins import nearest

Shapes = Mapping[str, tuple[int, ...]]
"""The shapes from the user, by the input's name; :data:`ONLY` stands for the only input."""

ONLY = ""
MAX_ELEMENTS = 1 << 31
MAX_RANK = 16
_SIZES = re.compile(r"[0-9]{1,20}(x[0-9]{1,20})*", re.IGNORECASE)


@dataclass(frozen=True)
class Declared:
    """An input as the model declares it.

    :param sizes: an integer where the size is fixed; None, or the name that the model has for it, where it is open.
        None instead of all: not even the rank is known.
    :param also: other names that it may be called by.
    """

    name: str
    sizes: Sequence[int | str | None] | None
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Settled:
    """The shape of each input, in order, and what was decided, in words.

    :param given: names of the inputs whose shape the user gave.
    """

    shapes: list[tuple[int, ...]]
    notes: list[str]
    given: list[str]


def parse(texts: Sequence[str]) -> dict[str, tuple[int, ...]]:
    """Read ``NAME=1x3x224x224`` and ``1x3x224x224``.

    :raises UsageError: if one is malformed, names an input twice, or is too large.
    """
    found: dict[str, tuple[int, ...]] = {}
    for text in texts:
        name, mark, sizes = text.strip().rpartition("=")
        if not _SIZES.fullmatch(sizes) or (mark and not name):
            raise UsageError(
                f"--shape {text!r} is not a shape", "write NAME=1x3x224x224, or 1x3x224x224 if there is only one input"
            )
        shape = tuple(int(size) for size in sizes.lower().split("x"))
        if 0 in shape:
            raise UsageError(f"--shape {text!r} has a size of 0", "every size is 1 or more")
        if math.prod(shape) > MAX_ELEMENTS or len(shape) > MAX_RANK:
            raise UsageError(
                f"--shape {text!r} is too large", f"at most {MAX_ELEMENTS} elements, {MAX_RANK} dimensions"
            )
        if name in found:
            raise UsageError(f"--shape gives {name or 'the only input'} twice", "pass each input once")
        found[name] = shape
    return found


def settle(inputs: Sequence[Declared], wanted: Shapes, shown: str) -> Settled:
    """Fix the shape of every input.

    A size that the model has one name for in several places is the same in all of them.

    :raises UsageError: if what is given names no input or contradicts what the model declares.
    :raises ModelError: naming the first size that stays open, with the option that fixes it.
    """
    given = _assigned(inputs, wanted, shown)
    known: dict[str, int] = {}
    for one, shape in zip(inputs, given, strict=True):
        if shape is not None:
            _check(one, shape, known, shown)
    batches = {one.sizes[0] for one in inputs if one.sizes}
    notes = [f"input {one.name!r} was set to {text(shape)}" for one, shape in zip(inputs, given, strict=True) if shape]
    shapes, batch = [], False
    for one, shape in zip(inputs, given, strict=True):
        if shape is not None:
            shapes.append(shape)
            continue
        if one.sizes is None:
            raise ModelError(f"{shown}: input {one.name!r} has no shape", _hint(one, len(inputs)))
        sizes = []
        for axis, size in enumerate(one.sizes):
            if isinstance(size, int):
                sizes.append(size)
            elif isinstance(size, str) and size in known:
                sizes.append(known[size])
            elif axis == 0 or (isinstance(size, str) and size in batches):
                sizes.append(1)
                batch = True
            else:
                label = f" ({size!r})" if size else ""
                raise ModelError(
                    f"{shown}: dimension {axis}{label} of input {one.name!r} is not fixed", _hint(one, len(inputs))
                )
        shapes.append(tuple(sizes))
    for one, shape in zip(inputs, shapes, strict=True):
        if math.prod(shape) > MAX_ELEMENTS:
            raise ModelError(f"{shown}: input {one.name!r} is too large")
    notes += ["the dynamic batch was set to 1"] if batch else []
    return Settled(shapes, notes, [one.name for one, shape in zip(inputs, given, strict=True) if shape is not None])


def no_shapes(texts: Sequence[str]) -> None:
    """:raises UsageError: if a bundle, whose network is compiled, is given shapes."""
    if texts:
        raise UsageError("a bundle's shapes are fixed", "omit --shape, or compile the model again with it")


def text(shape: Sequence[int]) -> str:
    """A shape as the user writes it: ``1x3x224x224``."""
    return "x".join(map(str, shape))


def _assigned(inputs: Sequence[Declared], wanted: Shapes, shown: str) -> list[tuple[int, ...] | None]:
    """Return for each input the shape that was set for it."""
    names = {name: index for index, one in reversed(list(enumerate(inputs))) for name in (one.name, *one.also)}
    found: list[tuple[int, ...] | None] = [None] * len(inputs)
    for name, shape in wanted.items():
        if name == ONLY and len(inputs) != 1:
            listed = ", ".join(repr(one.name) for one in inputs)
            raise UsageError(
                f"--shape {text(shape)}: {shown} has {len(inputs)} inputs: {listed}",
                "write --shape NAME=SIZES for each",
            )
        if name != ONLY and name not in names:
            raise UsageError(f"--shape: {shown} has no input {name!r}", nearest(name, [one.name for one in inputs]))
        index = 0 if name == ONLY else names[name]
        if found[index] is not None:
            raise UsageError(f"--shape gives input {inputs[index].name!r} twice", "pass each input once")
        found[index] = shape
    return found


def _check(one: Declared, shape: tuple[int, ...], known: dict[str, int], shown: str) -> None:
    """Compare a shape with the declared one; remember the values of sizes that have a name."""
    if one.sizes is None:
        return
    if len(shape) != len(one.sizes):
        raise UsageError(
            f"--shape {text(shape)} has {len(shape)} dimensions, input {one.name!r} of {shown} has {len(one.sizes)}",
            _hint(one, 1) if None in one.sizes or any(isinstance(s, str) for s in one.sizes) else "omit --shape",
        )
    for axis, (size, declared) in enumerate(zip(shape, one.sizes, strict=True)):
        fixed = known.setdefault(declared, size) if isinstance(declared, str) else declared
        if fixed is not None and fixed != size:
            raise UsageError(
                f"--shape {text(shape)}: dimension {axis} of input {one.name!r} of {shown} is {fixed}, not {size}",
                "only sizes that the model leaves open can be set",
            )


def _hint(one: Declared, inputs: int) -> str:
    """The option that fixes an input, with a question mark for each size that is open."""
    name = f"{shlex.quote(one.name)}=" if inputs > 1 and one.name else ""
    if one.sizes is None:
        return f"set it, for example: --shape {name}1x3x224x224"
    first = [size if isinstance(size, int) else 1 for size in one.sizes[:1]]
    sizes = "x".join(str(size) if isinstance(size, int) else "?" for size in [*first, *one.sizes[1:]])
    return f"set it: --shape {name}{sizes}, with a number for each question mark"
