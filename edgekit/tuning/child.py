"""The child's side of tuning: MetaSchedule proposes schedules for plain loops.

Its search keeps no state between two calls but the trials that it is told of, so it goes on after a kill. TVM's own
tensor intrinsics (15 seconds to import, and its VNNI does not compile) are replaced by the templates'.
"""

from __future__ import annotations

import json
import sys
import tempfile
import types
from pathlib import Path
from typing import Any

from edgekit.codegen.loops import Conv, Loops, decoded

TASK = f"{__name__}:propose"
LEAST, POPULATION = 8, 24
"""Fresh schedules and all schedules of one step of the evolution: few, because only measured times rank them."""


def propose(args: dict[str, Any], arrays: dict[str, Any], folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return up to ``count`` new ``traces`` (JSON) for the nest ``loops`` on ``target`` (TVM's).

    :param args: also ``known``: ``[trace, seconds]`` of each earlier trial, and ``seed``.
    """
    tempfile.tempdir = str(folder)
    sys.modules.setdefault("tvm.s_tir.tensor_intrin", types.ModuleType("tvm.s_tir.tensor_intrin"))
    import tvm
    from tvm.s_tir import meta_schedule as ms

    from edgekit.backends.tvm.templates import plain

    nest = decoded(args["loops"])
    function = plain(nest)
    module = tvm.IRModule({"main": function.with_attr("global_symbol", "main")})
    processor = tvm.target.Target({**args["target"], "num-cores": 1})
    context = ms.TuneContext(
        mod=module, target=processor, space_generator=_space(nest),
        search_strategy=ms.search_strategy.EvolutionarySearch(
            population_size=POPULATION, init_measured_ratio=0.5, init_min_unmeasured=LEAST, genetic_num_iters=1,
            genetic_max_fail_count=4, eps_greedy=0.25,
        ),
        rand_state=args["seed"] + 1, num_threads=1,
    )  # fmt: skip
    database = _database(module, processor, args["known"])
    spaces = context.generate_design_space()
    context.pre_tuning(
        1 << 20, num_trials_per_iter=2 * args["count"], design_spaces=spaces, database=database,
        cost_model=ms.cost_model.RandomModel(),
    )  # fmt: skip
    found = context.generate_measure_candidates() or []
    traces = dict.fromkeys(_text(one.sch.trace) for one in found)
    for trace, _ in args["known"]:
        traces.pop(trace, None)
    return {"traces": list(traces)[: args["count"]]}, {}


def _text(trace: Any) -> str:
    from tvm_ffi import Array, Map

    def plain(value: Any) -> Any:
        if isinstance(value, Array | list | tuple):
            return [plain(one) for one in value]
        if isinstance(value, Map | dict):
            return {str(key): plain(one) for key, one in value.items()}
        if isinstance(value, str):
            return str(value)
        return value.value if hasattr(value, "value") else value  # TVM's integers and floats

    return json.dumps(plain(trace.as_json()))


def _space(nest: Loops) -> Any:
    """MetaSchedule's rules for processors, for one thread, with the templates' dot product where they use it."""
    from tvm.s_tir import meta_schedule as ms

    from edgekit.backends.tvm.templates import intrinsics

    rules, checks, mutators = ms.schedule_rule, ms.postproc, ms.mutator
    tiling = {"structure": "SSRSRS", "max_innermost_factor": 64,
              "reuse_write": rules.ReuseType(req="may", levels=[1, 2], scope="global")}  # fmt: skip
    if isinstance(nest, Conv) and nest.dot:
        name = intrinsics.register(nest.dot, nest.tile[2])
        tiled = rules.MultiLevelTilingWithIntrin(name, **tiling)
    else:
        tiled = rules.MultiLevelTiling(**tiling)
    loops = rules.ParallelizeVectorizeUnroll(
        max_jobs_per_core=-1, max_vectorize_extent=64, unroll_max_steps=[0, 16, 64, 512], unroll_explicit=True
    )
    return ms.space_generator.PostOrderApply(
        sch_rules=[tiled, loops, rules.RandomComputeLocation()],
        postprocs=[checks.DisallowDynamicLoop(), checks.RewriteParallelVectorizeUnroll(),
                   checks.RewriteReductionBlock(), checks.RewriteTensorize(vectorize_init_loop=True)],
        mutator_probs={mutators.MutateTileSize(): 0.9, mutators.MutateComputeLocation(): 0.05,
                       mutators.MutateUnroll(): 0.05},
    )  # fmt: skip


def _database(module: Any, target: Any, known: list[tuple[str, float]]) -> Any:
    """MetaSchedule's database of the trials so far; a trace that does not fit is left out."""
    from tvm.s_tir import Schedule
    from tvm.s_tir import meta_schedule as ms
    from tvm.s_tir.schedule import Trace

    from edgekit.backends.tvm import traces

    database = ms.database.MemoryDatabase()
    workload = database.commit_workload(module)
    shapes = ms.arg_info.ArgInfo.from_prim_func(module["main"])
    for trace, seconds in known:
        schedule = Schedule(module)
        try:
            Trace.apply_json_to_schedule(traces.checked(trace), schedule)
        except (RuntimeError, ValueError, LookupError, TypeError):  # TVM raises all of them
            continue
        database.commit_tuning_record(ms.database.TuningRecord(schedule.trace, workload, [seconds], target, shapes))
    return database
