"""Networks with state, frame by frame: LiteRT's reference kernels beside the NumPy backend, every tensor compared."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from ai_edge_litert import interpreter as litert

from edgekit.codegen import kernels as k
from edgekit.codegen.lower import lower
from edgekit.graph import Graph, Operator, tflite
from tests.codegen.interpreter import Array, Interpreter


def compared(graph: Graph, frames: Iterable[list[Array]], scope: k.Scope = k.MICROCONTROLLER) -> tuple[int, int]:
    """Run all frames through both.

    :param graph: of a network that LiteRT is known to survive: it runs in this process.
    :returns: how many tensors were compared, and how many different outputs there were.
    """
    network = lower(graph, scope)
    plain = litert.Interpreter(
        model_content=tflite.dumps(graph), experimental_op_resolver_type=litert.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )  # fmt: skip
    plain.allocate_tensors()
    own = Interpreter(network)
    variables = {network.tensors[one.tensor].name: one.tensor for one in network.variables}
    handles = {o.outputs[0]: _name(o.options.sharedName) for o in graph.operators if o.op == "VAR_HANDLE"}
    reads = [(o.outputs[0], variables[handles[o.inputs[0]]]) for o in _first_reads(graph, handles)]
    written = sorted({kernel.output for kernel in network.kernels if kernel.output < len(graph.tensors)})
    count, distinct = 0, set[bytes]()
    for number, frame in enumerate(frames):
        before = {index: own.values[index].copy() for _, index in reads}
        for detail, values in zip(plain.get_input_details(), frame, strict=True):
            plain.set_tensor(detail["index"], values)
        plain.invoke()
        outputs = own.run(frame)
        for index in written:
            np.testing.assert_array_equal(
                own.values[index].reshape(-1), plain.get_tensor(index).reshape(-1),
                f"frame {number}, tensor {index}", strict=True,
            )  # fmt: skip
        count += len(written)
        for result, index in reads:
            np.testing.assert_array_equal(before[index], plain.get_tensor(result), f"frame {number}, state")
        count += len(reads)
        distinct.add(b"".join(output.tobytes() for output in outputs))
    return count, len(distinct)


def _first_reads(graph: Graph, handles: dict[int, str]) -> list[Operator]:
    """READ_VARIABLE of what no operator before it assigns: the state that a frame begins with."""
    reads = []
    assigned: set[str] = set()
    for operator in graph.operators:
        if operator.op == "READ_VARIABLE" and handles[operator.inputs[0]] not in assigned:
            reads.append(operator)
        elif operator.op == "ASSIGN_VARIABLE":
            assigned.add(handles[operator.inputs[0]])
    return reads


def _name(name: bytes | str) -> str:
    return name if isinstance(name, str) else name.decode()


def noise(graph: Graph, frames: int, seed: int = 0) -> Iterable[list[Array]]:
    """Inputs that stay near a level for 20 frames, so that what has a memory says something."""
    rng = np.random.default_rng(seed)
    levels: list[Array] = []
    for number in range(frames):
        if number % 20 == 0:
            levels = [rng.uniform(*_range(t.dtype), t.shape[-1:]) for t in graph.inputs]
        yield [
            np.clip(level + rng.normal(size=t.shape) * _range(t.dtype)[1] / 6, *_range(t.dtype)).astype(t.dtype)
            for level, t in zip(levels, graph.inputs, strict=True)
        ]


def _range(dtype: str) -> tuple[float, float]:
    if dtype == "float32":
        return -2.0, 2.0
    info = np.iinfo(dtype)
    return info.min, info.max
