"""Networks with a planted fault: it is found, the right operator is named, and the cure recovers the accuracy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from edgekit.data.dataset import Dataset
from edgekit.diagnosis.cure import Cure, cure
from edgekit.diagnosis.diagnose import Diagnosis, diagnose
from edgekit.diagnosis.measure import Judge
from edgekit.diagnosis.rules import OPERATOR_RULES, TENSOR_RULES
from edgekit.graph import tflite
from edgekit.graph.edit import with_values
from edgekit.passes import PassContext
from edgekit.passes.precisions import plan_of
from edgekit.passes.quantize import Settings
from edgekit.progress import Silent
from tests.diagnosis import sabotage
from tests.diagnosis.sabotage import PATIENTS, Patient
from tests.networks.small import MODELS, digits

DOCS = Path(__file__).parents[2] / "docs"
MAX_DROP = 0.5
SCALED = {"loud_channel", "concatenation", "tiny_scale"}
"""What scaled channels cure: every operator stays int8."""


def examined(patient: Patient, **settings: str) -> Diagnosis:
    return diagnose(
        patient.graph, Settings(**settings), "int8", patient.calibration, Judge(patient.graph, patient.test),
        max_drop=MAX_DROP, progress=Silent(),
    )  # fmt: skip


def cured(patient: Patient, **params: object) -> Cure:
    return cure(patient.graph, plan_of(params), patient.calibration, Judge(patient.graph, patient.test), PassContext())[
        0
    ]


def fewer(patient: Patient) -> Patient:
    return replace(patient, test=patient.test.subset(300))


@pytest.mark.parametrize("name", PATIENTS)
def test_the_fault_is_found_and_the_operator_named(name, tmp_path):
    patient = PATIENTS[name](tmp_path)
    found = examined(patient)
    assert found.real.accuracy is not None and found.real.accuracy > 0.85
    assert not found.healthy and found.lost > 3
    first = found.findings[0]
    assert first.cause == patient.cause, [(f.cause, f.operator) for f in found.findings]
    assert first.operator in patient.operators
    assert first.words and first.remedy and first.hurts
    assert len(found.findings) <= 2
    explained = (DOCS / "formats.md").read_text()
    assert all(f"`{name}`" in explained for finding in found.findings for name in finding.figures)


def test_every_cause_is_explained():
    page = (DOCS / "diagnose.md").read_text()
    for rule in (*TENSOR_RULES, *OPERATOR_RULES):
        assert f"| `{rule.__name__}` |" in page


@pytest.mark.parametrize(
    ("name", "target"), [*((name, None) for name in PATIENTS), ("spike", "rpi4"), ("wrong_range", "rpi4")]
)
def test_the_cure_recovers_the_accuracy_for_less_than_float(name, target, tmp_path):
    patient = PATIENTS[name](tmp_path)
    found = cured(patient, **({"target": target} if target else {}))
    assert found.before.accuracy is not None and found.outcome.accuracy is not None and found.real.accuracy is not None
    assert found.before.accuracy < found.real.accuracy - 0.03
    assert found.outcome.accuracy >= found.real.accuracy - MAX_DROP / 100
    assert found.unit == ("ms" if target else "bytes")
    if name == "wrong_range" and target:
        assert found.precision.count("float32") >= 4  # ranges 255 times too wide leave next to nothing for integers
        assert found.cost <= found.cost_float
    else:
        assert found.cost < found.cost_float
    if name in SCALED:
        assert found.scaled and set(found.precision) == {"int8"} and found.cost == found.cost_before


def test_a_healthy_network_gets_a_clean_bill(tmp_path):
    found = examined(sabotage.healthy(tmp_path))
    assert found.healthy and not found.findings and not found.notes
    assert [row.index for row in found.operators] == [0, 1, 2, 3, 4]
    assert all(row.effect is not None and row.effect.noise < 1e-3 for row in found.operators)
    kept = cured(sabotage.healthy(tmp_path))
    assert (kept.scaled, set(kept.precision), kept.cost) == (0, {"int8"}, kept.cost_before)


def test_a_loud_channel_of_a_residual_network_is_named_at_all_that_make_it(tmp_path):
    """ResNet-8 with a channel of the first residual stream times 1024, and its consumers' weights divided.

    CONV 0, CONV 2 and the ADD of both produce it; labels are the float network's own.
    """
    path = MODELS / "mlperf_tiny" / "ic_resnet8_fp32.tflite"
    if not path.is_file():
        pytest.skip("shared/models is not here")
    graph = tflite.read(path)
    for operators, slots, axis, factor in (((0, 2), (1, 2), 0, 1024), ((1, 4, 6), (1,), 3, 1 / 1024)):
        for number in operators:
            inputs = list(graph.operators[number].inputs)
            for slot in slots:
                tensor = graph.tensors[inputs[slot]]
                values = tensor.array().copy()
                np.moveaxis(values, axis, 0)[5] *= factor
                graph.tensors.append(with_values(tensor, values))
                inputs[slot] = len(graph.tensors) - 1
            graph.operators[number] = replace(graph.operators[number], inputs=tuple(inputs))
    x = np.pad(digits(24)[0], ((0, 0), (2, 2), (2, 2)))[:, None, :, :, None]
    data = Dataset([np.repeat(x * 255, 3, axis=4).astype(np.float32)])
    found = examined(Patient(graph, data, data, "", set()))
    assert {(f.cause, f.operator) for f in found.findings} == {("outlier_channels", n) for n in (0, 2, 3)}
    assert all(f.figures["channels"] == [5] for f in found.findings)


def test_one_scale_a_tensor_is_named_where_channels_differ(tmp_path):
    """Output channels of the head that differ 1000-fold want a scale each."""
    patient = sabotage.loud_channel(tmp_path)
    found = examined(patient, granularity="tensor")
    assert {"wide_tensor", "outlier_channels"} <= {f.cause for f in found.findings if f.operator == 0}


def test_without_labels_changed_labels_are_counted(tmp_path):
    patient = sabotage.loud_channel(tmp_path)
    patient = replace(patient, test=replace(patient.test, labels=None))
    found = examined(patient)
    assert found.real.accuracy is None and found.quantized.flips is not None
    assert found.lost == pytest.approx(100 * found.quantized.flips) and found.lost > 50
    assert found.findings[0].cause == "outlier_channels"
    assert cured(patient).outcome.flips <= MAX_DROP / 100


def test_the_same_samples_give_the_same_answer(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (fewer(sabotage.spike(tmp_path / name)) for name in "ab")
    assert examined(first).json() == examined(second).json()
    assert cured(first) == cured(second)


def test_four_bits_are_used_where_they_are_allowed_and_hold(tmp_path):
    patient = fewer(sabotage.healthy(tmp_path))
    found = cured(patient, allow=["int4", "int8", "float32"], max_drop=3)
    assert "int4" in found.precision and found.cost < found.cost_before
    assert found.outcome.accuracy >= found.real.accuracy - 0.03
    strict = cured(patient, allow=["int4", "int8", "float32"], max_drop=0)
    assert strict.outcome.accuracy >= strict.real.accuracy


def test_only_allowed_precisions_are_used(tmp_path):
    patient = fewer(sabotage.spike(tmp_path))
    found = cured(patient, allow=["int16"], max_drop=2)
    assert set(found.precision) == {"int8", "int16"}
    assert found.outcome.accuracy >= found.real.accuracy - 0.02


def test_noise_and_few_samples_and_wrong_labels_are_told(tmp_path: Path):
    patient = sabotage.healthy(tmp_path)
    few = patient.test.subset(50)
    assert few.labels is not None
    few = replace(few, labels=(few.labels + 1) % 10)
    noisy = replace(patient.calibration, random=True)
    notes = " ".join(examined(replace(patient, calibration=noisy, test=few)).notes)
    assert "set on noise" in notes and "50 labelled samples" in notes and "about what guessing gives" in notes
