"""Candidates: networks that recipes produce, with their cost and the number of labels they lose."""

from __future__ import annotations

import hashlib
import zlib
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.compression import space
from edgekit.compression import yardstick as yardsticks
from edgekit.compression.budget import COSTS
from edgekit.compression.yardstick import Scale, Yardstick
from edgekit.errors import EdgekitError, ModelError
from edgekit.graph import Graph, tflite
from edgekit.passes.recipe import Step
from edgekit.profiling import registry

if TYPE_CHECKING:
    from edgekit.backends import Backend
    from edgekit.data.dataset import Dataset
    from edgekit.target import Target

CACHE_BYTES = 1 << 30
"""Transformed networks are kept up to this total size; the least recently used are dropped first."""


@dataclass
class Candidate:
    """A recipe and its measurements.

    :param steps: those that could be applied and changed something (training that does not help is undone);
        ``left_out`` says why others are not among them, by pass.
    :param digest: of the network; two recipes may well make the same.
    :param costs: ``size`` and ``packed`` in bytes, ``latency`` in ms and ``energy`` in mJ by the target's estimate.
    :param drops: ``accuracy-drop``, ``class-drop`` and, with groups, ``group-drop`` in points, or ``metric-drop``, over
        ``samples`` samples. Those of classes and groups are the lower ends of the worst part's interval: with few
        samples, more would be noise.
    """

    steps: tuple[Step, ...]
    costs: dict[str, float]
    digest: str = ""
    drops: dict[str, float] = field(default_factory=dict)
    samples: int = 0
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The name that its steps give it."""
        return space.name(self.steps)

    @property
    def figures(self) -> dict[str, float]:
        """Costs and drops by the name of the budget that bounds them."""
        return {**self.costs, **self.drops}

    def json(self) -> dict[str, Any]:
        """Return the candidate as an entry of ``candidates`` in the JSON of ``compress``."""
        rest = {key: getattr(self, key) for key in ("costs", "digest", "drops", "samples", "left_out")}
        return {"name": self.name, "steps": space.plain(self.steps), **rest}

    @classmethod
    def read(cls, data: dict[str, Any]) -> Candidate:
        """Read a candidate from what :meth:`json` returned."""
        steps = tuple(Step(s["name"], {k: v for k, v in s.items() if k != "name"}) for s in data["steps"])
        return cls(steps, data["costs"], data["digest"], data["drops"], data["samples"], data["left_out"])


class Evaluator:
    """Applies recipes to one network and measures the results.

    :param source: the network before compression.
    :param apply: one pass on a Graph.
    :param samples: labelled samples that no pass sees.
    :param packed: also measure the packed size.
    :param yardstick: what the networks are judged by; default: the labels.
    """

    def __init__(
        self,
        source: Graph,
        apply: Callable[[Graph, Step], Graph],
        samples: Dataset,
        board: Target,
        backend: Callable[[Graph], Backend],
        *,
        packed: bool = False,
        seed: int = 0,
        yardstick: Yardstick | None = None,
    ) -> None:
        self._apply, self._board, self._backend, self._packed = apply, board, backend, packed
        self._samples = samples.take(np.random.default_rng(seed).permutation(len(samples)))
        self._graphs: OrderedDict[str, tuple[Graph, int]] = OrderedDict({space.key(()): (source, 0)})
        self._failures: dict[str, EdgekitError] = {}
        self._looks: dict[str, dict[int, Any]] = {}
        self._yardstick = yardstick or yardsticks.labels(source)

    def measure(self, steps: Sequence[Step], samples: int) -> Candidate:
        """Apply a recipe and measure it on the first ``samples`` samples (which are mixed).

        A step that cannot be applied to this network, or changes nothing, is left out, with the reason.

        :raises EdgekitError: if the result cannot be compiled for the target, or cannot be run.
        """
        graph, applied, left_out = self._transformed(steps)
        self._backend(graph)
        data = tflite.dumps(graph)
        digest = hashlib.sha256(data).hexdigest()[:16]
        candidate = Candidate(applied, self._costs(graph, data), digest, left_out=left_out)
        self.refine(candidate, samples)
        return candidate

    def refine(self, candidate: Candidate, samples: int) -> None:
        """Measure what the candidate loses on the first ``samples`` samples, without repeating known results."""
        before, after = self._looked((), samples), self._looked(candidate.steps, samples)
        candidate.samples = samples
        candidate.drops = self._yardstick.drops(before, after, self._samples, samples)

    def scale(self) -> Scale:
        """What losses are counted in."""
        return self._yardstick.scale(self._looked((), len(self._samples)))

    def graph(self, steps: Sequence[Step]) -> Graph:
        """Return the network after steps that are known to be applicable."""
        return self._transformed(steps)[0]

    def _transformed(self, steps: Sequence[Step]) -> tuple[Graph, tuple[Step, ...], dict[str, str]]:
        """Apply the steps; each distinct prefix of a recipe is computed once, and kept."""
        graph, applied = self._graphs[space.key(())][0], tuple[Step, ...]()
        left_out: dict[str, str] = {}
        for step in steps:
            longer = (*applied, step)
            try:
                graph = self._step(graph, longer)
                applied = longer
            except EdgekitError as error:
                left_out[step.name] = error.message
        return graph, applied, left_out

    def _step(self, graph: Graph, steps: tuple[Step, ...]) -> Graph:
        key = space.key(steps)
        if key in self._failures:
            raise self._failures[key]
        if key in self._graphs:
            self._graphs.move_to_end(key)
            return self._graphs[key][0]
        try:
            made = self._apply(graph, steps[-1])
            if tflite.dumps(made) == tflite.dumps(graph):
                raise ModelError(f"{steps[-1].name} changes nothing here")
        except EdgekitError as error:
            self._failures[key] = error
            raise
        self._graphs[key] = (made, sum(t.data.size for t in made.constants() if t.data is not None))
        while sum(size for _, size in self._graphs.values()) > CACHE_BYTES and len(self._graphs) > 2:
            del self._graphs[next(k for k in self._graphs if k != space.key(()))]
        return made

    def _costs(self, graph: Graph, data: bytes) -> dict[str, float]:
        profile = registry.estimate(graph, self._board, {"threads": 1})
        costs = {"size": float(len(data)), "latency": profile.latency_ms.value, "energy": profile.energy_mj.value}
        if self._packed:
            costs["packed"] = float(len(zlib.compress(data, 9)))
        return {name: costs[name] for name in COSTS if name in costs}

    def _looked(self, steps: tuple[Step, ...], samples: int) -> Any:
        looks = self._looks.setdefault(space.key(steps), {})
        if samples not in looks:
            known = looks[max(looks)] if looks else None
            looks[samples] = self._yardstick.look(self.graph(steps), self._samples, samples, known)
        return looks[samples]
