"""Take node tests through edgekit as a user does.

Each case is compiled to a proven bundle for this machine and run on its inputs, and its outputs are compared with the
case's at the case's tolerance.

The models are read many at a time, because the converter takes seconds to start; from there on each case goes the way
of ``edgekit compile --target host`` and ``edgekit run --data``, in this process. A case passes as soon as one backend
gives its outputs (the target's own order: LiteRT, then TVM), and where all refuse, if its deployed form does the same.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit import bundle as bundles
from edgekit import plugins, sandbox, target
from edgekit.api import job
from edgekit.api.compile import FIRST, backend_for, build
from edgekit.api.run import run
from edgekit.backends import unsupported
from edgekit.data import dataset
from edgekit.errors import EdgekitError
from edgekit.graph import Graph
from edgekit.passes import recipe
from edgekit.progress import Silent
from edgekit.readers import ReadOptions
from edgekit.readers.onnx import read_all
from edgekit.readers.onnx_compare import TOLERANCE
from edgekit.runners import RunOptions, once
from edgekit.runners.host import HostRunner
from tests.onnx_nodes import cases
from tests.onnx_nodes.cases import Case
from tests.onnx_nodes.settled import settled

SILENT = Silent()
_LIMITS = sandbox.Limits(seconds=60, memory_mb=4096)
"""What one case may take, in each child."""
_BATCH = 100
"""Cases that are read in one run of the converter, which takes seconds to start."""
_NEAR = TOLERANCE
"""What the reader lets a conversion differ by, of the largest magnitude, and says in a note (docs/onnx.md)."""
_HALF = 4 * 2.0**-10
"""The same for results in float16: four of its steps."""
DEFECTS = ("wrong", "unnamed", "crashed")


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    ``verdict``: ``passed`` (``way`` says by which backend, ``form`` is ``"deployed"`` for the deployed form),
    ``refused`` (``detail`` is the message, which names an operator), ``imprecise`` (further off than the case allows,
    within what the reader accepts), or a defect: ``wrong`` (other results), ``unnamed`` (a refusal that names no
    operator), ``crashed``.
    """

    case: str
    verdict: str
    way: str = ""
    form: str = ""
    detail: str = ""


def judge(
    chosen: Sequence[Case], processes: int = 2, done: Callable[[Sequence[Outcome]], None] = lambda outcomes: None
) -> list[Outcome]:
    """Judge the cases, in their order.

    :param done: is called with the outcomes of each batch.
    """
    names = [case.name for case in chosen]
    if processes == 1 or len(names) < 8:
        outcomes = _chunk(names)
        done(outcomes)
        return outcomes
    count = max(processes, -(-len(names) // _BATCH))
    found: dict[str, Outcome] = {}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(_chunk, names[i::count]) for i in range(count)]):
            done(future.result())
            found |= {outcome.case: outcome for outcome in future.result()}
    return [found[name] for name in names]


def _chunk(names: Sequence[str]) -> list[Outcome]:
    chosen = [cases.by_name()[name] for name in names]
    outcomes = {outcome.case: outcome for outcome in _round(chosen)}
    again = [
        form
        for case in chosen
        if outcomes[case.name].verdict in ("refused", "unnamed", "imprecise") and (form := settled(case))
    ]
    for outcome in _round(again):
        if outcome.verdict != "imprecise":
            outcomes[outcome.case] = replace(outcome, form="deployed")
    return [outcomes[case.name] for case in chosen]


def _round(chosen: Sequence[Case]) -> list[Outcome]:
    """Read the cases' models in one run of the converter, then compile, prove and run each one."""
    with tempfile.TemporaryDirectory(prefix="onnx-nodes-") as name:
        folder = Path(name)
        paths = [folder / f"{case.name}.onnx" for case in chosen]
        for path, case in zip(paths, chosen, strict=True):
            path.write_bytes(case.model.SerializeToString())
        graphs = read_all(paths, ReadOptions(seconds=_LIMITS.seconds, memory_mb=_LIMITS.memory_mb))
        return [_judged(case, graph, path) for case, graph, path in zip(chosen, graphs, paths, strict=True)]


def _judged(case: Case, graph: Graph | EdgekitError, path: Path) -> Outcome:
    if isinstance(graph, EdgekitError):
        return refusal(case, graph.message.replace(f"{path.parent}/", ""))
    if case.inputs is None or case.outputs is None:
        return Outcome(case.name, "wrong", detail="was read, though its inputs or outputs are not plain numbers")
    shapes = [tensor.shape for tensor in graph.inputs]
    if shapes != [array.shape for array in case.inputs]:
        return Outcome(case.name, "wrong", detail=f"the Graph's inputs have the shapes {shapes}")
    data = path.with_suffix(".npz")
    np.savez(data, allow_pickle=False, **{t.name: x[None] for t, x in zip(graph.inputs, case.inputs, strict=True)})
    try:
        source = job.Source(path.stem, {"name": path.name, "format": "onnx", "sha256": ""}, graph, None, None)
        host = target.load("host")
        backend_for(FIRST, graph, host)
        ready = _prepared(source, str(data))
    except EdgekitError as error:
        return refusal(case, error.message.replace(f"{path.parent}/", ""), graph)
    result: Outcome | None = None
    for backend in [name for name in host.backends if name != "null"]:
        if unsupported(plugins.get("backends", backend), graph, host):
            continue
        outcome = _through(case, ready, backend, data)
        if outcome.verdict == "passed":
            return outcome
        if result is None or (result.verdict not in DEFECTS and outcome.verdict == "imprecise"):
            result = outcome
    assert result is not None
    return result


def _prepared(source: job.Source, data: str) -> job.Job:
    """As ``compile`` prepares it: on random samples, and where its messages ask for ``--data``, on the case's."""
    plan = recipe.load("as-is")
    try:
        ready = job.prepare(source, plan, 0, "1", SILENT)
        if not any(values.dtype.kind == "f" and np.isnan(values).all() for values in ready.golden[1]):
            return ready
    except EdgekitError as error:
        if "--data" not in error.hint:
            raise
    return job.prepare(replace(source, tests=dataset.load(data, source.graph)), plan, 0, "1", SILENT)


def _through(case: Case, ready: job.Job, backend: str, data: Path) -> Outcome:
    """What a user gets: the bundle that ``edgekit compile`` makes with ``--backend``, fed by ``edgekit run``.

    ``--data`` refuses NaN, infinity and what float32 does not hold; such inputs go to the bundle's runner directly.
    """
    assert case.inputs is not None
    graph, host, folder = ready.graph, target.load("host"), data.parent
    try:
        compiled = build(ready, *backend_for(backend, graph, host), folder / backend, False, SILENT)
        if all(_plain(array) for array in case.inputs):
            found = run(compiled.path, data=str(data)).run.outputs
        else:
            inputs = [array[None] for array in case.inputs]
            found = once(HostRunner(), bundles.load(compiled.path), inputs, RunOptions()).outputs
    except EdgekitError as error:
        return replace(refusal(case, error.message.replace(f"{folder}/", ""), graph), way=backend)
    except Exception as error:
        return Outcome(case.name, "crashed", backend, detail=f"{type(error).__name__}: {error}")
    finally:
        shutil.rmtree(folder / backend, ignore_errors=True)
    return compared(case, backend, [output[0] for output in found])


def _plain(array: NDArray[Any]) -> bool:
    with np.errstate(over="ignore"):
        return array.dtype.kind != "f" or bool(np.isfinite(array.astype(np.float32)).all())


def refusal(case: Case, message: str, graph: Graph | None = None) -> Outcome:
    """Refused is only what names an operator of the model, or of the Graph that was made of it."""
    text = message.replace(f"{case.name}.onnx", "MODEL")
    if "the compiled network crashed" in text:
        return Outcome(case.name, "crashed", detail=text)
    operators = _operators(case.model.graph) | ({operator.op for operator in graph.operators} if graph else set())
    named = any(re.search(rf"\b{re.escape(op)}\b", text.replace("ONNX_", "")) for op in operators)
    return Outcome(case.name, "refused" if named else "unnamed", detail=text)


def _operators(graph: Any) -> set[str]:
    """Names of all operators, those of branches and bodies too."""
    found = {node.op_type for node in graph.node}
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                found |= _operators(attribute.g)
    return found


def compared(case: Case, way: str, outputs: Sequence[NDArray[Any]]) -> Outcome:
    """Hold the outputs against the case's: dtypes, shapes, values."""
    assert case.outputs is not None
    if len(outputs) != len(case.outputs):
        return Outcome(case.name, "wrong", way, detail=f"{len(outputs)} outputs, not {len(case.outputs)}")
    verdict, detail = "passed", ""
    for number, (found, wanted) in enumerate(zip(outputs, case.outputs, strict=True)):
        if found.shape != wanted.shape or found.dtype != wanted.dtype:
            text = f"output {number} is {found.dtype}{list(found.shape)}, not {wanted.dtype}{list(wanted.shape)}"
            return Outcome(case.name, "wrong", way, detail=text)
        whole = wanted.dtype.kind in "biu"
        same = (found == wanted) if whole else np.isclose(found, wanted, case.rtol, case.atol, equal_nan=True)
        if np.all(same):
            continue
        finite = wanted[np.isfinite(wanted)].astype(np.float64)
        bound = (_HALF if wanted.dtype == np.float16 else _NEAR) * np.abs(finite).max(initial=0.0)
        near = not whole and bool(np.all(np.isclose(found, wanted, 0.0, bound, equal_nan=True)))
        detail = f"output {number}: {np.count_nonzero(~same)} of {wanted.size} values differ"
        if not near:
            return Outcome(case.name, "wrong", way, detail=detail)
        verdict = "imprecise"
    return Outcome(case.name, verdict, way, detail=detail)
