"""Networks that take rows of tables, with their tasks."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgekit.graph import Graph, Subgraph, tflite
from tests.networks.small import Builder, dense
from tests.networks.streaming import Streaming

COLUMNS = """[row]
columns = [
    {name = "age", mean = 40, std = 12.5},
    {name = "color", values = ["red", "green", "blue"]},
    {name = "size", values = ["S", "M"], code = "index", other = true},
]
"""
REGRESSION = f"""schema = 1
task = "regression"
unit = "EUR"
mean = 100
std = 20
{COLUMNS}"""
CLASSIFICATION = f"""schema = 1
task = "classification"
labels = ["buys", "waits", "leaves"]
scores = "logits"
{COLUMNS}"""
RANKING = """schema = 1
task = "ranking"
labels = ["tea", "milk", "beer", "wine"]
top = 2
[row]
columns = [
    {name = "user", values = ["ann", "bob", "eve"], input = "who"},
    {name = "hour", std = 24, input = "when"},
]
"""


def one_input(outputs: int = 1) -> Graph:
    """Takes the five numbers of ``COLUMNS``."""
    rng = np.random.default_rng(0)
    bias = np.float32([0.25]) if outputs == 1 else rng.normal(size=outputs).astype(np.float32)
    return dense(rng.normal(size=(outputs, 5)).astype(np.float32), bias)


def adding_up() -> Graph:
    """Weighs the sum of all rows since it was started, which a resource variable holds."""
    n, rng = Streaming(), np.random.default_rng(2)
    x, handle = n.tensor((1, 5), name="x"), n.variable("sum", np.zeros((1, 5), np.float32))
    summed = n.add("ADD", (n.add("READ_VARIABLE", (handle,), (1, 5)), x), (1, 5), options="Add")
    n.assign(handle, summed)
    weights = (n.constant(rng.normal(size=(1, 5)).astype(np.float32)), n.constant(np.zeros(1, np.float32)))
    return n.whole(x, n.add("FULLY_CONNECTED", (summed, *weights), (1, 1), options="FullyConnected"))


def adding_up_in_a_branch() -> Graph:
    """The sum of all samples, in a variable whose handles are in a branch, and in what gives it its first value."""
    n, branch = Streaming(), Streaming()
    x, own = n.tensor((1, 2), name="x"), branch.tensor((1, 2))
    handle = branch.variable("sum", np.zeros((1, 2), np.float32))
    summed = branch.add("ADD", (branch.add("READ_VARIABLE", (handle,), (1, 2)), own), (1, 2), options="Add")
    branch.assign(handle, summed)
    y = n.add("IF", (n.constant(np.array(True)), x), (1, 2), options="If", thenSubgraphIndex=2, elseSubgraphIndex=2)
    within = Subgraph("branch", branch.tensors, branch.operators[1:], (own,), (summed,))
    main = n.graph((x,), (y,)).main
    return Graph([main, Subgraph("NoOp", branch.first.tensors, branch.first.operators, (), ()), within])


def remembering() -> Graph:
    """Weighs the last three rows since it was started."""
    b, rng = Builder(), np.random.default_rng(2)
    x, state = b.tensor((1, 5), name="x"), b.tensor((1, 3), is_variable=True)
    features, times = (b.constant(rng.normal(size=(1, width)).astype(np.float32)) for width in (5, 3))
    return b.graph((x,), (b.add("SVDF", (x, features, times, -1, state), (1, 1), options="SVDF", rank=1),))


def two_inputs() -> Graph:
    """The user's row of a table, and the hour times a weight."""
    b = Builder()
    rng = np.random.default_rng(1)
    who, when = b.tensor((1, 1), "int32", name="who"), b.tensor((1, 1), name="when")
    table = b.constant(rng.normal(size=(3, 4)).astype(np.float32))
    found = b.add("GATHER", (table, who), (1, 1, 4), options="Gather")
    shape = b.constant(np.array([1, 4], np.int32))
    flat = b.add("RESHAPE", (found, shape), (1, 4), options="Reshape", newShape=[1, 4])
    weights = (b.constant(rng.normal(size=(4, 1)).astype(np.float32)), b.constant(np.zeros(4, np.float32)))
    more = b.add("FULLY_CONNECTED", (when, *weights), (1, 4), options="FullyConnected")
    return b.graph((who, when), (b.add("ADD", (flat, more), (1, 4), options="Add"),))


KINDS = {
    "classification": (CLASSIFICATION, lambda: one_input(3)),
    "ranking": (RANKING, two_inputs),
    "regression": (REGRESSION, one_input),
}
"""Of each kind of task, ``task.toml`` and the network."""


def written(folder: Path, kind: str) -> Path:
    """A model file with its task beside it."""
    text, network = KINDS[kind]
    folder.mkdir(parents=True, exist_ok=True)
    tflite.write(network(), folder / "model.tflite")
    (folder / "task.toml").write_text(text)
    return folder / "model.tflite"
