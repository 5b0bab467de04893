"""The search: Optuna proposes recipes; what it learns is kept in a journal, so that a search that was stopped goes on.

The sampler is TPE for several objectives at once, with constraints (Ozaki et al., JAIR 2022). It is seeded anew for
each proposal, so that proposals depend on the seed and on what is known only, and a search that was interrupted
proposes what it would have proposed. Proposals are measured on few samples; then the better third goes on to three
times as many, until all samples are used (successive halving: Jamieson & Talwalkar, AISTATS 2016).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.compression import front, space
from edgekit.compression.budget import Budget, distance, excesses
from edgekit.compression.candidates import Candidate, Evaluator
from edgekit.compression.space import Space
from edgekit.compression.yardstick import Scale
from edgekit.errors import EdgekitError
from edgekit.passes.recipe import Step
from edgekit.progress import Progress

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

HALVING = 3
"""Each rung keeps one candidate of so many, and measures it on so many times more samples."""
FIRST_MACS, FIRST_LEAST = 2_000_000_000, 100
"""The first rung has as many samples as fit in this many MACs, and at least this many."""
MOST_REPEATS = 60
"""After this many known proposals in a row, there is nothing left to try."""
TOLERATED = 5.0
"""The drop, in points, that steers the search if the user gave no bound on it: a larger one is useless."""
LOST = 100.0
"""The drop, in points, that tells the sampler that a recipe cannot be measured."""


@dataclass
class Found:
    """What a search knows: candidates by their recipe; ``failed`` holds the reasons of those that cannot be used."""

    candidates: dict[str, Candidate] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    continued: int = 0
    interrupted: bool = False
    exhausted: bool = False

    def __len__(self) -> int:
        """How many different recipes are known."""
        return len({candidate.name for candidate in self.candidates.values()}) + len(self.failed)


@dataclass(frozen=True)
class Goal:
    """What to minimize: the drop of accuracy and these ``costs``; and the budgets to meet.

    :param whole: the costs of the network before compression, to which those of candidates are set in relation.
    :param scale: what the drop is counted in.
    """

    costs: tuple[str, ...]
    budgets: tuple[Budget, ...]
    whole: dict[str, float]
    scale: Scale = Scale()

    @property
    def limits(self) -> tuple[Budget, ...]:
        """The budgets, and a tolerated drop where none bounds it."""
        if any(budget.name == self.scale.drop for budget in self.budgets):
            return self.budgets
        limit = TOLERATED * self.scale.point
        return (*self.budgets, Budget(self.scale.drop, limit, f"{self.scale.drop}={limit:.3g}"))

    def values(self, candidate: Candidate) -> list[float]:
        """Return the drop in points, and the logarithm of each cost as a share of the original network's."""
        shares = [math.log(max(candidate.costs[name], 1e-12) / self.whole[name]) for name in self.costs]
        return [candidate.drops[self.scale.drop] / self.scale.point, *shares]

    def matrix(self, candidates: Sequence[Candidate]) -> NDArray[np.float64]:
        """Return the objectives of the candidates, float64 ``[n, 1 + costs]``."""
        return np.array([self.values(c) for c in candidates], float).reshape(len(candidates), 1 + len(self.costs))

    def best(self, candidates: Sequence[Candidate]) -> Candidate | None:
        """Return the candidate to show while the search goes on: closest to the budgets, then cheapest.

        Ten points of accuracy count as much as a factor of e in the mean of the costs.
        """
        if not candidates:
            return None
        values = self.matrix(candidates)
        score = np.maximum(values[:, 0], 0) / 10 + values[:, 1:].mean(axis=1)
        far = [distance(self.limits, c.figures) for c in candidates]
        return candidates[min(range(len(candidates)), key=lambda i: (far[i], score[i]))]

    def first(self, candidates: Sequence[Candidate], count: int) -> list[Candidate]:
        """The ``count`` candidates that deserve more work (:func:`edgekit.compression.front.chosen`)."""
        far = [distance(self.limits, c.figures) for c in candidates]
        return [candidates[i] for i in front.chosen(self.matrix(candidates), far, count)]


def rungs(samples: int, macs: int) -> list[int]:
    """Return the number of samples of each rung; the last has all."""
    first = min(samples, max(FIRST_LEAST, FIRST_MACS // max(1, macs)))
    made = [first]
    while 1.5 * made[-1] * HALVING <= samples:
        made.append(made[-1] * HALVING)
    return made if first == samples else [*made, samples]


def run(
    study: Study,
    choices: Space,
    goal: Goal,
    evaluator: Evaluator,
    *,
    samples: int,
    trials: int,
    deadline: float,
    seed: int,
    progress: Progress,
    found: Found,
) -> None:
    """Propose and measure until ``trials`` recipes are known, the time is up, or there is nothing left to try.

    :param samples: of the first rung. :param deadline: of :func:`time.monotonic`.
    :param found: is filled as the search goes, so that an interruption loses nothing.
    """
    told = [trial for trial in study.trials if trial.state.is_finished()]
    for trial in told:
        _remember(found, trial.user_attrs["key"], trial.user_attrs["outcome"])
    found.continued, number, repeats = len(found), len(told), 0
    starts = choices.starts()
    while len(found) < trials and time.monotonic() < deadline:
        if repeats >= MOST_REPEATS:
            found.exhausted = True
            return
        study.sampler = _sampler(seed + number)
        if number < len(starts) and not any(t.state.name == "WAITING" for t in study.trials):
            study.enqueue_trial(starts[number])
        proposal = study.ask()
        steps = choices.steps(choices.suggest(proposal))
        key, number = space.key(steps), number + 1
        before = len(found)
        if key not in found.candidates and key not in found.failed:
            progress.step(_headline(before + 1, trials, steps, goal, found))
            _remember(found, key, _measured(evaluator, steps, samples))
        repeats = repeats + 1 if len(found) == before else 0
        candidate = found.candidates.get(key)
        proposal.set_user_attr("key", key)
        proposal.set_user_attr("outcome", candidate.json() if candidate else {"failed": found.failed[key]})
        proposal.set_user_attr("excess", _excess(goal, candidate))
        study.tell(proposal, goal.values(candidate) if candidate else [LOST, *([0.0] * len(goal.costs))])


def halve(goal: Goal, evaluator: Evaluator, found: Found, ladder: Sequence[int], keep: int, progress: Progress) -> None:
    """Measure the better candidates on more and more samples; those that remain are measured on all."""
    alive = unique(found)
    for samples in ladder[1:]:
        alive = goal.first(alive, max(keep, math.ceil(len(alive) / HALVING)))
        for number, candidate in enumerate(alive):
            if candidate.samples < samples:
                progress.step(f"measure {candidate.name} on {samples} samples ({number + 1} of {len(alive)})")
                evaluator.refine(candidate, samples)


def unique(found: Found) -> list[Candidate]:
    """Return the candidates without those that are the same network as an earlier one."""
    first: dict[str, Candidate] = {}
    for candidate in found.candidates.values():
        first.setdefault(candidate.digest, candidate)
    return list(first.values())


def _sampler(seed: int) -> Any:
    from optuna.samplers import TPESampler

    return TPESampler(
        seed=seed, multivariate=True, group=False, constant_liar=False, constraints_func=_constraints,
        n_startup_trials=12,
    )  # fmt: skip


def _constraints(trial: FrozenTrial) -> Sequence[float]:
    excess: list[float] = trial.user_attrs["excess"]
    return excess


def _excess(goal: Goal, candidate: Candidate | None) -> list[float]:
    if candidate is None:
        return [LOST] * len(goal.limits)
    return [max(-LOST, e) for e in excesses(goal.limits, candidate.figures).values()]


def _measured(evaluator: Evaluator, steps: tuple[Step, ...], samples: int) -> dict[str, Any]:
    try:
        return evaluator.measure(steps, samples).json()
    except EdgekitError as error:
        return {"failed": error.message}


def _remember(found: Found, key: str, outcome: dict[str, Any]) -> None:
    if "failed" in outcome:
        found.failed[key] = outcome["failed"]
        return
    candidate = Candidate.read(outcome)
    same = (known for known in found.candidates.values() if known.name == candidate.name)
    found.candidates[key] = next(same, candidate)


def _headline(number: int, trials: int, steps: Sequence[Step], goal: Goal, found: Found) -> str:
    best = goal.best(list(found.candidates.values()))
    line = f"recipe {number} of {trials}: {space.name(steps)}"
    if best is None:
        return line
    mark = "" if distance(goal.limits, best.figures) <= 0 else ", over budget"
    return f"{line}  (best so far: {best.name}, {best.drops[goal.scale.drop]:.2g} {goal.scale.lost}{mark})"
