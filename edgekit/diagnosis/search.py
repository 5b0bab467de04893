"""The search for the cheapest network that keeps the accuracy: channels equalized, and a precision for each operator.

Every step is measured on the samples, none is guessed, and the same samples give the same answer:

1. Channels are equalized, where that lowers the noise of the outputs (:mod:`edgekit.diagnosis.cure`).
2. If 8 bits (or whatever the recipe has) suffice, that is the answer.
3. Otherwise operators become float (or the most precise that is allowed), those with the largest effect first, as few
   as suffice (found by bisection).
4. Each of them is then brought to the cheapest precision that stays within the budget, those with the smallest effect
   first; neighbours of more precise operators join them where that is cheaper.
5. Where 4 bits are allowed, the layers that mind least are tried in 4 bits, as many as stay within the budget and
   make it cheaper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from edgekit.diagnosis.measure import Judge, Outcome, amount, effect_samples, effects, loss
from edgekit.diagnosis.versions import Versions
from edgekit.errors import CheckFailed
from edgekit.graph import Graph
from edgekit.passes.precisions import PRECISIONS
from edgekit.progress import Progress

Cost = Callable[[Graph], float]


@dataclass
class Search:
    """The search on one network.

    :param base: the recipe's precision; ``allowed``: which may be used, the most precise last.
    :param cost: what is to be kept low.
    """

    versions: Versions
    judge: Judge
    base: str
    allowed: Sequence[str]
    max_drop: float
    cost: Cost
    progress: Progress
    steps: list[str] = field(default_factory=list)
    known: dict[tuple[str, ...], Outcome] = field(default_factory=dict)
    costs: dict[tuple[str, ...], float] = field(default_factory=dict)

    def outcome(self, choice: Sequence[str]) -> Outcome:
        """Return the outcome of a choice of precisions; measured once."""
        key = tuple(choice)
        if key not in self.known:
            self.known[key] = self.judge(self.versions.mix(choice).graph)
        return self.known[key]

    def loss(self, choice: Sequence[str]) -> float:
        """Return what a choice of precisions loses, in the unit of the metric."""
        return loss(self.outcome(choice), self.judge.float)

    def price(self, choice: Sequence[str]) -> float:
        """Return the cost of a choice of precisions; computed once."""
        key = tuple(choice)
        if key not in self.costs:
            self.costs[key] = self.cost(self.versions.mix(choice).graph)
        return self.costs[key]

    def fits(self, choice: Sequence[str]) -> bool:
        """True if a choice of precisions loses no more than ``max_drop``."""
        return self.loss(choice) <= self.max_drop

    def run(self) -> list[str]:
        """Return the precision of each operator.

        :raises CheckFailed: if not even the float network stays within the budget.
        """
        count = len(self.versions.graph.operators)
        choice = [self.base] * count
        numbers = [n for n in range(count) if self.versions.has(n, self.base)]
        self.progress.step("measure each operator's effect")
        effect = effects(self.versions, self._quick(len(numbers)), self.base, numbers, self.progress)
        if not self.fits(choice):
            order = sorted(numbers, key=lambda n: (-effect[n].noise, n))
            choice = self._raised(choice, order)
            choice = self._lowered(choice, [n for n in reversed(order) if choice[n] != self.base])
            choice = self._joined(choice, numbers)
        if "int4" in self.allowed and self.base != "int4":
            choice = self._fours(choice)
        return choice

    def _quick(self, variants: int) -> Judge:
        """A judge on as few samples as suffice to put operators in order."""
        count = effect_samples(self.judge.graph, variants)
        return self.judge if count >= len(self.judge.data) else Judge(self.judge.graph, self.judge.data.subset(count))

    def _raised(self, choice: list[str], order: list[int]) -> list[str]:
        """As few operators in the most precise form as suffice: a prefix of ``order``."""
        self.progress.step("search: how many operators need more precision")
        low, high = 0, len(order)  # ``low`` is too few

        best = self.allowed[-1]

        def prefix(size: int) -> list[str]:
            chosen = set(order[:size])
            return [best if n in chosen else p for n, p in enumerate(choice)]

        if not self.fits(prefix(high)):
            lost = amount(self.loss(prefix(high)), self.judge.float)
            raise CheckFailed(
                f"even with all operators in {best} the network loses {lost}, more than {self.max_drop:g}",
                "raise --max-drop, or allow more precise operators",
            )
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.fits(prefix(middle)) else (middle, high)
        self.steps.append(f"{high} of {len(order)} operators in {best} suffice")
        return prefix(high)

    def _lowered(self, choice: list[str], numbers: list[int]) -> list[str]:
        """Each operator in the cheapest precision that stays within the budget."""
        self.progress.step("search: the cheapest precision of each")
        for done, number in enumerate(numbers):
            options = []
            for precision in self.allowed:
                fours = precision == "int4" != self.base
                if precision == choice[number] or fours or not self.versions.has(number, precision):
                    continue
                trial = [*choice[:number], precision, *choice[number + 1 :]]
                if self.price(trial) < self.price(choice):
                    options.append((self.price(trial), PRECISIONS.index(precision), trial))
            for _, _, trial in sorted(options):
                if self.fits(trial):
                    choice = trial
                    break
            self.progress.advance(done + 1, len(numbers))
        return choice

    def _joined(self, choice: list[str], numbers: list[int]) -> list[str]:
        """Operators beside more precise ones join them where that is cheaper: conversions cost, too."""
        for number in numbers:
            for other in {choice[n] for n in (number - 1, number + 1) if 0 <= n < len(choice)} - {choice[number]}:
                trial = [*choice[:number], other, *choice[number + 1 :]]
                finer = PRECISIONS.index(other) > PRECISIONS.index(choice[number])
                if finer and self.versions.has(number, other) and self.price(trial) < self.price(choice):
                    choice = trial if self.fits(trial) else choice
        return choice

    def _fours(self, choice: list[str]) -> list[str]:
        """Layers in 4 bits, those that mind least first, as many as fit."""
        candidates = [n for n, p in enumerate(choice) if p == self.base and self._narrower(n)]
        self.progress.step("search: layers in 4 bits")
        effect = effects(self.versions, self._quick(len(candidates)), "int4", candidates, self.progress)
        for number in sorted(candidates, key=lambda n: (effect[n].noise, n)):
            trial = [*choice[:number], "int4", *choice[number + 1 :]]
            if self.price(trial) < self.price(choice) and self.fits(trial):
                choice = trial
        return choice

    def _narrower(self, number: int) -> bool:
        """True if 4 bits make a difference to this operator."""
        version = self.versions["int4"]
        operator = version.operators[self.versions.counterpart(number, "int4")]
        return any(i >= 0 and version.tensors[i].dtype == "int4" for i in operator.inputs)
