"""Build a network of the published measurements from its paper, with random weights (no TensorFlow needed).

    python bench/measured_networks.py efficientdet-lite0-int8 net.tflite
    python bench/measured_networks.py efficientdet-lite0_fp32 [work.json]

The name is as in the tables; ``-fp32``, ``-fp16`` or ``-int8`` at its end says how the weights are stored (int8: all
arithmetic, with ranges of random samples). Without a file, prints operators and multiplications; a file that ends with
.json gets each operator's work.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

if __name__ == "__main__":  # its own folder holds bench.py, which would hide the package
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.measured.build import build
from bench.measured.names import UnknownNetwork, describe, split_dtype
from bench.measured.works import works
from edgekit.api.job import transform
from edgekit.data.dataset import random
from edgekit.graph import Graph, tflite
from edgekit.passes import PassContext, recipe

RECIPES = {"fp16": "float16", "int8": "int8"}


def network(name: str) -> Graph:
    """The network in the dtype that its name ends with; float32 where it says none."""
    graph = build(describe(name))
    dtype = split_dtype(name)[1]
    if dtype not in RECIPES:
        return graph
    context = PassContext(data=random(graph, samples=2), source=graph)
    return transform(graph, recipe.load(RECIPES[dtype]), context)[0]


def main(arguments: list[str]) -> int:
    """Run as a program; returns the exit code."""
    if not 1 <= len(arguments) <= 2:
        print(__doc__, file=sys.stderr)
        return 2
    try:
        found = works(describe(arguments[0]))
    except UnknownNetwork as error:
        print(error, file=sys.stderr)
        return 3
    weights = sum(w.weights for w in found)
    print(f"{arguments[0]}: {len(found)} operators, {sum(w.macs for w in found):,} MACs, {weights:,} weights")
    if len(arguments) > 1 and arguments[1].endswith(".json"):
        Path(arguments[1]).write_text(json.dumps([asdict(w) for w in found], indent=1))
    elif len(arguments) > 1:
        tflite.write(network(arguments[0]), Path(arguments[1]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
