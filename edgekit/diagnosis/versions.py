"""A float network and its quantizations, one for each precision that an operator can have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from edgekit.errors import ModelError
from edgekit.graph import Graph
from edgekit.graph.mixture import FLOAT, Mixture, counterparts, is_float, mix
from edgekit.passes import PassContext
from edgekit.passes.quantize import Ranges, Settings, finished, integers

_KINDS = {"int4": ("int4", "int8"), "int8": ("int8", "int8"), "int16": ("int8", "int16")}


@dataclass
class Versions:
    """The quantizations of ``graph``, each made when it is first needed.

    :param ranges: of the activations, in the form of :func:`edgekit.passes.quantize.measured`.
    :param tried: operators are left in float where the quantizer's trial run finds that LiteRT refuses their kind, as
        the pass ``quantize`` does. Otherwise they are quantized all the same.
    """

    graph: Graph
    settings: Settings
    ranges: Ranges
    context: PassContext
    tried: bool = True
    made: dict[str, Graph] = field(default_factory=dict)
    excluded: dict[str, dict[str, str]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    _places: dict[str, list[int]] = field(default_factory=dict)

    def __getitem__(self, precision: str) -> Graph:
        """The whole network in this precision; it may not run (:attr:`failures`).

        :raises ModelError: if it cannot be quantized.
        """
        if precision == FLOAT:
            return self.graph
        if precision not in self.made:
            weights, activations = _KINDS[precision]
            settings = replace(self.settings, weights=weights, activations=activations, io="")
            self.context.progress.step(f"quantize to {precision}")
            try:
                made, excluded = integers(self.graph, settings, self.ranges, check=self.tried)
            except ModelError as error:  # it may be quantizable, and yet not run
                self.failures[precision] = error.message
                made, excluded = integers(self.graph, settings, self.ranges, check=False)
            self.excluded[precision] = excluded
            self.made[precision] = finished(made, self.graph)[0]
        return self.made[precision]

    def counterpart(self, number: int, precision: str) -> int:
        """The index of an operator in the network of this precision."""
        if precision not in self._places:
            self._places[precision] = counterparts(self.graph, self[precision])
        return self._places[precision][number]

    def has(self, number: int, precision: str) -> bool:
        """True if an operator really computes otherwise in this precision than in float."""
        if precision == FLOAT:
            return True
        return not is_float(self.graph, number, self[precision], self.counterpart(number, precision))

    def mix(self, choice: Sequence[str], io: str = "") -> Mixture:
        """The network with a precision for each operator."""
        for precision in set(choice) - {FLOAT}:
            self[precision]
        return mix(self.graph, self.made, choice, io=io)
