"""Several variants of a loop nest as one network, so that whatever runs networks measures them in turns.

The network's inputs are the nest's, its outputs are what each form computes; the first form is the rule's. It is
emitted, linked and run like any other: by the C runner, on this machine, on a board, or in its emulator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edgekit.backends.runner_build import NAME, get, native_arch, put
from edgekit.backends.tvm import LIBRARY, compiled, link
from edgekit.bundle import Bundle
from edgekit.bundle.execution import Execution, Kind, runner_command
from edgekit.codegen.program import Argument, Buffer, Call, Program
from edgekit.graph import Graph, Operator, Subgraph, Tensor

if TYPE_CHECKING:
    from edgekit.backends.tvm.processors import Processor
    from edgekit.target import Target

PRELOAD = ("tvm", "edgekit.tuning.child")
"""What the child's parent keeps imported: TVM is imported once, not for each trial."""
OPERATOR = "edgekit.candidate"
EXECUTION = Execution(Kind.LIBRARY, runner_command(LIBRARY, model=False), LIBRARY)
Form = tuple[Program, Call]


@dataclass(frozen=True)
class Batch:
    """Variants of a loop nest as a program, with a Graph for runners."""

    program: Program
    graph: Graph


def batch(forms: Sequence[Form]) -> Batch:
    """Put variants of one nest side by side; all take the same inputs and make an output of the same shape."""
    program, tensors, operators = Program(), list[Tensor](), list[Operator]()
    source, call = forms[0]
    given: list[Argument] = []
    for argument in call.args[:-1]:
        if source.buffers[argument.buffer].kind == "constant":
            continue
        buffer = program.add(Buffer("input", argument.nbytes, dtype=argument.dtype))
        program.inputs.append(buffer)
        given.append(replace(argument, buffer=buffer))
        tensors.append(Tensor(f"input{len(tensors)}", argument.shape, argument.dtype))
    count = len(tensors)
    for number, (own, form) in enumerate(forms):
        rest = iter(given)
        args = []
        for argument in form.args[:-1]:
            kept = own.buffers[argument.buffer]
            if kept.kind == "constant" and kept.data is not None:
                args.append(replace(program.constant(kept.data), shape=argument.shape))
            else:
                args.append(next(rest))
        made = form.args[-1]
        out = Buffer("output", made.nbytes, dtype=made.dtype, halo=own.buffers[made.buffer].halo)
        program.outputs.append(program.add(out))
        program.calls.append(replace(form, node=number, args=(*args, replace(made, buffer=program.outputs[-1]))))
        tensors.append(Tensor(f"output{number}", made.shape, made.dtype))
        operators.append(Operator(OPERATOR, tuple(range(count)), (count + number,), custom=True))
    main = Subgraph("main", tensors, operators, tuple(range(count)), tuple(range(count, len(tensors))))
    return Batch(program, Graph([main]))


def inputs(graph: Graph, seed: int = 0) -> list[NDArray[Any]]:
    """One sample for the network: normal floats, integers over their whole range."""
    rng = np.random.default_rng(seed)
    found: list[NDArray[Any]] = []
    for tensor in graph.inputs:
        shape = (1, *tensor.shape)
        if tensor.dtype == "float32":
            found.append(rng.standard_normal(shape, np.float32))
        else:
            info = np.iinfo(tensor.dtype)
            found.append(rng.integers(info.min, info.max + 1, shape, tensor.dtype))
    return found


def build(made: Program, graph: Graph, processor: Processor, target: Target, folder: Path) -> Bundle:
    """Compile a program and lay out in ``folder`` what runners take.

    :raises ModelError: if TVM fails on one of its kernels.
    """
    (folder / "artifact").mkdir(parents=True)
    link(compiled(made, processor, PRELOAD), target, folder / "artifact" / LIBRARY)
    put(get(native_arch(target.arch)).path, folder / "artifact", NAME, 0o755)
    bundle = Bundle(folder, {"target": target.name, "backend": "tvm", "execution": EXECUTION.json(),
                             "files": {}, "inputs": [], "outputs": []})  # fmt: skip
    bundle.__dict__["graph"] = graph  # no model.tflite stands for it
    return bundle


def same(expected: NDArray[Any], found: NDArray[Any]) -> bool:
    """True if two variants computed the same: integers exactly, floats up to the order of summation."""
    if expected.dtype.kind != "f":
        return bool(np.array_equal(expected, found))
    scale = float(np.abs(expected).max(initial=0.0))
    return bool(np.isfinite(found).all() and np.abs(expected - found).max(initial=0.0) <= 1e-4 * max(scale, 1e-20))
