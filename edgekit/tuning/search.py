"""The search: which kernel gets the next trials, which variants are tried, and which are used in the end.

Trials go where the time is: the next ones to the kernel with most time for each trial it had (D'Hondt's rule). Two
kinds of forms take turns: other parameters of the template, and schedules that MetaSchedule proposes for its plain
loops. Every trial is measured beside the rule's own kernel, in turns. In the end the best of each kernel are measured
again, longer, and one is used only if it is faster by more than the noise.
"""

from __future__ import annotations

import itertools
import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import sandbox
from edgekit.codegen.loops import encoded
from edgekit.errors import DeviceError, ModelError
from edgekit.tuning import batch as batches
from edgekit.tuning import tasks as tasking
from edgekit.tuning.child import TASK
from edgekit.tuning.measure import ROUNDS, Times

if TYPE_CHECKING:
    from edgekit.backends.tvm.database import Database
    from edgekit.backends.tvm.processors import Processor
    from edgekit.codegen.kernels import Network
    from edgekit.codegen.program import Program
    from edgekit.progress import Progress
    from edgekit.tuning.measure import Measure
    from edgekit.tuning.tasks import Task

TOGETHER = 4
"""Number of variants that are compiled and measured at once."""
HOPELESS, LEAST_SCHEDULES = 3.0, 8
"""MetaSchedule is asked no more for a kernel where so many of its schedules all took so many times the rule's time."""
FINALISTS, FINAL_ROUNDS, SHARE_OF_ROUNDS = 3, 9, 0.85
FASTER = 0.98
"""A variant is used if its median time is at most this share of the rule's, and less in most rounds."""
LIMITS = sandbox.Limits(seconds=600, memory_mb=8192)


@dataclass
class Search:
    """One network's search on one target.

    :param us: each task's time in the rules' network, microseconds, all its calls.
    """

    network: Network
    processor: Processor
    program: Program
    tasks: list[Task]
    us: dict[str, float]
    measure: Measure
    database: Database
    seed: int
    progress: Progress
    new: int = 0
    exhausted: set[str] = field(default_factory=set)

    def known(self, task: Task) -> list[dict[str, Any]]:
        """The trials of a task that were measured where this search measures."""
        return [trial for trial in self.database.of(task.workload) if trial.get("on") == self.measure.name]

    def count(self) -> int:
        """Return the number of trials of all kernels."""
        return sum(len(self.known(task)) for task in self.tasks)

    def run(self, trials: int) -> None:
        """Try variants until the network's kernels have had this many trials, including those of earlier searches."""
        while (done := self.count()) < trials:
            open_ = [task for task in self.tasks if task.workload not in self.exhausted]
            if not open_:
                return
            task = max(open_, key=lambda t: self.us[t.workload] / (1 + len(self.known(t))))
            best = self.best(task)
            self.progress.step(
                f"trial {done + 1} of {trials}: {task.title}" + (f", best {1 / best[0]['ratio']:.2f}x" if best else "")
            )
            self.progress.advance(done, trials)
            choices = self._next(task, min(TOGETHER, trials - done))
            if not choices:
                self.exhausted.add(task.workload)
                continue
            self._try(task, choices)

    def best(self, task: Task) -> list[dict[str, Any]]:
        """The task's trials that worked, fastest first."""
        return sorted((t for t in self.known(task) if "error" not in t), key=lambda t: float(t["ratio"]))

    # One step

    def _next(self, task: Task, count: int) -> list[dict[str, Any]]:
        """The next choices to try: two of the template's parameters for each of MetaSchedule's, while there are any."""
        trials = self.database.of(task.workload)
        tried = [trial["choice"] for trial in trials]
        schedules = [trial.get("ratio", HOPELESS) for trial in trials if "trace" in trial["choice"]]
        fresh = (v for v in tasking.variants(task, self.processor.machine) if v not in tried)
        variants = list(itertools.islice(fresh, count))
        if len(schedules) >= LEAST_SCHEDULES and min(schedules) >= HOPELESS:
            return variants
        if variants and len(tried) - len(schedules) < 2 * len(schedules) + TOGETHER:
            return variants
        return self._proposed(task, count) or variants

    def _proposed(self, task: Task, count: int) -> list[dict[str, Any]]:
        trials = [t for t in self.database.of(task.workload) if "trace" in t["choice"]]
        known = [(t["choice"]["trace"], t["us"] * 1e-6 if "error" not in t else 1.0) for t in trials]
        args = {
            "loops": encoded(task.call.loops), "target": self.processor.target,
            "known": known, "count": count,
            "seed": zlib.crc32(f"{self.seed} {len(known)} {task.workload}".encode()) & 0x3FFFFFFF,
        }  # fmt: skip
        try:
            found, _ = sandbox.call(TASK, args, limits=LIMITS, preload=batches.PRELOAD)
        except (ModelError, sandbox.ChildDied) as error:
            self.progress.note(f"MetaSchedule has no schedule for {task.title}: {str(error)[:120]}")
            return []
        return [{"trace": trace} for trace in found["traces"]]

    def _try(self, task: Task, choices: Sequence[dict[str, Any]]) -> None:
        """Measure the choices against the rule's kernel, and keep the results; failed variants are kept, too."""
        try:
            times = self._times(task, choices, ROUNDS)
        except (ModelError, DeviceError) as error:
            if len(choices) > 1:  # which of them?
                for choice in choices:
                    self._try(task, [choice])
                return
            self._times(task, [], 1)  # raises where the rule's own kernel fails, too: then it is no fault of the form's
            self._add({"kernel": task.workload, "choice": choices[0], "error": error.message[:200]})
            return
        for number, choice in enumerate(choices, 1):
            entry: dict[str, Any] = {"kernel": task.workload, "choice": choice}
            if times.same[number]:
                us = np.median(times.us, 0)
                entry |= {"us": float(us[number]), "rule_us": float(us[0]), "ratio": times.ratio(number)}
            else:
                entry["error"] = "it computes something else"
            self._add(entry)

    def _add(self, entry: dict[str, Any]) -> None:
        self.database.add({**entry, "on": self.measure.name})
        self.new += 1

    def _times(self, task: Task, choices: Sequence[dict[str, Any]], rounds: int) -> Times:
        forms = [(self.program, task.call)]
        forms += [tasking.candidate(self.network, self.processor.machine, task, choice) for choice in choices]
        return self.measure.times(forms, rounds)

    # The end

    def verdicts(self) -> dict[str, dict[str, Any]]:
        """Measure each task's best variants again; return, by workload, what to use and its ratio to the rule."""
        found: dict[str, dict[str, Any]] = {}
        for number, task in enumerate(self.tasks):
            self.progress.step(f"decide: {task.title}")
            self.progress.advance(number, len(self.tasks))
            finalists = [t["choice"] for t in self.best(task)[:FINALISTS] if t["ratio"] <= FASTER]
            if not finalists:
                continue
            times = self._times(task, finalists, FINAL_ROUNDS)
            best = min(range(1, len(finalists) + 1), key=times.ratio)
            wins = float(np.mean(times.us[:, best] < times.us[:, 0]))
            if times.same[best] and times.ratio(best) <= FASTER and wins >= SHARE_OF_ROUNDS:
                found[task.workload] = {"choice": finalists[best - 1], "ratio": times.ratio(best)}
        return found

    def decide(self, chosen: dict[str, dict[str, Any]]) -> None:
        """Write the verdicts, for later compiles; a verdict that is known already is not written again."""
        for task in self.tasks:
            choice = chosen[task.workload]["choice"] if task.workload in chosen else None
            if json.dumps(self.database.verdicts.get(task.workload)) != json.dumps(choice):
                self.database.add({"kernel": task.workload, "verdict": choice})
