"""Run an artifact on its golden inputs and judge it against the reference."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import backends, sandbox
from edgekit.api import origin
from edgekit.backends import Backend, Exactness, Planned, Request, planned
from edgekit.bundle import Bundle
from edgekit.bundle.material import Made
from edgekit.errors import CheckFailed, EdgekitError, ToolMissing, UsageError
from edgekit.graph import Graph, tflite
from edgekit.graph.edit import folded
from edgekit.graph.explode import Exploded, explode
from edgekit.metrics import decision, differences, parity, repeated, verdict
from edgekit.reference.hybrid import hybrid, is_hybrid, rounded, with_float_weights
from edgekit.reference.litert import reference_outputs, reference_tensors
from edgekit.runners import OpenOptions, Run, Runner, RunOptions, once

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

OPERATOR_SAMPLES = 2
"""Golden samples used to judge operators one by one: those on which the whole network is off most."""
STATE = frozenset({"ASSIGN_VARIABLE", "CALL_ONCE", "READ_VARIABLE", "VAR_HANDLE"})
"""Operators that only keep state: they compute nothing that could be judged."""


def prove(
    bundle: Bundle, runner: Runner, options: RunOptions = RunOptions(), backend: Backend | None = None,
    planned: Planned | None = None, tuning: str | None = None, opening: OpenOptions = OpenOptions(),
    seen: Callable[[Run], None] | None = None,
) -> verdict.Parity:  # fmt: skip
    """Judge the network; where that is not enough, judge every operator by itself (see :mod:`edgekit.metrics.parity`).

    :param backend: what made the artifact; default: the bundle's backend. :param planned: its plan of the bundle's
        network; default: made anew. :param tuning: the tuning database that it used.
    :param seen: gets the run of the network.
    """
    return _Proof(
        bundle, runner, options, backend or backend_of(bundle), planned, tuning,
        opening, seen,
    ).judge()  # fmt: skip


def backend_of(bundle: Bundle) -> Backend:
    """Return the backend that made a bundle, with its options.

    :raises CheckFailed: if the manifest is damaged.
    """
    name, options = bundle.manifest.get("backend"), bundle.manifest.get("options", {})
    if not isinstance(name, str) or not isinstance(options, dict):
        field = "options" if isinstance(name, str) else "backend"
        raise CheckFailed(f"{field!r} in manifest.json is damaged", "compile the bundle again")
    backend = backends.get(name)
    try:
        configured: Backend = backend.configured(options)
    except UsageError as error:
        raise CheckFailed(
            f"'options' in manifest.json is damaged: {error.message}", "compile the bundle again"
        ) from error
    return configured


@dataclass(frozen=True)
class _Proof:
    bundle: Bundle
    runner: Runner
    options: RunOptions
    backend: Backend
    planned: Planned | None
    tuning: str | None
    opening: OpenOptions
    seen: Callable[[Run], None] | None

    @cached_property
    def exactness(self) -> Exactness:
        return self.backend.exactness(self.bundle.graph)

    @property
    def bounds(self) -> differences.Bounds:
        if self.exactness.bit_exact:
            return differences.EXACT
        return differences.HALF if self.exactness.half_activations else differences.Bounds()

    def judge(self) -> verdict.Parity:
        inputs, reference = self.bundle.golden()
        task = self.bundle.task
        material = self.bundle.material(len(inputs[0])) if task is not None and inputs else None
        plugin = task is not None and bool(task.plugin) and not task.twins.source
        wrong = decision.refused(task, self.bundle.graph, material) if task is not None and material else None
        given = replace(self.options, material=None if wrong or plugin else material)
        run = once(self.runner, self.bundle, inputs, given, self.opening)
        if self.seen:
            self.seen(run)
        result = self._network(run, inputs, reference)
        if task is not None:
            absent = f"{self.runner.name} runs the network, not the C library"
            if material is None:
                absent = "the bundle keeps nothing that inputs are made of; compile it again"
            if plugin:
                absent = f"{task.kind} is a kind of the plug-in {task.plugin}, whose source the C library does not have"
            golden = (inputs, reference)
            graph, made = self.bundle.graph, run.decided
            found = wrong or decision.judge(task, graph, material, golden, made, absent)
            if material is not None and isinstance(made, Made):
                found = repeated.judge(found, graph, material, run.outputs, made, self.bounds)
            result.decision = found
        return result

    def _network(self, run: Run, inputs: Sequence[NDArray[Any]], reference: Sequence[NDArray[Any]]) -> verdict.Parity:
        graph = self.bundle.graph
        if (part := run.partial) is not None:
            result = parity.partial(graph, part.reference, part.values, part.not_executed, part.checked, self.bounds)
            if part.wrong:
                result.ok, result.reason = False, part.wrong
            result.on = part.on or self.runner.name
            return result
        outputs = run.outputs
        result, floats = parity.compare(graph, reference, outputs, self.bounds), None
        if not result.ok and is_hybrid(graph) and (floats := with_float_weights(graph)):
            result = parity.compare(graph, reference, outputs, self.bounds, _outputs(floats, inputs))
        result.on = self.runner.name
        if result.ok or result.reason or self.exactness.bit_exact:
            return result
        oracle, disturbed = (_outputs(floats or graph, given) for given in (inputs, self._disturbed(inputs)))
        result.unlike = parity.unlike_outputs(graph, oracle, outputs, disturbed)
        worst = _worst(reference, outputs)
        few = [x[worst] for x in inputs]
        rows, result.reason = self._operators(few, [y[worst] for y in reference])
        if not result.reason:
            result.by, result.operators = "operators", rows
            result.ok = all(row.ok for row in rows) and not result.unlike
        return result

    def _disturbed(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """The inputs off by a rounding step of the arithmetic: up to one step of an integer, half a step of a float."""
        graph, rng = self.bundle.graph, np.random.default_rng(0)
        half = self.exactness.half_activations
        found = []
        for tensor, x in zip(graph.inputs, inputs, strict=True):
            if x.dtype.kind == "f":
                coarse = graph.is_quantized or is_hybrid(graph)
                step = np.ptp(x) / 255 if coarse else np.abs(x) * (2.0**-10 if half else 2.0**-23)
                found.append((x + step * rng.uniform(-0.5, 0.5, x.shape)).astype(x.dtype))
            elif tensor.has_scale:
                ends = np.iinfo(x.dtype)
                steps = x.astype(np.int64) + rng.integers(-1, 1, x.shape, endpoint=True)
                found.append(np.clip(steps, ends.min, ends.max).astype(x.dtype))
            else:
                found.append(x)
        return found

    def _operators(
        self, inputs: list[NDArray[Any]], golden: Sequence[NDArray[Any]]
    ) -> tuple[list[verdict.OperatorParity], str]:
        """Judge the operators; or say why they cannot be."""
        graph = self.bundle.graph
        parts = explode(graph)
        if parts is None or not _covers(graph, parts):
            return [], "its operators cannot be judged one by one"
        values = reference_tensors(self.bundle.model, inputs)
        values |= dict(zip(graph.main.inputs, inputs, strict=True))
        if any(index not in values for index in (*parts.inputs, *parts.outputs)):
            return [], "its operators cannot be judged one by one"
        if not all(_same(values[i], y) for i, y in zip(graph.main.outputs, golden, strict=True)):
            return [], "the golden outputs are not those of the bundle's network"
        if self.bundle.execution.made_of_network and origin.difference(
            self.bundle, self.backend, self.planned, self.tuning
        ):  # judging what the backend builds of single operators would say nothing of this artifact
            return [], "the artifact is not what its backend makes of the network, so its operators cannot be judged"
        half = self.exactness.half_activations
        fed = [_halved(values[i]) if half else values[i] for i in parts.inputs]
        try:
            with sandbox.scratch() as folder:
                apart = self._apart(parts, folder)
                outputs = once(self.runner, apart, fed, self.options, self.opening).outputs
                reference = self._of_rounded(parts, fed, folder) if half else [values[i] for i in parts.outputs]
        except (UsageError, ToolMissing):
            raise  # of this machine, not of the network
        except EdgekitError as error:
            return [], f"its operators could not be run one by one ({error.message})"
        exact = {} if half else _exact_results(graph, parts, values)
        rows = parity.compare_operators(graph, parts.operators, parts.outputs, reference, outputs, self.bounds, exact)
        return rows, ""

    def _of_rounded(self, parts: Exploded, fed: Sequence[NDArray[Any]], folder: Path) -> list[NDArray[Any]]:
        """Return what the reference computes from the values that the artifact was fed with.

        It is not what the reference computes from others that were rounded to them: FLOOR and comparisons can differ
        from that by any amount.
        """
        tflite.write(with_float_weights(parts.graph) or parts.graph, folder / "reference.tflite")
        return reference_outputs(folder / "reference.tflite", fed)

    def _apart(self, parts: Exploded, folder: Path) -> Bundle:
        """A bundle like this one, whose network is taken apart; an artifact that is the network is made anew."""
        tflite.write(parts.graph, folder / "model.tflite")
        if self.bundle.execution.made_of_network:
            backend = self.backend.isolated()
            plan = planned(backend, parts.graph, self.bundle.target)
            (folder / "artifact").mkdir()
            backend.build(plan, Request(folder / "model.tflite", folder / "artifact", self.tuning))
        elif self.bundle.artifact.is_dir():
            shutil.copytree(self.bundle.artifact, folder / "artifact")
        return Bundle(folder, self.bundle.manifest)


def _halved(values: NDArray[Any]) -> NDArray[Any]:
    """Values rounded to float16, as an artifact that keeps activations in float16 hands them on."""
    if values.dtype != np.float32:
        return values
    with np.errstate(over="ignore"):
        return values.astype(np.float16).astype(np.float32)


def _worst(reference: Sequence[NDArray[Any]], outputs: Sequence[NDArray[Any]]) -> NDArray[np.intp]:
    """The samples on which the outputs are off most, relative to each output's largest difference."""
    off = np.zeros(len(reference[0]))
    for ref, act in zip(reference, outputs, strict=True):
        if ref.shape == act.shape and ref.size:
            gaps = np.abs(ref.astype(np.float64) - act.astype(np.float64)).reshape(len(ref), -1).max(axis=1)
            gaps = np.nan_to_num(gaps, nan=np.inf, posinf=np.inf)
            ordinary = gaps[np.isfinite(gaps)]
            off += np.minimum(gaps / max(float(ordinary.max(initial=0.0)), 1e-30), 1e30)
    return np.sort(np.argsort(-off, kind="stable")[:OPERATOR_SAMPLES])


def _covers(graph: Graph, parts: Exploded) -> bool:
    """True if every operator was taken apart, but for those that only keep state or make constants of constants."""
    judged, constant = set(parts.operators), folded(graph)
    return all(
        number in judged
        or operator.op in STATE
        or all(i < 0 or i in constant or graph.tensors[i].data is not None for i in operator.inputs)
        for number, operator in enumerate(graph.operators)
    )


def _same(computed: NDArray[Any], golden: NDArray[Any]) -> bool:
    """True if the reference computes the golden values again: integers exactly, floats to 1e-5."""
    if computed.dtype.kind != "f":
        return np.array_equal(computed, golden)
    return computed.shape == golden.shape and np.allclose(computed, golden, 1e-5, 1e-6, equal_nan=True)


def _outputs(graph: Graph, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """The reference's outputs for a network."""
    with sandbox.scratch() as folder:
        tflite.write(graph, folder / "model.tflite")
        return reference_outputs(folder / "model.tflite", inputs)


def _exact_results(
    graph: Graph, parts: Exploded, values: dict[int, NDArray[Any]]
) -> dict[int, tuple[NDArray[Any], NDArray[Any]]]:
    """The results of hybrid operators in float arithmetic, by tensor: on their inputs as they are, and rounded."""
    rows = [n for n, number in enumerate(parts.operators) if hybrid(graph, number)]
    floats = with_float_weights(parts.graph) if rows else None
    if floats is None:
        return {}
    few = rounded(graph, values)
    with sandbox.scratch() as folder:
        tflite.write(floats, folder / "model.tflite")
        plain, cost = (
            reference_outputs(folder / "model.tflite", [given[i] for i in parts.inputs]) for given in (values, few)
        )
    return {parts.outputs[n]: (plain[n], cost[n]) for n in rows}
