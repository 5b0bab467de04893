"""Run a network that may fail: on LiteRT's default kernels, after its reference kernels have accepted it, too.

A bundle needs both: its golden outputs come from the reference kernels, and boards run the default ones.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit import sandbox
from edgekit.errors import ModelError
from edgekit.graph import Graph, tflite
from edgekit.reference import litert as reference

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edgekit.data.dataset import Dataset


def run(graph: Graph, data: Dataset, *, plain: bool = True) -> list[NDArray[Any]]:
    """Return the outputs over the samples, ``[samples, *shape]`` each.

    :param plain: ask the reference kernels, too; they lack some operators (ELU, ROUND, CEIL).
    :raises ModelError: if one of the kernels refuses the network or crashes on it.
    """
    from edgekit.data.dataset import as_network_inputs

    arrays = {f"input{i}": values for i, values in enumerate(as_network_inputs(data, graph))}
    with sandbox.scratch() as folder:
        model = folder / "model.tflite"
        tflite.write(graph, model)
        args = {"model": str(model), "optimized": True, "all_tensors": False, "plain": plain}
        try:
            _, found = sandbox.call(
                f"{__name__}:run_task",
                args,
                arrays,
                limits=reference.LIMITS,
                preload=reference.PRELOAD,
                readable=[model],
            )
        except sandbox.ChildDied as death:
            raise ModelError(f"LiteRT itself {death.reason} on this network") from death
    return [found[f"output{i}"] for i in range(len(found))]


def run_task(args: dict[str, Any], arrays: dict[str, Any], work: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run in the child process."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    both = (OpResolverType.BUILTIN_REF, OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES)
    for kernels in both if args["plain"] else both[1:]:
        try:
            Interpreter(
                model_path=args["model"], experimental_op_resolver_type=kernels, num_threads=1
            ).allocate_tensors()
        except (ValueError, RuntimeError) as error:
            text = " ".join(str(error).split("litert/", 1)[-1].split())
            raise ModelError(f"LiteRT's reference kernels refuse the model: {text[:300]}") from error
    return reference.run_task(args, arrays, work)
