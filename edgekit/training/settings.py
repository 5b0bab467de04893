"""Parameters of the passes that train: read from a recipe, checked by the dataclass that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, TypeVar

from edgekit.errors import UsageError

_Kind = TypeVar("_Kind", bound="Training")


@dataclass(frozen=True)
class Training:
    """Parameters that every training pass takes.

    :param learning_rate: of the first step; it falls to 0 along a cosine.
    :param batch: samples a step, over all workers.
    :param loss: ``labels``, ``teacher`` (the network's own outputs before compression: no labels are needed), or
        ``auto``: labels where the data has them.
    :param keep_zeros: weights that are 0 stay 0.
    """

    epochs: int = 3
    learning_rate: float = 5e-4
    batch: int = 32
    loss: str = "auto"
    keep_zeros: bool = True

    def __post_init__(self) -> None:
        if self.loss not in ("auto", "labels", "teacher"):
            raise UsageError(f"loss cannot be {self.loss!r}", "it must be auto, labels or teacher")


def parse(kind: type[_Kind], params: Mapping[str, Any], name: str) -> _Kind:
    """Make the settings of the pass ``name``; numbers must be above 0 unless their field's metadata says ``least``.

    :raises UsageError: naming the parameter.
    """
    known = {field.name: field for field in fields(kind)}
    for key, value in params.items():
        if key not in known:
            raise UsageError(f"the pass {name} has no parameter {key!r}", "it has " + ", ".join(known))
        default, least = known[key].default, known[key].metadata.get("least")
        wanted = list if default is MISSING else type(default)
        right = isinstance(value, wanted) or (wanted is float and isinstance(value, int))
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not right or (wanted in (int, float) and not number):
            raise UsageError(f"{name}: {key} cannot be {value!r}")
        if number and wanted in (int, float) and not (value > 0 if least is None else value >= least):
            raise UsageError(f"{name}: {key} cannot be {value!r}", "it must be larger")
    try:
        return kind(**params)
    except UsageError as error:
        raise UsageError(f"{name}: {error.message}", error.hint) from None
