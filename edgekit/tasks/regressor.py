"""From outputs to values in their unit: the reference of ``firmware_stubs/linux/regressor.c``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from edgekit.errors import UsageError
from edgekit.tasks import fields, labels
from edgekit.tasks.parts import Line, Sample, Source, WithoutFiles
from edgekit.tasks.real import real
from edgekit.text.printable import name

if TYPE_CHECKING:
    from edgekit.graph import Graph

MOST_VALUES = 4096


@dataclass(frozen=True)
class Values:
    """What a network estimates."""

    values: tuple[float, ...]
    unit: str

    def json(self) -> dict[str, Any]:
        """Its fields in the JSON of ``run``."""
        return {"values": list(self.values), "unit": self.unit}

    def words(self) -> str:
        """What ``run`` prints."""
        return " ".join([*(f"{value:.6g}" for value in self.values), *([name(self.unit)] if self.unit else [])])

    def lines(self) -> list[Line]:
        """One for each value."""
        return [Line(number, self.unit, (value,)) for number, value in enumerate(self.values)]

    def agrees(self, other: Any) -> bool:
        """True if there are as many values; how near they must be is a question of their range."""
        return isinstance(other, Values) and len(self.values) == len(other.values)


@dataclass(frozen=True)
class Regressor(WithoutFiles):
    """Reads the network's first output as values.

    :param unit: of the values; may be empty. :param mean, std: an output y stands for the value ``y * std + mean``.
    """

    KEYS: ClassVar[frozenset[str]] = frozenset({"unit", "mean", "std"})

    unit: str = ""
    mean: float = 0.0
    std: float = 1.0

    @classmethod
    def of_table(cls, table: Mapping[str, Any], graph: Graph, folder: Path) -> Self:
        """Read its keys of ``task.toml``."""
        return cls._of(table.get("unit", ""), table.get("mean", 0), table.get("std", 1))

    @classmethod
    def of_manifest(cls, task: Mapping[str, Any], folder: Path | None) -> Self:
        """Read what ``json`` wrote."""
        return cls._of(task["unit"], task["mean"], task["std"])

    @classmethod
    def _of(cls, unit: Any, mean: Any, std: Any) -> Self:
        found = fields.numbers([mean, std])
        if found[1] <= 0:
            raise ValueError("std is not above 0")
        return cls("" if unit == "" else labels.checked([unit])[0], *found)

    def json(self) -> dict[str, Any]:
        """Its keys in the manifest's ``task``."""
        return {"unit": self.unit, "mean": self.mean, "std": self.std}

    def check(self, graph: Graph, kind: str, where: str) -> None:
        """Hold it against a network."""
        found = [f"{tensor.dtype} {list(tensor.shape)}" for tensor in graph.outputs]
        known = graph.outputs and (graph.outputs[0].dtype == "float32" or graph.outputs[0].has_scale)
        if not known or not 0 < graph.outputs[0].elements <= MOST_VALUES:
            raise UsageError(
                f"{where}: {kind} needs an output of real numbers, but the network's are {', '.join(found)}"
            )

    def decide(self, sample: Sample, outputs: Sequence[NDArray[Any]], graph: Graph, source: Source) -> Values:
        """Read the values."""
        made = self.in_unit(real(outputs[0].reshape(-1), graph.outputs[0]))
        with np.errstate(over="ignore"):  # infinity, as in C
            made = made.astype(np.float32)
        return Values(tuple(made.astype(float).tolist()), self.unit)

    def in_unit(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """The values that real outputs stand for."""
        return outputs * self.std + self.mean
