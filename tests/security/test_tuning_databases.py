"""A tuning database from a stranger links nothing into the network."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

from edgekit import target
from edgekit.backends.tvm import database, traces
from edgekit.backends.tvm.processors import processor
from edgekit.codegen.loops import encoded
from edgekit.codegen.lower import lower
from edgekit.codegen.schedule import cpu
from edgekit.errors import UsageError
from edgekit.tuning import child, tasks
from tests.networks.building import Pictures

HOST = target.load("host")
BLOCK = ["GetSBlock", [], ["C", "main"], ["b0"]]
LLVM = "define i32 @stranger() { ret i32 7 }"


def _trace(*instructions: list[Any]) -> str:
    return json.dumps([[BLOCK, *instructions], []])


HOSTILE = {
    "llvm": _trace(["Annotate", ["b0", json.dumps(LLVM)], ["pragma_import_llvm"], []]),
    "c": _trace(["Annotate", ["b0", '"int x;"'], ["pragma_import_c"], []]),
    "code as a known annotation's value": _trace(
        ["Annotate", ["b0", json.dumps(LLVM)], ["pragma_unroll_explicit"], []]
    ),
    "a nested value": _trace(["Annotate", ["b0", {"pragma_import_llvm": LLVM}], ["meta_schedule.vectorize"], []]),
    "a list as value": _trace(["Annotate", ["b0", [1, LLVM]], ["meta_schedule.vectorize"], []]),
    "unknown annotation": _trace(["Annotate", ["b0", 1], ["compiler"], []]),
    "unknown instruction": _trace(["TransformLayout", ["b0", "lambda"], [], []]),
    "bound threads": _trace(["Bind", ["b0"], ["threadIdx.x"], []]),
    "another's intrinsic": _trace(["Tensorize", ["b0"], ["dot_16x4_vnni", True], []]),
    "another storage": _trace(["CacheWrite", ["b0"], [0, "shared.dyn"], ["b1"]]),
    "code as a name": _trace(["GetSBlock", [], [LLVM, "main"], ["b1"]]),
}
DAMAGED = ["{}", "pragma_import_llvm", "[" * 100_000, "[[1], []]", "null"]


@pytest.mark.parametrize("trace", DAMAGED)
def test_damaged_schedules_are_never_applied(trace: str) -> None:
    with pytest.raises(traces.NotATrace):
        traces.checked(trace)


@pytest.mark.parametrize("entry", ["verdict", "choice", "both"])
@pytest.mark.parametrize("name", HOSTILE)
def test_schedules_that_tuning_does_not_write_are_refused(tmp_path: Path, name: str, entry: str) -> None:
    path = tmp_path / "d.tuning.jsonl"
    measured = {"us": 1.0, "rule_us": 1.0, "ratio": 1.0} if entry == "choice" else {}
    line = {"kernel": "conv {}", entry: {"trace": HOSTILE[name]}, **measured}
    if entry == "both":  # the verdict counts, whatever stands beside it
        line = {"kernel": "conv {}", "choice": {"tile": [1, 1, 1]}, "verdict": {"trace": HOSTILE[name]}}
    path.write_text(f"{json.dumps(database.identity(HOST).json())}\n{json.dumps(line)}\n")
    with pytest.raises(UsageError, match="schedule that no tuning writes"):
        database.choices(str(path), HOST)
    with pytest.raises(UsageError, match="schedule that no tuning writes"), database.opened(str(path), HOST):
        pass


def test_what_tuning_writes_passes_and_code_in_it_is_not_applied(tmp_path: Path) -> None:
    n = Pictures()
    x = n.tensor((1, 8, 8, 8))
    n.conv(x, 16, (3, 3))
    program = cpu.schedule(lower(n.all_results(x)), processor(HOST).machine)
    task = tasks.tasks(program)[0]
    request = {
        "loops": encoded(task.call.loops), "target": processor(HOST).target, "known": [],
        "count": 4, "seed": 1,
    }  # fmt: skip
    proposed = child.propose(request, {}, tmp_path)[0]["traces"]
    tempfile.tempdir = None
    assert proposed
    from edgekit.backends.tvm.templates import plain, traced

    function = plain(task.call.loops)
    for trace in proposed:
        traces.checked(trace)
        traced(function, trace)
        found = json.loads(trace)
        block = found[0][0][3][0]
        found[0].append(["Annotate", [block, json.dumps(LLVM)], ["pragma_import_llvm"], []])
        with pytest.raises(ValueError, match="pragma_import_llvm"):
            traced(function, json.dumps(found))
