"""``edgekit diagnose``, as a user calls it."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from edgekit.graph import tflite
from tests.diagnosis import sabotage
from tests.e2e.command import edgekit, refused
from tests.networks.small import convolutional


def bed(folder: Path, patient: sabotage.Patient) -> Path:
    """Write a patient as files: model.tflite, data.npz, test.npz."""
    folder.mkdir(exist_ok=True)
    tflite.write(patient.graph, folder / "model.tflite")
    for name, data in (("data", patient.calibration), ("test", patient.test)):
        labels = {} if data.labels is None else {"y": data.labels}
        np.savez(folder / f"{name}.npz", x=data.inputs[0], **labels)
    return folder


FILES = ("model.tflite", "--data", "data.npz", "--test", "test.npz")


@pytest.mark.emulator
@pytest.mark.parametrize("name", ["loud_channel", "spike", "wrong_range"])
def test_fix_writes_a_proven_bundle_that_keeps_the_accuracy(name, tmp_path):
    patient = sabotage.PATIENTS[name](tmp_path)
    here = bed(tmp_path / "here", patient)
    found = edgekit("diagnose", *FILES, "--fix", "--target", "rpi4", "--plot", "plot.svg", "--json", cwd=here).json
    assert found["schema"] == 1 and not found["healthy"] and found["lost"] > 50
    assert found["findings"][0]["cause"] == patient.cause and found["findings"][0]["operator"] in patient.operators
    fix, bundle = found["fix"], found["fix"]["bundle"]
    assert bundle["accuracy"]["float"] - bundle["accuracy"]["compiled"] <= 0.005 + 1e-9
    assert bundle["parity"]["ok"] and fix["recalibrated"] == (name == "wrong_range")
    assert (here / "plot.svg").read_text().startswith("<?xml")
    assert (here / bundle["path"] / "model.tflite").is_file()
    again = edgekit(*fix["command"].split()[1:], "--out", "again", "--json", cwd=here).json["bundles"][0]
    for file in ("model.tflite", "manifest.json"):
        assert (here / again["path"] / file).read_bytes() == (here / bundle["path"] / file).read_bytes()


def test_what_is_wrong_is_said_in_words_and_the_exit_code_is_5(tmp_path):
    here = bed(tmp_path / "here", sabotage.concatenation(tmp_path))
    result = edgekit("diagnose", *FILES, cwd=here)
    assert result.code == 5 and "Traceback" not in result.err
    assert "93.60% in float, 14.70% quantized; it loses 78.90 points of accuracy" in result.out
    assert "1. operator 2 CONCATENATION" in result.out and "share one scale" in result.out and "to do:" in result.out
    assert "\n2. " not in result.out
    assert result.err.splitlines()[0].startswith("error: model.tflite with the recipe int8: it loses 78.90")
    assert not (here / "build").exists()


def test_a_healthy_network_gets_a_short_clean_bill(tmp_path):
    here = bed(tmp_path / "here", sabotage.healthy(tmp_path))
    result = edgekit("diagnose", *FILES, cwd=here)
    assert result.code == 0, result.err
    assert len(result.out.splitlines()) == 1 and "healthy, nothing to do" in result.out
    assert "CONV_2D" in edgekit("diagnose", *FILES, "-v", cwd=here).out


@pytest.mark.emulator
def test_a_cure_that_cannot_be_proven_leaves_the_diagnosis_and_no_bundle(tmp_path):
    """A bias that drowns the signal leaves float32 no digits either: float kernels differ, and parity says so."""
    here = bed(tmp_path / "here", sabotage.bias_overflow(tmp_path))
    result = edgekit("diagnose", *FILES, "--fix", "-t", "rpi4", cwd=here)
    assert result.code == 5 and "bias overflow" in result.out and "parity failed" in result.err
    assert not (here / "build").exists()


def test_passes_before_the_quantization_are_applied_and_kept(tmp_path):
    here = bed(tmp_path / "here", sabotage.loud_channel(tmp_path))
    (here / "half.toml").write_text(
        'schema = 1\ndescription = "half"\nneeds_data = true\n[[pass]]\nname = "sparsify"\nsparsity = 0.3\n'
        '[[pass]]\nname = "quantize"\n'
    )
    found = edgekit("diagnose", *FILES, "--recipe", "half.toml", "--fix", "--json", cwd=here).json
    recipe = tomllib.loads((here / found["fix"]["recipe"]).read_text())
    assert [step["name"] for step in recipe["pass"]] == ["sparsify", "mixed_precision"]
    assert recipe["pass"][1]["scale"] is True
    assert found["fix"]["bundle"]["target"] == "host" and found["fix"]["cost"]["unit"] == "bytes"


def test_bad_input_is_refused_in_one_line(tmp_path):
    here = bed(tmp_path / "here", sabotage.healthy(tmp_path))
    refused(edgekit("diagnose", "model.tflite", "--data", "none.npz", cwd=here), 2, "no such file")
    refused(edgekit("diagnose", "none.tflite", "--data", "data.npz", cwd=here), 3, "no file")
    refused(edgekit("diagnose", *FILES, "--recipe", "float16", cwd=here), 2, "integer activations")
    refused(edgekit("diagnose", *FILES, "--recipe", "prune", cwd=here), 2, "quantize")
    refused(edgekit("diagnose", *FILES, "--target", "rpi9", cwd=here), 2, "rpi9")
    refused(edgekit("diagnose", *FILES, "--plot", "s.txt", cwd=here), 2, ".txt")
    compiled = edgekit("compile", *FILES, "--recipe", "int8", "-t", "host", "--json", cwd=here).json["bundles"][0]
    refused(
        edgekit("diagnose", f"{compiled['path']}/model.tflite", *FILES[1:], cwd=here), 3, "quantized", "float model"
    )
    tflite.write(convolutional(), here / "features.tflite")
    refused(edgekit("diagnose", "features.tflite", "--data", "test.npz", "--max-drop", "200", cwd=here), 2, "max-drop")
