"""Loop and Scan as the nodes of their steps, where the number of steps is known. Imports onnx: for children only.

The functions are generators: whoever runs one takes each node in before the next is asked for, so that what a node made
constant is known by then.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgekit.onnx.node import Refused, attribute, rename

if TYPE_CHECKING:
    from edgekit.onnx.static import Static

MAX_STEPS = 256
"""As many as of a recurrent layer."""
MAX_NODES = 100_000


def loop(static: Static, node: Any) -> Iterator[Any]:
    """Yield the nodes of a Loop whose trip count and conditions are constant.

    :raises Refused: if they are not, or there are too many steps.
    """
    body, given = attribute(node, "body"), [*node.input, "", ""]
    known = [static.constants.get(name) if name else None for name in given[:2]]
    if any(name and value is None for name, value in zip(given, known, strict=False)):
        raise Refused(node, "how often it runs depends on data")
    most = None if known[0] is None else int(known[0].reshape(-1)[0])
    going = known[1] is None or bool(known[1].reshape(-1)[0])
    carried = list(node.input[2:])
    count, step = len(carried), 0
    if body is None or len(body.input) != count + 2 or len(body.output) != len(node.output) + 1:
        raise Refused(node, "its body does not match it")
    stacked: list[list[str]] = [[] for _ in node.output[count:]]
    while going and (most is None or step < most):
        values = [_constant(static, node, step, "step", np.array(step, np.int64)),
                  _constant(static, node, step, "going", np.array(True))]  # fmt: skip
        results = yield from _step(static, node, body, [*values, *carried], step)
        condition = static.constants.get(results[0])
        if condition is None:
            raise Refused(node, "how often it runs depends on data")
        going, carried = bool(condition.reshape(-1)[0]), results[1 : count + 1]
        for parts, name in zip(stacked, results[count + 1 :], strict=True):
            parts.append(name)
        step += 1
    yield from _ends(node, carried)
    for output, parts in zip(node.output[count:], stacked, strict=True):
        yield from _stacked(static, node, output, parts, 0)


def scan(static: Static, node: Any) -> Iterator[Any]:
    """Yield the nodes of a Scan.

    :raises Refused: if it is of an operator set before 9, or has too many steps.
    """
    body, scanned = attribute(node, "body"), int(attribute(node, "num_scan_inputs", 0))
    count = len(node.input) - scanned
    if static.opset < 9:
        raise Refused(node, "it is from an operator set before 9")
    if body is None or not 0 < scanned <= len(node.input) or len(body.input) != len(node.input):
        raise Refused(node, "its body does not match it")
    if len(body.output) != len(node.output) or len(node.output) < count:
        raise Refused(node, "its body does not match it")
    sources, made = node.input[count:], len(node.output) - count
    ranks = [len(static.spec(name).shape) for name in sources]
    axes = [a % max(1, r) for a, r in zip(_listed(node, "scan_input_axes", scanned), ranks, strict=True)]
    lengths = {
        static.spec(name).shape[axis] if rank else 0 for name, axis, rank in zip(sources, axes, ranks, strict=True)
    }
    if len(lengths) != 1 or 0 in lengths:
        raise Refused(node, "its sequences have different lengths, or none")
    (length,) = lengths
    backwards = _listed(node, "scan_input_directions", scanned)
    states, stacked = list(node.input[:count]), [list[str]() for _ in range(made)]
    for step in range(length):
        items = []
        for number, (source, axis, back) in enumerate(zip(sources, axes, backwards, strict=True)):
            place = _constant(static, node, step, f"place{number}", np.array(length - 1 - step if back else step))
            items.append(f"{_prefix(node)}/{step}/item{number}")
            yield helper.make_node("Gather", [source, place], [items[-1]], name=node.name, axis=axis)
        results = yield from _step(static, node, body, [*states, *items], step)
        states = results[:count]
        for parts, name in zip(stacked, results[count:], strict=True):
            parts.append(name)
    yield from _ends(node, states)
    mirrored = _listed(node, "scan_output_directions", made)
    for output, parts, axis, back in zip(
        node.output[count:], stacked, _listed(node, "scan_output_axes", made), mirrored, strict=True
    ):
        yield from _stacked(static, node, output, parts[::-1] if back else parts, axis)


def _step(static: Static, node: Any, body: Any, values: Sequence[str], step: int) -> Generator[Any, None, list[str]]:
    """Yield a step's nodes under names of its own; return the names of the body's outputs."""
    if step >= MAX_STEPS:
        raise Refused(node, f"it takes more than {MAX_STEPS} steps")
    prefix = f"{_prefix(node)}/{step}"
    names = {name: f"{prefix}/{name}" for inner in body.node for name in inner.output if name}
    for weight in body.initializer:
        names[weight.name] = f"{prefix}/{weight.name}"
        static.constants[names[weight.name]] = numpy_helper.to_array(weight)
    names |= dict(zip([value.name for value in body.input], values, strict=True))
    for inner in body.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(inner)
        rename(copy, names)
        yield copy
        if len(static.nodes) > MAX_NODES:
            raise Refused(node, f"its steps have more than {MAX_NODES} nodes")
    return [names.get(value.name, value.name) for value in body.output]


def _ends(node: Any, names: Sequence[str]) -> Iterator[Any]:
    for output, name in zip(node.output, names, strict=False):
        if output:
            yield helper.make_node("Identity", [name], [output], name=node.name)


def _stacked(static: Static, node: Any, output: str, parts: Sequence[str], axis: int) -> Iterator[Any]:
    """The steps' results along a new axis."""
    if not output:
        return
    if not parts:
        raise Refused(node, "it never runs, so its results have no size")
    shape = list(static.spec(parts[0]).shape)
    axis %= len(shape) + 1
    wide = _constant(static, node, 0, f"{output}/shape", np.array([*shape[:axis], 1, *shape[axis:]], np.int64))
    slices = [f"{output}/{step}" for step in range(len(parts))]
    for part, one in zip(parts, slices, strict=True):
        yield helper.make_node("Reshape", [part, wide], [one], name=node.name)
    yield helper.make_node("Concat", slices, [output], name=node.name, axis=axis)


def _constant(static: Static, node: Any, step: int, what: str, value: Any) -> str:
    name = f"{_prefix(node)}/{step}/{what}/given"
    static.constants[name] = value
    return name


def _listed(node: Any, name: str, count: int) -> list[int]:
    values = [int(value) for value in attribute(node, name, [0] * count)]
    if len(values) != count:
        raise Refused(node, f"its {name} has {len(values)} values, not {count}")
    return values


def _prefix(node: Any) -> str:
    return next((name for name in node.output if name), str(node.name))
