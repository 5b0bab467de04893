"""Take node tests through edgekit: reader, Graph, a backend's run, the case's own outputs and tolerances."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from edgekit import sandbox
from edgekit.errors import EdgekitError
from edgekit.graph import Graph, tflite
from edgekit.readers import ReadOptions
from edgekit.readers.onnx import read_all
from edgekit.runners.reference import reference_outputs
from tests.onnx_nodes import cases
from tests.onnx_nodes.cases import Case

SECONDS = 60.0
"""What one case may take, in each child."""
_LIMITS = sandbox.Limits(seconds=SECONDS, memory_mb=4096)


@dataclass(frozen=True)
class Outcome:
    """What became of a case.

    ``verdict``: ``passed`` (``way`` says by which backend), ``refused`` (``detail`` is the message), or a defect:
    ``wrong`` (other results), ``unnamed`` (a refusal that does not name an operator), ``crashed``.
    """

    case: str
    verdict: str
    way: str = ""
    detail: str = ""


def judge(chosen: Sequence[Case], processes: int = 2) -> list[Outcome]:
    """Judge the cases, in their order."""
    if processes == 1 or len(chosen) < 8:
        return _chunk([case.name for case in chosen])
    parts = [[case.name for case in chosen[i::processes]] for i in range(processes)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        found = {outcome.case: outcome for part in pool.map(_chunk, parts) for outcome in part}
    return [found[case.name] for case in chosen]


def _chunk(names: Sequence[str]) -> list[Outcome]:
    wanted = set(names)
    chosen = [case for case in cases.load() if case.name in wanted]
    with tempfile.TemporaryDirectory(prefix="onnx-nodes-") as folder:
        paths = []
        for case in chosen:
            paths.append(Path(folder) / f"{case.name}.onnx")
            paths[-1].write_bytes(case.model.SerializeToString())
        graphs = read_all(paths, ReadOptions(seconds=SECONDS, memory_mb=4096))
        return [_judge(case, graph, Path(folder)) for case, graph in zip(chosen, graphs, strict=True)]


def _judge(case: Case, graph: Graph | EdgekitError, folder: Path) -> Outcome:
    if isinstance(graph, EdgekitError):
        return refusal(case, graph.message, folder)
    if case.inputs is None or case.outputs is None:
        return Outcome(case.name, "wrong", "litert", "was read, though its inputs or outputs are not plain numbers")
    model = folder / f"{case.name}.tflite"
    try:
        tflite.write(graph, model)
        inputs = [fed(array, t.dtype)[None] for array, t in zip(case.inputs, graph.inputs, strict=True)]
        found = [reference_outputs(model, inputs, limits=_LIMITS, optimized=optimized) for optimized in (False, True)]
    except EdgekitError as error:
        return refusal(case, error.message, folder)
    except Exception as error:  # a defect, to be told with the others
        return Outcome(case.name, "crashed", "litert", f"{type(error).__name__}: {error}")
    for kernels, outputs in zip(("reference kernels", "LiteRT"), found, strict=True):
        why = differs(case, [output[0] for output in outputs])
        if why:
            return Outcome(case.name, "wrong", "litert", f"{kernels}: {why}")
    return Outcome(case.name, "passed", "litert")


def refusal(case: Case, message: str, folder: Path) -> Outcome:
    """Refused is only what names an operator of the model; a child that crashed is never a refusal."""
    text = message.replace(f"{folder}/", "").replace(f"{case.name}.onnx", "MODEL")
    if re.search(r"crashed \(|ran past|was killed", text):
        return Outcome(case.name, "crashed", detail=text)
    operators = {node.op_type for node in case.model.graph.node}
    named = any(re.search(rf"\b{re.escape(operator)}\b", text) for operator in operators)
    return Outcome(case.name, "refused" if named else "unnamed", detail=text)


def fed(array: NDArray[Any], dtype: str) -> NDArray[Any]:
    """The case's input in the type that the Graph takes."""
    return array.astype(np.dtype(dtype))


def differs(case: Case, outputs: Sequence[NDArray[Any]]) -> str:
    """Say how the outputs differ from the case's, beyond its tolerances; nothing if they agree."""
    assert case.outputs is not None
    if len(outputs) != len(case.outputs):
        return f"{len(outputs)} outputs, not {len(case.outputs)}"
    for number, (found, wanted) in enumerate(zip(outputs, case.outputs, strict=True)):
        if found.shape != wanted.shape:
            return f"output {number} has the shape {found.shape}, not {wanted.shape}"
        if found.dtype != wanted.dtype:
            return f"output {number} holds {found.dtype}, not {wanted.dtype}"
        exact = wanted.dtype.kind in "biu"
        same = (found == wanted) if exact else np.isclose(found, wanted, case.rtol, case.atol, equal_nan=True)
        if not np.all(same):
            return f"output {number}: {np.count_nonzero(~same)} of {wanted.size} values differ"
    return ""


if __name__ == "__main__":
    import time
    from collections import Counter

    share = int(sys.argv[1])
    start = time.time()
    results = judge(cases.sample(cases.load(), share))
    for result in results:
        print(result.verdict, result.case, result.detail)
    print(Counter(result.verdict for result in results), time.time() - start)
