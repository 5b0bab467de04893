"""Nothing heavy is imported before it is needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.command import edgekit


def imported(*args: str) -> set[str]:
    """Names of the modules that a call imported."""
    code = (
        "import sys, json\nfrom edgekit.cli import invoke\n"
        f"code = invoke({list(args)!r})\nprint(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    code, names = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(names)


def test_help_is_light() -> None:
    assert not imported("--help") & {"numpy", "rich", "ai_edge_litert", "tensorflow", "onnx", "edgekit.sandbox"}
    assert not imported("compile", "--help") & {"numpy", "rich", "ai_edge_litert", "tensorflow"}


def test_targets_is_light() -> None:
    heavy = {"numpy", "ai_edge_litert", "tensorflow", "onnx", "importlib.metadata", "edgekit.target.schema"}
    assert not imported("targets") & heavy
    assert not imported("targets", "--json") & {*heavy, "rich", "edgekit.profiling.calibrated.calibration"}


@pytest.mark.emulator
def test_compile_never_imports_tensorflow(models: Path, tmp_path: Path) -> None:
    model = models / "mlperf_tiny" / "kws_int8.tflite"
    names = imported("compile", str(model), "-t", "rpi4", "-t", "rpi5", "-o", str(tmp_path), "--json")
    heavy = {"tensorflow", "keras", "torch", "tvm", "onnx", "matplotlib", "ai_edge_quantizer", "scipy"}
    assert not names & heavy
    assert "ai_edge_litert.interpreter" not in names  # it runs in children only


def test_help_shows_an_example_for_every_verb() -> None:
    from edgekit.cli import VERBS

    for verb in VERBS:
        result = edgekit(verb, "--help")
        assert result.code == 0
        assert f"Example: edgekit {verb}" in result.out


def test_help_names_everything_that_doctor_installs() -> None:
    from edgekit.api.installing import INSTALLERS

    words = edgekit("doctor", "--help").out.replace(",", " ").replace(";", " ").split()
    assert set(INSTALLERS) <= set(words)
