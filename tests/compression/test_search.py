from __future__ import annotations

import math
import time

import pytest

from edgekit.compression import budget, journal, search, space
from edgekit.errors import UsageError
from edgekit.progress import Silent

CHOICES = space.space(["prune", "low_rank", "quantize"], "rpi4", train=False, packed=False)


class Heard(Silent):
    """Keeps what it is told; can interrupt."""

    def __init__(self, interrupt_at: int = 10**9) -> None:
        self.steps: list[str] = []
        self.warnings: list[str] = []
        self._left = interrupt_at

    def step(self, name: str) -> None:
        self.steps.append(name)
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def searching(path, evaluator, trials, *, heard=None, fresh=False, seed=0, deadline=math.inf, limits=("size=9kB",)):
    whole = evaluator.measure((), 100)
    goal = search.Goal(("size", "latency"), budget.parse(limits), whole.costs)
    found, heard = search.Found(), heard or Heard()
    try:
        with journal.opened(path, goal, fresh, heard) as study:
            search.run(
                study, CHOICES, goal, evaluator, samples=100, trials=trials, deadline=deadline, seed=seed,
                progress=heard, found=found,
            )  # fmt: skip
    except KeyboardInterrupt:
        found.interrupted = True
    return found, goal


def rows(found):
    return [(key, c.name, c.costs, c.drops) for key, c in found.candidates.items()]


def test_an_interrupted_search_goes_on_as_if_nothing_was(tmp_path, evaluator):
    judge, _ = evaluator
    whole, _ = searching(tmp_path / "a", judge, 14)
    first, _ = searching(tmp_path / "b", judge, 14, heard=Heard(interrupt_at=12))
    assert first.interrupted and len(first) == 12
    heard = Heard()
    second, _ = searching(tmp_path / "b", judge, 14, heard=heard)
    assert second.continued == 12 and len(heard.steps) == 2
    assert rows(second) == rows(whole)
    other, _ = searching(tmp_path / "c", judge, 14, seed=1)
    assert rows(other) != rows(whole)
    longer, _ = searching(tmp_path / "b", judge, 15)
    assert rows(longer)[: len(rows(whole))] == rows(whole) and longer.continued == 14
    anew, _ = searching(tmp_path / "b", judge, 2, fresh=True)
    assert anew.continued == 0 and len(anew) == 2


def test_a_journal_that_was_cut_off_or_spoilt(tmp_path, evaluator):
    judge, _ = evaluator
    path = tmp_path / "a"
    whole, _ = searching(path, judge, 4)
    data = path.read_bytes()
    path.write_bytes(data + b'{"op_code": 4, "trial')  # killed while writing
    (tmp_path / "a.lock").symlink_to(path)
    cut, _ = searching(path, judge, 4)
    assert cut.continued == 4 and rows(cut) == rows(whole)
    for rubbish in (
        b"\x00\xff\n" + data,
        b"{}\n" * 3,
        b'{"op_code": 99, "worker_id": "x"}\n',
        data.replace(b"size", b"s"),
    ):
        path.write_bytes(rubbish)
        heard = Heard()
        anew, _ = searching(path, judge, 3, heard=heard)
        assert anew.continued == 0 and len(anew) == 3 and "damaged" in heard.warnings[0]


def test_one_search_at_a_time(tmp_path, evaluator):
    judge, _ = evaluator
    goal = search.Goal(("size",), (), {"size": 1.0})
    with journal.opened(tmp_path / "a", goal, False, Silent()), pytest.raises(UsageError, match="already running"):
        searching(tmp_path / "a", judge, 2)


def test_time_ends_it(tmp_path, evaluator):
    judge, _ = evaluator
    found, _ = searching(tmp_path / "a", judge, 100, deadline=time.monotonic() - 1)
    assert len(found) == 0 and not found.interrupted


def test_the_headline_tells_the_best_so_far(tmp_path, evaluator):
    judge, _ = evaluator
    heard = Heard()
    found, goal = searching(tmp_path / "a", judge, 9, heard=heard)
    assert heard.steps[0] == "recipe 1 of 9: as-is"
    best = goal.best(list(found.candidates.values()))
    assert best is not None and best.costs["size"] <= 9000
    assert "best so far: " in heard.steps[-1] and "over budget" in heard.steps[1]


def test_halving_measures_the_better_third_on_all(tmp_path, evaluator):
    judge, _ = evaluator
    found, goal = searching(tmp_path / "a", judge, 9)
    search.halve(goal, judge, found, [100, 300, 400], 2, Silent())
    sizes = sorted(c.samples for c in search.unique(found))
    assert sizes == [100] * 6 + [300] * 1 + [400] * 2
    full = [c for c in found.candidates.values() if c.samples == 400]
    assert all(budget.distance(goal.limits, c.figures) == 0 for c in full)


@pytest.mark.parametrize(
    ("samples", "macs", "expected"),
    [(50, 10**6, [50]), (5000, 10**6, [2000, 5000]), (5000, 10**9, [100, 300, 900, 2700, 5000]), (100, 10**9, [100]),
     (300, 10**9, [100, 300]), (400, 0, [400]), (320, 10**9, [100, 320])],
)  # fmt: skip
def test_rungs(samples, macs, expected):
    assert search.rungs(samples, macs) == expected


def test_the_same_network_is_one_candidate():
    from edgekit.compression.candidates import Candidate
    from edgekit.passes.recipe import Step

    first, again = Candidate((), {}, "a"), Candidate((Step("finetune", {"epochs": 2}),), {}, "a")
    other = Candidate((Step("float32", {}),), {}, "b")
    assert search.unique(search.Found({"1": first, "2": other, "3": again})) == [first, other]


def test_without_a_bound_on_accuracy_a_useless_network_is_not_best():
    from edgekit.compression.candidates import Candidate

    goal = search.Goal(("size",), budget.parse(["size=10kB"]), {"size": 1e5})
    useless = Candidate((), {"size": 1e3}, "a", {"accuracy-drop": 60.0})
    fair = Candidate((), {"size": 9e3}, "b", {"accuracy-drop": 1.0})
    assert goal.best([useless, fair]) is fair and goal.first([useless, fair], 1) == [fair]
    bounded = search.Goal(("size",), budget.parse(["size=10kB", "accuracy-drop=70"]), {"size": 1e5})
    assert set(map(id, bounded.first([useless, fair], 2))) == {id(useless), id(fair)}
