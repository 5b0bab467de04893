"""Everything that is known about a network and its quantization, for the rules that search for causes."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from edgekit.diagnosis.local import Local, Values
from edgekit.diagnosis.measure import Outcome
from edgekit.diagnosis.spread import Spread
from edgekit.diagnosis.versions import Versions
from edgekit.graph import Graph, Operator, Quantization, Tensor
from edgekit.graph.edit import uses
from edgekit.graph.mixture import FLOAT
from edgekit.graph.stats import label

WEIGHTED = {"CONV_2D": (0, 1, 2), "DEPTHWISE_CONV_2D": (0, 1, 2), "FULLY_CONNECTED": (0, 1, 2),
            "TRANSPOSE_CONV": (2, 1, 3)}  # fmt: skip
"""Where these operators have their input, weights and bias."""
INPUT = -1
"""Stands for a network input where an operator is named."""


@dataclass(frozen=True)
class Finding:
    """One problem that was found.

    :param operator: index of the operator that causes it; -1 for a network input.
    :param cause: the rule's identifier (docs/diagnose.md lists them).
    :param words: what is wrong; ``remedy``: what to do.
    :param figures: the numbers behind the words.
    :param hurts: operators whose results suffer, by their effect.
    :param sqnr_db: of the network's outputs with the worst of them quantized alone; None where that does not run, or
        gives no numbers.
    """

    operator: int
    op: str
    name: str
    cause: str
    words: str
    remedy: str
    figures: dict[str, Any] = field(default_factory=dict)
    hurts: list[int] = field(default_factory=list)
    sqnr_db: float | None = None


@dataclass
class Evidence:
    """Measurements of one network in one precision.

    :param calibration: the activations over the samples that set the ranges; ``test``: over those it is tested with.
    :param exact: some test samples' float activations.
    """

    versions: Versions
    precision: str
    calibration: dict[int, Spread]
    test: dict[int, Spread]
    exact: Values
    local: list[Local]
    effects: dict[int, Outcome]

    @property
    def graph(self) -> Graph:
        """The float network."""
        return self.versions.graph

    @cached_property
    def producers(self) -> dict[int, int]:
        """For each activation, the operator that computes it."""
        return {i: number for number, o in enumerate(self.graph.operators) for i in o.outputs}

    @cached_property
    def readers(self) -> dict[int, list[int]]:
        """For each activation, the operators that read it."""
        return {index: sorted({number for number, _ in pairs}) for index, pairs in uses(self.graph).items()}

    @cached_property
    def forms(self) -> dict[int, Tensor]:
        """Each activation as the quantized network holds it: in integers, if anywhere there."""
        mixture = self.versions.mix([self.precision] * len(self.graph.operators))
        forms: dict[int, Tensor] = {}
        for index, own in mixture.values.items():
            if own not in forms or forms[own].dtype == FLOAT:
                forms[own] = mixture.graph.tensors[index]
        return forms

    def quantized(self, tensor: int) -> tuple[Quantization, str] | None:
        """Scale and integers of an activation in the quantized network; None where it is float there."""
        form = self.forms.get(tensor)
        if form is None or form.quantization is None or not form.has_scale or form.dtype == FLOAT:
            return None
        return form.quantization, form.dtype

    def step(self, tensor: int) -> float | None:
        """The real value of one integer step."""
        found = self.quantized(tensor)
        return None if found is None else float(found[0].scale[0])

    def activations(self, operator: Operator) -> list[int]:
        """Its inputs that are computed, not constant."""
        return [i for i in operator.inputs if i in self.producers or i in self.graph.main.inputs]

    def counterpart(self, number: int) -> Operator:
        """Return the operator of the quantized network that corresponds to the float network's."""
        version = self.versions[self.precision]
        return version.operators[self.versions.counterpart(number, self.precision)]

    def noise(self, number: int) -> float:
        """Return the noise of the network's outputs if only this operator is quantized; 0 if it is not."""
        return self.effects[number].noise if number in self.effects else 0.0

    def finding(self, number: int, cause: str, words: str, remedy: str, hurts: set[int], **figures: Any) -> Finding:
        """Name an operator (or, with -1 and ``tensor`` in the figures, a network input)."""
        if number == INPUT:
            op, name = "input", self.graph.tensors[figures["tensor"]].name
        else:
            op, name = self.graph.operators[number].op, label(self.graph.main, self.graph.operators[number])
        worst = max((self.noise(i) for i in hurts), default=0.0)
        db = -10 * math.log10(worst) if 0 < worst < math.inf else None
        figures.pop("tensor", None)
        return Finding(number, op, name, cause, words, remedy, figures, sorted(hurts), db)
