"""Which forms are tried next, when MetaSchedule is asked, and what is written in the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgekit import target
from edgekit.backends.tvm.database import Database, opened, read
from edgekit.backends.tvm.processors import processor
from edgekit.codegen.lower import lower
from edgekit.codegen.schedule import cpu
from edgekit.progress import Silent
from edgekit.tuning import tasks
from edgekit.tuning.measure import ByRunner
from edgekit.tuning.search import LEAST_SCHEDULES, TOGETHER, Search
from tests.networks.building import Pictures

HOST = target.load("host")
PROCESSOR = processor(HOST)
MACHINE = PROCESSOR.machine


@pytest.fixture
def search(tmp_path: Path) -> Search:
    n = Pictures()
    x = n.tensor((1, 16, 16, 8))
    n.conv(n.conv(x, 16, (3, 3)), 32, (3, 3))
    graph = n.all_results(x)
    network = lower(graph)
    program = cpu.schedule(network, MACHINE)
    todo = tasks.tasks(program)
    us = {task.workload: 1.0 for task in todo}
    measure = ByRunner("host", HOST, PROCESSOR)
    return Search(network, PROCESSOR, program, todo, us, measure, Database(tmp_path / "d"), 0, Silent())


def trial(task: tasks.Task, choice: dict[str, Any], ratio: float) -> dict[str, Any]:
    return {"kernel": task.workload, "choice": choice, "us": ratio, "rule_us": 1.0, "ratio": ratio, "on": "host"}


def test_tiles_come_first_and_never_twice(search: Search) -> None:
    task = search.tasks[0]
    first = search._next(task, TOGETHER)
    assert first == list(tasks.variants(task, MACHINE))[:TOGETHER]
    for choice in first[:2]:
        search.database.add(trial(task, choice, 1.1))
    again = search._next(task, TOGETHER)
    assert again[:2] == first[2:] and all(choice not in first[:2] for choice in again)


def test_metaschedule_is_not_asked_where_it_is_hopeless(search: Search) -> None:
    task = search.tasks[0]
    every = list(tasks.variants(task, MACHINE))
    for number in range(LEAST_SCHEDULES):
        search.database.add(trial(task, {"trace": str(number)}, 5.0))
    for choice in every[:-1]:
        search.database.add(trial(task, choice, 1.1))
    assert search._next(task, TOGETHER) == [every[-1]]
    search.database.add(trial(task, every[-1], 1.1))
    assert search._next(task, TOGETHER) == []


def test_a_search_with_nothing_left_ends(search: Search) -> None:
    for task in search.tasks:
        for number in range(LEAST_SCHEDULES):
            search.database.add(trial(task, {"trace": str(number)}, 5.0))
        for choice in tasks.variants(task, MACHINE):
            search.database.add(trial(task, choice, 1.1))
    search.run(10_000)
    assert search.new == 0 and search.exhausted == {task.workload for task in search.tasks}
    assert search.verdicts() == {}


def test_a_verdict_is_written_once_and_withdrawn(search: Search, tmp_path: Path) -> None:
    task = search.tasks[0]
    chosen = {task.workload: {"choice": {"tile": [1, 8, 8]}, "ratio": 0.9}}
    with opened(str(tmp_path / "d"), HOST) as base:
        search.database = base
        search.decide(chosen)
        search.decide(chosen)
        assert len((tmp_path / "d").read_text().splitlines()) == 2
        assert base.choices == {task.workload: {"tile": [1, 8, 8]}}
        search.decide({})
    assert read(tmp_path / "d", HOST).choices == {}
