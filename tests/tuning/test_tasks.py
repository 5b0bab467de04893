"""Which kernels are tuned, and that every choice, whatever it says, gives a network that computes the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgekit import sandbox, target
from edgekit.backends.tvm import compiled
from edgekit.backends.tvm.processors import processor
from edgekit.codegen.loops import Conv, Depthwise, encoded
from edgekit.codegen.lower import lower
from edgekit.codegen.program import Call, Program
from edgekit.codegen.schedule import cpu
from edgekit.errors import ModelError
from edgekit.graph import Graph
from edgekit.tuning import tasks
from edgekit.tuning.batch import PRELOAD, batch, same
from edgekit.tuning.child import TASK
from edgekit.tuning.measure import ByRunner
from tests.installed import needed
from tests.networks.building import RELU, Pictures, quantized

needed("tvm", "tvm")
HOST = target.load("host")
PROCESSOR = processor(HOST)
MACHINE = PROCESSOR.machine
BOARDS = [processor(target.load(name)).machine for name in ("host", "rpi4", "rpi5")]


def compiles(measure: ByRunner, form: tuple[Program, Call]) -> bool:
    """Some of MetaSchedule's random schedules break TVM's own passes; the search keeps them as failed trials."""
    try:
        measure.times([form], 1)
    except ModelError as error:
        assert "broadcast" in error.message
        return False
    return True


def network() -> Graph:
    n = Pictures()
    x = n.tensor((1, 12, 12, 8))
    y = n.conv(x, 16, (3, 3), activation=RELU)
    y = n.depthwise(y, (3, 3))
    n.conv(y, 32, (1, 1))
    return n.all_results(x)


def test_equal_kernels_are_one_task() -> None:
    n = Pictures()
    x = n.tensor((1, 12, 12, 8))
    y = n.conv(n.conv(x, 8, (3, 3)), 8, (3, 3))
    n.conv(y, 8, (3, 3))
    found = tasks.tasks(cpu.schedule(lower(n.all_results(x)), MACHINE))
    assert sum(task.calls for task in found) == 3


@pytest.mark.parametrize("board", BOARDS, ids=["host", "rpi4", "rpi5"])
@pytest.mark.parametrize("integers", [False, True], ids=["float32", "int8"])
def test_a_variant_is_what_is_lowered(board: Any, integers: bool, tmp_path: Path) -> None:
    graph = quantized(network(), tmp_path / "q") if integers else network()
    lowered = lower(graph)
    for task in tasks.tasks(cpu.schedule(lowered, board)):
        every = list(tasks.variants(task, board))
        assert every or not isinstance(task.call.loops, Conv | Depthwise)
        assert len({str(one) for one in every}) == len(every)
        for choice in every:
            _, call = tasks.candidate(lowered, board, task, choice)
            assert {key: tasks.chosen(call.loops, key) for key in choice} == choice


@given(choice=st.dictionaries(
    st.sampled_from(["tile", "outer", "rows", "trace"]),
    st.none() | st.integers(-9, 9) | st.lists(st.integers(-3, 40), max_size=4) | st.just("[]") | st.just([[1], 2, 3]),
))  # fmt: skip
@settings(max_examples=50, deadline=None)
def test_a_choice_that_does_not_fit_is_the_rules(choice: dict[str, Any]) -> None:
    lowered = lower(network())
    rules = cpu.schedule(lowered, MACHINE)
    fits = {str(one.get("tile")) for t in tasks.tasks(rules) for one in tasks.variants(t, MACHINE)}
    found = cpu.schedule(lowered, MACHINE, {t.workload: choice for t in tasks.tasks(rules)})
    for call, rule in zip(found.calls, rules.calls, strict=True):
        if str(choice.get("tile")) not in fits:
            assert getattr(call.loops, "tile", None) == getattr(rule.loops, "tile", None)
        assert isinstance(call.trace, str)
        assert getattr(call.loops, "rows", 1) in (1, 2, 4)


@pytest.mark.slow
@pytest.mark.parametrize("integers", [False, True], ids=["float32", "int8"])
def test_every_form_computes_what_the_rules_does(integers: bool, tmp_path: Path) -> None:
    lowered = lower(quantized(network(), tmp_path / "q") if integers else network())
    program = cpu.schedule(lowered, MACHINE)
    measure = ByRunner("host", HOST, PROCESSOR)
    searched = 0
    for task in tasks.tasks(program):
        args = {"loops": encoded(task.call.loops), "target": PROCESSOR.target, "known": [], "seed": 0, "count": 2}
        traces = sandbox.call(TASK, args, preload=PRELOAD)[0]["traces"]
        searched += len(traces)
        again = sandbox.call(TASK, {**args, "known": [(traces[0], 1e-6)]}, preload=PRELOAD)[0]["traces"]
        assert traces[0] not in again
        tiles = [tasks.candidate(lowered, MACHINE, task, c) for c in list(tasks.variants(task, MACHINE))[::9]]
        schedules = [tasks.candidate(lowered, MACHINE, task, {"trace": trace}) for trace in traces]
        forms = [(program, task.call), *tiles, *(form for form in schedules if compiles(measure, form))]
        times = measure.times(forms, 1)
        assert all(times.same), task.title
        for form in forms[1 + len(tiles) :]:  # each alone, as a child has only what its own kernels need
            assert compiled(batch([form]).program, PROCESSOR, PRELOAD).unfit == (), task.title
        assert (times.us > 0).all() and times.us.shape == (1, len(forms))
    assert searched >= 4


def test_a_trace_that_does_not_fit_is_left_out(tmp_path: Path) -> None:
    lowered = lower(network())
    program = cpu.schedule(lowered, MACHINE)
    task = tasks.tasks(program)[0]
    forms = [(program, task.call)]
    forms += [tasks.candidate(lowered, MACHINE, task, {"trace": trace}) for trace in ("[", '[[["No",[],[],[]]],[]]')]
    assert len(compiled(batch(forms).program, PROCESSOR, PRELOAD).unfit) == 2
    times = ByRunner("host", HOST, PROCESSOR).times(forms, 1)
    assert times.same == [True, True, True]


@pytest.mark.parametrize(
    ("found", "ok"), [([1.0, 2.0], True), ([1.0, 2.00001], True), ([1.0, 2.1], False), ([1.0, np.nan], False)]
)
def test_floats_may_differ_by_the_order_of_sums(found: list[float], ok: bool) -> None:
    assert same(np.array([1.0, 2.0], np.float32), np.array(found, np.float32)) == ok
    assert same(np.array([1, 2]), np.array([1, 2])) and not same(np.array([1, 2]), np.array([1, 3]))
