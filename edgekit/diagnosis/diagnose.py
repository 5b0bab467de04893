"""The diagnosis of one network: measure, judge, look for causes."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from edgekit.diagnosis.evidence import Evidence, Finding
from edgekit.diagnosis.find import find, guilty
from edgekit.diagnosis.local import Local, local_samples, locals_, tensors
from edgekit.diagnosis.measure import Judge, Outcome, decibels, effect_samples, effects, finite, loss, metric
from edgekit.diagnosis.rules.operators import WRONG
from edgekit.diagnosis.spread import spreads
from edgekit.diagnosis.versions import Versions
from edgekit.errors import ModelError
from edgekit.graph import Graph
from edgekit.graph.mixture import FLOAT
from edgekit.graph.stats import label
from edgekit.passes import PassContext
from edgekit.passes.quantize import Settings, measured, why_float
from edgekit.passes.quantize_child import NO_KERNEL

if TYPE_CHECKING:
    from edgekit.data.dataset import Dataset
    from edgekit.metrics.tasks.registry import Judged
    from edgekit.progress import Progress

SPREAD_SAMPLES = 200
FEW = 100
"""With fewer labelled samples than this, half a point cannot be detected."""


@dataclass(frozen=True)
class Row:
    """One operator: its noise (:class:`edgekit.diagnosis.local.Local`) and its effect on the network's outputs."""

    index: int
    op: str
    name: str
    quantized: bool
    reason: str
    local: Local
    effect: Outcome | None

    def lost(self, reference: Outcome) -> float | None:
        """Its effect in the unit of ``reference``'s metric; None if there is none, or everything is lost."""
        return None if self.effect is None else finite(loss(self.effect, reference))

    def json(self, reference: Outcome) -> dict[str, Any]:
        """Return the operator's entry in the JSON of ``diagnose``; effects are relative to ``reference``."""
        names = ("network", "alone", "inputs", "weights", "output")
        noise = {f"{name}_db": decibels(getattr(self.local, name)) for name in names}
        seen = self.effect
        return {
            "index": self.index, "op": self.op, "name": self.name, "quantized": self.quantized, "reason": self.reason,
            **noise,
            "kernel_steps": self.local.kernel,
            "effect_db": None if seen is None else seen.sqnr_db,
            "effect_points": self.lost(reference),
            "runs": seen is None or not seen.failure,
        }  # fmt: skip


@dataclass
class Diagnosis:
    """The result of a diagnosis.

    :param precision: the recipe's: ``int8``, ``int16`` or ``int4``.
    :param effect_real: the float network's outcome on the samples that effects are measured on.
    :param real: the float network's outcome; ``quantized``: the quantized one's.
    :param lost: in the unit of ``metric`` (:func:`edgekit.diagnosis.measure.loss`), all over ``samples`` samples.
    :param judged: by the task's metric, with intervals; None without one, or if the quantized network has no value.
    """

    precision: str
    samples: int
    effect_samples: int
    effect_real: Outcome
    real: Outcome
    quantized: Outcome
    max_drop: float
    findings: list[Finding] = field(default_factory=list)
    operators: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    judged: Judged | None = None

    @property
    def lost(self) -> float:
        """What quantization loses, in the unit of ``metric``."""
        return loss(self.quantized, self.real)

    @property
    def healthy(self) -> bool:
        """True if no more is lost than ``max_drop``."""
        return self.lost <= self.max_drop

    def json(self) -> dict[str, Any]:
        """Return the diagnosis' fields of the JSON of ``diagnose``."""
        return {
            "schema": 1,
            "healthy": self.healthy,
            "precision": self.precision,
            "metric": metric(self.real),
            "effect_metric": metric(self.effect_real),
            "samples": self.samples,
            "effect_samples": self.effect_samples,
            "lost": finite(self.lost),
            "max_drop": self.max_drop,
            "metrics": [] if self.judged is None else [self.judged.json()],
            "accuracy": {"float": self.real.accuracy, "quantized": self.quantized.accuracy},
            "flips": self.quantized.flips,
            "sqnr_db": self.quantized.sqnr_db,
            "failure": self.quantized.failure,
            "findings": [asdict(f) for f in self.findings],
            "operators": [row.json(self.effect_real) for row in self.operators],
            "notes": self.notes,
        }


def diagnose(
    graph: Graph, settings: Settings, precision: str, calibration: Dataset, judge: Judge, *,
    max_drop: float, seed: int = 0, progress: Progress,
) -> Diagnosis:  # fmt: skip
    """Diagnose a float network.

    :param settings: of the pass ``quantize``; ``precision`` is what they amount to.
    :param calibration: samples for the ranges; ``judge``: of the network, on samples that show best what is right.
    :raises ModelError: if it cannot be quantized at all.
    """
    context = PassContext(data=calibration, seed=seed, progress=progress)
    versions = Versions(graph, settings, measured(graph, settings, context)[0], context)
    whole = [precision] * len(graph.operators)
    test = judge.data
    quantized = judge(versions.mix(whole).graph)
    found = Diagnosis(precision, len(test), 0, judge.float, judge.float, quantized, max_drop)
    if quantized.mark is not None and judge.float.mark is not None:
        found.judged = quantized.mark.compared(judge.float.mark, seed)
    left = _left(versions, precision)
    if any(reason.startswith(NO_KERNEL) for reason in versions.excluded[precision].values()):
        # What LiteRT refuses is to be explained, too.
        versions = replace(versions, tried=False, made={}, excluded={}, failures={}, _places={})
    numbers = [n for n in range(len(graph.operators)) if versions.has(n, precision)]
    if not numbers:
        raise ModelError("no operator of this network can be quantized", "compile it in float: --recipe float32")
    few = test.subset(effect_samples(graph, len(numbers)), seed)
    found.effect_samples = len(few)
    progress.step("measure each operator's effect")
    small = judge.on(few)
    found.effect_real = small.float
    effect = effects(versions, small, precision, numbers, progress)
    progress.step("measure each operator alone")
    sample = few.subset(local_samples(graph), seed)
    exact = tensors(graph, sample)
    local = locals_(versions, precision, exact, sample)
    found.operators = _rows(versions, precision, local, effect, left)
    found.notes = _notes(found, calibration, test)
    refused = [n for n, outcome in effect.items() if outcome.failure or (local[n].kernel or 0.0) >= WRONG]
    if not found.healthy or refused:
        progress.step("look for causes")
        ranged = calibration.subset(settings.samples, seed)
        seen, met = spreads(graph, ranged, progress), spreads(graph, test.subset(SPREAD_SAMPLES, seed), progress)
        evidence = Evidence(versions, precision, seen, met, exact, local, effect)
        found.findings = find(
            evidence, refused if found.healthy else list(dict.fromkeys([*refused, *guilty(evidence)]))
        )
    return found


def _left(versions: Versions, precision: str) -> dict[int, str]:
    """Return the operators that the recipe leaves in float, with the reason."""
    left = {}
    for number, operator in enumerate(versions.graph.operators):
        floats = any(versions.graph.tensors[i].dtype == FLOAT for i in operator.outputs)
        if floats and not versions.has(number, precision):
            name = f"s0t{operator.outputs[0]}" if operator.outputs else ""
            left[number] = why_float(operator.op, versions.excluded[precision], name)
    return left


def _rows(
    versions: Versions, precision: str, local: list[Local], effect: dict[int, Outcome], left: dict[int, str]
) -> list[Row]:
    rows = []
    for number, operator in enumerate(versions.graph.operators):
        quantized = number not in left and versions.has(number, precision)
        name = label(versions.graph.main, operator)
        rows.append(Row(number, operator.op, name, quantized, left.get(number, ""), local[number], effect.get(number)))
    return rows


def _notes(found: Diagnosis, calibration: Dataset, test: Dataset) -> list[str]:
    notes = []
    if calibration.random:
        notes.append("the ranges were set on noise (--data random), which says nothing about real samples")
    if found.judged is not None:
        compared = found.judged.found
        if compared.drop.low <= found.max_drop < compared.drop.high:
            notes.append(
                f"{compared.samples} samples cannot show whether more than {found.max_drop:.3g} of "
                f"{found.judged.metric} is lost ({compared.drop.low:.3g} to {compared.drop.high:.3g} is): give more"
            )
    if found.real.accuracy is not None and test.labels is not None and len(test) < FEW:
        notes.append(f"{len(test)} labelled samples cannot show a loss of {found.max_drop:g} points: give more")
    accuracy = found.real.accuracy
    if accuracy is not None and test.labels is not None:
        chance = 1 / max(2, int(test.labels.max()) + 1)
        if accuracy < 1.5 * chance:
            notes.append(
                f"the float network itself is right on {accuracy:.1%} only, about what guessing gives: check the "
                "labels, and the range of the samples (--data FILE?range=LOW,HIGH)"
            )
    reasons: dict[str, list[Row]] = {}
    for row in found.operators:
        if row.reason:
            reasons.setdefault(row.reason, []).append(row)
    for reason, rows in reasons.items():
        kinds = ", ".join(sorted({row.op for row in rows}))
        notes.append(f"{len(rows)} of {len(found.operators)} operators are left in float ({kinds}): {reason}")
    return notes
