"""The methods that docs/compression.md compares, and one measured run of each."""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import sys
import time
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from compression_networks import NETWORKS, article

from edgekit import plugins
from edgekit.api.load import load
from edgekit.data.dataset import Dataset
from edgekit.graph import Graph, stats, tflite
from edgekit.metrics import accuracy
from edgekit.passes import PassContext

Passes = tuple[tuple[str, dict[str, Any]], ...]


@dataclass(frozen=True)
class Method:
    """A chain of passes on top of another method's result.

    :param name: its key among the results. :param words: its row's title.
    :param base: the method whose result it begins with: ``teacher`` and ``student`` are the networks themselves.
    :param task: which samples it gets: ``whole``, ``few`` (little labelled data), ``noisy`` (wrong labels).
    """

    name: str
    words: str
    passes: Passes = ()
    base: str = "teacher"
    task: str = "whole"


@dataclass(frozen=True)
class Scope:
    """How much is measured.

    :param digits: training digits of the networks and of the passes.
    :param epochs: of everything that trains; None: as each method says.
    :param validate: measure on training digits that nothing was trained on, instead of the test digits: for choosing
        parameters.
    """

    digits: int = 8000
    epochs: int | None = None
    test: int = 2000
    validate: bool = False


FEW, NOISY, WRONG = 300, 2000, 0.4
"""Labelled digits of the hard tasks, and the share of labels that are wrong in the second one."""
ALONE = {"epochs": 60, "learning_rate": 2e-3}
ALONE_NOISY = {"epochs": 12, "learning_rate": 2e-3}

METHODS = [
    Method("float", "float32"),
    Method("int8", "`quantize`: int8", (("quantize", {}),)),
    Method("qat", "`qat`: int8", (("qat", {}),)),
    Method("int4", "`quantize`: int4 weights", (("quantize", {"weights": "int4"}),)),
    Method("qat-w4", "`qat`: int4 weights", (("qat", {"weights": "int4"}),)),
    Method("int16", "`quantize`: int8 weights, int16 activations", (("quantize", {"activations": "int16"}),)),
    *(
        Method(f"sparse-{name}{after}", f"`sparsify`: {pattern}{words}", passes, base)
        for name, pattern, how in (
            ("half", "50 %, unstructured", {"sparsity": 0.5}),
            ("2:4", "2:4", {"pattern": "2:4"}),
            ("block", "50 %, block", {"sparsity": 0.5, "pattern": "block"}),
        )
        for after, words, passes, base in (
            ("", "", (("sparsify", how),), "teacher"),
            ("-trained", ", while training", (("sparsify", {**how, "epochs": 3}),), "teacher"),
            ("-distil", ", then `distil`", (("distil", {}),), f"sparse-{name}"),
        )
    ),
    Method("prune", "`prune`: half of the MACs", (("prune", {"macs": 0.5}),)),
    Method("prune-finetune", "`prune`, then `finetune`", (("finetune", {}),), "prune"),
    Method("prune-distil", "`prune`, then `distil`", (("distil", {}),), "prune"),
    Method("prune-distil-int8", "`prune`, `distil`, then `quantize`: int8", (("quantize", {}),), "prune-distil"),
    Method("low-rank", "`low_rank`", (("low_rank", {"parameters": 0.5, "layers": ["dense"]}),)),
    Method("low-rank-finetune", "`low_rank`, then `finetune`", (("finetune", {"learning_rate": 2e-3}),), "low-rank"),
    Method("few-labels", "labels alone", (("finetune", ALONE),), "student", "few"),
    Method("few-taught", "taught", (("distil", ALONE),), "student", "few"),
    Method("noisy-labels", "labels alone", (("finetune", ALONE_NOISY),), "student", "noisy"),
    Method("noisy-taught", "taught", (("distil", ALONE_NOISY),), "student", "noisy"),
]
BY_NAME = {method.name: method for method in METHODS}


class Bench:
    """One network of one seed, and what the methods make of it.

    :param folder: where networks are kept between runs; this one's own is ``folder`` of this object.
    """

    def __init__(self, network: str, seed: int, scope: Scope, folder: Path) -> None:
        self.network, self.seed, self.scope = network, seed, scope
        self.folder = folder / digest([network, seed, scope.digits, scope.epochs])
        (x, y), (tx, ty) = article.kept_digits()
        if scope.validate:
            tx, ty = x[scope.digits :], y[scope.digits :]
        self._training = _dataset(x[: scope.digits], y[: scope.digits])
        self._test = _dataset(tx[: scope.test], ty[: scope.test])

    def key(self, method: Method) -> str:
        """What a result depends on."""
        chain = self._chain(method)
        return digest([self.network, self.seed, self.scope.digits, self.scope.epochs, self.scope.test, chain])

    def measure(self, method: Method) -> dict[str, Any]:
        """Run a method; return its accuracy (0..1), sizes in bytes, MACs, parameters and seconds."""
        began = time.monotonic()
        graph = self.graph(method)
        seconds = time.monotonic() - began
        found = accuracy.evaluate(graph, self._test)
        assert found is not None
        dense, counted = tflite.dumps(graph), stats.statistics(graph)
        return {
            "accuracy": found.value, "bytes": len(dense), "packed": len(zlib.compress(dense, 9)),
            "macs": counted.macs, "parameters": counted.parameters, "seconds": round(seconds, 1),
        }  # fmt: skip

    def graph(self, method: Method) -> Graph:
        """Return the method's network; networks that others build on are kept."""
        kept = self.folder / f"{method.name}-{digest(self._chain(method))}.tflite"
        if kept.is_file():
            return tflite.read(kept)
        graph = self.start(method)
        for name, params in method.passes:
            graph = plugins.get("passes", name).apply(graph, self._context(method, name, params)).graph
        tflite.write(graph, kept)
        return graph

    def start(self, method: Method) -> Graph:
        """Return what the method begins with."""
        return self.own(method.base) if method.base in ("teacher", "student") else self.graph(BY_NAME[method.base])

    @functools.cache  # noqa: B019 (there are a handful of these objects)
    def own(self, name: str) -> Graph:
        """Return the ``teacher`` or the ``student``; trains them the first time."""
        kept = self.folder / f"{name}.keras"
        if not kept.is_file():
            self.folder.mkdir(parents=True, exist_ok=True)
            program = Path(__file__).with_name("compression_networks.py")
            epochs = self.scope.epochs or NETWORKS[self.network][1]
            command = [sys.executable, program, self.network, self.seed, self.scope.digits, epochs, self.folder]
            subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return load(kept)

    def _context(self, method: Method, name: str, params: dict[str, Any]) -> PassContext:
        if self.scope.epochs and (name in ("qat", "distil", "finetune") or "epochs" in params):
            params = params | {"epochs": self.scope.epochs}
        return PassContext(data=self.samples(method.task), params=params, seed=self.seed, source=self.own("teacher"))

    def samples(self, task: str) -> Dataset:
        """The training samples of a task."""
        if task == "whole":
            return self._training
        rng = np.random.default_rng(self.seed)
        few = self._training.subset(FEW if task == "few" else NOISY, self.seed)
        assert few.labels is not None
        wrong = (few.labels + rng.integers(1, 10, len(few))) % 10
        return few if task == "few" else replace(few, labels=np.where(rng.random(len(few)) < WRONG, wrong, few.labels))

    def _chain(self, method: Method) -> list[Any]:
        before = self._chain(BY_NAME[method.base]) if method.base in BY_NAME else [method.base]
        return [*before, method.task, *map(list, method.passes)]


def _dataset(x: Any, y: Any) -> Dataset:
    return Dataset([x[:, None]], y, source="digits")


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]
