"""The cheapest network that keeps the accuracy: channels equalized, and a precision for each operator.

Every step is measured on the samples, none is guessed, and the same samples give the same answer:

1. Channels are equalized, where that lowers the noise of the outputs.
2. If 8 bits (or whatever the recipe has) suffice, that is the answer.
3. Otherwise operators become float (or the most precise that is allowed), those with the largest effect first, as few
   as suffice (found by bisection).
4. Each of them is then brought back to the cheapest precision that stays within the budget, those with the smallest
   effect first.
5. Where 4 bits are allowed, the layers that mind least are tried in 4 bits, as many as stay within the budget and
   make it cheaper.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgekit.diagnosis.measure import Judge, Outcome, effects
from edgekit.diagnosis.spread import spreads
from edgekit.diagnosis.versions import Versions
from edgekit.errors import CheckFailed
from edgekit.graph import Graph
from edgekit.graph.stats import label, statistics
from edgekit.passes import PassContext
from edgekit.passes.equalize import Equalized, equalize
from edgekit.passes.mixed_precision import PRECISIONS, Plan
from edgekit.passes.quantize import Settings, measured

if TYPE_CHECKING:
    from edgekit.dataset import Dataset
    from edgekit.progress import Progress

BETTER = 0.5
"""Equalized channels are kept where they bring the outputs' noise below this share of what it was."""
SEARCH_MACS = 5e10
"""A trial is judged on as many samples as fit in this many MACs (a few seconds), within bounds."""
SEARCH_SAMPLES = (100, 5000)
Cost = Callable[[Graph], float]


@dataclass(frozen=True)
class Cure:
    """What was found.

    :param scaled: number of channels that are scaled; 0 where they are not.
    :param precision: precision of each operator, by its index in the float network.
    :param outcome: of the cured network, on the samples of the search; ``before`` of the uncured one, ``real`` of the
        float one.
    :param cost: of the cured network, of the one all in the recipe's precision and of the float network; in
        ``unit`` (``ms`` or ``bytes``).
    """

    scaled: int
    precision: list[str]
    real: Outcome
    before: Outcome
    outcome: Outcome
    cost: float
    cost_before: float
    cost_float: float
    unit: str
    steps: list[str] = field(default_factory=list)

    def json(self, graph: Graph, base: str) -> dict[str, Any]:
        """What the pass ``mixed_precision`` and ``diagnose`` report."""
        return {
            "scaled_channels": self.scaled,
            "precision": table(graph, self.precision, base),
            "metric": metric(self.real),
            "lost_before": loss(self.before, self.real),
            "lost": loss(self.outcome, self.real),
            "accuracy": {"float": self.real.accuracy, "before": self.before.accuracy, "after": self.outcome.accuracy},
            "sqnr_db": self.outcome.sqnr_db,
            "cost": {"unit": self.unit, "before": self.cost_before, "after": self.cost, "float": self.cost_float},
            "steps": self.steps,
        }


def loss(outcome: Outcome, reference: Outcome) -> float:
    """What a network lost, in points: accuracy where there are labels, else labels that changed, else (where it is
    no classifier) the noise in percent of the outputs' power."""
    if outcome.accuracy is not None and reference.accuracy is not None:
        return max(0.0, 100 * (reference.accuracy - outcome.accuracy))
    if outcome.flips is not None:
        return 100 * outcome.flips
    return 100 * min(outcome.noise, 1.0)


def metric(outcome: Outcome) -> str:
    """In what :func:`loss` measures."""
    if outcome.accuracy is not None:
        return "accuracy"
    return "agreement" if outcome.flips is not None else "noise"


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
        key = tuple(choice)
        if key not in self.known:
            self.known[key] = self.judge(self.versions.mix(choice).graph)
        return self.known[key]

    def loss(self, choice: Sequence[str]) -> float:
        return loss(self.outcome(choice), self.judge.float)

    def price(self, choice: Sequence[str]) -> float:
        key = tuple(choice)
        if key not in self.costs:
            self.costs[key] = self.cost(self.versions.mix(choice).graph)
        return self.costs[key]

    def fits(self, choice: Sequence[str]) -> bool:
        return self.loss(choice) <= self.max_drop + 1e-9

    def run(self) -> list[str]:
        """Return the precision of each operator.

        :raises CheckFailed: if not even the float network stays within the budget.
        """
        count = len(self.versions.graph.operators)
        choice = [self.base] * count
        numbers = [n for n in range(count) if self.versions.has(n, self.base)]
        self.progress.step("measure each operator's effect")
        effect = effects(self.versions, self.judge, self.base, numbers, self.progress)
        if not self.fits(choice):
            order = sorted(numbers, key=lambda n: (-effect[n].noise, n))
            choice = self._raised(choice, order)
            choice = self._lowered(choice, [n for n in reversed(order) if choice[n] != self.base])
            choice = self._joined(choice, numbers)
        if "int4" in self.allowed and self.base != "int4":
            choice = self._fours(choice)
        return choice

    def _raised(self, choice: list[str], order: list[int]) -> list[str]:
        """As few operators in the most precise form as suffice: a prefix of ``order``."""
        self.progress.step("search: how many operators need more precision")
        low, high = 0, len(order)  # ``low`` is too few

        best = self.allowed[-1]

        def prefix(size: int) -> list[str]:
            chosen = set(order[:size])
            return [best if n in chosen else p for n, p in enumerate(choice)]

        if not self.fits(prefix(high)):
            raise CheckFailed(
                f"even with all operators in {best} the network loses {self.loss(prefix(high)):.2f}, more than "
                f"{self.max_drop:g}",
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
                if self.price(trial) <= self.price(choice):
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
        effect = effects(self.versions, self.judge, "int4", candidates, self.progress)
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


def cure(graph: Graph, plan: Plan, calibration: Dataset, test: Dataset, context: PassContext) -> tuple[Cure, Versions]:
    """Search the cheapest network within the plan's budget.

    :param calibration: samples for the ranges; ``test``: samples to judge by.
    :returns: what was found, and the quantizations (of the network with scaled channels, where they are).
    :raises CheckFailed: if there is none.
    """
    context = replace(context, data=calibration, report={})
    cost, unit = cost_of(plan.target)
    judge = Judge(graph, test)
    _, versions = quantizations(graph, plan.settings, context, False)
    whole = [plan.base] * len(graph.operators)
    before = judge(versions.mix(whole).graph)
    steps: list[str] = []
    scaled = 0
    if plan.scale and loss(before, judge.float) > plan.max_drop:
        changed, better = quantizations(graph, plan.settings, context, True)
        if changed.channels and judge(better.mix(whole).graph).noise < BETTER * before.noise:
            versions, scaled = better, changed.channels
            steps.append(f"{scaled} channels scaled, by {changed.smallest:.3g} to {changed.largest:.3g}")
        elif changed.channels:
            steps.append("scaling channels did not help")
    search = Search(versions, judge, plan.base, plan.allow, plan.max_drop, cost, context.progress, steps)
    choice = search.run()
    found = Cure(
        scaled, choice, judge.float, before, search.outcome(choice), search.price(choice), search.price(whole),
        cost(graph), unit, search.steps,
    )  # fmt: skip
    return found, versions


def quantizations(graph: Graph, settings: Settings, context: PassContext, scale: bool) -> tuple[Equalized, Versions]:
    """The network, with scaled channels where ``scale``, and its quantizations, ranges measured on the samples.

    Operators that LiteRT does not run in integers are in them all the same: the search finds each of them, where the
    quantizer's trial run can only leave all operators of that kind in float.
    """
    changed = Equalized(graph, 0)
    if scale and context.data is not None:
        context.progress.step("scale the channels")
        found = spreads(graph, context.data.subset(settings.samples, context.seed), context.progress)
        changed = equalize(graph, {index: spread.magnitudes for index, spread in found.items()})
    return changed, Versions(changed.graph, settings, measured(changed.graph, settings, context), context, tried=False)


def cost_of(target: str | None) -> tuple[Cost, str]:
    """What the search keeps low: the target's estimated latency in ms, or, without a target, bytes of constants and
    of activations alive at once."""
    if target is None:
        return lambda graph: float(_bytes(graph)), "bytes"
    from edgekit.profiling.roofline import Roofline
    from edgekit.target import load

    board = load(target)
    return lambda graph: Roofline().profile(graph, None, board, {"threads": 1}).latency_ms.value, "ms"


def _bytes(graph: Graph) -> int:
    counted = statistics(graph)
    return counted.weights_bytes + counted.peak_activation_bytes


def table(graph: Graph, precision: Sequence[str], base: str) -> list[dict[str, Any]]:
    """Operators in another precision than the recipe's, for reports."""
    return [
        {"index": n, "op": o.op, "name": label(graph.main, o), "precision": p}
        for n, (o, p) in enumerate(zip(graph.operators, precision, strict=True))
        if p != base
    ]


def search_samples(graph: Graph) -> int:
    """On how many samples each trial is judged: by the work, so the same in every run."""
    least, most = SEARCH_SAMPLES
    return int(max(least, min(most, SEARCH_MACS / max(1, statistics(graph).macs))))
